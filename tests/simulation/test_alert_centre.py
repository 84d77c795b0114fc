"""The simulated alert centre: what it checks, and what is said of it, and when."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sentinel.codec.feedback.checking import checked as checked_voice
from sentinel.core.consensus.batch.votes import Votes
from sentinel.simulation.alert_centre import HOUR_MS, Scored, checked_daily, investigated
from sentinel.simulation.chargebacks import DAY_MS, Chargebacks

rows = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 4), st.integers(0, 5)), min_size=0, max_size=40
)


@given(rows, st.integers(1, 4))
def test_checked_are_the_best_of_the_best_cards_of_each_day(
    given_rows: list[tuple[int, int, int]], card_count: int
) -> None:
    """Against sorting the cards of each day by hand."""
    table = np.array(given_rows, dtype=np.int64).reshape(-1, 3)
    day, card, score = table[:, 0], table[:, 1], table[:, 2] / 5

    found = checked_daily(score, day, card, card_count=card_count)

    expected = []
    for today in sorted(set(day.tolist())):
        best: dict[int, int] = {}
        for row in np.flatnonzero(day == today).tolist():
            if card[row] not in best or score[row] > score[best[card[row]]]:
                best[card[row]] = row
        ranked = sorted(best.values(), key=lambda row: (-score[row], row))
        expected += ranked[:card_count]
    assert found.tolist() == expected


def scored(count: int) -> Scored:
    """Three transactions a day."""
    number = np.arange(count)
    return Scored(
        transaction_id=[f"t{i}" for i in range(count)],
        event_time_ms=number * DAY_MS // 3,
        card=number % 2,
        entities={"account": [f"a{i % 2}" for i in range(count)], "terminal": ["m"] * count},
        is_fraud=number % 5 == 0,
        score=np.zeros(count),
    )


def test_every_vote_and_every_chargeback_is_said_once_in_the_order_of_observation() -> None:
    given_rows = scored(30)
    checked = np.array([2, 7, 29])
    votes = Votes.of(
        np.array([0, 0, 1, 2]), np.array([0, 3, 3, 1]), np.array([True, False, False, True]),
        task_count=3, annotator_count=4,
    )  # fmt: skip
    claims = Chargebacks(np.array([5, 7]), np.array([DAY_MS, 40 * DAY_MS]))

    found = investigated(
        given_rows, checked, votes, claims, np.random.default_rng(1), hours_max=6.0
    )

    said = {(v.transaction_id, v.source, v.who, v.label) for v in found}
    assert said == {
        ("t2", "investigator", "i0", "fraud"),
        ("t2", "investigator", "i3", "genuine"),
        ("t7", "investigator", "i3", "genuine"),
        ("t29", "investigator", "i1", "fraud"),
        ("t5", "chargeback", "issuer", "fraud"),
        ("t7", "chargeback", "issuer", "fraud"),
    }
    times = [v.observed_ms for v in found]
    assert times == sorted(times)
    for voice in found:
        row = int(voice.transaction_id[1:])
        assert checked_voice(voice).event_time_ms == given_rows.event_time_ms[row]
        assert voice.entities == {"account": f"a{row % 2}", "terminal": "m"}
        if voice.source == "investigator":
            midnight_ms = (row // 3 + 1) * DAY_MS
            assert 0 <= voice.observed_ms - midnight_ms <= 6 * HOUR_MS
    late = {v.transaction_id: v.observed_ms for v in found if v.source == "chargeback"}
    assert late == {"t5": 5 * DAY_MS // 3 + DAY_MS, "t7": 7 * DAY_MS // 3 + 40 * DAY_MS}
