"""The savepoint of the trainer's memory, in the registry database.

savepoint                   Savepoint, JSON: which one is kept, with its head; kept
savepoint:{name}:{number}   a piece of it; kept as long as the line above names it, else gone a
                            while later
"""

import logging

from sentinel.codec.stored import decode_stored, encode_stored
from sentinel.documents import Change, Documents
from sentinel.errors import FencedError, RecordError
from sentinel.ports import Savepoint

log = logging.getLogger(__name__)

# Of pieces that nothing names yet: longer than writing the next ones may take.
_UNNAMED_S = 3_600.0
# Of those that nothing names any more: readers have them in hand for some seconds.
_FORMER_S = 60.0
_LINE = "savepoint"


class StoredSavepoints:
    """`ports.SavepointStore` on documents."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    async def savepoint(self) -> Savepoint | None:
        _, found = await self._savepoint()
        return found

    async def _savepoint(self) -> tuple[bytes | None, Savepoint | None]:
        """As it is stored, and what that means."""
        [found] = await self._documents.get([_LINE], doing="read which savepoint there is")
        if found is None:
            return None, None
        try:
            return found, decode_stored(Savepoint, found)
        except RecordError as error:
            log.warning("which savepoint there is: %s", error.unquoted)
            return found, None

    async def piece(self, savepoint: Savepoint, number: int) -> bytes | None:
        [found] = await self._documents.get(
            [_piece(savepoint, number)], doing="read a piece of a savepoint"
        )
        return found

    async def add_piece(self, savepoint: Savepoint, number: int, data: bytes) -> None:
        name = _piece(savepoint, number)
        await self._documents.change(
            Change(puts={name: data}, lifetimes={name: _UNNAMED_S}),
            doing="write a piece of a savepoint",
        )

    async def keep(self, before: Savepoint | None, after: Savepoint) -> None:
        stored, now = await self._savepoint()
        pieces = _pieces(after)
        lifetimes: dict[str, float | None] = {}
        if now is not None:
            # The first of these held all pieces of it before they were documents of their own.
            former = (f"{_LINE}:{now.name}", *_pieces(now))
            lifetimes |= dict.fromkeys(former, _FORMER_S)
        change = Change(
            expected={_LINE: stored},
            present=pieces,
            puts={_LINE: encode_stored(after)},
            lifetimes=lifetimes | dict.fromkeys(pieces),
        )
        doing = "write which savepoint there is"
        if now != before or not await self._documents.change(change, doing=doing):
            raise FencedError("another has saved meanwhile, or not all pieces are there")


def _piece(savepoint: Savepoint, number: int) -> str:
    return f"{_LINE}:{savepoint.name}:{number}"


def _pieces(savepoint: Savepoint) -> list[str]:
    return [_piece(savepoint, number) for number in range(savepoint.piece_count)]
