"""Reads LightGBM's text model; what our kernel cannot score exactly is named, never guessed."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sentinel.records import Floats, Ints

LEAF_COUNT_MAX = 64  # the leaves of a tree are the bits of one word

_SIZES = re.compile(r"^tree_sizes=.*$", re.MULTILINE)
_INTEGER_MAX = 2**31 - 1  # LightGBM reads int32
_ALL_LEAVES = (1 << LEAF_COUNT_MAX) - 1
# A line of ours, which LightGBM passes over: the model was XGBoost's, so that its leaves are added
# to this number one after the other in float32.
FLOAT32_KEY = "float32_sum_from"
_HEADER_KEYS = ("num_class", "num_tree_per_iteration", "max_feature_idx", "tree_sizes")

# The bits of LightGBM's `decision_type` (include/LightGBM/tree.h).
_CATEGORICAL_BIT = 1
_DEFAULT_LEFT_BIT = 2
_MISSING_SHIFT = 2
_MISSING_ZERO = 1
_MISSING_NAN = 2


@dataclass(frozen=True, slots=True)
class Unsupported:
    """A whole model that the kernel would not score exactly as LightGBM does, and why."""

    reason: str


@dataclass(frozen=True, slots=True)
class Nodes:
    """The inner nodes of one or more trees, one a row; a row with x > threshold goes right.

    Attributes
    ----------
    tree, feature
        Which tree the node is in, and the column of the feature matrix it reads; int64 (n,).
    threshold
        Never NaN; float64 (n,).
    goes_right_if_missing
        What NaN does; bool (n,).
    mask
        All bits set but those of the leaves under the left child, which going right excludes;
        uint64 (n,). Leaves are numbered from the left, the leftmost is the lowest bit.
    """

    tree: Ints
    feature: Ints
    threshold: Floats
    goes_right_if_missing: NDArray[np.bool_]
    mask: NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Forest:
    """A parsed tree ensemble; `leaf_values[i]` are the leaves of tree i from left to right.

    `float32_start` is what the leaves are added to, in float32, in a model that was XGBoost's; None
    in LightGBM's own, whose leaves are added to zero in float64.
    """

    feature_count: int
    leaf_values: tuple[Floats, ...]
    nodes: Nodes
    float32_start: float | None = None


@dataclass(frozen=True, slots=True)
class Sections:
    """The parts of a model's text, unparsed.

    Attributes
    ----------
    head
        What is known of the whole: its lines, the last one without an end.
    header
        The same by key; a line without "=" is a key.
    trees
        The text of each, from its "Tree=" to the blank lines at its end.
    tail
        From "end of trees" on: how often features were used, and the parameters of the fit.
    """

    head: str
    header: dict[str, str]
    trees: tuple[str, ...]
    tail: str


def read_forest(model_text: str) -> Forest | Unsupported:
    """Parse what `Booster.model_to_string()` wrote.

    Parameters
    ----------
    model_text
        The model, with or without the parameters that follow the trees.

    Returns
    -------
    Forest | Unsupported
        `Unsupported` for a model that is well formed as far as it was read, but needs more than
        numerical splits, 64 leaves a tree and one sum of leaves.

    Raises
    ------
    ValueError
        If the text is not a whole and consistent model; the message is one sentence.
    """
    sections = read_sections(model_text)
    header = sections.header
    feature_count = _integer(header, "max_feature_idx") + 1
    if feature_count < 1:
        raise ValueError("the model has no features")
    if _integer(header, "num_class") != 1 or _integer(header, "num_tree_per_iteration") != 1:
        return Unsupported("the model has more than one output")
    if "average_output" in header:
        return Unsupported("the model averages its trees (random forest)")
    found = _forest(sections.trees, feature_count)
    if FLOAT32_KEY not in header or isinstance(found, Unsupported):
        return found
    (start,) = _numbers(header, FLOAT32_KEY, count=1).tolist()
    for numbers in (np.array([start]), *found.leaf_values):
        if np.any(numbers.astype(np.float32) != numbers):
            raise ValueError(f"{FLOAT32_KEY} is given, and not all leaves are of float32")
    return replace(found, float32_start=start)


def read_sections(model_text: str) -> Sections:
    """Cut a model's text into its parts; raises ValueError if they are not where they should be."""
    if "\0" in model_text:  # LightGBM, which may load the same text, would stop reading there
        raise ValueError("the text holds a zero byte")
    header_text, found, body = model_text.partition("\n\n")
    if not found or not header_text.startswith("tree\n"):
        raise ValueError("the text does not start with the header of a LightGBM model")
    header = _fields(header_text)
    if absent := [key for key in _HEADER_KEYS if key not in header]:
        raise ValueError(f"the header of the model has no {absent[0]}")
    trees = _tree_texts(body, header["tree_sizes"].split())
    return Sections(header_text, header, tuple(trees), body[sum(map(len, trees)) :])


def forest_text(head: str, trees: Sequence[str], tail: str) -> str:
    """A text of these trees, numbered anew; `tail` is what follows them."""
    numbered = [f"Tree={index}\n" + tree.partition("\n")[2] for index, tree in enumerate(trees)]
    sizes = "tree_sizes=" + " ".join(str(len(tree)) for tree in numbered)
    return f"{_SIZES.sub(sizes, head)}\n\n" + "".join(numbered) + tail


def _fields(text: str) -> dict[str, str]:
    """The `key=value` lines of a section; a line without a value is a key with an empty one."""
    lines = (line.partition("=") for line in text.split("\n"))
    return {key: value for key, _, value in lines}


def _integer(fields: dict[str, str], key: str) -> int:
    (value,) = _integers(fields, key, count=1)
    return int(value)


def _integers(fields: dict[str, str], key: str, *, count: int) -> Ints:
    """Integers by way of doubles: all that a model holds are far below 2**53."""
    values = _numbers(fields, key, count=count)
    if np.any(np.abs(values) > _INTEGER_MAX) or np.any(values != np.floor(values)):
        raise ValueError(f"{key} holds a value that is not an integer")
    return values.astype(np.int64)


def _numbers(fields: dict[str, str], key: str, *, count: int) -> Floats:
    words = fields.get(key, "").split()
    if len(words) != count:
        raise ValueError(f"{key} has {len(words)} values where {count} belong")
    if any("_" in word for word in words):  # Python would read 1_0 as ten, LightGBM as one
        raise ValueError(f"{key} holds a value that is not a number")
    try:
        values = np.array([float(word) for word in words], dtype=np.float64)
    except ValueError as error:
        raise ValueError(f"{key} holds a value that is not a number") from error
    if np.isnan(values).any():
        raise ValueError(f"{key} holds NaN")
    return values


def _tree_texts(body: str, sizes: Sequence[str]) -> list[str]:
    """Cut the body by the sizes in the header, as LightGBM does; they also betray any damage."""
    texts = []
    start = 0
    for index, size in enumerate(sizes):
        if not size.isdecimal():
            raise ValueError("tree_sizes holds a value that is not a number")
        text = body[start : start + int(size)]
        if len(text) != int(size) or not text.startswith(f"Tree={index}\n"):
            raise ValueError(f"tree {index} is cut off or is not where the header says")
        texts.append(text)
        start += int(size)
    if not body[start:].startswith("end of trees"):
        raise ValueError("the model does not end where the header says")
    return texts


def _forest(tree_texts: Sequence[str], feature_count: int) -> Forest | Unsupported:
    leaf_values = []
    parts = []
    for index, text in enumerate(tree_texts):
        try:
            tree = _read_tree(_fields(text), index, feature_count)
        except ValueError as error:
            raise ValueError(f"tree {index}: {error}") from error
        if isinstance(tree, Unsupported):
            return Unsupported(f"tree {index} {tree.reason}")
        leaf_values.append(tree[0])
        parts.append(tree[1])
    return Forest(feature_count, tuple(leaf_values), _concatenated(parts))


def _read_tree(
    fields: dict[str, str], index: int, feature_count: int
) -> tuple[Floats, Nodes] | Unsupported:
    leaf_count = _integer(fields, "num_leaves")
    if leaf_count < 1:
        raise ValueError("num_leaves is not positive")
    if _integer(fields, "num_cat") != 0:
        return Unsupported("has categorical splits")
    if fields.get("is_linear", "0") != "0":
        return Unsupported("has linear leaves")
    if leaf_count > LEAF_COUNT_MAX:
        return Unsupported(f"has {leaf_count} leaves, more than {LEAF_COUNT_MAX}")
    leaf_values = _numbers(fields, "leaf_value", count=leaf_count)
    if not np.isfinite(leaf_values).all():
        raise ValueError("leaf_value holds infinity")
    if leaf_count == 1:
        return leaf_values, _concatenated([])
    decision_type = _integers(fields, "decision_type", count=leaf_count - 1)
    if np.any(decision_type & _CATEGORICAL_BIT):
        return Unsupported("has categorical splits")
    if np.any((decision_type >> _MISSING_SHIFT) == _MISSING_ZERO):
        return Unsupported("takes zero for missing")
    nodes, leaf_order = _read_nodes(fields, index, feature_count, decision_type)
    return leaf_values[leaf_order], nodes


def _read_nodes(
    fields: dict[str, str], index: int, feature_count: int, decision_type: Ints
) -> tuple[Nodes, list[int]]:
    count = len(decision_type)
    missing_type = decision_type >> _MISSING_SHIFT
    if np.any((missing_type < 0) | (missing_type > _MISSING_NAN)):
        raise ValueError("decision_type holds an unknown missing type")
    feature = _integers(fields, "split_feature", count=count)
    if np.any((feature < 0) | (feature >= feature_count)):
        raise ValueError("split_feature holds a feature that the model does not have")
    threshold = _numbers(fields, "threshold", count=count)
    left = _integers(fields, "left_child", count=count)
    right = _integers(fields, "right_child", count=count)
    leaf_order, masks = _left_to_right(left.tolist(), right.tolist())
    # Without a missing type LightGBM reads NaN as zero (Tree::NumericalDecision).
    goes_right = np.where(
        missing_type == _MISSING_NAN, (decision_type & _DEFAULT_LEFT_BIT) == 0, threshold < 0.0
    )
    tree = np.full(count, index, dtype=np.int64)
    return Nodes(tree, feature, threshold, goes_right, np.array(masks, np.uint64)), leaf_order


def _left_to_right(left: list[int], right: list[int]) -> tuple[list[int], list[int]]:
    """The leaves in order, and for each node the mask without the leaves under its left child.

    A child >= 0 is a node, a child < 0 is leaf `~child`. Walking also proves the shape: a tree
    reaches each leaf once, and takes three steps a node and one for the last leaf.
    """
    node_count = len(left)
    if not all(-node_count - 1 <= child < node_count for child in (*left, *right)):
        raise ValueError("a child is out of range")
    order: list[int] = []
    first = [0] * node_count
    masks = [0] * node_count
    stack = [(0, False)]
    for _ in range(3 * node_count + 1):
        if not stack:
            break
        node, is_left_done = stack.pop()
        if node < 0:
            order.append(~node)
        elif is_left_done:
            masks[node] = _ALL_LEAVES & ~((1 << len(order)) - (1 << first[node]))
            stack.append((right[node], False))
        else:
            first[node] = len(order)
            stack += [(node, True), (left[node], False)]
    if stack or sorted(order) != list(range(node_count + 1)):
        raise ValueError("the children do not form a tree")
    return order, masks


def _concatenated(parts: Sequence[Nodes]) -> Nodes:
    return Nodes(
        tree=np.concatenate([np.empty(0, np.int64), *(part.tree for part in parts)]),
        feature=np.concatenate([np.empty(0, np.int64), *(part.feature for part in parts)]),
        threshold=np.concatenate([np.empty(0), *(part.threshold for part in parts)]),
        goes_right_if_missing=np.concatenate(
            [np.empty(0, np.bool_), *(part.goes_right_if_missing for part in parts)]
        ),
        mask=np.concatenate([np.empty(0, np.uint64), *(part.mask for part in parts)]),
    )
