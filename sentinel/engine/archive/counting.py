"""Follows experiments where the archive is: at each look, what has matured of their outcomes.

It keeps nothing: which experiments there are, and which looks are out, their topics say. The looks
of an experiment are so many even parts of its planned duration, in event time from its first
decision; one falls when so much has matured. Where several have passed since, the newest is looked
at.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from sentinel.archive import Segment
from sentinel.codec.stored import decode_stored, encode_stored
from sentinel.core.features.spec import duration_ms
from sentinel.core.learning.maturity import MaturityParams
from sentinel.engine.archive.arm_outcomes import (
    Costs,
    accounts_of,
    by_account,
    decisions_between,
    first_seen,
    of_experiment,
    sums_of,
    technical,
    with_truth,
)
from sentinel.engine.archive.examples import horizons, span_ms
from sentinel.engine.archive.labels import Labels, current_labels
from sentinel.engine.archive.paired_outcomes import paired, shadowed_by
from sentinel.engine.archive.reach import ArchiveReach
from sentinel.errors import RecordError, TransientError
from sentinel.ports import Archive, Broker, Tail
from sentinel.records import InputRecord, OutputRecord
from sentinel.stored.experiments import Definition, StoredExperiment
from sentinel.stored.outcomes import OutcomeReport

log = logging.getLogger(__name__)

_POLL_S, _POLL_COUNT_MAX = 0.2, 500
_SILENT_S_MAX = 20.0
_COVARIATE_MS_MAX = 28 * 86_400_000
_AGAIN_SHARE = 0.1  # of the time between two looks, before files are looked through again


@dataclass(slots=True)
class _Followed:
    """An experiment that runs, and what is known of its outcomes.

    Attributes
    ----------
    looked
        The newest look that is out.
    tried_ms
        Up to which event time all was there when files were last looked through.
    before
        The covariates of accounts, once they are known.
    """

    stored: StoredExperiment
    looked: int = 0
    tried_ms: int = -1
    first_ms: int | None = None
    before: pl.DataFrame | None = None


class OutcomeCounter:
    """Counts what came of experiments.

    Parameters
    ----------
    tail
        Of the topics of experiments and of outcomes.
    """

    def __init__(
        self,
        files: Archive,
        broker: Broker,
        tail: Tail,
        params: MaturityParams,
        costs: Costs,
        *,
        decisions: str,
        experiments: str,
        outcomes: str,
    ) -> None:
        self._files = files
        self._broker = broker
        self._tail = tail
        self._params = params
        self._costs = costs
        self._reach = ArchiveReach(broker, decisions)
        self._experiments = experiments
        self._outcomes = outcomes
        self._followed: dict[str, _Followed] = {}
        self._spans_ms: dict[Segment, tuple[int, int]] = {}
        self.count = 0

    def begin(self) -> None:
        """Read both topics from the start."""
        self._followed = {}
        for topic in (self._experiments, self._outcomes):
            self._tail.seek(topic, 0)

    async def work(self) -> None:
        """Count what is due, and publish it."""
        await self._follow()
        running = [one for one in self._followed.values() if one.stored.status != "ended"]
        running = [one for one in running if one.stored.status != "draft"]
        running = [one for one in running if one.stored.definition.decides == "metric"]
        if not running:
            return
        spans_ms = await asyncio.to_thread(self._looked_at)
        behind_ms = await self._reach.behind_ms(spans_ms)
        reports = await asyncio.to_thread(self._counted, running, behind_ms)
        for report in reports:
            name = report.experiment.partition("@")[0]
            record = OutputRecord(name.encode(), encode_stored(report))
            await self._broker.publish(self._outcomes, 0, [record])
            self.count += 1
        if reports:
            await self._broker.flush()
            for report in reports:
                self._note(report)

    async def _follow(self) -> None:
        """Read both topics to their ends."""
        clock_s = asyncio.get_running_loop().time
        heard_s = clock_s()
        while True:
            polled = await self._tail.poll(timeout_s=_POLL_S, count_max=_POLL_COUNT_MAX)
            for topic, records in polled.items():
                heard_s = clock_s()
                self._take(topic, records)
            if not polled and all(
                self._tail.lag(topic) == 0 for topic in (self._experiments, self._outcomes)
            ):
                return
            if clock_s() - heard_s > _SILENT_S_MAX:
                raise TransientError(f"nothing can be read of {self._experiments}")

    def _take(self, topic: str, records: Sequence[InputRecord]) -> None:
        for record in records:
            value = record.value or b""
            try:
                if topic == self._experiments:
                    stored = decode_stored(StoredExperiment, value)
                    self._followed.setdefault(
                        stored.definition.id, _Followed(stored)
                    ).stored = stored
                elif b'"kind":"look"' in value:
                    self._note(decode_stored(OutcomeReport, value))
            except RecordError as error:
                log.warning("%s at offset %d: %s", topic, record.offset, error.unquoted)

    def _note(self, report: OutcomeReport) -> None:
        if (one := self._followed.get(report.experiment)) is not None:
            one.looked = max(one.looked, report.look)
            one.first_ms = min(report.first_ms.values(), default=one.first_ms)

    def _looked_at(self) -> dict[Segment, tuple[int, int]]:
        """The event times of all files of decisions."""
        segments = self._files.segments("decisions")
        self._spans_ms = {
            one: self._spans_ms.get(one) or span_ms(self._files, one) for one in segments
        }
        return self._spans_ms

    def _counted(self, running: Sequence[_Followed], behind_ms: int | None) -> list[OutcomeReport]:
        newest_ms = max((last for _, last in self._spans_ms.values()), default=-1)
        sure_ms = newest_ms if behind_ms is None else min(behind_ms, newest_ms)
        due = [one for one in running if self._is_worth_a_try(one, sure_ms)]
        if not due:
            return []
        labels = current_labels(self._files)
        learnt_ms = newest_ms - horizons(labels, newest_ms, self._params).mature_ms
        found = [self._report(one, labels, newest_ms, learnt_ms, sure_ms) for one in due]
        return [report for report in found if report is not None]

    def _is_worth_a_try(self, one: _Followed, sure_ms: int) -> bool:
        """Whether a look may be due: to look through files costs more than to wait a little."""
        definition = one.stored.definition
        between_ms = duration_ms(definition.duration) / definition.looks
        if one.tried_ms >= 0 and sure_ms - one.tried_ms < _AGAIN_SHARE * between_ms:
            return False
        one.tried_ms = sure_ms
        return sure_ms >= 0

    def _report(
        self, one: _Followed, labels: Labels, newest_ms: int, learnt_ms: int, sure_ms: int
    ) -> OutcomeReport | None:
        """The look that is due; None if none is. By `sure_ms` nothing is missing."""
        definition = one.stored.definition
        maturity_ms = duration_ms(definition.maturity) if definition.maturity else learnt_ms
        mature_ms = min(newest_ms - maturity_ms, sure_ms)
        if (
            one.first_ms is not None
            and self._look(definition, one.first_ms, mature_ms) <= one.looked
        ):
            return None
        begin_ms = one.first_ms or 0
        rows = self._decisions(definition, begin_ms, newest_ms)
        if rows.is_empty():
            return None
        one.first_ms = first_ms = int(rows["event_time_ms"].min())  # type: ignore[arg-type]
        look = self._look(definition, first_ms, mature_ms)
        if look <= one.looked:
            return None
        end_ms = first_ms + duration_ms(definition.duration)
        matured = rows.filter(pl.col("event_time_ms") <= min(mature_ms, end_ms))
        return self._look_of(one, rows, with_truth(matured, labels), labels, look, maturity_ms)

    def _look_of(
        self,
        one: _Followed,
        rows: pl.DataFrame,
        matured: pl.DataFrame,
        labels: Labels,
        look: int,
        maturity_ms: int,
    ) -> OutcomeReport:
        definition = one.stored.definition
        steps = rows.group_by("step").agg(pl.col("event_time_ms").min()).sort("step")
        counted_to_ms = int(matured["event_time_ms"].max() or 0)  # type: ignore[arg-type]
        report = OutcomeReport(
            experiment=definition.id,
            look=look,
            looks=definition.looks,
            share=look / definition.looks,
            first_ms={str(step): int(first) for step, first in steps.iter_rows()},
            counted_to_ms=counted_to_ms,
            accounts=accounts_of(first_seen(rows)),
            notes=[f"what is younger than {_age(maturity_ms)} does not count"],
        )
        if definition.design == "shadow":
            report.shadow.update(paired(matured, counted_to_ms, maturity_ms=0))
            return report
        if one.before is None:
            one.before = self._covariates(min(report.first_ms.values()), labels)
        accounts = by_account(matured, self._costs, ("step", "arm", "account"))
        sums = sums_of(accounts, one.before)
        report.metrics.update({name: each.to_dict() for name, each in sums.items()})
        report.technical.update(technical(matured))
        report.notes.extend(_notes(matured))
        return report

    @staticmethod
    def _look(definition: Definition, first_ms: int, mature_ms: int) -> int:
        """Which look is due when so much has matured; 0 before the first."""
        length_ms = duration_ms(definition.duration)
        share = min(max((mature_ms - first_ms) / length_ms, 0.0), 1.0)
        return int(share * definition.looks + 1e-9)

    def _decisions(self, definition: Definition, begin_ms: int, end_ms: int) -> pl.DataFrame:
        """All decisions of the experiment up to then, one row each."""
        pieces = []
        for frame in decisions_between(self._files, self._spans_ms, begin_ms, end_ms):
            if definition.design == "shadow":
                version = definition.challengers[0].version
                own = shadowed_by(frame, version).with_columns(step=pl.lit(0, pl.Int64))
                pieces.append(own)
            else:
                pieces.append(of_experiment(frame, definition.id))
        return pl.concat(pieces) if pieces else pl.DataFrame()

    def _covariates(self, first_ms: int, labels: Labels) -> pl.DataFrame:
        """What each account did in the weeks before, by the same metrics."""
        pieces = [
            by_account(with_truth(frame, labels), self._costs, ("account",))
            for frame in decisions_between(
                self._files, self._spans_ms, first_ms - _COVARIATE_MS_MAX, first_ms - 1
            )
        ]
        if not pieces:
            return by_account(pl.DataFrame(schema=_EMPTY), self._costs, ("account",))
        return pl.concat(pieces).group_by("account").agg(pl.all().sum())


_EMPTY = {
    "account": pl.String,
    "amount_minor": pl.Int64,
    "action": pl.String,
    "explore_share": pl.Float64,
    "explored": pl.Boolean,
    "is_fraud": pl.Boolean,
}


def _age(ms: int) -> str:
    hours = ms / 3_600_000
    return f"{hours / 24:.3g} days" if hours >= 48 else f"{hours:.3g} hours"


def _notes(matured: pl.DataFrame) -> list[str]:
    """What cannot be known of these outcomes."""
    blind = matured.filter(
        pl.col("action") == "block", pl.col("is_fraud").is_null(), pl.col("explore_share").is_null()
    ).height
    if not blind:
        return []
    return [
        f"{blind:,} blocked transactions have no label and are not explored: they count as no "
        "loss, and in no metric that needs their truth"
    ]
