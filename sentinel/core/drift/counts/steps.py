"""Summaries of many input partitions become steps of event time: each whole, once, in order.

A summary is held until it is certain that it stays: until the next one of its partition, which
nobody publishes before the offsets of the one before are committed. One that begins where it began
takes its place: what it counted was replayed. One that begins before it is of somebody who had lost
the partition and did not know yet: it is nothing.

A step is closed when every partition that is heard of has come a grace beyond its end. Whether a
partition is heard of is told by when its summaries were appended to their log, never by a clock, so
that whoever reads the log again closes the same steps.

How far a partition has come is the middle of its rows, and of its last three summaries: a single
row, or a single summary, from another time moves nothing. When a clock was ahead for longer and has
come back, what it opened is closed, and steps begin anew where the stream is.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from sentinel.core.drift.counts.open_steps import Arm, ArmCounts, ArmPiece, OpenStep, taken_back

# An input partition that has been silent for so long does not hold up the others.
SILENT_MS = 30_000
# Of counts in steps that are open. Beyond it the oldest are closed: a partition so far behind the
# others comes late.
OPEN_BYTES_MAX = 512 << 20
# So far behind what is closed a stream has gone back, and is not only late.
BACK_MS = 3_600_000
_RECENT_COUNT = 3
_OTHERS_MAX = 3


@dataclass(frozen=True, eq=False, slots=True)
class ClosedStep:
    """One step of event time, closed: nothing is added to it any more."""

    at_ms: int
    arms: Mapping[Arm, ArmCounts]

    @property
    def row_count(self) -> int:
        """Of all arms."""
        return sum(arm.row_count for arm in self.arms.values())


@dataclass(frozen=True, eq=False, slots=True)
class Arrival:
    """A summary as it was read.

    Attributes
    ----------
    source
        Names the input partition, and the log of its offsets.
    part
        The number of the part, from 0, where a summary had to be published in several.
    offset, appended_ms
        Of the summary itself: where it stands in its topic, and since when.
    """

    source: str
    begin: int
    end: int
    offset: int
    appended_ms: int
    steps: Mapping[int, Mapping[Arm, ArmPiece]]  # by the step's begin, epoch milliseconds
    part: int = 0

    @property
    def middle_ms(self) -> int | None:
        """The step of the row in the middle; None without a step."""
        times = sorted(self.steps)
        if not times:
            return None
        # One more each: of rows in other cells nothing is known but when there were some.
        rows = np.cumsum([1 + sum(a.row_count for a in self.steps[t].values()) for t in times])
        return times[int(np.searchsorted(rows, rows[-1] / 2))]


@dataclass(frozen=True, slots=True)
class Seen:
    """How far one input partition has come, and when it was heard of.

    Attributes
    ----------
    first_ms
        The oldest step of what is held, before anything was counted.
    recent_ms
        The middles of the last summaries that were counted, the newest last.
    """

    first_ms: int
    appended_ms: int
    recent_ms: tuple[int, ...] = ()

    @property
    def at_ms(self) -> int:
        """How far it has come: the middle of three, the earlier of two."""
        recent = sorted(self.recent_ms)
        return recent[(len(recent) - 1) // 2] if recent else self.first_ms


@dataclass(frozen=True, slots=True)
class BookPosition:
    """What a book must know to go on elsewhere; the rest it reads again.

    Attributes
    ----------
    next_offset
        Summaries before it have been taken.
    reads_from
        From here on are those that are in no closed step.
    closed_to_ms
        Steps that begin before it are closed.
    appended_ms
        The latest of all that were taken.
    began_anew
        What summaries before this offset have counted, was counted before a clock came back.
    ignored
        Offsets from `reads_from` on of summaries that are nothing.
    """

    next_offset: int = 0
    reads_from: int = 0
    closed_to_ms: int = 0
    appended_ms: int = 0
    began_anew: int = 0
    ignored: list[int] = field(default_factory=list)
    seen: dict[str, Seen] = field(default_factory=dict)


def _with(held: Sequence[Arrival], arrival: Arrival) -> list[Arrival]:
    """What is held of summaries that begin alike, and one more.

    Where the next one begins will say which of their ends it was: who lost the partition may be
    heard last. Of many the last ones are the likely ones.
    """
    ends = [one.end for one in held if one.end != arrival.end]
    likely = list(dict.fromkeys(reversed(ends)))[:_OTHERS_MAX]
    others = [one for one in held if one.end in likely]
    parts = [one for one in held if one.end == arrival.end and one.part < arrival.part]
    return [*others, *parts, arrival]


def _settled(held: Sequence[Arrival], next_begin: int | None) -> list[Arrival]:
    """The parts of the summary that stays."""
    ends = [one.end for one in held]
    end = next_begin if next_begin in ends else ends[-1] if ends else None
    return [one for one in held if one.end == end]


class StepBook:
    """Takes summaries in the order of their topic, and closes steps."""

    def __init__(self, position: BookPosition, *, step_ms: int, grace_ms: int) -> None:
        self._step_ms = step_ms
        self._grace_ms = grace_ms
        self._next_offset = position.next_offset
        self._closed_to_ms = position.closed_to_ms
        self._appended_ms = position.appended_ms
        self._began_anew = position.began_anew
        self._ignored = list(position.ignored)
        self._seen = dict(position.seen)
        # By source, of the last summary all parts: held, and counted as its source was silent.
        self._held: dict[str, list[Arrival]] = {}
        self._let_go: dict[str, list[Arrival]] = {}
        self._open: dict[int, OpenStep] = {}
        self.late_row_count = 0  # of rows that came when their step was closed

    def position(self) -> BookPosition:
        """How far it is."""
        held = [one.offset for parts in self._held.values() for one in parts]
        first = min([*held, *(step.offset for step in self._open.values())],
                    default=self._next_offset)  # fmt: skip
        self._ignored = [offset for offset in self._ignored if offset >= first]
        return BookPosition(
            self._next_offset,
            first,
            self._closed_to_ms,
            self._appended_ms,
            self._began_anew,
            list(self._ignored),
            dict(self._seen),
        )

    def take(self, arrival: Arrival) -> Iterator[ClosedStep]:
        """The steps that this summary closes, in their order."""
        if arrival.offset < self._next_offset:  # read again: what it closes is closed
            if arrival.offset not in self._ignored:
                self._hold(arrival, is_new=False)
            return
        self._next_offset = arrival.offset + 1
        self._appended_ms = max(self._appended_ms, arrival.appended_ms)
        self._let_go_of_silent()
        if self._hold(arrival, is_new=True):
            self._heard_of(arrival)
        else:
            self._ignored.append(arrival.offset)
        yield from self._close()

    def _hold(self, arrival: Arrival, *, is_new: bool) -> bool:
        """Hold it in the place of what was held; False if it is nothing."""
        source, begin = arrival.source, arrival.begin
        let_go = self._let_go.get(source, [])
        held = self._held.get(source, let_go)
        if held and begin < held[0].begin:
            return False
        self._let_go.pop(source, None)
        if held and begin == held[0].begin:
            # What was counted too early is replayed, or goes on in another part.
            for one in _settled(let_go, None):
                self._take_back(one)
            self._held[source] = _with(held, arrival)
            return True
        self._held[source] = [arrival]
        self._ignored += [one.offset for one in held if one not in _settled(held, begin)]
        counted, stays = _settled(let_go, None), _settled(held, begin)
        if counted != stays:
            for one in counted:
                self._take_back(one)
            for one in stays if arrival.offset >= self._began_anew else []:
                self._enter(one, is_new=is_new)
        return True

    def _heard_of(self, arrival: Arrival) -> None:
        # What is held has not been counted: nothing of it may be closed yet.
        first_ms = min((t for one in self._held[arrival.source] for t in one.steps), default=0)
        seen = self._seen.get(arrival.source, Seen(first_ms, 0))
        self._seen[arrival.source] = replace(seen, first_ms=first_ms, appended_ms=self._appended_ms)

    def _let_go_of_silent(self) -> None:
        """Who has been silent for a while has committed what it last said, or is gone.

        Should it come back and replay, what was counted is taken back where it still can be.
        """
        heard_ms = {source: parts[-1].appended_ms for source, parts in self._held.items()}
        heard_ms |= {source: seen.appended_ms for source, seen in self._seen.items()}
        for source in [s for s, at in heard_ms.items() if self._appended_ms - at > SILENT_MS]:
            self._let_go[source] = self._held.pop(source, [])
            for one in _settled(self._let_go[source], None):
                self._enter(one, is_new=True)
            self._seen.pop(source, None)

    def _enter(self, arrival: Arrival, *, is_new: bool) -> None:
        """Count a summary that stays."""
        seen, middle_ms = self._seen.get(arrival.source), arrival.middle_ms
        if is_new and seen is not None and middle_ms is not None:
            recent_ms = (*seen.recent_ms, middle_ms)[-_RECENT_COUNT:]
            self._seen[arrival.source] = replace(seen, recent_ms=recent_ms)
        for at_ms, arms in arrival.steps.items():
            if at_ms >= self._closed_to_ms:
                step = self._open.setdefault(at_ms, OpenStep(arrival.offset))
                step.add(arrival.offset, arms)
            elif is_new:
                self.late_row_count += sum(arm.row_count for arm in arms.values())

    def _take_back(self, arrival: Arrival) -> None:
        for at_ms, arms in arrival.steps.items():
            if at_ms in self._open:
                self._open[at_ms].add(arrival.offset, taken_back(arms))

    def _close(self) -> Iterator[ClosedStep]:
        times = [seen.at_ms for seen in self._seen.values()]
        to_ms = min(times, default=0) - self._grace_ms
        if times and max(times) + BACK_MS < self._closed_to_ms:
            # All are far behind: a clock was ahead. What it opened is closed, and they go on here.
            yield from self._closed(sorted(self._open))
            self._closed_to_ms = to_ms // self._step_ms * self._step_ms
            self._began_anew = self._next_offset
            return
        yield from self._closed([t for t in sorted(self._open) if t + self._step_ms <= to_ms])
        byte_count = sum(step.byte_count for step in self._open.values())
        for at_ms in sorted(self._open):
            if byte_count <= OPEN_BYTES_MAX:
                break
            byte_count -= self._open[at_ms].byte_count
            yield from self._closed([at_ms])

    def _closed(self, times_ms: Sequence[int]) -> Iterator[ClosedStep]:
        for at_ms in times_ms:
            arms = self._open.pop(at_ms).arms()
            if arms:  # not all was taken back
                self._closed_to_ms = at_ms + self._step_ms
                yield ClosedStep(at_ms, arms)
