"""`sentinel run`: the loop, the view, the report."""

import logging
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import uvloop
from rich.console import Console
from rich.logging import RichHandler

from sentinel import config as configuration
from sentinel.app.ending import leave_abandoned
from sentinel.app.run import RunOptions, report, run
from sentinel.cli.run.view import View
from sentinel.cli.streams import Display, displays
from sentinel.codec.records import encode_pretty
from sentinel.errors import ConfigError


def run_command(
    config_file: Path | None,
    *,
    stream: bool,
    plain: bool,
    report_file: Path | None,
    rate: float,
    duration_s: float | None,
    exit_when_idle_s: float | None,
    on_gap: Literal["fail", "earliest"] | None,
    archive: bool,
) -> None:
    """Run, show, and write the report at the end, however the run ended."""
    config = configuration.load(config_file)
    if on_gap is not None:
        # The configuration keeps its version: decisions that are repeated have the same bytes.
        config = replace(config, engine=replace(config.engine, on_gap=on_gap))
    options = RunOptions(
        stream=stream,
        rate=rate,
        duration_s=duration_s,
        exit_when_idle_s=exit_when_idle_s,
        archive_command=_archive_command(config_file) if archive else (),
    )
    if report_file is not None and not report_file.parent.is_dir():
        raise ConfigError(f"{report_file}: its folder does not exist")
    with displays() as (out, err):
        is_live = out.file.isatty() and not plain
        _log_to(err, plain=not is_live)
        view = View(Console(file=out.file), live=is_live)

        def leave() -> None:
            view.stop()
            out.drain()
            err.drain()

        async def main() -> dict[str, Any]:
            status = await run(config, options, view.progress, view.show, leave)
            view.finish(status)
            return report(status)

        with view:
            figures = uvloop.run(main())
    if report_file is not None:
        try:
            report_file.write_bytes(encode_pretty(figures))
        except OSError as error:
            raise ConfigError(f"{report_file}: cannot be written: {error.strerror}") from error
    leave_abandoned()


def _archive_command(config_file: Path | None) -> tuple[str, ...]:
    """An archive that ends with this process."""
    own = () if config_file is None else ("--config", str(config_file))
    return (sys.executable, "-m", "sentinel", "archive", "run", "--until-input-ends", *own)


def _log_to(display: Display, *, plain: bool) -> None:
    handler: logging.Handler = RichHandler(console=Console(file=display.file), show_path=False)
    handler.setFormatter(logging.Formatter("%(message)s"))  # the rest has columns of its own
    if plain:
        handler = logging.StreamHandler(display.file)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
