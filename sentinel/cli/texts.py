"""What strangers have written, shown to a person: as it is, and so that it does nothing."""

import json
import unicodedata
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

_ESCAPES = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}


def plain(text: str) -> str:
    """The text with everything that a terminal would obey, or hide, spelled out.

    Control characters, such as those that colour or move; what changes the direction of writing;
    what has no width. Letters, marks, symbols and blanks of every script stay.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if _is_harmless(c) else _spelled(c) for c in text)


def fixed(value: float | None, decimals: int) -> str:
    """A number with so many decimals; "none" of what has none, as where no model could score."""
    return "none" if value is None else f"{value:.{decimals}f}"


def shown(text: str) -> Text:
    """The text for a table or a console of Rich, which reads no markup in it."""
    return Text(plain(text))


class PlainConsole(Console):
    """A console to which every text is text: no markup in it, and nothing that a terminal obeys.

    The only one of the command line, so that no view can forget it.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def render_str(self, text: str, *arguments: Any, **options: Any) -> Text:
        """A string as what is shown of it: cells, titles and lines come through here."""
        return super().render_str(_lines(text), *arguments, **options)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        if isinstance(renderable, Text) and _lines(renderable.plain) != renderable.plain:
            renderable = renderable.copy()
            renderable.plain = _lines(renderable.plain)
        return super().render(renderable, options)


def echo(text: str = "", *, err: bool = False) -> None:
    """Print lines, as the console does."""
    typer.echo(_lines(text), err=err)


def echo_json(text: str | bytes) -> None:
    """Print a line of JSON that means what it did, and that a terminal can show."""
    decoded = text if isinstance(text, str) else text.decode()
    typer.echo("".join(c if _is_harmless(c) else json.dumps(c)[1:-1] for c in decoded))


def _lines(text: str) -> str:
    return "\n".join(plain(line) for line in text.split("\n"))


def _is_harmless(c: str) -> bool:
    return c.isprintable() or unicodedata.category(c) == "Zs"


def _spelled(c: str) -> str:
    if c in _ESCAPES:
        return _ESCAPES[c]
    code = ord(c)
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def age_text(ms: int) -> str:
    """How long something took, for a person: its two largest units."""
    seconds = max(ms, 0) // 1000
    units = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
    for (size, name), (smaller, smaller_name) in pairwise(units):
        if seconds >= size:
            rest = seconds % size // smaller
            return f"{seconds // size} {name}" + (f" {rest} {smaller_name}" if rest else "")
    return f"{seconds} s"
