"""`sentinel warm`: compile every kernel, for an image build."""

import time

from sentinel import kernel_cache
from sentinel.cli.options import ConfigOption
from sentinel.cli.texts import echo


def warm(config: ConfigOption = None) -> None:
    """Compile all kernels now, so that a start compiles none: for the build of an image."""
    from sentinel.app.warming import warm_all
    from sentinel.config import load

    settings = load(config)
    before = kernel_cache.count()
    begun_s = time.monotonic()
    names = warm_all(settings, lambda what, share: None)
    took_s = time.monotonic() - begun_s
    echo(
        f"kernels of {', '.join(names)}: {kernel_cache.count() - before} compiled, "
        f"{before} were there, in {took_s:.1f} s; kept in {kernel_cache.folder()}"
    )
