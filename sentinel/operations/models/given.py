"""A model that somebody brings: from the bytes of a file to a text and a manifest that serve."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sentinel import __version__
from sentinel.codec.models.files import decode_model_file, pandas_categories
from sentinel.config import Config
from sentinel.core.decision import Usual, usual_ranges
from sentinel.core.forest.columns import check_categories, column_names, over_columns, places
from sentinel.core.forest.probe import probe_rows
from sentinel.core.forest.xgboost import XgboostForest, lightgbm_text, margins, probabilities
from sentinel.core.learning.calibration import Calibration, fit_calibration
from sentinel.engine.deployment.trial import Reference
from sentinel.model import Model
from sentinel.operations.models.train import evaluate, spans
from sentinel.records import Floats, Ints
from sentinel.serving_model import (
    GOLDEN_ROW_COUNT,
    ServingModel,
    golden,
    serving_manifest,
    window_manifest,
)

VERSION_UNKNOWN = "0.0.0"  # a number is given to it when it has stood its trial

_USUAL_ROW_COUNT_MAX = 200_000
_PROBE_SEED = 1


@dataclass(frozen=True, slots=True)
class Origin:
    """What is told of a file with a model.

    Attributes
    ----------
    file
        Its name.
    by_position
        Whether its columns are the declared features in their order, whatever their names.
    trained_until_ms
        No tree of it has seen a transaction of this event time or later.
    """

    file: str
    by_position: bool
    trained_until_ms: int


@dataclass(frozen=True, slots=True)
class Past:
    """A history with its features: rows (n, features), labels, event times, accounts as codes."""

    features: Floats
    labels: Ints
    times_ms: Ints
    accounts: Ints
    rejected_count: int


@dataclass(frozen=True, slots=True)
class GivenModel:
    """A model over the declared features, as LightGBM's text.

    Attributes
    ----------
    reference
        Whose scores it has to give; None for LightGBM's.
    source
        What it was made from, for the manifest.
    """

    text: str
    reference: Reference | None
    source: dict[str, Any]


def read_given(data: bytes, origin: Origin, config: Config) -> GivenModel:
    """The model in a file. Raises ValueError, which says what is wrong with it."""
    declared = [feature.name for feature in config.features]
    found = decode_model_file(data)
    if isinstance(found, XgboostForest):
        kind = "XGBoost"
        # A model of an array has no names; LightGBM puts an underline for each blank.
        names = [name.replace(" ", "_") for name in found.feature_names]
        names = names or [f"f{i}" for i in range(found.feature_count)]
        place = places(names, declared, by_position=origin.by_position)
        try:
            plain = lightgbm_text(found, names)
        except ValueError as error:
            raise ValueError(f"is an XGBoost model: {error}") from error
        reference: Reference | None = _XgboostScores(found, place)
    else:
        kind, plain, reference = "LightGBM", found, None
        names = list(column_names(plain))
        place = places(names, declared, by_position=origin.by_position)
        _check_texts(plain, [declared[i] for i in place], config)
    unread = [name for i, name in enumerate(declared) if i not in set(place)]
    source = {
        "file": origin.file,
        "kind": kind,
        "sha256": hashlib.sha256(data).hexdigest(),
        "columns": "by position" if origin.by_position else "by name",
        "unread": unread,
    }
    return GivenModel(over_columns(plain, place, declared), reference, source)


def _check_texts(text: str, names: Sequence[str], config: Config) -> None:
    """Whether what pandas has coded is coded alike here. Raises ValueError."""
    if categories := pandas_categories(text):
        values = {one.name: one.values for one in config.features if one.values}
        check_categories(text, names, categories, values)


@dataclass(frozen=True, slots=True)
class _XgboostScores:
    """The raw scores and probabilities of a forest, of rows over the declared features."""

    forest: XgboostForest
    place: Sequence[int]

    def __call__(self, features: Floats) -> tuple[Floats, Floats]:
        raw = margins(self.forest, features[:, list(self.place)])
        return raw, probabilities(raw)


def manifest_of(
    given: GivenModel, origin: Origin, past: Past | None, config: Config
) -> dict[str, Any]:
    """What it takes to serve the model, and how good it is on a history that it has not seen.

    Without a history its own probabilities are taken for true, and nothing is measured. Raises
    ConfigError if the history does not do, ModelError if the model does not.
    """
    model = Model.from_text(VERSION_UNKNOWN, given.text)
    nothing = np.full(len(config.features), np.nan)
    own = Calibration(slope=model.steepness)
    ready = ServingModel(VERSION_UNKNOWN, model, own, Usual(nothing, nothing))
    found = {
        "sentinel": __version__,
        "strategy": "imported",
        "config_version": config.version,
        **serving_manifest(ready),
        "source": given.source,
        "trained_until_ms": origin.trained_until_ms,
        "metrics": None,
    }
    if past is None:
        rng = np.random.default_rng(_PROBE_SEED)
        rows = probe_rows(given.text, 4 * GOLDEN_ROW_COUNT, rng)
        rows = rows[~np.isinf(rows).any(axis=1)][:GOLDEN_ROW_COUNT]
        return {**found, "golden": golden(ready, rows)}
    return {**found, **_measured(ready, past, config)}


def _measured(ready: ServingModel, past: Past, config: Config) -> dict[str, Any]:
    """Calibrated on one span of the history and measured on a later one, as `sentinel train`."""
    labels, times_ms, model = past.labels, past.times_ms, ready.model
    cut = spans(times_ms, labels, config, needed=("calibration", "test"))
    at = cut.calibration
    calibration = fit_calibration(model.raw_scores(past.features[at]), labels[at])
    genuine = past.features[(cut.train | at) & (labels == 0)][-_USUAL_ROW_COUNT_MAX:]
    ready = replace(ready, calibration=calibration, usual=usual_ranges(genuine))
    return {
        **serving_manifest(ready),
        "window": {
            name: window_manifest(times_ms[getattr(cut, name)]) for name in ("calibration", "test")
        },
        "metrics": evaluate(
            model, calibration, past.features, labels, times_ms, past.accounts, cut.test, config
        ),
        "golden": golden(ready, past.features[cut.test][:GOLDEN_ROW_COUNT]),
        "rejected_rows": past.rejected_count,
    }
