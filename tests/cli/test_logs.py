"""Lines of the log: for a person, or one JSON object each."""

import io
import json
import logging
import re
from collections.abc import Iterator

import pytest

from sentinel.cli.logs import LoggedLines, log_to
from sentinel.codec.monitoring.log_lines import LoggingParams

HOSTILE = 'a"b\\c\nERROR all is lost\r\x1b[31m\u202e \u2028 😀 \udc80'
log = logging.getLogger("sentinel.tests")


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    yield
    root.handlers[:] = before
    root.setLevel(level)


def said(params: LoggingParams) -> io.StringIO:
    file = io.StringIO()
    log_to(file, params)
    return file


def test_a_line_is_one_object_whatever_is_in_it() -> None:
    file = said(LoggingParams(format="json"))

    log.warning("who is %s", HOSTILE)

    [text] = file.getvalue().splitlines()
    assert text.isascii()
    assert text.isprintable()
    line = json.loads(text)
    assert line["message"] == f"who is {HOSTILE}"
    assert (line["level"], line["logger"]) == ("warning", "sentinel.tests")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"])
    assert re.fullmatch(r".+-\d+", line["instance"])
    assert line.keys() == {"time", "level", "logger", "message", "instance"}


def test_an_exception_is_in_the_line_and_no_line_of_its_own() -> None:
    file = said(LoggingParams(format="json"))

    try:
        raise ValueError(HOSTILE)
    except ValueError:
        log.exception("it failed")

    [text] = file.getvalue().splitlines()
    assert json.loads(text)["exception"].startswith("Traceback (most recent call last):\n")


def test_a_line_that_speaks_of_a_decision_has_its_identifier() -> None:
    file = said(LoggingParams(format="json"))

    log.info("seen", extra={"transaction_id": "t1", "decision_id": "transactions-0-7", "x": 1})

    line = json.loads(file.getvalue())
    assert (line["transaction_id"], line["decision_id"]) == ("t1", "transactions-0-7")
    assert "x" not in line


def test_on_a_console_a_stranger_begins_no_line_and_commands_no_terminal() -> None:
    file = said(LoggingParams())

    try:
        raise ValueError("\x1b[2J")
    except ValueError:
        log.exception("who is %s", HOSTILE)

    text = file.getvalue()
    assert [line for line in text.splitlines() if line.startswith("ERROR")] == []
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert r'a"b\c\nERROR all is lost\r\x1b[31m\u202e' in text


@pytest.mark.parametrize("format", ["console", "json"])
@pytest.mark.parametrize(
    ("level", "count"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)]
)
def test_less_than_the_level_is_not_said(level: str, count: int, format: str) -> None:
    file = said(LoggingParams(level=level, format=format))  # type: ignore[arg-type]

    for word in ("debug", "info", "warning", "error"):
        getattr(log, word)(word)

    assert len(file.getvalue().splitlines()) == count


def test_what_a_view_prints_is_a_line_each() -> None:
    file = said(LoggingParams(format="json"))
    view = LoggedLines()

    for piece in ("compiling", " …\n", "\n", "one\ntwo\nthr"):
        assert view.write(piece) == len(piece)
    view.write("ee\n")

    lines = [json.loads(line)["message"] for line in file.getvalue().splitlines()]
    assert lines == ["compiling …", "one", "two", "three"]


@pytest.mark.parametrize(("name", "value"), [("level", "loud"), ("format", "xml"), ("level", "")])
def test_a_word_that_is_none_is_refused(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be one of"):
        LoggingParams(**{name: value})  # type: ignore[arg-type]


def test_a_line_that_cannot_be_written_ends_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(logging, "raiseExceptions", False)  # as `settle_streams` has it
    log_to(Full(), LoggingParams(format="json"))

    log.error("lost")

    assert capsys.readouterr() == ("", "")
