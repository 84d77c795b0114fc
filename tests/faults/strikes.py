"""What each fault does to the world, and how it is undone."""

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from tests import children
from tests.faults.plan import Strike
from tests.faults.watch import Watcher
from tests.faults.world import Instance, Servers

# Twice an hour off, to either side, and back: what an operator or a broken time server does.
CLOCK_SHIFTS_S = (3_600.0, -3_600.0, 0.0, -3_599.0, 3_599.0)


@dataclass(slots=True)
class Target:
    """What there is to strike."""

    servers: Servers
    instances: list[Instance]
    watcher: Watcher
    folder: Path


async def kill(target: Target, strike: Strike) -> None:
    instance = target.instances[strike.target]
    await instance.kill()
    await asyncio.sleep(strike.hold_s)
    instance.start()


async def kill_early(target: Target, strike: Strike) -> None:
    """Again and again before it has come up; in between it may get somewhere."""
    await kill(target, strike)
    await asyncio.sleep(strike.share * 8.0)
    await kill(target, strike)


async def terminate(target: Target, strike: Strike) -> None:
    instance = target.instances[strike.target]
    await instance.terminate()
    await asyncio.sleep(strike.hold_s)
    instance.start()


async def stop(target: Target, strike: Strike) -> None:
    """Longer than the session: another one, if there is one, takes over meanwhile."""
    instance = target.instances[strike.target]
    before = target.watcher.ledger.handled
    instance.send(signal.SIGSTOP)
    await asyncio.sleep(strike.hold_s)
    if len(target.instances) > 1:
        async with asyncio.timeout(120.0):
            while target.watcher.ledger.handled <= before:  # noqa: ASYNC110 - other processes
                await asyncio.sleep(0.1)
    instance.send(signal.SIGCONT)


async def stop_broker(target: Target, strike: Strike) -> None:
    await _broker_away(target, strike, is_orderly=True)


async def kill_broker(target: Target, strike: Strike) -> None:
    await _broker_away(target, strike, is_orderly=False)


async def one_of_three(target: Target, strike: Strike) -> None:
    await _broker_away(target, strike, is_orderly=strike.share < 0.3)


async def _broker_away(target: Target, strike: Strike, *, is_orderly: bool) -> None:
    kafka = target.servers.kafka
    if kafka is None:  # the embedded one forgets its log when it ends
        target.servers.tansu.send(signal.SIGSTOP)
        await asyncio.sleep(strike.hold_s)
        target.servers.tansu.send(signal.SIGCONT)
        return
    number = strike.target % len(kafka.nodes)
    await (kafka.stop_broker(number) if is_orderly else kafka.kill_broker(number))
    await asyncio.sleep(strike.hold_s)
    await kafka.start_brokers(number)


async def kill_store(target: Target, strike: Strike) -> None:
    await target.servers.store.kill()
    await asyncio.sleep(strike.hold_s)
    await target.servers.store.start()
    await target.servers.await_store()


async def kill_store_and_instance(target: Target, strike: Strike) -> None:
    instance = target.instances[strike.target]
    await asyncio.gather(instance.kill(), target.servers.store.kill())
    if strike.share < 0.5:  # half of the time the instance is there first
        instance.start()
    await asyncio.sleep(strike.hold_s)
    await target.servers.store.start()
    await target.servers.await_store()
    if not instance.is_running:
        instance.start()


async def slow_store(target: Target, strike: Strike) -> None:
    target.servers.store.send(signal.SIGSTOP)
    await asyncio.sleep(strike.hold_s)
    target.servers.store.send(signal.SIGCONT)


async def full_store(target: Target, strike: Strike) -> None:
    await target.servers.set_memory_max(1)
    await asyncio.sleep(strike.hold_s)
    await target.servers.set_memory_max(0)


async def storm(target: Target, strike: Strike) -> None:
    """One that is there leaves, by whichever door; one that is not there joins."""
    instance = target.instances[strike.target]
    others = [x for x in target.instances if x is not instance and x.is_running]
    if not instance.is_running:
        instance.start()
    elif not others:
        await asyncio.sleep(strike.hold_s)
    elif strike.share < 0.5:
        await instance.kill()
    else:
        await instance.terminate()


async def shift_clock(target: Target, strike: Strike) -> None:
    shift_s = CLOCK_SHIFTS_S[int(strike.share * len(CLOCK_SHIFTS_S))]
    (target.folder / "clock").write_text(str(shift_s))


WRITE_MODEL = """
import resource, sys
from sentinel.adapters.registry import ModelDirectory, ModelParams
from sentinel.errors import ConfigError
directory = ModelDirectory(ModelParams(directory=sys.argv[1]))
champion = directory.load(directory.champion())
names = champion.manifest["features"]
manifest = {k: v for k, v in champion.manifest.items() if k not in ("version", "sha256")}
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
try:
    directory.add(directory.free_version(names), champion.text, manifest)
except ConfigError as error:
    print(error)
    raise SystemExit(2)
"""


async def fill_disk(target: Target, strike: Strike) -> None:
    """No file may grow beyond some size while a model is written and an instance started.

    The champion, and whatever else the directory shows, must be whole; the instance serves on.
    """
    models = target.folder / "models"
    size = sum((path.stat().st_size for path in models.glob("1.0.0/*")), 0)
    limit = int(size * strike.share)
    command = [sys.executable, "-c", WRITE_MODEL, str(models), str(limit)]
    process = children.start(command, target.folder / "write.log", Path.cwd())
    await children.exit_of(process, 60.0)
    assert process.returncode in (0, 2), (target.folder / "write.log").read_text()[-2000:]
    whole_or_absent(models)
    await kill(target, strike)


def whole_or_absent(models: Path) -> None:
    """Every version that is shown can be loaded, and the champion is one of them."""
    from sentinel.adapters.registry import ModelDirectory, ModelParams

    directory = ModelDirectory(ModelParams(directory=str(models)))
    versions = directory.versions()
    for version in versions:
        directory.load(version)
    assert directory.champion() in versions
    # The next run is to serve the same model as this one, or decisions would rightly differ.
    (models / "champion").write_text("1.0.0\n")


async def at_watch(target: Target, strike: Strike) -> None:
    """Whatever the watch for drift leans on: the instance, alone or with the store; the broker."""
    share = strike.share * len(_AT_WATCH)
    await _AT_WATCH[int(share)](target, replace(strike, share=share % 1.0))


async def at_one_of_two(target: Target, strike: Strike) -> None:
    """One dies or leaves, and the other one takes over."""
    await (kill if strike.share < 0.6 else terminate)(target, strike)


_AT_WATCH = (kill, terminate, kill_store_and_instance, kill_store_and_instance, kill_broker)


Blow = Callable[[Target, Strike], Awaitable[None]]

BLOWS: Mapping[str, Blow] = {
    "kill": kill,
    "kill-one-partition": kill,
    "kill-early": kill_early,
    "kill-pair": kill,
    "term": terminate,
    "stop": stop,
    "stop-pair": stop,
    "broker-stop": stop_broker,
    "broker-kill": kill_broker,
    "broker-of-three": one_of_three,
    "redis-kill": kill_store,
    "redis-kill-and-instance": kill_store_and_instance,
    "redis-slow": slow_store,
    "redis-full": full_store,
    "storm": storm,
    "disk-full": fill_disk,
    "clock": shift_clock,
    "poison": kill,
    "backlog": kill,
    "drift": at_watch,
    "drift-store": kill_store,
    "drift-pair": at_one_of_two,
}
