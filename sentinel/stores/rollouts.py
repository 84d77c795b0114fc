"""What is kept of rollouts, in the database of experiments.

rollout:{number}  StoredRollout, JSON; 400 days
rollouts          index: numbers of rollouts by themselves; the newest 1,000
"""

from sentinel.codec.stored import encode_stored
from sentinel.documents import Change, Documents
from sentinel.stored.rollouts import ROLLOUT_COUNT_MAX, StoredRollout
from sentinel.stores.reading import AsRead, readable

_KEPT_S = 400 * 86_400.0
_INDEX = "rollouts"


class StoredRollouts:
    """`ports.RolloutStore` on documents."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._read = AsRead()

    async def rollouts(self, count: int) -> list[StoredRollout]:
        doing = "list rollouts"
        found = await self._documents.newest(_INDEX, 0, count, doing=doing)
        numbers = [int(one) for one in found]
        names = [f"rollout:{number}" for number in numbers]
        values = await self._documents.get(names, doing=doing) if names else []
        return list(readable(StoredRollout, names, values).values())

    async def rollout(self, number: int) -> StoredRollout | None:
        name = f"rollout:{number}"
        [data] = await self._documents.get([name], doing="read a rollout")
        return None if data is None else self._read.known(StoredRollout, name, data)

    async def put(self, before: StoredRollout | None, after: StoredRollout) -> bool:
        name = f"rollout:{after.number}"
        assert before is None or before.number == after.number
        change = Change(
            expected={name: None if before is None else self._read.bytes_of(name, before)},
            puts={name: encode_stored(after)},
            lifetimes={name: _KEPT_S},
            indexed={_INDEX: {str(after.number).encode(): after.number}},
            newest={_INDEX: ROLLOUT_COUNT_MAX},
        )
        return await self._documents.change(change, doing="change a rollout")
