"""Rows at which a mistake in scoring a forest would show: its own thresholds, and what is odd."""

import math
import re

import numpy as np
from numpy.random import Generator

from sentinel.core.forest.text import read_sections
from sentinel.records import Floats

_LINES = re.compile(r"^(split_feature|threshold)=(.*)$", re.MULTILINE)
_ODD = (math.nan, math.inf, -math.inf, 0.0, -0.0, 1e-35, -1e-35, 5e-324, 1e300, -1.0, 1.0, 2.0)


def probe_rows(text: str, row_count: int, rng: Generator) -> Floats:
    """Rows over the columns of a model in LightGBM's text, shape (n, feature count).

    Each value is a threshold of its column, right above or below one, odd, or missing. Raises
    ValueError if the text is damaged.
    """
    sections = read_sections(text)
    feature_count = int(sections.header["max_feature_idx"]) + 1
    at: list[list[float]] = [list(_ODD) for _ in range(feature_count)]
    for tree in sections.trees:
        lines = dict(_LINES.findall(tree))
        words = (lines.get(key, "").split() for key in ("split_feature", "threshold"))
        for feature, threshold in zip(*words, strict=True):
            if not (feature.isdecimal() and int(feature) < feature_count):
                raise ValueError("split_feature holds a feature that the model does not have")
            at[int(feature)].append(float(threshold))
    rows = np.empty((row_count, feature_count))
    for column, values in enumerate(at):
        exact = rng.choice(np.array(values), row_count)
        # In float32, too: there the next value is farther away.
        near = [np.nextafter(exact, to) for to in (-math.inf, math.inf)]
        with np.errstate(over="ignore"):
            near += [one.astype(np.float32).astype(np.float64) for one in (exact, near[1])]
        rows[:, column] = np.choose(rng.integers(0, 5, row_count), [exact, *near])
    rows[rng.random(rows.shape) < 0.1] = math.nan
    return rows
