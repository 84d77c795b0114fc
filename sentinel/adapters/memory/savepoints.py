"""The savepoint port in memory."""

from dataclasses import dataclass, field

from sentinel.adapters.memory.shared import OnShared
from sentinel.codec.stored import decode_stored, encode_stored
from sentinel.errors import FencedError, RecordError
from sentinel.ports import Savepoint


@dataclass(slots=True)
class MemorySavepoints:
    """What a Redis server would keep, but that pieces which nothing names yet stay for good."""

    savepoint: bytes | None = None
    pieces: dict[str, dict[int, bytes]] = field(default_factory=dict)


class MemorySavepointStore(OnShared[MemorySavepoints]):
    """`ports.SavepointStore` on `MemorySavepoints` that several of them may share."""

    async def savepoint(self) -> Savepoint | None:
        with self._faults.call("savepoints.savepoint"):
            return self._savepoint()

    def _savepoint(self) -> Savepoint | None:
        stored = self._kept.savepoint
        try:
            return None if stored is None else decode_stored(Savepoint, stored)
        except RecordError:
            return None

    async def piece(self, savepoint: Savepoint, number: int) -> bytes | None:
        with self._faults.call("savepoints.piece"):
            return self._kept.pieces.get(savepoint.name, {}).get(number)

    async def add_piece(self, savepoint: Savepoint, number: int, data: bytes) -> None:
        with self._faults.call("savepoints.add_piece"):
            self._kept.pieces.setdefault(savepoint.name, {})[number] = data

    async def keep(self, before: Savepoint | None, after: Savepoint) -> None:
        with self._faults.call("savepoints.keep"):
            kept, now = self._kept, self._savepoint()
            if now != before or len(kept.pieces.get(after.name, {})) != after.piece_count:
                raise FencedError("another has saved meanwhile, or not all pieces are there")
            kept.savepoint = encode_stored(after)
            if now is not None and now.name != after.name:
                kept.pieces.pop(now.name, None)
