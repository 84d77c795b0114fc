"""One run: a stream, instances, strikes; then peace, the oracle, and the comparison."""

import asyncio
import shutil
import tempfile
import time
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.workloads import write_model
from sentinel import config as configuration
from sentinel.config import Config
from sentinel.core.partitioning import PartitionOf
from sentinel.operations.data.sender import Sender
from sentinel.operations.stores import open_cases
from tests.faults import drift_watch
from tests.faults.drift_watch import WatchComparison
from tests.faults.environments import COMMIT_INTERVAL_S, environment_of, in_peace, under_fire
from tests.faults.ledger import Comparison, compare
from tests.faults.plan import FAULTS, Strike, plan
from tests.faults.stream import Stream, ends_of
from tests.faults.strikes import BLOWS, Target
from tests.faults.watch import Names, Watcher
from tests.faults.workload import Workload, write_config
from tests.faults.world import Instance, Servers

CAUGHT_UP_S_MAX = 240.0
TRAILER_ROUNDS = 4


@dataclass(frozen=True, slots=True)
class Options:
    """What a run is asked to be."""

    fault: str
    broker: str
    seed: int = 1
    strike_count: int = 20
    rate: float = 1_000.0
    backlog_count: int = 0  # records that are there before anybody reads
    keep: Path | None = None  # where to leave what the instances said


@dataclass(slots=True)
class Recovery:
    """After one strike: seconds until the lag was again what it had been before."""

    caught_up_s: float
    live_s: float | None = None  # of that, until a new process had its partitions


@dataclass(slots=True)
class Outcome:
    """What came of a run."""

    options: Options
    strikes: int = 0
    records: int = 0
    poison: int = 0
    comparison: Comparison | None = None
    watch: WatchComparison | None = None  # where drift is watched
    repeated: int = 0
    differing: int = 0
    differing_account: int = 0
    early_commits: int = 0
    backward_commits: int = 0
    commit_samples: int = 0
    recoveries: list[Recovery] = field(default_factory=list)
    died: list[str] = field(default_factory=list)  # what instances said that ended by themselves
    notes: list[str] = field(default_factory=list)
    broken_off: str = ""

    def as_json(self) -> dict[str, Any]:
        found = asdict(self)
        found["options"]["keep"] = str(self.options.keep)
        return found

    @property
    def faults(self) -> list[str]:
        """What breaks the contract, for a person to read; empty when it was kept."""
        if self.comparison is None:
            return ["the run was broken off"]
        c = self.comparison
        named = {
            "records lost": c.lost,
            "records misjudged": c.misjudged,
            "blobs missing": c.blobs_missing,
            "blobs that differ": c.blobs_differing,
            "decisions whose account features differ": c.differing_account,
            "repeats whose account features differ": self.differing_account,
            "commits ahead of output": self.early_commits,
            "instances that ended by themselves": len(self.died),
        }
        if FAULTS[self.options.fault].partition_count == 1:
            named["decisions whose features differ"] = c.differing_unlabelled
            if self.options.broker != "tansu":  # which drops what a replay must know of labels
                named["repeats that differ"] = self.differing
        if self.watch is not None:
            named["windows that differ"] = self.watch.windows_differing
            named["alarms that differ"] = self.watch.alarms_differing
            named["alarms that were not told as they are kept"] = self.watch.told_differing
        return [f"{count} {what}" for what, count in named.items() if count]


def names_of(config: Config) -> Names:
    topics = config.topics
    return Names(
        group=config.kafka.group_id,
        transactions=topics.transactions,
        decisions=topics.decisions,
        dead_letters=topics.dead_letters,
        partition_count=topics.partition_count,
    )


async def run(options: Options) -> Outcome:
    """Everything from empty servers to the outcome; nothing of it is left behind."""
    folder = Path(tempfile.mkdtemp(prefix="faults-"))
    try:
        return await Run(options, folder).run()
    finally:
        if options.keep is not None:
            keep_outputs(folder, options.keep)
        shutil.rmtree(folder, ignore_errors=True)


def keep_outputs(folder: Path, keep: Path) -> None:
    """What every instance said, for whoever looks into a failure."""
    keep.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("*/output.txt"):
        shutil.copy(path, keep / f"{path.parent.name}.txt")


class Run:
    """One run in the making."""

    def __init__(self, options: Options, folder: Path) -> None:
        self._options = options
        self._folder = folder
        self._fault = FAULTS[options.fault]
        self.outcome = Outcome(options)

    async def run(self) -> Outcome:
        async with AsyncExitStack() as stack:
            self._stack = stack
            self._servers = await stack.enter_async_context(
                Servers(self._options.broker, self._folder)
            )
            await self._prepare()
            await self._strike_all()
            oracle, expected = await self._start_oracle()
            await self._send_trailers(expected)
            if self._fault.watched_row_ms:
                await self._compare_watches()
            await self._stop_all([oracle, *self._target.instances])
            await self._compare(expected)
        return self.outcome

    async def _prepare(self) -> None:
        """Topics, a model, the stream and the instances."""
        path = write_config(self._folder)
        self._path = path
        self._environment = environment_of(self._servers, self._fault, self._folder)
        fire = under_fire(self._environment, self._folder)
        sentinel_only = {k: v for k, v in fire.items() if k.startswith("SENTINEL__")}
        self._config = configuration.load(path, sentinel_only)
        poison_share = 0.02 if self._fault.name == "poison" else 0.003
        chunk_size = max(50, round(self._options.rate / 20))
        workload = Workload(self._options.seed, chunk_size, poison_share=poison_share)
        reference = None
        if row_ms := self._fault.watched_row_ms:
            workload = drift_watch.watched(workload, row_ms)
            reference = drift_watch.reference_entry(self._config, workload)
        names = [feature.name for feature in self._config.features]
        write_model(self._folder, names, tree_count=20, reference=reference)
        async with Sender(self._config):
            pass  # the topics are there
        self._stream = Stream(self._config, workload, self._options.rate)
        await self._stream.preload(self._options.backlog_count // chunk_size)
        watcher = await self._stack.enter_async_context(
            Watcher(self._servers.bootstrap_servers, names_of(self._config))
        )
        count = self._fault.instance_count
        instances = [Instance(self._folder / f"fire-{i}", path, fire) for i in range(count)]
        self._target = Target(self._servers, instances, watcher, self._folder)
        for instance in instances:
            self._stack.push_async_callback(instance.kill)
            instance.start()
        await asyncio.gather(*(instance.await_live() for instance in instances))

    async def _strike_all(self) -> None:
        streaming = asyncio.create_task(self._stream.run())
        try:
            for strike in plan(self._fault, self._options.seed, self._options.strike_count):
                await self._strike(strike)
        finally:
            self._stream.stop()
            await streaming
        (self._folder / "clock").write_text("0")
        for instance in self._target.instances:
            if not instance.is_running:
                instance.start()
        await self._await_handled()

    async def _strike(self, strike: Strike) -> None:
        await asyncio.sleep(strike.wait_s)
        lag = max(self._lag(), int(self._options.rate / 2))
        processes = [instance.process for instance in self._target.instances]
        await BLOWS[self._fault.name](self._target, strike)
        self.outcome.strikes += 1
        if self._fault.name == "storm":
            return
        begun_s = time.monotonic()
        new = [
            instance
            for instance, process in zip(self._target.instances, processes, strict=True)
            if instance.process is not process
        ]
        live_s: float | None = None
        handled = self._target.watcher.ledger.handled
        while self._lag() > lag or self._target.watcher.ledger.handled == handled:
            self._revive()
            if live_s is None and new and all(instance.is_live for instance in new):
                live_s = time.monotonic() - begun_s
            if time.monotonic() - begun_s > CAUGHT_UP_S_MAX:
                self.outcome.notes.append(f"lag {self._lag()} after {CAUGHT_UP_S_MAX:.0f} s")
                break
            if self._options.backlog_count and self._lag() <= 0:
                break
            await asyncio.sleep(0.05)
        self.outcome.recoveries.append(Recovery(time.monotonic() - begun_s, live_s))

    def _lag(self) -> int:
        return self._stream.acknowledged - self._target.watcher.ledger.handled

    def _revive(self) -> None:
        """What a supervisor does; the contract allows no end that nobody asked for."""
        self._target.watcher.check()
        for instance in self._target.instances:
            process = instance.process
            if process is not None and process.poll() is not None:
                text = f"exit {process.returncode}: {instance.output()[-3000:]}"
                self.outcome.died.append(text)
                instance.process = None
                instance.start()

    async def _await_handled(self, watcher: Watcher | None = None) -> None:
        """Until all that is in the log has been decided or buried."""
        watcher = watcher or self._target.watcher
        count = self._config.topics.partition_count
        deadline = time.monotonic() + CAUGHT_UP_S_MAX
        while True:
            known = [watcher.ledger.frontiers.get(number, 0) for number in range(count)]
            topic = self._config.topics.transactions
            self._ends = await ends_of(self._servers.bootstrap_servers, topic, known)
            if list(self._ends.values()) == known or time.monotonic() > deadline:
                return
            self._revive()
            await asyncio.sleep(0.3)

    async def _await_counted(self) -> None:
        """Until all feedback has been counted: a label that comes later still, one may miss."""
        topic = self._config.topics.full(self._config.topics.feedback)
        deadline = time.monotonic() + CAUGHT_UP_S_MAX
        async with open_cases(self._config.redis) as store:
            while True:
                progress = await store.progress()
                counted = 0 if progress is None else progress.next_offset
                ends = await ends_of(self._servers.bootstrap_servers, topic, [counted])
                if counted >= ends[0]:
                    return
                assert time.monotonic() < deadline, f"feedback is counted to {counted} of {ends[0]}"
                self._revive()
                await asyncio.sleep(0.3)

    async def _start_oracle(self) -> tuple[Instance, Watcher]:
        environment = in_peace(self._environment)
        path = self._path
        config = self._peaceful = configuration.load(path, environment)
        async with Sender(config):
            pass
        watcher = await self._stack.enter_async_context(
            Watcher(self._servers.bootstrap_servers, names_of(config))
        )
        instance = Instance(self._folder / "oracle", path, environment)
        self._stack.push_async_callback(instance.kill)
        instance.start()
        await instance.await_live()
        await self._await_handled(watcher)
        return instance, watcher

    async def _send_trailers(self, expected: Watcher) -> None:
        """Labels open by a commit and are applied at a later record: let there be such records."""
        count = self._config.topics.partition_count
        partition_of = PartitionOf(count)
        accounts: dict[int, str] = {}
        for number in range(1_000):
            accounts.setdefault(partition_of(f"card-{number}"), f"card-{number}")
        assert len(accounts) == count
        await self._await_counted()
        for round_number in range(TRAILER_ROUNDS):
            await asyncio.sleep(3 * COMMIT_INTERVAL_S)
            await self._stream.trailers(list(accounts.values()), round_number)
            await self._await_handled()
            await self._await_handled(expected)

    async def _compare_watches(self) -> None:
        for config in (self._config, self._peaceful):
            await drift_watch.await_read(config, CAUGHT_UP_S_MAX)
        self.outcome.watch = drift_watch.compare(
            await drift_watch.read(self._config),
            await drift_watch.read(self._peaceful),
            by=self._fault.watched_by,
        )

    async def _stop_all(self, instances: list[Instance]) -> None:
        """In order, so that all state is written; what could not be is written by another start."""
        for instance in instances:
            for _ in range(5):
                code = await instance.terminate()
                if code == 0 and "not everything could be written" not in instance.output():
                    break
                self.outcome.notes.append(f"stopped with {code}: {instance.output()[-300:]}")
                instance.start()
                await instance.await_live()
                await asyncio.sleep(2.0)

    async def _compare(self, expected: Watcher) -> None:
        await self._await_handled()
        outcome, watcher = self.outcome, self._target.watcher
        ledger = watcher.ledger
        outcome.comparison = compare(
            ledger,
            expected.ledger,
            self._ends,
            await self._servers.blobs("fire"),
            await self._servers.blobs("oracle"),
        )
        outcome.records = sum(self._ends.values())
        outcome.poison = len(ledger.buried)
        outcome.repeated = ledger.repeated
        outcome.differing = ledger.differing
        outcome.differing_account = ledger.differing_account
        outcome.early_commits = watcher.commits.early
        outcome.backward_commits = watcher.commits.backward
        outcome.commit_samples = watcher.commits.samples
        outcome.notes += watcher.commits.notes[:20]
        for instance in self._target.instances:
            if "Traceback" in (text := instance.output(since_start=False)):
                outcome.notes.append("traceback: " + text[text.index("Traceback") :][:3000])
