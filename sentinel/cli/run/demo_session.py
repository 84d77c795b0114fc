"""The demo in a terminal: what happens as it happens, then the page and the figures."""

import logging
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import uvloop
from rich.live import Live
from rich.text import Text

from sentinel.app.demo.outcome import by_day, decided, demo_figures, served
from sentinel.app.demo.performance import DemoPerformance, Stage
from sentinel.app.demo.script import Script, fitted
from sentinel.app.demo.told import Happening
from sentinel.app.ending import leave_abandoned
from sentinel.app.prepare import GeneratedDays
from sentinel.app.run import RunOptions, run
from sentinel.cli.run.demo_page.page import PlayedDemo, demo_page
from sentinel.cli.run.demo_words import in_a_sentence, status_words, story_line
from sentinel.cli.streams import displays
from sentinel.cli.texts import PlainConsole, shown
from sentinel.codec.records import encode_pretty
from sentinel.config import load, profile_path
from sentinel.errors import ConfigError, TransientError

PROFILE = "demo"
_RUN = "run"  # the folder of the run itself, anew each time
_MARK = ".sentinel-demo"  # in it: what has none is not ours to delete
_PAGE, _LOG = "demo.html", "demo.log"
_PLAIN_INTERVAL_S = 5.0


def performed(script: Script, out: Path, report: Path | None) -> None:
    """Play a script; at the end there is a page in `out`."""
    out = out.resolve()
    report = None if report is None else report.resolve()
    begun_s = time.monotonic()
    with _stage_folder(out) as directory, displays() as (display, _):
        console = PlainConsole(file=display.file)
        view = DemoView(console, script, begun_s=begun_s, live=display.file.isatty())
        stage = _on_stage(script, directory, view)
        view.say("reading the archive")
        files = stage.config
        all_decided = decided(files, stage.clock.truth.frauds, stage.first_version)
        days = by_day(all_decided, script)
        decimals = files.schema.amount_decimals
        figures = demo_figures(script, all_decided, days, stage.happenings, decimals=decimals)
        versions = served(stage.happenings, stage.first_version, script.begin_ms)
        played = PlayedDemo(
            script=script,
            figures=figures,
            days=days,
            happenings=stage.happenings,
            versions=versions,
            labels=stage.hearing.label_days,
            waited_s=dict(stage.waiting.spent_s),
            took_s=time.monotonic() - begun_s,
            decimals=decimals,
        )
        page = out / _PAGE
        _write(page, demo_page(played).encode())
        if report is not None:
            _write(report, encode_pretty(_report(played)))
        view.end(in_a_sentence(figures), page)
    leave_abandoned()


def _on_stage(script: Script, directory: Path, view: "DemoView") -> Stage:
    path = profile_path(PROFILE)
    config = fitted(script, load(path))
    performance = DemoPerformance(script, Path(".sentinel"), view.tell, view.look)
    archive = ("archive", "run", "--until-input-ends", "--config", str(path))
    options = RunOptions(
        stream=False,
        archive_command=(sys.executable, "-m", "sentinel", *archive),
        past=GeneratedDays(script.history_day_count, script.history),
        beside=performance.play,
    )
    logging.basicConfig(
        level=logging.INFO,
        filename=directory / _LOG,
        format="%(asctime)s %(levelname)s %(message)s",
        force=True,
    )
    with view:
        uvloop.run(run(config, options, view.prepare, lambda _: None, view.stop))
    stage = performance.stage
    if stage is None or not stage.clock.is_over:
        raise TransientError("the demo was stopped before its end: there is no page")
    return stage


@contextmanager
def _stage_folder(out: Path) -> Iterator[Path]:
    """An empty folder to run in. Raises ConfigError where there is something that is not a demo's.

    The instance and its archive find each other by the folder that they are started in.
    """
    directory, before = out / _RUN, Path.cwd()
    if directory.exists() and any(directory.iterdir()) and not (directory / _MARK).exists():
        raise ConfigError(f"{directory}: is no folder of a demo: it is not deleted, take another")
    try:
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        (directory / _MARK).touch()
    except OSError as error:
        raise ConfigError(f"{directory}: cannot be written: {error.strerror}") from error
    os.chdir(directory)
    try:
        yield directory
    finally:
        os.chdir(before)


def _report(played: PlayedDemo) -> dict[str, Any]:
    return {
        **asdict(played.figures),
        "days": [asdict(one) for one in played.days],
        "events": [
            {"at": one.at_ms, "kind": one.kind, "what": one.what} for one in played.happenings
        ],
        "versions": [asdict(one) for one in played.versions],
        "waited_s": played.waited_s,
        "took_s": played.took_s,
    }


def _write(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror}") from error


class DemoView:
    """A line for each event, and below them where the clock stands."""

    def __init__(
        self, console: PlainConsole, script: Script, *, begun_s: float, live: bool
    ) -> None:
        self._console = console
        self._script = script
        self._begun_s = begun_s
        self._live = Live(console=console, auto_refresh=False, transient=True) if live else None
        self._said_s = 0.0
        self._said = ""

    def __enter__(self) -> None:
        if self._live is not None:
            self._live.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Give the terminal back."""
        if self._live is not None:
            self._live.stop()

    def prepare(self, what: str, share: float) -> None:
        """What is done before the first day."""
        if self._live is not None:
            self._live.update(Text(f"{what} … {share:.0%}"), refresh=True)
        elif what != self._said:
            self._said = what
            self.say(what)

    def say(self, what: str) -> None:
        """What is being done."""
        self._console.print(shown(f"{what} …"), soft_wrap=True)

    def tell(self, happening: Happening) -> None:
        """Something has happened."""
        self._console.print(shown(story_line(happening, self._script)), soft_wrap=True)

    def look(self, stage: Stage) -> None:
        """Where it stands: in its line, or now and then where there is none."""
        now_s = time.monotonic()
        words = status_words(stage, now_s - self._begun_s)
        if self._live is not None:
            self._live.update(shown(words), refresh=True)
        elif now_s - self._said_s >= _PLAIN_INTERVAL_S:
            self._said_s = now_s
            self._console.print(shown(words), soft_wrap=True)

    def end(self, sentence: str, page: Path) -> None:
        """How it ended."""
        self._console.print(shown(sentence), soft_wrap=True)
        self._console.print(shown(f"The page: {page}"), soft_wrap=True)
