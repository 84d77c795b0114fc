"""What is awaited before an update can be judged: how much of it there is, and how long it takes.

An estimate is the pace of the last minutes drawn out, nothing more; without a pace there is none.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

# So much of the past says how fast something comes: examples come in bursts, one a minute or so.
_PACE_S_MAX = 300.0
_PACE_S_MIN = 5.0
_SAMPLE_COUNT_MAX = 200
_MINUTE_S, _HOUR_S, _DAY_S = 60.0, 3_600.0, 86_400.0


@dataclass(frozen=True, slots=True)
class Need:
    """Something of which there must be so much.

    Attributes
    ----------
    what
        In the plural, as it follows a number.
    is_required
        Whether nothing can be judged before; else only some candidates cannot be promoted.
    """

    what: str
    count: int
    needed: int
    is_required: bool = True

    @property
    def is_met(self) -> bool:
        """Whether there is enough."""
        return self.count >= self.needed


@dataclass(frozen=True, slots=True)
class Awaited:
    """A need that is not met.

    Attributes
    ----------
    wait_s
        How long it takes at the pace of late; None where nothing has come for a while.
    """

    what: str
    count: int
    needed: int
    is_required: bool
    wait_s: float | None

    @property
    def sentence(self) -> str:
        """For a person, such as "38 of 100 frauds, about 4 minutes"."""
        wait = "no pace to estimate by" if self.wait_s is None else about(self.wait_s)
        return f"{self.count:,} of {self.needed:,} {self.what}, {wait}"


class Paces:
    """How fast counts have grown of late.

    What is counted may shrink: another champion has seen more. Then its pace begins anew.
    """

    def __init__(self) -> None:
        self._samples: dict[tuple[str, int], deque[tuple[float, int]]] = {}

    def awaited(self, needs: Iterable[Need], now_s: float) -> tuple[Awaited, ...]:
        """The needs that are not met, as of now, those that everything waits for first."""
        unmet = []
        for need in needs:
            wait_s = self._wait_s(need, now_s)
            if not need.is_met:
                unmet.append(Awaited(need.what, need.count, need.needed, need.is_required, wait_s))
        return tuple(sorted(unmet, key=lambda one: not one.is_required))

    def _wait_s(self, need: Need, now_s: float) -> float | None:
        key = need.what, need.needed
        samples = self._samples.setdefault(key, deque(maxlen=_SAMPLE_COUNT_MAX))
        if samples and samples[-1][1] > need.count:
            samples.clear()
        samples.append((now_s, need.count))
        while now_s - samples[0][0] > _PACE_S_MAX:
            samples.popleft()
        since_s, before = samples[0]
        if now_s - since_s < _PACE_S_MIN or need.count == before:
            return None
        return (need.needed - need.count) * (now_s - since_s) / (need.count - before)


def longest_wait_s(awaited: Sequence[Awaited]) -> float | None:
    """Until all of it is there; None where that of one is not known."""
    waits = [one.wait_s for one in awaited]
    known = [wait for wait in waits if wait is not None]
    return max(known, default=0.0) if len(known) == len(waits) else None


def about(wait_s: float) -> str:
    """A wait in words that claim no more than is known."""
    for unit_s, name in ((_DAY_S, "day"), (_HOUR_S, "hour"), (_MINUTE_S, "minute")):
        if wait_s >= 0.95 * unit_s:
            count = max(round(wait_s / unit_s), 1)
            return f"about {count:,} {name}{'s' * (count > 1)}"
    return f"about {max(round(wait_s / 5) * 5, 5)} seconds"
