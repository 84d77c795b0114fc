"""The newest examples, held whole, and where those begin on which a candidate is judged."""

import numpy as np

from sentinel.core.learning.training_data.columns import Columns, joined, newest
from sentinel.records import Ints


def with_newest(window: Columns, batch: Columns, row_count_max: int) -> Columns:
    """Of both the newest transactions, as many, one row each, ascending by `id_hash`.

    What falls out stays out, as the times of those that stay only rise: how examples are batched
    changes nothing, whenever a newer version comes.
    """
    rows = newest(joined([window, batch]))
    if len(rows) <= row_count_max:
        return rows
    order = _by_time(rows)
    return rows.take(np.sort(order[-row_count_max:]))


def mature_ms(batch: Columns, before_ms: int | None) -> int | None:
    """The event time up to which silence is told, too; None where nothing was ever presumed.

    What is newer has an example only if somebody spoke of it, and of frauds people speak sooner:
    there, frauds look many times as frequent as they are.
    """
    times_ms = batch.examples.event_time_ms[batch.examples.is_presumed]
    if times_ms.size == 0:
        return before_ms
    newest_ms = int(times_ms.max())
    return newest_ms if before_ms is None else max(before_ms, newest_ms)


def counting(window: Columns, until_ms: int | None) -> Columns:
    """The rows that tell anything, ascending by event time, those of one instant by `id_hash`.

    Parameters
    ----------
    until_ms
        The last event time at which examples are mature; None where all are.
    """
    examples = window.examples
    does_count = examples.weight * examples.certainty > 0
    if until_ms is not None:
        does_count &= examples.event_time_ms <= until_ms
    rows = window.take(does_count)
    return rows.take(_by_time(rows))


def gate_begin_ms(
    rows: Columns, *, since_ms: int, fraud_count: int, row_count_min: int, share_max: float
) -> int | None:
    """The event time at which the rows begin on which a candidate is judged.

    They are the newest, as many as hold frauds of `fraud_count` different accounts and at least
    `row_count_min` rows; fewer frauds, where more than `share_max` of the rows would be needed. The
    rows of one instant are not parted. None if not even `row_count_min` rows are allowed.

    Parameters
    ----------
    rows
        Ascending by event time. Selective ones are no frauds here: they may be left out.
    since_ms
        None from before it.
    """
    time_ms = rows.examples.event_time_ms
    first = max(
        int(np.searchsorted(time_ms, since_ms, side="left")),
        len(rows) - int(share_max * len(rows)),
    )
    if len(rows) - first < row_count_min or first == len(rows):
        return None
    is_fraud = (rows.examples.is_fraud & ~rows.is_selective)[::-1]
    places = np.flatnonzero(is_fraud)  # counted from the newest on
    _, at = np.unique(rows.group[::-1][places], return_index=True)
    of_accounts = np.sort(places[at])
    enough = int(of_accounts[fraud_count - 1]) + 1 if at.size >= fraud_count else len(rows)
    begin = max(len(rows) - max(enough, row_count_min), first)
    return int(time_ms[begin])


def _by_time(rows: Columns) -> Ints:
    return np.lexsort((rows.examples.id_hash, rows.examples.event_time_ms))
