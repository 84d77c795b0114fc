"""The chain from a vote to an example under kill -9: instance and archive die while votes flow.

python -m tests.faults.labels [--strikes 20] [--seed S] [--json FILE] [--keep FOLDER]

Afterwards everything is held against `tests.faults.label_oracle`: no vote lost or counted twice, no
label and no example missing or doubled.
"""

import argparse
import asyncio
import json
import logging
import random
import shutil
import tempfile
import time
import traceback
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiokafka.errors import KafkaError

from benchmarks.workloads import write_model
from sentinel import config as configuration
from sentinel.errors import SentinelError
from sentinel.operations.data.sender import Sender
from sentinel.records import WITHDRAWN, Feedback
from tests.faults.environments import environment_of
from tests.faults.label_oracle import Offences, compare
from tests.faults.label_reading import Reading, is_quiet, read
from tests.faults.plan import Fault
from tests.faults.run import keep_outputs
from tests.faults.voices import EARLY_CHUNKS, LATE_CHUNKS, Voices
from tests.faults.workload import write_config
from tests.faults.world import Instance, Servers

FAULT = Fault("kill-label-chain", (0.2, 2.5), (0.0, 1.0), ("tansu",))
TARGETS = (("run",), ("archive",), ("run", "archive"))
ARCHIVE = ("archive", "run")
WORKING_S_MAX = 240.0  # until what was struck works again, on a loaded machine
QUIET_S_MAX = 300.0
CHUNK_S = 0.4
# Small files and short waits, so that there are many moments to die in. Silence is presumed to mean
# genuine after a day of event time, of which a run has several.
SETTINGS = {
    "ARCHIVE__INTERVAL_S": "0.3",
    "ARCHIVE__EXAMPLES_INTERVAL_S": "0.5",
    "ARCHIVE__ROW_COUNT_MAX": "40",
    "CONSENSUS__REFIT_AFTER_VOTES": "0",  # who is in which group is in no log
    "MATURITY__COVERAGE": "0.5",
    "MATURITY__HORIZON_MIN_S": "86400.0",
    "MATURITY__HORIZON_MAX_S": "2592000.0",
    "MATURITY__LABEL_COUNT_MIN": "5",
    "KAFKA__SESSION_TIMEOUT_S": "3.0",
    "KAFKA__GROUP_ID": "fire",
    "REDIS__KEY_PREFIX": "fire",
}

HEAD = (
    *("seed", "strikes", "records", "voices", "votes", "placed", "labels", "withdrawn"),
    *("examples", "presumed", "repeats", "ended", "verdict"),
)


@dataclass(frozen=True, slots=True)
class Blow:
    """Which processes die, after how long, and for how long they stay so.

    One that is early does not wait until what was struck last works again.
    """

    targets: tuple[str, ...]
    wait_s: float
    hold_s: float
    is_early: bool


def plan(seed: int, count: int) -> list[Blow]:
    """The blows of one run: of every three, one at each target and one at both."""
    draw = random.Random(f"{FAULT.name} {seed}")
    targets: list[tuple[str, ...]] = []
    while len(targets) < count:
        targets += draw.sample(TARGETS, len(TARGETS))
    return [
        Blow(
            targets=targets[number],
            wait_s=draw.uniform(*FAULT.wait_s),
            hold_s=draw.choice([0.0, draw.uniform(*FAULT.hold_s)]),
            is_early=draw.random() < 0.2,
        )
        for number in range(count)
    ]


@dataclass(slots=True)
class Outcome:
    """What came of a run; everything counts records.

    Attributes
    ----------
    voices
        What was sent; `votes` of them count, `placed` came back from the archive.
    repeats
        Labels and audit entries that a crash had published once more.
    died
        What processes said that ended by themselves. Of the instance the contract allows it not; an
        archive that lost its membership ends, and its supervisor starts it again.
    """

    seed: int
    strikes: int = 0
    records: int = 0
    voices: int = 0
    votes: int = 0
    placed: int = 0
    labels: int = 0
    withdrawn: int = 0
    examples: int = 0
    presumed: int = 0
    repeats: int = 0
    died: list[str] = field(default_factory=list)
    offences: Offences = field(default_factory=dict)
    broken_off: str = ""

    @property
    def ended(self) -> int:
        return len(self.died)

    @property
    def verdict(self) -> str:
        if self.broken_off:
            return f"broken off: {self.broken_off.strip().splitlines()[-1]}"
        return "; ".join(f"{len(ones)} {what}" for what, ones in self.offences.items()) or "kept"

    def as_json(self) -> dict[str, Any]:
        found = {name: getattr(self, name) for name in (*HEAD, "died", "broken_off")}
        return found | {"offences": {what: ones[:20] for what, ones in self.offences.items()}}


async def run(
    seed: int, strike_count: int, keep: Path | None = None, *, broker: str = "tansu"
) -> Outcome:
    """Everything from empty servers to the outcome; nothing of it is left behind."""
    folder = Path(tempfile.mkdtemp(prefix="faults-labels-"))
    try:
        return await Run(seed, folder, broker).run(plan(seed, strike_count))
    finally:
        if keep is not None:
            keep_outputs(folder, keep)
        shutil.rmtree(folder, ignore_errors=True)


class Run:
    """One run in the making."""

    def __init__(self, seed: int, folder: Path, broker: str) -> None:
        self._folder = folder
        self._broker = broker
        self._stream = Voices(seed)
        self._chunk = 0
        self._sent: list[Feedback] = []
        self._transactions: list[str] = []
        self.outcome = Outcome(seed)

    async def run(self, blows: Sequence[Blow]) -> Outcome:
        async with AsyncExitStack() as stack:
            servers = await stack.enter_async_context(Servers(self._broker, self._folder))
            self._prepare(servers)
            self._sender = await stack.enter_async_context(Sender(self._config))
            for process in self._processes.values():
                stack.push_async_callback(process.kill)
                process.start()
            await self._strike_all(blows)
            reading = await self._peace()
            self._judge(reading)
        return self.outcome

    def _prepare(self, servers: Servers) -> None:
        path = write_config(self._folder)
        archive = {"ARCHIVE__DIRECTORY": str(self._folder / "archive")}
        own = {f"SENTINEL__{key}": value for key, value in (SETTINGS | archive).items()}
        environment = environment_of(servers, FAULT, self._folder) | own
        settings = {k: v for k, v in environment.items() if k.startswith("SENTINEL__")}
        self._config = configuration.load(path, settings)
        names = [feature.name for feature in self._config.features]
        write_model(self._folder, names, tree_count=20)
        self._processes = {
            "run": Instance(self._folder / "run", path, environment),
            "archive": Instance(self._folder / "archiver", path, environment, ARCHIVE),
        }

    async def _strike_all(self, blows: Sequence[Blow]) -> None:
        await self._work_of(("run", "archive"))
        for blow in blows:
            await self._flow_for(blow.wait_s)
            for name in blow.targets:
                await self._processes[name].kill()
            await self._flow_for(blow.hold_s)
            for name in blow.targets:
                self._processes[name].start()
            self.outcome.strikes += 1
            if not blow.is_early:
                await self._work_of(blow.targets)

    async def _flow_for(self, duration_s: float) -> None:
        """Let the stream go on for so long, to any moment within a chunk."""
        end_s = time.monotonic() + duration_s
        while (left_s := end_s - time.monotonic()) > 0:
            await self._revive()
            await self._send_chunk()
            await asyncio.sleep(min(CHUNK_S, left_s))

    async def _work_of(self, targets: Sequence[str]) -> None:
        """Let the stream go on until these have come up and done something."""
        before = self._file_count()
        deadline_s = time.monotonic() + WORKING_S_MAX
        while not (
            ("run" not in targets or self._processes["run"].is_live)
            and ("archive" not in targets or self._file_count() > before)
        ):
            assert time.monotonic() < deadline_s, f"{targets} do not come to work"
            await self._flow_for(CHUNK_S)

    async def _revive(self) -> None:
        """What a supervisor does with those that nobody has struck."""
        for name, process in self._processes.items():
            if process.process is not None and not process.is_running:
                self.outcome.died.append(f"{name}: {process.output()[-1000:]}")
                await process.kill()  # what may be left of its session
                process.start()

    async def _is_quiet(self) -> bool:
        await self._revive()
        return await is_quiet(self._config, len(self._transactions))

    def _file_count(self) -> int:
        return len(list((self._folder / "archive").rglob("*.parquet")))

    async def _send_chunk(self, end: int | None = None) -> None:
        number = self._chunk
        self._chunk += 1
        made = self._stream.transactions(number) if end is None or number < end else []
        voices = self._stream.voices(number, end)
        await self._sender.transactions([one.account for one in made], [one.value for one in made])
        await self._sender.feedback(voices)
        await self._sender.flush()
        self._transactions += [one.name for one in made]
        self._sent += voices

    async def _peace(self) -> Reading:
        """Send what is still to be said, wait until nothing moves, and stop in order."""
        end = self._chunk + EARLY_CHUNKS
        for _ in range(EARLY_CHUNKS + LATE_CHUNKS + 1):
            await self._send_chunk(end)
        await until(self._is_quiet, timeout_s=QUIET_S_MAX)
        for name, process in self._processes.items():
            if (code := await process.terminate()) != 0:
                self.outcome.died.append(f"{name}, {code}: {process.output()[-1000:]}")
        return await read(self._config)

    def _judge(self, reading: Reading) -> None:
        found, expected, outcome = reading.found, reading.expected, self.outcome
        outcome.records = len(self._transactions)
        outcome.voices = len(self._sent)
        outcome.votes = len(expected.votes)
        outcome.placed = reading.feedback_count - len(self._sent)
        outcome.labels = len(expected.labels)
        outcome.withdrawn = sum(one.label == WITHDRAWN for one in expected.labels)
        outcome.examples = len(found.examples)
        outcome.presumed = sum(name.startswith("presumed-") for name in found.examples)
        outcome.repeats = len(found.labels) - len({one.feedback_offset for one in found.labels})
        outcome.repeats += len(found.votes) - len(set(found.votes))
        outcome.offences = compare(found, expected, self._sent, self._transactions)
        if died := [text for text in outcome.died if text.startswith("run")]:
            outcome.offences["instances that ended by themselves"] = died


async def until(is_true: Callable[[], Awaitable[bool]], timeout_s: float) -> bool:
    """Whether it has come true by then; what has not is for the comparison to tell."""
    deadline_s = time.monotonic() + timeout_s
    while not await is_true():
        if time.monotonic() > deadline_s:
            return False
        await asyncio.sleep(0.3)
    return True


def lived_through(seed: int, strike_count: int, keep: Path | None, broker: str) -> Outcome:
    """The outcome; of a run that could not be brought to its end, why not."""
    try:
        return asyncio.run(run(seed, strike_count, keep, broker=broker))
    except (AssertionError, OSError, KafkaError, SentinelError) as error:  # a timeout is an OSError
        return Outcome(seed, broken_off="".join(traceback.format_exception(error)))


def row(cells: Sequence[object]) -> str:
    widths = (4, 7, 7, 6, 6, 6, 6, 9, 8, 8, 7, 5, 0)
    return " ".join(str(cell).ljust(width) for cell, width in zip(cells, widths, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--strikes", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--broker", choices=["tansu", "kafka"], default="tansu")
    parser.add_argument("--json", type=Path, help="the outcome as a line, added to the file")
    parser.add_argument("--keep", type=Path, help="where to leave what the processes said")
    options = parser.parse_args()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    outcome = lived_through(options.seed, options.strikes, options.keep, options.broker)
    print(row(HEAD))  # noqa: T201
    print(row([getattr(outcome, name) for name in HEAD]), flush=True)  # noqa: T201
    if options.json is not None:
        with options.json.open("a") as sink:
            sink.write(json.dumps(outcome.as_json()) + "\n")
    raise SystemExit(0 if outcome.verdict == "kept" else 1)


if __name__ == "__main__":
    main()
