"""The tables of docs/reference.md that come from the code, and a command that puts them there.

`python -m tests.reference` writes them anew. A table stands between two comments in the page; a
test compares what is there with what the code says now.
"""

import re
from collections.abc import Iterator
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import typer

from sentinel.app.monitoring.counted import SCORE, exposed_name, help_of
from sentinel.app.monitoring.gauges import GAUGES
from sentinel.cli import app
from sentinel.config import ENVIRONMENT_PREFIX, SECRETS, Config
from sentinel.core.features.spec import EntityParams, FeatureParams
from sentinel.metrics import COUNTERS, HISTOGRAMS, METRICS, Metric

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "reference.md"
SETTINGS = ROOT / "config" / "sentinel.toml"

_HEADER = re.compile(r"\[+([\w.]+)\]+\s*(?:#\s*(.*))?")
_KEY = re.compile(r"""(\w+) = (?:"[^"]*"|[^"#])*(?:#\s*(.*))?""")
_FEATURE_KEY = re.compile(r"# (\w+): (.*)")


def cell(text: str) -> str:
    """A text that can stand in a table."""
    return " ".join(text.split()).replace("|", "\\|")


def table(header: str, rows: list[list[str]]) -> str:
    """A table of Markdown."""
    rule = "|" + "---|" * len(rows[0])
    lines = [f"| {' | '.join(cell(one) for one in row)} |" for row in rows]
    return "\n".join([header, rule, *lines])


# --- settings ---------------------------------------------------------------------------------


def comments(text: str) -> dict[str, str]:
    """What config/sentinel.toml says of each section and of each `section.key`.

    A comment behind a key goes on in the lines below it. One behind a blank line, a header or
    another comment is of the key that follows.
    """
    found: dict[str, str] = {}
    section, at, before = "", "", ""
    for line in text.splitlines():
        if line.startswith("#"):
            said = line.removeprefix("#").strip()
            if at and at in found:
                found[at] += " " + said
            else:
                before += " " + said
        elif (header := _HEADER.fullmatch(line)) is not None:
            section, at, before = header[1], "", ""
            found[section] = header[2] or ""
        elif (key := _KEY.fullmatch(line)) is not None:
            at = f"{section}.{key[1]}"
            said = f"{before} {key[2] or ''}".strip()
            before = ""
            if said:
                found[at] = said
        else:
            at, before = "", ""
    return found


def as_toml(value: Any) -> str:
    """A default as one writes it."""
    if value is None or value is MISSING:
        return "needed"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, list | tuple):
        return f"[{', '.join(as_toml(one) for one in value)}]"
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{k} = {as_toml(v)}' for k, v in value.items())} }}"
    if isinstance(value, int) or value >= 1_000:
        return f"{value:_}"
    return repr(value)


def kind_of(hint: Any) -> str:
    """What a value may be."""
    if get_origin(hint) is Literal:
        return " or ".join(f"`{as_toml(one)}`" for one in get_args(hint))
    if get_origin(hint) is tuple:
        return "list"
    if get_origin(hint) is dict:
        return "table"
    names = {str: "text", int: "whole number", float: "number", bool: "true or false"}
    return next((names[one] for one in (hint, *get_args(hint)) if one in names), "table")


def explained() -> dict[tuple[Any, str], str]:
    """What is said of each field of a dataclass, wherever it is said first."""
    text = SETTINGS.read_text()
    said = comments(text)
    found = {(FeatureParams, key): what for key, what in _FEATURE_KEY.findall(text)}
    for name, kind in all_sections():
        for field in fields(kind):
            if what := said.get(f"{name}.{field.name}"):
                found.setdefault((kind, field.name), what)
    return found


def default_of(field: Field[Any]) -> Any:
    made = field.default_factory
    return field.default if made is MISSING else made()


def section_rows(kind: Any, name: str, said: dict[tuple[Any, str], str]) -> list[list[str]]:
    """Of one section: key, kind, default, and what it is for."""
    hints, rows = get_type_hints(kind), []
    for field in (one for one in fields(kind) if not is_dataclass(hints[one.name])):
        value, what = f"`{as_toml(default_of(field))}`", said.get((kind, field.name), "")
        if (name, field.name) in SECRETS:
            variable = f"{ENVIRONMENT_PREFIX}{name}__{field.name}".upper()
            value, what = "none", f"from the environment only: `{variable}`"
        rows.append([f"`{field.name}`", kind_of(hints[field.name]), value, what])
    return rows


def sections(kind: Any, name: str) -> Iterator[tuple[str, Any]]:
    """A section, and those below it."""
    yield name, kind
    for field, hint in get_type_hints(kind).items():
        if is_dataclass(hint):
            yield from sections(hint, f"{name}.{field}")


def all_sections() -> Iterator[tuple[str, Any]]:
    """Every section with its dataclass, in the order of `Config`."""
    for name, hint in get_type_hints(Config).items():
        if is_dataclass(hint):
            yield from sections(hint, name)
        elif name == "entities":
            yield "entities.account", EntityParams
        elif name == "features":
            yield "features", FeatureParams


def settings() -> str:
    """Every section of the configuration."""
    said, notes = explained(), comments(SETTINGS.read_text())
    parts = []
    for name, kind in all_sections():
        title = {"entities.account": "[entities.KIND]", "features": "[[features]]"}
        parts.append(f"### `{title.get(name, f'[{name}]')}`")
        if note := notes.get(name):
            parts.append(f"{note[0].upper()}{note[1:]}.")
        if rows := section_rows(kind, name, said):
            parts.append(table("| key | kind | default | what |", rows))
    return "\n\n".join(parts)


# --- commands ---------------------------------------------------------------------------------


def commands(group: Any = None, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Every command with its full name, those of groups behind each other."""
    group = typer.main.get_command(app) if group is None else group
    with group.make_context("sentinel", [], resilient_parsing=True) as context:
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            if hasattr(command, "list_commands"):
                yield from commands(command, (*path, name))
            else:
                yield " ".join((*path, name)), command


def option(parameter: Any) -> list[str]:
    """How an argument or an option is written, and what it is for."""
    if parameter.param_type_name == "argument":
        name = parameter.name.upper()
        written = f"`{name}`" if parameter.required else f"`[{name}]`"
    else:
        metavar = f" {parameter.metavar}" if parameter.metavar else ""
        written = " ".join(
            f"`{one}{metavar}`" for one in (*parameter.opts, *parameter.secondary_opts)
        )
    value = parameter.default
    shows = value not in (None, "", False, True) and not callable(value)
    default = f" Default: `{getattr(value, 'value', value)}`." if shows else ""
    return [written, f"{parameter.help or ''}{default}"]


def command_list() -> str:
    """Every command with its options."""
    parts = []
    for name, command in commands():
        parts += [f"### `sentinel {name}`", " ".join((command.help or "").split())]
        own = [one for one in command.params if one.name not in ("config", "help")]
        if own:
            parts.append(table("| option | what |", [option(one) for one in own]))
    return "\n\n".join(parts)


# --- metrics ----------------------------------------------------------------------------------


def metrics() -> str:
    """Every counter."""
    rows = [
        [f"`{m.name}`", m.group, f"{m.unit}, by {m.label}" if m.label else m.unit, m.what]
        for m in COUNTERS
    ]
    return table("| counter | of | unit | what |", rows)


def quantiles() -> str:
    """Every histogram that is reported."""
    rows = [
        [
            f"`{m.reported_as}`",
            m.group,
            "milliseconds" if m.unit == "seconds" else m.unit,
            " and ".join(f"p{q * 100:g}" for q in m.quantiles),
            m.what,
        ]
        for m in HISTOGRAMS
        if m.quantiles
    ]
    return table("| quantiles | of | unit | which | what |", rows)


def exposed() -> str:
    """Every metric of a scrape."""
    rows = [[f"`{exposed_name(m)}`", _kind(m), m.label, help_of(m)] for m in METRICS]
    rows.append([f"`{SCORE.name}`", SCORE.kind, "", SCORE.what])
    rows += [[f"`{g.name}`", g.kind, g.label, f"{g.group}: {g.what}"] for g in GAUGES]
    return table("| metric | type | label | what |", rows)


def _kind(metric: Metric) -> str:
    return "histogram" if metric.kind == "histogram" else "counter"


# --- tables that are written by hand ------------------------------------------------------------


def rows_of(header: str, page: str) -> list[list[str]]:
    """The cells of the table with this first line."""
    lines = page[page.index(header) :].split("\n\n")[0].splitlines()[2:]
    return [[one.strip() for one in line.strip("|").split(" |")] for line in lines]


@dataclass(frozen=True)
class RedisKey:
    """One row of the table of Redis keys; `key` is without the prefix."""

    db: int
    key: str
    kind: str
    expires: bool

    def is_of(self, key: str) -> bool:
        """Whether this row is about a key. The last part of a name may hold colons."""
        *parts, last = re.split(r"\{\w+\}", self.key)
        pattern = "[^:]+".join(map(re.escape, parts))
        return re.fullmatch(f"{pattern}.+{re.escape(last)}" if parts else self.key, key) is not None


def redis_keys(db: int) -> list[RedisKey]:
    """What the page says of one database."""
    rows = rows_of("| db | key | Redis type |", PAGE.read_text())
    found = [RedisKey(int(n), k.strip("`"), kind, life != "kept") for n, k, kind, life, _ in rows]
    return [one for one in found if one.db == db]


# --- the page ---------------------------------------------------------------------------------

PARTS = {
    "metrics": metrics,
    "quantiles": quantiles,
    "exposed": exposed,
    "settings": settings,
    "commands": command_list,
}


def block(name: str) -> re.Pattern[str]:
    """The two comments around a part, and what is between them."""
    begin = re.escape(f"<!-- {name}: made by `python -m tests.reference` -->\n")
    return re.compile(f"({begin}).*?(<!-- end -->)", re.DOTALL)


def written(page: str) -> str:
    """The page with its tables as the code is now."""
    for name, made in PARTS.items():
        begin, end = next(block(name).finditer(page)).groups()
        page = block(name).sub(f"{begin}\n{made()}\n\n{end}".replace("\\", r"\\"), page)
    return page


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text()))
