"""What operators do to the input topic: they grow it, and delete it and make it again."""

import asyncio
import time

from tests.faults.operators import log
from tests.faults.operators.labelling import missing_labels
from tests.faults.operators.site import Site
from tests.faults.operators.turn import Turn

RECORD_COUNT = 1_200
# After a topic has grown under it: to stop, with a little for a loaded machine; or to go on, and to
# have decided what came meanwhile.
NOTICED_S_MAX = 13.0
DECIDED_S_MAX = 25.0
GROWN = r"\b(partitions?|grown|grew)\b"


async def grow_topic_stopped(turn: Turn) -> None:
    """Between an end and a start; accounts keep their history wherever they land."""
    how = turn.choose("4 to 8", "4 to 8 after kill -9", "4 to 6", "4 to 8 with a backlog")
    async with turn.site() as site:
        await site.start()
        await site.send(RECORD_COUNT)
        await site.must_settle()
        await _end(turn, site, how)
        await site.grow(6 if how == "4 to 6" else 8)
        await site.send(RECORD_COUNT)
        turn.struck()
        await site.start()
        if await turn.outlive(site, named=GROWN) and await turn.audit(site, named=GROWN):
            await _must_follow(turn, site)
            await turn.restart(site)  # and what was written is right as well
            await turn.audit(site, named=GROWN)
            if missing := await missing_labels(turn, site, named=GROWN):
                turn.offend(f"{len(missing)} labels of accounts that moved are lost: {missing[0]}")
        if turn.is_over:
            turn.offend("a topic that has grown between an end and a start is not gone on with")
        await turn.close(site, flags_allowed=False)


async def _end(turn: Turn, site: Site, how: str) -> None:
    if "kill" in how:
        sending = asyncio.create_task(site.send_steadily(1.5))
        await asyncio.sleep(turn.draw.uniform(0.2, 1.5))
        await site.kill()
        await sending
        return
    await site.stop()
    if "backlog" in how:
        await site.send(RECORD_COUNT // 2)


async def _must_follow(turn: Turn, site: Site) -> None:
    """What goes out is in as many partitions as what comes in."""
    for name in ("decisions", "alerts"):
        found = await log.partition_count(site.servers, site.topic(name))
        if found != site.partition_count:
            turn.offend(f"{name} has {found} partitions, transactions {site.partition_count}")


async def grow_topic_running(turn: Turn) -> None:
    """Under an instance at work: it goes on, or stops within ten seconds in a sentence."""
    async with turn.site() as site:
        await site.start()
        await site.send(RECORD_COUNT)
        await site.must_settle()
        sending = asyncio.create_task(site.send_steadily(2.0))
        await asyncio.sleep(turn.draw.uniform(0.1, 2.0))
        await site.grow(8)
        turn.struck()
        await sending
        await site.send_steadily(2.0)
        await _must_notice(turn, site)
        if await turn.outlive(site, named=GROWN) and await turn.audit(site, named=GROWN):
            await _must_follow(turn, site)
        if turn.is_over:
            turn.offend("it stopped, and starts no more")
        await turn.close(site, flags_allowed=False)


async def _must_notice(turn: Turn, site: Site) -> None:
    grown_s = turn.struck_s or time.monotonic()
    is_decided = await site.settle(grown_s + DECIDED_S_MAX - time.monotonic())
    took_s = time.monotonic() - grown_s
    if is_decided:
        turn.recovered()
    if not is_decided and site.ending() is None:
        turn.offend(f"{site.waiting} wait {took_s:.0f} s after the growth, and it runs on")
    elif not is_decided and took_s > NOTICED_S_MAX:
        turn.offend(f"it stopped {took_s:.0f} s after the growth")


async def recreate_topic_longer(turn: Turn) -> None:
    await _recreate_topic(turn, 1.5)


async def recreate_topic_shorter(turn: Turn) -> None:
    await _recreate_topic(turn, 0.3)


async def _recreate_topic(turn: Turn, factor: float) -> None:
    """All was decided and written; then another topic of the same name has more or fewer records.

    Where `on_gap` is "fail" it may stop, and goes on with --on-gap earliest.
    """
    how = turn.choose("stopped", "running", "stopped, kill -9")
    async with turn.site() as site:
        await site.start()
        await site.send(RECORD_COUNT)
        await site.must_settle()
        await site.await_saved()
        if how == "stopped":
            await site.stop()
        elif how != "running":
            await site.kill()
        await site.recreate(turn.draw.uniform(0.0, 2.0))
        turn.struck()
        await site.send(round(RECORD_COUNT * factor))
        if how != "running":
            await site.start()
        again = ("--on-gap", "earliest")
        if await turn.outlive(site, named="transactions", again=again):
            await turn.audit(site, named="transactions", again=again)
        if not turn.is_over:
            await turn.restart(site)
            await turn.audit(site, named="transactions", again=again)
        if turn.is_over and not turn.offences:
            turn.offend("with --on-gap earliest it does not go on")
        await turn.close(site)
