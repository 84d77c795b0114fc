"""How often the window test of drift alarms without a change, and how much of one it sees.

    python -m benchmarks.drift_alarms [--null N] [--planted N] [--json FILE] [--quick]

Windows of 30 columns: 24 numbers, of which six lack 1 % of values, and six categories of eight
values, the rarest 0.5 %. Columns have one factor in common (r = 0.5). Rows are independent; or 20
of an account, alike with a correlation of 0.5; or as many as a Pareto law of exponent 1.5 gives an
account, 6.7 to 2,000. Accounts of the window and the reference are others. Beside the test stand
those of independent rows: Kolmogorov and Smirnov's, and chi-square, on the same rows.

Then single changes are planted: in how many windows the column is named, whether it comes first
among the causes, whether its kind is told right. Last, the Handbook's transactions, where they are
at hand, without any change but that of their generator: weeks against the four weeks before.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator, default_rng
from scipy import stats

from benchmarks.harness import facts, header, print_table, write_json
from sentinel.core.drift.capping import kept_rows, share_max
from sentinel.core.drift.causes import causes, group_correlations
from sentinel.core.drift.columns import Column, column_of, edges_of
from sentinel.core.drift.counting import GroupCounts, count
from sentinel.core.drift.kinds import kind_of
from sentinel.core.drift.window_test import ColumnTest, window_test
from sentinel.records import Floats, Ints

SEED = 2026
NUMBER_COUNT, CATEGORY_COUNT, WITH_MISSING_COUNT = 24, 6, 6
COLUMN_COUNT = NUMBER_COUNT + CATEGORY_COUNT
BIN_COUNT = 15
CATEGORIES = np.array([0.4, 0.25, 0.15, 0.1, 0.05, 0.03, 0.015, 0.005])
COMMON, ALIKE, MISSING_SHARE = 0.5, 0.5, 0.01
PARETO = (1.5, 6.7, 2_000)


@dataclass(frozen=True, slots=True)
class Rows:
    """Simulated rows and the hash of the account of each."""

    values: Floats
    accounts: Ints


@dataclass(frozen=True, slots=True)
class Setting:
    """How many rows, and how many of an account: a number, or "heavy"."""

    window: int
    reference: int
    per_account: int | str = 1

    @property
    def name(self) -> str:
        many = {1: "independent", "heavy": "Pareto"}
        return many.get(self.per_account, f"{self.per_account} an account")
