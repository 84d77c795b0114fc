"""What strangers have written acts nowhere."""

import ast
import io
import json
from contextlib import redirect_stdout
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

import sentinel.cli
from sentinel.cli.texts import PlainConsole, age_text, echo, echo_json, plain, shown

HOSTILE = json.loads((Path(__file__).parent.parent / "data" / "hostile.json").read_text())


def on_a_terminal(text: str) -> str:
    """What Rich sends to a terminal for a cell and a line with the text."""
    console = Console(file=io.StringIO(), force_terminal=True, color_system=None, width=500)
    table = Table()
    table.add_column("a", overflow="fold")
    table.add_row(shown(text))
    console.print(table)
    console.print(shown(text))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_text_is_shown_as_it_was_written(text: str) -> None:
    sent = on_a_terminal(text)

    assert sent.count(plain(text)) == 2
    assert "\x1b" not in sent
    assert all(line.isprintable() for line in sent.splitlines())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("customer says [not me]", "customer says [not me]"),
        ("[bold]x[/bold] :smile:", "[bold]x[/bold] :smile:"),
        ("x\x1b[31mred", r"x\x1b[31mred"),
        ("line\nfeed\r\ttab\x07\x00", r"line\nfeed\r\ttab\x07\x00"),
        ("\u202eright to left", r"\u202eright to left"),
        ("zero\u200bwidth\U000e0041", r"zero\u200bwidth\U000e0041"),
        ("\ud800", r"\ud800"),
        ("é̂ 漢字　Ελλάδα \u00a0ü", "é̂ 漢字　Ελλάδα \u00a0ü"),
    ],
)
def test_what_a_terminal_would_obey_or_hide_is_spelled_out(text: str, expected: str) -> None:
    assert plain(text) == expected


@given(st.text(st.characters()))
def test_any_text_is_one_line_that_can_be_encoded(text: str) -> None:
    found = plain(text)

    found.encode()
    assert len(found.splitlines()) <= 1
    assert plain(found) == found
    assert "\x1b" not in found


@pytest.mark.parametrize(
    ("ms", "words"),
    [
        *((-5, "0 s"), (999, "0 s"), (59_000, "59 s"), (60_000, "1 min"), (61_000, "1 min 1 s")),
        *((7_260_000, "2 h 1 min"), (86_400_000, "1 d"), (93_600_000, "1 d 2 h")),
    ],
)
def test_an_age_has_its_two_largest_units(ms: int, words: str) -> None:
    assert age_text(ms) == words


def a_console() -> PlainConsole:
    return PlainConsole(file=io.StringIO(), force_terminal=True, color_system=None, width=500)


def written(console: PlainConsole) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("text", HOSTILE)
def test_wherever_a_text_is_put_it_is_shown_as_it_was_written(text: str) -> None:
    """As a string or a Text, in a line, a cell, a title: what a view forgets acts nowhere."""
    console = a_console()
    table = Table(title=text)
    table.add_column(text, overflow="fold")
    table.add_row(text)
    table.add_row(Text(text))
    console.print(table)
    console.print(text)
    console.print(Text(text))
    console.print(Panel(Text(text)))

    lines = written(console).splitlines()
    assert all(line.isprintable() for line in lines)
    if "\n" not in text and "\r" not in text and text.strip() == text:
        bare = "".join(c for c in text if c not in "\x07\x08\x0b\x0c")  # which Rich leaves out
        assert sum(plain(bare) in line or plain(text) in line for line in lines) >= 7


@pytest.mark.parametrize("text", HOSTILE)
def test_a_line_that_is_printed_obeys_nothing(text: str, capfd: pytest.CaptureFixture[str]) -> None:
    echo(f"account {text}")
    echo(text, err=True)

    out, err = capfd.readouterr()
    for found in (out, err):
        assert all(line.isprintable() for line in found.splitlines())
    assert out == "\n".join(plain(line) for line in f"account {text}".split("\n")) + "\n"


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_json_that_is_printed_means_what_it_did(text: str) -> None:
    stream = io.StringIO()
    with redirect_stdout(stream):
        echo_json(json.dumps({"a": text}, ensure_ascii=False))

    line = stream.getvalue().removesuffix("\n")
    assert json.loads(line) == {"a": text}
    assert line.isprintable() or all(c.isprintable() or c.isspace() for c in line)


def test_the_command_line_prints_in_these_ways_only() -> None:
    """Else a view that is written tomorrow could forget what strangers write."""
    folder = Path(sentinel.cli.__file__).parent
    found = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                if called in {"typer.echo", "print", "Console", "typer.secho", "click.echo"}:
                    found.add(path.relative_to(folder).as_posix())
    assert found == {"texts.py"}
