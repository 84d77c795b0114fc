"""A parsed tree ensemble as scoring tables, and their raw scores, equal to LightGBM's to the bit.

The method is QuickScorer (Lucchese et al., SIGIR 2015): instead of walking the trees, every node
whose test is false strikes out the leaves under its left child, and the leftmost leaf that is left
is where the walk would have ended. Which nodes are false follows, feature by feature, from the rank
of the value among the thresholds. Two layouts of the same nodes are kept:

* for a few rows, nodes by feature and threshold, with the combined effect of all nodes up to every
  32nd one stored as a snapshot, so that the cost does not grow with the nodes that are false;
* for many rows, nodes by tree, each tested for 16 rows in one instruction (as RapidScorer does,
  Ye et al., KDD 2018), on 16-bit ranks and 16-bit pieces of the leaf masks.
"""

import numpy as np

from sentinel.core.forest.kernels import logistic, logistic32, score_blocks, score_rows
from sentinel.core.forest.tables import ForestTables, build_tables
from sentinel.core.forest.text import FLOAT32_KEY, Unsupported
from sentinel.records import Floats

__all__ = [
    "FLOAT32_KEY",
    "ForestTables",
    "Unsupported",
    "build_tables",
    "raw_scores",
    "scores",
    "warm",
]

# Up to here the row-wise layout is faster: the two cross at 20 rows for 200 trees of 31 leaves, at
# 27 for 500 of 63 (1.6 us a row against 31 us a block of up to 16 rows; 4.7 against 126).
ROW_WISE_COUNT_MAX = 20

# LightGBM's kZeroThreshold, a C++ float literal. Its predictor drops values up to it from the row,
# so they are compared as 0.0.
_ZERO_MAX = float(np.float32(1e-35))


def raw_scores(tables: ForestTables, features: Floats) -> Floats:
    """Raw scores (log-odds), bit for bit what `Booster.predict(raw_score=True)` returns.

    Of a model that was XGBoost's, what its `predict(output_margin=True)` returns.

    Parameters
    ----------
    tables
        The model.
    features
        Shape (n, tables.feature_count), NaN where missing, infinities allowed; C-contiguous.

    Returns
    -------
    Floats
        Shape (n,).
    """
    assert features.ndim == 2
    assert features.shape[1] == tables.feature_count
    assert features.dtype == np.float64
    assert features.flags.c_contiguous
    if not features.flags.writeable:
        # For numba a read-only array is another type: it would compile again, for seconds.
        features = features.copy()
    if len(features) <= ROW_WISE_COUNT_MAX:
        return _row_wise(tables, features)
    return _block_wise(tables, features)


def scores(raw: Floats, *, steepness: float, is_float32: bool = False) -> Floats:
    """Probabilities of raw scores, bit for bit what `Booster.predict()` returns.

    Parameters
    ----------
    raw
        Log-odds divided by `steepness`, shape (n,).
    steepness
        LightGBM's `sigmoid` parameter, > 0; 1 unless the model was trained otherwise.
    is_float32
        Of a model that was XGBoost's, whose steepness is always 1.

    Returns
    -------
    Floats
        In [0, 1], shape (n,).
    """
    assert raw.ndim == 1
    assert steepness > 0
    result: Floats = logistic32(raw) if is_float32 else logistic(raw, steepness)
    return result


def warm(tables: ForestTables) -> None:
    """Compile the kernels, or load them from numba's cache, before the first transaction."""
    nothing = np.empty((0, tables.feature_count))
    _row_wise(tables, nothing)
    for is_float32 in (False, True):  # another model may come that was XGBoost's
        scores(_block_wise(tables, nothing), steepness=1.0, is_float32=is_float32)


def _adding(tables: ForestTables) -> tuple[float, float, bool]:
    """What leaves are added to, up to where a value is taken for zero, whether in float32."""
    return tables.start, 0.0 if tables.is_float32 else _ZERO_MAX, tables.is_float32


def _row_wise(tables: ForestTables, features: Floats) -> Floats:
    ranks, rows = tables.ranks, tables.rows
    result: Floats = score_rows(
        features,
        ranks.used,
        ranks.stride,
        ranks.grid,
        rows.node_stop,
        rows.node_tree,
        rows.node_mask,
        rows.snapshot_start,
        rows.snapshots,
        rows.snapshot_interval,
        rows.missing_masks,
        tables.leaf_values.ravel(),
        tables.leaf_values.shape[1],
        *_adding(tables),
    )
    return result


def _block_wise(tables: ForestTables, features: Floats) -> Floats:
    ranks, blocks = tables.ranks, tables.blocks
    result: Floats = score_blocks(
        features,
        ranks.used,
        ranks.stride,
        ranks.grid,
        blocks.column_start,
        blocks.column_missing,
        blocks.test_start,
        blocks.test_column,
        blocks.test_rank,
        blocks.test_mask,
        blocks.word_count,
        tables.leaf_values.ravel(),
        tables.leaf_values.shape[1],
        *_adding(tables),
    )
    return result
