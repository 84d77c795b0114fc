"""What accounts have done by the log, and whether each decision knew it: lists and loops, no more.

A record of an account must be decided knowing every earlier one of the account. Where a topic has
grown, the account's newest records may lie in one partition while older ones wait in another: then
each of these may be known or not, in the order of its partition, until all was decided once.
"""

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import NamedTuple

MINOR = 100  # units of an amount in one of a feature's
EXAMPLES_MAX = 8


class Sent(NamedTuple):
    """One transaction in the log.

    `after` is how many of all transactions, by `number`, were known to be decided when it was sent.
    `life` counts how often its topic had been created before.
    """

    number: int
    transaction_id: str
    account: str
    merchant: str
    amount: int
    after: int
    life: int
    partition: int
    offset: int
    is_merchant_checked: bool = False

    @property
    def log(self) -> tuple[int, int]:
        """What has an order: one partition of one life of the topic."""
        return self.life, self.partition


class Seen(NamedTuple):
    """One decision as it was published, as far as it is judged."""

    transaction_id: str
    event_count: int
    total: int
    frauds: int
    merchant_count: int
    is_flagged: bool  # it says itself that it may lack state

    @property
    def known(self) -> tuple[int, int]:
        """How many transactions of its account it knew, and what they sum to."""
        return self.event_count, self.total


def seen(value: bytes) -> Seen:
    """A decision from its JSON; the features are in the order of the configuration."""
    fields = json.loads(value)
    _, count, total, frauds, merchant_count = (x or 0.0 for x in fields["features"])
    flagged = any(reason.startswith("state") for reason in fields["degraded"])
    return Seen(
        fields["transaction_id"],
        int(count),
        round(total * MINOR),
        int(frauds),
        int(merchant_count),
        flagged,
    )


@dataclass(slots=True)
class Judgement:
    """All decisions of a run held against its log; everything counts transactions or decisions."""

    sent: int = 0
    lost: int = 0  # transactions without a decision
    doubled: int = 0  # decisions that know more than there was
    wrong: int = 0  # decisions that know less, or another sum, and do not say so
    flagged: int = 0  # decisions that say themselves that they may lack state
    repeated: int = 0
    foreign: int = 0  # decisions on what nobody sent
    examples: list[str] = field(default_factory=list)

    @property
    def offences(self) -> list[str]:
        """What is not as it must be, for a person to read."""
        named = {
            "transactions without a decision": self.lost,
            "decisions that count what there was not": self.doubled,
            "decisions that lack counts and do not say so": self.wrong,
            "decisions on what nobody sent": self.foreign,
        }
        found = [f"{count} {what}" for what, count in named.items() if count]
        return [*found, *(f"e.g. {text}" for text in self.examples)] if found else []

    def note(self, text: str) -> None:
        if len(self.examples) < EXAMPLES_MAX:
            self.examples.append(text)


class Book:
    """Everything that was sent, in the order of sending."""

    def __init__(self) -> None:
        self.sent: list[Sent] = []
        self.settled = 0  # so many were known to be decided

    def add(self, sent: Iterable[Sent]) -> None:
        self.sent.extend(sent)
        assert [one.number for one in self.sent[-3:]] == list(range(len(self.sent)))[-3:]

    def settle(self) -> None:
        """All that was sent is decided: what comes now must know all of it."""
        self.settled = len(self.sent)

    def undecided(self, decisions: Collection[Seen]) -> list[Sent]:
        decided = {one.transaction_id for one in decisions}
        return [one for one in self.sent if one.transaction_id not in decided]

    def judge(
        self, decisions: Sequence[Seen], forgotten: Collection[str] = frozenset()
    ) -> Judgement:
        """Hold every decision, repeats as well, against what was sent.

        Parameters
        ----------
        forgotten
            Transactions that nobody can know of any more, neither store nor log: a decision may
            know all of an account, or all but these.
        """
        histories: dict[str, list[Sent]] = defaultdict(list)
        for one in self.sent:
            histories[one.account].append(one)
        by_id = {one.transaction_id: one for one in self.sent}
        lost = self.undecided(decisions)
        found = Judgement(sent=len(self.sent), lost=len(lost))
        for one in lost[:2]:
            found.note(f"{one.transaction_id} at {one.partition}-{one.offset} is not decided")
        decided: set[str] = set()
        for decision in decisions:
            found.repeated += decision.transaction_id in decided
            decided.add(decision.transaction_id)
            asked = by_id.get(decision.transaction_id)
            if asked is None:
                found.foreign += 1
            elif decision.is_flagged:
                found.flagged += 1
            else:
                _judge_one(found, decision, asked, histories[asked.account], forgotten)
                _judge_merchant(found, decision, asked, self.sent, forgotten)
        return found


def _judge_one(
    found: Judgement, decision: Seen, asked: Sent, history: list[Sent], forgotten: Collection[str]
) -> None:
    right = acceptable(history, asked)
    remembered = [one for one in history if one.transaction_id not in forgotten]
    right |= acceptable(remembered, asked)
    if decision.known in right:
        return
    is_doubled = decision.event_count > max(count for count, _ in right)
    found.doubled += is_doubled
    found.wrong += not is_doubled
    words = " or ".join(f"{count} of {total}" for count, total in sorted(right)[:4])
    found.note(
        f"{asked.transaction_id} of {asked.account} at {asked.partition}-{asked.offset} knows "
        f"{decision.event_count} of {decision.total}, right is {words}"
    )


def acceptable(history: Sequence[Sent], asked: Sent) -> set[tuple[int, int]]:
    """What may be known of an account when one of its transactions is decided: counts and sums.

    Must be known: all that was settled before it was sent, and all before it in its own partition.
    Of every other partition some first part of what was sent meanwhile, earlier in event time.
    """
    before = [one for one in history if one.number < asked.number]
    must = [one for one in before if one.number < asked.after or one.log == asked.log]
    others: dict[tuple[int, int], list[int]] = defaultdict(list)
    for one in before:
        if one.number >= asked.after and one.log != asked.log:
            others[one.log].append(one.amount)
    found = set()
    for lengths in product(*(range(len(amounts) + 1) for amounts in others.values())):
        parts = [a[:n] for a, n in zip(others.values(), lengths, strict=True)]
        amounts = [one.amount for one in must] + [amount for part in parts for amount in part]
        found.add((len(amounts), sum(amounts)))
    return found


def _judge_merchant(
    found: Judgement,
    decision: Seen,
    asked: Sent,
    sent: Sequence[Sent],
    forgotten: Collection[str],
) -> None:
    """Only where nothing else is under way: what is shared depends on how partitions interleave."""
    if not asked.is_merchant_checked:
        return
    before = [one for one in sent[: asked.number] if one.merchant == asked.merchant]
    remembered = [one for one in before if one.transaction_id not in forgotten]
    if len(remembered) <= decision.merchant_count <= len(before):
        return
    found.doubled += decision.merchant_count > len(before)
    found.wrong += decision.merchant_count < len(remembered)
    found.note(
        f"{asked.transaction_id} of {asked.merchant} knows {decision.merchant_count} of the "
        f"merchant, right is {len(before)}"
    )


def ahead(
    sent: Iterable[Sent], life: int, committed: dict[int, int], decided: Collection[str]
) -> list[Sent]:
    """What a commit has passed though nobody decided it."""
    return [
        one
        for one in sent
        if one.life == life
        and one.offset < committed.get(one.partition, 0)
        and one.transaction_id not in decided
    ]


def unlabelled(decisions: Iterable[Seen], frauds: dict[str, int]) -> list[str]:
    """Of these transactions, sent when all labels had fallen due, those that know too few frauds.

    Parameters
    ----------
    frauds
        How many frauds of its account each transaction should know.
    """
    newest = {one.transaction_id: one for one in decisions}
    return [
        f"{name} knows {newest[name].frauds} frauds of its account, {count} were labelled"
        for name, count in frauds.items()
        if name in newest and newest[name].frauds < count
    ]
