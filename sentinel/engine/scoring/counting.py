"""What a decided batch adds to what the instance counts of itself."""

import asyncio
import time

import numpy as np

from sentinel.core.decision import ACTIONS, APPROVE
from sentinel.engine.scoring.judging import JudgedBatch
from sentinel.metrics import Metrics
from sentinel.records import Floats, Ints


def count_decisions(metrics: Metrics, judged: JudgedBatch) -> None:
    """What was decided, over all, and by version."""
    verdicts = judged.verdicts
    metrics.decisions += verdicts.action.size
    metrics.explored += sum(verdicts.explored.values())
    by_action = np.bincount(verdicts.action, minlength=len(ACTIONS)).tolist()
    metrics.actions.update(dict(zip(ACTIONS, by_action, strict=True)))
    probability = verdicts.probability
    if judged.unscored:  # of what has none nothing is told
        scored = ~np.isnan(probability)
        metrics.count_scores(probability[scored])
        probability = np.where(scored, probability, 0.0)
    else:
        metrics.count_scores(probability)
    size = len(judged.arms)
    decided = np.bincount(verdicts.arm, minlength=size).tolist()
    alerts = np.bincount(verdicts.arm[verdicts.action != APPROVE], minlength=size).tolist()
    sums = np.bincount(verdicts.arm, probability, minlength=size).tolist()
    for arm, *counts in zip(judged.arms, decided, alerts, sums, strict=True):
        version = arm.model.version
        metrics.version_decisions[version] += counts[0]
        metrics.version_alerts[version] += counts[1]
        metrics.version_probability_sum[version] += counts[2]


def count_amounts(metrics: Metrics, judged: JudgedBatch, amount_minor: Ints) -> None:
    """How much money was decided on, by the action; what is paid back takes nothing off."""
    paid = np.maximum(amount_minor, 0)
    sums = np.bincount(judged.verdicts.action, paid, minlength=len(ACTIONS)).tolist()
    for action, amount in zip(ACTIONS, sums, strict=True):
        metrics.amount_minor[action] += amount


def count_times(metrics: Metrics, count: int, stamps_ms: Floats, received_s: float) -> None:
    """When a batch of so many decisions went out, and how long its records took.

    Parameters
    ----------
    stamps_ms
        When each of its records was appended, epoch milliseconds; refused records among them.
    received_s
        When it was handed over, on the loop's clock.
    """
    metrics.batch_size.observe(float(count))
    metrics.last_decision_s = asyncio.get_running_loop().time()
    metrics.last_decision_cpu_s = time.process_time()
    if metrics.first_record_s is None:
        metrics.first_record_s = received_s
        metrics.first_record_cpu_s = metrics.last_decision_cpu_s
    metrics.engine_s.observe(metrics.last_decision_s - received_s, count)
    # How long a record took since it was appended is a fact about us: processing time is meant.
    waited_s = time.time() - stamps_ms / 1000.0
    metrics.latency_s.observe_many(np.maximum(waited_s, 0.0))
