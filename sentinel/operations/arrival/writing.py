"""A proposal as a configuration: TOML with the reasons beside it."""

import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sentinel.config import Config, build
from sentinel.core.features.spec import duration_ms
from sentinel.errors import ConfigError
from sentinel.operations.arrival.choosing import Role
from sentinel.operations.arrival.durations import windows
from sentinel.operations.arrival.features import Ground, Table, proposed_features
from sentinel.operations.arrival.proposal import Proposal
from sentinel.operations.arrival.times import first_and_last_ms

_STATE_TTL_MS = 90 * 86_400_000  # the default of redis.state_ttl_s
_LINE_LENGTH_MAX = 100


def toml_of(found: Proposal) -> str:
    """The configuration, as text that `sentinel check-config` takes."""
    ground, names = _ground(found), _names(found)
    features = proposed_features(ground, found.inputs, names["transaction_id"])
    lines = [
        *_header(found),
        *_schema(found, names),
        *_entities(ground),
        *_store(features),
        *_training(found),
        *_settings(found),
        *_features(features),
    ]
    return "\n".join(lines) + "\n"


def config_of(found: Proposal, text: str) -> Config:
    """What the text amounts to. Raises ConfigError where an answer asks for what cannot be."""
    try:
        return build(tomllib.loads(text))
    except ConfigError as error:
        raise ConfigError(f"{found.look.file_name}: no configuration is so: {error}") from error


def _ground(found: Proposal) -> Ground:
    first_ms, last_ms = first_and_last_ms(found.time.times_ms)
    # Some records of a topic say nothing of how far back features may look.
    length_ms = _STATE_TTL_MS if found.look.is_topic else last_ms - first_ms
    is_dated = not found.time.origin
    return Ground(
        has_account=found.account.column is not None,
        entities=tuple(one.name for one in found.inputs if one.use == "entity"),
        windows=tuple(windows(length_ms, found.time.step_ms)),
        label_delay=found.cut.label_delay,
        has_labels=found.label is not None or found.look.is_topic,
        has_hours=found.time.step_ms < 86_400_000,
        has_days=is_dated,
    )


def _names(found: Proposal) -> dict[str, str]:
    """The user's names of what a transaction must have; free ones where a row stands for it."""
    taken = {column.name for column in found.look.columns}
    roles = {"transaction_id": found.transaction_id, "account": found.account}
    names = {key: _name(key, role, taken) for key, role in roles.items()}
    return names | {"event_time": found.time.of.column.name, "amount": found.amount.name}


def _name(key: str, role: Role, taken: set[str]) -> str:
    if role.column is not None:
        return role.column.name
    return next(one for one in (key, f"row_{key}", f"sentinel_{key}") if one not in taken)


def _header(found: Proposal) -> Iterator[str]:
    yield f"# Made by `sentinel init` from {found.look.looked_at}"
    yield f"# {_said(found.look.file_name)}"
    yield "# It is yours now. What is not here is as in config/sentinel.toml, which has all."


def _schema(found: Proposal, names: Mapping[str, str]) -> Iterator[str]:
    yield "\n[schema]"
    yield _pair("transaction_id", names["transaction_id"], found.transaction_id.why)
    yield _pair("event_time", names["event_time"], found.time.why)
    yield from _time_lines(found)
    yield _pair("account", names["account"], found.account.why)
    yield _pair("amount", names["amount"])
    yield _pair("amount_format", found.amount_format)
    yield _pair("amount_decimals", found.amount_decimals)
    if found.negative_amounts:
        yield _pair("negative_amounts", found.negative_amounts, "such as refunds")
    rows = [
        names[key] for key in ("transaction_id", "account") if getattr(found, key).column is None
    ]
    if rows:
        why = "a file lacks them: its name and the row's number stand there, and in Kafka's records"
        yield _pair("row_numbers", rows, why)
    yield from (_pair(key, value) for key, value in found.look.settings.get("schema", {}).items())
    entities = {one.name: one.column.name for one in found.inputs if one.use == "entity"}
    if entities:
        yield _pair("entities", entities)
    for key, use in (("numeric", "number"), ("categorical", "category"), ("boolean", "boolean")):
        if fields := [one.column.name for one in found.inputs if one.use == use]:
            yield _pair(key, fields)
    ignored = [one for one in found.inputs if one.use == "ignored"]
    if ignored:
        yield "\n# Left out:"
    yield from (f"#   {_said(one.column.name)}: {one.why}" for one in ignored)


def _time_lines(found: Proposal) -> Iterator[str]:
    time = found.time
    yield _pair("event_time_format", time.of.format)
    if time.zone:
        yield _pair("event_time_zone", time.zone, "of times without an offset")
    if time.origin:
        yield _pair("event_time_step", time.step, "from one whole number to the next")
        yield _pair("event_time_origin", time.origin, "when it was 0")


def _entities(ground: Ground) -> Iterator[str]:
    if ground.has_account:
        yield "\n[entities.account] # its last events, with exact windows"
        yield _pair("kind", "events")
        yield _pair("events_max", 128)
    for name in ground.entities:
        yield f"\n[entities.{_key(name)}] # shared by many accounts: sums by tile"
        yield _pair("kind", "tiles")
        yield _pair("tile", _tile(ground), "windows are whole tiles at their old end")


def _tile(ground: Ground) -> str:
    """As wide as suits the windows: at most some dozens of tiles for the longest."""
    shortest = min(map(duration_ms, ground.windows))
    longest = max(map(duration_ms, ground.windows)) + duration_ms(ground.label_delay)
    fitting = ("1d", "1h", "1m")
    found = next((one for one in fitting if duration_ms(one) <= shortest), "1s")
    return found if longest / duration_ms(found) <= 1_000 else "1d"


def _store(features: Sequence[Table]) -> Iterator[str]:
    """How long state is kept, where features look further back than what is usual."""
    reach_ms = max(
        duration_ms(window) + duration_ms(table.get("delay", "0s"))
        for table in features
        for window in _list(table.get("window", "0s"))
    )
    if reach_ms > _STATE_TTL_MS:
        yield "\n[redis]"
        yield _pair("state_ttl_s", reach_ms * 1.1 / 1000, "features look back as far")


def _training(found: Proposal) -> Iterator[str]:
    by_what = "" if found.look.is_topic else ", by what its length allows"
    yield f"\n[training] # of `sentinel train`: how it cuts the history{by_what}"
    label = found.label.name if found.label is not None else ""
    yield _pair("label_column", label, "" if label else "of a history: name it here")
    yield _pair("label_delay", found.cut.label_delay, "until a label is known")
    yield _pair("calibration", found.cut.calibration)
    yield _pair("test", found.cut.test, "the last rows, on which the model is measured")


def _settings(found: Proposal) -> Iterator[str]:
    """What must be said of where it comes from; secrets come from the environment."""
    for section, settings in found.look.settings.items():
        if settings and section != "schema":
            yield f"\n[{section}]"
            yield from (_pair(key, value) for key, value in settings.items())


def _features(features: Sequence[Table]) -> Iterator[str]:
    for table in features:
        yield "\n[[features]]"
        yield from (_pair(key, value) for key, value in table.items())


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _pair(key: str, value: Any, why: str = "") -> str:
    text = f"{key} = {_value(value)}"
    return f"{text} # {_said(why)}" if why else text


def _value(value: Any) -> str:
    """A value as TOML; a long list over several lines."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        pairs = ", ".join(f"{_key(key)} = {_value(one)}" for key, one in value.items())
        return f"{{ {pairs} }}"
    if isinstance(value, list):
        texts = [_value(one) for one in value]
        line = f"[{', '.join(texts)}]"
        if len(line) <= _LINE_LENGTH_MAX:
            return line
        return "[\n" + "".join(f"  {text},\n" for text in texts) + "]"
    return _text(value) if isinstance(value, str) else repr(value)


def _text(value: str) -> str:
    """A basic string; what an editor or terminal would obey or hide is spelled out."""
    return "".join(map(_shown, json.dumps(value, ensure_ascii=False)))


def _shown(character: str) -> str:
    if character.isprintable():
        return character
    return f"\\u{ord(character):04x}" if ord(character) < 0x10000 else f"\\U{ord(character):08x}"


def _key(name: str) -> str:
    is_bare = name.isascii() and name.replace("_", "").replace("-", "").isalnum()
    return name if is_bare else _text(name)


def _said(text: str) -> str:
    """What strangers wrote, for a comment: TOML allows no control characters there."""
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)
