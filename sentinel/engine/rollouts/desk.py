"""Changes of rollouts: stored first, then told, on `rollouts` and in the audit."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from sentinel.codec.stored import encode_stored
from sentinel.engine.audit import AuditLog
from sentinel.errors import TransientError
from sentinel.ports import Broker, RolloutStore
from sentinel.records import AuditEntry, OutputRecord
from sentinel.stored.rollouts import StoredRollout

_TRY_COUNT = 5

RolloutChange = Callable[[StoredRollout], StoredRollout]


@dataclass(frozen=True, slots=True)
class ChangedRollout:
    """How a rollout is now, and what the topics are told; no entry where that is nothing."""

    after: StoredRollout
    entry: AuditEntry | None

    @property
    def record(self) -> OutputRecord:
        """How it is now, as it is told."""
        return OutputRecord(str(self.after.number).encode(), encode_stored(self.after))


async def change_rollout(
    store: RolloutStore, number: int, change: RolloutChange, *, who: str, why: str, at_ms: int
) -> ChangedRollout:
    """Change one, against whatever it is by then if somebody else was faster.

    Raises ValueError, which says why it cannot be.
    """
    for _ in range(_TRY_COUNT):
        before = await store.rollout(number)
        if before is None:
            raise ValueError(f"there is no rollout {number}")
        after = change(before)
        if after == before:
            return ChangedRollout(before, None)
        after = replace(after, changed_ms=at_ms, who=who, why=why)
        if await store.put(before, after):
            return ChangedRollout(after, _entry(before, after))
    raise TransientError(f"rollout {number} changes all the time: say it again")


async def begin_rollout(
    store: RolloutStore, make: Callable[[int], StoredRollout], *, who: str, at_ms: int
) -> ChangedRollout:
    """A new one behind the newest; `make` is given its number."""
    for _ in range(_TRY_COUNT):
        newest = await store.rollouts(1)
        after = make(newest[0].number + 1 if newest else 1)
        after = replace(after, changed_ms=at_ms, who=who, why=after.reason)
        if await store.put(None, after):
            return ChangedRollout(after, _entry(None, after))
    raise TransientError("rollouts change all the time: say it again")


def _entry(before: StoredRollout | None, after: StoredRollout) -> AuditEntry:
    agreed = len(after.approvals)
    kept = "-kept" if after.waits_for else ""
    return AuditEntry(
        id=f"rollout-{after.number}-{after.place}-{after.status}{kept}-{agreed}-{after.changed_ms}",
        kind="rollout",
        subject=f"rollout-{after.number}",
        who=after.who,
        at_ms=after.changed_ms,
        before=None if before is None else _told(before),
        after={**_told(after), "why": after.why},
    )


def _told(one: StoredRollout) -> dict[str, Any]:
    """What the audit says of it."""
    return {
        "version": one.version,
        "champion": one.champion,
        "status": one.status,
        "step": one.next_place,
        "experiment": one.experiment,
        "waits_for": one.waits_for,
        "approvals": {place: approval.who for place, approval in one.approvals.items()},
    }


class RolloutDesk:
    """Begins and changes rollouts in somebody's name, and tells of it.

    Parameters
    ----------
    clock_ms
        Epoch milliseconds: who waits for whom is a matter of the clock.
    """

    def __init__(
        self,
        store: RolloutStore,
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
        self.clock_ms = clock_ms

    async def newest(self) -> StoredRollout | None:
        """The last that was begun; None before the first."""
        found = await self._store.rollouts(1)
        return found[0] if found else None

    async def before(self, number: int) -> StoredRollout | None:
        """The one before; None if it is not kept."""
        return await self._store.rollout(number - 1)

    async def begin(self, make: Callable[[int], StoredRollout]) -> StoredRollout:
        """As `begin_rollout`."""
        done = await begin_rollout(self._store, make, who=self._who, at_ms=self.clock_ms())
        await self._tell(done)
        return done.after

    async def change(self, number: int, change: RolloutChange, why: str) -> StoredRollout:
        """As `change_rollout`."""
        at_ms = self.clock_ms()
        done = await change_rollout(
            self._store, number, change, who=self._who, why=why, at_ms=at_ms
        )
        if done.entry is not None:
            await self._tell(done)
        return done.after

    async def _tell(self, done: ChangedRollout) -> None:
        await self._broker.publish(self._topic, 0, [done.record])
        if done.entry is not None:
            await self._audit.write([done.entry])
        await self._broker.flush()
