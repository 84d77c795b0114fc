"""Examples for the benchmark of updates, and two versions of a model that were made from them.

As many days of examples came before the champion as come behind it. Frauds are told by large
amounts all the time, and, behind the champion, also by what a device has spent: there is something
to learn, and the gate can see it. The features have the names of the benchmark's model; but for the
amount they are drawn, and have nothing to do with those of the transactions that are scored
meanwhile.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.random import default_rng
from scipy.special import expit

from sentinel.codec.examples import decode_columns
from sentinel.codec.records import encode
from sentinel.core.decision import PolicyParams, usual_ranges
from sentinel.core.learning.training_data.hold_out import is_held_out
from sentinel.core.registry import transitions
from sentinel.learner.candidates import Candidate, retrain
from sentinel.learner.learner import Learner
from sentinel.learner.params import LearningParams
from sentinel.records import Example, Floats
from sentinel.stored.versions import Artifact

FRAUD_SHARE = 0.02
FLAGGED_SHARE = 0.06  # of the transactions an investigator has looked at
DAY_MS = 86_400_000
SPAN_DAYS = 30  # before the champion, and behind it
END_MS = 1_700_000_000_000  # where the stream of transactions begins
AMOUNT, DEVICE = "amount", "device_sum_7d"  # by which frauds are told: always, and lately
MISSING_SHARE = 0.02
ACCOUNT_COUNT = 20_000
# More than an update takes: were the champion's calibration out by chance, a new one would be all
# that an update brings.
CALIBRATION_SHARE = 0.4
FIRST_VERSION = "1.0.0"

Records = list[tuple[int, int, bytes | None]]


@dataclass(frozen=True, slots=True)
class Material:
    """Examples, oldest first: those of before the champion, and the new ones."""

    old: list[Example]
    new: list[Example]


def material(names: Sequence[str], *, old_count: int, new_count: int, seed: int) -> Material:
    """Examples of two spans of `SPAN_DAYS` each."""
    begin_ms = END_MS - SPAN_DAYS * DAY_MS
    old = examples(names, old_count, end_ms=begin_ms, has_changed=False, seed=seed)
    new = examples(names, new_count, end_ms=END_MS, has_changed=True, seed=seed + 1)
    return Material(old, new)


def examples(
    names: Sequence[str], count: int, *, end_ms: int, has_changed: bool, seed: int
) -> list[Example]:
    """So many, evenly over `SPAN_DAYS` up to `end_ms`, about `FRAUD_SHARE` of them fraud."""
    rng = default_rng([seed, 77])
    features = rng.lognormal(3, 2, (count, len(names)))
    amount_minor = np.maximum(rng.lognormal(8, 1, count).astype(np.int64), 1)
    features[:, names.index(AMOUNT)] = amount_minor / 100
    risk = 1.2 * (np.log(amount_minor) - 8)
    if has_changed:
        risk = risk + 0.8 * (np.log(features[:, names.index(DEVICE)]) - 3)
    is_fraud = rng.random(count) < expit(risk + intercept(risk, FRAUD_SHARE))
    noisy = risk + rng.normal(0, 0.5, count)
    is_flagged = noisy > np.quantile(noisy, 1 - FLAGGED_SHARE)
    features[rng.random(features.shape) < MISSING_SHARE] = np.nan
    times_ms = (end_ms - (SPAN_DAYS * DAY_MS * (1 - np.arange(count) / count))).astype(np.int64)
    accounts = rng.integers(0, ACCOUNT_COUNT, count)
    columns = zip(
        features, amount_minor.tolist(), is_fraud, is_flagged, times_ms.tolist(), accounts,
        strict=True,
    )  # fmt: skip
    return [_example(f"past-{times_ms[0]}-{i}", names, *row) for i, row in enumerate(columns)]


def intercept(risk: Floats, share: float) -> float:
    """What to add to log-odds of shape (n,) so that their mean probability is the share."""
    low, high = -30.0, 30.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if expit(risk + middle).mean() > share else (middle, high)
    return (low + high) / 2


def _example(
    name: str,
    names: Sequence[str],
    features: Floats,
    amount_minor: int,
    is_fraud: bool,
    is_flagged: bool,
    time_ms: int,
    account: int,
) -> Example:
    return Example(
        id=f"label-{name}",
        transaction_id=name,
        decision_id=f"transactions-0-{name}",
        event_time_ms=time_ms,
        account=f"card-{account:08d}",
        amount_minor=amount_minor,
        score=0.02,
        probability=0.02,
        action="review" if is_flagged else "approve",
        model_version=FIRST_VERSION,
        arm="champion",
        features={
            feature: None if np.isnan(value) else value
            for feature, value in zip(names, features.tolist(), strict=True)
        },
        label="fraud" if is_fraud else "genuine",
        posterior=0.999 if is_fraud else 0.001,
        source="investigator" if is_flagged else ("chargeback" if is_fraud else "presumed"),
        label_delay_ms=DAY_MS if is_flagged or is_fraud else None,
        propensity=1.0,
        weight=1.0,
    )


def champion_of(old: Sequence[Example], names: Sequence[str]) -> Artifact:
    """The first version, trained on the old examples but for those that are held out."""
    params = LearningParams()
    selection = replace(params.candidates.selection, calibration_share=CALIBRATION_SHARE)
    candidates = replace(params.candidates, selection=selection)
    rows = decode_columns(as_read(old), names).rows.examples
    ours = ~is_held_out(rows.id_hash, params.old_share)
    found = retrain(rows.take(ours), tuple(names), candidates)
    if not isinstance(found, Candidate):
        raise SystemExit(f"there is no champion: {found.reason}")
    usual = usual_ranges(rows.features[~rows.is_fraud])
    manifest = {
        "features": list(names),
        "calibration": asdict(found.calibration),
        "usual": {"low": usual.low.tolist(), "high": usual.high.tolist()},
        "fit": asdict(params.candidates.fit),
        # A continuation begins behind all of them, those that calibrate included.
        "trained_until_ms": old[-1].event_time_ms + 1,
        "hold_out": {"share": params.old_share, "since_ms": 0},
    }
    return Artifact(FIRST_VERSION, found.text, manifest)


def continuation_of(champion: Artifact, given: Material, names: Sequence[str]) -> Artifact:
    """The second version: the champion with some trees more, fitted on the new examples."""
    params = replace(LearningParams(), strategies=("continue",))
    learner = Learner(names, PolicyParams(), params)
    learner.take(as_read([*given.old, *given.new]))
    made = (updated := learner.update(champion, draw=1)).made
    if made is None:
        raise SystemExit(f"there is no second version: {updated.reason}")
    change = transitions.kind_of_change(champion.manifest, made.manifest)
    version = transitions.next_version([champion.version], champion.version, change)
    sha256 = hashlib.sha256(made.text.encode()).hexdigest()
    return Artifact(version, made.text, {**made.manifest, "version": version, "sha256": sha256})


def as_read(given: Sequence[Example]) -> Records:
    """As they come from the topic, each appended a minute after it happened."""
    return [(i, one.event_time_ms + 60_000, encode(one)) for i, one in enumerate(given)]
