"""LightGBM wrapped: a model from its text, its scores and their causes, and fitting a new one."""

import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal, Self

import numpy as np

from sentinel.core.forest import forest
from sentinel.core.forest.forest import ForestTables, Unsupported
from sentinel.core.learning.params import FitParams
from sentinel.errors import ModelError
from sentinel.records import Floats, Ints


def _lightgbm() -> Any:
    """LightGBM without the frames and estimators that it takes as well where they are installed.

    None comes here, and importing pandas alone takes each process 0.3 s and 60 MB.
    """
    hidden = [name for name in ("pandas", "sklearn", "dask") if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        return import_module("lightgbm")
    finally:
        for name in hidden:
            del sys.modules[name]


lightgbm = _lightgbm()

# More than one thread beside a busy event loop turned 50 us of predicting into 12 ms and 0.7 s of
# training into 8 s: OpenMP's threads spin. `num_threads` alone is not enough, because loading a
# model uses the default and `refit` the number stored in the model, so the library is capped too.
THREAD_COUNT = 1
lightgbm.basic._LIB.LGBM_SetMaxThreads(THREAD_COUNT)

LightGBMError = lightgbm.basic.LightGBMError  # for those who may not import the library


# LightGBM separates names by blanks in its text, and refuses what would need escaping in JSON.
_FEATURE_NAME = re.compile(r'[^\s",:\[\]{}]+')
_BINARY = re.compile(r"binary sigmoid:(\d+(?:\.\d+)?(?:e[+-]?\d+)?)")

EngineName = Literal["kernel", "lightgbm"]


@dataclass(frozen=True, slots=True)
class Model:
    """One model version, ready to score.

    Attributes
    ----------
    engine
        "kernel" if our own kernel scores it, "lightgbm" if LightGBM has to.
    fallback_reason
        Why the kernel does not; None if it does.
    """

    version: str
    feature_names: tuple[str, ...]
    tree_count: int
    _booster: Any  # lightgbm.Booster is untyped
    _tables: ForestTables | Unsupported
    _steepness: float
    _divisor: int  # LightGBM's raw output of a random forest is a sum, its score that of the mean
    _is_float32: bool  # it was XGBoost's

    @classmethod
    def from_text(cls, version: str, text: str) -> Self:
        """Load and compile; raises ModelError if the text is damaged or not a binary classifier."""
        head = text.partition("\n\n")[0].split("\n")
        steepness = _steepness(version, head)
        is_float32 = any(line.startswith(f"{forest.FLOAT32_KEY}=") for line in head)
        try:
            tables = forest.build_tables(text)
            booster = lightgbm.Booster(model_str=text)
        except (ValueError, lightgbm.basic.LightGBMError) as error:
            raise ModelError(version, str(error)) from error
        if isinstance(tables, ForestTables):
            forest.warm(tables)
        elif is_float32:
            raise ModelError(version, f"only our kernel adds float32, but {tables.reason}")
        names = tuple(booster.feature_name())
        tree_count = booster.num_trees()
        divisor = max(tree_count, 1) if "average_output" in head else 1
        return cls(version, names, tree_count, booster, tables, steepness, divisor, is_float32)

    @property
    def steepness(self) -> float:
        """By which a raw score is multiplied to be log-odds: LightGBM's `sigmoid`."""
        return self._steepness

    @property
    def engine(self) -> EngineName:
        return "kernel" if isinstance(self._tables, ForestTables) else "lightgbm"

    @property
    def fallback_reason(self) -> str | None:
        return self._tables.reason if isinstance(self._tables, Unsupported) else None

    def raw_scores(self, features: Floats) -> Floats:
        """Raw scores, shape (n,), of features (n, feature count); NaN is missing.

        Times `steepness` they are the log-odds of fraud. NaN for a row that has no score: trees
        with linear leaves may give none to infinite features. Raises ModelError when LightGBM
        itself has to score them and refuses.
        """
        if isinstance(self._tables, ForestTables):
            return forest.raw_scores(self._tables, features)
        return self._predict(features, raw_score=True)

    def scores(self, features: Floats) -> Floats:
        """Probabilities of fraud, shape (n,), bit for bit those of `Booster.predict`."""
        return self.scores_of(self.raw_scores(features))

    def scores_of(self, raw: Floats) -> Floats:
        """Probabilities of fraud of raw scores that this model gave, same shape."""
        return forest.scores(raw, steepness=self._steepness, is_float32=self._is_float32)

    def lightgbm_scores(self, features: Floats) -> tuple[Floats, Floats]:
        """Raw scores and probabilities as LightGBM computes them, shapes (n,)."""
        return self._predict(features, raw_score=True), self._booster.predict(
            features, num_threads=THREAD_COUNT
        )

    def contributions(self, features: Floats) -> Floats:
        """What each feature adds to the raw score (TreeSHAP), shape (n, feature count).

        About a hundred times the cost of scoring: for alerts, off the hot path. Raises ModelError
        when LightGBM refuses, as it does for trees with linear leaves.
        """
        with _quiet():
            # The last column is the expectation, the same for every row.
            return self._predict(features, pred_contrib=True)[:, :-1]

    def _predict(self, features: Floats, **kind: bool) -> Floats:
        assert features.ndim == 2
        assert features.shape[1] == len(self.feature_names)
        if len(features) == 0:  # LightGBM refuses an empty matrix
            shape = (0, len(self.feature_names) + 1) if "pred_contrib" in kind else (0,)
            return np.empty(shape)
        try:
            result: Floats = self._booster.predict(features, num_threads=THREAD_COUNT, **kind)
        except LightGBMError as error:
            raise ModelError(self.version, str(error)) from error
        return result / self._divisor


@contextmanager
def _quiet() -> Iterator[None]:
    """What LightGBM refuses it also writes to the terminal, each time, over the view of a run.

    Nothing of this process is written there meanwhile: not for beside the event loop.
    """
    with open(os.devnull, "wb") as nowhere:
        kept = os.dup(2)
        try:
            os.dup2(nowhere.fileno(), 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def fit(
    features: Floats,
    labels: Ints,
    *,
    params: FitParams,
    feature_names: Sequence[str],
    weights: Floats | None = None,
    continue_from: str | None = None,
    base_scores: Floats | None = None,
    on_iteration: Callable[[int], None] | None = None,
) -> str:
    """Fit a binary classifier; the same arguments give the same text.

    Parameters
    ----------
    features
        Shape (n, f), NaN where missing.
    labels
        0 genuine, 1 fraud, both present; shape (n,).
    params
        How.
    feature_names
        One for each column, distinct, without blanks and without `" , : [ ] { }`.
    weights
        Of the rows, shape (n,), >= 0.
    continue_from
        Text of a model with the same features, to which the new trees are added.
    base_scores
        Raw scores of the rows, shape (n,), to which those of the new trees will be added: the text
        holds the new trees alone. Our kernel gives them several times as fast as LightGBM scores
        `continue_from`, beside which they cannot be given.
    on_iteration
        Called after each tree with the number of trees fitted by this call.

    Returns
    -------
    str
        The model's text.

    Raises
    ------
    ValueError
        If the labels are not of both kinds, or a name cannot be used.
    """
    assert features.ndim == 2
    assert labels.shape == (len(features),)
    assert len(feature_names) == features.shape[1]
    assert weights is None or weights.shape == labels.shape
    assert base_scores is None or (base_scores.shape == labels.shape and continue_from is None)
    _check_names(feature_names)
    if set(np.unique(labels)) != {0, 1}:
        raise ValueError("the labels must hold both 0 and 1, and nothing else")
    data = lightgbm.Dataset(
        features,
        labels,
        weight=weights,
        init_score=base_scores,
        feature_name=list(feature_names),
    )
    booster = lightgbm.train(
        _lightgbm_params(params),
        data,
        num_boost_round=params.tree_count,
        init_model=None if continue_from is None else lightgbm.Booster(model_str=continue_from),
        callbacks=[] if on_iteration is None else [_progress(on_iteration)],
    )
    text: str = booster.model_to_string(num_iteration=-1)
    return text


def _lightgbm_params(params: FitParams) -> dict[str, object]:
    return {
        "objective": "binary",
        "num_leaves": params.leaf_count_max,
        "max_depth": params.depth_max or -1,  # its word for no limit
        "learning_rate": params.learning_rate,
        "min_data_in_leaf": params.leaf_row_count_min,
        "min_sum_hessian_in_leaf": params.leaf_hessian_min,
        "lambda_l2": params.lambda_l2,
        "feature_fraction": params.feature_share,
        "bagging_fraction": params.row_share,
        "bagging_freq": 1,
        "max_bin": params.bin_count_max,
        "boost_from_average": params.boost_from_average,
        "seed": params.seed,
        "deterministic": True,
        "force_row_wise": True,  # else LightGBM times both ways, and the sums depend on the winner
        "num_threads": THREAD_COUNT,
        "verbosity": -1,
    }


def _progress(on_iteration: Callable[[int], None]) -> Callable[[Any], None]:
    def report(environment: Any) -> None:  # LightGBM's CallbackEnv
        on_iteration(environment.iteration - environment.begin_iteration + 1)

    return report


def _steepness(version: str, head: Sequence[str]) -> float:
    told = next((line for line in head if line.startswith("objective=")), None)
    if told is None:
        raise ModelError(
            version,
            "it has no objective, as after a fit with a function of one's own: whether its raw "
            "scores are log-odds is not known; if they are, add the line `objective=binary "
            "sigmoid:1` below `max_feature_idx` in its text",
        )
    objective = told.removeprefix("objective=")
    if objective == "cross_entropy":  # its scores are the same function of the raw ones
        return 1.0
    binary = _BINARY.fullmatch(objective)
    if binary is None or float(binary[1]) == 0.0:
        raise ModelError(
            version, f"the objective must be binary or cross_entropy, this model's is {objective}"
        )
    return float(binary[1])


def _check_names(names: Sequence[str]) -> None:
    if len(set(names)) != len(names):
        raise ValueError("the feature names are not distinct")
    for name in names:
        if not _FEATURE_NAME.fullmatch(name):
            raise ValueError(f"the feature name {name!r} is empty or holds a character of JSON")
