"""What operators say: stored first, then told to all instances and to the audit.

What the audit has yet to get stands in the document itself, so that a crash between the two costs
time and no entry: an instance tells it later.
"""

from collections.abc import Callable, Sequence

from sentinel.codec.records import encode
from sentinel.core.switches import Switched, told
from sentinel.engine.audit import AuditLog
from sentinel.errors import TransientError
from sentinel.ports import Broker, OperatingStore
from sentinel.records import AuditEntry, OutputRecord
from sentinel.stored.switches import AppliedConfig, Switches
from sentinel.stored.versions import Command

_TRY_COUNT = 5

SWITCHED, APPLIED = "switches", "config"  # kinds of commands: all look who hear one


async def change_switches(
    store: OperatingStore, change: Callable[[Switches], Switched]
) -> Switched:
    """Switch, against whatever there is by then if somebody else was faster."""
    for _ in range(_TRY_COUNT):
        before = await store.switches()
        done = change(before)
        if done.switches == before or await store.change_switches(before, done.switches):
            return done
    raise TransientError("switches change all the time: say it again")


async def change_applied(
    store: OperatingStore, change: Callable[[AppliedConfig], AppliedConfig]
) -> tuple[AppliedConfig, AppliedConfig]:
    """Apply settings, against whatever there is by then; returns what was and what is."""
    for _ in range(_TRY_COUNT):
        before = await store.applied()
        after = change(before)
        if after == before or await store.change_applied(before, after):
            return before, after
    raise TransientError("the applied configuration changes all the time: say it again")


class OperatingDesk:
    """Tells what was said.

    Parameters
    ----------
    topic
        On which every instance hears that there is something to look at.
    """

    def __init__(self, store: OperatingStore, broker: Broker, topic: str, audit: AuditLog) -> None:
        self._store = store
        self._broker = broker
        self._topic = topic
        self._audit = audit

    async def ring(self, kind: str, *, who: str, why: str) -> None:
        """Have every instance look now."""
        record = OutputRecord(None, encode(Command(kind, who, why)))
        await self._broker.publish(self._topic, 0, [record])
        await self._broker.flush()

    async def tell_untold(self) -> int:
        """Write what the audit has yet to get; returns how many entries that were."""
        switched, applied = await self._store.switches(), await self._store.applied()
        if switched.untold:
            await self.tell(switched.untold)
            after = told(switched, switched.untold)
            # If somebody has switched meanwhile, their document has these still: told twice, once.
            await self._store.change_switches(switched, after)
        if applied.untold:
            await self.tell(applied.untold)
            await self._store.change_applied(applied, told(applied, applied.untold))
        return len(switched.untold) + len(applied.untold)

    async def tell(self, entries: Sequence[AuditEntry]) -> None:
        """Write entries into the audit, and wait until they are there."""
        await self._audit.write(entries)
        await self._broker.flush()
