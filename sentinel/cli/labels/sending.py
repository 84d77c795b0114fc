"""What a person says of transactions, sent; and when it counts, in words."""

import asyncio
import time
from collections.abc import Mapping, Sequence

from sentinel.cli.labels.rows import reader_of
from sentinel.cli.texts import echo, plain
from sentinel.codec.feedback.files import ENTITY, VoteRows
from sentinel.codec.times import date_text
from sentinel.config import Config
from sentinel.errors import ConfigError
from sentinel.operations.feedback import FeedbackSent, send

_AHEAD_MS_MAX = 60_000  # clocks differ; what is further ahead was not seen yet
_WAITING = (
    "counts when `sentinel archive run` has archived the decision on its transaction; with an "
    "account and an event time it counts at once; `sentinel feedback waiting` lists what waits"
)


def entity_columns(entities: Sequence[str], config: Config) -> dict[str, object]:
    """Of each KIND=ID the column of a row. Raises ConfigError."""
    found: dict[str, object] = {}
    for text in entities:
        kind, separator, name = text.partition("=")
        if not (kind and separator and name):
            raise ConfigError(f'--entity: "{text}" must be KIND=NAME, such as terminal=M1')
        if kind not in config.schema.entities:
            raise ConfigError(
                f'--entity: the schema has no "{kind}", but {sorted(config.schema.entities)}'
            )
        found[ENTITY + kind] = name
    return found


def send_one(row: Mapping[str, object], config: Config) -> None:
    """Send one vote, given as a row of a file would be, and say when it counts."""
    reader = reader_of(config, source="")
    read = reader.read(VoteRows(1, 1, {name: [value] for name, value in row.items()}))
    for reason in read.refused.values():
        raise ConfigError(reason)
    (one,) = read.all_feedback
    if one.observed_ms > time.time() * 1000 + _AHEAD_MS_MAX:
        raise ConfigError(f"observed {date_text(one.observed_ms)} is in the future")
    sent = FeedbackSent()
    asyncio.run(send(config, iter([read]), sent, everywhere=True))
    for reason in sent.refused.reasons.values():
        raise ConfigError(reason)
    name = plain(one.transaction_id)
    echo(f"sent: {plain(f'{one.source}/{one.who}')} says {one.label} of {name}")
    echo(_when_it_counts(name, sent, config))
    _say_corrected(sent)


def _when_it_counts(name: str, sent: FeedbackSent, config: Config) -> str:
    """When the only vote that was sent counts."""
    directory = config.archive.directory
    if sent.archived_count:
        return f"{name} is archived: it counts at once"
    absent = f"{name} is not archived in {directory}"
    if sent.waiting_count:
        return f"{absent} yet: the vote {_WAITING}"
    why = "others have spoken of it before" if sent.known_count else "you say when and of whom"
    return f"{absent} yet; it counts at once all the same, since {why}"


def say_sent(sent: FeedbackSent) -> None:
    """How many votes of a file were sent, and what is to be known of them."""
    echo(f"{sent.count:,} votes sent, {sent.refused.count:,} refused")
    if sent.waiting_count:
        echo(f"{sent.waiting_count:,} of them wait: each {_WAITING}")
    if sent.anonymous_count:
        echo(f"{sent.anonymous_count:,} of them name nobody: those of one source count as one vote")
    _say_corrected(sent)


def _say_corrected(sent: FeedbackSent) -> None:
    if sent.corrected_count:
        echo(
            f"{sent.corrected_count:,} gave another event time than their transaction has: the "
            "transaction's counts"
        )
