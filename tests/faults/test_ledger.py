"""What the outside sees is judged rightly: what was lost, repeated, committed too early."""

from typing import Any

from sentinel.codec.records import encode
from tests.faults.ledger import Ledger, compare
from tests.faults.watch import PATIENCE_SAMPLES, CommitWatch


def decision(offset: int, **changes: Any) -> bytes:
    """As it is published, as far as the ledger looks at it."""
    fields = {
        "decision_id": f"my-transactions-0-{offset}",
        "account": "card-1",
        "score": 0.5,
        "degraded": [],
        "features": [float(i) for i in range(14)],
        "config_version": "abc",
        "v": 1,
    }
    return encode(fields | changes)


def ledger_of(*values: bytes) -> Ledger:
    ledger = Ledger()
    for value in values:
        ledger.decided(value)
    return ledger


def bury(ledger: Ledger, offset: int, topic: str = "t") -> None:
    facts = {"topic": topic, "partition": "0", "offset": str(offset)}
    headers = [(f"sentinel.{name}", text.encode()) for name, text in facts.items()]
    ledger.bury(headers, b"poison", "t")


def with_feature(number: int) -> bytes:
    return decision(0, features=[float(i) + (i == number) for i in range(14)])


def test_the_frontier_is_where_the_first_record_is_missing() -> None:
    ledger = ledger_of(decision(0), decision(1), decision(4))
    assert ledger.frontiers == {0: 2}

    bury(ledger, 2, topic="feedback")
    assert ledger.frontiers == {0: 2}
    bury(ledger, 2)
    ledger.decided(decision(3))
    assert ledger.frontiers == {0: 5}


def test_a_repeat_in_the_same_words_differs_in_nothing() -> None:
    ledger = ledger_of(decision(0), decision(0), decision(0, config_version="x"))

    assert (ledger.repeated, ledger.differing, ledger.differing_account) == (2, 0, 0)


def test_a_repeat_differs_in_its_account_or_only_in_what_is_shared() -> None:
    of_account = ledger_of(decision(0), with_feature(0))
    of_shared = ledger_of(decision(0), with_feature(11))

    assert (of_account.differing, of_account.differing_account) == (1, 1)
    assert (of_shared.differing, of_shared.differing_account) == (1, 0)


def test_a_decision_without_the_store_is_held_against_nothing() -> None:
    degraded = decision(0, degraded=["state"], features=[0.0] * 14)
    ledger = ledger_of(degraded, decision(0), decision(0))

    assert (ledger.repeated, ledger.differing) == (2, 0)
    found = compare(ledger_of(degraded), ledger_of(decision(0)), {0: 1}, {}, {})
    assert (found.differing_account, found.degraded) == (0, 1)


def test_what_was_lost_misjudged_or_stored_otherwise_is_counted() -> None:
    expected = ledger_of(*(decision(i) for i in range(4)))
    bury(expected, 4)
    found = ledger_of(decision(0), with_feature(0), decision(2), decision(4))

    comparison = compare(
        found, expected, {0: 5}, {"a": b"1", "b": b"2", "d": b"4"}, {"a": b"1", "b": b"3"}
    )

    assert comparison.lost == 2  # 1 and 3
    assert comparison.misjudged == 2  # 4 was decided, and not buried
    assert (comparison.blobs_differing, comparison.blobs_missing) == (1, 1)
    assert comparison.differing_account == 0


def test_decisions_are_held_against_the_oracles() -> None:
    found = compare(ledger_of(with_feature(3)), ledger_of(decision(0)), {0: 1}, {}, {})
    assert (found.differing_account, found.differing_unlabelled) == (1, 1)

    found = compare(ledger_of(with_feature(9)), ledger_of(decision(0)), {0: 1}, {}, {})
    assert (found.differing_account, found.differing_unlabelled) == (0, 1)


def test_a_commit_ahead_of_its_outputs_is_noticed_and_a_slow_reader_forgiven() -> None:
    watch, ledger = CommitWatch(), ledger_of(decision(0))

    watch.sample({0: 2}, ledger)
    ledger.decided(decision(1))
    watch.sample({0: 2}, ledger)
    assert watch.early == 0

    for _ in range(PATIENCE_SAMPLES + 1):
        watch.sample({0: 3}, ledger)
    assert watch.early == 1


def test_a_commit_that_goes_back_is_noticed() -> None:
    watch, ledger = CommitWatch(), ledger_of(decision(0), decision(1))

    watch.sample({0: 2}, ledger)
    watch.sample({0: 1}, ledger)

    assert watch.backward == 1
