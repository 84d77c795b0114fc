"""What can go wrong, named by what happens next."""

import re
from typing import Literal

RecordReason = Literal[
    "bad_amount", "bad_confidence", "bad_currency", "bad_entity", "bad_id", "bad_label",
    "bad_probability", "bad_revision", "bad_source", "bad_time", "bad_version", "framed",
    "missing_field", "not_a_column", "not_a_position", "not_a_reference", "not_a_summary",
    "not_a_watch", "not_avro", "not_counts", "not_json", "not_ours", "not_stored", "savepoint",
    "tombstone", "too_large", "unknown_schema", "wrong_type",
]  # fmt: skip

_QUOTED = re.compile(r"""(['"]).*\1""", re.DOTALL)


class SentinelError(Exception):
    """Root of every error that Sentinel raises on purpose."""


class ConfigError(SentinelError):
    """Raised when a setting, a file or an argument of the user is not usable: exit code 2."""


class RecordError(SentinelError):
    """Raised when one record cannot be used: it becomes a dead letter, its neighbours go on.

    `reason` is short and from a fixed set, so that it can be counted; `detail` is for a person.
    """

    def __init__(self, reason: RecordReason, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason: RecordReason = reason
        self.detail = detail

    @property
    def unquoted(self) -> str:
        """The detail for a log: what it quotes of a record may be the number of an account."""
        return _QUOTED.sub("…", self.detail)

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"


class TransientError(SentinelError):
    """Raised when the world outside failed and may recover: back off, then replay."""


class FencedError(TransientError):
    """Raised when a newer owner of the partition has taken over: drop the state and reload."""


class RefusedError(TransientError):
    """Raised when a topic's partition has taken nothing since this instance began.

    It may pass as any outage does, but what else has come further meanwhile is no sign of that.
    """


class StateLostError(FencedError):
    """Raised when the store does not hold any more what it acknowledged: drop the state, replay."""


class FileGoneError(TransientError):
    """Raised when an archived file has gone since it was listed: list them again."""


class WorkerLostError(TransientError):
    """Raised when a worker process is gone with all that it held: another starts with nothing."""


class WorkerDiedError(WorkerLostError):
    """Raised when a worker process has ended, perhaps of what it was given."""


class TrainingError(SentinelError):
    """Raised when the trainer fails at what it was asked: that is dropped, scoring goes on."""

    def __init__(self, job: str, detail: str) -> None:
        super().__init__(job, detail)
        self.job = job
        self.detail = detail

    def __str__(self) -> str:
        return f"the trainer cannot {self.job}: {self.detail}"


class ModelError(SentinelError):
    """Raised when a model version cannot be used: the one before it keeps serving."""

    def __init__(self, version: str, detail: str) -> None:
        super().__init__(version, detail)
        self.version = version
        self.detail = detail

    def __str__(self) -> str:
        return f"model {self.version}: {self.detail}"
