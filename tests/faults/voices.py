"""What people say of a card stream: several of them, some wrong, revising and repeating themselves.

Of each transaction there is a story: who says what of it, and so many chunks later or before.
Chunks of transactions and of voices depend on the seed and their number alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.random import Generator

from sentinel.records import Feedback

BEGIN_MS = 1_700_000_000_000
STEP_MS = 300_000  # from one transaction to the next: a run is long enough to presume of silence
EARLY_CHUNKS = 2  # so long before their transaction the first voices come
LATE_CHUNKS = 16  # and so long after it the last
HOUR_MS = 3_600_000
INVESTIGATORS = ("ann", "bob", "cyd", "dan", "eve", "fay")
ACCOUNT_COUNT, MERCHANT_COUNT, DEVICE_COUNT = 200, 40, 80


@dataclass(frozen=True, slots=True)
class Transaction:
    """One of the stream."""

    number: int
    account: str
    amount_minor: int
    merchant: str
    device: str

    @property
    def name(self) -> str:
        return f"t{self.number}"

    @property
    def time_ms(self) -> int:
        return BEGIN_MS + self.number * STEP_MS

    @property
    def value(self) -> bytes:
        """As a payment system sends it, in the schema of `tests.faults.workload`."""
        return (
            b'{"id":"%s","time_ms":%d,"card":"%s","amount":%d,"merchant":"%s","device":"%s"}'
        ) % (
            self.name.encode(), self.time_ms, self.account.encode(), self.amount_minor,
            self.merchant.encode(), self.device.encode(),
        )  # fmt: skip

    @property
    def entities(self) -> dict[str, str | None]:
        return {"account": self.account, "merchant": self.merchant, "device": self.device}


Told = tuple[int, Feedback]  # so many chunks behind the transaction's own, what is said


@dataclass(frozen=True, slots=True)
class Voices:
    """A stream without an end, chunk by chunk."""

    seed: int
    chunk_size: int = 20
    spoken_of_share: float = 0.3

    def transactions(self, number: int) -> list[Transaction]:
        rng = np.random.default_rng((self.seed, number))
        n = self.chunk_size
        columns = (
            rng.integers(0, ACCOUNT_COUNT, n),
            np.maximum(rng.lognormal(8, 1, n).astype(np.int64), 1),
            rng.integers(0, MERCHANT_COUNT, n),
            rng.integers(0, DEVICE_COUNT, n),
        )
        rows = zip(*(column.tolist() for column in columns), strict=True)
        return [
            Transaction(number * n + i, f"card-{account}", amount, f"m-{merchant}", f"d-{device}")
            for i, (account, amount, merchant, device) in enumerate(rows)
        ]

    def voices(self, number: int, end: int | None = None) -> list[Feedback]:
        """What is said while a chunk of transactions is sent; `end` is the first that never is."""
        last = number + EARLY_CHUNKS + 1
        return [
            voice
            for about in range(
                max(number - LATE_CHUNKS, 0), last if end is None else min(last, end)
            )
            for delay, voice in _told(self, about)
            if about + delay == number or (number == 0 and about + delay < 0)
        ]


@lru_cache(maxsize=64)
def _told(stream: Voices, about: int) -> list[Told]:
    """All that is ever said of the transactions of one chunk."""
    rng = np.random.default_rng((stream.seed, about, 1))
    return [
        told
        for one in stream.transactions(about)
        if rng.random() < stream.spoken_of_share
        for told in _story(one, rng)
    ]


def _story(one: Transaction, rng: Generator) -> Iterator[Told]:
    truth = "fraud" if rng.random() < 0.4 else "genuine"
    for who in INVESTIGATORS:
        if rng.random() < 0.5:
            yield from _investigated(one, who, truth, rng)
    if rng.random() < 0.3:
        yield from _settled_by_the_bank(one, truth, rng)
    if rng.random() < 0.02:
        yield 1, replace(_voice(one, "investigator", "ann", truth), label="perhaps")
    if rng.random() < 0.02:  # of something that never happened
        yield 2, replace(_voice(one, "chargeback", "bank", truth), transaction_id=f"g{one.number}")


def _investigated(one: Transaction, who: str, truth: str, rng: Generator) -> Iterator[Told]:
    """A first word, sometimes another one of the same person, sometimes the same again."""
    label = truth if rng.random() < 0.85 else other_than(truth)
    label = "unsure" if rng.random() < 0.05 else label
    voice = replace(
        _voice(one, "investigator", who, label), confidence=float(rng.choice([1.0, 0.9, 0.6]))
    )
    is_timed = rng.random() < 0.8
    voice = voice if is_timed else replace(voice, observed_ms=0)
    delay = int(rng.integers(-EARLY_CHUNKS, 7))
    yield delay, _named_only(voice, rng)
    if is_timed and rng.random() < 0.1:
        yield delay + int(rng.integers(0, 4)), _named_only(voice, rng)
    if rng.random() < 0.25:
        again = replace(
            voice,
            label=other_than(label) if rng.random() < 0.6 else "retracted",
            observed_ms=voice.observed_ms + HOUR_MS if is_timed else 0,
            # Who says neither when nor for the which time is heard in the order of the log.
            revision=1 if is_timed and rng.random() < 0.5 else 0,
        )
        yield delay + int(rng.integers(1, 5)), _named_only(again, rng)


def _settled_by_the_bank(one: Transaction, truth: str, rng: Generator) -> Iterator[Told]:
    voice = _voice(one, "chargeback", "bank", truth)
    delay = int(rng.integers(0, 10))
    yield delay, voice
    if rng.random() < 0.3:
        label = other_than(truth) if rng.random() < 0.5 else "retracted"
        again = replace(voice, label=label, revision=1, observed_ms=voice.observed_ms + HOUR_MS)
        yield delay + int(rng.integers(1, 5)), _named_only(again, rng)


def _voice(one: Transaction, source: str, who: str, label: str) -> Feedback:
    return Feedback(
        transaction_id=one.name,
        label=label,
        source=source,
        who=who,
        observed_ms=one.time_ms + HOUR_MS,
        event_time_ms=one.time_ms,
        entities=one.entities,
    )


def _named_only(voice: Feedback, rng: Generator) -> Feedback:
    """Every second voice says neither when nor of whom its transaction was."""
    if rng.random() < 0.5:
        return voice
    return replace(voice, event_time_ms=None, entities=None)


def other_than(label: str) -> str:
    return "genuine" if label == "fraud" else "fraud"
