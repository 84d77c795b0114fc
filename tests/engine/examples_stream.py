"""A stream of examples as the topic has them, and a champion that was trained on its begin."""

from dataclasses import asdict, replace
from functools import lru_cache

import numpy as np
from numpy.random import default_rng
from scipy.special import expit

from sentinel.codec.examples import decode_columns
from sentinel.codec.records import encode
from sentinel.core.decision import usual_ranges
from sentinel.core.learning.calibration import Calibration
from sentinel.core.learning.gate.judging import GateParams
from sentinel.core.learning.params import FitParams
from sentinel.core.learning.training_data.hold_out import is_held_out
from sentinel.core.learning.training_data.memory import MemoryParams
from sentinel.core.learning.training_data.selection import SelectionParams
from sentinel.learner.candidates import Candidate, CandidateParams, retrain
from sentinel.learner.params import LearningParams
from sentinel.records import Example
from sentinel.stored.versions import Artifact

NAMES = ("amount", "count_1h", "known_frauds", "age_ms")
OLD, NEW = 0, 1  # the columns by which frauds are told: always, and since the world has changed
BEGIN_MS = 1_700_000_000_000
STEP_MS = 20_000
Records = list[tuple[int, int, bytes | None]]

PARAMS = LearningParams(
    candidates=CandidateParams(
        selection=SelectionParams(
            row_count_min=500, fraud_count_min=20, calibration_fraud_count_min=10
        ),
        fit=FitParams(tree_count=30, leaf_count_max=8, learning_rate=0.15),
        tree_count_per_update=15,
        tree_count_max=80,
    ),
    memory=MemoryParams(row_count_max=5_000, stratum_count=12),
    gate=GateParams(
        example_count_min=1_000,
        fraud_count_min=60,
        replicate_count=100,
        flipped_share_max=0.5,
        latency_ratio_max=10.0,
        segment_fraud_count_min=1_000,
        review_capacity=100,
    ),
    window_row_count_max=30_000,
    gate_fraud_count=200,
    gate_share_max=0.4,
    old_share=0.25,
    old_row_count_max=3_000,
)


@lru_cache(maxsize=4)
def stream(count: int, *, changed_at: int | None = None, seed: int = 1) -> list[Example]:
    """One transaction every 20 seconds, of which about 7 % are fraud.

    From `changed_at` on there are transactions of a new kind, one in ten, half of them fraud.
    """
    rng = default_rng([seed, 77])
    features = rng.normal(size=(count, len(NAMES)))
    features[:, NEW] = np.minimum(features[:, NEW], 2.5)
    is_new = rng.random(count) < 0.1
    is_new &= np.arange(count) >= (count if changed_at is None else changed_at)
    features[is_new, NEW] = 3.0 + rng.random(int(is_new.sum()))
    is_fraud = rng.random(count) < expit(2.0 * features[:, OLD] - 4.0)
    is_fraud[is_new] = rng.random(int(is_new.sum())) < 0.5
    features[rng.random(features.shape) < 0.02] = np.nan
    features[-1, OLD] = 0.0  # presumed, so that all before it are mature
    amounts = rng.lognormal(8, 1.0, count).astype(np.int64)
    accounts = rng.integers(0, count // 3, count)
    return [
        Example(
            id=f"feedback-{i}",
            transaction_id=f"T{i}",
            decision_id=f"D{i}",
            event_time_ms=BEGIN_MS + i * STEP_MS,
            account=f"A{accounts[i]}",
            amount_minor=int(amounts[i]),
            score=0.1,
            probability=0.1,
            action="review" if features[i, OLD] > 1.0 else "approve",
            model_version="1.0.0",
            arm="champion",
            features={
                name: None if np.isnan(value) else float(value)
                for name, value in zip(NAMES, features[i], strict=True)
            },
            label="fraud" if is_fraud[i] else "genuine",
            posterior=0.999 if is_fraud[i] else 0.001,
            source="investigator" if features[i, OLD] > 1.0 else "presumed",
            label_delay_ms=None,
            propensity=1.0,
            weight=1.0,
        )
        for i in range(count)
    ]


def records(examples: list[Example], *, first_offset: int = 0) -> Records:
    """As they come from the topic, each appended a minute after it happened."""
    return [
        (first_offset + i, example.event_time_ms + 60_000, encode(example))
        for i, example in enumerate(examples)
    ]


def champion_of(rows: Records, params: LearningParams = PARAMS) -> Artifact:
    """A model trained on these examples, but for those that are held out."""
    examples = decode_columns(rows, NAMES).rows.examples
    ours = examples.take(~is_held_out(examples.id_hash, params.old_share))
    found = retrain(ours, NAMES, params.candidates)
    assert isinstance(found, Candidate), found
    usual = usual_ranges(ours.features)
    manifest = {
        "features": list(NAMES),
        "calibration": asdict(found.calibration),
        "usual": {"low": usual.low.tolist(), "high": usual.high.tolist()},
        "trained_until_ms": found.trained_until_ms,
        "hold_out": {"share": params.old_share, "since_ms": 0},
    }
    return Artifact("1.0.0", found.text, manifest)


def recalibrated(artifact: Artifact, *, shift: float) -> Artifact:
    """The same model with probabilities that are out by so much in log-odds."""
    before = Calibration(**artifact.manifest["calibration"])
    out = replace(before, intercept=before.intercept + shift)
    return replace(artifact, manifest={**artifact.manifest, "calibration": asdict(out)})
