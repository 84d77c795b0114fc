"""A page as a whole."""

from collections.abc import Sequence

from sentinel.cli.html.parts import element, text
from sentinel.cli.html.style import CSS


def document(title: str, lead: Sequence[str], sections: Sequence[str]) -> str:
    """The page of that title: what it begins with, and the rest of it, in HTML."""
    head = [
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        element("title", text(title)),
        f"<style>{CSS}</style>",
    ]
    body = [
        element("header", element("h1", text(title)), *lead),
        element("main", *sections),
    ]
    return f'<!doctype html>\n<html lang="en">\n<head>{"".join(head)}</head>\n' + (
        f"<body>\n{chr(10).join(body)}\n</body>\n</html>\n"
    )


def as_sentence(line: str) -> str:
    """A line as a sentence."""
    return f"{line[:1].upper()}{line[1:]}."
