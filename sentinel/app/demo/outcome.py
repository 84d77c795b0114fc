"""What came of the demo: recall and money by day, beside a model that never learnt anything more.

Truth is that of the simulation, not of the labels: what nobody noticed counts, too. The static
model is the first one. It is asked afterwards of the very features that were archived, and those
hold what labels told meanwhile: it is spared nothing but to learn.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from sentinel import archive
from sentinel.adapters.registry import ModelDirectory
from sentinel.app.demo.script import Script
from sentinel.app.demo.told import Happening
from sentinel.config import Config
from sentinel.records import Floats, Ints
from sentinel.serving_model import serving_model
from sentinel.simulation.alert_centre import HOUR_MS
from sentinel.simulation.chargebacks import DAY_MS
from sentinel.simulation.handbook import LEAKING_SHOP

COUNTERED_SHARE = 0.9  # of the recall before, at which the pattern is countered
WINDOW_H = 72  # in which recall is looked at
_BEFORE_DAYS = 28
_AFTER_DAYS = 14
# What tells of the pattern: known frauds at terminals, and outcomes of decisions.
_CAUSES = ("terminal_risk", "terminal_frauds", "missed_frauds", "fraud_odds")
_TRAINED = "training"


@dataclass(frozen=True, slots=True)
class DemoDay:
    """A day in figures; money in minor units.

    Attributes
    ----------
    frauds, caught, static_caught
        In truth, and those that were not approved; `static` is the model that never learns.
    new_frauds, new_caught, static_new_caught
        The same of the new pattern.
    alerts, static_alerts
        Transactions that were not approved.
    lost, static_lost
        Frauds that were approved.
    """

    day: int
    transactions: int
    frauds: int
    caught: int
    static_caught: int
    new_frauds: int
    new_caught: int
    static_new_caught: int
    alerts: int
    static_alerts: int
    lost: int
    static_lost: int


@dataclass(frozen=True, slots=True)
class Served:
    """A version, and from when until when it was champion; None to the end."""

    version: str
    who: str
    from_ms: int
    to_ms: int | None


@dataclass(frozen=True, slots=True)
class DemoFigures:
    """The demo in figures; hours are of event time since the pattern began.

    Attributes
    ----------
    saved, lost
        From the pattern on to the end: what the static model would have lost, and how much of that
        was not; major units.
    recall_before, recall_low, recall_after
        In the four weeks before the pattern; in the worst three days of it; in the two weeks
        before the mistake.
    static_recall_after
        In the same two weeks.
    alarm
        The first one that names what the pattern moves.
    hours_to_countered, static_hours_to_countered
        To the first three days in which recall is nine tenths of before, and behind which it stays
        so until the mistake; None where that is never.
    rolled_back_after_hours
        From the mistake on; None where it was not.
    """

    seed: int
    transactions: int
    saved: float
    lost: float
    recall_before: float
    recall_low: float
    recall_after: float
    static_recall_after: float
    alarm: str
    hours_to_alarm: float | None
    hours_to_promotion: float | None
    hours_to_countered: float | None
    static_hours_to_countered: float | None
    rolled_back_after_hours: float | None


@dataclass(frozen=True, slots=True)
class Decided:
    """All decisions, with the truth, in the order of event time; each column of (n,)."""

    event_time_ms: Ints
    amount_minor: Ints
    scenario: Ints
    is_flagged: Ints
    is_flagged_static: Ints

    def recall(self, from_ms: int, to_ms: int, *, is_static: bool = False) -> float:
        """Of the frauds of a span, how many were not approved; 1 where there was none."""
        begin, end = np.searchsorted(self.event_time_ms, [from_ms, to_ms])
        fraud = self.scenario[begin:end] != 0
        flagged = (self.is_flagged_static if is_static else self.is_flagged)[begin:end]
        return float(flagged[fraud].mean()) if fraud.any() else 1.0


def decided(config: Config, frauds: Mapping[str, int], first_version: str) -> Decided:
    """What was decided, from the archive, and what the first model says of the same features."""
    first = ModelDirectory(config.model).load(first_version)
    names = [feature.name for feature in config.features]
    model = serving_model(first, names)
    columns = [f"feature_{name}" for name in names]
    rows = (
        archive.scan(config.archive.directory, "decisions")
        .select("transaction_id", "event_time_ms", "amount_minor", "action", "offset", *columns)
        .sort("offset")
        .unique("transaction_id", keep="last")
        .sort("event_time_ms", "offset")
        .collect()
    )
    features = np.ascontiguousarray(rows.select(columns).to_numpy(), dtype=np.float64)
    probability: Floats = model.probability(model.model.raw_scores(features))
    truth = rows["transaction_id"].replace_strict(frauds, default=0, return_dtype=pl.Int64)
    return Decided(
        rows["event_time_ms"].to_numpy(),
        rows["amount_minor"].to_numpy(),
        truth.to_numpy(),
        (rows["action"] != "approve").to_numpy().astype(np.int64),
        (probability >= config.policy.review_min).astype(np.int64),
    )


def by_day(all_decided: Decided, script: Script) -> list[DemoDay]:
    """Each day that was played."""
    found = []
    for day in range(script.day_count):
        begin, end = np.searchsorted(
            all_decided.event_time_ms, [script.at_ms(day), script.at_ms(day + 1)]
        )
        amount, scenario = all_decided.amount_minor[begin:end], all_decided.scenario[begin:end]
        ours, static = (
            one[begin:end] == 1 for one in (all_decided.is_flagged, all_decided.is_flagged_static)
        )
        fraud, new = scenario != 0, scenario == LEAKING_SHOP
        found.append(
            DemoDay(
                day=day,
                transactions=int(end - begin),
                frauds=int(fraud.sum()),
                caught=int((fraud & ours).sum()),
                static_caught=int((fraud & static).sum()),
                new_frauds=int(new.sum()),
                new_caught=int((new & ours).sum()),
                static_new_caught=int((new & static).sum()),
                alerts=int(ours.sum()),
                static_alerts=int(static.sum()),
                lost=int(amount[fraud & ~ours].sum()),
                static_lost=int(amount[fraud & ~static].sum()),
            )
        )
    return found


def demo_figures(
    script: Script,
    all_decided: Decided,
    days: Sequence[DemoDay],
    happenings: Sequence[Happening],
    *,
    decimals: int,
) -> DemoFigures:
    """The demo in figures."""
    pattern_ms, mistake_ms = script.at_ms(script.pattern_day), script.at_ms(script.mistake_day + 1)
    before = all_decided.recall(
        max(pattern_ms - _BEFORE_DAYS * DAY_MS, script.begin_ms), pattern_ms
    )
    after_ms = mistake_ms - _AFTER_DAYS * DAY_MS
    lost = sum(one.static_lost for one in days[script.pattern_day :])
    ours = sum(one.lost for one in days[script.pattern_day :])
    alarm = first_alarm(happenings, pattern_ms)
    promoted = None if alarm is None else _first(
        happenings, alarm.at_ms, "promoted", who=_TRAINED
    )  # fmt: skip
    mistake = _first(happenings, pattern_ms, "mistake")
    undone = None if mistake is None else _first(
        happenings, mistake.at_ms, "rolled_back", version=mistake.facts["version"]
    )  # fmt: skip
    spans = range(pattern_ms, mistake_ms - WINDOW_H * HOUR_MS, HOUR_MS)
    return DemoFigures(
        seed=script.seed,
        transactions=sum(one.transactions for one in days),
        saved=(lost - ours) / 10**decimals,
        lost=lost / 10**decimals,
        recall_before=before,
        recall_low=min(all_decided.recall(at, at + WINDOW_H * HOUR_MS) for at in spans),
        recall_after=all_decided.recall(after_ms, mistake_ms),
        static_recall_after=all_decided.recall(after_ms, mistake_ms, is_static=True),
        alarm="" if alarm is None else alarm.what,
        hours_to_alarm=_hours(pattern_ms, alarm),
        hours_to_promotion=_hours(pattern_ms, promoted),
        hours_to_countered=_countered_h(all_decided, before, spans, mistake_ms, is_static=False),
        static_hours_to_countered=_countered_h(
            all_decided, before, spans, mistake_ms, is_static=True
        ),
        rolled_back_after_hours=None if mistake is None else _hours(mistake.at_ms, undone),
    )


def first_alarm(happenings: Sequence[Happening], since_ms: int) -> Happening | None:
    """The first alarm since then that names what the pattern moves: its cause, in its columns."""
    return next(
        (
            one
            for one in happenings
            if one.at_ms >= since_ms
            and one.kind in ("drift_alarm", "performance_alarm")
            and str(one.facts["column"]).startswith(_CAUSES)
            and one.facts["side"] == "up"
            and one.facts["since_ms"] >= since_ms - DAY_MS
        ),
        None,
    )


def served(happenings: Sequence[Happening], first_version: str, begin_ms: int) -> list[Served]:
    """Which version was champion from when until when."""
    begun = [(begin_ms, first_version, "sentinel run")]
    for one in happenings:
        champion = one.facts.get("champion")
        if one.kind in ("promoted", "rolled_back") and champion and champion != begun[-1][1]:
            begun.append((one.at_ms, str(champion), str(one.facts["who"])))
    ends = [at_ms for at_ms, _, _ in begun[1:]]
    return [
        Served(version, who, from_ms, to_ms)
        for (from_ms, version, who), to_ms in zip(begun, [*ends, None], strict=True)
    ]


def _first(
    happenings: Sequence[Happening], since_ms: int, kind: str, **facts: str
) -> Happening | None:
    return next(
        (
            one
            for one in happenings
            if one.kind == kind
            and one.at_ms >= since_ms
            and all(one.facts.get(name) == value for name, value in facts.items())
        ),
        None,
    )


def _hours(since_ms: int, one: Happening | None) -> float | None:
    return None if one is None else (one.at_ms - since_ms) / HOUR_MS


def _countered_h(
    all_decided: Decided, before: float, spans: range, end_ms: int, *, is_static: bool
) -> float | None:
    """Hours from the first of the spans on."""
    for at_ms in spans:
        window = all_decided.recall(at_ms, at_ms + WINDOW_H * HOUR_MS, is_static=is_static)
        if window >= COUNTERED_SHARE * before:
            later = all_decided.recall(at_ms, end_ms, is_static=is_static)
            if later >= COUNTERED_SHARE * before:
                return (at_ms - spans[0]) / HOUR_MS
    return None
