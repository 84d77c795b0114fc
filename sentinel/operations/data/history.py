"""History through the same code as the stream: records in order, labels when they were known."""

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from sentinel.adapters.files import row_name
from sentinel.codec.transactions import TransactionDecoder
from sentinel.config import Config
from sentinel.core.features.kernels.events import MARK_FRAUD, REPEATED
from sentinel.core.features.spec import duration_ms
from sentinel.core.features.state import FeatureState, Folded, Labels, joined
from sentinel.core.partitioning import PartitionOf
from sentinel.errors import ConfigError
from sentinel.operations.data.refusals import RefusedRows
from sentinel.records import Feedback, Floats, Ints, Record, Transactions, part

UNKNOWN = -1
DAY_MS = 86_400_000

# As `sentinel produce` calls the source of a file's labels, unless it is told otherwise.
_LABEL_SOURCE = "ground_truth"

# Entities of a history all stay in memory: there is no store to wait in.
ENTITIES_MAX = 8_000_000


@dataclass(frozen=True, slots=True)
class Rows:
    """A span of history with its features.

    Attributes
    ----------
    transactions
        As they were decoded.
    features
        float64 (n, n_features).
    labels
        int64 (n,): 0 genuine, 1 fraud, UNKNOWN.
    """

    transactions: Transactions
    features: Floats
    labels: Ints


class History:
    """Folds past transactions into entity state, with each fraud label after its delay.

    Parameters
    ----------
    partition_count
        Over how many input partitions the accounts are spread, where the state will be used.
    name_of
        What a row is called, by its number from 1 on.
    """

    def __init__(
        self,
        config: Config,
        *,
        partition_count: int = 1,
        name_of: Callable[[int], str] = row_name,
    ) -> None:
        self.state = FeatureState(
            config.entities,
            config.features,
            amount_decimals=config.schema.amount_decimals,
            recent_ids=config.schema.recent_ids,
            partition_count=partition_count,
            entities_max=ENTITIES_MAX,
        )
        self._decoder = TransactionDecoder(config.schema)
        self._delay_ms = duration_ms(config.training.label_delay)
        self._partition_count = partition_count
        self._partition_of = PartitionOf(partition_count, config.kafka.partitioner)
        self._partitions: dict[str, int] = {}
        self._waiting: deque[tuple[int, Transactions]] = deque()
        self.newest_ms: int | None = None  # event time of the last row
        self.is_over = False  # whether there are rows behind the days that were asked for
        self._end_ms: float | None = None
        self._position = 0
        self._name_of = name_of
        self.refusals = RefusedRows(config.schema, name_of)

    def fold(
        self,
        values: Sequence[bytes],
        is_fraud: Sequence[bool | None],
        *,
        day_count: float | None = None,
    ) -> Rows:
        """Features of consecutive records, as scoring would have computed them then.

        Rows behind so many days are left out; the first day is that of the first row. Raises
        ConfigError when the records are not in the order of event time: a history sorted otherwise
        would show the past to the future.
        """
        rows, labels = self._decode(values, is_fraud)
        times = rows.event_time_ms
        if times.size:
            self._check_order(rows)
            if self._end_ms is None and day_count is not None:
                self._end_ms = int(times[0]) // DAY_MS * DAY_MS + day_count * DAY_MS
            count = int(np.searchsorted(times, self._end_ms or math.inf, side="left"))
            self.is_over = count < len(times)
            rows, labels, times = part(rows, 0, count), labels[:count], times[:count]
        if times.size:
            self.newest_ms = int(times[-1])
        self.state.admit_new(rows)
        features = np.full((len(rows), len(self.state.features)), np.nan)
        begin = 0
        while begin < len(rows):
            # No further than the delay: what is learnt in a piece must not be due within it.
            end = int(np.searchsorted(times, times[begin] + self._delay_ms, side="left"))
            end = max(end, begin + 1)
            piece = part(rows, begin, end)
            folded = self._fold_piece(piece)
            features[begin:end] = folded.features
            # Who comes again is no other example, nor another fraud.
            labels[begin:end][folded.mark == REPEATED] = UNKNOWN
            self._remember_frauds(piece, labels[begin:end])
            begin = end
        return Rows(rows, features, labels)

    def _check_order(self, rows: Transactions) -> None:
        earlier = np.flatnonzero(np.diff(rows.event_time_ms, prepend=self.newest_ms or 0) < 0)
        if earlier.size:
            raise ConfigError(
                f"{self._name_of(int(rows.offset[earlier[0]]) + 1)} is earlier than one before it: "
                "the rows are not in the order of event time: sort the file by it (the files of a "
                "folder are read in the order of their names)"
            )

    def _fold_piece(self, rows: Transactions) -> Folded:
        """Fold rows with the labels that become known between them."""
        folded = []
        begin = 0
        for end, due in self._label_points(rows.event_time_ms):
            folded.append(self.state.fold(part(rows, begin, end)))
            begin = end
            self._apply(due)
        folded.append(self.state.fold(part(rows, begin, len(rows))))
        return joined(folded)

    def _decode(
        self, values: Sequence[bytes], is_fraud: Sequence[bool | None]
    ) -> tuple[Transactions, Ints]:
        n = len(values)
        records = [Record(self._position + i, 0, None, value) for i, value in enumerate(values)]
        rows, rejected = self._decoder.decode([(0, records)])
        self.refusals.add(values, rejected, rows_before=self._position)
        self._position += n
        kept = np.ones(n, dtype=np.bool_)
        kept[[r.index for r in rejected]] = False
        codes = [UNKNOWN if fraud is None else int(fraud) for fraud in is_fraud]
        accounts = rows.entities["account"]
        if self._partition_count > 1:
            rows.partition[:] = [self._partition(account or "") for account in accounts]
        return rows, np.array(codes, dtype=np.int64)[kept]

    def _partition(self, account: str) -> int:
        """Of an account, worked out once: in pure Python that takes microseconds."""
        if (found := self._partitions.get(account)) is None:
            found = self._partitions[account] = self._partition_of(account)
        return found

    @property
    def entity_count(self) -> int:
        """Entities of all kinds in the state."""
        return sum(map(len, self.state.tables.values()))

    def waiting_labels(self) -> list[Feedback]:
        """The frauds that were not known yet at the end, as who reports them later."""
        return [
            Feedback(
                transaction_id=row.transaction_id[0] or "",
                label="fraud",
                source=_LABEL_SOURCE,
                who="history",
                observed_ms=known_ms,
                event_time_ms=int(row.event_time_ms[0]),
                entities={kind: keys[0] for kind, keys in row.entities.items()},
            )
            for known_ms, row in self._waiting
        ]

    def _label_points(self, times: Ints) -> Iterator[tuple[int, Transactions]]:
        """Before which row each waiting label becomes known: before those of its own time."""
        while self._waiting and times.size and self._waiting[0][0] <= times[-1]:
            known_ms, row = self._waiting.popleft()
            yield int(np.searchsorted(times, known_ms, side="left")), row

    def _apply(self, row: Transactions) -> None:
        one = np.ones(len(row), dtype=np.int64)
        self.state.fold(row, Labels(one * MARK_FRAUD, one))

    def _remember_frauds(self, rows: Transactions, labels: Ints) -> None:
        """Frauds become known after the delay. Genuine labels change no feature."""
        for i in np.flatnonzero(labels == 1).tolist():
            known_ms = int(rows.event_time_ms[i]) + self._delay_ms
            self._waiting.append((known_ms, part(rows, i, i + 1)))


def joined_rows(spans: Iterable[Rows]) -> tuple[Floats, Ints, Ints, list[str]]:
    """Features, labels, event times and accounts of all spans."""
    features, labels, times, accounts = [], [], [], []
    for rows in spans:
        features.append(rows.features)
        labels.append(rows.labels)
        times.append(rows.transactions.event_time_ms)
        accounts += [account or "" for account in rows.transactions.entities["account"]]
    if not features:
        raise ConfigError("there is not one usable row")
    return np.concatenate(features), np.concatenate(labels), np.concatenate(times), accounts
