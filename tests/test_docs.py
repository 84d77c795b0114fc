"""What the pages show is there: links, commands, settings, programs, files, records.

Blocks that read the archive run in archive/test_documented.py; the tables of docs/reference.md are
compared in test_reference.py, those of docs/feedback.md in codec/test_feedback_docs.py.
"""

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest
import typer

from sentinel import config as configuration
from sentinel.cli import app
from sentinel.codec.decisions import alert
from sentinel.codec.feedback.checking import FeedbackBounds, decode_checked, is_placed
from sentinel.codec.schema import SchemaParams
from sentinel.config import Config
from sentinel.core.decision import Usual, reasons
from sentinel.core.features.spec import STATS
from sentinel.engine.health import HealthName
from sentinel.metrics import METRICS
from sentinel.records import Record
from tests.codec.test_decisions import encoded
from tests.reference import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
# What says how things were when they were: commands and settings may have gone since.
PRESENT = [page for page in PAGES if page.name != "CHANGELOG.md"]
every_present_page = pytest.mark.parametrize("page", PRESENT, ids=lambda page: page.name)

README_LINE_COUNT_MAX = 150
COMMANDS = typer.main.get_command(app)

_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`([^`\n]+)`")
_SHELL = re.compile(r"^ {4,}(?:\$ |RUN )?(?:\.venv/bin/)?sentinel (.*)$", re.MULTILINE)
_LINK = re.compile(r"\]\(([^)\s]+)\)")


def fenced(page: Path, language: str) -> list[str]:
    return [text for name, text in _FENCED.findall(page.read_text()) if name == language]


def inline(page: Path) -> list[str]:
    """What stands between backticks, outside of blocks."""
    text = _FENCED.sub("", page.read_text())
    return _INLINE.findall("\n".join(one for one in text.splitlines() if one[:4] != "    "))


# --- pages and links ----------------------------------------------------------------------------


def anchors(page: Path) -> set[str]:
    """What a link may name, as GitHub makes it of the headers."""
    text = _FENCED.sub("", page.read_text())
    titles = (re.sub(r"[^\w\- ]", "", one.lower()) for one in re.findall(r"(?m)^#+ (.*)$", text))
    return {title.replace(" ", "-") for title in titles}


@every_page
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in _LINK.findall(_FENCED.sub("", page.read_text())):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        other = (page.parent / name).resolve() if name else page
        assert other.is_file(), target
        assert not anchor or anchor in anchors(other), target


def test_the_readme_is_read_in_one_sitting_and_leads_to_every_page() -> None:
    text = (ROOT / "README.md").read_text()

    assert len(text.splitlines()) <= README_LINE_COUNT_MAX
    for page in PAGES:
        assert page.parent == ROOT or f"(docs/{page.name})" in text, page.name


# --- commands and programs ----------------------------------------------------------------------


def found(words: list[str]) -> tuple[Any, list[str]]:
    """The command that the words name, and the words behind its name."""
    command: Any = COMMANDS
    words = list(words)
    while words and hasattr(command, "list_commands") and not words[0].startswith("-"):
        with command.make_context("sentinel", [], resilient_parsing=True) as context:
            command = command.get_command(context, words[0])
        assert command is not None, f"there is no command {words[0]}"
        words.pop(0)
    return command, words


def shown(page: Path) -> Iterator[str]:
    """The lines of a page's blocks that call Sentinel, without their comments."""
    for line in _SHELL.findall(page.read_text()):
        yield re.split(r"\s+#\s|\s&&\s", line)[0]


@every_present_page
def test_every_command_in_a_block_is_understood(page: Path) -> None:
    for line in shown(page):
        command, arguments = found(shlex.split(line))
        assert not hasattr(command, "list_commands"), line
        with command.make_context(line, arguments):  # raises where it is not understood
            pass


@every_present_page
def test_every_command_in_a_sentence_is_there(page: Path) -> None:
    for text in inline(page):
        name, _, line = text.partition(" ")
        if name != "sentinel" or not line or any(mark in line for mark in "|…"):
            continue
        command, rest = found(line.split())
        known = {one for x in command.params for one in (*x.opts, *x.secondary_opts)}
        assert {one for one in rest if one.startswith("--")} <= known, text


@every_present_page
def test_every_program_and_target_is_there(page: Path) -> None:
    text = page.read_text()
    for module in re.findall(r"python -m ((?:benchmarks|tests|deploy)[.\w]*)", text):
        path = ROOT / module.replace(".", "/")
        assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file(), module
    for script in re.findall(r"python (\w+/\w+\.py)", text):
        assert (ROOT / script).is_file(), script
    targets = set(re.findall(r"(?m)^([\w-]+):", (ROOT / "Makefile").read_text()))
    assert set(re.findall(r"(?m)(?:^ {4}|`)make ([\w-]+)", text)) <= targets


@every_present_page
def test_every_file_that_is_named_is_there(page: Path) -> None:
    """A path may begin anywhere: `core/forest/forest.py` is sentinel/core/forest/forest.py."""
    files = {path.relative_to(ROOT).as_posix() for path in tracked()}
    for text in inline(page):
        if re.fullmatch(r"[\w/]+\.(?:py|toml)", text) and "/" in text:
            assert any(f"/{path}".endswith(f"/{text}") for path in files), text


def tracked() -> Iterator[Path]:
    for folder in ("sentinel", "tests", "benchmarks", "config", "deploy"):
        yield from (path for path in (ROOT / folder).rglob("*") if path.is_file())


# --- settings -----------------------------------------------------------------------------------


_SETTING = re.compile(
    r"\[?([a-z_]+(?:\.[a-z_]+)*\.(?!(?:json|py|sh|toml|txt|ubj)\b)[a-z_]+)\]?(?: = [^(]*)?"
)
# Functions of the module that look like settings.
ELSEWHERE = {"archive.scan", "archive.history"}


def known(section: str, kind: Any = Config) -> Any:
    """The type of a setting or of a section, by its dotted name; None if there is none."""
    for name in section.split("."):
        if not is_dataclass(kind) or name not in get_type_hints(kind):
            return None
        kind = get_type_hints(kind)[name]
    return kind


@every_present_page
def test_every_setting_in_a_sentence_is_there(page: Path) -> None:
    """`section.key`, `section.key = value`, `[section]`; names of files are none."""
    tops = {field.name for field in fields(Config)} - {"entities", "features", "version"}
    for text in inline(page):
        match = _SETTING.fullmatch(text)
        if match and match[1].split(".")[0] in tops and match[1] not in ELSEWHERE:
            assert known(match[1]) is not None, text
        elif section := re.fullmatch(r"\[([a-z_]+)\]", text):
            assert section[1] in tops | {"entities", "features"}, text


@every_present_page
def test_every_configuration_that_is_shown_loads(page: Path, tmp_path: Path) -> None:
    for text in fenced(page, "toml"):
        path = tmp_path / "shown.toml"
        path.write_text(text)
        assert configuration.load(path, {}).features


def test_every_statistic_is_in_the_table_of_features() -> None:
    page = (ROOT / "docs" / "features.md").read_text()
    first = re.findall(r"(?m)^\| ((?:`\w+` ?)+)\|", page[page.index("| `stat` |") :])

    assert {name for cell in first for name in re.findall(r"`(\w+)`", cell)} == STATS | {"stat"}


# --- records ------------------------------------------------------------------------------------


def records(page: str) -> list[dict[str, Any]]:
    return [json.loads(text) for text in fenced(ROOT / page, "json")]


def test_a_decision_is_shown_with_the_fields_that_it_has() -> None:
    decision = json.loads(encoded()[0])
    page = (ROOT / "docs" / "delivery.md").read_text()
    table = page[page.index("| field | what |") :].split("\n\n")[0]
    told = [name for row in table.splitlines()[2:] for name in _INLINE.findall(row.split("|")[1])]
    [short], [whole, _] = records("README.md"), records("docs/delivery.md")

    assert whole.keys() == decision.keys() == set(told)
    assert len(told) == len(decision)
    assert short.items() <= whole.items()
    for name, value in decision.items():
        assert isinstance(whole[name], type(value)) or value is None


def test_an_alert_is_shown_with_the_fields_that_it_has() -> None:
    one = np.ones(1)
    [reason] = reasons(["amount"], one, one, Usual(one, one), {}, count_max=1)
    made = json.loads(alert(b'{"v":1}', [reason], explained=True))
    [_, shown] = records("docs/delivery.md")

    assert shown.keys() == made.keys() - {"v"}
    assert [one.keys() for one in shown["reasons"]] == [reason.keys()]


def test_a_record_of_feedback_that_is_shown_is_taken() -> None:
    text = (ROOT / "docs" / "feedback.md").read_text()
    [shown, *_] = _FENCED.findall(text)
    bounds = FeedbackBounds.of(SchemaParams(entities={"terminal": "terminal"}))

    record = decode_checked(Record(0, 1_800_000_000_000, None, shown[1].encode()), bounds)

    assert is_placed(record)
    assert bounds.unknown_kinds(record) == []


# --- the degradation ladder ---------------------------------------------------------------------

LADDER = ROOT / "docs" / "degradation.md"
LADDER_COLUMNS = ("lost", "works", "flag", "health", "metric", "do", "tests")


def rungs() -> list[dict[str, str]]:
    """The rows of the tables of the ladder."""
    found = []
    for line in LADDER.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        is_row = line.startswith("| ") and cells[-1] != "test"
        if is_row:
            assert len(cells) == len(LADDER_COLUMNS), line
            found.append(dict(zip(LADDER_COLUMNS, cells, strict=True)))
    return found


def test_every_rung_of_the_ladder_names_tests_that_there_are() -> None:
    named = re.findall(r"`([a-z_/]+\.py)::(test_\w+)`", LADDER.read_text())
    missing = [
        f"{path}::{name}"
        for path, name in named
        if f"def {name}(" not in (ROOT / "tests" / path).read_text()
    ]
    assert missing == []
    assert len(rungs()) > 20
    for rung in rungs():
        assert re.search(r"`[a-z_/]+\.py::test_\w+`", rung["tests"]), rung["lost"]


def test_every_rung_has_a_word_of_health_a_flag_and_a_metric_that_there_are() -> None:
    words, metrics = {*get_args(HealthName), "–"}, {one.name for one in METRICS}
    sources = "".join(path.read_text() for path in sorted((ROOT / "sentinel").rglob("*.py")))
    flags = {"state", "model", "arm"}
    for rung in rungs():
        assert re.match(r"[a-z]+|–", rung["health"])[0] in words, rung  # type: ignore[index]
        assert set(re.findall(r"`(\w+)`", rung["metric"])) <= metrics, rung
        assert set(re.findall(r"`(\w+)`", rung["flag"])) <= flags, rung
        for reason in re.findall(r"(?:stuck|degraded[^:]*): ([a-z ']+)", rung["health"]):
            start = " ".join(reason.split()[:3])
            assert start in sources or start.startswith("model"), rung
