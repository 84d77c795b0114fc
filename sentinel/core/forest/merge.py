"""Several forests as one text of LightGBM's, whose raw score is a weighted sum of theirs.

A forest's raw score is a sum over its trees, so that the weighted sum of two forests is one forest
with the trees of both and their leaves scaled. It is scored at the speed of any model, by the same
kernel, and is archived, explained and loaded like one.
"""

import math
import re
from collections.abc import Callable, Sequence
from itertools import pairwise

from sentinel.core.forest.text import FLOAT32_KEY, Sections, forest_text, read_sections

# What has to be alike, or the sum would mean nothing.
_ALIKE = ("num_class", "num_tree_per_iteration", "max_feature_idx", "objective", "feature_names")
# What a leaf says, what an inner node would say if it were one, and the factor in both; the
# factor serves LightGBM's `refit`.
_SCALED = re.compile(r"^(leaf_value|internal_value|shrinkage)=(.*)$", re.MULTILINE)
_SHIFTED = re.compile(r"^(leaf_value|internal_value)=(.*)$", re.MULTILINE)
_LINEAR = re.compile(r"^is_linear=[^0]", re.MULTILINE)
_PARAMETERS = re.compile(r"^parameters:$", re.MULTILINE)


def weighted_sum(texts: Sequence[str], weights: Sequence[float]) -> str:
    """The model whose raw score is the sum of these models' raw scores, each times its weight.

    Parameters
    ----------
    texts
        Models of one output and with the same features and objective, as `Booster.model_to_string`
        writes them; at least one.
    weights
        Finite. With 1 the trees of a model stay as they are to the letter.

    Returns
    -------
    str
        The trees in the order of the models. What LightGBM notes beside them, the range of each
        feature and the parameters of the fit, is the first one's; how often features were used is
        left out, as it counts the trees of one fit.

    Raises
    ------
    ValueError
        If they cannot be added up, or a text is damaged.
    """
    assert len(texts) == len(weights) >= 1
    assert all(map(math.isfinite, weights))
    parts = [read_sections(text) for text in texts]
    for one, other in pairwise(parts):
        _check_alike(one, other)
    trees = [
        _scaled(tree, weight)
        for part, weight in zip(parts, weights, strict=True)
        for tree in _summable(part)
    ]
    return _written(parts[0], trees)


def shifted(text: str, by: float) -> str:
    """The model whose raw score is this one's plus a constant, which the first tree says.

    LightGBM puts the average with which a fit begins there, too. Raises ValueError if the text is
    damaged, or has no tree.
    """
    assert math.isfinite(by)
    sections = read_sections(text)
    first, *others = _summable(sections)
    return _written(sections, [_SHIFTED.sub(_each(lambda value: value + by), first), *others])


def tree_count(text: str) -> int:
    """How many trees a model has; raises ValueError if the text is damaged."""
    return len(read_sections(text).trees)


def _check_alike(one: Sections, other: Sections) -> None:
    for key in _ALIKE:
        if one.header.get(key) != other.header.get(key):
            raise ValueError(f"the models differ in {key}, so that their scores cannot be added up")


def _summable(part: Sections) -> Sequence[str]:
    """The trees, if the raw score is their sum and each says no more than its leaf."""
    if part.header["num_tree_per_iteration"] != "1":
        raise ValueError("the model has more than one output")
    if "average_output" in part.header:
        raise ValueError("the model averages its trees (random forest)")
    if FLOAT32_KEY in part.header:
        raise ValueError("the model was XGBoost's, which adds its trees in float32")
    if not part.trees:
        raise ValueError("the model has no trees")
    if any(_LINEAR.search(tree) for tree in part.trees):
        raise ValueError("the model has linear leaves")
    return part.trees


def _scaled(tree: str, weight: float) -> str:
    return tree if weight == 1.0 else _SCALED.sub(_each(lambda value: value * weight), tree)


def _each(change: Callable[[float], float]) -> Callable[[re.Match[str]], str]:
    """Changes all numbers of a `key=numbers` line; Python writes doubles so that none is lost."""

    def changed(line: re.Match[str]) -> str:
        return f"{line[1]}=" + " ".join(repr(change(float(word))) for word in line[2].split())

    return changed


def _written(like: Sections, trees: Sequence[str]) -> str:
    parameters = _PARAMETERS.search(like.tail)
    tail = like.tail[parameters.start() :] if parameters else ""
    return forest_text(like.head, trees, f"end of trees\n\n{tail}")
