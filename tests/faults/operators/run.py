"""Strikes by operators, one after the other on one broker, and the table of what came of them."""

import asyncio
import shutil
import tempfile
import traceback
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from aiokafka.errors import KafkaError
from redis.exceptions import RedisError

from tests.faults.operators import inputs, stores, topics
from tests.faults.operators.ground import world
from tests.faults.operators.turn import Bench, Turn
from tests.kafka.cluster import KafkaCluster

Scene = Callable[[Turn], Awaitable[None]]

SCENES: Mapping[str, Scene] = {
    "grow-topic-stopped": topics.grow_topic_stopped,
    "grow-topic-running": topics.grow_topic_running,
    "recreate-topic-longer": topics.recreate_topic_longer,
    "recreate-topic-shorter": topics.recreate_topic_shorter,
    "two-deployments": stores.two_deployments,
    "store-rollback-running": stores.store_rollback_running,
    "store-rollback-stopped": stores.store_rollback_stopped,
    "replica-promotion": stores.replica_promotion,
    "eviction": stores.eviction,
    "flush-with-trimmed-log": stores.flush_with_trimmed_log,
    "readonly-store": stores.readonly_store,
    "crc32-producer": inputs.crc32_producer,
    "oversized-dead-letter": inputs.oversized_dead_letter,
    "sigterm-with-hung-broker": inputs.sigterm_with_hung_broker,
}
# One broker that nobody's metadata makes topics on, with a heap that fits beside everything else.
BROKER_SETTINGS = {"log.retention.ms": "-1", "auto.create.topics.enable": "false"}


@dataclass(slots=True)
class Outcome:
    """What came of all strikes of one fault."""

    fault: str
    seed: int
    strikes: list[dict[str, Any]] = field(default_factory=list)
    broken_off: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def total(self, what: str) -> int:
        return sum(one[what] for strike in self.strikes for one in strike["judgements"])

    @property
    def recoveries_s(self) -> list[float]:
        return [one["recovery_s"] for one in self.strikes if one["recovery_s"] is not None]

    @property
    def verdicts(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for strike in self.strikes:
            found[strike["verdict"]] = found.get(strike["verdict"], 0) + 1
        return found

    @property
    def is_kept(self) -> bool:
        return bool(self.strikes) and not self.broken_off and "wrong" not in self.verdicts


async def run(
    fault: str,
    *,
    seed: int = 1,
    strike_count: int = 20,
    keep: Path | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> Outcome:
    """All strikes, from empty servers on; nothing is left behind. `tell` hears of each of them."""
    async with Workshop() as workshop:
        whole = Outcome(fault, seed)
        for number in range(seed, seed + strike_count):
            one = await workshop.run(fault, seed=number, keep=keep)
            tell("\n".join(said(one)))
            whole.strikes += one.strikes
            whole.broken_off += one.broken_off
        return whole


class Workshop:
    """A broker, a model and a folder that several faults can share."""

    async def __aenter__(self) -> "Workshop":
        async with AsyncExitStack() as stack:
            self._folder = Path(tempfile.mkdtemp(prefix="operators-"))
            stack.callback(shutil.rmtree, self._folder, ignore_errors=True)
            kafka = KafkaCluster(self._folder / "kafka", settings=BROKER_SETTINGS)
            await stack.enter_async_context(kafka)
            self._bench = Bench(
                world(self._folder, kafka.bootstrap_servers), self._folder / "sites", kafka
            )
            self._resources = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._resources.aclose()

    async def run(self, fault: str, *, seed: int = 1, keep: Path | None = None) -> Outcome:
        """One strike; the seed says which, so that any of a long run can be had alone again."""
        outcome = Outcome(fault, seed)
        turn = Turn.of(self._bench, fault, seed)
        try:
            await SCENES[fault](turn)
        except (AssertionError, OSError, KafkaError, RedisError) as error:
            outcome.broken_off.append("".join(traceback.format_exception(error)))
        else:
            outcome.strikes.append(_figures(turn))
        if keep is not None:
            await asyncio.to_thread(_keep, self._bench.folder, keep / fault)
        await asyncio.to_thread(shutil.rmtree, self._bench.folder, ignore_errors=True)
        return outcome


def _figures(turn: Turn) -> dict[str, Any]:
    return {
        "number": turn.number,
        "variant": turn.variant,
        "verdict": turn.verdict,
        "judgements": [asdict(one) for one in turn.judgements],
        "endings": [asdict(one) for one in turn.endings],
        "offences": turn.offences,
        "notes": turn.notes,
        "early": turn.early,
        "recovery_s": turn.recovery_s,
    }


def _keep(sites: Path, keep: Path) -> None:
    for path in sites.glob("*/instance-*/output.txt"):
        to = keep / path.parent.parent.name
        to.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, to / f"{path.parent.name}.txt")


def said(outcome: Outcome) -> list[str]:
    """Every strike in a line, and beneath it what offends; for a person to read."""
    lines = []
    for strike in outcome.strikes:
        variant = f" ({strike['variant']})" if strike["variant"] else ""
        lines.append(f"{outcome.fault} {strike['number']}{variant}: {strike['verdict']}")
        lines += [f"    ended: {one['code']}, {one['sentence']}" for one in strike["endings"]]
        lines += [f"    offence: {text}" for text in strike["offences"]]
        lines += [f"    note: {text}" for text in strike["notes"]]
    for text in outcome.broken_off:
        lines.append(f"{outcome.fault}: broken off: {text.strip().splitlines()[-1]}")
    return lines


HEAD = (
    "| fault | broker | strikes | transactions | lost | doubled | wrong | ahead | recovery, s |\n"
    "|---|---|---|---|---|---|---|---|---|"
)


def row(outcome: Outcome) -> str:
    """One row of the table "What faults cost" in docs/measurements.md."""
    took_s = outcome.recoveries_s
    recovery = ""
    if took_s:
        recovery = f"{min(took_s):.1f}-{max(took_s):.1f}, median {median(took_s):.1f}"
    if count := outcome.verdicts.get("stopped", 0):
        recovery += f"{', ' if recovery else ''}{count} stopped with a sentence"
    cells = (
        *(outcome.fault, "Kafka", f"{len(outcome.strikes) + len(outcome.broken_off)}"),
        *(f"{outcome.total(what):,}" for what in ("sent", "lost", "doubled", "wrong")),
        f"{sum(strike['early'] for strike in outcome.strikes):,}",
        recovery,
    )
    return f"| {' | '.join(cells)} |"
