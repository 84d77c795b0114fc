"""An alert centre and the banks behind it: what is checked, and who says what of it, and when."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sentinel.core.consensus.batch.votes import Votes
from sentinel.records import Feedback, Floats, Ints
from sentinel.simulation.chargebacks import DAY_MS, Chargebacks

HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class Scored:
    """n transactions that were scored, in the order of event time.

    Attributes
    ----------
    event_time_ms, card
        int64 (n,).
    entities
        For each entity kind ("account" always) n identifiers.
    is_fraud
        bool (n,): the truth.
    score
        float64 (n,).
    """

    transaction_id: Sequence[str]
    event_time_ms: Ints
    card: Ints
    entities: Mapping[str, Sequence[str]]
    is_fraud: NDArray[np.bool_]
    score: Floats

    @property
    def day(self) -> Ints:
        """Days since 1970, int64 (n,)."""
        return self.event_time_ms // DAY_MS


def checked_daily(score: Floats, day: Ints, card: Ints, *, card_count: int) -> Ints:
    """What is checked: each day, of so many cards with the highest scores, the highest one.

    Parameters
    ----------
    score
        float64 (n,). Of equal scores the earlier row goes first.
    day, card
        int64 (n,).

    Returns
    -------
    rows
        int64: by day, and within a day by descending score; one for each card.
    """
    assert score.shape == day.shape == card.shape
    by_score = np.lexsort((-score, day))
    pairs = np.stack((day[by_score], card[by_score]), axis=1)
    highest = np.sort(np.unique(pairs, axis=0, return_index=True)[1])
    rows = by_score[highest]
    begin = np.searchsorted(day[rows], day[rows], side="left")
    found: Ints = rows[np.arange(rows.size) - begin < card_count]
    return found


def investigated(
    scored: Scored,
    checked: Ints,
    votes: Votes,
    claims: Chargebacks,
    rng: np.random.Generator,
    *,
    hours_max: float = 8.0,
) -> list[Feedback]:
    """Votes and chargebacks as feedback, in the order in which they are observed.

    A day's alerts are known when it ends; each vote comes at any moment of the next `hours_max`.

    Parameters
    ----------
    checked
        int64 (n_tasks,): the row behind each task of the votes.
    """
    assert checked.size == votes.task_count
    row = checked[votes.task]
    waited_ms = rng.uniform(0.0, hours_max * HOUR_MS, row.size).astype(np.int64)
    vote_ms = (scored.day[row] + 1) * DAY_MS + waited_ms
    names = [f"i{number}" for number in range(votes.annotator_count)]
    found = [
        _feedback(scored, *one)
        for one in zip(
            row.tolist(),
            vote_ms.tolist(),
            votes.says_fraud.tolist(),
            ["investigator"] * row.size,
            [names[number] for number in votes.annotator.tolist()],
            strict=True,
        )
    ]
    claim_ms = scored.event_time_ms[claims.row] + claims.delay_ms
    found += [
        _feedback(scored, i, time_ms, True, "chargeback", "issuer")
        for i, time_ms in zip(claims.row.tolist(), claim_ms.tolist(), strict=True)
    ]
    return sorted(found, key=lambda feedback: feedback.observed_ms)


def _feedback(
    scored: Scored, row: int, observed_ms: int, says_fraud: bool, source: str, who: str
) -> Feedback:
    return Feedback(
        transaction_id=scored.transaction_id[row],
        label="fraud" if says_fraud else "genuine",
        source=source,
        who=who,
        observed_ms=observed_ms,
        event_time_ms=int(scored.event_time_ms[row]),
        entities={kind: names[row] for kind, names in scored.entities.items()},
    )
