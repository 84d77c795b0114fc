"""The audit: who changed what, when and why, for good."""

from collections.abc import Sequence

from sentinel.codec.records import keyed
from sentinel.ports import Broker
from sentinel.records import AuditEntry


class AuditLog:
    """Writes entries to their topic, by subject."""

    def __init__(self, broker: Broker, topic: str) -> None:
        self._broker = broker
        self._topic = topic

    async def write(self, entries: Sequence[AuditEntry]) -> None:
        """Hand entries over in their order; whoever must know that they are out flushes."""
        if entries:
            await self._broker.publish(self._topic, 0, [keyed(one.subject, one) for one in entries])
