"""Elements of a page. Whatever strangers have written comes in through `text` or an attribute."""

import html
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from sentinel.cli.texts import plain
from sentinel.codec.times import date_text

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def text(written: str) -> str:
    """A text as it was written, and so that it does nothing."""
    return html.escape(plain(written))


def element(name: str, *content: str, **attributes: str) -> str:
    """An element around content that is HTML already.

    An attribute that is a word of Python ends in an underscore; others stand for dashes.
    """
    told = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{text(value)}"' for key, value in attributes.items()
    )
    return f"<{name}{told}>{''.join(content)}</{name}>"


def spoken(words: str) -> str:
    """What is read aloud and not seen."""
    return element("span", text(words), class_="spoken")


def when(time_ms: int, *, short: bool = False) -> str:
    """A time in UTC; `short` breaks it in two lines, without the year."""
    said = date_text(time_ms)
    shown = f"{said[5:10]}<br>{said[11:16]}" if short else text(said[:16])
    try:
        exact = (_EPOCH + timedelta(milliseconds=time_ms)).isoformat()
    except OverflowError:
        return text(said)
    return element("time", shown, datetime=exact)


def html_table(
    caption: str,
    headers: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    numbers: Sequence[int] = (),
) -> str:
    """A table of HTML cells; the first of a row is its header, those of `numbers` stand right."""

    def cell(i: int, content: str) -> str:
        style = {"class_": "number"} if i in numbers else {}
        if i == 0:
            return element("th", content, scope="row", **style)
        return element("td", content, **style)

    head = "".join(
        element("th", text(name), scope="col", **({"class_": "number"} if i in numbers else {}))
        for i, name in enumerate(headers)
    )
    body = [element("tr", *(cell(i, one) for i, one in enumerate(row))) for row in rows]
    return scrolling(
        element(
            "table",
            element("caption", text(caption)),
            element("thead", element("tr", head)),
            element("tbody", *body),
        ),
        caption,
    )


def scrolling(content: str, label: str) -> str:
    """What may be wider than the screen; with a keyboard, too."""
    return element("div", content, class_="wide", role="region", tabindex="0", aria_label=label)


def badge(severity: str) -> str:
    """How bad it is, in a word."""
    return element("span", text(severity), class_=f"badge {severity}")
