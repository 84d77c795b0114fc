"""No task gets more than its inbox holds, and one that is full stops no other."""

import asyncio
from collections.abc import Sequence

import pytest

from sentinel.adapters.memory import MemoryBroker, MemoryCluster, MemoryDocuments
from sentinel.engine.dispatcher import Dispatcher, Inbox
from sentinel.engine.params import EngineParams
from sentinel.records import Batch, OutputRecord, TopicPartition
from sentinel.stored.votes import Case
from sentinel.stores import StoredCases
from tests.engine.clock import run, until
from tests.engine.samples import a_config, transactions, voice
from tests.engine.world import World
from tests.kept import KeptCases

INPUT, OTHER = TopicPartition("input", 0), TopicPartition("other", 0)


async def nothing(_: Sequence[TopicPartition]) -> None:
    pass


def fill(cluster: MemoryCluster, at: TopicPartition, count: int) -> None:
    cluster.append(at, [OutputRecord(None, b"%d" % i) for i in range(count)])


class Reading:
    """A dispatcher over two topics, running."""

    def __init__(self, *, inbox_batch_count_max: int = 3) -> None:
        self.cluster = MemoryCluster()
        for at in (INPUT, OTHER):
            self.cluster.create_topic(at.topic, 1)
        params = EngineParams(batch_count_max=10, inbox_batch_count_max=inbox_batch_count_max)
        self.inboxes = {at.topic: Inbox(inbox_batch_count_max) for at in (INPUT, OTHER)}
        self.broker = MemoryBroker(self.cluster)
        clock_s = asyncio.get_running_loop().time
        self.dispatcher = Dispatcher(self.broker, self.inboxes, params, clock_s=clock_s)

    async def __aenter__(self) -> "Reading":
        await self.broker.subscribe(["input", "other"], on_assigned=nothing, on_revoked=nothing)
        self.task = asyncio.create_task(self.dispatcher.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self.dispatcher.stop()
        await self.task

    async def waiting(self, topic: str) -> list[Batch]:
        """All that waits in an inbox, taken out."""
        found = []
        while (batch := await self.inboxes[topic].take(0.001)) is not None:
            self.inboxes[topic].done()
            found.append(batch)
            if len(found) == 3:
                break
        return found


def test_no_more_batches_are_read_than_the_inbox_holds() -> None:
    async def scenario() -> tuple[int, int]:
        async with Reading() as reading:
            fill(reading.cluster, INPUT, 1000)
            reading.dispatcher.admit(INPUT)
            await asyncio.sleep(10.0)
            lag = reading.broker.lag(INPUT)
            assert lag is not None
            assert not reading.inboxes["input"].has_room
            return 1000 - lag, sum(batch.count for batch in await reading.waiting("input"))

    assert run(scenario()) == (30, 30)


def test_a_full_inbox_does_not_stop_another() -> None:
    async def scenario() -> int:
        async with Reading() as reading:
            reading.dispatcher.admit(INPUT)
            reading.dispatcher.admit(OTHER)
            fill(reading.cluster, OTHER, 1000)
            await until(lambda: not reading.inboxes["other"].has_room)
            fill(reading.cluster, INPUT, 100)
            count = 0
            while count < 100:
                count += sum(batch.count for batch in await reading.waiting("input"))
            return count

    assert run(scenario()) == 100


def test_what_is_withheld_is_not_read() -> None:
    async def scenario() -> int | None:
        async with Reading() as reading:
            fill(reading.cluster, INPUT, 5)
            await asyncio.sleep(5.0)
            assert await reading.inboxes["input"].take(0.001) is None
            reading.dispatcher.admit(INPUT)
            await until(lambda: reading.broker.lag(INPUT) == 0)
            reading.dispatcher.withhold(INPUT)
            fill(reading.cluster, INPUT, 5)
            await asyncio.sleep(5.0)
            return sum(batch.count for batch in await reading.waiting("input"))

    assert run(scenario()) == 5


def test_a_batch_says_where_its_log_ended() -> None:
    async def scenario() -> list[tuple[int, int]]:
        async with Reading() as reading:
            fill(reading.cluster, INPUT, 25)
            reading.dispatcher.admit(INPUT)
            await asyncio.sleep(1.0)
            batches = await reading.waiting("input")
            return [(batch.count, batch.ends[INPUT]) for batch in batches]

    assert run(scenario()) == [(10, 25), (10, 25), (5, 25)]


def test_progress_is_the_last_batch_that_was_handed_over() -> None:
    async def scenario() -> float:
        async with Reading() as reading:
            reading.dispatcher.admit(INPUT)
            await asyncio.sleep(7.0)
            fill(reading.cluster, INPUT, 1)
            await asyncio.sleep(5.0)
            return reading.dispatcher.last_progress_s

    assert run(scenario()) == pytest.approx(7.0, abs=0.2)


def test_an_inbox_gives_nothing_after_the_timeout_and_joins_when_all_is_done() -> None:
    async def scenario() -> None:
        inbox, clock_s = Inbox(2), asyncio.get_running_loop().time
        assert await inbox.take(3.0) is None
        assert clock_s() == pytest.approx(3.0)
        inbox.put(Batch("t", {}, 0.0))
        assert inbox.has_room
        inbox.put(Batch("t", {}, 0.0))
        assert not inbox.has_room
        joining = asyncio.create_task(inbox.join())
        for _ in range(2):
            assert not joining.done()
            assert await inbox.take(1.0) is not None
            inbox.done()
        await joining
        assert await inbox.take(0.001) is None

    run(scenario())


class SlowCases(StoredCases):
    """A case store that answers after an hour."""

    async def cases(self, transaction_ids: Sequence[str]) -> dict[str, Case]:
        await asyncio.sleep(3600.0)
        return await super().cases(transaction_ids)


def test_feedback_that_is_stuck_does_not_stop_scoring() -> None:
    world = World(config=a_config(inbox_batch_count_max=2))
    sent = transactions(300)
    world.send_feedback([voice(x) for x in sent])

    async def scenario() -> tuple[int, int | None]:
        instance = world.instance()
        await instance.open()
        instance.parts.feedback._store = SlowCases(MemoryDocuments(KeptCases()))
        async with instance.started():
            await asyncio.sleep(5.0)
            world.send(sent)
            await until(lambda: instance.metrics.decisions == 300)
            return instance.metrics.alerts, instance.ports.broker.lag(TopicPartition("feedback", 0))

    alerts, lag = run(scenario())
    assert alerts == len(world.values("alerts")) > 0
    assert lag == 300 - 3 * 16  # two batches wait, one is being worked on


def test_scoring_that_is_slow_is_not_fed_more_than_its_inbox_holds() -> None:
    """Every publication takes its time; what was read and not yet decided stays bounded."""
    world = World(config=a_config(inbox_batch_count_max=2, batch_count_max=8))
    world.send(transactions(400))

    async def scenario() -> list[int]:
        held = []
        async with world.instance(publish_delay_s=0.5) as instance:
            at = TopicPartition("transactions", 0)
            while (decided := len(world.records("decisions"))) < 400:
                lag = instance.ports.broker.lag(at)
                held.append(400 - (400 if lag is None else lag) - decided)
                await asyncio.sleep(0.1)
        return held

    # Two wait in the inbox, three for the store, one for a place among those, one is being decided.
    assert max(run(scenario())) == (2 + 3 + 1 + 1) * 8
