"""The examples that a learner holds: the newest whole, a memory of all, and what is held out."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sentinel.codec.examples import decode_columns
from sentinel.codec.savepoints import Encoded, decode_savepoint, encode_savepoint
from sentinel.codec.stored import decode_stored, encode_stored
from sentinel.core.learning.training_data.columns import Columns, joined, no_columns
from sentinel.core.learning.training_data.hold_out import HeldOut, is_held_out, nothing_held_out
from sentinel.core.learning.training_data.memory import Memory, empty_memory
from sentinel.core.learning.training_data.window import counting, mature_ms, with_newest
from sentinel.errors import RecordError
from sentinel.learner.flattening import flatten, unflatten
from sentinel.learner.params import LearningParams

# Taking a batch into the memory costs a sort of all of it.
_BATCH_ROW_COUNT = 20_000


@dataclass(frozen=True, slots=True)
class _Facts:
    """What a savepoint says beside its columns; `kept_by` as `TrainerState._kept_by` gives it."""

    kept_by: dict[str, Any]
    newest_ms: int
    mature_ms: int | None


class TrainerState:
    """What was taken of the examples topic; how its records were batched changes nothing.

    Attributes
    ----------
    newest_ms
        Event time of the newest example so far, -1 if there is none.
    next_offset
        What comes next in the topic.
    """

    def __init__(self, features: Sequence[str], params: LearningParams) -> None:
        count = len(features)
        self.newest_ms = -1
        self.next_offset = 0
        self._features = tuple(features)
        self._params = params
        self._buffer: list[Columns] = []
        self._window = no_columns(count)
        self._memory = empty_memory(params.memory, feature_count=count)
        self._held_out = nothing_held_out(params.old_row_count_max, feature_count=count)
        self._mature_ms: int | None = None

    def take(self, records: Sequence[tuple[int, int, bytes | None]]) -> tuple[int, int]:
        """Records in their order; how many are examples, and how many are none."""
        decoded = decode_columns(records, self._features)
        if len(decoded.rows):
            self._buffer.append(decoded.rows)
            newest_ms = int(decoded.rows.examples.event_time_ms.max())
            self.newest_ms = max(self.newest_ms, newest_ms)
        if records:
            self.next_offset = records[-1][0] + 1
        if sum(map(len, self._buffer)) >= _BATCH_ROW_COUNT:
            self._absorb()
        return len(decoded.rows), decoded.refused_count

    def mature(self) -> Columns:
        """Of the newest those that are mature and tell anything, ascending by event time."""
        self._absorb()
        return counting(self._window, self._mature_ms)

    def memory(self) -> Memory:
        """Of all that may be trained on."""
        self._absorb()
        return self._memory

    def held_out(self) -> HeldOut:
        """What is never trained on."""
        self._absorb()
        return self._held_out

    def saved(self, *, log: str) -> Encoded:
        """All of it as a savepoint; `log` names the log that the offsets belong to."""
        self._absorb()
        facts = _Facts(self._kept_by(), self.newest_ms, self._mature_ms)
        return encode_savepoint(
            flatten(self._parts()), asdict(facts), log=log, next_offset=self.next_offset
        )

    def restore(self, head: bytes, sha256: str, pieces: Sequence[bytes], *, log: str) -> None:
        """Hold what was saved, to the bit; what was held before is forgotten.

        Raises RecordError, and changes nothing, when it is damaged, of another log, or was kept by
        other features or parameters.
        """
        found, columns = decode_savepoint(head, sha256, pieces)
        if found.log != log:
            raise RecordError("savepoint", f'it is of the log "{found.log}", not of "{log}"')
        facts = decode_stored(_Facts, encode_stored(found.facts))
        ours = self._kept_by()
        if others := sorted(name for name in ours if facts.kept_by.get(name) != ours[name]):
            raise RecordError("savepoint", f"it was kept by other settings: {', '.join(others)}")
        parts = unflatten(TrainerState(self._features, self._params)._parts(), columns)
        self._buffer = []
        self._window, self._memory, self._held_out = parts.values()
        self._mature_ms, self.newest_ms = facts.mature_ms, facts.newest_ms
        self.next_offset = found.next_offset

    def _parts(self) -> dict[str, Any]:
        return {"window": self._window, "memory": self._memory, "held_out": self._held_out}

    def _kept_by(self) -> dict[str, Any]:
        """What decides which of the examples are kept, and what of each."""
        params = self._params
        return {
            "features": list(self._features),
            "learning.memory": asdict(params.memory),
            "learning.window_row_count_max": params.window_row_count_max,
            "learning.old_share": params.old_share,
            "learning.old_row_count_max": params.old_row_count_max,
        }

    def _absorb(self) -> None:
        """What was buffered goes to the window, and to the memory or to what is held out."""
        if not self._buffer:
            return
        buffer, self._buffer = self._buffer, []  # what cannot be taken in is not tried again
        batch = joined(buffer)
        mature = mature_ms(batch, self._mature_ms)
        is_out = is_held_out(batch.examples.id_hash, self._params.old_share)
        memory = self._memory.with_examples(batch.examples.take(~is_out))
        held_out = self._held_out.with_rows(batch.take(is_out))
        window = with_newest(self._window, batch, self._params.window_row_count_max)
        # All of it or nothing, should one of these have failed.
        self._mature_ms, self._memory, self._held_out = mature, memory, held_out
        self._window = window
