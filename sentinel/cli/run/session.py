"""A run with the loop that it needs: shown while it lasts, and reported at its end."""

import logging
from pathlib import Path
from typing import Any

import uvloop
from rich.logging import RichHandler

from sentinel.app.ending import leave_abandoned
from sentinel.app.run import RunOptions, report, run
from sentinel.cli.run.view import View
from sentinel.cli.streams import Display, displays
from sentinel.cli.texts import PlainConsole
from sentinel.codec.records import encode_pretty
from sentinel.config import Config
from sentinel.errors import ConfigError

_WAY_ON = (
    "with your own data: `sentinel init history.csv` looks at it and writes a configuration; "
    "docs/arrival.md goes on from there"
)


def watched(config: Config, options: RunOptions, report_file: Path | None, *, plain: bool) -> None:
    """Run, show, and write the report at the end, however the run ended."""
    with displays() as (out, err):
        is_live = out.file.isatty() and not plain
        _log_to(err, plain=not is_live)
        view = View(PlainConsole(file=out.file), live=is_live)

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

        with view:
            figures = uvloop.run(main())
    if report_file is not None:
        try:
            report_file.write_bytes(encode_pretty(figures))
        except OSError as error:
            raise ConfigError(f"{report_file}: cannot be written: {error.strerror}") from error
    leave_abandoned()


def _log_to(display: Display, *, plain: bool) -> None:
    handler: logging.Handler = RichHandler(console=PlainConsole(file=display.file), show_path=False)
    handler.setFormatter(logging.Formatter("%(message)s"))  # the rest has columns of its own
    if plain:
        handler = logging.StreamHandler(display.file)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
