"""What the compiled functions read is what msgspec reads; what they leave to it, it decides."""

import os
import subprocess
import sys
from collections.abc import Sequence
from itertools import islice
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sentinel.codec.rows import RowDecoder
from sentinel.codec.schema import SchemaParams
from sentinel.codec.transactions import TransactionDecoder
from sentinel.record_blocks import RecordBlock
from sentinel.records import InputRecord, Record
from sentinel.texts import Texts
from tests.children import WAIT_S_MAX
from tests.codec.mutations import NEW_YEAR, batch, schemas

BATCH_COUNT = 40


def block(records: Sequence[InputRecord]) -> RecordBlock:
    """Records as they come from the network: over one buffer that nobody may write to."""
    values = Texts.of_bytes([b"before", *(record.value for record in records), b"after"])[1:-1]
    values.data.flags.writeable = False
    return RecordBlock(
        np.array([record.offset for record in records], dtype=np.int64),
        np.array([record.timestamp for record in records], dtype=np.int64),
        values,
        values,
        np.zeros(len(records), dtype=np.int64),
    )


def exactly(numbers: Any) -> list[str]:
    """Numbers so that only the same are equal: zeros have signs."""
    return [float(x).hex() for x in numbers]


def by_rows(
    schema: SchemaParams, records: Sequence[InputRecord]
) -> tuple[dict[str, list[Any]], dict[int, tuple[str, str]]]:
    """What msgspec makes of them."""
    stamps_ms = np.array([record.timestamp for record in records], dtype=np.int64)
    columns, kept, rejected = RowDecoder(schema).decode([r.value for r in records], stamps_ms)
    found = {
        "id": [*columns.transaction_id],
        "offset": [records[i].offset for i in kept.tolist()],
        "time": [int(x) for x in columns.event_time_ms.tolist()],
        "amount": [int(x) for x in columns.amount.tolist()],
        **{f"entity {name}": [*column] for name, column in columns.entities.items()},
        **{f"number {name}": exactly(column) for name, column in columns.numeric.items()},
        **{f"category {name}": [*column] for name, column in columns.categorical.items()},
    }
    return found, {r.index: (r.error.reason, r.error.detail) for r in rejected}


def by_columns(
    schema: SchemaParams, pieces: Sequence[tuple[int, Sequence[InputRecord]]]
) -> tuple[dict[str, list[Any]], dict[int, tuple[str, str]]]:
    """What the decoder makes of them."""
    rows, rejected = TransactionDecoder(schema).decode(pieces)
    found = {
        "id": [*rows.transaction_id],
        "offset": rows.offset.tolist(),
        "time": rows.event_time_ms.tolist(),
        "amount": rows.amount_minor.tolist(),
        **{f"entity {name}": [*column] for name, column in rows.entities.items()},
        **{f"number {name}": exactly(column) for name, column in rows.numeric.items()},
        **{f"category {name}": [*column] for name, column in rows.categorical.items()},
    }
    assert [r.index for r in rejected] == sorted({r.index for r in rejected})
    return found, {r.index: (r.error.reason, r.error.detail) for r in rejected}


def assert_same(schema: SchemaParams, values: Sequence[tuple[int, bytes | None]]) -> None:
    records = [Record(i, stamp_ms, None, value) for i, (stamp_ms, value) in enumerate(values)]
    middle = len(records) // 3
    pieces = [(3, block(records[:middle])), (0, records[middle:])]
    assert by_columns(schema, pieces) == by_rows(schema, records)


@pytest.mark.parametrize("seed", range(BATCH_COUNT))
def test_good_and_broken_records_are_decoded_as_by_msgspec(seed: int) -> None:
    schema = next(islice(schemas(), seed, None))

    assert_same(schema, batch(seed, schema, 50))


FULL = SchemaParams(
    entities={"terminal": "shop"},
    numeric=("km",),
    boolean=("chip",),
    categorical=("country",),
    future_s_max=1e9,
)

fields = {
    "transaction_id": st.sampled_from(['"T1"', "7", '"é"', '""', "null"]),
    "event_time": st.datetimes().map(lambda when: f'"{when.isoformat()}"'),
    "account": st.sampled_from(['"A1"', "-3", '"漢字"', "1.0", "true"]),
    "amount": st.floats(0, 1e10).map(repr) | st.decimals(0, 10**9, places=2).map(str),
    "shop": st.text("ab", max_size=3).map(lambda text: f'"{text}"'),
    "km": st.floats(allow_nan=False, allow_infinity=False).map(repr) | st.integers().map(str),
    "chip": st.sampled_from(["true", "false", "null", "0"]),
    "country": st.sampled_from(['"FR"', "33", "true", "null", '""']),
    "unknown": st.sampled_from(["[]", "{}", '[1,{"a":[null]}]', '{"a":1,}', "[1 2]", '"x"']),
}


@settings(max_examples=300, deadline=None)
@given(
    rows=st.lists(st.fixed_dictionaries({}, optional=fields), max_size=4),
    blank=st.sampled_from(["", " ", "\t\r\n", "\v"]),
)
def test_any_values_in_any_places_are_decoded_as_by_msgspec(
    rows: list[dict[str, str]], blank: str
) -> None:
    texts = [
        f",{blank}".join(f'"{name}"{blank}:{value}{blank}' for name, value in row.items())
        for row in rows
    ]

    assert_same(FULL, [(NEW_YEAR, f"{blank}{{{text}}}{blank}".encode()) for text in texts])


@settings(max_examples=500, deadline=None)
@given(whole=st.integers(0, 10**6), fraction=st.text("0123456789", max_size=17))
def test_a_decimal_number_is_the_double_nearest_to_it(whole: int, fraction: str) -> None:
    text = f"{whole}.{fraction}" if fraction else str(whole)
    value = (
        b'{"transaction_id":1,"event_time":"2020-01-01T00:00:00Z","account":2,"amount":3,"km":%s}'
        % text.encode()
    )

    rows, rejected = TransactionDecoder(FULL).decode([(0, [Record(0, 0, None, value)])])

    assert rejected == []
    assert exactly(rows.numeric["km"]) == exactly([float(text)])


def test_what_is_plain_needs_no_msgspec(monkeypatch: pytest.MonkeyPatch) -> None:
    values = [
        b'{"transaction_id":"T1","event_time":"2020-02-29T23:59:59.123456789+05:30",'
        b'"account":"A1","amount":12.34,"shop":"","km":1e-3,"chip":true,"country":false}',
        b'{"other":{"a":[1,[],{}]},"amount":"12.3","account":7,"event_time":"2020-01-01 00:00:00",'
        b'"transaction_id":"caf\xc3\xa9","km":null}',
        b' { "transaction_id" : 1 , "event_time" : "2020-01-01T00:00:00Z" ,\r\n "account" : -2 ,'
        b'\t"amount" : 0, "amount": 5 } \n',
    ]

    def refuse(*_: object) -> None:
        raise AssertionError("asked msgspec")

    monkeypatch.setattr(RowDecoder, "decode", refuse)
    rows, _ = TransactionDecoder(FULL).decode(
        [(0, [Record(i, 0, None, value) for i, value in enumerate(values)])]
    )

    assert rows.transaction_id == ["T1", "café", "1"]
    assert rows.entities == {"account": ["A1", "7", "-2"], "terminal": [None, None, None]}
    assert rows.amount_minor.tolist() == [1234, 1230, 500]
    assert rows.event_time_ms.tolist() == [NEW_YEAR + 5_164_199_123, NEW_YEAR, NEW_YEAR]
    assert rows.categorical["country"] == ["false", None, None]


def outcome() -> str:
    """A digest of some batches."""
    found = []
    for seed in range(3):
        schema = next(islice(schemas(), seed, None))
        values = batch(seed, schema, 40)
        records = [Record(i, stamp_ms, None, value) for i, (stamp_ms, value) in enumerate(values)]
        found.append(by_columns(schema, [(0, records)]))
    return repr(found)


def test_the_kernels_do_the_same_without_their_compiler() -> None:
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    command = [sys.executable, "-W", "error", "-m", "tests.codec.test_scanning"]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=WAIT_S_MAX, check=False
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout == outcome()


if __name__ == "__main__":
    sys.stdout.write(outcome())
