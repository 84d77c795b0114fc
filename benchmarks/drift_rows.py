"""Simulated rows for the benchmarks of drift, and the changes that are planted in them."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator
from scipy.special import ndtri

from sentinel.core.drift.counts.columns import BinnedColumn, column_of, edges_of
from sentinel.core.drift.counts.counting import GroupCounts, count
from sentinel.operations.drift.capping import kept_rows
from sentinel.records import Floats, Ints

NUMBER_COUNT, CATEGORY_COUNT, WITH_MISSING_COUNT = 24, 6, 6
COLUMN_COUNT = NUMBER_COUNT + CATEGORY_COUNT
NAMES = [f"x{i}" for i in range(NUMBER_COUNT)] + [f"c{i}" for i in range(CATEGORY_COUNT)]
# The last numbers are lognormal, as amounts are.
LOGNORMAL, LOG_SD = slice(12, NUMBER_COUNT), 1.2
CATEGORY_SHARES = np.array([0.4, 0.25, 0.15, 0.1, 0.05, 0.03, 0.015, 0.005])
COMMON, ALIKE, MISSING_SHARE = 0.5, 0.5, 0.01
PARETO_EXPONENT, PARETO_MIN, PARETO_MAX = 1.5, 6.7, 2_000
_BIN_COUNT = 15
_CUT_FROM = 4_000  # rows: quantiles of a reference need no more


@dataclass(frozen=True, eq=False, slots=True)
class Rows:
    """Values (n, COLUMN_COUNT), and the hash of each row's account, (n,)."""

    values: Floats
    accounts: Ints

    def capped(self, row_count_max: int) -> "Rows":
        """At most so many rows of an account."""
        at = kept_rows(self.accounts, row_count_max)
        return Rows(self.values[at], self.accounts[at])


def simulated(rng: Generator, n: int, per_account: int | str) -> Rows:
    """Rows of fresh accounts: so many each, or "heavy"."""
    sizes = _sizes(rng, n, per_account)
    account = np.repeat(np.arange(sizes.size), sizes)[:n]
    z = _correlated(rng, n)
    if per_account != 1:
        of_account = _correlated(rng, sizes.size)
        z = np.sqrt(ALIKE) * of_account[account] + np.sqrt(1 - ALIKE) * z
    values = z.astype(np.float64)
    values[:, LOGNORMAL] = np.exp(LOG_SD * values[:, LOGNORMAL])
    cuts = ndtri(np.cumsum(CATEGORY_SHARES)[:-1])
    values[:, NUMBER_COUNT:] = np.searchsorted(cuts, z[:, NUMBER_COUNT:])
    rates = _missing_rates(rng, sizes.size)[account]
    for f in range(WITH_MISSING_COUNT):
        values[rng.random(n) < rates, f] = np.nan
    return Rows(values, account + rng.integers(2**50))


def _sizes(rng: Generator, n: int, per_account: int | str) -> Ints:
    if isinstance(per_account, int):
        return np.full(-(-n // per_account), per_account)
    draws = PARETO_MIN * (1 - rng.random(max(n // 8, 8))) ** (-1 / PARETO_EXPONENT)
    sizes = np.minimum(np.rint(draws), PARETO_MAX).astype(np.int64)
    return sizes[: int(np.searchsorted(np.cumsum(sizes), n)) + 1]


def _correlated(rng: Generator, n: int) -> Floats:
    own = rng.standard_normal((n, COLUMN_COUNT), dtype=np.float32)
    common = rng.standard_normal((n, 1), dtype=np.float32)
    found: Floats = np.float32(np.sqrt(COMMON)) * common + np.float32(np.sqrt(1 - COMMON)) * own
    return found


def _missing_rates(rng: Generator, account_count: int) -> Floats:
    """Some accounts lack a value more often than others."""
    return np.minimum(MISSING_SHARE * np.exp(rng.standard_normal(account_count) - 0.5), 1.0)


def cells_of(reference: Rows) -> list[BinnedColumn]:
    """The cells that a reference draws."""
    some = reference.values[:: max(len(reference.values) // _CUT_FROM, 1)]
    return [column_of(name, some[:, f], bin_count=_BIN_COUNT) for f, name in enumerate(NAMES)]


def counts_of(rows: Rows, columns: list[BinnedColumn]) -> GroupCounts:
    """The rows counted."""
    return count(rows.values, rows.accounts, *edges_of(columns))


# --- changes ------------------------------------------------------------------------------------

# What is planted, and in which columns it can be.
CHANGES = {
    "shift .1 sd": range(WITH_MISSING_COUNT, NUMBER_COUNT),
    "shift .2 sd": range(WITH_MISSING_COUNT, NUMBER_COUNT),
    "shift .3 sd": range(WITH_MISSING_COUNT, NUMBER_COUNT),
    "spread x 1.3": range(WITH_MISSING_COUNT, LOGNORMAL.start),
    "missing 1 -> 2 %": range(WITH_MISSING_COUNT),
    "missing 1 -> 5 %": range(WITH_MISSING_COUNT),
    "new category .5 %": range(NUMBER_COUNT, COLUMN_COUNT),
    "category 5 -> 10 %": range(NUMBER_COUNT, COLUMN_COUNT),
    "constant": range(NUMBER_COUNT),
    "unit x 100": range(LOGNORMAL.start, NUMBER_COUNT),
    "unit / 100": range(LOGNORMAL.start, NUMBER_COUNT),
    "unit x 100, a tenth": range(LOGNORMAL.start, NUMBER_COUNT),
}
KINDS = {
    "shift .3 sd": "location", "spread x 1.3": "shape", "missing 1 -> 5 %": "missing",
    "new category .5 %": "new_category", "category 5 -> 10 %": "shape", "constant": "constant",
    "unit x 100": "unit", "unit / 100": "unit", "unit x 100, a tenth": "unit",
}  # fmt: skip


def planted(rng: Generator, rows: Rows, change: str, column: int) -> Rows:
    """The same rows with one change in one column."""
    values = rows.values.copy()
    values[:, column] = _changed(rng, values[:, column], change, is_log=column >= LOGNORMAL.start)
    return replace(rows, values=values)


def _changed(rng: Generator, x: Floats, change: str, *, is_log: bool) -> Floats:
    what, _, size = change.partition(" ")
    if what == "shift":
        by = float(size.split()[0])
        return x * np.exp(LOG_SD * by) if is_log else x + by
    if what == "spread":
        return 1.3 * x
    if what == "constant":
        return np.full_like(x, np.nanmedian(x))
    is_drawn = rng.random(x.size)
    if what == "missing":
        return np.where(is_drawn < (0.0101 if "2 %" in size else 0.0404), np.nan, x)
    if what == "new":
        return np.where(is_drawn < 0.005, float(CATEGORY_SHARES.size), x)
    if what == "category":
        return np.where(is_drawn < 0.0526, 4.0, x)
    factor = 0.01 if size.startswith("/") else 100.0
    return np.where(is_drawn < (0.1 if "tenth" in size else 1.1), factor * x, x)
