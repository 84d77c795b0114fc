"""What the arms of experiments decide, counted for the guardrails.

Of accounts it is told that something happened to them, and whoever reads that knows which of them
are new: so nothing is counted twice, whatever is replayed. Published before the offsets of a cut
are committed.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from sentinel.codec.stored import encode_stored
from sentinel.core.decision import APPROVE, BLOCK
from sentinel.core.features.hashing import hash64, is_drawn
from sentinel.engine.partitions.input_partition import InputPartition
from sentinel.engine.scoring.deciding import Arm
from sentinel.engine.scoring.judging import JudgedBatch
from sentinel.ports import Broker
from sentinel.records import OutputRecord, Transactions
from sentinel.stored.outcomes import ArmPart, CountReport

# Of all arms in a partition, from one commit to the next: 400 kB. Of more a share is told, drawn by
# their hashes, so that no arm looks tamer than another for having more of them.
_ACCOUNT_COUNT_MAX = 20_000
_SALT = 0x61726D7374686E73


@dataclass(slots=True)
class _Counted:
    """Of one arm and input partition, since the last cut."""

    alerted: set[int] = field(default_factory=set)
    blocked: set[int] = field(default_factory=set)
    batches: int = 0
    failed: int = 0
    slow: int = 0


class ArmNotes:
    """Notes what arms decide; a participant of the cut. Costs nothing while no experiment runs."""

    def __init__(
        self, broker: Broker, topic: str, partitions: Mapping[int, InputPartition]
    ) -> None:
        self._broker = broker
        self._topic = topic
        self._partitions = partitions
        self._counted: dict[tuple[int, str, str], _Counted] = {}
        self._newest_ms: dict[int, int] = {}

    def note(self, rows: Transactions, judged: JudgedBatch) -> None:
        """A batch has been decided."""
        if not any(arm.experiment for arm in judged.arms):
            return
        verdicts = judged.verdicts
        hashes = hash64(rows.entities["account"])
        is_alert, is_block = verdicts.action != APPROVE, verdicts.action == BLOCK
        for number, arm in enumerate(judged.arms):
            at = np.flatnonzero(verdicts.arm == number) if arm.experiment else np.empty(0, int)
            if not at.size:
                continue
            for place in np.unique(rows.partition[at]).tolist():
                own = at[rows.partition[at] == place]
                newest_ms = int(rows.event_time_ms[own].max())
                self._newest_ms[place] = max(self._newest_ms.get(place, newest_ms), newest_ms)
                alerted = hashes[own[is_alert[own]]].tolist()
                blocked = hashes[own[is_block[own]]].tolist()
                for experiment, name in _parts(arm):
                    counted = self._counted.setdefault((place, experiment, name), _Counted())
                    counted.alerted.update(alerted)
                    counted.blocked.update(blocked)
                    counted.batches += not arm.is_loading
                    counted.failed += arm.is_fallback and not arm.is_loading
                    counted.slow += arm.model.version in judged.slow

    def at_cut(self) -> Callable[[], Awaitable[None]]:
        """What was counted since the last cut, to be published."""
        counted, self._counted = self._counted, {}
        newest_ms, self._newest_ms = self._newest_ms, {}
        return partial(self._settle, counted, newest_ms)

    async def _settle(
        self, counted: Mapping[tuple[int, str, str], _Counted], newest_ms: Mapping[int, int]
    ) -> None:
        for number in sorted({place for place, _, _ in counted}):
            partition = self._partitions.get(number)
            if partition is None:
                continue  # it was given up meanwhile: whoever has it decides again, and counts
            own = {key[1:]: one for key, one in counted.items() if key[0] == number}
            total = sum(len(one.alerted) + len(one.blocked) for one in own.values())
            share = min(_ACCOUNT_COUNT_MAX / max(total, 1), 1.0)
            parts = [_part(experiment, name, one, share) for (experiment, name), one in own.items()]
            record = OutputRecord(
                f"{number}".encode(), encode_stored(CountReport(number, newest_ms[number], parts))
            )
            await self._broker.publish(self._topic, 0, [record], source=partition.at)


def _parts(arm: Arm) -> list[tuple[str, str]]:
    """The experiments that a row of this arm is part of, and its arm in each."""
    return list(zip(arm.experiment.split("+"), arm.name.split("+"), strict=True))


def _part(tag: str, name: str, one: _Counted, share: float) -> ArmPart:
    experiment, _, step = tag.rpartition(".")
    return ArmPart(
        experiment, int(step), name, _told(one.alerted, share), _told(one.blocked, share),
        one.batches, one.failed, one.slow,
    )  # fmt: skip


def _told(accounts: set[int], share: float) -> list[int]:
    """A share of the accounts, the same ones whatever else is told."""
    hashes = np.array(sorted(accounts), dtype=np.int64)
    found: list[int] = hashes[is_drawn(hashes, _SALT, share)].tolist()
    return found
