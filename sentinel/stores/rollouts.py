"""What is kept of rollouts, in the database of experiments.

rollout:{number}  StoredRollout, JSON; 400 days
rollouts          index: numbers of rollouts by themselves; the newest 1,000
"""

import logging

from sentinel.codec.stored import decode_stored, encode_stored
from sentinel.documents import Change, Documents
from sentinel.errors import RecordError, TransientError
from sentinel.stored.rollouts import ROLLOUT_COUNT_MAX, StoredRollout

log = logging.getLogger(__name__)

_KEPT_S = 400 * 86_400.0
_INDEX = "rollouts"


class StoredRollouts:
    """`ports.RolloutStore` on documents."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        # As they were read last: an older version has written them with other fields, perhaps.
        self._read: dict[int, tuple[StoredRollout, bytes]] = {}

    async def rollouts(self, count: int) -> list[StoredRollout]:
        doing = "list rollouts"
        found = await self._documents.newest(_INDEX, 0, count, doing=doing)
        numbers = [int(one) for one in found]
        names = [f"rollout:{number}" for number in numbers]
        values = await self._documents.get(names, doing=doing) if names else []
        kept = []
        for name, data in zip(names, values, strict=True):
            if data is None:
                continue
            try:
                kept.append(decode_stored(StoredRollout, data))
            except RecordError as error:
                log.warning("%s is damaged: %s", name, error.detail)
        return kept

    async def rollout(self, number: int) -> StoredRollout | None:
        name = f"rollout:{number}"
        [data] = await self._documents.get([name], doing="read a rollout")
        if data is None:
            return None
        try:
            found = decode_stored(StoredRollout, data)
        except RecordError as error:
            raise TransientError(f"{name} is damaged: {error}") from error
        self._read = {number: (found, data)}
        return found

    async def put(self, before: StoredRollout | None, after: StoredRollout) -> bool:
        name = f"rollout:{after.number}"
        expected = None
        if before is not None:
            assert before.number == after.number
            read, data = self._read.get(before.number, (None, b""))
            expected = data if read == before else encode_stored(before)
        change = Change(
            expected={name: expected},
            puts={name: encode_stored(after)},
            lifetimes={name: _KEPT_S},
            indexed={_INDEX: {str(after.number).encode(): after.number}},
            newest={_INDEX: ROLLOUT_COUNT_MAX},
        )
        return await self._documents.change(change, doing="change a rollout")
