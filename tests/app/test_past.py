"""The generated history as examples: what they say, and that they are the same each time."""

import asyncio
import tomllib
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from sentinel import config as configuration
from sentinel.adapters.memory import MemoryBroker, MemoryCluster, MemoryTail
from sentinel.app.builtin.past import GeneratedPast, held_out_of, keep_past, past_rows
from sentinel.codec.examples import decode_columns
from sentinel.codec.records import encode, keyed
from sentinel.config import Config
from sentinel.core.features.hashing import hash64
from sentinel.core.learning.maturity import is_sampled
from sentinel.core.learning.training_data.hold_out import is_held_out
from sentinel.core.topics import TopicSpec
from sentinel.errors import ConfigError
from sentinel.learner.manifests import lineage
from sentinel.operations.data.history import History, Rows
from sentinel.operations.models.train import train
from sentinel.records import Example
from sentinel.serving_model import ServingModel, serving_model
from sentinel.stored.versions import Artifact
from tests.app import small

DAY_MS = 86_400_000
DELAY_MS = 2 * DAY_MS  # small.toml: training.label_delay


@cache
def spans() -> tuple[Rows, ...]:
    history = History(_config())
    return tuple(history.fold(*day) for day in zip(*small.simulated(), strict=True))


@cache
def _config() -> Config:
    return configuration.build(tomllib.loads(small.TOML))


@cache
def _serving() -> ServingModel:
    config = _config()
    features, labels, times_ms, accounts = small.folded(config)
    text, manifest = train(features, labels, times_ms, accounts, config)
    names = [feature.name for feature in config.features]
    return serving_model(Artifact("1.0.0", text, manifest), names)


@cache
def _rows() -> pl.DataFrame:
    return past_rows(spans(), _serving(), _config())


def all_of(past: GeneratedPast, now_ms: int = 10**15) -> list[Example]:
    return asyncio.run(past.due(now_ms))


def end_ms() -> int:
    return int(spans()[-1].transactions.event_time_ms[-1])


def test_frauds_are_all_there_and_the_genuine_as_often_as_the_archive_presumes_them() -> None:
    found = all_of(GeneratedPast(_rows()))

    ids = [one or "" for rows in spans() for one in rows.transactions.transaction_id]
    is_fraud = np.concatenate([rows.labels for rows in spans()]) == 1
    share = _config().maturity.genuine_share
    sampled = is_sampled(hash64(ids), share)
    expected = {
        one: fraud
        for one, fraud, is_in in zip(ids, is_fraud, sampled, strict=True)
        if fraud or is_in
    }
    assert {one.transaction_id: one.label == "fraud" for one in found} == expected
    assert 0.05 < len(found) / len(ids) < 0.2
    for one in found:
        is_known = one.label == "fraud"
        assert one.propensity == (1.0 if is_known else share)
        assert one.weight == 1.0 / one.propensity
        assert one.source == ("chargeback" if is_known else "presumed")
        assert one.label_delay_ms == (DELAY_MS if is_known else None)
        assert (one.action, one.is_selective, one.is_explored) == ("approve", False, False)


def test_their_features_are_those_that_scoring_would_have_had() -> None:
    by_id = {one.transaction_id: one for one in all_of(GeneratedPast(_rows()))}
    names = [feature.name for feature in _config().features]

    compared = 0
    for rows in spans():
        raw = _serving().model.raw_scores(rows.features)
        for i, transaction in enumerate(rows.transactions.transaction_id):
            if (one := by_id.get(transaction or "")) is None:
                continue
            compared += 1
            values = [one.features.get(name, np.nan) for name in names]
            np.testing.assert_array_equal(np.array(values, dtype=np.float64), rows.features[i])
            assert one.score == _serving().scaled(raw[i : i + 1])[0]
            assert one.event_time_ms == rows.transactions.event_time_ms[i]
            assert one.account == rows.transactions.entities["account"][i]
    assert compared == len(by_id)


def test_no_decision_can_have_the_name_of_one() -> None:
    found = all_of(GeneratedPast(_rows()))

    assert len({one.id for one in found}) == len(found)
    assert {one.decision_id for one in found} == {f"history-{o.transaction_id}" for o in found}
    for topic in ("transactions", "history"):
        names = {f"{topic}-{partition}-7" for partition in range(4)}
        assert names.isdisjoint(one.decision_id for one in found)


def test_a_trainer_takes_every_one_of_them() -> None:
    found = all_of(GeneratedPast(_rows()))
    records = [(i, 2**41, encode(one)) for i, one in enumerate(found)]

    decoded = decode_columns(records, [feature.name for feature in _config().features])

    assert decoded.refused_count == 0
    assert len(decoded.rows) == len(found)
    assert decoded.rows.examples.is_presumed.sum() == sum(one.label == "genuine" for one in found)


def test_each_comes_when_its_label_is_known_and_once() -> None:
    past = GeneratedPast(_rows())
    middle_ms = end_ms() - 5 * DAY_MS

    first = all_of(past, middle_ms)
    assert not past.is_over
    again = all_of(past, middle_ms)
    rest = all_of(past, end_ms() + DELAY_MS)

    assert again == []
    assert max(one.event_time_ms for one in first) <= middle_ms - DELAY_MS
    assert min(one.event_time_ms for one in rest) > middle_ms - DELAY_MS
    assert first + rest == all_of(GeneratedPast(_rows()))
    assert past.is_over


def test_after_a_restart_they_are_the_same_to_the_byte(tmp_path: Path) -> None:
    keep_past(_rows(), tmp_path)
    runs = []
    for _ in range(2):
        past = GeneratedPast.kept(tmp_path)
        assert past is not None
        runs.append([encode(one) for one in all_of(past)])

    assert runs[0] == runs[1] == [encode(one) for one in all_of(GeneratedPast(_rows()))]


async def test_what_is_out_in_this_log_is_not_published_again(tmp_path: Path) -> None:
    """As after a crash in the middle; another log is empty, and gets all of them."""
    keep_past(_rows(), tmp_path)
    everything = await GeneratedPast(_rows()).due(10**15)
    cluster = MemoryCluster()
    async with MemoryBroker(cluster) as broker:
        await broker.ensure_topics([TopicSpec("examples", 1)])
        await broker.publish("examples", 0, [keyed(o.transaction_id, o) for o in everything[:700]])
        await broker.flush()
    past = GeneratedPast.kept(tmp_path)
    assert past is not None

    async with MemoryTail(cluster, ["examples"]) as tail:
        await past.look(tail, "examples")

    assert await past.due(10**15) == everything[700:]


def test_without_a_readable_file_there_is_no_past(tmp_path: Path) -> None:
    assert GeneratedPast.kept(tmp_path) is None
    (tmp_path / "history.parquet").write_bytes(b"PAR1 and then nothing")
    assert GeneratedPast.kept(tmp_path) is None


def test_a_file_that_cannot_be_written_is_told_of(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"history\.parquet: cannot be written"):
        keep_past(_rows(), tmp_path / "nowhere")


def test_a_first_model_leaves_to_the_test_what_learners_leave_to_it() -> None:
    config = _config()
    features, labels, times_ms, accounts = small.folded(config)
    ids = [one or "" for rows in spans() for one in rows.transactions.transaction_id]

    out = held_out_of(spans(), config.learning.old_share)
    _, told = train(features, labels, times_ms, accounts, config, held_out=out)
    _, plain = train(features, labels, times_ms, accounts, config)

    np.testing.assert_array_equal(out, is_held_out(hash64(ids), config.learning.old_share))
    window, whole = told["window"], plain["window"]
    assert 0.85 < window["train"]["rows"] / whole["train"]["rows"] < 0.95
    assert window["calibration"]["rows"] < whole["calibration"]["rows"]
    assert window["test"] == whole["test"]
    since = lineage(Artifact("1.0.0", "", told), config.learning.old_share)
    assert since.held_out_since_ms == 0, "what was learnt long ago can be tested from the start"
    assert lineage(Artifact("1.0.0", "", plain), 0.1).held_out_since_ms > 0
    assert "hold_out" not in plain
