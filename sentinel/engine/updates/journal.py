"""The journal of updates: how the newest one stands, noted before anything is done about it.

There is one for all instances. Whoever takes over reads it and goes on, and whoever has lost the
control plane without a word cannot write into it any more: what it would put a note in the place of
is not what is noted.
"""

import logging

from sentinel.codec.stored import encode_stored
from sentinel.engine.registry.lifecycle import (
    Update,
    audit_entry_of,
    begun_entry,
    interrupted,
    update_of,
)
from sentinel.engine.registry.registrar import Registrar
from sentinel.ports import ModelStore

log = logging.getLogger(__name__)


class Journal:
    """How the newest update stands, in the store and in the audit.

    Attributes
    ----------
    update
        As it was read or noted last; None while another instance may know better.
    """

    def __init__(self, store: ModelStore, registrar: Registrar) -> None:
        self._store = store
        self._registrar = registrar
        self._noted: bytes | None = None
        self.update: Update | None = None

    def forget(self) -> None:
        """What is noted is to be read again: it may have changed, or a note may have arrived."""
        self.update = None

    async def read(self, example_log: str, control_log: str) -> tuple[Update, bool]:
        """What was noted, and whether it was interrupted and is to be made again.

        What its last step would have told is told again: whoever took that may not have come to
        it. `update` stays as it is until `go_on`.
        """
        self._noted = await self._store.update()
        found, is_made_again = update_of(self._noted, example_log, control_log), False
        await self.tell(found)
        if found.state == "training":
            found, is_made_again = interrupted(found)
            await self.tell(found)
        elif found.state != "idle" and found.version:
            await self._registrar.repeat(found.version)
        return found, is_made_again

    def go_on(self, update: Update) -> None:
        """Everything is ready to go on from what was read."""
        self.update = update

    async def note(self, update: Update) -> None:
        """Write down how it stands. FencedError when somebody else has noted something."""
        after = encode_stored(update)
        await self._store.note_update(self._noted, after)
        log.info("update %d: %s %s", update.number, update.state, update.outcome or update.reason)
        self._noted, self.update = after, update

    async def tell(self, update: Update) -> None:
        """Write into the audit that it was begun or has ended, if that is how it stands."""
        if update.state == "training":
            await self._registrar.tell(begun_entry(update))
        elif update.state == "idle" and update.number:
            outcome = {"outcome": update.outcome}
            await self._registrar.tell(audit_entry_of(update, "finished", outcome))
