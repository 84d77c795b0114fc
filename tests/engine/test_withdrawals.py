"""Labels that can be left again: by a word taken back, by votes that fall apart, by a revision."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from sentinel.codec.stored import decode_stored
from sentinel.stored.votes import Case
from tests.engine.clock import run
from tests.engine.samples import MINUTE_MS, transactions, voice
from tests.engine.test_feedback import a_past, case, labels, play, vote
from tests.engine.test_labels import known_frauds
from tests.engine.world import World

SENT = transactions(400, account_count=12)
NAME = SENT[0]["transaction_id"]


def taken_back(record: dict[str, Any]) -> dict[str, Any]:
    """The same person's later word: that they take it back."""
    return {**record, "label": "retracted", "revision": 1}


def test_a_chargeback_that_is_taken_back_withdraws_its_label() -> None:
    world, claim = World(), voice(SENT[0])
    play(world, [claim], [taken_back(claim)])

    assert labels(world, 0) == [(NAME, "fraud", None), (NAME, "withdrawn", "fraud")]
    assert (case(world, 0).label, case(world, 0).is_withdrawn) == (None, True)
    assert world.labels == {}


def test_three_who_all_take_back_withdraw_the_label_and_not_before_the_last() -> None:
    world, people = World(), ("ann", "bob", "cyd")
    said = [vote(0, who, "fraud") for who in people]
    play(world, a_past(*people), said)
    known = len(world.records("labels"))
    assert case(world, 0).label == "fraud"

    play(world, [taken_back(one) for one in said])

    assert labels(world, known) == [(NAME, "withdrawn", "fraud")]
    assert case(world, 0).status == "open"


def test_a_label_that_falls_between_the_thresholds_is_withdrawn_and_may_come_again() -> None:
    world = World()
    play(world, a_past("ann", "bob", "cyd", "dan"))
    known = len(world.records("labels"))

    play(world, [vote(0, "ann", "fraud"), vote(0, "bob", "fraud")])
    play(world, [vote(0, "cyd", "genuine"), vote(0, "dan", "genuine")])
    assert labels(world, known)[:2] == [(NAME, "fraud", None), (NAME, "withdrawn", "fraud")]
    assert (case(world, 0).label, case(world, 0).status) == (None, "contested")
    play(world, [voice(SENT[0])])

    assert labels(world, known)[-1] == (NAME, "fraud", "withdrawn")
    assert not case(world, 0).is_withdrawn


def test_what_is_given_and_taken_back_in_one_batch_is_told_in_its_order() -> None:
    world, claim = World(), voice(SENT[0])
    play(world, [claim, taken_back(claim), {**claim, "revision": 2}])

    words = [(NAME, "fraud", None), (NAME, "withdrawn", "fraud"), (NAME, "fraud", "withdrawn")]
    assert labels(world, 0) == words
    offsets = [x["feedback_offset"] for x in world.values("labels")]
    assert offsets == [0, 1, 2], "each is told once"


def test_the_audit_tells_a_withdrawal_with_what_it_undoes() -> None:
    world, claim = World(), voice(SENT[0])
    play(world, [claim], [taken_back(claim)])

    entries = [x for x in world.values("audit") if x["kind"] == "label"]
    assert [(x["before"], x["after"]["label"]) for x in entries] == [
        (None, "fraud"),
        ({"label": "fraud"}, "withdrawn"),
    ]


def probe(number: int, of: dict[str, Any]) -> dict[str, Any]:
    """A later payment of the same account at the same terminal."""
    last_ms = SENT[-1]["event_time"]
    return {**of, "transaction_id": f"p{number}", "event_time": last_ms + number * 40 * MINUTE_MS}


def played(*steps: Callable[[World], object]) -> World:
    world = World()

    async def scenario() -> None:
        async with world.instance() as instance:
            for step in steps:
                step(world)
                await instance.idle()
            await instance.stop()

    run(scenario())
    return world


def test_features_and_state_are_as_if_a_withdrawn_label_had_never_been() -> None:
    """Every decision behind the withdrawal, and every stored blob but its place in the labels."""
    fraud = SENT[-2]
    claim = voice(fraud)
    probes = [probe(number, fraud) for number in range(1, 4)]

    def nothing(_: World) -> None:
        """Nobody says anything."""

    with_label, without = (
        played(
            lambda world: world.send(SENT),
            first,
            lambda world: world.send(probes[:1]),
            second,
            lambda world: world.send(probes[1:]),
        )
        for first, second in (
            (
                lambda world: world.send_feedback([claim]),
                lambda world: world.send_feedback([taken_back(claim)]),
            ),
            (nothing, nothing),
        )
    )

    assert [known_frauds(world, "p1") for world in (with_label, without)] == [(1, 1), (0, 0)]
    for name in ("p2", "p3"):
        assert with_label.decision_of(name) == without.decision_of(name)
    assert with_label.counts() == without.counts()


@pytest.mark.parametrize("count", [20, 200])
@pytest.mark.parametrize("last", ["unsure", "retracted", "genuine"])
def test_chargebacks_that_name_frauds_only_say_nothing_of_what_was_not_charged_back(
    count: int, last: str
) -> None:
    world = World()
    play(world, [voice(SENT[number]) for number in range(1, count + 1)])
    known = len(world.records("labels"))
    play(world, [vote(0, "ann", last)])

    assert known == count
    assert labels(world, known) == []
    assert (case(world, 0).posterior or 0) <= 0.5


def everybody(world: World) -> Sequence[Case]:
    return [decode_stored(Case, data) for data in world.cases.cases.values()]


def test_single_votes_behind_a_burst_of_chargebacks_are_what_they_are_without_it() -> None:
    """Seven who are right nine times in ten, alone on each transaction; one in ten is fraud."""
    truth = {number: number % 10 == 0 for number in range(100, 400)}
    votes = [
        vote(number, f"i{number % 7}", "fraud" if is_fraud != (number % 11 == 0) else "genuine")
        for number, is_fraud in truth.items()
    ]
    burst = [voice(SENT[number]) for number in range(100)]
    plain, behind = World(), World()
    play(plain, votes)
    play(behind, burst, votes)

    alone = {case.transaction_id: case.posterior for case in everybody(plain)}
    after = {case.transaction_id: case.posterior for case in everybody(behind)}
    assert {name: after[name] for name in alone} == alone
    assert not [c for c in everybody(plain) if c.label == "fraud" and c.votes[0].label == "genuine"]
