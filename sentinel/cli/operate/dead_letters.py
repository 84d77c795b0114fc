"""`sentinel dead-letters`: look at what could not be used, and send it back."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typer

from sentinel import config as configuration
from sentinel.adapters.kafka import KafkaBroker, KafkaTail
from sentinel.cli.texts import plain
from sentinel.codec.dead_letters import DeadLetter
from sentinel.codec.records import encode
from sentinel.config import Config
from sentinel.core.features.spec import duration_ms
from sentinel.errors import ConfigError
from sentinel.operations import embedded
from sentinel.operations.dead_letters import Found, Plan, Wanted, look_through, planned, replay

_DETAIL_WIDTH = 100
_HEX_WIDTH = 16


@dataclass(frozen=True, slots=True)
class Filters:
    """The options that several commands share, as they were typed."""

    reason: str = ""
    topic: str = ""
    since: str = ""

    def wanted(self, config: Config, offsets: frozenset[int] = frozenset()) -> Wanted:
        """What they ask for. Raises ConfigError."""
        own = config.topics.names()
        topic = config.topics.full(self.topic) if self.topic in own else self.topic
        return Wanted(offsets, self.reason, topic, _since_ms(self.since))


class _Opened:
    """The topic of dead letters, and what is needed to read it and to send."""

    def __init__(self, config: Config, broker: KafkaBroker, topic: str) -> None:
        self.config = config
        self.broker = broker
        self.topic = topic

    async def look_through(self, wanted: Wanted, *, count_max: int | None) -> Found:
        async with KafkaTail(self.config.kafka, [self.topic]) as tail:
            if wanted.offsets:
                tail.seek(self.topic, min(wanted.offsets))  # a note lies behind what it is of
            return await look_through(
                tail,
                self.topic,
                wanted,
                count_max=count_max,
                timeout_s=self.config.kafka.request_timeout_s,
            )

    async def replay(self, plan: Plan) -> int:
        async with KafkaTail(self.config.kafka, [self.topic]) as tail:
            return await replay(
                tail,
                self.broker,
                self.topic,
                plan.offsets,
                timeout_s=self.config.kafka.request_timeout_s,
            )


@asynccontextmanager
async def _opened(config: Config) -> AsyncIterator[_Opened]:
    topic = config.topics.full(config.topics.dead_letters)
    async with KafkaBroker(config.kafka) as broker:
        if not await broker.partition_count(topic):
            raise ConfigError(f"there is no topic {topic}: nothing has run here yet")
        yield _Opened(config, broker, topic)


def list_command(
    config_file: Path | None, filters: Filters, *, count_max: int | None, as_json: bool
) -> None:
    """One line for each, the newest last; then how many there are for each reason."""
    config = embedded.running(configuration.load(config_file))
    wanted = filters.wanted(config)

    async def main() -> Found:
        async with _opened(config) as opened:
            return await opened.look_through(wanted, count_max=count_max)

    found = asyncio.run(main())
    for letter in found.letters:
        replayed_ms = found.replayed_ms.get(letter.offset)
        typer.echo(encode(_facts(letter, replayed_ms)) if as_json else _line(letter, replayed_ms))
    if not as_json:
        typer.echo(_summary(found))


def show_command(config_file: Path | None, offset: int) -> None:
    """All there is of one dead letter."""
    config = embedded.running(configuration.load(config_file))

    async def main() -> Found:
        async with _opened(config) as opened:
            return await opened.look_through(Wanted(frozenset([offset])), count_max=1)

    found = asyncio.run(main())
    _check_offsets(found, [offset])
    letter = found.letters[0]
    facts = {
        "offset": offset,
        "refused": _when(letter.timestamp_ms),
        "from": _origin(letter),
        "reason": letter.reason,
        "detail": plain(letter.detail),
    }
    if letter.shortened is not None:
        facts["shortened"] = f"from {letter.shortened.length:,} bytes, {letter.shortened.sha256}"
    if letter.replay_of is not None:
        facts["replay of"] = str(letter.replay_of)
    if (replayed_ms := found.replayed_ms.get(offset)) is not None:
        facts["replayed"] = _when(replayed_ms)
    for name, value in facts.items():
        typer.echo(f"{name:<9} {value}")
    for name, data in (
        *(("key", letter.key), ("value", letter.value)),
        *((f"header {plain(h.name)}", h.value) for h in letter.headers),
    ):
        typer.echo(f"{name}: {'none' if data is None else _bytes(data)}")


def replay_command(
    config_file: Path | None,
    offsets: list[int],
    filters: Filters,
    *,
    everything: bool,
    again: bool,
    yes: bool,
    dry_run: bool,
) -> None:
    """Send dead letters back where they came from, and say how many."""
    if sum([bool(offsets), filters != Filters(), everything]) != 1:
        raise ConfigError("say which dead letters: offsets, or filters such as --reason, or --all")
    config = embedded.running(configuration.load(config_file))
    wanted = filters.wanted(config, frozenset(offsets))

    async def plan() -> Plan:
        async with _opened(config) as opened:
            found = await opened.look_through(wanted, count_max=0)
            _check_offsets(found, offsets)
            return await planned(opened.broker, found, again=again)

    async def send() -> int:
        async with _opened(config) as opened:
            return await opened.replay(todo)

    todo = asyncio.run(plan())
    if todo.skipped:
        typer.echo(
            f"{len(todo.skipped):,} were replayed before and are left out ({_some(todo.skipped)}): "
            "--again sends them once more"
        )
    if todo.shortened:
        typer.echo(
            f"{len(todo.shortened):,} did not fit into their topic, are not whole here, and are "
            f"left out ({_some(todo.shortened)}): `show` says where each came from"
        )
    count = len(todo.offsets)
    for at, there in sorted(todo.to.items()):
        typer.echo(f"{there:,} to {at.topic}-{at.partition}")
    if dry_run:
        typer.echo(f"{count:,} would be sent")
        return
    if count > 1 and not yes:
        _ask(count)
    typer.echo(f"{asyncio.run(send()) if count else 0:,} sent")


def _ask(count: int) -> None:
    """Before many are sent. Raises ConfigError when that is not wanted, or nobody answers."""
    try:
        is_wanted = typer.confirm(f"send {count:,} records?")
    except typer.Abort as error:
        raise ConfigError("nothing was sent: nobody has answered; --yes asks nothing") from error
    if not is_wanted:
        raise ConfigError("nothing was sent")


def _check_offsets(found: Found, offsets: list[int]) -> None:
    if missing := sorted(set(offsets) - found.places.keys()):
        raise ConfigError(
            f"there is no dead letter at offset {_some(missing)}: see `sentinel dead-letters list`"
        )


def _since_ms(text: str) -> int:
    """A moment, from "2h" (ago) or an RFC 3339 time; 0 for an empty text."""
    if not text:
        return 0
    try:
        return int(time.time() * 1000) - duration_ms(text)
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(
            f'--since: "{text}" must be a duration such as 2h, or a time such as '
            "2026-01-31T12:00:00Z"
        ) from error
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return int(moment.timestamp() * 1000)


def _line(letter: DeadLetter, replayed_ms: int | None) -> str:
    detail = plain(letter.detail)
    if len(detail) > _DETAIL_WIDTH:
        detail = detail[: _DETAIL_WIDTH - 1] + "…"
    words = [
        f"{letter.offset:>8}",
        _when(letter.timestamp_ms),
        _origin(letter),
        f"{plain(letter.reason)}: {detail}",
        _size(letter.value),
    ]
    return "  ".join(words if replayed_ms is None else [*words, f"replayed {_when(replayed_ms)}"])


def _facts(letter: DeadLetter, replayed_ms: int | None) -> dict[str, Any]:
    return {
        "offset": letter.offset,
        "refused_ms": letter.timestamp_ms,
        "topic": letter.at.topic,
        "partition": letter.at.partition,
        "offset_there": letter.offset_there,
        "reason": letter.reason,
        "detail": letter.detail,
        "bytes": None if letter.value is None else len(letter.value),
        "shortened_from": None if letter.shortened is None else letter.shortened.length,
        "replay_of": letter.replay_of,
        "replayed_ms": replayed_ms,
    }


def _summary(found: Found) -> str:
    count = len(found.places)
    reasons = ", ".join(f"{n:,} {plain(reason)}" for reason, n in found.reasons.most_common())
    replayed = len(found.places.keys() & found.replayed_ms.keys())
    parts = [f"{count:,} dead letters" + (f": {reasons}" if reasons else "")]
    if count > len(found.letters):
        parts.append(f"the newest {len(found.letters):,} are shown")
    if replayed:
        parts.append(f"{replayed:,} were replayed")
    if found.foreign_count:
        parts.append(f"{found.foreign_count:,} records in the topic are no dead letters")
    return "; ".join(parts)


def _origin(letter: DeadLetter) -> str:
    return f"{plain(letter.at.topic)}-{letter.at.partition}@{letter.offset_there}"


def _size(value: bytes | None) -> str:
    return "no value" if value is None else f"{len(value):,} bytes"


def _when(time_ms: int) -> str:
    """To the second, UTC; records may bear any time."""
    try:
        return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return f"{time_ms} ms"


def _some(offsets: list[int] | tuple[int, ...]) -> str:
    shown = ", ".join(map(str, offsets[:10]))
    return shown if len(offsets) <= 10 else f"{shown}, …"


def _bytes(data: bytes) -> str:
    """As text where it is text, or else in hexadecimal."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = ""
    lines = text.split("\n")
    if text and all(c.isprintable() or c == "\t" for line in lines for c in line):
        return text
    return f"{len(data):,} bytes" + "".join(
        f"\n  {i:08x}  {data[i : i + _HEX_WIDTH].hex(' '):<{_HEX_WIDTH * 3}} "
        f"{_ascii(data[i : i + _HEX_WIDTH])}"
        for i in range(0, len(data), _HEX_WIDTH)
    )


def _ascii(data: bytes) -> str:
    return "".join(chr(byte) if 32 <= byte < 127 else "." for byte in data)
