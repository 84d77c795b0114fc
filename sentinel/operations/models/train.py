"""A first model from history: fit, calibrate, test on the last days, write it down."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentinel import __version__
from sentinel.codec.drift.references import manifest_entry
from sentinel.config import Config
from sentinel.core.decision import APPROVE, actions, usual_ranges
from sentinel.core.drift.counts.reference import Reference, reference_of
from sentinel.core.drift.params import segmentation_of
from sentinel.core.features.hashing import hash64
from sentinel.core.features.spec import duration_ms
from sentinel.core.learning.calibration import (
    Calibration,
    expected_calibration_error,
    fit_calibration,
)
from sentinel.core.learning.evaluation import (
    auc,
    average_precision,
    card_precision_top_k,
    recall_at_false_positive_rate,
)
from sentinel.errors import ConfigError
from sentinel.model import Model, fit
from sentinel.operations.data.history import DAY_MS, UNKNOWN
from sentinel.records import Floats, Ints
from sentinel.serving_model import (
    GOLDEN_ROW_COUNT,
    ServingModel,
    golden,
    serving_manifest,
    window_manifest,
)

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class TimeSpans:
    """Which rows serve what; each is a mask over all rows."""

    train: Mask
    calibration: Mask
    test: Mask


def spans(
    times_ms: Ints,
    labels: Ints,
    config: Config,
    *,
    needed: Sequence[str] = ("train", "calibration", "test"),
) -> TimeSpans:
    """Cut history by event time: warm-up, training, calibration, the label delay, test.

    Raises ConfigError when a span that is needed holds no fraud or nothing genuine.
    """
    params = config.training
    first, last = int(times_ms[0]), int(times_ms[-1])
    test_begin = last + 1 - duration_ms(params.test)
    calibration_end = test_begin - duration_ms(params.label_delay)
    calibration_begin = calibration_end - duration_ms(params.calibration)
    train_begin = first + duration_ms(params.warmup)
    known = labels != UNKNOWN
    found = TimeSpans(
        train=known & (times_ms >= train_begin) & (times_ms < calibration_begin),
        calibration=known & (times_ms >= calibration_begin) & (times_ms < calibration_end),
        test=known & (times_ms >= test_begin),
    )
    for name in needed:
        present = set(np.unique(labels[getattr(found, name)]).tolist())
        if present != {0, 1}:
            raise ConfigError(
                f"the span for {name} needs frauds and genuine transactions, it has "
                f"{int(getattr(found, name).sum())} labelled rows of classes {sorted(present)}; "
                f"the history spans {(last - first) / DAY_MS:.1f} days: give more, or shorten "
                "training.warmup, calibration, test or label_delay"
            )
    return found


def train(
    features: Floats,
    labels: Ints,
    times_ms: Ints,
    accounts: Sequence[str],
    config: Config,
    *,
    held_out: Mask | None = None,
    on_tree: Callable[[int], None] | None = None,
) -> tuple[str, dict[str, Any]]:
    """Fit on the past, test on what came after. Returns the model's text and its manifest.

    Parameters
    ----------
    held_out
        Transactions that are neither trained on nor calibrated by, as learners hold them out; None
        where no learner will know which these were.
    """
    cut = spans(times_ms, labels, config)
    if held_out is not None:
        cut = TimeSpans(cut.train & ~held_out, cut.calibration & ~held_out, cut.test)
    names = [feature.name for feature in config.features]
    text = fit(
        features[cut.train],
        labels[cut.train],
        params=config.training.fit,
        feature_names=names,
        on_iteration=on_tree,
    )
    model = Model.from_text("candidate", text)
    calibration = fit_calibration(
        model.raw_scores(features[cut.calibration]), labels[cut.calibration]
    )
    usual = usual_ranges(features[cut.train & (labels == 0)][-200_000:])
    ready = ServingModel("candidate", model, calibration, usual)
    manifest = {
        "sentinel": __version__,
        "strategy": "first",
        "config_version": config.version,
        **serving_manifest(ready),
        "fit": asdict(config.training.fit),
        "window": {
            name: window_manifest(times_ms[getattr(cut, name)])
            for name in ("train", "calibration", "test")
        },
        "metrics": evaluate(
            model, calibration, features, labels, times_ms, accounts, cut.test, config
        ),
        "golden": golden(ready, features[cut.test][:GOLDEN_ROW_COUNT]),
    }
    if config.drift.enabled:
        found = _reference(ready, features, times_ms, accounts, config)
        manifest["reference"] = manifest_entry(found)
    if held_out is not None:
        manifest["hold_out"] = {"share": config.learning.old_share, "since_ms": 0}
    return text, manifest


def _reference(
    ready: ServingModel, features: Floats, times_ms: Ints, accounts: Sequence[str], config: Config
) -> Reference:
    """What the stream was like: of all rows behind the warm-up, labelled or not.

    While the longest window of a feature fills, what is missing and what is usual is not yet what
    it will be: such rows are left out, but for the last half of the history. Scores are those of
    rows that no tree has seen: of others a model is too sure. Amounts are those of the feature that
    holds them; without one no money is counted.
    """
    params = config.training
    fitted_ms = sum(map(duration_ms, (params.test, params.label_delay, params.calibration)))
    half_ms = (times_ms[-1] - times_ms[0]) // 2
    filling_ms = max(duration_ms(params.warmup), min(config.history_ms, half_ms))
    at = np.flatnonzero(times_ms >= times_ms[0] + filling_ms)
    probability = np.full(len(features), np.nan)
    unseen = times_ms > times_ms[-1] - fitted_ms
    probability[unseen] = ready.probability(ready.model.raw_scores(features[unseen]))
    amounts = [i for i, feature in enumerate(config.features) if feature.stat == "amount"]
    amount = features[:, amounts[0]] if amounts else np.zeros(len(features))
    return reference_of(
        ready.model.feature_names,
        features[at],
        times_ms[at],
        hash64(list(accounts))[at],
        probability[at],
        np.rint(np.nan_to_num(amount[at]) * 10**config.schema.amount_decimals).astype(np.int64),
        actions(np.nan_to_num(probability[at]), config.policy) != APPROVE,
        rows_per_account_max=config.drift.rows_per_account_max,
        segmentation=segmentation_of(config.features, config.drift),
    )


def evaluate(
    model: Model,
    calibration: Calibration,
    features: Floats,
    labels: Ints,
    times_ms: Ints,
    accounts: Sequence[str] | Ints,
    at: Mask,
    config: Config,
) -> dict[str, float | int | None]:
    """The measures that the field reports, on the rows `at`; accounts as names or as codes."""
    raw = model.raw_scores(features[at])
    truth = labels[at]
    probability = calibration.probability(raw)
    _, cards = np.unique(np.array(accounts)[at], return_inverse=True)
    checked = config.training.cards_checked
    return {
        "rows": int(at.sum()),
        "frauds": int(truth.sum()),
        "prevalence": float(truth.mean()),
        "auc": auc(raw, truth),
        "average_precision": average_precision(raw, truth),
        "recall_at_1_percent_false_positives": recall_at_false_positive_rate(raw, truth, 0.01),
        f"card_precision_at_{checked}": card_precision_top_k(
            raw, truth, times_ms[at] // DAY_MS, cards, k=checked
        ),
        "expected_calibration_error": expected_calibration_error(probability, truth),
        "mean_probability_to_prevalence": float(probability.mean() / truth.mean()),
    }
