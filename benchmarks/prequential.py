"""Weekly learning on rows in the order of time: each week is scored before it is learnt from."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from sentinel.core.forest.merge import weighted_sum
from sentinel.core.learning.evaluation import auc, average_precision
from sentinel.core.learning.params import FitParams
from sentinel.model import Model, fit
from sentinel.records import Floats, Ints

WEEK_S = 7 * 86_400


@dataclass(frozen=True, slots=True)
class Table:
    """Rows in the order of time.

    Attributes
    ----------
    features
        float64 (n, f), called `names`.
    labels
        int64 (n,), 0 or 1.
    times_s
        int64 (n,), ascending.
    test_begin
        The first row of the test, which lasts until the end.
    """

    features: Floats
    names: list[str]
    labels: Ints
    times_s: Ints
    test_begin: int

    def __post_init__(self) -> None:
        assert self.features.shape == (self.labels.size, len(self.names))
        assert self.times_s.shape == self.labels.shape
        assert np.all(np.diff(self.times_s) >= 0)
        assert 0 < self.test_begin < self.labels.size

    def known(self, now_s: int, delay_s: int, window_s: int | None = None) -> slice:
        """Rows that are at least `delay_s` old, and not older than that by `window_s` or more."""
        end = int(np.searchsorted(self.times_s, now_s - delay_s, side="right"))
        if window_s is None:
            return slice(0, end)
        return slice(int(np.searchsorted(self.times_s, now_s - delay_s - window_s, "right")), end)

    def weeks(self) -> Iterator[tuple[int, slice]]:
        """Begin of each week of the test, from its first row, and the rows in it."""
        first, last = int(self.times_s[self.test_begin]), int(self.times_s[-1])
        for begin_s in range(first, last + 1, WEEK_S):
            begin, end = np.searchsorted(self.times_s, [begin_s, begin_s + WEEK_S]).tolist()
            yield begin_s, slice(max(begin, self.test_begin), end)


@dataclass(slots=True)
class Fits:
    """Fits models of a table and remembers the seconds that it took."""

    table: Table
    seconds: list[float] = field(default_factory=list)

    def fit(self, rows: slice, params: FitParams, continue_from: str | None = None) -> str:
        """The text of a model learnt from rows, or of a given one with more trees."""
        begun_s = time.monotonic()
        text = fit(
            self.table.features[rows],
            self.table.labels[rows],
            params=params,
            feature_names=self.table.names,
            continue_from=continue_from,
        )
        self.seconds.append(time.monotonic() - begun_s)
        return text

    def fit_mean(self, rows: slice, params: FitParams, forest_count: int) -> str:
        """The text of one model that says the mean of several, which differ in their seeds."""
        before = len(self.seconds)
        texts = [
            self.fit(rows, replace(params, seed=params.seed + number))
            for number in range(forest_count)
        ]
        self.seconds[before:] = [sum(self.seconds[before:])]
        return weighted_sum(texts, [1.0 / forest_count] * forest_count)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How well a protocol scored the test.

    Attributes
    ----------
    trees
        Of the last model.
    first_s
        Seconds of training before the test.
    update_s
        Seconds of all training during it.
    weeks
        Rows, frauds, AUC and average precision of each week.
    """

    protocol: str
    auc: float | None
    average_precision: float | None
    trees: int
    first_s: float
    update_s: float
    weeks: list[dict[str, float | None]]


# The model for the week that begins at a time, given the one of the week before.
Update = Callable[[int, str], str]


def keep(begin_s: int, text: str) -> str:
    """Learn nothing more."""
    return text


def prequential(table: Table, first: str, update: Update) -> tuple[Floats, Model]:
    """Scores of the test's rows, (rows,), each by the model of its week, and the last model."""
    scores = np.empty(table.labels.size - table.test_begin)
    model, text = Model.from_text("0", first), first
    for number, (begin_s, rows) in enumerate(table.weeks()):
        if number > 0:
            newer = update(begin_s, text)
            if newer != text:
                model, text = Model.from_text(str(number), newer), newer
        place = slice(rows.start - table.test_begin, rows.stop - table.test_begin)
        scores[place] = model.scores(table.features[rows])
    return scores, model


def judged(
    protocol: str, table: Table, scores: Floats, trees: int, *, first_s: float, update_s: float
) -> Outcome:
    """Measures of the whole test, and of its weeks."""
    labels = table.labels[table.test_begin :]
    weeks: list[dict[str, float | None]] = []
    for _, rows in table.weeks():
        place = slice(rows.start - table.test_begin, rows.stop - table.test_begin)
        week, truth = scores[place], labels[place]
        weeks.append(
            {
                "rows": truth.size,
                "frauds": int(truth.sum()),
                "auc": auc(week, truth),
                "average_precision": average_precision(week, truth),
            }
        )
    return Outcome(
        protocol=protocol,
        auc=auc(scores, labels),
        average_precision=average_precision(scores, labels),
        trees=trees,
        first_s=first_s,
        update_s=update_s,
        weeks=weeks,
    )
