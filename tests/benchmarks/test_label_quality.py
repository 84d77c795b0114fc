"""What the labels benchmark computes: the worth of labels, on cases that are counted by hand."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.label_quality import (
    DAY_MS,
    accuracy,
    corrections,
    coverage,
    first_labels,
    fraud_share_of_votes,
    horizon_days,
    label_frame,
    newest_labels,
    worth,
)
from sentinel.core.consensus.batch.votes import Votes
from sentinel.core.learning.maturity import MaturityParams
from sentinel.records import Label, LabelName
from sentinel.simulation.chargebacks import ChargebackParams, delays_ms

ROW_OF = {"t0": 0, "t1": 1, "t2": 2, "t3": 3}
TRUTH = np.array([True, True, False, False])
EVENT_MS = np.arange(4) * DAY_MS


def label(
    name: str,
    says: LabelName,
    offset: int,
    *,
    source: str = "investigator",
    days: float = 1.0,
    posterior: float = 0.97,
    supersedes: LabelName | None = None,
) -> Label:
    happened_ms = int(EVENT_MS[ROW_OF[name]])
    return Label(
        transaction_id=name,
        label=says,
        posterior=posterior,
        vote_count=2,
        source=source,
        observed_ms=happened_ms + round(days * DAY_MS),
        event_time_ms=happened_ms,
        entities={},
        supersedes=supersedes,
        feedback_offset=offset,
    )


SAID = [
    label("t0", "genuine", 1, posterior=0.03),
    label("t2", "fraud", 2, days=2.0),
    label("t0", "fraud", 7, source="chargeback", days=9.0, posterior=0.995, supersedes="genuine"),
    label("t3", "fraud", 8, source="chargeback", days=3.0, supersedes="genuine"),
]


def test_a_label_that_was_published_again_counts_once_and_in_its_place() -> None:
    found = label_frame([*SAID, SAID[0], SAID[1]], ROW_OF)

    assert found["row"].to_list() == [0, 2, 0, 3]
    assert found["is_fraud"].to_list() == [False, True, True, True]
    assert found["supersedes"].to_list() == [None, None, False, False]
    assert first_labels(found)["is_fraud"].to_list() == [False, True, True]
    assert newest_labels(found).select("row", "is_fraud").rows() == [
        (2, True),
        (0, True),
        (3, True),
    ]


def test_worth_is_accuracy_calibration_and_delay() -> None:
    first = first_labels(label_frame(SAID, ROW_OF)).filter(pl.col("source") == "investigator")

    found = worth(first, TRUTH, EVENT_MS)

    assert (found["count"], found["frauds"], found["accuracy"]) == (2, 1, 0.0)
    # Each alone in its bin: 0.97 away from the truth both times.
    assert found["calibration_error"] == pytest.approx(0.97)
    assert found["delay_median_days"] == pytest.approx(1.5)
    assert found["delay_p90_days"] == pytest.approx(1.9)
    assert worth(first.clear(), TRUTH, EVENT_MS) == {"count": 0}


def test_coverage_counts_frauds_and_what_was_checked_within_the_window() -> None:
    newest = newest_labels(label_frame(SAID[:2], ROW_OF))
    checked = np.array([0, 2, 3])

    everything = coverage(newest, TRUTH, checked, np.ones(4, dtype=np.bool_))
    late = coverage(newest, TRUTH, checked, EVENT_MS >= 2 * DAY_MS)

    assert everything == {
        "frauds": 2,
        "frauds_checked": 0.5,
        "frauds_labelled": 0.5,
        "frauds_labelled_fraud": 0.0,
        "checked": 3,
        "checked_labelled": pytest.approx(2 / 3),
        "checked_fraud": pytest.approx(1 / 3),
    }
    assert (late["frauds"], late["checked"], late["checked_labelled"]) == (0, 2, 0.5)
    assert np.isnan(late["frauds_labelled"])


def test_corrections_say_by_whom_to_what_and_how_often_rightly() -> None:
    found = corrections(label_frame(SAID, ROW_OF), TRUTH)

    assert found == {"by chargeback, to fraud": {"count": 2, "right": 0.5}}


def test_without_a_correction_there_is_none() -> None:
    assert corrections(label_frame(SAID[:2], ROW_OF), TRUTH) == {}


words = st.lists(st.lists(st.booleans(), min_size=1, max_size=3), min_size=1, max_size=6)


@given(words)
def test_the_majority_is_right_where_more_are_and_half_right_where_they_are_split(
    said: list[list[bool]],
) -> None:
    truth = np.array([len(of_task) % 2 == 0 for of_task in said])
    task = [t for t, of_task in enumerate(said) for _ in of_task]
    who = [i for of_task in said for i in range(len(of_task))]
    votes = Votes.of(
        np.array(task), np.array(who), np.array([x for of_task in said for x in of_task]),
        task_count=len(said), annotator_count=3,
    )  # fmt: skip

    found = accuracy(fraud_share_of_votes(votes), truth)

    points = 0.0
    for of_task, is_fraud in zip(said, truth.tolist(), strict=True):
        right = sum(word == is_fraud for word in of_task)
        points += 1.0 if 2 * right > len(of_task) else 0.5 if 2 * right == len(of_task) else 0.0
    assert found == pytest.approx(points / len(said))


def test_the_horizon_knows_what_had_come_by_then_and_allows_for_what_had_not() -> None:
    """Frauds of 200 days, charged back as simulated, looked at on day 100 and at the end."""
    rng = np.random.default_rng(5)
    params = ChargebackParams()
    delays = delays_ms(rng.standard_normal(20_000), params)
    happened = np.sort(rng.integers(0, 200 * DAY_MS, delays.size))
    labels = pl.DataFrame(
        {
            "row": np.arange(delays.size),
            "is_fraud": True,
            "posterior": 0.995,
            "source": "chargeback",
            "observed_ms": happened + delays,
            "supersedes": None,
        }
    )
    true_days = np.quantile(delays, 0.99) / DAY_MS

    early = horizon_days(labels, happened, 100 * DAY_MS, MaturityParams())
    late = horizon_days(labels, happened, 2100 * DAY_MS, MaturityParams())

    assert late["labels"] == delays.size
    assert early["labels"] == np.sum(happened + delays <= 100 * DAY_MS)
    assert late["estimated"] == pytest.approx(true_days, rel=0.02)
    assert early["plain"] < early["estimated"]
    assert early["estimated"] == pytest.approx(true_days, rel=0.1)


def test_labels_of_investigators_say_nothing_of_how_long_chargebacks_take() -> None:
    found = horizon_days(
        label_frame(SAID[:2], ROW_OF), EVENT_MS, 90 * DAY_MS, MaturityParams(label_count_min=1)
    )

    assert found == {"labels": 0, "estimated": 120.0}
