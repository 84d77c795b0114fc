"""What cells hold, as a person reads it."""

from collections.abc import Sequence

import numpy as np

from sentinel.core.drift.counts.columns import (
    CELL_COUNT,
    MISSING,
    OTHER,
    UNSEEN,
    BinnedColumn,
)


def cell_names(column: BinnedColumn, values: Sequence[str] = ()) -> list[str]:
    """What each of CELL_COUNT cells holds; empty of those that hold nothing.

    Parameters
    ----------
    values
        Of a category, in the order of its codes.
    """
    edges = column.edges[np.isfinite(column.edges)].tolist()
    names = [""] * CELL_COUNT
    if column.kind == "values":
        if values:
            names[: len(edges)] = [_category(code, values) for code in edges]
        else:
            named = column.names if len(column.names) == len(edges) else map(_number, edges)
            names[: len(edges)] = named
        names[UNSEEN] = "unseen"
        names[OTHER] = "other"
    elif edges:
        names[0] = f"≤ {_number(edges[0])}"
        for i in range(1, len(edges)):
            names[i] = f"{_number(edges[i - 1])} to {_number(edges[i])}"
        names[len(edges)] = f"> {_number(edges[-1])}"
    else:
        names[0] = "any value"
    names[MISSING] = "missing"
    return names


def _category(code: float, values: Sequence[str]) -> str:
    if code == len(values):
        return "other"
    return values[int(code)] if 0 <= code < len(values) else _number(code)


def _number(value: float) -> str:
    return f"{value:.5g}"
