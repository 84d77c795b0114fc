"""The play of the labels benchmark: from a frame and decisions to what is said, day by day."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

from benchmarks.label_figures import true_horizon_days
from benchmarks.label_play import CARELESS, FALLING, played, scored_rows
from sentinel.simulation.chargebacks import DAY_MS

BEGIN = datetime(2018, 4, 1)
ROWS_A_DAY = 200


def stream() -> tuple[pl.DataFrame, list[dict[str, object]]]:
    """Ten days, of which four are trained on; frauds score high."""
    number = np.arange(10 * ROWS_A_DAY)
    fraud = (number % 9 == 0).astype(int)
    frame = pl.DataFrame(
        {
            "TRANSACTION_ID": number,
            "TX_DATETIME": [BEGIN + timedelta(minutes=int(i) * 1440 / ROWS_A_DAY) for i in number],
            "CUSTOMER_ID": (number % 150).astype(str),
            "TERMINAL_ID": (number % 7).astype(str),
            "TX_FRAUD": fraud,
            "day": number // ROWS_A_DAY,
        }
    )
    decisions = [
        {"transaction_id": str(i), "probability": 0.3 + 0.4 * fraud[i]} for i in number[::-1]
    ]
    return frame, decisions


def test_scores_find_their_transactions_whatever_the_order_of_the_decisions() -> None:
    frame, decisions = stream()

    scored = scored_rows(frame, decisions, 4)

    assert scored.transaction_id[0] == str(4 * ROWS_A_DAY)
    assert len(scored.transaction_id) == 6 * ROWS_A_DAY
    assert np.array_equal(scored.is_fraud, scored.score > 0.5)
    first_ms = int((BEGIN.replace(tzinfo=UTC) + timedelta(days=4)).timestamp() * 1000)
    assert scored.event_time_ms[0] == first_ms
    assert scored.entities["terminal"][3] == str((4 * ROWS_A_DAY + 3) % 7)


def test_the_collapse_strikes_one_at_the_middle_day_and_each_day_a_hundred_cards_are_seen() -> None:
    scored = scored_rows(*stream(), 4)

    play = played(scored, np.random.default_rng(3))

    assert play.middle_ms == (scored.day[0] + 3) * DAY_MS
    assert play.end_ms == (scored.day[0] + 6) * DAY_MS
    assert np.bincount(scored.day[play.checked] - scored.day[0]).tolist() == [100] * 6
    before, after = play.windows().values()
    assert np.all(before ^ after)
    votes = play.votes
    is_right = votes.says_fraud == scored.is_fraud[play.checked[votes.task]]
    is_late = after[play.checked[votes.task]]
    falling, careless = (votes.annotator == who for who in (FALLING, CARELESS))
    assert np.mean(is_right[falling & ~is_late]) > 0.75
    assert np.mean(is_right[falling & is_late]) < 0.7
    assert np.mean(is_right[careless]) < 0.65
    said = [voice.source for voice in play.voices]
    assert said.count("investigator") == len(votes)


def test_the_same_seed_plays_the_same() -> None:
    scored = scored_rows(*stream(), 4)

    first, second, other = (played(scored, np.random.default_rng(s)) for s in (3, 3, 4))

    assert first.voices == second.voices
    assert first.voices != other.voices


def test_the_true_horizon_is_the_quantile_of_the_delays() -> None:
    """12 days × exp(0.6 × 2.3263)."""
    assert abs(true_horizon_days() - 48.46) < 0.01
