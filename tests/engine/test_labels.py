"""From feedback to labels to features: each voice counts once, for the owner, in its time."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.partitioner import murmur2 as aiokafka_murmur2
from hypothesis import given
from hypothesis import strategies as st

from sentinel.adapters.memory import Faults, MemoryCluster
from sentinel.codec.records import encode
from sentinel.core.logs import log_id
from sentinel.core.partitioning import PartitionOf, murmur2
from sentinel.engine.partitions.label_gate import WaitingLabels
from sentinel.errors import TransientError
from sentinel.records import Label
from tests.engine.clock import run, until
from tests.engine.faults import CrashError, Doom, DoomAt
from tests.engine.samples import ENTITIES, MINUTE_MS, NAMES, START_MS, a_config, transactions, voice
from tests.engine.world import MemoryInstance, World

ACCOUNT_FRAUDS = NAMES.index("account_frauds")
TERMINAL_FRAUDS = NAMES.index("terminal_frauds")

SENT = [{**made, "terminal": "m"} for made in transactions(40, account_count=3)]


def probe(number: int, like: dict[str, Any]) -> dict[str, Any]:
    """A later transaction of the same account at the same terminal."""
    when = SENT[-1]["event_time"] + (60 + number) * MINUTE_MS
    return {**like, "transaction_id": f"probe{number}", "event_time": when}


def known_frauds(world: World, transaction_id: str) -> tuple[float | None, float | None]:
    """What a decision knew of frauds of its account and of its terminal."""
    features = world.decision_of(transaction_id)["features"]
    return features[ACCOUNT_FRAUDS], features[TERMINAL_FRAUDS]


def play(world: World, *steps: Callable[[], None]) -> MemoryInstance:
    """Do one step after another, each when all before has been worked through."""

    async def scenario() -> MemoryInstance:
        async with world.instance() as instance:
            for step in steps:
                step()
                await instance.idle()
            await instance.stop()
            return instance

    return run(scenario())


def test_a_trusted_voice_becomes_a_label_and_counts_for_account_and_terminal() -> None:
    world, fraud = World(), SENT[-2]
    other = next(x for x in SENT if x["account"] != fraud["account"] and x["terminal"])

    instance = play(
        world,
        lambda: world.send(SENT),
        lambda: world.send_feedback([voice(fraud)]),
        lambda: world.send([probe(1, fraud), probe(2, other)]),
    )

    assert world.values("labels") == [
        {
            "transaction_id": fraud["transaction_id"],
            "label": "fraud",
            "posterior": 0.995,
            "vote_count": 1,
            "source": "chargeback",
            "observed_ms": fraud["event_time"] + 30 * MINUTE_MS,
            "event_time_ms": fraud["event_time"],
            "entities": {"account": fraud["account"], "terminal": fraud["terminal"]},
            "supersedes": None,
            "feedback_offset": 0,
            "feedback_log": log_id(world.cluster.log_name("feedback")),
            "v": 1,
        }
    ]
    assert world.records("labels")[0].key == fraud["transaction_id"].encode()
    assert known_frauds(world, "probe1") == (1, 1)
    assert known_frauds(world, "probe2") == (0, 1)
    assert (instance.metrics.feedback, instance.metrics.labels_applied) == (1, 1)
    assert world.labels == {fraud["transaction_id"]: "fraud"}


@pytest.mark.parametrize("change", [{"source": "customer"}, {"source": ""}, {"label": "unsure"}])
def test_other_voices_make_no_label(change: dict[str, Any]) -> None:
    world, fraud = World(), SENT[-2]

    instance = play(
        world,
        lambda: world.send(SENT),
        lambda: world.send_feedback([voice(fraud, **change)]),
        lambda: world.send([probe(1, fraud)]),
    )

    assert world.records("labels") == world.records("dead-letters") == []
    assert known_frauds(world, "probe1") == (0, 0)
    assert (instance.metrics.feedback, instance.metrics.labels_applied) == (1, 0)


def test_a_correction_takes_a_fraud_back() -> None:
    world, fraud = World(), SENT[-2]

    play(
        world,
        lambda: world.send(SENT),
        lambda: world.send_feedback([voice(fraud)]),
        lambda: world.send([probe(1, fraud)]),
        lambda: world.send_feedback([voice(fraud, "genuine")]),
        lambda: world.send([probe(2, fraud)]),
    )

    assert [x["supersedes"] for x in world.values("labels")] == [None, "fraud"]
    assert known_frauds(world, "probe1") == (1, 1)
    assert known_frauds(world, "probe2") == (0, 0)


def test_the_same_fraud_reported_twice_counts_once() -> None:
    world, fraud = World(), SENT[-2]

    play(
        world,
        lambda: world.send(SENT),
        lambda: world.send_feedback([voice(fraud)] * 2),
        lambda: world.send_feedback([voice(fraud, source="ground_truth")]),
        lambda: world.send([probe(1, fraud)]),
    )

    assert len(world.records("labels")) == 1
    assert known_frauds(world, "probe1") == (1, 1)


def test_a_label_waits_until_the_stream_has_reached_the_time_it_was_observed() -> None:
    world, fraud = World(), SENT[-2]
    observed_ms = probe(2, fraud)["event_time"]

    instance = play(
        world,
        lambda: world.send(SENT),
        lambda: world.send_feedback([voice(fraud, observed_ms=observed_ms)]),
        lambda: world.send([probe(1, fraud)]),
        lambda: world.send([probe(2, fraud)]),
    )

    assert known_frauds(world, "probe1") == (0, 0)
    assert known_frauds(world, "probe2") == (1, 1)
    assert instance.metrics.labels_applied == 1


def test_a_label_without_a_time_counts_from_when_it_was_said_and_after_its_transaction() -> None:
    """It was there before the stream began: it may not be applied to a fraud yet to be counted."""
    fraud = SENT[-2]
    world = World(cluster=MemoryCluster(clock_ms=lambda: fraud["event_time"] + 1))
    world.send_feedback([voice(fraud, observed_ms=0)])

    play(
        world,
        lambda: world.send(SENT[:1]),
        lambda: world.send([*SENT[1:], probe(1, fraud)]),
    )

    assert known_frauds(world, "probe1") == (1, 1)


def test_labels_of_partitions_of_others_are_left_to_them() -> None:
    world = World(config=a_config(partition_count=2))
    of = PartitionOf(2)
    mine = next(x for x in reversed(SENT) if of(x["account"]) == 0)
    theirs = next(x for x in reversed(SENT) if of(x["account"]) == 1)

    async def scenario() -> int:
        async with world.instance() as first, world.instance() as second:
            await until(lambda: all(len(x.parts.partitions) == 1 for x in (first, second)))
            for step in (SENT, [probe(1, mine), probe(2, theirs)]):
                world.send(step)
                if step is SENT:
                    world.send_feedback([voice(mine), voice(theirs)])
                await first.idle()
                await second.idle()
            assert first.metrics.labels_applied == second.metrics.labels_applied == 1
            return first.metrics.decisions + second.metrics.decisions

    assert run(scenario()) == 42
    assert known_frauds(world, "probe1")[0] == known_frauds(world, "probe2")[0] == 1


@pytest.mark.parametrize(("crash_before", "label_count"), [("commit", 2), ("cases.save cases", 4)])
def test_feedback_read_again_after_a_crash_counts_once(crash_before: str, label_count: int) -> None:
    """The label is out; before the crash the feedback was not committed, so it comes again.

    Before `cases.save` the second label does not even know that it repeats the first; behind it,
    the store knows that the votes are counted.
    """
    world, fraud = World(), SENT[-2]
    patient = a_config(commit_interval_s=30.0)

    async def until_the_crash() -> None:
        calls = DoomAt(crash_before, is_armed=False)
        async with world.instance(calls, config=patient) as instance:
            await instance.idle()
            calls.is_armed = True
            world.send_feedback([voice(fraud), voice(SENT[-3])])
            await instance.idle()

    async def scenario() -> MemoryInstance:
        world.send(SENT)
        async with world.instance() as instance:
            await instance.idle()
            await instance.stop()
        with pytest.raises(CrashError):
            await until_the_crash()
        async with world.instance() as instance:
            for number in (0, 1):  # the first lets labels in
                await instance.idle()
                world.send([probe(number, fraud)])
            await instance.idle()
        async with world.instance() as instance:  # once more, from what the crash left behind
            await instance.idle()
            world.send([probe(2, fraud)])
            await instance.idle()
        return instance

    run(scenario())

    assert len(world.records("labels")) == label_count
    assert known_frauds(world, "probe1") == known_frauds(world, "probe2")
    assert known_frauds(world, "probe2")[1] == 2


def test_after_crashes_anywhere_each_voice_has_counted_once() -> None:
    """Crash once at every call; then the counts are those of a run without crashes."""
    voices = [voice(x) for x in SENT[::4]]
    voices += [voice(SENT[0], "genuine"), voice(SENT[8], "genuine"), voice(SENT[8])]

    def story(*plans: Faults) -> tuple[World, int]:
        world = World(config=a_config(commit_interval_s=0.1))
        world.send(SENT)
        world.send_feedback(voices)
        return world, run(live(world, plans))

    clean = Faults()
    expected, _ = story(clean)
    assert known_frauds(expected, "probe1")[1] == 9

    restart_count = 0
    for number in range(1, clean.call_count, 2):
        world, restarts = story(
            Doom(crash_at=number, after_effect=number % 4 == 1), Doom(crash_at=number // 2 + 5)
        )
        restart_count += restarts
        assert world.counts() == expected.counts()
        assert known_frauds(world, "probe1") == known_frauds(expected, "probe1")
    assert restart_count >= clean.call_count // 2


async def live(world: World, plans: Sequence[Faults]) -> int:
    """Through one plan after another; then let in what waits, and look at what is known."""
    restarts = 0
    waiting = [probe(0, SENT[0]), probe(1, SENT[0])]
    for faults in [*plans, Faults(), Faults()]:
        try:
            async with world.instance(faults) as instance:
                await instance.idle()
                while waiting:
                    world.send([waiting.pop(0)])
                    await instance.idle()
                await instance.stop()
                return restarts
        except (CrashError, TransientError):
            restarts += 1
    raise AssertionError("it never came to an end")


def test_more_labels_than_memory_holds_entities_are_let_in_by_and_by() -> None:
    """1,500 accounts have a fraud each, and 1,024 fit in memory: no batch may need them all."""
    entities = {kind: replace(p, entities_max=1024) for kind, p in ENTITIES.items()}
    settings = a_config(batch_count_max=256, commit_interval_s=0.05)
    sent = [{**x, "account": f"a{i}"} for i, x in enumerate(transactions(1500))]
    world = World(config=replace(settings, entities=entities))

    def go_on(i: int) -> Callable[[], None]:
        return lambda: world.send(transactions(1, first=1500 + i))

    observed_ms = sent[-1]["event_time"]
    instance = play(
        world,
        lambda: world.send(sent),
        lambda: world.send_feedback([voice(x, observed_ms=observed_ms) for x in sent]),
        *[go_on(i) for i in range(8)],
    )

    assert instance.metrics.labels_applied == 1500
    assert instance.parts.state.tables["account"].eviction_count > 0
    assert world.unsafe == []


def test_a_restart_waits_for_the_labels_that_were_known_before() -> None:
    """The tail is slow to come; decisions must not be made without what the commit says is open."""
    world, fraud = World(), SENT[-2]
    play(world, lambda: world.send(SENT), lambda: world.send_feedback([voice(fraud)]))
    commit = world.committed()
    assert commit is not None
    assert '"promised":1' in commit.metadata

    async def scenario() -> None:
        async with world.instance(tail_delay_s=5.0) as instance:
            world.send([probe(1, fraud)])
            await asyncio.sleep(4.0)
            assert instance.metrics.decisions == 0
            await instance.idle()

    run(scenario())
    assert known_frauds(world, "probe1") == (1, 1)


def test_too_many_waiting_labels_hold_up_neither_scoring_nor_a_restart() -> None:
    """Labels of the far future fill the waiting room; reading stops, everything else goes on."""
    world = World(config=a_config(labels_waiting_max=5))
    future_ms = START_MS + 90 * 86_400_000

    instance = play(
        world,
        lambda: world.send(SENT[:20]),
        lambda: world.send_feedback([voice(x, observed_ms=future_ms) for x in SENT[:20]]),
    )
    again = play(world, lambda: world.send(SENT[20:]))

    assert instance.metrics.decisions == again.metrics.decisions == 20


def test_a_label_of_an_account_never_seen_changes_nothing_and_is_kept_nowhere_else() -> None:
    world = World()
    stranger = {**SENT[0], "transaction_id": "x", "account": "stranger", "terminal": None}

    instance = play(
        world,
        lambda: world.send(SENT),
        lambda: world.send_feedback([voice(stranger)]),
        lambda: world.send([probe(1, stranger)]),
    )

    assert instance.metrics.labels_applied == 1
    assert known_frauds(world, "probe1") == (0, None)


def a_label(offset: int, **others: Any) -> bytes:
    fields: dict[str, Any] = {
        "transaction_id": f"t{offset}",
        "label": "fraud",
        "posterior": 0.995,
        "vote_count": 1,
        "source": "chargeback",
        "observed_ms": 0,
        "event_time_ms": START_MS,
        "entities": {"account": "a"},
        "feedback_offset": offset,
        **others,
    }
    return encode(Label(**fields))


def test_a_tail_that_is_rewound_knows_repetitions_again() -> None:
    """Two writers overlapped: feedback 1 and 2 came twice; whoever reads again sees them once."""
    world = World()
    for offset in (0, 1, 2, 1, 2, 3, -1):
        world.append("labels", a_label(offset))

    async def scenario() -> list[list[int]]:
        seen = []
        async with world.instance() as instance:
            await until(lambda: len(instance.parts.partitions) == 1)
            tail, (partition,) = instance.parts.labels, instance.parts.partitions.values()
            await until(lambda: tail.read_to == 7)
            for _ in range(3):
                seen.append([one.label.feedback_offset for one in partition.gate.waiting])
                await tail.rewind(0)
                partition.gate.waiting = WaitingLabels()
                partition.gate.read_to = 0
                await until(lambda: tail.read_to == 7)
        return seen

    assert run(scenario()) == [[0, 1, 2, 3, -1]] * 3


def test_feedback_that_was_created_anew_repeats_nothing() -> None:
    """Its offsets begin at 0 again; each log knows its own repetitions."""
    world = World()
    said = [(0, ""), (1, ""), (0, "a"), (1, "a"), (0, "a"), (1, ""), (2, "a"), (0, "b")]
    for offset, log in said:
        world.append("labels", a_label(offset, feedback_log=log))

    async def scenario() -> list[tuple[int, str]]:
        async with world.instance() as instance:
            await until(lambda: len(instance.parts.partitions) == 1)
            tail, (partition,) = instance.parts.labels, instance.parts.partitions.values()
            await until(lambda: tail.read_to == len(said))
            found = [one.label for one in partition.gate.waiting]
            return [(label.feedback_offset, label.feedback_log) for label in found]

    assert sorted(run(scenario())) == sorted(set(said))


# The partitioner of the producers' default, on which ownership of labels depends.

PUBLISHED = {  # org.apache.kafka.common.utils.UtilsTest
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


@pytest.mark.parametrize("text", PUBLISHED)
def test_murmur2_gives_the_published_values(text: bytes) -> None:
    found = murmur2(text)

    assert (found - (1 << 32) if found >= 1 << 31 else found) == PUBLISHED[text]


@given(st.binary(max_size=40))
def test_murmur2_agrees_with_that_of_aiokafka(data: bytes) -> None:
    assert murmur2(data) & 0xFFFFFFFF == aiokafka_murmur2(bytearray(data)) & 0xFFFFFFFF


@given(st.text(max_size=20), st.integers(1, 100))
def test_an_account_is_where_the_default_partitioner_puts_it(account: str, count: int) -> None:
    partitions = list(range(count))

    expected = DefaultPartitioner()(account.encode(), partitions, partitions)

    assert PartitionOf(count)(account) == expected
