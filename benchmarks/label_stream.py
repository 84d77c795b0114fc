"""One run of Sentinel's feature engine over the Handbook's stream, which is told labels as it goes.

As in a running Sentinel, a label is given to the engine when it is known: from then on the counts,
shares and least amounts of known frauds of its customer and its terminal are of it. Who is told
more sees more: so each learner has a run of its own.
"""

import numpy as np

from benchmarks.handbook_file import LABEL_DELAY_DAYS, Payments
from sentinel.config import Config
from sentinel.core.features.kernels.events import MARK_FRAUD
from sentinel.core.features.state import FeatureState, Labels
from sentinel.operations.data.history import ENTITIES_MAX
from sentinel.records import Floats, Ints, Transactions, chosen
from sentinel.simulation.handbook import SimulationParams
from sentinel.simulation.handbook import days as simulated_days
from sentinel.texts import Texts


class LabelStream:
    """Features day by day, and those of the last days for training: each as it was when scored.

    Parameters
    ----------
    rows, transactions
        The same n payments, as columns and as the engine takes them.
    kept_days
        How many days back features can still be asked for.
    """

    def __init__(
        self, rows: Payments, transactions: Transactions, config: Config, kept_days: int
    ) -> None:
        assert len(rows) == len(transactions)
        self.rows = rows
        self._transactions = transactions
        self._state = FeatureState(
            config.entities,
            config.features,
            amount_decimals=config.schema.amount_decimals,
            entities_max=ENTITIES_MAX,
        )
        self._kept_days = kept_days
        self._first = np.searchsorted(rows.day, np.arange(rows.day_count + 1))
        self._by_day: dict[int, Floats] = {}
        self._day = 0

    @property
    def names(self) -> list[str]:
        """Of the features."""
        return [feature.name for feature in self._state.features]

    def days(self, begin: int, end: int) -> Ints:
        """Rows of the days begin, ..., end - 1, of which those before the first are empty."""
        first, last = self._first[max(begin, 0)], self._first[max(end, 0)]
        return np.arange(first, last)

    def next_day(self, feedback: Ints) -> Floats:
        """Features of today's rows, float64 (n, f), after the labels that came this morning.

        Parameters
        ----------
        feedback
            Rows whose labels yesterday's checks gave. Those of a week ago are told in any case.
        """
        # Those of a week ago: the payments of a whole day, the last of which is a week old now.
        come = self._day - LABEL_DELAY_DAYS
        self._tell(np.union1d(feedback, self.days(come - 1, come)))
        today = chosen(self._transactions, self.days(self._day, self._day + 1))
        self._state.admit_new(today)
        features = self._state.fold(today).features
        self._by_day[self._day] = features
        self._by_day.pop(self._day - self._kept_days, None)
        self._day += 1
        return features

    def features(self, at: Ints) -> Floats:
        """Of rows of the last days, as they were when those were scored, float64 (n, f)."""
        day = self.rows.day[at]
        assert np.all(np.diff(day) >= 0)
        return np.concatenate(
            [self._by_day[d][at[day == d] - self._first[d]] for d in np.unique(day).tolist()]
        )

    def _tell(self, known: Ints) -> None:
        """Give labels to the engine. Only frauds change features."""
        frauds = known[self.rows.label[known] == 1]
        if frauds.size:
            ones = np.ones(frauds.size, dtype=np.int64)
            self._state.fold(chosen(self._transactions, frauds), Labels(ones * MARK_FRAUD, ones))


def transactions_of(rows: Payments, config: Config) -> Transactions:
    """The payments as the engine takes them, all of one partition."""
    n = len(rows)
    return Transactions(
        transaction_id=Texts.of(map(str, rows.transaction.tolist())),
        partition=np.zeros(n, dtype=np.int64),
        offset=np.arange(n),
        event_time_ms=rows.event_time_ms,
        amount_minor=np.rint(rows.amount * 10**config.schema.amount_decimals).astype(np.int64),
        entities={"account": _names(rows.customer), "terminal": _names(rows.terminal)},
    )


def _names(numbers: Ints) -> Texts:
    known, position = np.unique(numbers, return_inverse=True)
    return Texts.of(map(str, known.tolist())).take(position)


def drawn_payments(seed: int, day_count: int) -> Payments:
    """Another draw of the Handbook's generator than the published one, which is seed 0."""
    days = list(simulated_days(SimulationParams(seed=seed, day_count=day_count)))
    return Payments(
        transaction=np.concatenate([day.transaction_id for day in days]),
        customer=np.concatenate([day.customer_id for day in days]),
        terminal=np.concatenate([day.terminal_id for day in days]),
        event_time_ms=np.concatenate([day.event_time_ms for day in days]),
        day=np.concatenate([np.full(len(day), day.index) for day in days]),
        amount=np.concatenate([day.amount_minor / 100.0 for day in days]),
        label=np.concatenate([day.is_fraud.astype(np.int64) for day in days]),
    )
