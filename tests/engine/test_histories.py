"""Several instances come, go, die and wake up again, as a seed has it: the state is as of one."""

import asyncio
import functools
from dataclasses import dataclass, field

import numpy as np
import pytest
from numpy.random import Generator

from sentinel.errors import TransientError
from tests.engine.clock import run, until
from tests.engine.faults import CrashError, Doom
from tests.engine.samples import FEATURES, a_config, transactions, voice
from tests.engine.world import MemoryInstance, World

STRETCH = 40
STRETCH_COUNT = 12
SENT = transactions(STRETCH * STRETCH_COUNT)
QUIET = [transactions(20, first=len(SENT) + 20 * i) for i in range(4)]  # these let labels in
VOICES = [voice(made) for made in SENT[::6]]
INSTANCE_COUNT_MAX = 3
ACCOUNT_FEATURES = [i for i, f in enumerate(FEATURES) if f.entity == "account"]


def a_world(rng: Generator | None = None) -> World:
    return World(config=a_config(4, commit_interval_s=0.2, snapshot_after_s=0.5), rng=rng)


@functools.cache
def oracle(*, with_voices: bool) -> World:
    """What one instance makes of it all, never disturbed."""
    world = a_world()

    async def scenario() -> None:
        async with world.instance() as instance:
            world.send(SENT)
            await instance.idle()
            world.send_feedback(VOICES if with_voices else [])
            for span in QUIET:
                world.send(span)
                await instance.idle()
            await instance.stop()

    run(scenario())
    return world


@dataclass
class Fleet:
    """The instances that run, and what happens to them."""

    world: World
    rng: Generator
    running: list[MemoryInstance] = field(default_factory=list)
    asleep: list[MemoryInstance] = field(default_factory=list)
    attending: set["asyncio.Task[None]"] = field(default_factory=set)
    told: list[str] = field(default_factory=list)  # for whoever looks into a seed that fails

    async def join(self) -> None:
        """One more; some are to die at one of their next calls, before or after its effect."""
        crash_at = int(self.rng.integers(15, 200)) if self.rng.random() < 0.3 else None
        doom = Doom(crash_at=crash_at, after_effect=bool(self.rng.integers(2)))
        instance = self.world.instance(doom)
        try:
            self.running.append(await instance.__aenter__())
        except CrashError:
            self.told.append("dead before it ran")
        else:
            self.attending.add(asyncio.create_task(_attend(instance)))

    async def leave(self) -> None:
        instance = self._taken()
        if instance is not None:
            try:
                await instance.stop()
            except (TransientError, CrashError) as error:
                self.told.append(f"leaving: {error!r}")
            await instance.__aexit__()

    async def die(self) -> None:
        """No call reaches the world any more, in the middle of whatever it does."""
        instance = self._taken()
        if instance is not None:
            doom = instance.faults
            assert isinstance(doom, Doom)
            doom.is_dead = True
            await instance.__aexit__()

    async def fall_asleep(self) -> None:
        """Longer than its session; it has its partitions, and others are about to have them."""
        await self._quiet_group()
        awake = [instance for instance in self.running if instance.parts.partitions]
        if awake:
            awake[0].suspend()
            self.running.remove(awake[0])
            self.asleep.append(awake[0])

    async def wake_up(self) -> None:
        """One that thinks the partitions its own goes on as if nothing had been."""
        if self.asleep:
            self.asleep[0].latency.resume()
            self.running.append(self.asleep.pop(0))

    def bury(self) -> None:
        """Those that have ended by themselves make room for others."""
        for instance in list(self.running):
            assert instance.task is not None
            if instance.task.done():
                self.running.remove(instance)
                self.told.append(f"ended: {instance.task.exception()!r}")
                assert isinstance(instance.task.exception(), TransientError | CrashError)

    async def settle(self) -> MemoryInstance:
        """All wake up, all but the last one go, and that one has everything."""
        while self.asleep:
            await self.wake_up()
        await asyncio.sleep(5.0)
        self.bury()
        while self.running:
            await self.leave()
        instance = self.world.instance()
        self.running.append(await instance.__aenter__())
        await until(lambda: len(instance.parts.partitions) == 4)
        return instance

    def _taken(self) -> MemoryInstance | None:
        if not self.running:
            return None
        return self.running.pop(int(self.rng.integers(len(self.running))))

    async def _quiet_group(self) -> None:
        """A member that sleeps in a rebalance holds up all others; Kafka would not wait for it."""
        self.bury()
        group = self.world.cluster.group("sentinel")
        await until(lambda: not (group.is_stale or group.is_rebalancing) or self._all_ended())

    def _all_ended(self) -> bool:
        return all(i.task is not None and i.task.done() for i in self.running)


async def _attend(instance: MemoryInstance) -> None:
    """Close its adapters as soon as it has ended, as `sentinel run` does: it leaves the group."""
    assert instance.task is not None
    await asyncio.wait({instance.task})
    await instance.__aexit__()


async def history(
    world: World, rng: Generator, *, with_voices: bool, with_sleep: bool
) -> list[str]:
    """Something happens between one span of transactions and the next."""
    fleet = Fleet(world, rng)
    events = [fleet.join, fleet.leave, fleet.die]
    if with_sleep:
        events += [fleet.fall_asleep, fleet.wake_up]
    voices = list(VOICES if with_voices else [])
    try:
        for begin in range(0, len(SENT), STRETCH):
            world.send(SENT[begin : begin + STRETCH])
            world.send_feedback(voices[:10])
            del voices[:10]
            fleet.bury()
            if not fleet.running or (len(fleet.running) == 1 and rng.random() < 0.5):
                await fleet.join()
            for event in rng.choice(len(events), 2).tolist():
                if events[event] != fleet.join or len(fleet.running) < INSTANCE_COUNT_MAX:
                    fleet.told.append(f"{begin}: {events[event].__name__}")
                    await events[event]()
            await asyncio.sleep(float(rng.choice([0.0, 0.05, 0.3, 2.0])))
        last = await fleet.settle()
        for span in QUIET:
            world.send(span)
            await last.idle()
        await last.stop()
    finally:
        for instance in [*fleet.running, *fleet.asleep]:
            instance.latency.resume()
            await instance.__aexit__()
        await asyncio.gather(*fleet.attending)
    return fleet.told


def account_features(world: World) -> dict[str, set[str]]:
    """Of each transaction, what every decision about it says of its account."""
    found: dict[str, set[str]] = {}
    for decision in world.values("decisions"):
        values = [decision["features"][i] for i in ACCOUNT_FEATURES]
        found.setdefault(decision["transaction_id"], set()).add(repr(values))
    return found


@pytest.mark.timeout(600)
@pytest.mark.parametrize("with_voices", [False, True], ids=["plain", "feedback"])
def test_whatever_happens_to_several_instances_the_state_is_as_of_one(
    sweep: bool, with_voices: bool
) -> None:
    """Without labels, what an account's own features were is the same in every decision, too.

    Labels come in when they come in: then counts are compared, in the end. One that wakes up may
    decide what it had read from state that another one has stored since: at least once, its
    decisions are out before its commit is refused.
    """
    expected = oracle(with_voices=with_voices)
    for seed in range(300 if sweep else 10):
        rng = np.random.default_rng([seed, with_voices])
        world = a_world(rng)
        with_sleep = seed % 2 == 1
        told = run(history(world, rng, with_voices=with_voices, with_sleep=with_sleep))

        why = f"seed {seed}: {told}"
        assert world.unsafe == [], why
        assert world.decisions().keys() == expected.decisions().keys(), why
        if with_voices:
            assert world.counts() == expected.counts(), why
        else:
            assert world.blobs() == expected.blobs(), why
        if not with_voices and not with_sleep:
            assert account_features(world) == account_features(expected), why
