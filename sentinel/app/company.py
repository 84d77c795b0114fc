"""Looks who else is in the consumer group: what another program reads there nobody decides."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from sentinel.adapters.kafka import GroupMember, described

log = logging.getLogger(__name__)

_LOOK_S = 15.0


class Company:
    """Knows the strangers of a group: those that do not read exactly what each member of ours does.

    Scoring goes on for what is left to it. The cluster decides who is a member, and to stop would
    leave the rest undecided, too.

    Attributes
    ----------
    trouble
        What there is to say of strangers; empty while there are none.
    """

    def __init__(
        self, members: Callable[[], Awaitable[Sequence[GroupMember]]], topics: Sequence[str]
    ) -> None:
        self._members = members
        self._topics = frozenset(topics)
        self.trouble = ""

    async def run(self) -> None:
        """Look now and then, until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_S)
            await self.look()

    async def look(self) -> None:
        """Find out who is there now; it is said when it changes."""
        strangers = [one for one in await self._members() if one.topics != self._topics]
        trouble = ""
        if strangers:
            is_taking = any(one.topics & self._topics for one in strangers)
            trouble = f"another program is in the consumer group: {described(strangers)}" + (
                "; what it reads is not decided" if is_taking else ""
            )
        if trouble and trouble != self.trouble:
            log.warning("%s; give it a group of its own", trouble)
        elif self.trouble and not trouble:
            log.info("no other program is in the consumer group any more")
        self.trouble = trouble
