"""Features of the transaction alone: calendar, amount, and the user's own fields."""

from collections.abc import Sequence

import numpy as np

from sentinel.core.features.spec import FeatureParams
from sentinel.records import Floats, Ints, Transactions

_HOUR_MS = 3_600_000
_DAY_MS = 86_400_000
# 1970-01-01 was a Thursday; Monday is 0.
_EPOCH_WEEKDAY = 3
# The night of the Fraud Detection Handbook: from midnight until 6:59.
_NIGHT_LAST_HOUR = 6


def calendar(stat: str, event_time_ms: Ints, utc_offset_h: float) -> Floats:
    """Hour 0..23, weekday 0..6 from Monday, or night and weekend as 0 or 1; shape (n,)."""
    local = event_time_ms + int(utc_offset_h * _HOUR_MS)
    if stat in ("hour", "night"):
        hour = local // _HOUR_MS % 24
        return (hour if stat == "hour" else hour <= _NIGHT_LAST_HOUR).astype(np.float64)
    weekday = (local // _DAY_MS + _EPOCH_WEEKDAY) % 7
    return (weekday if stat == "weekday" else weekday >= 5).astype(np.float64)


def category(texts: Sequence[str | None], values: tuple[str, ...]) -> Floats:
    """Position of each text in `values`; one past the end for any other text, NaN for none."""
    code: dict[str | None, float] = {value: float(i) for i, value in enumerate(values)}
    code[None] = np.nan
    other = float(len(values))
    return np.array([code.get(text, other) for text in texts], dtype=np.float64)


def column(feature: FeatureParams, rows: Transactions, scale: float) -> Floats:
    """One feature that needs no state, float64 (n,); `empty` where its field is missing."""
    match feature.stat:
        case "amount":
            return rows.amount_minor / scale
        case "value":
            values = rows.numeric[feature.field]
        case "category":
            values = category(rows.categorical[feature.field], feature.values)
        case _:
            return calendar(feature.stat, rows.event_time_ms, feature.utc_offset_h)
    return np.where(np.isnan(values), feature.empty, values)


def quotient(dividend: Floats, divisor: Floats, empty: float) -> Floats:
    """One column by another, float64 (n,); `empty` where either says nothing or it is by 0."""
    found = np.full(dividend.shape, np.nan)
    np.divide(dividend, divisor, out=found, where=divisor != 0)
    return np.where(np.isfinite(found), found, empty)
