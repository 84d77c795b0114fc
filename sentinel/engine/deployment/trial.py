"""Before a version comes into the registry, all is done with it once that serving will do."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from sentinel.core.forest.probe import probe_rows
from sentinel.errors import ModelError
from sentinel.model import LightGBMError
from sentinel.records import Floats
from sentinel.serving_model import ServingModel, check_golden, serving_model
from sentinel.stored.versions import Artifact

BATCH_ROW_COUNT = 512
_ALONE_COUNT = 32  # rows that are also scored one by one: few rows have a kernel of their own
_EXPLAINED_COUNT = 8
_TIMED_COUNT = 5  # the best of them: the others tell of the machine
_SEED = 0

# Raw scores and probabilities of rows, by whoever made the model.
Reference = Callable[[Floats], tuple[Floats, Floats]]


@dataclass(frozen=True, slots=True)
class TrialParams:
    """What a version may take before it comes into the registry.

    Attributes
    ----------
    timeout_s, memory_mb_max
        Of the whole trial.
    row_ms_max, batch_ms_max
        To score one row, and 512; 0 for any time.
    """

    timeout_s: float = 300.0
    memory_mb_max: int = 4_096
    row_ms_max: float = 20.0
    batch_ms_max: float = 250.0

    def __post_init__(self) -> None:
        if self.timeout_s <= 0:
            raise ValueError(f"timeout_s must be positive, got {self.timeout_s}")
        if self.memory_mb_max < 512:
            raise ValueError(f"memory_mb_max must be at least 512, got {self.memory_mb_max}")
        if min(self.row_ms_max, self.batch_ms_max) < 0:
            raise ValueError("row_ms_max and batch_ms_max must not be negative")


@dataclass(frozen=True, slots=True)
class TrialResult:
    """What the trial found: who scores the version, why the kernel does not, how long it takes."""

    engine: str
    fallback_reason: str | None
    row_ms: float
    batch_ms: float


def trial_of(
    given: Artifact,
    features: Sequence[str],
    params: TrialParams,
    *,
    clock_s: Callable[[], float],
    reference: Reference | None = None,
) -> TrialResult:
    """Load, score, explain and time a version as an instance will. Raises ModelError.

    Parameters
    ----------
    reference
        Whose scores have to come out, bit for bit; None for LightGBM's own.
    """
    serving = serving_model(given, features)
    check_golden(serving, given.manifest)
    try:
        rows = probe_rows(given.text, BATCH_ROW_COUNT, np.random.default_rng(_SEED))
    except ValueError as error:
        raise ModelError(given.version, str(error)) from error
    _check_contributions(serving, rows[:_EXPLAINED_COUNT])
    _check_scores(serving, rows, reference or serving.model.lightgbm_scores)
    row_ms, batch_ms = (_best_ms(serving, some, clock_s) for some in (rows[:1], rows))
    for took, most, what in (
        (row_ms, params.row_ms_max, "one row"),
        (batch_ms, params.batch_ms_max, f"{BATCH_ROW_COUNT} rows"),
    ):
        if 0 < most < took:
            raise ModelError(
                given.version,
                f"takes {took:.3g} ms to score {what}, more than [trial] allows ({most:g} ms)",
            )
    return TrialResult(serving.model.engine, serving.model.fallback_reason, row_ms, batch_ms)


def _check_scores(serving: ServingModel, rows: Floats, reference: Reference) -> None:
    model = serving.model
    raw, score = reference(rows)
    found = model.raw_scores(rows)
    alone = [model.raw_scores(rows[i : i + 1]) for i in range(_ALONE_COUNT)]
    pairs = (
        (found, raw),
        (np.concatenate(alone), raw[:_ALONE_COUNT]),
        (model.scores_of(found), score),
    )
    for ours, theirs in pairs:
        is_same = (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))
        if differing := int(np.count_nonzero(~is_same)):
            raise ModelError(
                serving.version,
                f"is scored otherwise here than where it was made, in {differing} of "
                f"{len(theirs)} rows",
            )
    probability = serving.probability(found)
    is_score = np.isfinite(found) & (score >= 0) & (score <= 1) & np.isfinite(probability)
    if not np.all(is_score):
        raise ModelError(serving.version, "gives scores that are no numbers from 0 to 1")
    if np.all(found == found[0]):
        raise ModelError(serving.version, "gives every transaction the same score")


def _check_contributions(serving: ServingModel, rows: Floats) -> None:
    try:
        contributions = serving.model.contributions(rows)
    except (LightGBMError, ModelError) as error:
        why = error.detail if isinstance(error, ModelError) else error
        raise ModelError(
            serving.version,
            f"has no contributions of its features, so that no alert could give reasons: {why}",
        ) from error
    if contributions.shape != rows.shape or not np.isfinite(contributions).all():
        raise ModelError(serving.version, "gives contributions of its features that are no numbers")


def _best_ms(serving: ServingModel, rows: Floats, clock_s: Callable[[], float]) -> float:
    took = []
    for _ in range(_TIMED_COUNT):
        begin_s = clock_s()
        serving.probability(serving.model.raw_scores(rows))
        took.append(clock_s() - begin_s)
    return min(took) * 1000
