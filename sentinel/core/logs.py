"""Short names of logs, in what outlives a topic: files, labels, names of examples."""

import hashlib


def log_id(log: str) -> str:
    """Eight hexadecimal digits that stand for a log; of no name none."""
    return hashlib.sha256(log.encode()).hexdigest()[:8] if log else ""


def cluster_of(log: str) -> str:
    """The cluster that a log is on, which was all that older versions noted of it."""
    return log.partition("/")[0]


def is_of(log: str, noted: str) -> bool:
    """Whether it is the log that was noted, as far as the note tells."""
    return noted in (log, cluster_of(log))


def feedback_name(log: str | None, offset: int) -> str:
    """Names what one record of feedback has brought about: a repetition has the same name.

    Without a log it is of a version that did not say which one it was.
    """
    return f"feedback-{log}-{offset}" if log else f"feedback-{offset}"
