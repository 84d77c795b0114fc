"""A model version that can serve: what turns its raw scores into decisions, and its manifest."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.special import expit

from sentinel.core.decision import Usual
from sentinel.core.learning.calibration import Calibration
from sentinel.core.learning.scale import ScoreMap
from sentinel.errors import ModelError
from sentinel.model import Model
from sentinel.records import Floats, Ints
from sentinel.stored.versions import Artifact

GOLDEN_ROW_COUNT = 16


@dataclass(frozen=True, slots=True)
class ServingModel:
    """A model version, ready: its calibration and what was usual in its training data.

    Attributes
    ----------
    scale
        From the model's raw scores to those of the champion before it, so that thresholds on the
        score go on meaning the same; None where there was none before.
    sha256
        Of the model's text; empty where nobody has said it.
    base_rate
        The share of frauds among the transactions that it was measured on; None where nobody has
        said it.
    """

    version: str
    model: Model
    calibration: Calibration
    usual: Usual
    scale: ScoreMap | None = None
    sha256: str = ""
    base_rate: float | None = None

    def scaled(self, raw: Floats) -> Floats:
        """Log-odds on the scale on which scores are served, of raw scores, same shape."""
        return self.model.steepness * raw if self.scale is None else self.scale(raw)

    def score(self, raw: Floats) -> Floats:
        """The score that is served, in [0, 1], of raw scores, same shape."""
        if self.scale is None:
            return self.model.scores_of(raw)
        return np.asarray(expit(self.scale(raw)), dtype=np.float64)

    def probability(self, raw: Floats) -> Floats:
        """The calibrated probability of fraud in [0, 1], of raw scores, same shape."""
        return self.calibration.probability(raw)


def serving_model(artifact: Artifact, features: Sequence[str]) -> ServingModel:
    """A stored version, ready to serve. Raises ModelError when it is not for these features."""
    manifest = artifact.manifest
    if (told_features := manifest.get("features")) != list(features):
        expected = told_features if isinstance(told_features, list) else []
        differing = sorted(set(map(str, expected)) ^ set(features)) or "in another order"
        raise ModelError(
            artifact.version,
            f"was trained on other features than [[features]] declares: {differing}",
        )
    try:
        calibration = Calibration(**manifest["calibration"])
        usual = manifest["usual"]
        low, high = (np.array(usual[name], dtype=np.float64) for name in ("low", "high"))
        told = manifest.get("scale")
        scale = None if told is None else _score_map(told)
    except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise ModelError(artifact.version, f"has an unusable manifest: {error}") from error
    if low.shape != (len(features),) or high.shape != low.shape:
        raise ModelError(artifact.version, "its usual ranges do not match its features")
    model = Model.from_text(artifact.version, artifact.text)
    if model.feature_names != tuple(features):
        raise ModelError(artifact.version, "its model.txt names other features than its manifest")
    sha256 = str(manifest.get("sha256", ""))
    return ServingModel(
        artifact.version, model, calibration, Usual(low, high), scale, sha256, _base_rate(manifest)
    )


def ready_model(artifact: Artifact, features: Sequence[str]) -> ServingModel:
    """A stored version, ready and proven to be the one that was made. Raises ModelError if not."""
    serving = serving_model(artifact, features)
    check_golden(serving, artifact.manifest)
    return serving


def serving_manifest(serving: ServingModel) -> dict[str, Any]:
    """What `serving_model` reads, but for the scale, which not every version has."""
    usual = serving.usual
    return {
        "features": list(serving.model.feature_names),
        "trees": serving.model.tree_count,
        "engine": serving.model.engine,
        "calibration": asdict(serving.calibration),
        "usual": {"low": usual.low.tolist(), "high": usual.high.tolist()},
    }


def window_manifest(times_ms: Ints) -> dict[str, int]:
    """Of which span of event time some rows are, at least one; ascending, int64 (n,)."""
    return {"first_ms": int(times_ms[0]), "last_ms": int(times_ms[-1]), "rows": times_ms.size}


def golden(serving: ServingModel, features: Floats) -> dict[str, Any]:
    """What the model says of a few rows, for the manifest: whoever loads it must get the same."""
    features = features[~np.any(np.isinf(features), axis=1)]  # JSON has no word for infinite
    raw = serving.model.raw_scores(features)
    return {
        "features": [[None if np.isnan(x) else x for x in row] for row in features.tolist()],
        "score": serving.score(raw).tolist(),
        "probability": serving.probability(raw).tolist(),
    }


def check_golden(serving: ServingModel, manifest: Mapping[str, Any]) -> None:
    """Whether the model says the same here as where it was made, bit for bit.

    Raises ModelError if not. A manifest without golden rows is not held against it.
    """
    told = manifest.get("golden")
    if told is None:
        return
    try:
        features = np.array(told["features"], dtype=np.float64)
        features = features.reshape(-1, len(serving.model.feature_names))
        raw = serving.model.raw_scores(features)
        found = {"score": serving.score(raw), "probability": serving.probability(raw)}
        differing = [name for name in found if found[name].tolist() != told[name]]
    except (ArithmeticError, KeyError, TypeError, ValueError) as error:
        raise ModelError(serving.version, f"has unusable golden rows: {error}") from error
    if differing:
        raise ModelError(
            serving.version, f"gives another {' and '.join(differing)} here than where it was made"
        )


def _base_rate(manifest: Mapping[str, Any]) -> float | None:
    metrics = manifest.get("metrics")
    told = metrics.get("prevalence") if isinstance(metrics, Mapping) else None
    return float(told) if isinstance(told, int | float) and 0 < told < 1 else None


def _score_map(told: Mapping[str, Any]) -> ScoreMap:
    return ScoreMap(
        tuple(told["challenger"]), tuple(told["champion"]), float(told["share_error_max"])
    )
