"""Examples from their topic as columns, for those who learn from them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec
import numpy as np

from sentinel.codec.schema import AMOUNT_MINOR_MAX, EVENT_TIME_MS_MAX
from sentinel.core.decision import ACTIONS
from sentinel.core.features.hashing import hash64
from sentinel.core.learning.training_data.columns import Columns, no_columns, strata
from sentinel.core.learning.training_data.examples import Examples
from sentinel.records import WITHDRAWN, LabelWord

PRESUMED = "presumed"
_NOT_INVESTIGATED = (PRESUMED, "chargeback")
_FUTURE_MS_MAX = 86_400_000  # clocks that differ, and time zones that were mistaken
# An inverse propensity beyond any that makes sense; sums of them must stay finite.
_WEIGHT_MAX = 1e9

_Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
_CODE_OF = {name: code for code, name in enumerate(ACTIONS)}


class _Row(msgspec.Struct, gc=False):
    """What is read of an `Example`."""

    transaction_id: Annotated[str, msgspec.Meta(min_length=1)]
    event_time_ms: Annotated[int, msgspec.Meta(ge=0, le=EVENT_TIME_MS_MAX)]
    account: str
    amount_minor: Annotated[int, msgspec.Meta(ge=-AMOUNT_MINOR_MAX, le=AMOUNT_MINOR_MAX)]
    action: Literal["approve", "review", "block"]
    features: dict[str, float | None]
    label: LabelWord
    posterior: _Share
    source: str
    weight: Annotated[float, msgspec.Meta(ge=0, le=_WEIGHT_MAX)]
    is_selective: bool = False
    is_explored: bool = False


_DECODER = msgspec.json.Decoder(_Row)


@dataclass(frozen=True, slots=True)
class Decoded:
    """What could be read, in the order in which it came, and how much could not."""

    rows: Columns
    refused_count: int


def decode_columns(
    records: Sequence[tuple[int, int, bytes | None]], features: Sequence[str]
) -> Decoded:
    """Records of the `examples` topic as columns.

    Refused is what is no example, what happened more than a day after it was appended (everything
    else would look old beside it), and what would be both selective and explored.

    Parameters
    ----------
    records
        Offset, which becomes the version; epoch milliseconds at which it was appended; value.
    features
        In the order of the columns; NaN where an example has none of that name.
    """
    found = [
        (offset, row)
        for offset, appended_ms, value in records
        if (row := _row(value, appended_ms)) is not None
    ]
    refused_count = len(records) - len(found)
    if not found:
        return Decoded(no_columns(len(features)), refused_count)
    return Decoded(_columns(found, features), refused_count)


def _row(value: bytes | None, appended_ms: int) -> _Row | None:
    if value is None:
        return None
    try:
        row = _DECODER.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if row.is_selective and row.is_explored:
        return None
    return row if row.event_time_ms <= appended_ms + _FUTURE_MS_MAX else None


def _columns(found: Sequence[tuple[int, _Row]], features: Sequence[str]) -> Columns:
    rows = [row for _, row in found]
    amount_minor = np.array([row.amount_minor for row in rows], dtype=np.int64)
    action = np.array([_CODE_OF[row.action] for row in rows], dtype=np.int64)
    values = [[row.features.get(name) for name in features] for row in rows]
    examples = Examples(
        features=np.array(values, dtype=np.float64).reshape(len(rows), len(features)),
        id_hash=hash64([row.transaction_id for row in rows]),
        version=np.array([offset for offset, _ in found], dtype=np.int64),
        event_time_ms=np.array([row.event_time_ms for row in rows], dtype=np.int64),
        stratum=strata(amount_minor, action),
        is_fraud=np.array([row.label == "fraud" for row in rows], dtype=np.bool_),
        posterior=np.array([row.posterior for row in rows], dtype=np.float64),
        # Of what was withdrawn nothing is learnt, whatever its sender makes of that.
        weight=np.array(
            [0.0 if row.label == WITHDRAWN else row.weight for row in rows], dtype=np.float64
        ),
        is_presumed=np.array([row.source == PRESUMED for row in rows], dtype=np.bool_),
    )
    return Columns(
        examples,
        account=hash64([row.account for row in rows]),
        amount_minor=amount_minor,
        action=action,
        is_selective=np.array([row.is_selective for row in rows], dtype=np.bool_),
        is_explored=np.array([row.is_explored for row in rows], dtype=np.bool_),
        is_investigated=np.array(
            [row.source not in _NOT_INVESTIGATED for row in rows], dtype=np.bool_
        ),
    )
