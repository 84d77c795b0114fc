"""The peers' job is the job that Sentinel does: the same features of the same stream."""

import json
from pathlib import Path

import numpy as np

from benchmarks.peers.job import Job
from benchmarks.workloads import FEATURE_COUNT, card_stream, write_config, write_model
from sentinel import config as configuration
from sentinel.codec.transactions import TransactionDecoder
from sentinel.core.features.state import FeatureState
from sentinel.records import Record

COUNT = 3_000


def test_a_peer_reads_the_same_features_and_scores_them_the_same(tmp_path: Path) -> None:
    config = configuration.load(write_config(tmp_path), {})
    version = write_model(tmp_path, [feature.name for feature in config.features], tree_count=5)
    _, values = card_stream(COUNT, account_count=60)
    records = [Record(i, 0, None, value) for i, value in enumerate(values)]
    rows, _ = TransactionDecoder(config.schema).decode([(0, records)])
    state = FeatureState(
        config.entities, config.features, amount_decimals=config.schema.amount_decimals
    )
    state.admit_new(rows)
    job = Job(str(tmp_path / "models" / version / "model.txt"), "transactions")

    expected = state.fold(rows).features
    decided = [json.loads(job.decide(0, i, value)[1]) for i, value in enumerate(values)]

    features = np.array([decision["features"] for decision in decided], dtype=float)
    assert features.shape == (COUNT, FEATURE_COUNT)
    np.testing.assert_allclose(features, expected, rtol=1e-9)
    assert decided[5]["decision_id"] == "transactions-0-5"
