"""What happens in the labels benchmark: an alert centre of eight, and banks behind it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from benchmarks.label_quality import Bools
from sentinel.core.consensus.batch.votes import Votes
from sentinel.records import Feedback, Ints
from sentinel.simulation.alert_centre import Scored, checked_daily, investigated
from sentinel.simulation.chargebacks import DAY_MS, ChargebackParams, chargebacks
from sentinel.simulation.investigators import Collapse, Team, one_careless, votes_on

INVESTIGATOR_COUNT = 8
CARD_COUNT = 100
FALLING, CARELESS = 0, INVESTIGATOR_COUNT - 1
FALLEN_SKILL = 0.5
CHARGEBACKS = ChargebackParams()


@dataclass(frozen=True, slots=True)
class Play:
    """What simulated people say of scored transactions.

    Attributes
    ----------
    checked
        int64 (n_tasks,): the rows that investigators voted on.
    voices
        In the order of observation.
    middle_ms
        When the skill of one collapses.
    """

    scored: Scored
    team: Team
    checked: Ints
    votes: Votes
    voices: list[Feedback]
    middle_ms: int

    @property
    def end_ms(self) -> int:
        """The end of the last day that was scored."""
        return int(self.scored.day[-1] + 1) * DAY_MS

    def windows(self) -> dict[str, Bools]:
        """Transactions before the collapse, and behind it."""
        is_before = self.scored.event_time_ms < self.middle_ms
        return {"before": is_before, "after": ~is_before}


def scored_rows(
    frame: pl.DataFrame, decisions: Sequence[dict[str, Any]], train_days: int
) -> Scored:
    """The transactions behind those that were trained on, with their scores."""
    score = {one["transaction_id"]: one["probability"] for one in decisions}
    later = frame.filter(pl.col("day") >= train_days)
    ids = later["TRANSACTION_ID"].cast(pl.String).to_list()
    return Scored(
        transaction_id=ids,
        event_time_ms=later["TX_DATETIME"].dt.epoch("ms").to_numpy(),
        card=later["CUSTOMER_ID"].cast(pl.Int64).to_numpy(),
        entities={
            "account": later["CUSTOMER_ID"].cast(pl.String).to_list(),
            "terminal": later["TERMINAL_ID"].cast(pl.String).to_list(),
        },
        is_fraud=later["TX_FRAUD"].to_numpy() == 1,
        score=np.array([score[name] for name in ids]),
    )


def played(scored: Scored, rng: np.random.Generator) -> Play:
    """The days of an alert centre."""
    team = one_careless(INVESTIGATOR_COUNT, rng)
    checked = checked_daily(scored.score, scored.day, scored.card, card_count=CARD_COUNT)
    middle = (scored.day[0] + scored.day[-1] + 1) // 2
    collapse = Collapse(
        from_task=int(np.searchsorted(scored.day[checked], middle)),
        who=np.arange(INVESTIGATOR_COUNT) == FALLING,
        skill=FALLEN_SKILL,
    )
    votes = votes_on(
        scored.is_fraud[checked], team, rng, votes_min=2, votes_max=3, collapse=collapse
    )
    claims = chargebacks(scored.is_fraud, rng, CHARGEBACKS)
    said = investigated(scored, checked, votes, claims, rng)
    return Play(scored, team, checked, votes, said, int(middle) * DAY_MS)
