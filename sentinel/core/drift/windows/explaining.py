"""What a window says beside its reference: which columns changed, how, and what that costs."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from sentinel.core.drift.counts.columns import BinnedColumn, score_column
from sentinel.core.drift.counts.counting import GroupCounts
from sentinel.core.drift.counts.noting import MILLION, SCORE_SUMS
from sentinel.core.drift.counts.reference import Reference
from sentinel.core.drift.counts.segments import Segmentation, of_segment
from sentinel.core.drift.counts.spans import SpanCounts
from sentinel.core.drift.outcomes.estimated import MEASURES, PerformanceSums
from sentinel.core.drift.outcomes.harm import HarmParams, harms, severity
from sentinel.core.drift.windows.causes import causes, group_correlations
from sentinel.core.drift.windows.effects import shares
from sentinel.core.drift.windows.kinds import kind_of
from sentinel.core.drift.windows.segments import segment_standing_out
from sentinel.core.drift.windows.window_test import ColumnTest, window_test
from sentinel.core.drift.windows.words import words_of_counts
from sentinel.records import Floats, Ints
from sentinel.stored.drift import ColumnFinding, Harm, Severity

_HARM = HarmParams()
_ROW_COUNT_MIN = 200  # of a window: of fewer nothing is said
_WHOLE = Segmentation()


@dataclass(frozen=True, slots=True)
class Explanation:
    """What there is to say of a window.

    Attributes
    ----------
    findings
        Of each column, most suspect first.
    causes
        Columns that changed together, most suspect first.
    harm, severity
        At the thresholds that were in force, if P(fraud | x) is unchanged; None where the score has
        no reference yet.
    in_segments
        What changed in segments that were asked for, by their names. Rows of an account are taken
        for independent there: that something has changed, a detector has said.
    """

    findings: list[ColumnFinding] = field(default_factory=list)
    causes: list[list[str]] = field(default_factory=list)
    harm: Harm | None = None
    severity: Severity = "info"
    in_segments: dict[str, list[ColumnFinding]] = field(default_factory=dict)

    def of(self, column: str, segment: str = "") -> ColumnFinding | None:
        """What it says of one column; in a segment, of that."""
        findings = self.in_segments.get(segment, []) if segment else self.findings
        return next((one for one in findings if one.name == column), None)


def explained(
    counts: SpanCounts,
    reference: Reference,
    *,
    use: Mapping[str, float] | None = None,
    sources: Mapping[str, str] | None = None,
    silent: frozenset[str] = frozenset(),
    segmentation: Segmentation = _WHOLE,
    segments: Collection[str] = (),
) -> Explanation:
    """Test every column of a window, and the score.

    Parameters
    ----------
    use
        How much the model uses each feature; without, all are alike.
    sources
        The field that a feature is made of.
    silent
        Features that are no cause of anything: they change by themselves.
    segmentation, segments
        By what both are split, and the segments that are asked for.
    """
    findings: list[ColumnFinding] = []
    found: list[list[str]] = []
    split = _Split(segmentation, counts, reference)
    if min(counts.features.row_count, reference.counts.row_count) >= _ROW_COUNT_MIN:
        columns, window = reference.features, counts.features
        tests = window_test(columns, window, reference.counts)
        loud = [i for i, test in enumerate(tests) if test.name not in silent]
        correlations = group_correlations(columns, reference.counts)[np.ix_(loud, loud)]
        of_loud = [tests[i] for i in loud]
        ranked = causes(of_loud, use=use, sources=sources, correlations=correlations)
        found = [list(cause.columns) for cause in ranked]
        findings = _findings(columns, tests, window, reference.counts)
        findings = split.placed(findings, tests, of_score=False)
    in_segments = {name: split.findings(name) for name in segments}
    if min(counts.score.row_count, reference.scores.row_count) < _ROW_COUNT_MIN:
        return Explanation(_ordered(findings, found), found, in_segments=in_segments)
    tests = window_test([score_column()], counts.score, reference.scores)
    of_score = _findings([score_column()], tests, counts.score, reference.scores)
    findings += split.placed(of_score, tests, of_score=True)
    before = _performance(reference.score_sums, reference.scores)
    now = _performance(counts.scores, counts.score)
    grave = severity(harms(before, now, _HARM), _HARM)
    harm = _harm(before, now)
    return Explanation(_ordered(findings, found), found, harm, grave, in_segments)


class _Split:
    """A window and its reference by segment, where both are."""

    def __init__(
        self, segmentation: Segmentation, counts: SpanCounts, reference: Reference
    ) -> None:
        self._segmentation = segmentation
        self._columns = reference.features
        is_split = reference.segmentation == segmentation.digest
        self._reference = reference.segments if is_split else None
        self._window = counts.segments

    def placed(
        self, findings: list[ColumnFinding], tests: Sequence[ColumnTest], *, of_score: bool
    ) -> list[ColumnFinding]:
        """With the segment that each change stands in; of the features, or of the score."""
        if self._window is None or self._reference is None:
            return findings
        window, reference = (
            (one.score if of_score else one.features) for one in (self._window, self._reference)
        )
        found = segment_standing_out(tests, window, reference, self._segmentation)
        return [replace(one, segment=found.get(one.name, "")) for one in findings]

    def findings(self, name: str) -> list[ColumnFinding]:
        """Of the features and the score in one segment; none where it has too few rows."""
        names = self._segmentation.names
        if self._window is None or self._reference is None or name not in names:
            return []
        found = []
        for columns, now, before in (
            (self._columns, self._window.features, self._reference.features),
            ((score_column(),), self._window.score, self._reference.score),
        ):
            window, reference = (of_segment(one, names.index(name)) for one in (now, before))
            if min(window.row_count, reference.row_count) >= _ROW_COUNT_MIN:
                tests = window_test(columns, window, reference, rows_are_independent=True)
                found += _findings(columns, tests, window, reference)
        return found


def _findings(
    columns: Sequence[BinnedColumn],
    tests: Sequence[ColumnTest],
    window: GroupCounts,
    reference: GroupCounts,
) -> list[ColumnFinding]:
    cells = window.cells.sum(axis=1), reference.cells.sum(axis=1)
    findings = []
    for i, (column, test) in enumerate(zip(columns, tests, strict=True)):
        now, before = cells[0][i], cells[1][i]
        kind = kind_of(column, test, now, before)
        findings.append(
            ColumnFinding(
                name=column.name,
                p=test.p,
                alarm=test.alarm,
                effect=test.effect,
                kind="" if kind is None else kind.name,
                words="" if kind is None else words_of_counts(column, test, kind, before, now),
                psi=test.psi_beyond_chance,
                cells=(_listed(now), _listed(before)) if test.alarm else None,
            )
        )
    return findings


def _listed(cells: Ints) -> list[float]:
    return [round(share, 6) for share in shares(cells).tolist()]


def _ordered(findings: list[ColumnFinding], found: list[list[str]]) -> list[ColumnFinding]:
    """Causes first, in their order, then by p."""
    rank = {name: i for i, name in enumerate(name for cause in found for name in cause)}
    return sorted(findings, key=lambda one: (rank.get(one.name, len(rank)), one.p, one.name))


def _performance(sums: Ints, counts: GroupCounts) -> PerformanceSums:
    """Expected performance by groups of accounts: what a row of each cell adds on average, times
    the rows of the groups in each cell.
    """
    by_name = dict(zip(SCORE_SUMS, sums.T.astype(np.float64), strict=True))
    rows = np.maximum(by_name["rows"], 1.0)
    each: dict[str, Floats] = {
        "rows": np.ones(len(sums)),
        "frauds": by_name["ppm"] / MILLION / rows,
        "alerts": by_name["alerts"] / rows,
        "caught": by_name["caught_ppm"] / MILLION / rows,
        "money": by_name["money"] / rows,
        "missed_money": (by_name["money"] - by_name["caught_money"]) / rows,
    }
    table = np.stack([each[name] for name in MEASURES], axis=1)
    return PerformanceSums(counts.cells[0].astype(np.float64) @ table)


def _harm(before: PerformanceSums, now: PerformanceSums) -> Harm:
    def missed(sums: PerformanceSums) -> float:
        return sums.ratio("missed_money", "rows") or 0.0

    return Harm(
        precision=(now.precision or 0.0, before.precision or 0.0),
        recall=(now.recall or 0.0, before.recall or 0.0),
        missed_amount_minor=(missed(now), missed(before)),
    )
