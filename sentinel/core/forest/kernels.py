"""The compiled loops of `forest`: from a matrix of features to raw scores.

LightGBM adds leaves in float64. XGBoost adds them in float32: the sum of two numbers of float32,
rounded from float64, is the same to the bit, as float64 has more than twice their digits and two
(Figueroa, When is double rounding innocuous?, SIGNUM 1995).
"""

import math
from typing import Any

import numpy as np
from numba import njit

# An internal of numba, but the only way to the one instruction that finds the lowest set bit.
from numba.cpython.unsafe.numbers import trailing_zeros
from numpy.typing import NDArray

from sentinel.records import Floats

WORD_BITS = 16  # as wide as a rank, so that both fill a vector register alike

# Rows scored together. The scratch arrays of 60 columns x 128 rows stay in the first-level cache;
# 64 rows were 15 % slower and 256 only 4 % faster.
_BLOCK_ROWS = 128
_LANES = 16  # what a 256-bit register holds of 16-bit words; blocks are padded to it

_ALL_LEAVES = np.uint64(0xFFFF_FFFF_FFFF_FFFF)
_NO_LEAF_EXCLUDED = np.uint16(0xFFFF)

# Unsigned indices spare the test for negative ones in the inner loops.
_U = np.uint64
_Array = NDArray[Any]


@njit(cache=True, nogil=True, inline="always")
def _flushed(value: float, zero_max: float) -> float:
    return 0.0 if abs(value) <= zero_max else value


@njit(cache=True, nogil=True, inline="always")
def _rounded(value: float, is_float32: bool) -> float:
    return np.float64(np.float32(value)) if is_float32 else value


@njit(cache=True, nogil=True)
def _search(grid: _Array, stride: int, values: _Array, position: _Array, count: int) -> None:
    """Advance each position by the number of grid entries below its value.

    A branch-free binary search in `stride - 1` ascending entries, a power of two less one. All
    lanes take each step together, so the loads of one do not wait for those of another. NaN moves
    nowhere.
    """
    step = _U(stride) >> _U(1)
    while step > _U(0):
        for lane in range(count):
            probe = position[lane] + step
            position[lane] = probe if grid[probe - _U(1)] < values[lane] else position[lane]
        step >>= _U(1)


@njit(cache=True, nogil=True)
def score_rows(
    features: _Array,
    used: _Array,
    stride: int,
    grid: _Array,
    node_stop: _Array,
    node_tree: _Array,
    node_mask: _Array,
    snapshot_start: _Array,
    snapshots: _Array,
    snapshot_interval: int,
    missing_masks: _Array,
    leaf_values: _Array,
    leaf_stride: int,
    base: float,
    zero_max: float,
    is_float32: bool,
) -> Floats:
    """Score row by row: the snapshot under each value, then the few nodes between them."""
    row_count = features.shape[0]
    tree_count = missing_masks.shape[1]
    raw_scores = np.empty(row_count, np.float64)
    values = np.empty(used.size, np.float64)
    position = np.empty(used.size, np.uint64)
    leaves = np.empty(tree_count, np.uint64)
    for row in range(row_count):
        leaves[:] = _ALL_LEAVES
        for i in range(used.size):
            values[i] = _flushed(features[row, used[i]], zero_max)
            position[i] = _U(i) * _U(stride)
        _search(grid, stride, values, position, used.size)
        for i in range(used.size):
            if np.isnan(values[i]):
                for tree in range(tree_count):
                    leaves[tree] &= missing_masks[i, tree]
                continue
            start = node_stop[_U(i) * _U(stride)]
            stop = node_stop[position[i]]
            block = (stop - start) // _U(snapshot_interval)
            if block > _U(0):
                snapshot = snapshots[snapshot_start[i] + block - _U(1)]
                for tree in range(tree_count):
                    leaves[tree] &= snapshot[tree]
            for node in range(start + block * _U(snapshot_interval), stop):
                leaves[node_tree[node]] &= node_mask[node]
        # In the order of the trees: a sum of doubles depends on it.
        raw_score = base
        for tree in range(tree_count):
            leaf = _U(tree) * _U(leaf_stride) + _U(trailing_zeros(leaves[tree]))
            raw_score = _rounded(raw_score + leaf_values[leaf], is_float32)
        raw_scores[row] = raw_score
    return raw_scores


@njit(cache=True, nogil=True)
def _fill_ranks(
    features: _Array,
    used: _Array,
    stride: int,
    grid: _Array,
    column_start: _Array,
    column_missing: _Array,
    ranks: _Array,
    values: _Array,
    position: _Array,
    width: int,
    zero_max: float,
) -> None:
    """For each column and row of a block the number of thresholds below the value."""
    for i in range(used.size):
        start = _U(i) * _U(stride)
        for row in range(features.shape[0]):
            values[row] = _flushed(features[row, used[i]], zero_max)
        position[:width] = start
        _search(grid, stride, values, position, width)
        for column in range(column_start[i], column_start[i + 1]):
            missing = column_missing[column]
            rank = ranks[column]
            for row in range(width):
                present = np.int16(position[row] - start)
                rank[row] = missing if np.isnan(values[row]) else present


@njit(cache=True, nogil=True)
def _find_leaves(
    tree: int,
    word_count: int,
    test_start: _Array,
    test_column: _Array,
    test_rank: _Array,
    test_mask: _Array,
    ranks: _Array,
    word: _Array,
    leaves: _Array,
    width: int,
) -> None:
    """For each row of a block the leaves of one tree that no node excludes.

    The innermost loops run over rows without a branch, so LLVM turns them into vector code.
    """
    leaves[:width] = _U(0)
    for i in range(word_count):
        word[:width] = _NO_LEAF_EXCLUDED
        run = tree * word_count + i
        for test in range(test_start[run], test_start[run + 1]):
            rank = ranks[test_column[test]]
            limit = test_rank[test]
            mask = test_mask[test]
            for row in range(width):
                word[row] &= mask if rank[row] > limit else _NO_LEAF_EXCLUDED
        shift = _U(WORD_BITS * i)
        for row in range(width):
            leaves[row] |= _U(word[row]) << shift


@njit(cache=True, nogil=True)
def score_blocks(
    features: _Array,
    used: _Array,
    stride: int,
    grid: _Array,
    column_start: _Array,
    column_missing: _Array,
    test_start: _Array,
    test_column: _Array,
    test_rank: _Array,
    test_mask: _Array,
    word_count: int,
    leaf_values: _Array,
    leaf_stride: int,
    base: float,
    zero_max: float,
    is_float32: bool,
) -> Floats:
    """Score block by block of rows: each node is one vector instruction for many rows."""
    row_count = features.shape[0]
    tree_count = (test_start.size - 1) // word_count
    raw_scores = np.zeros(row_count, np.float64)
    ranks = np.zeros((column_missing.size, _BLOCK_ROWS), np.int16)
    values = np.zeros(_BLOCK_ROWS, np.float64)
    position = np.zeros(_BLOCK_ROWS, np.uint64)
    word = np.zeros(_BLOCK_ROWS, np.uint16)
    leaves = np.zeros(_BLOCK_ROWS, np.uint64)
    sums = np.zeros(_BLOCK_ROWS, np.float64)
    for first in range(0, row_count, _BLOCK_ROWS):
        block = features[first : first + _BLOCK_ROWS]
        width = (block.shape[0] + _LANES - 1) // _LANES * _LANES
        _fill_ranks(
            block, used, stride, grid, column_start, column_missing,
            ranks, values, position, width, zero_max,
        )  # fmt: skip
        sums[:] = base
        for tree in range(tree_count):  # their order is LightGBM's: a sum of doubles depends on it
            _find_leaves(
                tree, word_count, test_start, test_column, test_rank, test_mask,
                ranks, word, leaves, width,
            )  # fmt: skip
            offset = _U(tree) * _U(leaf_stride)
            for row in range(width):
                leaf = offset + _U(trailing_zeros(leaves[row]))
                sums[row] = _rounded(sums[row] + leaf_values[leaf], is_float32)
        raw_scores[first : first + block.shape[0]] = sums[: block.shape[0]]
    return raw_scores


@njit(cache=True, nogil=True)
def logistic(raw_scores: _Array, steepness: float) -> Floats:
    """Probabilities. `math.exp` is the C library's, as LightGBM's; numpy's differs by a bit."""
    scores = np.empty(raw_scores.size, np.float64)
    for row in range(raw_scores.size):
        scores[row] = 1.0 / (1.0 + math.exp(-steepness * raw_scores[row]))
    return scores


@njit(cache=True, nogil=True)
def logistic32(raw_scores: _Array) -> Floats:
    """Probabilities as XGBoost computes them, in float32 (common::Sigmoid)."""
    one, lowest = np.float32(1.0), np.float32(88.7)
    scores = np.empty(raw_scores.size, np.float64)
    for row in range(raw_scores.size):
        exponent = min(-np.float32(raw_scores[row]), lowest)
        scores[row] = one / (np.float32(math.exp(exponent)) + one)
    return scores


@njit(cache=True, nogil=True)
def logit32(probability: float) -> float:
    """Log-odds as XGBoost computes them, in float32 (LogisticRegression::ProbToMargin)."""
    one = np.float32(1.0)
    return float(-np.float32(math.log(one / np.float32(probability) - one)))
