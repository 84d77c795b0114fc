"""What is kept of feedback: cases, those who vote, and how far the log was read."""

from dataclasses import dataclass, field

from sentinel.records import LabelName

RETRACTED = "retracted"
CONSENSUS = "consensus"  # the source of what Sentinel itself says, which is never a vote
UNSETTLED = ("contested", "open")  # statuses of a case that more votes would help
UNSETTLED_COUNT_MAX = 10_000  # the newest such cases, which a store can list
RECENT_COUNT_MAX = 20_000  # and of all cases


@dataclass(frozen=True, slots=True)
class Vote:
    """The newest word of one person on one transaction.

    Attributes
    ----------
    annotator
        "source/who".
    label
        "fraud", "genuine", "unsure" or "retracted".
    offset
        Where it was read in the log of feedback.
    counted
        The posterior with which it was counted into its annotator's record; None: it was not.
    agreed
        Whether it says what a trusted source has said of the transaction, as it was counted into
        its annotator's `known_count`; None: it was not.
    """

    annotator: str
    label: str
    revision: int
    confidence: float
    observed_ms: int
    offset: int
    notes: str = ""
    counted: float | None = None
    agreed: bool | None = None

    @property
    def is_telling(self) -> bool:
        """Whether it says what the transaction is: it is neither unsure nor taken back."""
        return self.label in ("fraud", "genuine")

    @property
    def source(self) -> str:
        """What kind of feedback it is."""
        return self.annotator.split("/", 1)[0]

    def weighed(self, counted: float | None, agreed: bool | None) -> "Vote":
        """The same word, counted so; `dataclasses.replace` takes four times as long."""
        if counted == self.counted and agreed == self.agreed:
            return self
        return Vote(
            self.annotator,
            self.label,
            self.revision,
            self.confidence,
            self.observed_ms,
            self.offset,
            self.notes,
            counted,
            agreed,
        )


@dataclass(frozen=True, slots=True)
class Case:
    """A transaction that somebody said something of.

    Attributes
    ----------
    votes
        One an annotator, in the order in which they were read.
    posterior
        The probability of fraud; None before the first vote.
    label
        What is held to be true; None while nothing is.
    status
        "fraud", "genuine", "contested" or "open", as the votes are now.
    prior
        The probability with which it was decided, where the first feedback has told it.
    channel
        How it came to be looked at, as the first feedback told; empty where that is not known.
    evidence
        Log-odds of its votes with which it counts in its channel; None where it does not.
    is_brought_up
        A source spoke of what it had noticed itself, before anybody judged it.
    is_withdrawn
        It had a label, and has none.
    """

    transaction_id: str
    event_time_ms: int
    entities: dict[str, str | None]
    votes: tuple[Vote, ...] = ()
    posterior: float | None = None
    label: LabelName | None = None
    status: str = "open"
    prior: float | None = None
    channel: str = ""
    evidence: float | None = None
    is_brought_up: bool = False
    is_withdrawn: bool = False

    @property
    def is_unsettled(self) -> bool:
        """Whether nothing can be held to be true of it, as the votes are now."""
        return self.status in UNSETTLED

    @property
    def newest_ms(self) -> int:
        """When the newest vote was observed."""
        return max((vote.observed_ms for vote in self.votes), default=self.event_time_ms)


@dataclass(frozen=True, slots=True)
class Annotator:
    """What is known of one who votes.

    Attributes
    ----------
    seen, missed, cleared, accused
        Expected counts, faded: see `core.consensus.skills.AnnotatorSkills`.
    vote_count, fraud_count, unsure_count, retracted_count
        Everything they ever said, by what it was.
    first_ms, last_ms
        When, by the time that they observed.
    long_seen, long_missed, long_cleared, long_accused
        Expected counts that fade slowly, to compare the others with.
    known_count, known_right_count
        Their votes "fraud" and "genuine" on transactions of which a trusted source has told the
        truth, before or after them, and how many of those agree with it. They do not fade.
    group
        Names the group of those who always vote alike; empty of one who copies nobody.
    """

    name: str
    seen: float = 0.0
    missed: float = 0.0
    cleared: float = 0.0
    accused: float = 0.0
    vote_count: int = 0
    fraud_count: int = 0
    unsure_count: int = 0
    retracted_count: int = 0
    first_ms: int = 0
    last_ms: int = 0
    long_seen: float = 0.0
    long_missed: float = 0.0
    long_cleared: float = 0.0
    long_accused: float = 0.0
    known_count: int = 0
    known_right_count: int = 0
    group: str = ""

    @property
    def source(self) -> str:
        """What kind of feedback it is."""
        return self.name.split("/", 1)[0]


@dataclass(frozen=True, slots=True)
class FeedbackProgress:
    """How far the log of feedback has been counted, and what it held.

    Attributes
    ----------
    log
        Names the log that the offset belongs to.
    channels
        What is counted in each selection channel: see `core.consensus.channels`.
    base_rate
        The share of frauds that the model expects, when what comes next is counted; None where
        none is known.
    """

    log: str
    next_offset: int
    channels: dict[str, list[float]] = field(default_factory=dict)
    base_rate: float | None = None


@dataclass(frozen=True, slots=True)
class CaseBatch:
    """What changes together when votes are counted."""

    progress: FeedbackProgress
    cases: dict[str, Case] = field(default_factory=dict)
    annotators: dict[str, Annotator] = field(default_factory=dict)
