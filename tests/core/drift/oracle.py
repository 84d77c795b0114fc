"""The window test once more: plain Python, from rows, without a single array operation of ours."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from sentinel.core.drift.counts.columns import MISSING, OTHER, UNSEEN, BinnedColumn
from sentinel.core.drift.counts.counting import GROUP_COUNT, size_groups
from sentinel.records import Floats, Ints


@dataclass(frozen=True, slots=True)
class Rows:
    """Values (n, F), and the hash of the account of each row."""

    values: Floats
    accounts: Ints


def cell_of(column: BinnedColumn, x: float) -> int:
    """The cell of a value."""
    if math.isnan(x):
        return MISSING
    edges = [e for e in column.edges.tolist() if e < math.inf]
    if column.kind == "values":
        return edges.index(x) if x in edges else UNSEEN
    return sum(e < x for e in edges)


def groups_of(accounts: Ints) -> list[int]:
    """The group of each row among GROUP_COUNT."""
    return [int(group) % GROUP_COUNT for group in size_groups(accounts)]


def counted(column: BinnedColumn, rows: Rows, f: int) -> Counter[tuple[int, int]]:
    """Rows by group and cell."""
    cells = [cell_of(column, x) for x in rows.values[:, f].tolist()]
    return Counter(zip(groups_of(rows.accounts), cells, strict=True))


@dataclass(frozen=True, slots=True)
class _Mean:
    mean: float
    variance: float
    n: float
    groups: float


def _mean(values: Sequence[float], groups: Sequence[int]) -> _Mean:
    """Of the rows that count, and its variance between groups."""
    n = len(values)
    mean = sum(values) / n
    residual = dict.fromkeys(groups, 0.0)
    size = Counter(groups)
    for value, g in zip(values, groups, strict=True):
        residual[g] += value - mean
    effective = n**2 / sum(s * s for s in size.values())
    if effective <= 1:
        return _Mean(mean, 0.0, n, effective)
    variance = effective / (effective - 1) * sum(e * e for e in residual.values()) / n**2
    return _Mean(mean, variance, n, effective)


def _both(
    w: _Mean, r: _Mean, spread: float, per_account: tuple[float, float]
) -> list[tuple[float, float]]:
    """Variance and degrees of freedom of both sides."""

    def alike(side: _Mean, m: float) -> float | None:
        if side.variance < 1e-20:
            return None
        if m < 1.5:
            return 0.0
        return min(max((side.variance * side.n / spread - 1) / (m - 1), 0.0), 1.0)

    rhos = [alike(w, per_account[0]), alike(r, per_account[1])]
    known = [rho for rho in rhos if rho is not None]
    filled = [rho if rho is not None else (0.0 if known else 1.0) for rho in rhos]
    found = []
    for own, other, m, rho in (
        (w, r, per_account[0], filled[1]),
        (r, w, per_account[1], filled[0]),
    ):
        bound = spread * (1 + (m - 1) * rho) / own.n
        if own.variance >= bound:
            found.append((own.variance, own.groups - 1))
        else:
            found.append((bound, other.groups - 1))
    return found


def _welch(w: _Mean, r: _Mean, sides: list[tuple[float, float]]) -> float:
    (a, df_a), (b, df_b) = sides
    df = (a + b) ** 2 / (a * a / max(df_a, 1e-12) + b * b / max(df_b, 1e-12))
    if df <= 0.5:
        return 1.0
    return float(2 * stats.t.sf(abs(w.mean - r.mean) / math.sqrt(a + b), df))


def _binomial(x_w: float, n_w: float, x_r: float, n_r: float) -> float:
    pi, t = n_w / (n_w + n_r), x_w + x_r
    above = stats.beta.cdf(pi, x_w, t - x_w + 1) if x_w > 0 else 1.0
    below = stats.beta.cdf(1 - pi, x_r, t - x_r + 1) if x_r > 0 else 1.0
    return float(min(2 * min(above, below), 1.0))


def _share(w: _Mean, r: _Mean, spread: float, sides: list[tuple[float, float]]) -> float:
    n_w, n_r = spread / sides[0][0], spread / sides[1][0]
    x_w, x_r = w.mean * n_w, r.mean * n_r
    share = (x_w + x_r) / (n_w + n_r)
    z = (w.mean - r.mean) / math.sqrt(share * (1 - share) * (1 / n_w + 1 / n_r))
    p = float(2 * stats.norm.sf(abs(z)))
    return p if share * min(n_w, n_r) >= 20 else max(p, _binomial(x_w, n_w, x_r, n_r))


@dataclass(frozen=True, slots=True)
class _Column:
    """A column's rows on one side: cells and groups, of all and of those with a number."""

    cells: list[int]
    groups: list[int]

    def among(self, cells: set[int]) -> "_Column":
        at = [i for i, cell in enumerate(self.cells) if cell in cells]
        return _Column([self.cells[i] for i in at], [self.groups[i] for i in at])


def p_values(
    columns: Sequence[BinnedColumn], window: Rows, reference: Rows, per_account: tuple[float, float]
) -> list[float]:
    """The adjusted p-value of each column; of the distribution as a whole from D = 0.02 on."""
    wholes: list[tuple[float, float]] = []
    least: list[float] = []
    tested = 0
    accounts = min(
        len(side.accounts) / m for side, m in zip((window, reference), per_account, strict=True)
    )
    for f, column in enumerate(columns):
        w, r = (
            _Column([cell_of(column, x) for x in s.values[:, f].tolist()], groups_of(s.accounts))
            for s in (window, reference)
        )
        tested += len({*w.cells, *r.cells})
        wholes.append(_whole_p(w, r, per_account) if column.kind == "numeric" else (1.0, 1.0))
        least.append(_least_cell_p(column, w, r, per_account, accounts))
    numeric = sum(column.kind == "numeric" for column in columns)
    level = 0.5 if numeric else 1.0
    return [
        min(
            1.0,
            whole[0] * numeric / 0.4 if column.kind == "numeric" else 1.0,
            whole[1] * numeric / 0.1 if column.kind == "numeric" else 1.0,
            cell * tested / level,
        )
        for column, whole, cell in zip(columns, wholes, least, strict=True)
    ]


def _whole_p(w: _Column, r: _Column, per_account: tuple[float, float]) -> tuple[float, float]:
    w, r = (side.among(set(range(MISSING))) for side in (w, r))
    if not w.cells or not r.cells:
        return 1.0, 1.0
    both = Counter([*w.cells, *r.cells])
    n = sum(both.values())
    below, ridit = 0, {}
    for cell in range(MISSING):
        ridit[cell] = (below + both[cell] / 2) / n
        below += both[cell]
    distance = max(
        abs(
            sum(c <= e for c in w.cells) / len(w.cells)
            - sum(c <= e for c in r.cells) / len(r.cells)
        )
        for e in range(MISSING)
    )
    if distance < 0.02:
        return 1.0, 1.0
    found = []
    for contrast in (ridit, {cell: (c - 0.5) ** 2 for cell, c in ridit.items()}):
        values = [[contrast[cell] for cell in side.cells] for side in (w, r)]
        spread = float(np.var([*values[0], *values[1]]))
        if spread < 1e-12:
            found.append(1.0)
            continue
        a, b = (_mean(v, side.groups) for v, side in zip(values, (w, r), strict=True))
        found.append(_welch(a, b, _both(a, b, spread, per_account)))
    return found[0], found[1]


def _least_cell_p(
    column: BinnedColumn, w: _Column, r: _Column, per_account: tuple[float, float], accounts: float
) -> float:
    known = {*range(MISSING), UNSEEN}
    least = 1.0
    for cell in sorted({*w.cells, *r.cells}):
        a, b = (w, r) if cell == MISSING else (w.among(known), r.among(known))
        if not a.cells or not b.cells or (cell == OTHER and column.kind == "values"):
            continue
        m, n = (_mean([float(c == cell) for c in side.cells], side.groups) for side in (a, b))
        share = float(np.mean([c == cell for c in (*a.cells, *b.cells)]))
        if share * (1 - share) < 1e-15 or (cell == UNSEEN and m.mean <= n.mean):
            continue
        sides = _both(m, n, share * (1 - share), per_account)
        p = _share(m, n, share * (1 - share), sides)
        least = min(least, p if accounts >= 40 else max(p, _welch(m, n, sides)))
    return least
