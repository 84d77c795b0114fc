"""The Handbook's folds: train on a week, wait a week for its labels, test on the week after."""

from dataclasses import dataclass

import numpy as np

from benchmarks.handbook_file import LABEL_DELAY_DAYS, Payments
from sentinel.core.learning.evaluation import auc, average_precision, card_precision_top_k
from sentinel.core.learning.training_data.examples import Bools
from sentinel.records import Floats

WEEK = 7
CARDS_CHECKED = 100

# First days of training, as days since 2018-04-01: 07-25 ... 08-15, and for validation 06-20 ...
# 07-11 (Fraud Detection Handbook, chapter 5.3: prequential validation on four folds).
TEST_BEGIN_DAYS = (115, 122, 129, 136)
VALIDATION_BEGIN_DAYS = (80, 87, 94, 101)


@dataclass(frozen=True, slots=True)
class Fold:
    """A fold by the first day of its training week."""

    begin_day: int

    @property
    def train_end(self) -> int:
        """The day after the last whose labels are known when the test begins."""
        return self.begin_day + WEEK

    @property
    def test_begin(self) -> int:
        return self.train_end + LABEL_DELAY_DAYS

    @property
    def test_end(self) -> int:
        return self.test_begin + WEEK


@dataclass(frozen=True, slots=True)
class Quality:
    """What the Handbook reports of scores on a week; nan where a week has no fraud."""

    average_precision: float
    auc: float
    card_precision: float


def folds(begin_days: tuple[int, ...], rows: Payments) -> list[Fold]:
    """The folds that the file is long enough for."""
    found = [Fold(day) for day in begin_days]
    return [fold for fold in found if fold.test_end <= rows.day_count]


def judged_rows(rows: Payments, fold: Fold) -> Bools:
    """The rows of the test week whose customer has no fraud that is known, bool (n,).

    Known are, as in the Handbook, the frauds since training began, each from the first midnight on
    that is a whole week after its day: those of training at once, and each day those of one more.
    """
    found = np.zeros(len(rows), dtype=np.bool_)
    is_fraud = rows.label == 1
    for day in range(fold.test_begin, fold.test_end):
        is_known = is_fraud & rows.days(fold.begin_day, fold.train_end)
        is_known |= is_fraud & rows.days(fold.train_end, day - LABEL_DELAY_DAYS)
        found |= rows.days(day, day + 1) & ~np.isin(rows.customer, rows.customer[is_known])
    return found


def quality(rows: Payments, at: Bools, scores: Floats) -> Quality:
    """How good `scores` of the rows `at` are, in the order of the rows."""
    labels = rows.label[at]
    measured = (
        average_precision(scores, labels),
        auc(scores, labels),
        card_precision_top_k(scores, labels, rows.day[at], rows.customer[at], k=CARDS_CHECKED),
    )
    return Quality(*(np.nan if value is None else value for value in measured))


def mean_quality(found: list[Quality]) -> Quality:
    """The mean over folds."""
    return Quality(
        float(np.mean([q.average_precision for q in found])),
        float(np.mean([q.auc for q in found])),
        float(np.mean([q.card_precision for q in found])),
    )
