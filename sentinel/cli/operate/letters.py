"""Dead letters, and what a replay would do, in lines."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from sentinel.cli.texts import plain
from sentinel.codec.dead_letters import DeadLetter
from sentinel.operations.dead_letters import Found, Plan

_DETAIL_WIDTH = 100
_HEX_WIDTH = 16


def letter_line(letter: DeadLetter, replayed_ms: int | None) -> str:
    """One in short."""
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


def letter_facts(letter: DeadLetter, replayed_ms: int | None) -> dict[str, Any]:
    """The same for a script."""
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


def letter_lines(letter: DeadLetter, replayed_ms: int | None) -> Iterator[str]:
    """All there is of one."""
    facts = {
        "offset": letter.offset,
        "refused": _when(letter.timestamp_ms),
        "from": _origin(letter),
        "reason": letter.reason,
        "detail": plain(letter.detail),
    }
    if letter.shortened is not None:
        facts["shortened"] = f"from {letter.shortened.length:,} bytes, {letter.shortened.sha256}"
    if letter.replay_of is not None:
        facts["replay of"] = str(letter.replay_of)
    if replayed_ms is not None:
        facts["replayed"] = _when(replayed_ms)
    for name, value in facts.items():
        yield f"{name:<9} {value}"
    for name, data in (
        *(("key", letter.key), ("value", letter.value)),
        *((f"header {plain(h.name)}", h.value) for h in letter.headers),
    ):
        yield f"{name}: {'none' if data is None else _bytes(data)}"


def plan_lines(plan: Plan) -> Iterator[str]:
    """What a replay leaves out, and how many go where."""
    if plan.skipped:
        yield (
            f"{len(plan.skipped):,} were replayed before and are left out ({some(plan.skipped)}): "
            "--again sends them once more"
        )
    if plan.shortened:
        yield (
            f"{len(plan.shortened):,} did not fit into their topic, are not whole here, and are "
            f"left out ({some(plan.shortened)}): `show` says where each came from"
        )
    for at, count in sorted(plan.to.items()):
        yield f"{count:,} to {at.topic}-{at.partition}"


def summary(found: Found) -> str:
    """How many there are, for each reason, and what else is in the topic."""
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


def some(offsets: Sequence[int]) -> str:
    """The first few offsets."""
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
