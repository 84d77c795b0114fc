"""Changes of experiments: stored first, then told, on `experiments` and in the audit."""

from collections.abc import Callable
from dataclasses import replace
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


class ExperimentDesk:
    """Changes experiments in somebody's name.

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
        """Take a step, against whatever there is by then if somebody else was faster.

        Raises ValueError, which says why it cannot be.
        """
        for _ in range(_TRY_COUNT):
            found, plan = await self._store.experiment(name), await self._store.plan()
            changed = step(found, plan)
            after = replace(changed.experiment, changed_ms=self._clock_ms(), who=self._who, why=why)
            plans = None if changed.plan is None else (plan, changed.plan)
            if await self._store.put(found, after, plans, look):
                await self.tell(after)
                await self._note(found, after)
                return after
        raise TransientError("experiments change all the time")

    async def tell(self, one: StoredExperiment) -> None:
        """Say how it stands; to say it again changes nothing."""
        name = one.definition.name.encode()
        await self._broker.publish(self._topic, 0, [OutputRecord(name, encode_stored(one))])
        await self._broker.flush()

    async def _note(self, before: StoredExperiment | None, after: StoredExperiment) -> None:
        if before is not None and _told(before) == _told(after):
            return  # a look that has decided nothing
        entry = AuditEntry(
            id=f"experiment-{after.definition.id}-{after.changed_ms}-{after.status}-{after.step}",
            kind="experiment",
            subject=after.definition.name,
            who=self._who,
            at_ms=after.changed_ms,
            before=None if before is None else _told(before),
            after={**_told(after), "why": after.why},
        )
        await self._audit.write([entry])
        await self._broker.flush()


def _told(one: StoredExperiment) -> dict[str, Any]:
    """What the audit says of it."""
    verdict = one.verdict
    return {
        "definition": one.definition.id,
        "status": one.status,
        "step": one.step,
        "verdict": None if verdict is None else f"{verdict.name}: {verdict.why}",
    }
