"""What experiments measure of each account: a sum over another one."""

from dataclasses import dataclass
from typing import Literal

Better = Literal["higher", "lower"]


@dataclass(frozen=True, slots=True)
class ExperimentMetric:
    """A ratio of two sums over an arm's transactions, all of them matured.

    Attributes
    ----------
    words
        What it is, for people.
    unit
        Of what is printed: a share, or minor units of money.
    """

    name: str
    words: str
    better: Better
    unit: Literal["share", "money"] = "share"


METRICS = {
    one.name: one
    for one in (
        ExperimentMetric("fraud_loss", "fraud let through, money a transaction", "lower", "money"),
        ExperimentMetric("fraud_missed", "frauds that were approved, of all transactions", "lower"),
        ExperimentMetric("recall", "frauds that were flagged, of all known frauds", "higher"),
        ExperimentMetric("precision", "frauds among what was flagged and is known", "higher"),
        ExperimentMetric("alert_rate", "transactions that were reviewed or blocked", "lower"),
        ExperimentMetric("block_rate", "transactions that were blocked", "lower"),
        ExperimentMetric("bothered", "genuine transactions that were flagged, of all", "lower"),
        ExperimentMetric(
            "genuine_blocked", "genuine money blocked, a transaction", "lower", "money"
        ),
        ExperimentMetric("cost", "fraud let through, reviews and genuine blocks", "lower", "money"),
    )
}

# Of a shadow experiment: those that are counted in frauds found; the others in money.
COUNTED = frozenset({"fraud_missed", "recall", "precision"})
