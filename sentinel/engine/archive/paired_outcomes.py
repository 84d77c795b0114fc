"""What came of the transactions that a challenger scored beside the champion."""

from dataclasses import asdict
from typing import Any

import numpy as np
import polars as pl

from sentinel.core.experiments.shadow.capacity import alerts_at_capacity
from sentinel.core.experiments.shadow.comparison import compare
from sentinel.core.experiments.shadow.pairs import PairColumns
from sentinel.core.features.hashing import hash64

_DAY_MS = 86_400_000


def shadowed_by(decisions: pl.DataFrame, version: str) -> pl.DataFrame:
    """The decisions that this version scored, too: both have a score."""
    scores = [pl.col(name).is_not_null() for name in ("score", "shadow_score")]
    return decisions.filter(pl.col("shadow_version") == version, *scores)


def pairs_of(decisions: pl.DataFrame) -> PairColumns:
    """The transactions of which one model alone alerts, day by day at the champion's own capacity.

    Each model alerts on its own highest scores of a day, as many as the champion stopped then.
    `decisions` are with their truth, `is_fraud`.
    """
    rows = decisions.sort("event_time_ms", "transaction_id")
    day = (rows["event_time_ms"] // _DAY_MS).to_numpy()
    hashes = hash64(rows["transaction_id"].to_list())
    champion, challenger = (rows[name].to_numpy() for name in ("score", "shadow_score"))
    stopped = (rows["action"] != "approve").to_numpy()
    side = np.zeros(rows.height)
    for one in np.unique(day):
        at = np.flatnonzero(day == one)
        capacity = int(stopped[at].sum())
        theirs = alerts_at_capacity(challenger[at], hashes[at], capacity)
        ours = alerts_at_capacity(champion[at], hashes[at], capacity)
        side[at] = theirs.astype(float) - ours.astype(float)
    kept = rows.with_columns(side=pl.Series(side)).filter(pl.col("side") != 0)
    blocked, share = (kept["action"] == "block").to_numpy(), kept["explore_share"]
    propensity = np.where(share.is_not_null(), share.fill_null(1.0).to_numpy(), ~blocked * 1.0)
    seen = ~blocked
    return PairColumns(
        account=hash64(kept["account"].to_list()),
        event_time_ms=kept["event_time_ms"].to_numpy(),
        side=kept["side"].to_numpy(),
        value=np.abs(kept["amount_minor"].to_numpy()).astype(np.float64),
        weight=np.where(seen, 1.0 / np.maximum(propensity, 1e-6), 0.0),
        is_fraud=kept["is_fraud"].fill_null(value=False).to_numpy(),
        is_blind=propensity == 0.0,
    )


def paired(decisions: pl.DataFrame, now_ms: int, *, maturity_ms: int) -> dict[str, Any]:
    """`PairedComparison` as plain values, and how many pairs and alerts it is of."""
    pairs = pairs_of(decisions)
    large = _large_loss(decisions)
    found = asdict(compare(pairs, now_ms, maturity_ms=maturity_ms, large_minor=large))
    alerts = int((decisions["action"] != "approve").sum())
    both = alerts - int((pairs.side < 0).sum())
    return {**found, "transactions": decisions.height, "alerts": alerts, "in_common": max(both, 0)}


def _large_loss(decisions: pl.DataFrame) -> float:
    """The fraud of an account on a day that one in a thousand exceeds, of those with any."""
    frauds = decisions.filter(pl.col("is_fraud").fill_null(value=False))
    day = pl.col("event_time_ms").floordiv(_DAY_MS)
    of_day = frauds.group_by("account", day).agg(pl.col("amount_minor").abs().sum())
    return float(of_day["amount_minor"].quantile(0.999) or 0.0)
