"""What comes in, and how it ends: another partitioner, a letter too large, a broker that hangs."""

import asyncio
import hashlib
import json
import re
import time
from collections import Counter
from collections.abc import Sequence

from tests.faults.operators import log
from tests.faults.operators.labelling import missing_labels
from tests.faults.operators.site import SHUTDOWN_S_MAX, Site
from tests.faults.operators.turn import Turn
from tests.faults.world import Instance

RECORD_COUNT = 1_000
BROKEN_BYTES = 2_000_000
LETTER_BYTES_MAX = 1_048_576
PLACED = r"partition"
PARTITIONER = re.compile(r"(?i)partitioner|murmur|placed by")
COUNTED = re.compile(r"astray|misplaced|partitioner")  # a count in a report
LETTERS_S_MAX = 20.0
LEEWAY_S = 2.0


async def crc32_producer(turn: Turn) -> None:
    """Records are keyed by account and placed by CRC32: labels reach them, or it is said.

    With two instances, so that who holds an account need not be whom its hash points at.
    """
    how = turn.choose("crc32", "any", "murmur2")
    async with turn.site() as site:
        site.partitioner = log.by_crc32
        if how != "murmur2":  # the default, which the producer does not keep to
            site.settings["KAFKA__PARTITIONER"] = how
        await site.start()
        await site.send(RECORD_COUNT)
        if not await turn.outlive(site, named=PLACED, starts_max=0):
            if how != "murmur2":
                turn.offend(f"with kafka.partitioner {how} it does not take what CRC32 has placed")
            await turn.close(site)
            return
        companion = await site.start_companion()
        missing = await missing_labels(turn, site, named=PLACED)
        if not companion.is_running:
            turn.offend(f"the second instance has ended: {companion.output()[-300:]}")
        said = await _said_of_placement(site, companion)
        if missing and not said:
            turn.offend(f"{len(missing)} labels are lost unsaid: {missing[0]}")
        if missing and how != "murmur2":
            turn.offend(f"{len(missing)} labels do not arrive though kafka.partitioner is {how}")
        turn.notes.append(f"{len(missing)} labels missing, said: {said or 'nothing'}")
        await turn.close(site, flags_allowed=False)


async def _said_of_placement(site: Site, companion: Instance) -> str:
    """What the runs say of it: in their logs, in their health, or in their reports."""
    await companion.terminate()
    await site.stop()
    found = []
    for path in sorted(site.folder.glob("instance-*")):
        text = (path / "output.txt").read_text()
        found += [line for line in text.splitlines() if PARTITIONER.search(line)]
        report = path / "report.json"
        fields = json.loads(report.read_text()) if report.exists() else {}
        found += [f"{k} {v}" for k, v in fields.items() if COUNTED.search(k) and v]
    return found[-1] if found else ""


async def oversized_dead_letter(turn: Turn) -> None:
    """A broken record of 2 MB where a dead letter may have 1 MiB: its neighbours go on.

    Or may have no more than that from now on, under an instance that has asked for the limit.
    """
    how = turn.choose("2 MB", "the limit is lowered")
    async with turn.site() as site:
        letters = site.topic("dead-letters")
        before = log.RECORD_BYTES_MAX if "lowered" in how else LETTER_BYTES_MAX
        await log.create(site.servers, letters, 1, {"max.message.bytes": str(before)})
        await site.start()
        await site.send(RECORD_COUNT)
        await site.must_settle()
        broken = [b"{" + b"x" * BROKEN_BYTES]
        if "lowered" in how:
            broken = [b"{", b"{" + b"x" * (LETTER_BYTES_MAX // 4)]
        places = await _publish_broken(turn, site, broken[:1])
        if "lowered" in how:
            await _await_letters(site, 1)
            await log.configure(site.servers, letters, {"max.message.bytes": "100000"})
            places += await _publish_broken(turn, site, broken[1:])
        await site.send(RECORD_COUNT)
        if await turn.outlive(site, named="dead-letters"):
            await turn.audit(site, named="dead-letters")
            await _must_have_letters(turn, site, dict(zip(places, broken, strict=True)))
        times = Counter(one.transaction_id for one in site.decided)
        if times and max(times.values()) > 2:
            turn.offend(f"a transaction was decided {max(times.values())} times")
        await turn.close(site, flags_allowed=False)


async def _publish_broken(turn: Turn, site: Site, values: Sequence[bytes]) -> list[log.Placed]:
    draw = turn.draw
    records = [(draw.randrange(site.partition_count), b"card-0", value) for value in values]
    return await site.publish(site.transactions, records)


async def _await_letters(site: Site, count: int) -> dict[log.Placed, dict[str, bytes]]:
    """The headers of every dead letter by where it came from, when there are so many."""
    letters = log.Tail(site.servers, site.topic("dead-letters"))
    deadline_s = time.monotonic() + LETTERS_S_MAX
    while len(letters.records) < count and time.monotonic() < deadline_s:
        await letters.read()
        await asyncio.sleep(0.2)
    found = {}
    for letter in letters.records:
        facts = dict(letter.headers)
        place = (int(facts["sentinel.partition"]), int(facts["sentinel.offset"]))
        found[place] = facts | {"value": letter.value}
    return found


async def _must_have_letters(turn: Turn, site: Site, broken: dict[log.Placed, bytes]) -> None:
    """Each whole, or with the SHA-256 of what was cut; and of nothing else."""
    found = await _await_letters(site, len(broken))
    if found.keys() != broken.keys():
        turn.offend(f"there are dead letters of {[*found]}, not of {[*broken]}")
    for place in found.keys() & broken.keys():
        facts, value = found[place], broken[place]
        digest = hashlib.sha256(value).hexdigest().encode()
        if facts["value"] != value and not any(digest in fact for fact in facts.values()):
            turn.offend(f"the letter of {place} was cut and has no SHA-256 of the whole")


async def sigterm_with_hung_broker(turn: Turn) -> None:
    """The broker answers nothing: an end asked for comes in time, and without a traceback."""
    how = turn.choose("idle", "at work")
    async with turn.site() as site:
        await site.start()
        await site.send(RECORD_COUNT)
        await site.must_settle()
        if how == "at work":
            await site.send(RECORD_COUNT)
        turn.bench.kafka.suspend_broker(0)
        try:
            await asyncio.sleep(turn.draw.choice((0.0, 1.0, 6.0, 12.0)))
            await _must_end(turn, site)
        finally:
            turn.bench.kafka.resume_broker(0)
            await turn.bench.kafka.await_brokers(1)
        turn.struck()
        await site.check_commits()
        await site.start()
        if await turn.outlive(site, named="Kafka"):
            await turn.audit(site, named="Kafka")
        await turn.close(site, flags_allowed=False)


async def _must_end(turn: Turn, site: Site) -> None:
    assert site.instance is not None
    begun_s = time.monotonic()
    code = await site.instance.terminate(timeout_s=45.0)
    took_s = time.monotonic() - begun_s
    turn.notes.append(f"SIGTERM took {took_s:.1f} s, exit code {code}")
    if took_s > SHUTDOWN_S_MAX + LEEWAY_S:
        turn.offend(
            f"SIGTERM took {took_s:.1f} s, allowed are {SHUTDOWN_S_MAX:.0f} + {LEEWAY_S:.0f}"
        )
    if "Traceback" in site.output:
        turn.offend("SIGTERM ended in a traceback")
