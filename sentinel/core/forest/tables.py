"""A parsed forest laid out for the two scoring kernels of `forest`."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sentinel.core.forest.kernels import WORD_BITS
from sentinel.core.forest.text import Forest, Nodes, Unsupported, read_forest
from sentinel.records import Floats, Ints

# Thresholds of one feature: ranks are int16, and one more stands for "above them all".
THRESHOLD_COUNT_MAX = 2**15 - 2
# 500 trees of 63 leaves take 4 MB of snapshots, 200 of 31 a quarter of one; half the interval is
# twice the memory. It grows with the square of the tree count, so beyond 64 MB the interval does.
_SNAPSHOT_INTERVAL_MIN = 32
_SNAPSHOT_BYTES_MAX = 64 * 2**20
_ALL_LEAVES = np.uint64(0xFFFF_FFFF_FFFF_FFFF)


@dataclass(frozen=True, slots=True)
class RankTables:
    """Where a value stands among the thresholds of its feature.

    Attributes
    ----------
    used
        Columns of the feature matrix that some node reads, ascending; int64 (u,).
    stride
        Entries of `grid` for each feature, a power of two above the largest number of thresholds.
    grid
        Distinct thresholds of each feature, ascending, filled up with infinity;
        float64 (u * stride,).
    """

    used: Ints
    stride: int
    grid: Floats


@dataclass(frozen=True, slots=True)
class RowTables:
    """Nodes by feature and threshold, for a few rows.

    Attributes
    ----------
    node_stop
        For each feature and rank the end of the nodes that are false; uint64 (u * stride,).
    node_tree, node_mask
        Nodes by feature, then threshold; uint64 (n,).
    snapshot_start
        First row of each feature in `snapshots`; uint64 (u,).
    snapshots
        Row k of a feature: the masks of its first (k + 1) * `snapshot_interval` nodes, combined
        for each tree; uint64 (s, trees).
    missing_masks
        The same for a missing value; uint64 (u, trees).
    """

    node_stop: NDArray[np.uint64]
    node_tree: NDArray[np.uint64]
    node_mask: NDArray[np.uint64]
    snapshot_start: NDArray[np.uint64]
    snapshots: NDArray[np.uint64]
    missing_masks: NDArray[np.uint64]
    snapshot_interval: int


@dataclass(frozen=True, slots=True)
class BlockTables:
    """Nodes by tree, for many rows.

    Attributes
    ----------
    column_start
        A column is a feature and a rank for missing values; where each feature's columns
        begin; int64 (u + 1,).
    column_missing
        The rank that stands for a missing value; int16 (columns,).
    test_start
        Where the tests of each tree and word begin; int64 (trees * word_count + 1,).
    test_column, test_rank, test_mask
        A row whose rank in the column is above `test_rank` keeps the leaves in `test_mask`;
        int64, int16, uint16 (tests,).
    word_count
        Words of 16 leaves for each tree, 1 to 4.
    """

    column_start: Ints
    column_missing: NDArray[np.int16]
    test_start: Ints
    test_column: Ints
    test_rank: NDArray[np.int16]
    test_mask: NDArray[np.uint16]
    word_count: int


@dataclass(frozen=True, slots=True)
class ForestTables:
    """All that scoring needs of a model; build it with `build_tables`."""

    feature_count: int
    tree_count: int
    leaf_values: Floats  # (tree_count, leaves of the largest tree), filled up with zero
    ranks: RankTables
    rows: RowTables
    blocks: BlockTables
    start: float = 0.0  # what the leaves are added to
    is_float32: bool = False  # they are added in float32, as XGBoost does


def build_tables(model_text: str) -> ForestTables | Unsupported:
    """Scoring tables of a LightGBM text model.

    Parameters
    ----------
    model_text
        What `Booster.model_to_string()` returned.

    Returns
    -------
    ForestTables | Unsupported
        `Unsupported` if LightGBM itself must score this model.

    Raises
    ------
    ValueError
        If the text is not a whole and consistent model.
    """
    forest = read_forest(model_text)
    if isinstance(forest, Unsupported):
        return forest
    nodes = forest.nodes
    used, feature = np.unique(nodes.feature, return_inverse=True)
    thresholds = [np.unique(nodes.threshold[feature == i]) for i in range(len(used))]
    threshold_count_max = max((len(values) for values in thresholds), default=0)
    if threshold_count_max > THRESHOLD_COUNT_MAX:
        return Unsupported(f"a feature has {threshold_count_max} thresholds")
    ranks = _rank_tables(used, thresholds)
    node_rank = np.empty(len(feature), np.int64)
    for i, values in enumerate(thresholds):
        node_rank[feature == i] = np.searchsorted(values, nodes.threshold[feature == i])
    tree_count = len(forest.leaf_values)
    return ForestTables(
        feature_count=forest.feature_count,
        tree_count=tree_count,
        leaf_values=_leaf_table(forest),
        ranks=ranks,
        rows=_row_tables(nodes, feature, node_rank, ranks, tree_count),
        blocks=_block_tables(forest, feature, node_rank, ranks),
        start=forest.float32_start or 0.0,
        is_float32=forest.float32_start is not None,
    )


def _rank_tables(used: Ints, thresholds: Sequence[Floats]) -> RankTables:
    count_max = max((len(values) for values in thresholds), default=0)
    stride = 1 << count_max.bit_length()
    grid = np.full((len(used), stride), np.inf)
    for row, values in zip(grid, thresholds, strict=True):
        row[: len(values)] = values
    return RankTables(used, stride, grid.ravel())


def _leaf_table(forest: Forest) -> Floats:
    leaf_count_max = max((len(values) for values in forest.leaf_values), default=1)
    table = np.zeros((len(forest.leaf_values), leaf_count_max))
    for row, values in zip(table, forest.leaf_values, strict=True):
        row[: len(values)] = values
    return table


def _row_tables(
    nodes: Nodes, feature: Ints, rank: Ints, ranks: RankTables, tree_count: int
) -> RowTables:
    used_count = len(ranks.used)
    missing_masks = np.full((used_count, tree_count), _ALL_LEAVES)
    right = nodes.goes_right_if_missing
    np.bitwise_and.at(missing_masks, (feature[right], nodes.tree[right]), nodes.mask[right])
    order = np.lexsort((rank, feature))
    # A node of rank k is false for every value of rank k + 1 and above.
    place = (feature * ranks.stride + rank)[order]
    node_stop = np.searchsorted(place, np.arange(used_count * ranks.stride))
    interval = _snapshot_interval(len(order), tree_count)
    snapshots = [np.empty((0, tree_count), np.uint64)]
    for i in range(used_count):
        members = order[feature[order] == i]
        snapshots.append(_snapshots(nodes.tree[members], nodes.mask[members], tree_count, interval))
    snapshot_start = np.cumsum([0, *(len(part) for part in snapshots[1:])])[:-1]
    return RowTables(
        node_stop=node_stop.astype(np.uint64),
        node_tree=nodes.tree[order].astype(np.uint64),
        node_mask=nodes.mask[order],
        snapshot_start=snapshot_start.astype(np.uint64),
        snapshots=np.concatenate(snapshots),
        missing_masks=missing_masks,
        snapshot_interval=interval,
    )


def _snapshot_interval(node_count: int, tree_count: int) -> int:
    bytes_at_every_node = node_count * tree_count * np.dtype(np.uint64).itemsize
    return max(_SNAPSHOT_INTERVAL_MIN, -(-bytes_at_every_node // _SNAPSHOT_BYTES_MAX))


def _snapshots(
    tree: Ints, mask: NDArray[np.uint64], tree_count: int, interval: int
) -> NDArray[np.uint64]:
    """Leaves that remain after each full interval of the nodes of one feature."""
    count = len(tree) // interval
    steps = np.full((count, tree_count), _ALL_LEAVES)
    whole = count * interval
    np.bitwise_and.at(steps, (np.arange(whole) // interval, tree[:whole]), mask[:whole])
    remaining: NDArray[np.uint64] = np.bitwise_and.accumulate(steps, axis=0)
    return remaining


def _block_tables(forest: Forest, feature: Ints, rank: Ints, ranks: RankTables) -> BlockTables:
    nodes = forest.nodes
    used_count = len(ranks.used)
    columns, column = np.unique(
        feature * 2 + nodes.goes_right_if_missing.astype(np.int64), return_inverse=True
    )
    # A missing value that goes right at every node of its column stands above all thresholds.
    column_missing = np.where(columns % 2 == 1, ranks.stride - 1, 0)
    leaf_count_max = max((len(values) for values in forest.leaf_values), default=1)
    word_count = -(-leaf_count_max // WORD_BITS)
    words = nodes.mask[:, None] >> np.arange(0, word_count * WORD_BITS, WORD_BITS, dtype=np.uint64)
    words = words.astype(np.uint16)
    node, word = np.nonzero(words != np.iinfo(np.uint16).max)  # the rest excludes nothing here
    run = nodes.tree[node] * word_count + word
    order = np.argsort(run, kind="stable")
    node, word, run = node[order], word[order], run[order]
    return BlockTables(
        column_start=np.searchsorted(columns // 2, np.arange(used_count + 1)),
        column_missing=column_missing.astype(np.int16),
        test_start=np.searchsorted(run, np.arange(len(forest.leaf_values) * word_count + 1)),
        test_column=column[node],
        test_rank=rank[node].astype(np.int16),
        test_mask=words[node, word],
        word_count=word_count,
    )
