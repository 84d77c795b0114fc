"""Votes of people who may be wrong: counted once, weighed, and what they settle is a label."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sentinel.adapters.memory import Faults, MemoryCluster
from sentinel.codec.stored import decode_stored
from sentinel.core.consensus import vote_kernels
from sentinel.core.consensus.batch import groups
from sentinel.core.consensus.channels import WIDTH
from sentinel.engine.feedback.task import warm
from sentinel.errors import FencedError, TransientError
from sentinel.stored.votes import Annotator, Case
from tests.engine.clock import run
from tests.engine.faults import CrashError, Doom
from tests.engine.samples import DAY_MS, START_MS, a_config, transactions, voice
from tests.engine.world import MemoryInstance, World

SENT = transactions(400, account_count=12)
MINUTE_MS = 60_000


def vote(number: int, who: str, label: str, **others: Any) -> dict[str, Any]:
    """What an investigator says of a transaction."""
    return voice(SENT[number], label, source="investigator", who=who, **others)


def play(world: World, *batches: Sequence[dict[str, Any]], faults: Faults | None = None) -> None:
    """Send feedback, one batch after another, each when the one before is done with."""

    async def scenario() -> None:
        async with world.instance(faults) as instance:
            for batch in batches:
                world.send_feedback(batch)
                await instance.idle()
            await instance.stop()

    run(scenario())


def case(world: World, number: int) -> Case:
    return decode_stored(Case, world.cases.cases[SENT[number]["transaction_id"]])


def annotator(world: World, who: str) -> Annotator:
    return decode_stored(Annotator, world.cases.annotators[f"investigator/{who}"])


def a_past(*skilled: str) -> list[dict[str, Any]]:
    """Sixty transactions on which these people were right, by the word of the banks."""
    found = []
    for number in range(100, 160):
        truth = "fraud" if number % 3 == 0 else "genuine"
        found += [vote(number, who, truth) for who in skilled]
        found.append(voice(SENT[number], truth))
    return found


def labels(world: World, begin: int) -> list[tuple[str, str, str | None]]:
    """Which transaction became what, and what it was before, from label number `begin` on."""
    return [
        (x["transaction_id"], x["label"], x["supersedes"]) for x in world.values("labels")[begin:]
    ]


def test_people_with_a_record_settle_what_nobody_could_alone() -> None:
    world = World()
    play(world, a_past("ann", "bob"))
    known = len(world.records("labels"))

    play(world, [vote(0, "ann", "fraud")])
    assert labels(world, known) == []
    assert case(world, 0).status == "open"
    assert 0.5 < (case(world, 0).posterior or 0) < 0.95
    play(world, [vote(0, "bob", "fraud", confidence=0.9)])

    name = SENT[0]["transaction_id"]
    assert labels(world, known) == [(name, "fraud", None)]
    last = world.values("labels")[-1]
    assert last["vote_count"] == 2
    assert last["posterior"] == pytest.approx(case(world, 0).posterior)
    assert world.labels[name] == "fraud"


def test_good_people_who_contradict_each_other_leave_it_contested() -> None:
    world = World()
    play(world, a_past("ann", "bob"), [vote(0, "ann", "fraud"), vote(0, "bob", "genuine")])

    assert case(world, 0).status == "contested"
    assert SENT[0]["transaction_id"] not in world.labels


def test_one_who_clears_everything_is_not_believed() -> None:
    world = World()
    past = a_past("ann") + [vote(number, "zed", "genuine") for number in range(100, 160)]
    play(world, past, [vote(0, "zed", "genuine"), vote(1, "ann", "genuine")])

    blind, good = annotator(world, "zed"), annotator(world, "ann")
    assert blind.missed > 5 > blind.seen
    assert good.seen > 5 > good.missed
    by_zed, by_ann = case(world, 0).posterior, case(world, 1).posterior
    assert by_zed is not None
    assert by_ann is not None
    assert by_ann < by_zed


def test_the_banks_word_supersedes_and_judges_the_investigators() -> None:
    world, name = World(), SENT[0]["transaction_id"]
    play(world, a_past("ann", "bob"), [vote(0, "ann", "genuine"), vote(0, "bob", "genuine")])
    missed = annotator(world, "ann").missed

    play(world, [voice(SENT[0], "fraud", observed_ms=SENT[0]["event_time"] + 10**9)])

    assert labels(world, -2) == [(name, "genuine", None), (name, "fraud", "genuine")]
    assert annotator(world, "ann").missed > missed + 0.9


def test_gold_that_is_slipped_in_shows_who_is_right_whichever_comes_first() -> None:
    world = World()
    gold = voice(SENT[0], "fraud", source="gold", who="desk")
    play(
        world,
        [vote(0, "ann", "fraud"), gold, vote(0, "bob", "genuine"), vote(0, "cyd", "unsure")],
        [vote(1, "ann", "fraud")],
    )

    known = {one: annotator(world, one) for one in ("ann", "bob", "cyd")}
    assert {name: (one.known_right_count, one.known_count) for name, one in known.items()} == {
        "ann": (1, 1),
        "bob": (0, 1),
        "cyd": (0, 0),
    }
    assert world.labels[SENT[0]["transaction_id"]] == "fraud"
    assert list(world.cases.unsettled) == [SENT[1]["transaction_id"]]


@pytest.mark.parametrize(
    "second",
    [
        {"revision": 1, "label": "genuine"},
        {"observed_ms": SENT[0]["event_time"] + 31 * MINUTE_MS, "label": "genuine"},
    ],
)
def test_a_later_word_of_the_same_person_takes_the_place_of_the_first(second: Any) -> None:
    world = World()
    first = vote(0, "ann", "fraud")
    play(world, [first], [first | second], [first])

    (kept,) = case(world, 0).votes
    assert kept.label == "genuine"
    one = annotator(world, "ann")
    assert one.vote_count == 2
    assert one.seen + one.accused == pytest.approx(0.0, abs=1e-9)
    assert one.missed + one.cleared == pytest.approx(1.0)


def test_the_same_word_twice_counts_once_and_one_taken_back_not_at_all() -> None:
    world = World()
    play(
        world,
        [vote(0, "ann", "fraud")] * 2,
        [vote(0, "bob", "fraud"), vote(0, "bob", "retracted", revision=1)],
    )

    assert annotator(world, "ann").vote_count == 1
    one = annotator(world, "bob")
    assert (one.vote_count, one.retracted_count) == (2, 1)
    assert one.seen + one.accused == pytest.approx(0.0, abs=1e-9)
    assert [v.label for v in case(world, 0).votes] == ["fraud", "retracted"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"label": "perhaps"}, "bad_label"),
        ({"confidence": 1.5}, "bad_confidence"),
        ({"revision": -1}, "bad_revision"),
        ({"source": "a/b"}, "bad_source"),
        ({"who": "x" * 300}, "bad_id"),
        ({"notes": "x" * 10_001}, "too_large"),
        ({"observed_ms": SENT[0]["event_time"] - 1}, "bad_time"),
        ({"event_time_ms": SENT[0]["event_time"] // 1000}, "bad_time"),  # seconds
        ({"event_time_ms": 10**14, "observed_ms": 0}, "bad_time"),
        ({"observed_ms": 5, "event_time_ms": None}, "bad_time"),
        ({"revision": 2**70}, "bad_revision"),  # the audit could not tell of it
        ({"selected_by": "x" * 65}, "bad_id"),
    ],
)
def test_what_cannot_be_true_is_a_dead_letter_and_its_neighbours_count(
    change: dict[str, Any], reason: str
) -> None:
    world = World()
    play(
        world, [vote(1, "ann", "fraud"), vote(0, "ann", "fraud") | change, vote(2, "ann", "fraud")]
    )

    (dead,) = world.records("dead-letters")
    assert dict(dead.headers)["sentinel.reason"] == reason.encode()
    assert len(world.cases.cases) == 2


def test_where_a_vote_names_another_entity_than_the_case_the_case_is_right() -> None:
    world, right = World(), {"account": SENT[0]["account"], "terminal": SENT[0]["terminal"]}
    wrong = {"account": "c9", "terminal": None}

    async def scenario() -> int:
        async with world.instance() as instance:
            first, other = vote(0, "ann", "fraud"), voice(SENT[0], "fraud", entities=wrong)
            world.send_feedback([first, {**other, "event_time_ms": other["event_time_ms"] + 5}])
            await instance.idle()
            await instance.stop()
        return instance.metrics.contradicted

    assert run(scenario()) == 1
    assert case(world, 0).entities == right
    (label,) = world.values("labels")
    assert (label["entities"], label["event_time_ms"]) == (right, SENT[0]["event_time"])


def test_an_entity_that_the_schema_does_not_have_goes_nowhere_and_is_named_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World()
    entities = {"account": "c1", "terminal": "m1", "planet": "mars"}
    play(world, [voice(SENT[number], "fraud", entities=entities) for number in range(3)])

    assert all("planet" not in label["entities"] for label in world.values("labels"))
    assert len(world.values("labels")) == 3
    assert "planet" not in case(world, 0).entities
    assert caplog.text.count("planet") == 1


def random_votes(seed: int) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(60):
        number, who = int(rng.integers(8)), str(rng.choice(["ann", "bob", "cyd"]))
        label = str(rng.choice(["fraud", "genuine", "unsure", "retracted"], p=[0.5, 0.3, 0.1, 0.1]))
        found.append(vote(number, who, label, revision=int(rng.integers(3))))
        if rng.random() < 0.2:
            found.append(voice(SENT[number], str(rng.choice(["fraud", "genuine"]))))
    return found


def kept(world: World) -> tuple[Any, ...]:
    cases = world.cases
    return cases.progress, dict(cases.cases), dict(cases.annotators), cases.unsettled


def test_words_without_a_time_count_in_the_order_of_the_log_and_not_again_when_placed() -> None:
    """The archive sends each that names its transaction only once more, with both."""
    now_ms = START_MS + 100 * DAY_MS
    world = World(cluster=MemoryCluster(clock_ms=lambda: now_ms))
    bare = vote(0, "bob", "fraud", observed_ms=0)
    play(world, [vote(0, "ann", "fraud"), {**bare, "event_time_ms": None, "entities": None}])
    heard_ms, now_ms = now_ms, now_ms + MINUTE_MS
    play(world, [{**bare, "label": "genuine"}])

    play(world, [{**bare, "observed_ms": heard_ms}])

    one = annotator(world, "bob")
    assert (one.vote_count, one.fraud_count) == (2, 1)
    assert [v.label for v in case(world, 0).votes] == ["fraud", "genuine"]


def test_how_votes_are_batched_changes_no_bit() -> None:
    votes = random_votes(1)
    whole, single = World(), World(config=a_config(batch_count_max=2))

    play(whole, votes)
    play(single, *[votes[i : i + 3] for i in range(0, len(votes), 3)])

    assert kept(whole) == kept(single)
    assert whole.values("labels") == single.values("labels")


def test_after_a_crash_at_any_call_every_vote_has_counted_once() -> None:
    votes = random_votes(2)
    expected = World()
    play(expected, votes)
    clean = {x["feedback_offset"]: x["label"] for x in expected.values("labels")}
    assert len(clean) > 5

    crash_at, crashed = 0, True
    while crashed:
        crash_at += 3
        world, crashed = World(config=a_config(batch_count_max=8)), False
        world.send_feedback(votes)
        try:
            run(world_through(world, Doom(crash_at=crash_at)))
        except CrashError:
            crashed = True
        run(world_through(world, None))
        assert kept(world) == kept(expected), f"crash at call {crash_at}"
        found = world.values("labels")
        assert {x["feedback_offset"]: x["label"] for x in found} == clean
    assert crash_at > 40


async def world_through(world: World, faults: Faults | None) -> MemoryInstance:
    async with world.instance(faults) as instance:
        await instance.idle()
        await instance.stop()
    return instance


def test_two_who_believe_that_feedback_is_theirs_cannot_both_count_it() -> None:
    world = World()
    play(world, [vote(0, "ann", "fraud")])
    before = world.cases.progress
    assert before is not None

    async def scenario() -> None:
        async with world.instance() as instance:
            await instance.idle()
            task = instance.parts.feedback
            world.cases.progress = replace(before, channels={"review": [1.0] * WIDTH})
            stale = task._store

            class Stale:
                progress = staticmethod(lambda: answer(before))
                cases, annotators, save = stale.cases, stale.annotators, stale.save

            task._store = Stale()  # type: ignore[assignment]  # answers what was so before
            world.send_feedback([vote(1, "ann", "fraud")])
            await instance.idle()

    with pytest.raises((FencedError, TransientError)):
        run(scenario())
    assert SENT[1]["transaction_id"] not in world.cases.cases


async def answer(value: Any) -> Any:
    return value


def test_a_store_behind_the_group_has_feedback_counted_again_from_there() -> None:
    """Redis may lose the last second of its log; the group's offset is in Kafka."""
    world, expected = World(), World()
    votes = random_votes(3)
    play(expected, votes)
    play(world, votes[:20])
    old = world.cases.snapshot()
    play(world, votes[20:])
    world.cases.restore(old)

    run(world_through(world, None))

    assert kept(world) == kept(expected)


def test_the_audit_tells_every_vote_label_and_standing() -> None:
    world, name = World(), SENT[0]["transaction_id"]
    play(world, a_past("ann"), [vote(0, "ann", "genuine"), voice(SENT[0], "fraud")])

    told = [x for x in world.values("audit") if x["subject"] == name]
    assert [(x["kind"], x["after"]["label"]) for x in told] == [
        ("vote", "genuine"),
        ("label", "genuine"),
        ("vote", "fraud"),
        ("label", "fraud"),
    ]
    of_ann = [x for x in world.values("audit") if x["subject"] == "investigator/ann"]
    assert of_ann[-1]["after"]["seen"] == annotator(world, "ann").seen
    assert of_ann[-1]["after"]["missed"] > of_ann[-1]["before"]["missed"]


UNPLACED: list[dict[str, Any]] = [
    {"event_time_ms": None},
    {"entities": None},
    {"entities": {"terminal": "m1"}},
    {"entities": {"account": None}},
]


@pytest.mark.parametrize("change", UNPLACED)
def test_a_vote_that_names_its_transaction_only_counts_where_another_has_placed_it(
    change: dict[str, Any],
) -> None:
    world = World()
    early, late = (vote(0, who, "fraud") | change for who in ("ann", "bob"))
    play(world, [early, vote(0, "cy", "fraud"), late])
    play(world, [vote(0, "dee", "unsure") | change])

    assert [v.annotator for v in case(world, 0).votes] == [
        "investigator/cy",
        "investigator/bob",
        "investigator/dee",
    ]
    assert case(world, 0).event_time_ms == SENT[0]["event_time"]
    assert world.records("dead-letters") == []


def test_a_vote_that_nobody_has_placed_waits_for_the_archive() -> None:
    world = World()
    play(world, [vote(0, "ann", "fraud", event_time_ms=None)])

    assert world.cases.cases == {}
    assert world.records("dead-letters") == world.records("audit") == []


def refitting_world(after: int) -> World:
    world = World()
    world.config = replace(
        world.config, consensus=replace(world.config.consensus, refit_after_votes=after)
    )
    return world


def test_a_case_that_was_left_open_early_is_settled_when_its_annotators_are_known() -> None:
    early = [vote(0, who, "fraud", confidence=0.8) for who in ("ann", "bob")]
    world, name = refitting_world(0), SENT[0]["transaction_id"]
    play(world, early, a_past("ann", "bob"))
    assert name not in world.labels

    world = refitting_world(100)
    play(world, early, a_past("ann", "bob"))

    assert world.labels[name] == "fraud"
    label = next(x for x in world.values("labels") if x["transaction_id"] == name)
    assert (label["source"], label["vote_count"]) == ("consensus", 2)
    again = [x for x in world.values("feedback") if x["source"] == "consensus"]
    assert len({x["transaction_id"] for x in again}) == len(again), "each once"


def test_those_who_copy_each_other_count_as_one_after_a_refit() -> None:
    rng, said = np.random.default_rng(2), []
    for number in range(100, 300):
        sees = {who: bool(rng.random() < 0.85) for who in ("ann", "bob", "cy", "dee")}
        sees |= {"copy1": sees["ann"], "copy2": sees["ann"]}
        said += [
            vote(number, who, "fraud" if is_right == (number % 3 == 0) else "genuine")
            for who, is_right in sees.items()
        ]
        if number % 5 == 0:  # without any truth that is not theirs, three of six are the truth
            said.append(voice(SENT[number], "fraud" if number % 3 == 0 else "genuine"))
    world = refitting_world(600)
    play(world, said)

    group = annotator(world, "ann").group
    assert group
    assert annotator(world, "copy1").group == annotator(world, "copy2").group == group
    assert annotator(world, "bob").group == ""
    told = [x for x in world.values("audit") if "group" in (x["after"] or {})]
    assert {x["subject"] for x in told} >= {"investigator/ann", "investigator/copy1"}


def test_the_probability_of_the_decision_counts_only_where_it_is_asked_for() -> None:
    def posterior(score_prior: bool) -> float:
        world = World()
        consensus = replace(world.config.consensus, score_prior=score_prior)
        world.config = replace(world.config, consensus=consensus)
        play(world, [vote(0, "ann", "fraud", probability=0.9)])
        assert case(world, 0).prior == 0.9
        return case(world, 0).posterior or 0.0

    assert posterior(score_prior=True) > 0.95 > posterior(score_prior=False)


def test_what_is_warmed_is_all_that_counting_needs() -> None:
    """A kernel that is compiled while transactions come would hold the loop for seconds."""
    kernels = (vote_kernels.count_votes_in, groups._count_pairs)
    warm()
    before = [list(kernel.signatures) for kernel in kernels]
    world = refitting_world(100)
    play(world, a_past("ann", "bob"))

    assert all(before)
    assert [list(kernel.signatures) for kernel in kernels] == before
