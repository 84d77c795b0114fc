"""What people say of transactions, from the command line: sent, and looked at."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sentinel.adapters.redis import RedisCaseStore
from sentinel.app.sender import Sender
from sentinel.config import Config
from sentinel.core.consensus.asking import Question, questions
from sentinel.engine.feedback import checked, is_placed
from sentinel.errors import ConfigError, RecordError
from sentinel.records import Feedback
from sentinel.votes import CONSENSUS, UNSETTLED_COUNT_MAX, Annotator, Case


@dataclass(frozen=True, slots=True)
class Sent:
    """How many voices were sent, and why the others were not, by their place.

    Attributes
    ----------
    unplaced_count
        Of those sent, how many wait until the archive has their transaction.
    """

    count: int
    unplaced_count: int
    refused: dict[int, str]


async def send(config: Config, voices: Sequence[Feedback]) -> Sent:
    """Place each voice, check it as the instance will, and publish what is right.

    A voice that does not say when and where its transaction was takes that from what others have
    said of it; if nobody has, it waits for the archive. Without `observed_ms` it was observed now.
    """
    unplaced = {voice.transaction_id for voice in voices if not is_placed(voice)}
    async with RedisCaseStore(config.redis) as store:
        cases = await store.cases(sorted(unplaced)) if unplaced else {}
    ready, refused = [], {}
    now_ms = round(time.time() * 1000)  # a person says it now: processing time is meant
    for number, voice in enumerate(voices):
        try:
            ready.append(checked(_placed(voice, cases, now_ms)))
        except RecordError as error:
            refused[number] = error.detail
    async with Sender(config) as sender:
        await sender.feedback(ready)
        await sender.flush()
    return Sent(len(ready), sum(not is_placed(voice) for voice in ready), refused)


def _placed(voice: Feedback, cases: Mapping[str, Case], now_ms: int) -> Feedback:
    voice = replace(voice, observed_ms=voice.observed_ms or now_ms)
    case = cases.get(voice.transaction_id)
    if is_placed(voice) or case is None:
        return voice
    return replace(voice, event_time_ms=case.event_time_ms, entities=case.entities)


async def case_of(config: Config, transaction_id: str) -> Case:
    """What is kept of a transaction. Raises ConfigError when nobody has said anything of it."""
    async with RedisCaseStore(config.redis) as store:
        found = await store.cases([transaction_id])
    if not found:
        raise ConfigError(f"nobody has said anything of transaction {transaction_id}")
    return found[transaction_id]


async def annotators(config: Config) -> list[Annotator]:
    """Everybody who has voted, who voted last first; not Sentinel itself, which counts again."""
    async with RedisCaseStore(config.redis) as store:
        found = await store.latest_annotators()
    return [one for one in found if one.source != CONSENSUS]


async def unsettled(config: Config, *, source: str, capacity: int, limit: int) -> list[Question]:
    """Cases that nobody can hold to be true yet, contested ones first, then the newest.

    With each whom to ask, of the annotators of this source; nobody more often than `capacity`.
    """
    async with RedisCaseStore(config.redis) as store:
        cases = await store.unsettled(UNSETTLED_COUNT_MAX)
        everybody = await store.latest_annotators()
    cases.sort(key=lambda case: case.status != "contested")  # stable: the newest stays first
    candidates = [one for one in everybody if one.source == source]
    return questions(cases[:limit], candidates, config.consensus, capacity=capacity)
