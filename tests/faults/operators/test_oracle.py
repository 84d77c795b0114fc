"""The oracle catches what it is there for: a lost count, a doubled one, a wrong one unflagged."""

import json

import pytest

from tests.faults.operators.oracle import (
    Book,
    Seen,
    Sent,
    acceptable,
    ahead,
    seen,
    unlabelled,
)


def book_of(*places: tuple[str, int], life: int = 0) -> Book:
    """Each transaction of 10, 20, 40, ...: any two sets of them differ in their sum."""
    book = Book()
    for account, partition in places:
        add(book, account, partition, life=life)
    return book


def add(book: Book, account: str, partition: int, *, life: int = 0, checks: bool = False) -> None:
    n = len(book.sent)
    offset = sum(one.log == (life, partition) for one in book.sent)
    place = (book.settled, life, partition, offset, checks)
    book.add([Sent(n, f"t{n}", account, "m", 10 * 2**n, *place)])


def decision(name: str, count: int, total: int, *, flagged: bool = False, shared: int = 0) -> Seen:
    return Seen(name, count, total, 0, shared, flagged)


RIGHT = [decision("t0", 0, 0), decision("t1", 1, 10), decision("t2", 2, 30)]


def test_what_is_right_offends_nobody() -> None:
    found = book_of(("a", 0), ("a", 0), ("a", 0)).judge(RIGHT)

    assert found.offences == []
    assert (found.sent, found.repeated, found.flagged) == (3, 0, 0)


def test_a_transaction_without_a_decision_is_lost() -> None:
    found = book_of(("a", 0), ("a", 0), ("a", 0)).judge(RIGHT[:2])

    assert found.lost == 1
    assert found.offences == ["1 transactions without a decision", "e.g. t2 at 0-2 is not decided"]


def test_a_lost_count_and_a_doubled_one_are_told_apart() -> None:
    book = book_of(("a", 0), ("a", 0), ("a", 0))

    short = book.judge([*RIGHT[:2], decision("t2", 1, 20)])
    assert (short.wrong, short.doubled) == (1, 0)
    assert "t2 of a at 0-2 knows 1 of 20, right is 2 of 30" in short.offences[-1]

    double = book.judge([*RIGHT[:2], decision("t2", 3, 50)])
    assert (double.wrong, double.doubled) == (0, 1)


def test_the_right_count_of_the_wrong_transactions_is_wrong() -> None:
    """One lost and one counted twice: only the sum tells."""
    found = book_of(("a", 0), ("a", 0), ("a", 0)).judge([*RIGHT[:2], decision("t2", 2, 40)])
    assert found.wrong == 1


def test_what_says_that_it_may_lack_state_may() -> None:
    found = book_of(("a", 0), ("a", 0), ("a", 0)).judge(
        [*RIGHT[:2], decision("t2", 0, 0, flagged=True)]
    )
    assert found.offences == []
    assert found.flagged == 1


def test_every_repeat_is_judged_not_only_the_last() -> None:
    found = book_of(("a", 0), ("a", 0), ("a", 0)).judge([decision("t1", 0, 0), *RIGHT])

    assert (found.repeated, found.wrong) == (1, 1)


def test_accounts_do_not_know_each_other() -> None:
    found = book_of(("a", 0), ("b", 0)).judge([decision("t0", 0, 0), decision("t1", 1, 10)])
    assert found.doubled == 1


def test_a_decision_on_what_nobody_sent_is_foreign() -> None:
    assert book_of().judge([decision("x", 0, 0)]).foreign == 1


def test_in_one_partition_order_leaves_no_choice() -> None:
    book = book_of(("a", 0), ("a", 0), ("a", 0))
    assert acceptable(book.sent, book.sent[2]) == {(2, 30)}


def test_across_partitions_what_waits_may_be_known_or_not_until_all_is_settled() -> None:
    book = book_of(("a", 0), ("a", 0))
    add(book, "a", 4)
    assert acceptable(book.sent, book.sent[2]) == {(0, 0), (1, 10), (2, 30)}

    book.settle()
    add(book, "a", 4)
    assert acceptable(book.sent, book.sent[3]) == {(3, 70)}


def test_what_was_settled_must_be_known_even_across_partitions() -> None:
    book = book_of(("a", 0))
    book.settle()
    add(book, "a", 0)
    add(book, "a", 4)
    assert acceptable(book.sent, book.sent[2]) == {(1, 10), (2, 30)}


def test_a_topic_created_again_is_another_log() -> None:
    book = book_of(("a", 0))
    add(book, "a", 0, life=1)
    assert acceptable(book.sent, book.sent[1]) == {(0, 0), (1, 10)}


def test_what_nobody_can_know_may_be_missing_but_only_all_of_it() -> None:
    book = book_of(("a", 0), ("a", 0), ("a", 0), ("a", 0))
    without = decision("t3", 1, 40)
    partly = decision("t3", 2, 60)

    assert book.judge([*RIGHT, without], {"t0", "t1"}).wrong == 0
    assert book.judge([*RIGHT, partly], {"t0", "t1"}).wrong == 1
    assert book.judge([*RIGHT, without]).wrong == 1


@pytest.mark.parametrize(("count", "wrong", "doubled"), [(2, 0, 0), (1, 1, 0), (3, 0, 1)])
def test_what_a_merchant_counts_is_held_against_all_that_was(
    count: int, wrong: int, doubled: int
) -> None:
    book = book_of(("a", 0), ("b", 1))
    book.settle()
    add(book, "c", 0, checks=True)
    decided = [decision("t0", 0, 0), decision("t1", 0, 0), decision("t2", 0, 0, shared=count)]

    found = book.judge(decided)

    assert (found.wrong, found.doubled) == (wrong, doubled)


def test_a_commit_past_what_was_decided_is_ahead() -> None:
    book = book_of(("a", 0), ("b", 1), ("c", 0))

    assert ahead(book.sent, 0, {0: 1, 1: 1}, {"t0", "t1"}) == []
    assert [one.transaction_id for one in ahead(book.sent, 0, {0: 2, 1: 1}, {"t0"})] == ["t1", "t2"]
    assert ahead(book.sent, 1, {0: 2}, set()) == []


def test_a_label_that_did_not_arrive_is_noticed() -> None:
    decided = [Seen("t1", 1, 1, 0, 0, False), Seen("t2", 1, 1, 2, 0, False)]

    assert unlabelled(decided, {"t2": 1}) == []
    [found] = unlabelled(decided, {"t1": 1, "t2": 2})
    assert found == "t1 knows 0 frauds of its account, 1 were labelled"


def test_a_decision_is_read_from_its_json() -> None:
    fields = {
        "transaction_id": "t",
        "degraded": ["state"],
        "features": [5.0, 3.0, 7.01, None, 9.0],
    }
    assert seen(json.dumps(fields).encode()) == Seen("t", 3, 701, 0, 9, True)
    late = fields | {"degraded": ["late"]}
    assert not seen(json.dumps(late).encode()).is_flagged
