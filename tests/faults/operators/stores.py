"""What operators do to the store: roll it back, fail it over, let it evict, flush it, share it."""

import asyncio
import re
import time
from contextlib import AsyncExitStack

from tests.faults.operators import log
from tests.faults.operators.endings import healths
from tests.faults.operators.site import OUTAGE_S_MAX, Site
from tests.faults.operators.store import Proxy, Redis
from tests.faults.operators.turn import Turn

RECORD_COUNT = 1_000
STORE = r"(?i)redis|store|state"
GAP = r"transactions-\d+ .*(lost|begins|deleted|missing)|(lost|gone).*transactions"
EARLIEST = ("--on-gap", "earliest")
EVICTING_ACCOUNTS = 4_000


async def two_deployments(turn: Turn) -> None:
    """The second on the first one's keys is refused; with keys of its own it is right."""
    is_first_stopped = turn.choose("the first runs", "the first is stopped") != "the first runs"
    async with turn.site("-a") as first, turn.site("-b", redis=first.redis) as second:
        await first.start()
        await first.send(RECORD_COUNT)
        await first.must_settle()
        await first.await_saved()
        if is_first_stopped:
            await first.stop()
        await second.send(RECORD_COUNT)
        second.settings["REDIS__KEY_PREFIX"] = first.name
        await second.start(is_awaited=False)
        await _must_be_refused(turn, second)
        if is_first_stopped:
            await first.start()
        await first.send(RECORD_COUNT)
        second.settings["REDIS__KEY_PREFIX"] = second.name
        await second.start()
        for site in (second, first):
            if await turn.outlive(site, named=STORE):
                await turn.audit(site, named=STORE)
            await turn.close(site, flags_allowed=False)


async def _must_be_refused(turn: Turn, second: Site) -> None:
    deadline_s = time.monotonic() + 30.0
    while second.ending() is None and time.monotonic() < deadline_s:  # noqa: ASYNC110 - a process
        await asyncio.sleep(0.2)
    ending = second.ending(r"key_prefix|redis")
    if ending is None:
        turn.offend("a second deployment on the keys of the first is not refused")
        await second.kill()
        return
    turn.ended(ending)
    await second.read()
    if second.decided:
        turn.offend(f"it decided {len(second.decided)} before it was refused")


async def store_rollback_running(turn: Turn) -> None:
    await _roll_back(turn, is_running=True)


async def store_rollback_stopped(turn: Turn) -> None:
    await _roll_back(turn, is_running=False)


async def _roll_back(turn: Turn, *, is_running: bool) -> None:
    """Redis comes back as it was at the last backup; Kafka still holds everything."""
    how = "running" if is_running else turn.choose("stopped", "kill -9")
    async with turn.site() as site:
        await site.start()
        await site.send(turn.draw.randrange(0, RECORD_COUNT))
        await site.must_settle()
        await site.await_saved()
        dump = site.folder / "backup.rdb"
        await site.redis.dump(dump)
        await site.send(RECORD_COUNT)
        await site.must_settle()
        await site.await_saved()
        if how == "stopped":
            await site.stop()
        elif how == "kill -9":
            await site.kill()
        await site.redis.roll_back(dump)
        turn.struck()
        if not is_running:
            await site.start()
        await _must_recover(turn, site)


async def _must_recover(turn: Turn, site: Site) -> None:
    """What the log still has is had again, and written: the next process knows it as well.

    The first transactions after the fault touch a few accounts only; the others are in nobody's
    memory when the next process asks the store.
    """
    await site.send(100)
    if await turn.outlive(site, named=STORE):
        await site.await_saved()
        await turn.restart(site)
        await turn.audit(site, named=STORE, flags_allowed=False)
    await turn.close(site)


async def replica_promotion(turn: Turn) -> None:
    """A replica that lags is promoted, and takes the address of the primary that died."""
    async with AsyncExitStack() as stack:
        site = await stack.enter_async_context(turn.site())
        replica = await stack.enter_async_context(Redis(site.folder / "replica"))
        link = await stack.enter_async_context(Proxy(site.redis.port))
        address = await stack.enter_async_context(Proxy(site.redis.port))
        site.redis_port = address.port
        await site.start()
        await replica.follow("127.0.0.1", link.port)
        await site.send(turn.draw.randrange(100, RECORD_COUNT))
        await site.must_settle()
        await site.await_saved()
        await replica.await_copy_of(site.redis)
        link.stall()
        await site.send(RECORD_COUNT)
        await site.must_settle()
        await site.await_saved()
        await site.redis.kill()
        link.cut()
        await replica.lead()
        address.point_to(replica.port)
        turn.struck()
        await _must_recover(turn, site)


async def eviction(turn: Turn) -> None:
    """Entity state is evicted while its accounts return: nothing may lack counts unsaid."""
    how = turn.choose(
        "volatile-lru, running",
        "allkeys-lru, running",
        "volatile-lru, stopped",
        "allkeys-lru, stopped",
    )
    policy, when = how.split(", ")
    async with turn.site(account_count=EVICTING_ACCOUNTS) as site:
        await site.start()
        accounts = [f"card-{i}" for i in range(EVICTING_ACCOUNTS)]
        turn.draw.shuffle(accounts)
        await site.send(accounts=accounts)
        await site.must_settle()
        await site.await_saved()
        if when == "stopped":
            await site.stop()
        await site.redis.ask("CONFIG", "SET", "maxmemory-policy", policy)
        evicted = await site.redis.crowd_out(turn.draw.uniform(0.2, 0.6))
        if when == "stopped":
            await site.start()  # or it refuses to
        await asyncio.sleep(6.0 if when == "running" else 0.0)  # whoever watches has seen it
        turn.draw.shuffle(accounts)
        await site.send(accounts=accounts)
        if await turn.outlive(site, named=STORE) and healths(site.output)[-1:] == ["ok"]:
            await asyncio.sleep(6.0)  # a plain run says its health every five seconds
            evicted = (await site.redis.info("stats"))["evicted_keys"]
            if healths(site.output)[-1] == "ok":
                turn.offend(f"health is ok though the store evicts ({evicted} keys)")
        turn.notes.append(f"{evicted} keys evicted")
        await turn.close(site)


async def flush_with_trimmed_log(turn: Turn) -> None:
    """FLUSHALL: exact while the log is whole; else it says what nobody can know any more."""
    how = turn.choose(
        "stopped, trimmed",
        "running, trimmed",
        "stopped, whole",
        "running, whole",
        "stopped, trimmed, earliest",
    )
    again = EARLIEST if "earliest" in how else ()
    forgotten: frozenset[str] = frozenset()
    async with turn.site() as site:
        await site.start(*again)
        await site.send(RECORD_COUNT)
        await site.must_settle()
        await site.await_saved()
        if "stopped" in how:
            await site.stop()
        if "trimmed" in how:
            forgotten = await _trim(turn, site)
        await site.redis.ask("FLUSHALL")
        turn.struck()
        if "stopped" in how:
            await site.start(*again)
        await site.send(100)
        if await turn.outlive(site, named=GAP, starts_max=0 if "trimmed" in how else 2):
            await site.await_saved()
            await turn.restart(site, *again)
            await turn.audit(site, named=GAP, flags_allowed="trimmed" in how)
        if "trimmed" in how:
            _must_be_said(turn, site)
            await _go_on_from_earliest(turn, site)
        await turn.close(site, forgotten=forgotten)


async def _trim(turn: Turn, site: Site) -> frozenset[str]:
    """Delete a part of the log; returns what nobody can read any more."""
    share = turn.draw.uniform(0.2, 1.0)
    ends: dict[int, int] = {}
    for one in site.book.sent:
        ends[one.partition] = max(ends.get(one.partition, 0), one.offset + 1)
    begins = {partition: max(1, int(end * share)) for partition, end in ends.items()}
    await log.trim(site.servers, site.transactions, begins)
    gone = [one for one in site.book.sent if one.offset < begins[one.partition]]
    return frozenset(one.transaction_id for one in gone)


def _must_be_said(turn: Turn, site: Site) -> None:
    """By the end of one of its processes, or in the words of one."""
    texts = [path.read_text() for path in site.folder.glob("instance-*/output.txt")]
    if not any(re.search(GAP, text) for text in texts):
        turn.offend("counts are gone from store and log, and nobody says so")


async def _go_on_from_earliest(turn: Turn, site: Site) -> None:
    """After a stop: with --on-gap earliest there is a way on."""
    if not turn.is_over or turn.offences:
        return
    turn.is_over = False
    await site.start(*EARLIEST)
    if not await turn.outlive(site, named=GAP, again=EARLIEST, starts_max=0):
        turn.offend("with --on-gap earliest it does not go on")


async def readonly_store(turn: Turn) -> None:
    """Read, but not written to: for a while, or past `outage_s_max`, as an outage is.

    The primary becomes a replica, and primary again; or an administrator takes a right away.
    """
    how = turn.choose("replica for a while", "replica past outage_s_max", "no right to write")
    held_s = turn.draw.uniform(0.5, 2.5) if "while" in how else OUTAGE_S_MAX + 10.0
    async with turn.site() as site:
        await site.start()
        await site.send(RECORD_COUNT)
        await site.must_settle()
        if turn.draw.random() < 0.5:
            await site.await_saved()
        sending = asyncio.create_task(site.send_steadily(held_s + 2.0, rate=100.0))
        await asyncio.sleep(1.0)
        begun_ms = time.time() * 1000
        if "replica" in how:
            await site.redis.follow("127.0.0.1", 1)  # where nobody listens: it keeps what it has
        else:
            await site.redis.ask("ACL", "SETUSER", "default", "-@write")
        await asyncio.sleep(held_s)
        ended_ms = time.time() * 1000
        said = healths(site.output)
        await (site.redis.lead() if "replica" in how else site.redis.permit())
        turn.struck()
        await sending
        if held_s > OUTAGE_S_MAX:
            await _must_have_stopped(turn, site, begun_ms, ended_ms)
            if said[-1:] == ["ok"] and site.ending() is None:
                turn.offend(f"health is ok though nothing was written for {held_s:.0f} s")
        if await turn.outlive(site, named=STORE):
            await site.await_saved()
            await turn.restart(site)
            await turn.audit(site, named=STORE, flags_allowed=False)
        await turn.close(site)


async def _must_have_stopped(turn: Turn, site: Site, begun_ms: float, ended_ms: float) -> None:
    """An outage of writing ends scoring as one of reading does."""
    await site.read()
    late_ms = begun_ms + (OUTAGE_S_MAX + 5.0) * 1000
    pairs = zip(site.decided, site.decided_at_ms, strict=True)
    late = [one for one, at_ms in pairs if late_ms < at_ms < ended_ms and not one.is_flagged]
    if late:
        turn.offend(
            f"{len(late)} decisions later than {OUTAGE_S_MAX:.0f} s + 5 s after the store took "
            "nothing more, and not flagged"
        )
