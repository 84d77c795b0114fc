"""History is folded as the stream would be: whatever the chunks, and no label before its time."""

import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sentinel.codec.schema import SchemaParams
from sentinel.config import Config
from sentinel.core.features.spec import EntityParams, FeatureParams
from sentinel.core.learning.params import TrainingParams
from sentinel.core.partitioning import murmur2
from sentinel.errors import ConfigError
from sentinel.operations.data.history import UNKNOWN, History, Rows, joined_rows
from sentinel.records import Floats
from tests.app import small

NEW_YEAR = 1_577_836_800_000


def config(label_delay: str) -> Config:
    return Config(
        schema=SchemaParams(event_time_format="epoch_ms", entities={"shop": "shop"}),
        entities={
            "account": EntityParams(events_max=16, entities_max=4096),
            "shop": EntityParams(kind="tiles", tile="1s", grace="1s", entities_max=4096),
        },
        features=(
            FeatureParams(name="count", stat="count", entity="account", window="10s"),
            FeatureParams(name="frauds", stat="fraud_count", entity="account", window="1h"),
            FeatureParams(name="risk", stat="fraud_share", entity="shop", window="20s", empty=0.0),
            FeatureParams(name="shop_sum", stat="sum", entity="shop", window="5s", delay="2s"),
        ),
        training=TrainingParams(label_delay=label_delay),
    )


def record(i: int, after_ms: int, account: str = "A", shop: str = "S") -> bytes:
    row = {
        "transaction_id": str(i),
        "event_time": NEW_YEAR + after_ms,
        "account": account,
        "shop": shop,
        "amount": i + 0.5,
    }
    return json.dumps(row).encode()


def features(spans: Sequence[Rows]) -> Floats:
    return np.concatenate([rows.features for rows in spans])


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[bytes], list[bool | None], list[int]]:
    """Rows in order with many ties, their labels, and where to cut them."""
    gaps = draw(st.lists(st.sampled_from([0, 0, 1, 400, 1_000, 3_000]), min_size=1, max_size=40))
    times = np.cumsum(gaps).tolist()
    n = len(times)
    accounts = draw(st.lists(st.sampled_from("ABC"), min_size=n, max_size=n))
    shops = draw(st.lists(st.sampled_from("ST"), min_size=n, max_size=n))
    labels = draw(st.lists(st.sampled_from([None, True, False]), min_size=n, max_size=n))
    values = [record(i, *row) for i, row in enumerate(zip(times, accounts, shops, strict=True))]
    cuts = draw(st.lists(st.integers(0, n), max_size=6))
    return values, labels, sorted({0, n, *cuts})


@settings(max_examples=40, deadline=None)
@given(history=histories(), label_delay=st.sampled_from(["0s", "1s", "3s", "10s", "1h"]))
def test_the_chunks_make_no_difference(
    history: tuple[list[bytes], list[bool | None], list[int]], label_delay: str
) -> None:
    values, labels, cuts = history
    whole = History(config(label_delay)).fold(values, labels)
    pieces = History(config(label_delay))

    spans = [pieces.fold(values[begin:end], labels[begin:end]) for begin, end in pairwise(cuts)]

    assert np.array_equal(features(spans), whole.features, equal_nan=True)
    assert np.concatenate([rows.labels for rows in spans]).tolist() == whole.labels.tolist()


@pytest.mark.parametrize("delay_s", [1, 5, 60])
@pytest.mark.parametrize("chunk", [1, 2, 100])
def test_a_fraud_is_known_exactly_after_the_delay(delay_s: int, chunk: int) -> None:
    delay_ms = delay_s * 1000
    after = [0, 1, delay_ms - 1, delay_ms, delay_ms, delay_ms + 1]
    history = History(config(f"{delay_s}s"))

    values = [record(i, ms) for i, ms in enumerate(after)]
    spans = [
        history.fold(values[i : i + chunk], [True, *[False] * 5][i : i + chunk])
        for i in range(0, len(values), chunk)
    ]

    assert features(spans)[:, 1].tolist() == [0, 0, 0, 1, 1, 1]


def test_without_a_delay_a_fraud_is_known_to_the_next_row() -> None:
    values = [record(i, 0) for i in range(4)]

    rows = History(config("0s")).fold(values, [True, True, False, True])

    assert rows.features[:, 1].tolist() == [0, 1, 2, 2]


def test_a_fraud_is_known_of_its_own_account_and_shop_only() -> None:
    values = [record(0, 0), record(1, 2_000, "B", "T"), record(2, 2_000, "A", "T")]

    rows = History(config("1s")).fold(values, [True, None, None])

    assert rows.features[:, 1].tolist() == [0, 0, 1]
    assert rows.features[:, 2].tolist() == [0, 0, 0]


def test_what_is_genuine_or_unknown_changes_nothing() -> None:
    values = [record(i, i * 1_000) for i in range(6)]

    unknown = History(config("1s")).fold(values, [None] * 6)
    genuine = History(config("1s")).fold(values, [False] * 6)

    assert np.array_equal(unknown.features, genuine.features, equal_nan=True)
    assert unknown.labels.tolist() == [UNKNOWN] * 6
    assert genuine.labels.tolist() == [0] * 6


def test_rows_out_of_order_are_refused() -> None:
    """A history sorted otherwise would show the past to the future."""
    with pytest.raises(ConfigError, match="not in the order of event time: sort the file"):
        History(config("1s")).fold([record(0, 5), record(1, 4)], [None] * 2)

    history = History(config("1s"))
    history.fold([record(0, 5)], [None])
    with pytest.raises(ConfigError, match="not in the order of event time"):
        history.fold([record(1, 4)], [None])


def test_rows_that_cannot_be_used_are_counted_and_left_out() -> None:
    history = History(config("1s"))

    rows = history.fold([b"x", record(0, 0), b"{}", record(1, 1)], [True, False, None, True])
    nothing = history.fold([b"x"], [True])

    assert history.refusals.count == 3
    assert rows.labels.tolist() == [0, 1]
    assert rows.features.shape == (2, 4)
    assert nothing.features.shape == (0, 4)
    assert history.fold([record(2, 1)], [None]).features[0, 0] == 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("21", -973932308),
        ("foobar", -790332482),
        ("a-little-bit-long-string", -985981536),
        ("a-little-bit-longer-string", -1486304829),
        ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        ("abc", 479470107),
    ],
)
def test_keys_are_hashed_as_javas_client_hashes_them(text: str, expected: int) -> None:
    """The values of Kafka's own UtilsTest.testMurmur2."""
    assert murmur2(text.encode()) == expected & 0xFFFFFFFF


def test_accounts_are_spread_over_the_partitions() -> None:
    history = History(config("1s"), partition_count=4)
    accounts = [f"account-{i}" for i in range(40)]

    rows = history.fold([record(i, i, account) for i, account in enumerate(accounts)], [None] * 40)

    found = rows.transactions.partition.tolist()
    assert set(found) == {0, 1, 2, 3}
    assert found == [(murmur2(a.encode()) & 0x7FFFFFFF) % 4 for a in accounts]


def test_spans_are_joined_in_order() -> None:
    history = History(config("1s"))
    spans = [history.fold([record(i, i, "AB"[i])], [bool(i)]) for i in range(2)]

    matrix, labels, times, accounts = joined_rows(spans)

    assert matrix.shape == (2, 4)
    assert labels.tolist() == [0, 1]
    assert times.tolist() == [NEW_YEAR, NEW_YEAR + 1]
    assert accounts == ["A", "B"]


def test_a_history_without_rows_is_refused() -> None:
    with pytest.raises(ConfigError, match="not one usable row"):
        joined_rows([])


def test_a_whole_simulation_is_the_same_in_any_chunks(tmp_path: Path) -> None:
    rows = list(small.flat())

    def in_chunks_of(size: int) -> Floats:
        history = History(small.config(tmp_path))
        chunks = [rows[i : i + size] for i in range(0, len(rows), size)]
        return features([history.fold(*zip(*chunk, strict=True)) for chunk in chunks])

    whole = in_chunks_of(len(rows))

    assert np.array_equal(in_chunks_of(337), whole, equal_nan=True)
    assert np.nanmax(whole[:, 4]) > 0, "some frauds were known"


DAY_MS = 86_400_000


@given(
    times=st.lists(st.integers(0, 4 * DAY_MS), min_size=1, max_size=40).map(sorted),
    chunk_size=st.integers(1, 9),
    day_count=st.sampled_from((1.0, 1.5, 2.0, 9.0)),
)
def test_of_the_first_days_nothing_behind_them_is_in_the_state(
    times: list[int], chunk_size: int, day_count: float
) -> None:
    values = [record(i, ms) for i, ms in enumerate(times)]
    end_ms = times[0] // DAY_MS * DAY_MS + day_count * DAY_MS
    kept = sum(ms < end_ms for ms in times)
    history, expected = History(config("1s")), History(config("1s"))
    whole = expected.fold(values[:kept], [None] * kept)

    spans = []
    for begin in range(0, len(values), chunk_size):
        chunk = values[begin : begin + chunk_size]
        spans.append(history.fold(chunk, [None] * len(chunk), day_count=day_count))

    assert np.array_equal(features(spans), whole.features, equal_nan=True)
    assert history.newest_ms == expected.newest_ms == NEW_YEAR + times[kept - 1]
    assert history.is_over == (kept < len(times))
    assert stored(history) == stored(expected)


def stored(history: History) -> list[tuple[str | None, bytes]]:
    """What a cut would write."""
    cuts = history.state.cut(0, count_max=1_000).values()
    return [one for cut in cuts for one in zip(cut.names, map(bytes, cut.blobs), strict=True)]


def test_frauds_that_are_not_known_at_the_end_wait() -> None:
    history = History(config("10s"))
    values = [record(i, 1_000 * i, shop=f"S{i}") for i in range(20)]
    history.fold(values, [i % 2 == 0 for i in range(20)])

    waiting = history.waiting_labels()

    assert [one.transaction_id for one in waiting] == ["10", "12", "14", "16", "18"]
    first = waiting[0]
    assert (first.label, first.observed_ms) == ("fraud", NEW_YEAR + 20_000)
    assert (first.event_time_ms, first.entities) == (
        NEW_YEAR + 10_000,
        {"account": "A", "shop": "S10"},
    )


def test_a_row_that_comes_again_is_neither_counted_nor_learnt_from() -> None:
    settings = config("1s")
    ignoring = replace(settings, schema=replace(settings.schema, duplicates="ignore"))
    first, again, later = record(1, 0), record(1, 500), record(2, 3_000)

    seen = History(ignoring).fold([first, again, again, later], [True, True, None, False])
    plain = History(settings).fold([first, later], [True, False])

    assert seen.labels.tolist() == [1, UNKNOWN, UNKNOWN, 0]
    assert seen.features[[0, 3]].tolist() == plain.features.tolist()
