"""What is written down of a candidate: all that it takes to serve it, and to tell how it came."""

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from sentinel import __version__
from sentinel.core.decision import usual_ranges
from sentinel.core.learning.calibration import expected_calibration_error
from sentinel.core.learning.evaluation import auc, average_precision
from sentinel.core.learning.gate.checks import Check
from sentinel.core.learning.gate.evidence import PairedScores
from sentinel.core.learning.gate.judging import Verdict
from sentinel.core.learning.training_data.columns import Columns
from sentinel.core.learning.training_data.examples import Examples
from sentinel.errors import ModelError
from sentinel.learner.attempts import Material
from sentinel.learner.candidates import Candidate, CandidateParams
from sentinel.learner.comparison import Compared, score_map
from sentinel.model import Model
from sentinel.records import Floats
from sentinel.serving_model import (
    GOLDEN_ROW_COUNT,
    ServingModel,
    golden,
    serving_manifest,
    window_manifest,
)
from sentinel.stored.versions import Artifact

_USUAL_ROW_COUNT_MAX = 200_000


@dataclass(frozen=True, slots=True)
class Lineage:
    """Until when the trees of a model and of those it goes back to have seen what.

    Attributes
    ----------
    trained_until_ms
        No tree has seen an example whose event time is this or later.
    held_out_since_ms
        Nor one from here on that is held out from training.
    """

    trained_until_ms: int
    held_out_since_ms: int


def lineage(artifact: Artifact, old_share: float) -> Lineage:
    """By the manifest; a model that is not from a learner of this share has held out nothing.

    Raises ModelError if the manifest makes no sense.
    """
    manifest = artifact.manifest
    try:
        train = manifest.get("window", {}).get("train", {})
        until_ms = int(manifest.get("trained_until_ms", train.get("last_ms", -1) + 1))
        told = manifest.get("hold_out")
        if told is None or float(told["share"]) < old_share:
            return Lineage(until_ms, until_ms)
        return Lineage(until_ms, int(told["since_ms"]))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ModelError(artifact.version, f"has an unusable manifest: {error}") from error


def inherited(candidate: Candidate, parent: Lineage) -> Lineage:
    """Of a candidate: the trees of a parent are in it, or they are not."""
    has_parent = candidate.strategy in ("recalibrate", "continue")
    since_ms = parent.held_out_since_ms if has_parent else 0
    return Lineage(candidate.trained_until_ms, since_ms)


@dataclass(frozen=True, slots=True)
class JudgedCandidate:
    """A candidate, and what the gate says of it.

    Attributes
    ----------
    model
        It, ready to score on its own scale.
    """

    candidate: Candidate
    model: ServingModel
    found: Compared
    verdict: Verdict


def candidate_model(candidate: Candidate, rows: Columns) -> ServingModel:
    """The candidate, ready to score on its own scale; what is usual is so by these rows."""
    genuine = rows.examples.features[~rows.examples.is_fraud][-_USUAL_ROW_COUNT_MAX:]
    model = Model.from_text(candidate.strategy, candidate.text)
    return ServingModel(candidate.strategy, model, candidate.calibration, usual_ranges(genuine))


def manifest(
    judged: JudgedCandidate, material: Material, params: CandidateParams, *, old_share: float
) -> dict[str, Any]:
    """The candidate's manifest, but for its version and the checksum of its text.

    Its scores are put on the champion's scale, by the examples on which it was judged; those of a
    recalibration are on the champion's as they are.
    """
    candidate, rows = judged.candidate, judged.found.rows
    is_same = candidate.strategy == "recalibrate"
    scale = material.serving.scale if is_same else score_map(judged.found)
    ready = replace(judged.model, scale=scale)
    since = inherited(candidate, lineage(material.champion, old_share))
    return {
        "sentinel": __version__,
        "strategy": candidate.strategy,
        "parent": material.champion.version,
        **serving_manifest(ready),
        "fit": asdict(params.fit),
        "continue": {
            "tree_count": params.tree_count_per_update,
            "learning_rate": params.continue_learning_rate,
        },
        "draw": material.draw,
        "scale": None if scale is None else asdict(scale),
        "window": _windows(candidate, material.rows.examples, rows.examples),
        "trained": _trained(candidate),
        "trained_until_ms": since.trained_until_ms,
        "hold_out": {"share": old_share, "since_ms": since.held_out_since_ms},
        "examples": _offsets(material.rows.examples, rows.examples),
        "metrics": _metrics(judged.found, judged.verdict),
        "golden": golden(ready, rows.examples.features[-GOLDEN_ROW_COUNT:]),
    }


def _windows(candidate: Candidate, before: Examples, gate: Examples) -> dict[str, Any]:
    """Event times of what trained, calibrated and judged, and how many rows there were."""
    is_train = before.event_time_ms < candidate.trained_until_ms
    parts = {"train": before.take(is_train), "calibration": before.take(~is_train), "gate": gate}
    return {name: window_manifest(part.event_time_ms) for name, part in parts.items() if len(part)}


def _trained(candidate: Candidate) -> dict[str, Any]:
    return {
        "rows": candidate.row_count,
        "frauds": candidate.fraud_count,
        "replayed": candidate.replayed_count,
        "kept_share": candidate.kept_share,
    }


def _offsets(before: Examples, gate: Examples) -> dict[str, int]:
    versions = np.concatenate([before.version, gate.version])
    return {"first_offset": int(versions.min()), "last_offset": int(versions.max())}


def _metrics(found: Compared, verdict: Verdict) -> dict[str, Any]:
    """On the gate's examples: of both, and all that the gate asked."""
    scores, probability = found.evidence.recent, found.evidence.challenger_probability
    prevalence = float(np.average(scores.labels, weights=scores.weights))
    return {
        "rows": len(scores),
        "frauds": int(scores.labels.sum()),
        "prevalence": prevalence,
        **_ranking(scores.challenger, scores),
        "expected_calibration_error": expected_calibration_error(
            probability, scores.labels, weights=scores.weights
        ),
        "mean_probability_to_prevalence": float(
            np.average(probability, weights=scores.weights) / prevalence
        ),
        "champion": _ranking(scores.champion, scores),
        "outcome": verdict.outcome,
        "checks": {check.name: _check(check) for check in verdict.checks},
    }


def _ranking(score: Floats, scores: PairedScores) -> dict[str, float | None]:
    return {
        "auc": auc(score, scores.labels, weights=scores.weights),
        "average_precision": average_precision(score, scores.labels, weights=scores.weights),
    }


def _check(check: Check) -> dict[str, Any]:
    return {
        "status": check.status,
        "measured": check.measured,
        "interval": None if check.interval is None else list(check.interval),
        "allowed": list(check.allowed),
        "sentence": check.sentence,
    }
