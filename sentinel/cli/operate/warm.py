"""`sentinel warm`: compile every kernel, for an image build."""

import time
from pathlib import Path

import typer

from sentinel import config as configuration
from sentinel import kernel_cache
from sentinel.app.warming import warm_all


def warm_command(config_file: Path | None) -> None:
    """Compile what is not compiled yet; say what, where to, and how long it took."""
    config = configuration.load(config_file)
    before = kernel_cache.count()
    begun_s = time.monotonic()
    names = warm_all(config, lambda what, share: None)
    took_s = time.monotonic() - begun_s
    typer.echo(
        f"kernels of {', '.join(names)}: {kernel_cache.count() - before} compiled, "
        f"{before} were there, in {took_s:.1f} s; kept in {kernel_cache.folder()}"
    )
