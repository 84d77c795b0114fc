"""A run with the loop that it needs: shown while it lasts, and reported at its end."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import typer
import uvloop

from sentinel.app.ending import leave_abandoned
from sentinel.app.run import RunOptions, report, run
from sentinel.cli.commands import exit_code
from sentinel.cli.logs import LoggedLines, log_to
from sentinel.cli.run.view import View
from sentinel.cli.streams import displays
from sentinel.cli.texts import PlainConsole
from sentinel.codec.records import encode_pretty
from sentinel.config import Config
from sentinel.errors import ConfigError, SentinelError

log = logging.getLogger(__name__)

_WAY_ON = (
    "with your own data: `sentinel init history.csv` looks at it and writes a configuration; "
    "docs/arrival.md goes on from there"
)


def watched(config: Config, options: RunOptions, report_file: Path | None, *, plain: bool) -> None:
    """Run, show, and write the report at the end, however the run ended."""
    with displays() as (out, err):
        is_json = config.logging.format == "json"
        is_live = out.file.isatty() and not plain and not is_json
        log_to(err.file, config.logging, in_columns=is_live)
        view = View(PlainConsole(file=LoggedLines() if is_json else out.file), live=is_live)

        def leave() -> None:
            view.stop()
            out.drain()
            err.drain()

        async def main() -> dict[str, Any]:
            status = await run(config, options, view.progress, view.show, leave)
            await view.finish(status)
            if options.stream and status.metrics.decisions:
                view.tell(_WAY_ON)
            return report(status)

        with view, _told_as_json() if is_json else nullcontext():
            figures = uvloop.run(main())
    if report_file is not None:
        try:
            report_file.write_bytes(encode_pretty(figures))
        except OSError as error:
            raise ConfigError(f"{report_file}: cannot be written: {error.strerror}") from error
    leave_abandoned()


@contextmanager
def _told_as_json() -> Iterator[None]:
    """What ends the run is a line of the log, too."""
    try:
        yield
    except SentinelError as error:
        log.critical("%s", error)
        raise typer.Exit(exit_code(error)) from error
