"""What a learner holds, saved and restored: the same to the bit, whatever comes later."""

from collections.abc import Sequence
from dataclasses import fields, is_dataclass, replace
from functools import cache, partial
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sentinel.adapters.memory import MemoryDocuments
from sentinel.adapters.pool import WorkerParams
from sentinel.adapters.pool.trainer import TrainerProcess
from sentinel.codec.records import encode
from sentinel.codec.savepoints import Column, Encoded, decode_savepoint, encode_savepoint
from sentinel.core.decision import PolicyParams
from sentinel.engine.updates.savepoints import SavepointParams, Savepoints
from sentinel.errors import RecordError
from sentinel.learner import trainer_state as holdings
from sentinel.learner.flattening import flatten
from sentinel.learner.learner import Learner
from sentinel.learner.params import LearningParams
from sentinel.learner.trainer_state import TrainerState
from sentinel.ports import Taken
from sentinel.records import Example
from sentinel.stores import StoredSavepoints
from tests.engine.examples_stream import NAMES, PARAMS, Records, records, stream
from tests.kept import KeptSavepoints

COUNT = 1_500
# All too small for the stream, so that something falls out of each of them all the time.
SMALL = replace(
    PARAMS,
    memory=replace(PARAMS.memory, row_count_max=300, fraud_count_max=40, fraud_age_max_s=9_000.0),
    gate=replace(PARAMS.gate, example_count_min=100, fraud_count_min=20),
    candidates=replace(
        PARAMS.candidates, selection=replace(PARAMS.candidates.selection, row_count_min=100)
    ),
    window_row_count_max=400,
    old_row_count_max=150,
)


@cache
def history() -> Records:
    """With second thoughts: other labels, other amounts, withdrawals."""
    rng = np.random.default_rng(4)
    examples: list[Example] = []
    for one in stream(COUNT):
        examples.append(one)
        again = examples[int(rng.integers(0, len(examples)))]
        other = "genuine" if again.label == "fraud" else "fraud"
        if rng.random() < 0.15:
            examples.append(replace(again, label=other, posterior=1.0 - again.posterior))  # type: ignore[arg-type]
        if rng.random() < 0.05:
            examples.append(replace(again, weight=0.0, amount_minor=9 * again.amount_minor))
    return [(i, one.event_time_ms + 60_000, encode(one)) for i, one in enumerate(examples)]


def columns(value: Any) -> list[bytes | int | float]:
    """All that is in it, but for the settings."""
    if isinstance(value, np.ndarray):
        return [value.tobytes(), value.dtype.str.encode(), bytes(value.flags.c_contiguous)]
    if is_dataclass(value):
        found = [columns(getattr(value, field.name)) for field in fields(value)]
        return [one for part in found for one in part]
    assert isinstance(value, int | float)
    return [value]


def bits(held: TrainerState) -> list[bytes | int | float]:
    parts = (held.mature(), held.memory(), held.held_out())
    return [one for part in parts for one in columns(part)] + [held.newest_ms, held.next_offset]


def taken(rows: Records, cuts: Sequence[int] = (), params: LearningParams = SMALL) -> TrainerState:
    held = TrainerState(NAMES, params)
    for begin, end in pairwise([0, *cuts, len(rows)]):
        held.take(rows[begin:end])
    return held


def restored(one: Encoded, params: LearningParams = SMALL) -> TrainerState:
    held = TrainerState(NAMES, params)
    held.restore(one.head, one.sha256, one.pieces, log="a log")
    return held


CUTS = st.lists(st.integers(0, COUNT), max_size=8).map(sorted)


@settings(max_examples=40)
@given(CUTS, st.integers(0, COUNT), st.integers(40, 600), st.booleans())
def test_what_was_restored_goes_on_as_if_all_had_been_read(
    cuts: list[int], saved_at: int, batch_row_count: int, is_in_use: bool
) -> None:
    rows = history()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(holdings, "_BATCH_ROW_COUNT", batch_row_count)
        before = taken(rows[:saved_at], [cut for cut in cuts if cut <= saved_at])
        one = before.saved(log="a log")
        after = taken(rows[:200]) if is_in_use else TrainerState(NAMES, SMALL)
        after.restore(one.head, one.sha256, one.pieces, log="a log")
        assert after.next_offset == saved_at

        ends = [saved_at, *(cut for cut in cuts if cut > saved_at), len(rows)]
        for begin, end in pairwise(ends):
            after.take(rows[begin:end])
            before.take(rows[begin:end])

    whole = bits(taken(rows))
    assert bits(after) == whole
    assert bits(before) == whole, "to be saved leaves no trace"


def test_what_is_saved_again_is_the_same() -> None:
    one = taken(history()).saved(log="a log")

    assert restored(one).saved(log="a log") == one


def test_nothing_can_be_saved_and_restored() -> None:
    held = restored(TrainerState(NAMES, SMALL).saved(log="a log"))

    assert (held.next_offset, held.newest_ms) == (0, -1)
    assert bits(held) == bits(TrainerState(NAMES, SMALL))


def test_what_comes_twice_or_was_never_presumed_is_restored_too() -> None:
    spoken = [replace(one, source="investigator") for one in stream(300)]
    held = taken(records(spoken))
    one = held.saved(log="a log")

    assert bits(restored(one)) == bits(held)
    assert len(held.mature()) == 300


def test_rows_that_are_in_several_parts_are_saved_once() -> None:
    held = taken(records(stream(COUNT)), params=PARAMS)

    held.mature()
    found = flatten(held._parts())

    assert found["pool.0"].size == COUNT
    assert found["window.examples.features"].size == COUNT
    assert found["memory.rows.features"].size + found["held_out.rows.examples.features"].size
    assert bits(restored(held.saved(log="a log"), PARAMS)) == bits(held)


def refusal(one: Encoded, held: TrainerState | None = None, log: str = "a log") -> str:
    """Why it is refused; it must leave everything as it was."""
    held = held or taken(history()[:500])
    before = bits(held)
    with pytest.raises(RecordError) as caught:
        held.restore(one.head, one.sha256, one.pieces, log=log)
    assert bits(held) == before
    return caught.value.detail


def test_one_that_was_damaged_or_is_of_another_log_is_refused() -> None:
    one = taken(history()).saved(log="a log")
    [*first, last] = one.pieces

    for pieces in (first, [*first, last[:-1]], [*first, last[:-1] + bytes([last[-1] ^ 1])]):
        assert "does not have its SHA-256" in refusal(replace(one, pieces=pieces))
    assert "SHA-256" in refusal(replace(one, head=one.head.replace(b"a log", b"alog ")))
    assert refusal(one, log="b") == 'it is of the log "a log", not of "b"'


@pytest.mark.parametrize(
    ("names", "params", "words"),
    [
        (NAMES[::-1], SMALL, "features"),
        (NAMES[:-1], SMALL, "features"),
        ((*NAMES, "more"), SMALL, "features"),
        (NAMES, replace(SMALL, memory=replace(SMALL.memory, floor_share=0.4)), "learning.memory"),
        (NAMES, replace(SMALL, window_row_count_max=401), "learning.window_row_count_max"),
        (NAMES, replace(SMALL, old_share=0.2), "learning.old_share"),
        (NAMES, replace(SMALL, old_row_count_max=151), "learning.old_row_count_max"),
    ],
)
def test_one_that_was_kept_by_other_settings_is_refused(
    names: tuple[str, ...], params: LearningParams, words: str
) -> None:
    one = taken(history()).saved(log="a log")

    assert refusal(one, TrainerState(names, params)) == f"it was kept by other settings: {words}"


def test_settings_that_decide_nothing_of_what_is_kept_may_differ() -> None:
    one = taken(history()).saved(log="a log")
    other = replace(SMALL, strategies=("retrain",), gate_share_max=0.3)

    assert bits(restored(one, other)) == bits(restored(one))


def changed(one: Encoded, change: dict[str, Column | None]) -> Encoded:
    """The same savepoint with other columns; its SHA-256 is right."""
    head, found = decode_savepoint(one.head, one.sha256, one.pieces)
    all_of_them = {**found, **change}
    kept = {name: column for name, column in all_of_them.items() if column is not None}
    return encode_savepoint(kept, head.facts, log=head.log, next_offset=head.next_offset)


def test_columns_that_do_not_fit_are_refused_though_somebody_vouches_for_them() -> None:
    one = taken(history()).saved(log="a log")
    _, found = decode_savepoint(one.head, one.sha256, one.pieces)
    posterior, places = found["memory.rows.posterior"], found["window.examples.features"]
    beyond = places.copy()
    beyond[0] = found["pool.0"].size

    for change, words in (
        ({"memory.rows.posterior": None}, "other columns"),
        ({"more": posterior}, "other columns"),
        ({"memory.rows.posterior": posterior[1:]}, "differ in length"),
        ({"memory.rows.posterior": posterior.astype(np.int64)}, "posterior does not fit"),
        ({"memory.stratum_threshold": posterior}, "stratum_threshold does not fit"),
        ({"memory.threshold": posterior}, "threshold does not fit"),
        ({"pool.0": posterior}, "features differ"),
        ({"pool.1": found["pool.1"].view(np.int64)}, "features differ"),
        ({"window.examples.features": beyond}, "points beyond"),
        ({"window.examples.features": -1 - places}, "points beyond"),
        ({"window.examples.features": places.astype(np.float64)}, "does not fit"),
    ):
        assert words in refusal(changed(one, change)), change  # type: ignore[arg-type]


def test_a_learner_hands_its_savepoint_over_in_pieces_and_takes_it_in_so() -> None:
    first, second = (Learner(NAMES, PolicyParams(), SMALL) for _ in range(2))
    first.take(history())

    saved = first.save(log="a log")
    assert saved.byte_count > len(saved.head)
    for number in range(saved.piece_count):
        second.receive(number, first.piece(number))
    found = second.restore(saved.head, saved.sha256, log="a log")

    assert found == Taken(0, 0, first.take([]).newest_ms, len(history()))
    assert second.save(log="a log") == saved
    with pytest.raises(RecordError, match="SHA-256"):
        first.restore(saved.head, saved.sha256, log="a log")


def test_facts_that_are_none_are_refused() -> None:
    one = taken(history()).saved(log="a log")
    head, found = decode_savepoint(one.head, one.sha256, one.pieces)
    changes: list[dict[str, Any]] = [{"newest_ms": "now"}, {"kept_by": []}, {"mature_ms": 0.5}]
    for change in changes:
        facts = {**head.facts, **change}
        other = encode_savepoint(found, facts, log=head.log, next_offset=head.next_offset)
        assert "_Facts" in refusal(other)


async def test_a_savepoint_goes_from_one_process_to_another() -> None:
    """And so does the reason why it is refused."""
    store = StoredSavepoints(MemoryDocuments(KeptSavepoints()))
    params = SavepointParams(after_example_count=1)
    make, other = (partial(Learner, names, PolicyParams(), SMALL) for names in (NAMES, NAMES[1:]))
    async with (
        TrainerProcess(make, WorkerParams()) as first,
        TrainerProcess(make, WorkerParams()) as second,
        TrainerProcess(other, WorkerParams()) as third,
    ):
        taken_by_first = await first.take(history())
        saving = Savepoints(store, first, params)
        saving.take(len(history()))
        await saving.save("a log")

        found = await Savepoints(store, second, params).restore("a log")
        assert found == replace(taken_by_first, count=0, refused_count=0)
        saved = [await worker.save(log="a log") for worker in (first, second)]
        assert saved[0] == saved[1]
        assert await Savepoints(store, third, params).restore("a log") is None
        assert (await third.take([])).next_offset == 0


def test_a_learner_that_forgets_is_as_in_the_beginning() -> None:
    held, new = (Learner(NAMES, PolicyParams(), SMALL) for _ in range(2))
    held.take(history())

    held.forget()

    assert held.save(log="") == new.save(log="")
