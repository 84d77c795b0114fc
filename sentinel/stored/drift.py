"""What is kept of drift: how far the watch is, what it has found, and what people said of that."""

from dataclasses import dataclass, field
from typing import Any, Literal

ALARM_COUNT_MAX = 1_000  # the newest are kept
WINDOW_COUNT_MAX = 250  # of each scale

AlarmStatus = Literal["open", "acknowledged", "closed"]
Severity = Literal["info", "warning", "critical"]
Detector = Literal["steps", "season", "examples"]
Scale = Literal["rows", "hour", "day", "week"]


@dataclass(frozen=True, slots=True)
class Harm:
    """What a change costs, as far as scores tell: if P(fraud | x) is unchanged.

    Attributes
    ----------
    precision, recall
        Of what the policy flags, in the window and in the reference.
    missed_amount_minor
        Of frauds that are approved, for each transaction: in the window and in the reference.
    """

    precision: tuple[float, float]
    recall: tuple[float, float]
    missed_amount_minor: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something has changed, and what became of it.

    Attributes
    ----------
    id
        Names the alarm for good: when a crash repeats it, it has the same one.
    detector
        What has found it: steps of event time, the same hour of earlier weeks, or examples.
    column
        The feature, "score", or the outcome of examples.
    part
        "value", "missing" or "unseen" of a column; "rate" of an outcome.
    side
        Where it went.
    version
        The model version with whose reference was compared.
    since_ms
        When the change began, as an estimate; opened_ms, when there was enough evidence.
    effect
        How far from the reference, in standard deviations of a row.
    change
        The same as a ridit of values, or as a share.
    kind
        Of change, as the last window says; before one does, as the part suggests.
    acknowledged_by, note
        Who has seen it, and what they wrote.
    is_suppressed
        Whether somebody had said that its column is to be quiet.
    segment
        In which part of the stream it has changed, only or mostly, as a person reads it; empty
        where that is not one.
    is_of_segment
        Whether it was found in that segment; else in the whole stream.
    is_superseded
        Whether it was closed because another reference is compared with since.
    """

    id: str
    detector: Detector
    column: str
    part: str
    side: str
    version: str
    since_ms: int
    opened_ms: int
    changed_ms: int
    effect: float
    change: float
    severity: Severity = "info"
    status: AlarmStatus = "open"
    kind: str = ""
    words: str = ""
    harm: Harm | None = None
    closed_ms: int | None = None
    acknowledged_by: str = ""
    note: str = ""
    is_suppressed: bool = False
    segment: str = ""
    is_of_segment: bool = False
    is_superseded: bool = False
    v: int = 1

    @property
    def is_over(self) -> bool:
        """Whether what has changed is as it was."""
        return self.status == "closed"


@dataclass(frozen=True, slots=True)
class ColumnFinding:
    """What the test says of one column of a window, for people.

    Attributes
    ----------
    p
        Adjusted for all columns of the window.
    effect
        The distance D of numbers, the total variation of values.
    kind, words
        Of an alarm: which kind of change, and what changed in a few words.
    psi
        Population stability index less what chance makes of it.
    cells
        Of an alarm: the share of rows in each cell, of the window and of the reference.
    segment
        Of an alarm: the only segment that has changed, or the one that has most; empty where that
        is not one.
    """

    name: str
    p: float
    alarm: bool
    effect: float
    kind: str = ""
    words: str = ""
    psi: float = 0.0
    cells: tuple[list[float], list[float]] | None = None
    segment: str = ""


@dataclass(frozen=True, slots=True)
class WindowReport:
    """A window of the stream beside the reference: it reports and explains, and never alarms.

    Attributes
    ----------
    scale
        How windows are cut: so many rows, or an hour, a day, the last seven days.
    row_count, counted
        Of all decisions, and of the first rows of each account in an hour, which were tested.
    findings
        Of each column, most suspect first.
    causes
        Columns that changed together, most suspect first.
    """

    scale: Scale
    begin_ms: int
    end_ms: int
    version: str
    row_count: int
    counted: int
    actions: dict[str, int]
    findings: list[ColumnFinding]
    causes: list[list[str]] = field(default_factory=list)
    harm: Harm | None = None
    v: int = 1


@dataclass(frozen=True, slots=True)
class Suppression:
    """Alarms of a column are not told until then."""

    column: str
    until_ms: int
    who: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class DriftProgress:
    """How far the watch is: whoever takes over goes on from here, to the bit.

    Attributes
    ----------
    summaries_log, examples_log
        Name the logs of the offsets.
    columns
        The digest of the cells that are counted in; empty before there are any.
    version
        With whose reference is compared.
    book
        `core.drift.steps.BookPosition`.
    watch
        `core.drift.watch.Watch`, as plain values.
    """

    summaries_log: str = ""
    examples_log: str = ""
    columns: str = ""
    version: str = ""
    book: dict[str, Any] = field(default_factory=dict)
    watch: dict[str, Any] = field(default_factory=dict)
    examples: dict[str, Any] = field(default_factory=dict)
    v: int = 1
