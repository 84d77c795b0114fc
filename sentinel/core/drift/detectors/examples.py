"""As examples mature: has the rate of errors, or of anything that is true or not, moved?

An outcome's rate is compared with one that was before, or with what each example's own probability
says: then it is P(fraud | x) itself that is watched, whoever the customers are.

All outcomes of all examples are looked at together: the first false alarm of them all comes after
`run_length_examples` or later, in expectation, if the base rate is right. It is an estimate, so it
is taken one standard error to the cautious side.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Self

import numpy as np
from scipy.special import expit, logit

from sentinel.core.drift.counts.counting import SIZE_GROUP_COUNT
from sentinel.core.drift.detectors.base_rates import RATE_MIN, BaseRate
from sentinel.core.drift.detectors.bernoulli import SIZE_COUNT, Outcomes, run
from sentinel.core.drift.detectors.mixture import DOWN, UP, log_mean
from sentinel.records import Floats, Ints

_NEAR = 1.5


@dataclass(frozen=True, slots=True)
class ExampleParams:
    """When matured examples alarm.

    Attributes
    ----------
    run_length_examples
        After so many, in expectation, comes the first false alarm of all outcomes, or later.
    horizon_examples
        Within about so many a change is to be found; over so many examples of one account count as
        alike. Over all of history an account has far more, and nothing would be found.
    base_errors
        By so many standard errors the base rate is moved to the cautious side.
    """

    run_length_examples: float = 100_000.0
    horizon_examples: float = 2_000.0
    base_errors: float = 1.0

    def __post_init__(self) -> None:
        if not self.run_length_examples > 1:
            raise ValueError("run_length_examples must be above 1")
        if not (self.horizon_examples >= 1 and self.base_errors >= 0):
            raise ValueError("horizon_examples must be at least 1, base_errors at least 0")


@dataclass(frozen=True, eq=False, slots=True)
class ExampleState:
    """What is kept from example to example, of J outcomes.

    Attributes
    ----------
    seen
        Examples so far.
    sizes, totals, evidence, runs, since
        Of `bernoulli.run`.
    open_side
        int64 (J,): the side on which an outcome has alarmed and is not over, else -1.
    open_rate
        float64 (J,): on the base rate's side of it, it is over.
    """

    seen: int
    sizes: Floats
    totals: Floats
    evidence: Floats
    runs: Floats
    since: Ints
    open_side: Ints
    open_rate: Floats

    @classmethod
    def fresh(cls, bases: Sequence[BaseRate]) -> Self:
        """Before the first example."""
        j, k = len(bases), SIZE_COUNT
        return cls(
            seen=0,
            sizes=np.zeros(SIZE_GROUP_COUNT),
            totals=np.array([1.0, 0.0, 0.0, 0.0]),
            evidence=np.zeros((j, 2, k)),
            runs=np.zeros((j, 2, k, 4)),
            since=np.full((j, 2, k), -1, dtype=np.int64),
            open_side=np.full(j, -1, dtype=np.int64),
            open_rate=np.full(j, np.nan),
        )


@dataclass(frozen=True, slots=True)
class ExampleEvent:
    """An outcome's rate has moved, or is back.

    Attributes
    ----------
    example
        How many examples there were by then.
    since
        Time of the first example of the change, as an estimate.
    rate, expected
        Since then, over `example_count` examples; and what counts as unchanged for the same ones.
    evidence
        log of M.
    """

    kind: Literal["alarm", "over"]
    name: str
    side: Literal["up", "down"]
    example: int
    since: int
    rate: float
    expected: float
    example_count: int
    evidence: float


def after_examples(
    state: ExampleState,
    bases: Sequence[BaseRate],
    outcomes: Outcomes,
    groups: Ints,
    times: Ints,
    params: ExampleParams,
    *,
    probabilities: Floats | None = None,
) -> tuple[ExampleState, tuple[ExampleEvent, ...]]:
    """Some matured examples more; one call or several make no difference.

    Parameters
    ----------
    outcomes
        int8 (n, J): 0, 1, or UNKNOWN where an example has no such outcome.
    groups
        int64 (n,): `counting.size_groups` of the accounts.
    times
        int64 (n,): of the examples, in milliseconds; only to be told again.
    probabilities
        float64 (n,): as they were when the examples were decided; for bases that are relative.
    """
    assert outcomes.shape == (len(groups), len(bases))
    outcomes = np.ascontiguousarray(outcomes)
    odds = _odds(bases, len(outcomes), probabilities)
    likeness = np.array([base.likeness for base in bases])
    side_count = sum(len(_sides(base)) for base in bases)
    limit = math.log(params.run_length_examples)
    state = _copied(state)
    events: list[ExampleEvent] = []
    begin = 0
    while begin < len(outcomes):
        taken = run(
            outcomes[begin:],
            odds[begin:] * _nulls(state, bases, params),
            groups[begin:],
            times[begin:],
            state.seen,
            likeness,
            params.horizon_examples,
            limit,
            side_count,
            (state.open_side >= 0).astype(np.int64),
            state.sizes,
            state.totals,
            state.evidence,
            state.runs,
            state.since,
        )
        state = replace(state, seen=state.seen + taken)
        begin += taken
        state, found = _told(state, bases, params, limit)
        events += found
    return state, tuple(events)


def _odds(bases: Sequence[BaseRate], n: int, probabilities: Floats | None) -> Floats:
    """What the odds of the bases are multiplied by, float64 (n, J, 1)."""
    odds = np.ones((n, len(bases), 1))
    for j, base in enumerate(bases):
        if base.is_relative:
            assert probabilities is not None
            known = np.clip(probabilities, RATE_MIN, 1 - RATE_MIN)
            odds[:, j, 0] = known / (1 - known)
    return odds


def _copied(state: ExampleState) -> ExampleState:
    return replace(
        state,
        sizes=state.sizes.copy(),
        totals=state.totals.copy(),
        evidence=state.evidence.copy(),
        runs=state.runs.copy(),
        since=state.since.copy(),
    )


def _nulls(state: ExampleState, bases: Sequence[BaseRate], params: ExampleParams) -> Floats:
    """The odds that count as unchanged, float64 (J, 2)."""
    found = np.full((len(bases), 2), np.nan)
    for j, base in enumerate(bases):
        side = int(state.open_side[j])
        if side >= 0:
            found[j, 1 - side] = state.open_rate[j]
            continue
        if base.worse != "down":
            found[j, UP] = base.rate + params.base_errors * base.error
        if base.worse != "up":
            found[j, DOWN] = base.rate - params.base_errors * base.error
    # Where the cautious rate is no rate any more, no outcome tells anything.
    found[(found >= 1 - RATE_MIN) | (found < 0)] = np.nan
    found = np.maximum(found, RATE_MIN)
    return found / (1 - found)


def _sides(base: BaseRate) -> list[int]:
    """Where it may move."""
    return {"up": [UP], "down": [DOWN], "both": [UP, DOWN]}[base.worse]


def _told(
    state: ExampleState, bases: Sequence[BaseRate], params: ExampleParams, limit: float
) -> tuple[ExampleState, list[ExampleEvent]]:
    """Open alarms that are over, and new ones; after a new one all evidence starts anew."""
    is_open = state.open_side >= 0
    looked = [
        state.evidence[j, [1 - int(state.open_side[j])] if is_open[j] else _sides(base)]
        for j, base in enumerate(bases)
    ]
    own = np.array([log_mean(one) for one in looked])
    over = np.flatnonzero(is_open & (own >= limit)).tolist()
    events = [_event("over", state, bases, j, own[j]) for j in over]
    closed = [one * (not is_open[j]) for j, one in enumerate(looked)]
    # An open alarm's sides count as well, as having no evidence.
    unseen = sum(len(_sides(base)) for base in bases) - sum(len(one) for one in closed)
    closed.append(np.zeros((unseen, SIZE_COUNT)))
    moved: list[int] = []
    if log_mean(np.concatenate(closed)) >= limit:
        moved = np.flatnonzero(~is_open & (own >= min(limit, own[~is_open].max()))).tolist()
        moved.sort(key=lambda j: -own[j])
    events += [_event("alarm", state, bases, j, own[j]) for j in moved]
    if not events:
        return state, []
    open_side, open_rate = state.open_side.copy(), state.open_rate.copy()
    open_side[over] = -1
    for j, event in zip(moved, events[len(over) :], strict=True):
        open_side[j] = UP if event.side == "up" else DOWN
        open_rate[j] = _way_back(event, bases[j], params)
    again = np.flatnonzero(~is_open) if moved else np.array([], dtype=np.int64)
    again = np.append(again, np.array(over, dtype=np.int64))
    state.evidence[again], state.runs[again], state.since[again] = 0.0, 0.0, -1
    return replace(state, open_side=open_side, open_rate=open_rate), events


def _way_back(event: ExampleEvent, base: BaseRate, params: ExampleParams) -> float:
    """Nearer to the unchanged rate than this an alarm is over.

    Half way from the rate found to it on the scale of log odds, but no nearer than _NEAR times its
    odds, which would take for ever to tell.
    """
    sign = 1.0 if event.side == "up" else -1.0
    least = 1.0 / (event.example_count + 2)
    found, expected = np.clip([event.rate, event.expected], least, 1 - least)
    away = max(sign * float(logit(found) - logit(expected)) / 2, math.log(_NEAR))
    near = max(base.rate + sign * params.base_errors * base.error, RATE_MIN)
    return float(expit(logit(near) + sign * away))


def _event(
    kind: Literal["alarm", "over"],
    state: ExampleState,
    bases: Sequence[BaseRate],
    j: int,
    evidence: float,
) -> ExampleEvent:
    side = int(np.argmax(state.evidence[j].max(axis=1)))
    size = int(np.argmax(state.runs[j, side, :, 0]))  # likeliest to be the change
    _, n, ones, expected = state.runs[j, side, size].tolist()
    told = side if kind == "alarm" else int(state.open_side[j])
    return ExampleEvent(
        kind=kind,
        name=bases[j].name,
        side="up" if told == UP else "down",
        example=state.seen,
        since=int(state.since[j, side, size]),
        rate=ones / n if n else 0.0,
        expected=expected / n if n else 0.0,
        example_count=int(n),
        evidence=float(evidence),
    )
