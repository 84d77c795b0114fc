"""What people say of transactions, from the command line: sent, and looked at."""

import asyncio
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from sentinel.adapters.archive import ArchiveParams, ParquetArchive, newest_note
from sentinel.codec.feedback.checking import checked, is_placed, other_entities
from sentinel.codec.feedback.files import FeedbackRows, Refusals
from sentinel.codec.stored import decode_stored
from sentinel.config import Config
from sentinel.core.consensus.asking import Question, questions
from sentinel.engine.archive.linking import NOTE, LinkingProgress, Place, Waiting, archived_places
from sentinel.errors import ConfigError, RecordError
from sentinel.operations.data.sender import Sender
from sentinel.operations.stores import open_cases
from sentinel.ports import CaseStore
from sentinel.records import Feedback
from sentinel.stored.votes import CONSENSUS, UNSETTLED_COUNT_MAX, Annotator, Case


@dataclass(slots=True)
class FeedbackSent:
    """What became of feedback so far.

    Attributes
    ----------
    known_count, archived_count
        Of those sent, on transactions that others have spoken of, or that are archived.
    waiting_count
        Of those sent, how many wait until the archive has their transaction.
    corrected_count
        Of those sent, how many gave another time than their transaction has.
    anonymous_count
        Of those sent, how many do not say who says so.
    """

    count: int = 0
    known_count: int = 0
    archived_count: int = 0
    waiting_count: int = 0
    corrected_count: int = 0
    anonymous_count: int = 0
    refused: Refusals = field(default_factory=Refusals)


async def send(
    config: Config, pieces: Iterator[FeedbackRows], sent: FeedbackSent, *, everywhere: bool = False
) -> None:
    """Place feedback, check it as the instance will, and publish what is right; count in `sent`.

    Where and when a transaction was is taken from what others have said of it, else from the
    archive, if it is here; feedback that names another entity is refused. One that nobody can place
    waits for the archive. Without `observed_ms` it was observed now. `everywhere` looks into the
    archive for what others have spoken of, too. Raises ConfigError when the pieces do, behind which
    what came before is sent.
    """
    async with open_cases(config.redis) as store, Sender(config) as sender:
        files = ParquetArchive(config.archive)
        try:
            while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
                sent.refused.add(piece.refused)
                known, archived = await _places(
                    store, files, piece.all_feedback, everywhere=everywhere
                )
                await sender.feedback(_ready(piece, known, archived, sent))
        finally:
            await sender.flush()


async def _places(
    store: CaseStore, files: ParquetArchive, all_feedback: Iterable[Feedback], *, everywhere: bool
) -> tuple[dict[str, Place], dict[str, Place]]:
    """What is known of their transactions from cases, and from the archive."""
    names = sorted({feedback.transaction_id for feedback in all_feedback})
    cases = await store.cases(names)
    known = {
        name: Place(case.event_time_ms, case.entities, case.prior, case.channel or None)
        for name, case in cases.items()
    }
    left = names if everywhere else [name for name in names if name not in known]
    return known, await asyncio.to_thread(archived_places, files, left)


def _ready(
    piece: FeedbackRows, known: dict[str, Place], archived: dict[str, Place], sent: FeedbackSent
) -> list[Feedback]:
    """The feedback of a piece as it is to be sent."""
    now_ms = round(time.time() * 1000)  # a person says it now: processing time is meant
    ready = []
    for number, said in zip(piece.numbers, piece.all_feedback, strict=True):
        name = said.transaction_id
        try:
            feedback = _placed(said, known.get(name) or archived.get(name), now_ms)
        except RecordError as error:
            sent.refused.add({number: error.detail})
            continue
        ready.append(feedback)
        sent.count += 1
        sent.known_count += name in known
        sent.archived_count += name in archived
        sent.waiting_count += not is_placed(feedback)
        sent.corrected_count += said.event_time_ms not in (None, feedback.event_time_ms)
        sent.anonymous_count += not feedback.who
    return ready


def _placed(feedback: Feedback, place: Place | None, now_ms: int) -> Feedback:
    """The feedback with where and when its transaction was. Raises RecordError."""
    if feedback.source == CONSENSUS:
        raise RecordError("bad_source", f'source "{CONSENSUS}" is what Sentinel says itself')
    feedback = replace(feedback, observed_ms=feedback.observed_ms or now_ms)
    if place is None:
        return checked(feedback)
    for kind, said, right in other_entities(feedback, place.entities):
        raise RecordError(
            "bad_entity",
            f"{kind} {said}, but transaction {feedback.transaction_id} is of {kind} {right}",
        )
    return checked(place.of(feedback))


async def case_of(config: Config, transaction_id: str) -> Case:
    """What is kept of a transaction. Raises ConfigError when nobody has said anything of it."""
    async with open_cases(config.redis) as store:
        found = await store.cases([transaction_id])
    if not found:
        raise ConfigError(f"nobody has said anything of transaction {transaction_id}")
    return found[transaction_id]


async def annotators(config: Config) -> list[Annotator]:
    """Everybody who has voted, who voted last first; not Sentinel itself, which counts again."""
    async with open_cases(config.redis) as store:
        found = await store.latest_annotators()
    return [one for one in found if one.source != CONSENSUS]


async def unsettled(config: Config, *, source: str, capacity: int, limit: int) -> list[Question]:
    """Cases that nobody can hold to be true yet, contested ones first, then the newest.

    With each whom to ask, of the annotators of this source; nobody more often than `capacity`.
    """
    async with open_cases(config.redis) as store:
        cases = await store.unsettled(UNSETTLED_COUNT_MAX)
        everybody = await store.latest_annotators()
    cases.sort(key=lambda case: case.status != "contested")  # stable: the newest stays first
    candidates = [one for one in everybody if one.source == source]
    return questions(cases[:limit], candidates, config.consensus, capacity=capacity)


@dataclass(frozen=True, slots=True)
class Noted:
    """What waits, as whoever archives has noted it last.

    Attributes
    ----------
    at_ms
        When that was.
    log_count
        How many logs have such notes in the folder; this one is the newest.
    """

    waiting: list[Waiting]
    at_ms: int
    log_count: int


def noted_waiting(params: ArchiveParams) -> Noted | None:
    """What waits for its transaction, by the folder alone; None: it holds no note of it.

    Raises ConfigError when the note cannot be read.
    """
    found = newest_note(params, NOTE)
    if found is None:
        return None
    try:
        progress = decode_stored(LinkingProgress, found.data)
    except RecordError as error:
        raise ConfigError(f"{found.path}: is not what the archive writes: {error}") from error
    return Noted(progress.waiting, found.at_ms, found.log_count)
