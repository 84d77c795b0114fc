"""One deployment for one strike: its topics, its Redis, its instance, and the book of its input."""

import asyncio
import json
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Self

from tests.faults.operators import log
from tests.faults.operators.endings import Ending, ending_of
from tests.faults.operators.ground import World
from tests.faults.operators.oracle import Book, Seen, Sent, ahead, seen
from tests.faults.operators.store import Redis
from tests.faults.world import Instance

STEP_MS = 500  # of event time from one transaction to the next
SETTLED_S_MAX = 90.0  # a process start, a rebalance and all of the input, on a loaded machine
READ_COUNT_MAX = 3  # what cannot be read after so many attempts was not published
SNAPSHOT_AFTER_S = 1.0
SHUTDOWN_S_MAX = 5.0
OUTAGE_S_MAX = 4.0
TRANSACTION_SETTINGS = {"max.message.bytes": str(log.RECORD_BYTES_MAX)}


@dataclass(slots=True)
class Load:
    """Draws transactions; equal seeds draw equal ones."""

    random: Random
    account_count: int = 300
    merchant_count: int = 40
    begin_ms: int = field(default_factory=lambda: int(time.time() * 1000) - 86_400_000)


class Site:
    """Entered, it has topics and a Redis; an instance when `start` was called.

    Parameters
    ----------
    name
        Before topics, of the group and of the keys, so that sites share a broker.
    redis
        None starts one of its own. `redis_port`, for a proxy before it.
    """

    def __init__(
        self,
        world: World,
        folder: Path,
        name: str,
        seed: str,
        *,
        partition_count: int = 4,
        redis: Redis | None = None,
        account_count: int = 300,
    ) -> None:
        self.world, self.folder, self.name = world, folder / name, name
        self.folder.mkdir(parents=True)
        self.partition_count = partition_count
        self.load = Load(Random(seed), account_count)
        self.book = Book()
        self.life = 0
        self.partitioner: log.Partitioner = log.by_murmur2
        self.settings: dict[str, str] = {}
        self.instance: Instance | None = None
        self.companion: Instance | None = None
        self.decided: list[Seen] = []
        self.decided_at_ms: list[int] = []
        self.notes: list[str] = []
        self.early = 0  # transactions that a commit passed before they were decided
        self._given = redis
        self.redis = redis or Redis(self.folder / "redis")
        self._producing = AsyncExitStack()
        self._started = 0

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            if self._given is None:
                await stack.enter_async_context(self.redis)
            self.redis_port = self.redis.port
            await self.renew_producer()
            self._tail = log.Tail(self.servers, self.topic("decisions"))
            stack.push_async_callback(self._end)
            await log.create(
                self.servers, self.transactions, self.partition_count, TRANSACTION_SETTINGS
            )
            self._resources = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._resources.aclose()

    async def _end(self) -> None:
        await self._producing.aclose()
        for instance in (self.instance, self.companion):
            if instance is not None:
                await instance.kill()

    async def renew_producer(self) -> None:
        """One that has never heard of the topics as they were."""
        await self._producing.aclose()
        self._producer = await self._producing.enter_async_context(log.producer_of(self.servers))

    async def grow(self, count: int) -> None:
        """More partitions; from then on the producer places records by the new count."""
        await log.grow(self.servers, self.transactions, count)
        await self._producer.client.force_metadata_update()
        self.partition_count = count

    async def recreate(self, gone_s: float = 0.0) -> None:
        """Delete the topic, and make it again after a while."""
        await log.delete(self.servers, self.transactions)
        await asyncio.sleep(gone_s)
        await log.create(
            self.servers, self.transactions, self.partition_count, TRANSACTION_SETTINGS
        )
        self.life += 1
        await self.renew_producer()

    @property
    def servers(self) -> str:
        return self.world.kafka_servers

    @property
    def transactions(self) -> str:
        return self.topic("transactions")

    def topic(self, name: str) -> str:
        return f"{self.name}-{name}"

    def environment(self) -> dict[str, str]:
        found = {
            "KAFKA__BOOTSTRAP_SERVERS": self.servers,
            "KAFKA__GROUP_ID": self.name,
            "KAFKA__SESSION_TIMEOUT_S": "3.0",
            "KAFKA__HEARTBEAT_INTERVAL_S": "0.5",
            "KAFKA__REBALANCE_TIMEOUT_S": "6.0",
            "KAFKA__REQUEST_TIMEOUT_S": "8.0",
            "KAFKA__MAX_POLL_INTERVAL_S": "30.0",
            "REDIS__URL": f"redis://127.0.0.1:{self.redis_port}",
            "REDIS__KEY_PREFIX": self.name,
            "TOPICS__PREFIX": f"{self.name}-",
            "TOPICS__PARTITION_COUNT": str(self.partition_count),
            "ENGINE__COMMIT_INTERVAL_S": "0.5",
            "ENGINE__SNAPSHOT_AFTER_S": str(SNAPSHOT_AFTER_S),
            "ENGINE__SHUTDOWN_S_MAX": str(SHUTDOWN_S_MAX),
            "ENGINE__OUTAGE_S_MAX": str(OUTAGE_S_MAX),
            "ENGINE__RESTART_COUNT_MAX": "6",
            "ENGINE__BACKOFF_S_MAX": "1.0",
            "MODEL__DIRECTORY": str(self.world.models),
            "HTTP__BIND": "",
        }
        return {f"SENTINEL__{key}": value for key, value in (found | self.settings).items()}

    def _new_instance(self, *arguments: str) -> Instance:
        self._started += 1
        command = ("run", "--no-stream", "--plain", "--report", "report.json", *arguments)
        folder = self.folder / f"instance-{self._started}"
        instance = Instance(folder, self.world.config, self.environment(), command)
        instance.start()
        return instance

    async def start_companion(self) -> Instance:
        """One more instance beside the one that is judged; it takes half of the partitions."""
        self.companion = self._new_instance()
        await self.companion.await_live()
        return self.companion

    async def start(self, *arguments: str, is_awaited: bool = True) -> None:
        """A new process; returns when it has its partitions, or has ended."""
        assert self.instance is None or not self.instance.is_running
        self.instance = self._new_instance(*arguments)
        deadline_s = time.monotonic() + SETTLED_S_MAX
        while is_awaited and self.instance.is_running and not self.instance.is_live:
            assert time.monotonic() < deadline_s, f"not live: {self.instance.output()[-600:]}"
            await asyncio.sleep(0.05)

    async def stop(self) -> None:
        """In order."""
        assert self.instance is not None
        if await self.instance.terminate() != 0:
            self.notes.append(f"stopped in order, yet: {self.instance.output()[-300:]}")
        await self.check_commits()

    async def kill(self) -> None:
        assert self.instance is not None
        await self.instance.kill()
        await self.check_commits()

    @property
    def output(self) -> str:
        assert self.instance is not None
        return self.instance.output()

    def ending(self, named: str = "") -> Ending | None:
        """None while the instance runs."""
        if self.instance is None or self.instance.process is None or self.instance.is_running:
            return None
        return ending_of(int(self.instance.process.returncode), self.output, named or self.name)

    async def check_commits(self) -> None:
        """Nothing may be committed that is not decided."""
        if not (count := await log.partition_count(self.servers, self.transactions)):
            return
        found = await log.committed(self.servers, self.name, self.transactions, count)
        for _ in range(READ_COUNT_MAX):
            await self.read()
            decided = {one.transaction_id for one in self.decided}
            if not (early := ahead(self.book.sent, self.life, found, decided)):
                return
        self.early += len(early)

    def event_time_ms(self, sent: Sent) -> int:
        return self.load.begin_ms + sent.number * STEP_MS

    async def publish(
        self, topic: str, records: Sequence[tuple[int, bytes | None, bytes]]
    ) -> list[log.Placed]:
        """Something that is not in the book."""
        return await log.publish(self._producer, topic, records)

    async def send(
        self,
        count: int = 0,
        *,
        accounts: Sequence[str] | None = None,
        merchants: Sequence[str] | None = None,
        is_merchant_checked: bool = False,
    ) -> list[Sent]:
        """So many transactions of anybody, or one for each of these accounts."""
        draw = self.load.random
        if accounts is None:
            names = range(self.load.account_count)
            accounts = [f"card-{draw.choice(names)}" for _ in range(count)]
        if merchants is None:
            merchants = [f"m-{draw.randrange(self.load.merchant_count)}" for _ in accounts]
        number, made, records = len(self.book.sent), [], []
        for i, (account, merchant) in enumerate(zip(accounts, merchants, strict=True), number):
            partition = self.partitioner(account.encode(), self.partition_count)
            one = Sent(
                i, f"{self.name}-t{i}", account, merchant, draw.randint(1, 10**6), 0, 0, 0, 0
            )
            value = {
                "id": one.transaction_id,
                "time_ms": self.event_time_ms(one),
                "card": account,
                "amount": one.amount,
                "merchant": merchant,
            }
            made.append(one)
            records.append((partition, account.encode(), json.dumps(value).encode()))
        placed = await log.publish(self._producer, self.transactions, records)
        sent = [
            one._replace(
                after=self.book.settled,
                life=self.life,
                partition=partition,
                offset=offset,
                is_merchant_checked=is_merchant_checked,
            )
            for one, (partition, offset) in zip(made, placed, strict=True)
        ]
        self.book.add(sent)
        return sent

    async def send_steadily(self, seconds: float, rate: float = 500.0) -> None:
        for _ in range(max(1, round(seconds / 0.1))):
            begun_s = time.monotonic()
            await self.send(max(1, round(rate * 0.1)))
            await asyncio.sleep(max(0.0, 0.1 - (time.monotonic() - begun_s)))

    async def read(self) -> None:
        """Take in what has been published."""
        known = len(self.decided)
        await self._tail.read()
        new = self._tail.records[known:]
        self.decided += [seen(record.value or b"") for record in new]
        self.decided_at_ms += [record.timestamp for record in new]

    @property
    def waiting(self) -> int:
        return len(self.book.undecided(self.decided))

    async def settle(self, timeout_s: float = SETTLED_S_MAX) -> bool:
        """Until all is decided; False if the instance ends before, or it takes too long."""
        deadline_s = time.monotonic() + timeout_s
        while True:
            is_running = self.instance is not None and self.instance.is_running
            await self.read()
            if not self.waiting:
                self.book.settle()
                return True
            if not is_running or time.monotonic() > deadline_s:
                return False
            await asyncio.sleep(0.2)

    async def must_settle(self) -> None:
        """Before the fault, where nothing may go wrong yet."""
        assert await self.settle(), f"{self.waiting} wait, before any fault: {self.output[-600:]}"

    async def await_saved(self) -> None:
        """Until what is decided is in the store, as the settings promise it, with some leeway."""
        await asyncio.sleep(3 * SNAPSHOT_AFTER_S + 0.5)
