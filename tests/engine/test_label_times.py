"""Labels wait each for its own time: one that is far off keeps no other waiting."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sentinel.engine.partitions.input_partition import InputPartition, position_of
from sentinel.engine.partitions.label_gate import NOTHING, LabelGate, Opened, WaitingLabels
from sentinel.ports import Fence
from sentinel.records import Commit, Label, TopicPartition
from tests.engine.clock import run
from tests.engine.samples import DAY_MS, FEATURES, MINUTE_MS, START_MS, a_config, transactions
from tests.engine.samples import voice as voiced
from tests.engine.world import MemoryInstance, World

YEARS_MS = 8 * 365 * DAY_MS
FRAUDS = next(i for i, f in enumerate(FEATURES) if f.name == "account_frauds")


def a_world(**engine: Any) -> World:
    return World(config=a_config(1, **{"commit_interval_s": 0.2, "batch_count_max": 64, **engine}))


def features_of(world: World) -> dict[str, list[float | None]]:
    return {d["transaction_id"]: d["features"] for d in world.values("decisions")}


def played(world: World, *steps: Any) -> MemoryInstance:
    """One instance, which comes to rest after each step."""

    async def scenario() -> MemoryInstance:
        async with world.instance() as instance:
            for step in steps:
                step()
                await instance.idle()
            await instance.stop()
        return instance

    return run(scenario())


def test_a_label_that_a_wall_clock_has_dated_keeps_no_other_waiting() -> None:
    """`feedback add` beside the replay of an old stream: no transaction ever comes to its time."""
    sent = transactions(400)
    plain, mixed = a_world(), a_world()
    late = [voiced(x, observed_ms=x["event_time"] + YEARS_MS) for x in sent[:300:7]]
    timely = [voiced(x) for x in sent[1:300:7]]
    played(plain, lambda: plain.send(sent[:300]), lambda: plain.send_feedback(timely),
           lambda: plain.send(sent[300:]))  # fmt: skip
    instance = played(mixed, lambda: mixed.send(sent[:300]),
                      lambda: mixed.send_feedback([*late, *timely]),
                      lambda: mixed.send(sent[300:]))  # fmt: skip

    assert features_of(mixed) == features_of(plain)
    assert instance.metrics.labels_applied == len(timely)
    waiting = instance.labels_waiting()
    assert waiting.count == len(late)
    assert waiting.next_in_s is not None
    assert waiting.next_in_s > 90 * 86_400  # the time at which the broker has appended it


def test_each_label_comes_at_its_own_time() -> None:
    """The first in the log is due last."""
    world, sent = a_world(), transactions(60)
    at = [sent[i]["event_time"] for i in (24, 23, 22)]
    targets = [x for x in sent[:20] if x["account"] == sent[0]["account"]][-3:]
    assert len(targets) == 3
    probe = {**sent[59], "account": sent[0]["account"]}
    played(
        world,
        lambda: world.send(sent[:20]),
        lambda: world.send_feedback(
            [voiced(x, observed_ms=t) for x, t in zip(targets, at, strict=True)]
        ),
        lambda: world.send([{**probe, "transaction_id": f"p{i}",
                             "event_time": sent[20]["event_time"] + 2 * MINUTE_MS * i}
                            for i in range(5)]),
    )  # fmt: skip

    seen = [features_of(world)[f"p{i}"][FRAUDS] for i in range(5)]
    assert seen == [sum(20 + i >= j for j in (24, 23, 22)) for i in range(5)]


def test_a_later_word_on_a_transaction_never_comes_before_an_earlier_one() -> None:
    world, sent = a_world(), transactions(60)
    fraud = sent[19]
    probe = {**sent[59], "account": fraud["account"]}
    first = voiced(fraud, observed_ms=sent[24]["event_time"])
    second = voiced(fraud, "genuine", observed_ms=sent[22]["event_time"], revision=1)
    played(
        world,
        lambda: world.send(sent[:20]),
        lambda: world.send_feedback([first]),
        lambda: world.send_feedback([second]),
        lambda: world.send([{**probe, "transaction_id": f"p{i}",
                             "event_time": sent[20]["event_time"] + 2 * MINUTE_MS * i}
                            for i in range(5)]),
    )  # fmt: skip

    assert {features_of(world)[f"p{i}"][FRAUDS] for i in range(5)} == {0.0}


@pytest.mark.parametrize("count_max", [16, 64])
def test_more_labels_than_may_be_open_all_come(count_max: int) -> None:
    world, sent = a_world(batch_count_max=count_max), transactions(600)
    voices = [voiced(x) for x in sent[:400:2]]
    late = [voiced(x, observed_ms=x["event_time"] + YEARS_MS) for x in sent[1:400:2]]
    instance = played(
        world,
        lambda: world.send(sent[:400]),
        lambda: world.send_feedback([*late, *voices]),
        *(lambda x=x: world.send([x]) for x in sent[400:]),
    )

    assert instance.metrics.labels_applied == len(voices)


def test_labels_that_wait_are_still_there_after_a_restart_and_applied_once() -> None:
    world, sent = a_world(), transactions(200)
    waits = voiced(sent[3], observed_ms=sent[150]["event_time"])
    played(world, lambda: world.send(sent[:100]), lambda: world.send_feedback([waits]),
           lambda: world.send_feedback([voiced(x) for x in sent[10:50]]),
           lambda: world.send(sent[100:120]))  # fmt: skip
    played(world, lambda: world.send(sent[120:140]))
    instance = played(world, lambda: world.send(sent[140:]))
    again = played(world, lambda: world.send(transactions(20, first=200)))

    assert instance.metrics.labels_applied == 1
    assert again.metrics.labels_applied == 0


def test_too_many_waiting_labels_are_said() -> None:
    world, sent = a_world(labels_waiting_max=20), transactions(100)

    async def scenario() -> tuple[str, ...]:
        async with world.instance() as instance:
            world.send(sent)
            await instance.idle()
            world.send_feedback([voiced(x, observed_ms=START_MS + YEARS_MS) for x in sent[:40]])
            await instance.idle()
            return instance.health().reasons

    assert any("no more labels are read" in reason for reason in run(scenario()))


# The waiting labels alone, against the slow and obvious.


def a_label(number: int, transaction: int) -> Label:
    return Label(f"t{transaction}", "fraud", 1.0, 1, "", 0, 0, {}, feedback_offset=number)


@settings(max_examples=200, deadline=None)
@given(
    due=st.lists(st.tuples(st.integers(0, 50), st.integers(0, 5)), max_size=40),
    times=st.lists(st.integers(1, 60), min_size=1, max_size=10),
    count_max=st.integers(1, 10),
)
def test_labels_come_in_the_order_of_their_times_and_none_before(
    due: list[tuple[int, int]], times: list[int], count_max: int
) -> None:
    waiting, expected = WaitingLabels(), {}
    newest: dict[int, int] = {}
    for offset, (due_ms, transaction) in enumerate(due):
        waiting.add(due_ms, offset, a_label(offset, transaction), frozenset())
        expected[offset] = newest[transaction] = max(due_ms, newest.get(transaction, 0))
    for now in sorted(times):
        opened = waiting.openable(now, len(due), count_max=count_max)
        found = [one for one in waiting.due(now) if opened.has(one)]
        assert len(found) <= count_max
        assert all(one.due_ms == expected[one.offset] <= now for one in found)
        for one in found:
            waiting.take(one.offset)
            del expected[one.offset]
        overdue = [offset for offset, due_ms in expected.items() if due_ms <= now]
        assert len(found) == count_max or not overdue
    assert [one.offset for one in waiting] == list(expected)


def test_where_a_partition_stands_outlives_its_owner_in_the_commit() -> None:
    one = InputPartition(TopicPartition("t", 0), Fence(1, 0), 7, 0, log="c/1")
    one.gate = LabelGate(Opened(3, 50), Opened(5, 60), 9)
    one.watermark_ms = 44
    found = position_of(one.cut().commit())
    assert found is not None

    other = InputPartition(TopicPartition("t", 0), Fence(2, 0), found.offset, 0, log="c/1")
    other.go_on(found)

    assert other.cut() == one.cut()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"log": 3}', '{"open": "x"}', "null"])
def test_a_foreign_text_beside_a_commit_is_nobodys_position(text: str) -> None:
    assert position_of(Commit(3, text)) is None


def test_what_an_older_version_has_committed_opens_the_same_labels() -> None:
    text = '{"labels": 4, "open": 5, "promised": 6, "opens_at": 9, "decided_to": -1}'
    found = position_of(Commit(3, text))

    assert found is not None
    assert found.log == ""
    assert found.opened.offset == 5
    assert found.opened.until_ms > START_MS
    assert Opened(0, 0) == NOTHING


def test_labels_open_only_from_the_record_that_the_commit_names() -> None:
    partition = InputPartition(TopicPartition("t", 0), Fence(1, 0), 0, 0)
    partition.gate.waiting.add(10, 0, a_label(0, 0), frozenset())
    partition.gate.read_to = 1
    partition.busy_to = 3
    position = partition.promise(partition.cut(), count_max=10)

    assert (position.promised.offset, position.opens_at) == (1, 3)
    times, offsets = np.array([20, 20, 20, 20, 20]), np.arange(5)
    assert [at for at, _ in partition.due_labels(times, offsets)] == [3]
    assert partition.due_labels(times[:3], offsets[:3]) == []
