"""What strangers have written, shown to a person: as it is, and so that it does nothing."""

import unicodedata
from itertools import pairwise

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


def shown(text: str) -> Text:
    """The text for a table or a console of Rich, which reads no markup in it."""
    return Text(plain(text))


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
