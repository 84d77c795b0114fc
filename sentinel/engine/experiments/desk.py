"""Changes of experiments: stored first, then told, on `experiments` and in the audit."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from sentinel.codec.stored import encode_stored
from sentinel.core.experiments.transitions import Step
from sentinel.engine.audit import AuditLog
from sentinel.errors import TransientError
from sentinel.ports import Broker, ExperimentStore
from sentinel.records import AuditEntry, OutputRecord
from sentinel.stored.experiments import StoredExperiment
from sentinel.stored.looks import LookReport

_TRY_COUNT = 5


@dataclass(frozen=True, slots=True)
class StoredChange:
    """What was changed: how it is now, and what the audit is told; None where that is nothing."""

    after: StoredExperiment
    entry: AuditEntry | None

    @property
    def record(self) -> OutputRecord:
        """How it is now, as it is told."""
        return told_record(self.after)


async def change_stored(
    store: ExperimentStore,
    name: str,
    step: Step,
    *,
    who: str,
    why: str,
    at_ms: int,
    look: LookReport | None = None,
) -> StoredChange:
    """Take a step, against whatever there is by then if somebody else was faster.

    Raises ValueError, which says why it cannot be.
    """
    for _ in range(_TRY_COUNT):
        found, plan = await store.experiment(name), await store.plan()
        changed = step(found, plan)
        after = replace(changed.experiment, changed_ms=at_ms)
        if not _is_same(found, after):  # a look that has decided nothing is nobody's word
            after = replace(after, who=who, why=why)
        plans = None if changed.plan is None else (plan, changed.plan)
        if await store.put(found, after, plans, look):
            return StoredChange(after, _entry(found, after))
    raise TransientError(f"experiment {name} changes all the time: say it again")


def told_record(one: StoredExperiment) -> OutputRecord:
    """How an experiment stands; to say it again changes nothing."""
    return OutputRecord(one.definition.name.encode(), encode_stored(one))


def _entry(before: StoredExperiment | None, after: StoredExperiment) -> AuditEntry | None:
    if _is_same(before, after):
        return None
    return AuditEntry(
        id=f"experiment-{after.definition.id}-{after.changed_ms}-{after.status}-{after.step}",
        kind="experiment",
        subject=after.definition.name,
        who=after.who,
        at_ms=after.changed_ms,
        before=None if before is None else _told(before),
        after={**_told(after), "why": after.why},
    )


def _is_same(before: StoredExperiment | None, after: StoredExperiment) -> bool:
    """Whether nothing was changed of what people are told."""
    if before is None or before.definition != after.definition:
        return False
    return _told(before) == _told(after)


def _told(one: StoredExperiment) -> dict[str, Any]:
    """What the audit says of it."""
    verdict = one.verdict
    return {
        "definition": one.definition.id,
        "status": one.status,
        "step": one.step,
        "verdict": None if verdict is None else f"{verdict.name}: {verdict.why}",
    }


class ExperimentDesk:
    """Changes experiments in somebody's name, and tells of it.

    Parameters
    ----------
    clock_ms
        Epoch milliseconds: what is routed when is a matter of the clock.
    """

    def __init__(
        self,
        store: ExperimentStore,
        broker: Broker,
        topic: str,
        audit: AuditLog,
        *,
        who: str,
        clock_ms: Callable[[], int],
    ) -> None:
        self._store = store
        self._broker = broker
        self._topic = topic
        self._audit = audit
        self._who = who
        self._clock_ms = clock_ms

    async def change(
        self, name: str, step: Step, why: str, *, look: LookReport | None = None
    ) -> StoredExperiment:
        """As `change_stored`."""
        at_ms = self._clock_ms()
        done = await change_stored(
            self._store, name, step, who=self._who, why=why, at_ms=at_ms, look=look
        )
        if done.entry is not None:
            await self.tell(done.after)
            await self._audit.write([done.entry])
            await self._broker.flush()
        return done.after

    async def tell(self, one: StoredExperiment) -> None:
        """Say how it stands."""
        await self._broker.publish(self._topic, 0, [told_record(one)])
        await self._broker.flush()
