"""What a file says, as votes to be weighed all at once."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from sentinel.codec.voices import Voices
from sentinel.core.consensus.votes import Votes, numbered, temporal_weight
from sentinel.records import Feedback, Floats, Ints
from sentinel.votes import RETRACTED

_SAYS = {"fraud": True, "genuine": False}


@dataclass(frozen=True, slots=True)
class VoteFile:
    """Votes with the names that their numbers stand for.

    Attributes
    ----------
    sources
        What kind of voice each worker is; empty where the file does not say.
    unsure_count, retracted_count
        Last words that are no votes.
    """

    votes: Votes
    tasks: list[str]
    workers: list[str]
    sources: list[str]
    unsure_count: int
    retracted_count: int


def vote_file(pieces: Iterable[Voices], *, vote_half_life_s: float = 0.0) -> VoteFile:
    """The last word of each worker on each task, as in the stream.

    Of several the one of the highest revision counts, of these the one observed last, of these the
    last one; one that does not say when was observed last. Two workers of one name from two sources
    are two. Votes fade by their age against the newest one on the same task.
    """
    last: dict[tuple[str, str, str], tuple[tuple[int, float], Feedback]] = {}
    for piece in pieces:
        for voice in piece.voices:
            said_by = (voice.transaction_id, voice.source, voice.who)
            order = (voice.revision, voice.observed_ms or math.inf)
            before = last.get(said_by)
            if before is None or order >= before[0]:
                last[said_by] = (order, voice)
    task_names, task = numbered([name for name, *_ in last])
    names = [f"{source}/{who}" if source else who for _, source, who in last]
    worker_names, worker = numbered(names)
    source_of = dict(zip(names, (source for _, source, _ in last), strict=True))
    voices = [voice for _, voice in last.values()]
    weight = np.array([voice.confidence for voice in voices], dtype=np.float64)
    if vote_half_life_s:
        observed_ms = np.array([voice.observed_ms for voice in voices], dtype=np.float64)
        weight *= _faded(task, observed_ms, len(task_names), vote_half_life_s)
    kept = np.flatnonzero([voice.label in _SAYS for voice in voices])
    says = np.array([voice.label == "fraud" for voice in voices], dtype=np.bool_)
    votes = Votes.of(
        task[kept],
        worker[kept],
        says[kept],
        weight[kept],
        task_count=len(task_names),
        annotator_count=len(worker_names),
    )
    retracted_count = sum(voice.label == RETRACTED for voice in voices)
    return VoteFile(
        votes,
        task_names,
        worker_names,
        [source_of[name] for name in worker_names],
        len(voices) - kept.size - retracted_count,
        retracted_count,
    )


def _faded(task: Ints, observed_ms: Floats, task_count: int, half_life_s: float) -> Floats:
    """What is left of each vote; one that does not say when is as new as the newest."""
    newest_ms = np.zeros(task_count)
    np.maximum.at(newest_ms, task, observed_ms)
    age_ms = np.where(observed_ms > 0, newest_ms[task] - observed_ms, 0.0)
    return temporal_weight(age_ms / 1000.0, half_life_s)
