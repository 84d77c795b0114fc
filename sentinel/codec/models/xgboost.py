"""XGBoost's model files, JSON and UBJSON, as a forest; what we cannot score alike is named."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import orjson

from sentinel.codec.models.ubjson import decode_ubjson
from sentinel.core.forest.xgboost import XgboostForest, XgboostTree, checked_tree
from sentinel.records import Floats, Ints

_OBJECTIVE = "binary:logistic"
_BOOSTER = "gbtree"
_INTEGER_MAX = 2**31 - 1


def decode_xgboost(data: bytes) -> XgboostForest:
    """The forest that `Booster.save_model` wrote. Raises ValueError, which says what is wrong."""
    is_binary = len(data) > 1 and data[1] in b"iUIlL#$"
    try:
        whole = decode_ubjson(data) if is_binary else orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"it cannot be read: {error}") from error
    try:
        return _forest(whole["learner"])
    except (KeyError, TypeError, IndexError, AttributeError, OverflowError) as error:
        raise ValueError(f"it is damaged, or of a version we do not know: {error!r}") from error


def _forest(learner: Mapping[str, Any]) -> XgboostForest:
    _check_kind(learner)
    facts = learner["learner_model_param"]
    model = learner["gradient_booster"]["model"]
    feature_count = int(facts["num_feature"])
    if not 1 <= feature_count <= _INTEGER_MAX:
        raise ValueError("it has no features")
    _check_rounds(learner, model)
    base_score = float(np.float32(str(facts["base_score"]).strip("[]")))
    if not 0 < base_score < 1:
        raise ValueError(f"its base_score must be between 0 and 1, it is {base_score:g}")
    trees = tuple(_tree(one, i, feature_count) for i, one in enumerate(model["trees"]))
    return XgboostForest(
        feature_count=feature_count,
        feature_names=tuple(map(str, learner.get("feature_names", []))),
        base_score=base_score,
        trees=trees,
    )


def _check_kind(learner: Mapping[str, Any]) -> None:
    """Whether it is a kind of model that adds its leaves up to a binary classifier's margin."""
    booster = learner["gradient_booster"]["name"]
    if booster != _BOOSTER:
        raise ValueError(f"its booster is {booster}, and only {_BOOSTER} is added up as we do")
    objective = learner["objective"]["name"]
    if objective != _OBJECTIVE:
        raise ValueError(f"its objective is {objective}, and must be {_OBJECTIVE}")
    if int(learner["learner_model_param"].get("num_target", 1)) > 1:
        raise ValueError("it has more than one output")
    if "c" in learner.get("feature_types", []):
        raise ValueError("it has categorical features, which it codes in its own way")


def _check_rounds(learner: Mapping[str, Any], model: Mapping[str, Any]) -> None:
    """Whether all rounds count; XGBoost's own ways to predict differ on that."""
    parallel = max(int(model["gbtree_model_param"].get("num_parallel_tree", 1)), 1)
    rounds = -(-len(model["trees"]) // parallel)
    best = learner.get("attributes", {}).get("best_iteration")
    if best is not None and int(best) + 1 != rounds:
        raise ValueError(
            f"it has {rounds} rounds, of which early stopping took the first {int(best) + 1}: "
            "Booster.predict uses all and XGBClassifier.predict those, so save the ones you mean, "
            f"as in booster[:{int(best) + 1}].save_model(…)"
        )


def _tree(told: Mapping[str, Any], index: int, feature_count: int) -> XgboostTree:
    if int(told["tree_param"].get("size_leaf_vector", 1)) > 1:
        raise ValueError("it has more than one output")
    left = _integers(told["left_children"])
    if np.any(_integers(told.get("split_type", [])) != 0):
        raise ValueError(f"tree {index} has categorical splits, which we cannot score alike")
    with np.errstate(over="ignore"):  # what is infinite is refused below
        value = _numbers(told["split_conditions"]).astype(np.float32)
    columns = (
        left,
        _integers(told["right_children"]),
        _integers(told["split_indices"]),
        value,
        _integers(told["default_left"]) != 0,
        _numbers(told["sum_hessian"]),
    )
    if any(column.shape != left.shape for column in columns):
        raise ValueError(f"tree {index}: its columns have different lengths")
    try:
        return checked_tree(XgboostTree(*columns), feature_count)
    except ValueError as error:
        raise ValueError(f"tree {index}: {error}") from error


def _integers(values: Sequence[Any]) -> Ints:
    found = _numbers(values)
    if np.any(np.abs(found) > _INTEGER_MAX) or np.any(found != np.floor(found)):
        raise ValueError("it holds a number that is no integer where one belongs")
    return found.astype(np.int64)


def _numbers(values: Sequence[Any]) -> Floats:
    found = np.array(values, dtype=np.float64)
    if found.ndim != 1:
        raise ValueError("it holds a list of lists where one of numbers belongs")
    return found
