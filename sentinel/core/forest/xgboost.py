"""A forest of XGBoost's: its scores by the letter, and as a text of LightGBM's that gives the same.

XGBoost computes in float32: a row goes left where its value, rounded to float32, is less than the
threshold, and the leaves are added up one after the other. LightGBM's text has thresholds in
float64, and a row goes left up to and with one; so each threshold becomes the largest float64 that
XGBoost would still send left. The leaves are the same numbers, and a line in the header says how to
add them.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sentinel.core.forest.kernels import logistic32, logit32
from sentinel.core.forest.text import FLOAT32_KEY, LEAF_COUNT_MAX, forest_text
from sentinel.records import Floats, Ints

_DEFAULT_LEFT, _MISSING_NAN = 2, 8  # bits of LightGBM's `decision_type`
_COVER_SUM = 2.0**30  # LightGBM counts rows in int32

Float32s = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class XgboostTree:
    """One tree; row i of each column is node i, and node 0 the root.

    Attributes
    ----------
    left, right
        The children, int64 (n,); -1 in a leaf.
    feature
        The column that a node reads, int64 (n,).
    value
        The threshold of a node, or what a leaf says; finite, float32 (n,).
    is_left_if_missing
        bool (n,).
    cover
        The sum of the Hessian over the rows that came by, >= 0, float64 (n,).
    """

    left: Ints
    right: Ints
    feature: Ints
    value: Float32s
    is_left_if_missing: NDArray[np.bool_]
    cover: Floats


@dataclass(frozen=True, slots=True)
class XgboostForest:
    """A binary classifier with the objective `binary:logistic`.

    Attributes
    ----------
    feature_names
        As the model has them; may be none.
    base_score
        The probability that the trees start from.
    """

    feature_count: int
    feature_names: tuple[str, ...]
    base_score: float
    trees: tuple[XgboostTree, ...]

    @property
    def start(self) -> float:
        """What the leaves are added to."""
        return float(logit32(self.base_score))


def checked_tree(tree: XgboostTree, feature_count: int) -> XgboostTree:
    """The same tree; raises ValueError if it is none, or reads a column that there is not."""
    count = len(tree.left)
    inner = tree.left >= 0
    if count == 0 or np.any(inner != (tree.right >= 0)):
        raise ValueError("a node has one child only")
    children = np.concatenate([tree.left[inner], tree.right[inner]])
    if np.any(children >= count) or np.any(children == 0) or len(set(children)) != len(children):
        raise ValueError("the children do not form a tree")
    if np.any((tree.feature[inner] < 0) | (tree.feature[inner] >= feature_count)):
        raise ValueError("a node reads a feature that the model does not have")
    if not np.isfinite(tree.value).all():
        raise ValueError("a threshold or a leaf is not finite")
    if not np.isfinite(tree.cover).all() or np.any(tree.cover < 0):
        raise ValueError("a sum of the Hessian is not finite, or negative")
    return tree


def margins(forest: XgboostForest, features: Floats) -> Floats:
    """What XGBoost's `predict(output_margin=True)` gives, by its own rules, row by row and slowly.

    Parameters
    ----------
    features
        Shape (n, forest.feature_count), NaN where missing.
    """
    with np.errstate(over="ignore"):  # beyond float32 is infinite
        rows = features.astype(np.float32)
    total = np.full(len(rows), np.float32(forest.start), np.float32)
    for tree in forest.trees:
        node = np.zeros(len(rows), np.int64)
        while np.any(is_inner := tree.left[node] >= 0):
            value = rows[np.arange(len(rows)), tree.feature[node]]
            is_left = np.where(
                np.isnan(value), tree.is_left_if_missing[node], value < tree.value[node]
            )
            node = np.where(is_inner, np.where(is_left, tree.left[node], tree.right[node]), node)
        total += tree.value[node]
    return total.astype(np.float64)


def probabilities(margin: Floats) -> Floats:
    """What XGBoost's `predict()` gives for these margins."""
    result: Floats = logistic32(margin)
    return result


def last_left(threshold: np.float32) -> float:
    """The largest float64 that, rounded to float32, is less than the threshold (finite)."""
    with np.errstate(over="ignore"):
        before = np.nextafter(threshold, np.float32(-np.inf))
        below = -(2.0**128) if np.isinf(before) else float(before)  # from there on it is infinite
        middle = (below + float(threshold)) / 2  # exact: 25 bits
        is_left = np.float32(middle) < threshold
    return middle if is_left else float(np.nextafter(middle, -np.inf))


def lightgbm_text(forest: XgboostForest, names: Sequence[str]) -> str:
    """The same model as LightGBM's text, with these names for its columns.

    A tree with more leaves than the kernel takes becomes several, each with some of the leaves and
    zero in the place of the others. Raises ValueError if a tree is too deep for that.
    """
    trees = [text for tree in forest.trees for text in _pieces(tree)]
    head = [
        "tree",
        "version=v4",
        "num_class=1",
        "num_tree_per_iteration=1",
        "label_index=0",
        f"max_feature_idx={forest.feature_count - 1}",
        "objective=binary sigmoid:1",
        f"{FLOAT32_KEY}={forest.start!r}",
        "feature_names=" + " ".join(names),
        "feature_infos=" + " ".join(["[-inf:inf]"] * forest.feature_count),
        "tree_sizes=",
    ]
    return forest_text("\n".join(head), trees, "end of trees\n\n")


@dataclass(slots=True)
class _Walk:
    """A tree in the order of its nodes from above, and of its leaves from the left."""

    nodes: list[int]
    leaves: list[int]
    first_leaf: dict[int, int]  # of a node: the place of its leftmost leaf
    leaf_count: dict[int, int]  # below a node


def _walk(tree: XgboostTree) -> _Walk:
    found = _Walk([], [], {}, {})
    stack = [0]
    while stack:
        node = stack.pop()
        found.first_leaf[node] = len(found.leaves)
        if tree.left[node] < 0:
            found.leaves.append(node)
        else:
            found.nodes.append(node)
            stack += [int(tree.right[node]), int(tree.left[node])]
    for node in reversed(found.nodes):
        left, right = int(tree.left[node]), int(tree.right[node])
        found.leaf_count[node] = found.leaf_count.get(left, 1) + found.leaf_count.get(right, 1)
    return found


def _pieces(tree: XgboostTree) -> list[str]:
    """The tree, or as many as it takes, whose sum it is: to add zero changes no float."""
    walk = _walk(tree)
    pieces = []
    begin = 0
    while begin < len(walk.leaves):
        end = _end(walk, begin)
        pieces.append(_piece(tree, walk, begin, end))
        begin = end
    return pieces


def _end(walk: _Walk, begin: int) -> int:
    """Up to which leaf a piece that begins here may go. Raises ValueError if it has no room."""
    first = np.array([walk.first_leaf[node] for node in walk.nodes], np.int64)
    stop = first + np.array([walk.leaf_count[node] for node in walk.nodes], np.int64)

    def has_room(end: int) -> bool:
        # A binary tree has one leaf more than nodes.
        return int(np.count_nonzero((first < end) & (stop > begin))) < LEAF_COUNT_MAX

    if not has_room(begin + 1):
        raise ValueError(
            f"a tree has {len(walk.leaves)} leaves, of which one is more than "
            f"{LEAF_COUNT_MAX - 1} levels deep"
        )
    too_far = bisect_left(
        range(begin + 1, len(walk.leaves) + 1), True, key=lambda end: not has_room(end)
    )
    return begin + too_far


def _piece(tree: XgboostTree, walk: _Walk, begin: int, end: int) -> str:
    """The tree with the leaves from begin to end, and zero for all others, of which few remain."""

    def is_within(node: int) -> bool:
        first = walk.first_leaf[node]
        return first < end and first + walk.leaf_count.get(node, 1) > begin

    nodes = [node for node in walk.nodes if is_within(node)]
    place = {node: i for i, node in enumerate(nodes)}
    leaves: list[int] = []
    children: dict[int, int] = {}
    for node in nodes:
        for child in (int(tree.left[node]), int(tree.right[node])):
            if child in place:
                children[child] = place[child]
            else:
                children[child] = ~len(leaves)
                leaves.append(child)
    leaves = leaves or [0]
    said = [float(tree.value[leaf]) if is_within(leaf) else 0.0 for leaf in leaves]
    return _tree_text(tree, nodes, leaves, children, said)


def _tree_text(
    tree: XgboostTree,
    nodes: Sequence[int],
    leaves: Sequence[int],
    children: dict[int, int],
    said: Sequence[float],
) -> str:
    counts = _counts(tree, nodes, leaves)
    types = [
        _MISSING_NAN | (_DEFAULT_LEFT if tree.is_left_if_missing[node] else 0) for node in nodes
    ]
    columns: dict[str, list[object]] = {
        "num_leaves": [len(leaves)],
        "num_cat": [0],
        "split_feature": [int(tree.feature[node]) for node in nodes],
        "split_gain": [0] * len(nodes),
        "threshold": [repr(last_left(tree.value[node])) for node in nodes],
        "decision_type": list(types),
        "left_child": [children[int(tree.left[node])] for node in nodes],
        "right_child": [children[int(tree.right[node])] for node in nodes],
        "leaf_value": [repr(value) for value in said],
        "leaf_weight": [counts[leaf] for leaf in leaves],
        "leaf_count": [counts[leaf] for leaf in leaves],
        "internal_value": [0] * len(nodes),
        "internal_weight": [counts[node] for node in nodes],
        "internal_count": [counts[node] for node in nodes],
        "is_linear": [0],
        "shrinkage": [1],
    }
    lines = [f"{key}={' '.join(map(str, values))}" for key, values in columns.items()]
    return "\n".join(["Tree=", *lines, "", ""])


def _counts(tree: XgboostTree, nodes: Sequence[int], leaves: Sequence[int]) -> dict[int, int]:
    """Covers as LightGBM counts rows, for the contributions: whole, and those below add up."""
    factor = _COVER_SUM / max(float(tree.cover[0]), 1e-30)
    counts = {leaf: max(round(float(tree.cover[leaf]) * factor), 1) for leaf in leaves}
    for node in reversed(nodes):  # children come behind their parents
        counts[node] = counts[int(tree.left[node])] + counts[int(tree.right[node])]
    return counts
