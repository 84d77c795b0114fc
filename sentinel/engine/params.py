"""How the engine paces itself, and what its topics are called."""

import re
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, get_args

MEMORY_MB_MIN = 256  # what a process takes before it holds any entity, and some room

_TOPIC_NAME = re.compile(r"[a-zA-Z0-9._-]{1,249}")

OnGap = Literal["fail", "earliest"]

# Of decisions, alerts and dead letters. State counts each transaction exactly once in either case.
Delivery = Literal["at_least_once", "exactly_once"]


@dataclass(frozen=True, slots=True)
class TopicParams:
    """Names of the topics, all under one prefix, and how many partitions new ones get."""

    prefix: str = ""
    transactions: str = "transactions"
    decisions: str = "decisions"
    alerts: str = "alerts"
    feedback: str = "feedback"
    labels: str = "labels"
    examples: str = "examples"
    model_updates: str = "model-updates"
    control: str = "control"
    audit: str = "audit"
    dead_letters: str = "dead-letters"
    summaries: str = "summaries"
    drift_alerts: str = "drift-alerts"
    experiments: str = "experiments"
    outcomes: str = "outcomes"
    rollouts: str = "rollouts"
    partition_count: int = 4  # of transactions, decisions and alerts, when they are created

    def __post_init__(self) -> None:
        names = self.names()
        if len(set(names)) != len(names) or not all(names):
            raise ValueError(f"topics need different names, got {names}")
        for name in names:
            if not _TOPIC_NAME.fullmatch(self.full(name)) or self.full(name) in (".", ".."):
                raise ValueError(
                    f'topic name "{self.full(name)}" must be 1 to 249 of a-z A-Z 0-9 . _ -'
                )
        if not 1 <= self.partition_count <= 4096:
            raise ValueError(f"partition_count must be in 1..4096, got {self.partition_count}")

    def names(self) -> list[str]:
        """Every topic name, without the prefix; in the order of `engine.topics.TOPICS`."""
        return [getattr(self, setting) for setting in self._settings()]

    def _settings(self) -> list[str]:
        """The fields that name a topic."""
        return [one.name for one in fields(self) if one.name not in ("prefix", "partition_count")]

    def full(self, name: str) -> str:
        """A topic's name as the broker knows it."""
        return self.prefix + name

    def in_full(self) -> "TopicParams":
        """The same topics, each by its name as the broker knows it."""
        full: dict[str, Any] = {
            setting: self.full(getattr(self, setting)) for setting in self._settings()
        }
        return replace(self, **full, prefix="")


@dataclass(frozen=True, slots=True)
class EngineParams:
    """Batches, clocks and limits of the loop."""

    batch_count_max: int = 2048  # they hold the loop for 20 ms; with 512 throughput is half
    inbox_batch_count_max: int = 4
    poll_timeout_s: float = 0.1
    commit_interval_s: float = 1.0
    snapshot_rate_max: int = 20_000  # entity blobs written a second
    # How long a change waits, so that the next ones of the entity are written with it; about so
    # much is replayed after a crash. Of shared entities none waits longer than `refresh_s`.
    snapshot_after_s: float = 10.0
    explain_rows_max: int = 2_000  # alerts that may wait for their reasons
    explain_timeout_s: float = 5.0
    labels_waiting_max: int = 100_000
    refresh_s: float = 5.0  # how old the share of other instances in an entity may be
    outage_s_max: float = 60.0  # how long to score from memory alone while the store is away
    shutdown_s_max: float = 5.0
    restart_count_max: int = 10  # attempts in a row to come back from a transient failure
    backoff_s_max: float = 30.0
    memory_mb_max: int = 0  # of this process; 0: what the control group may use, if that is limited
    disk_mb_min: int = 500  # with less free, a disk is called nearly full; 0: off
    clock_skew_s_max: float = 60.0  # between the clock and the records' own times; 0: off
    on_gap: OnGap = "fail"  # when the log no longer holds what must be read
    delivery: Delivery = "at_least_once"

    def __post_init__(self) -> None:
        if not 1 <= self.batch_count_max <= 65_536:
            raise ValueError(f"batch_count_max must be in 1..65536, got {self.batch_count_max}")
        if not 1 <= self.inbox_batch_count_max <= 1024:
            raise ValueError("inbox_batch_count_max must be in 1..1024")
        if not 0.01 <= self.poll_timeout_s <= 5:
            raise ValueError("poll_timeout_s must be in 0.01..5")
        if not 0.05 <= self.commit_interval_s <= 60:
            raise ValueError("commit_interval_s must be in 0.05..60")
        if self.snapshot_rate_max < 100:
            raise ValueError("snapshot_rate_max must be at least 100")
        if self.explain_rows_max < 0 or self.labels_waiting_max < 1:
            raise ValueError("explain_rows_max must be at least 0, labels_waiting_max at least 1")
        self._check_times()
        self._check_choices()

    def _check_times(self) -> None:
        if min(self.explain_timeout_s, self.shutdown_s_max, self.backoff_s_max) <= 0:
            raise ValueError("explain_timeout_s, shutdown_s_max, backoff_s_max must be positive")
        if self.refresh_s < 0.1:
            raise ValueError("refresh_s must be at least 0.1")
        if not 0 <= self.snapshot_after_s <= 600:
            raise ValueError("snapshot_after_s must be in 0..600")
        if self.outage_s_max < 0 or self.restart_count_max < 0:
            raise ValueError("outage_s_max and restart_count_max must not be negative")
        if self.disk_mb_min < 0 or self.clock_skew_s_max < 0:
            raise ValueError("disk_mb_min and clock_skew_s_max must not be negative")
        if self.memory_mb_max != 0 and self.memory_mb_max < MEMORY_MB_MIN:
            raise ValueError(
                f"memory_mb_max must be 0 for the limit of the control group, or at least "
                f"{MEMORY_MB_MIN}, got {self.memory_mb_max}"
            )

    @property
    def shared_snapshot_after_s(self) -> float:
        """`snapshot_after_s` of entities that other instances read, too."""
        return min(self.snapshot_after_s, self.refresh_s)

    @property
    def explain_wait_s(self) -> float:
        """How long an alert waits for its reasons.

        Exactly once, scoring waits for the alerts of a cut: a slow explanation must not stop it.
        """
        if self.delivery == "exactly_once":
            return min(self.explain_timeout_s, self.commit_interval_s)
        return self.explain_timeout_s

    def _check_choices(self) -> None:
        for name, choices in (("on_gap", get_args(OnGap)), ("delivery", get_args(Delivery))):
            if (found := getattr(self, name)) not in choices:
                raise ValueError(f'{name} must be one of {choices}, got "{found}"')
