"""Records with the frame of a schema registry: JSON and Avro behind it."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Any

import fastavro
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sentinel.codec.schema import SchemaParams
from sentinel.codec.transactions import TransactionDecoder
from sentinel.errors import ConfigError
from sentinel.records import Record, Transactions
from tests.children import WAIT_S_MAX
from tests.codec.test_scanning import block

PLAIN = b'{"transaction_id":"T1","event_time":"2024-05-01T00:00:00Z","account":"A1","amount":12.5}'
START = datetime(2024, 5, 1, tzinfo=UTC)
REGISTRY = SchemaParams(framing="registry")
AVRO = {
    "type": "record",
    "name": "Payment",
    "fields": [
        {"name": "transaction_id", "type": "string"},
        {"name": "event_time", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "account", "type": ["null", "long", "string"]},
        {
            "name": "amount",
            "type": {"type": "bytes", "logicalType": "decimal", "precision": 20, "scale": 2},
        },
        {"name": "terminal", "type": ["null", "bytes"], "default": None},
        {"name": "km", "type": ["null", "double"], "default": None},
        {
            "name": "shop",
            "type": [
                "null",
                {
                    "type": "record",
                    "name": "Shop",
                    "fields": [
                        {"name": "kind", "type": {"type": "enum", "name": "K", "symbols": ["X"]}},
                        {"name": "tags", "type": {"type": "array", "items": "string"}},
                    ],
                },
            ],
            "default": None,
        },
    ],
}


def framed(payload: bytes, schema_id: int = 17) -> bytes:
    return b"\0" + schema_id.to_bytes(4, "big") + payload


def decoded(schema: SchemaParams, *values: bytes | None) -> tuple[Transactions, list[str]]:
    """The usable records, read alike from one buffer and one by one; why others are refused."""
    records = [Record(i, 0, None, value) for i, value in enumerate(values)]
    decoder = TransactionDecoder(schema)
    rows, rejected = decoder.decode([(0, records)])
    again, _ = decoder.decode([(0, block(records))])
    assert again.transaction_id == rows.transaction_id
    assert again.offset.tolist() == rows.offset.tolist()
    return rows, [f"{r.error.reason}: {r.error.detail}" for r in rejected]


def avro_schema(folder: Path, **others: Any) -> SchemaParams:
    """A folder with schema 17, and a schema that reads it."""
    (folder / "17.avsc").write_text(json.dumps(AVRO))
    (folder / "README").write_text("no schema")
    fields: dict[str, Any] = {
        "entities": {"terminal": "terminal"},
        "numeric": ("km",),
        "categorical": ("shop.kind",),
        "framing": "registry",
        "payload": "avro",
        "payload_schemas": str(folder),
    }
    return SchemaParams(**(fields | others))


def payment(**others: Any) -> bytes:
    value = {
        "transaction_id": "T1",
        "event_time": START,
        "account": 42,
        "amount": Decimal("12.50"),
        "terminal": b"S1",
        "km": 1.5,
        "shop": {"kind": "X", "tags": ["a"]},
    }
    data = BytesIO()
    fastavro.schemaless_writer(data, fastavro.parse_schema(AVRO), value | others)
    return data.getvalue()


def test_json_behind_a_frame_is_read_and_so_is_json_without_one() -> None:
    short = framed(b"")[:4]
    rows, refused = decoded(
        REGISTRY, framed(PLAIN), PLAIN, short, None, framed(b""), framed(b"\2abc"), framed(PLAIN, 0)
    )

    assert rows.transaction_id == ["T1"] * 3
    assert rows.offset.tolist() == [0, 1, 6]
    assert refused == [
        "framed: a frame cut short, of 4 bytes",
        "tombstone: the record has no value",
        *[
            "framed: behind the frame of schema 17 stands no JSON object; "
            'of Avro [schema] says payload = "avro"'
        ]
        * 2,
    ]


def test_a_frame_that_nobody_expects_is_told() -> None:
    rows, refused = decoded(SchemaParams(), PLAIN, framed(PLAIN, 258), b"\0ab")

    assert rows.transaction_id == ["T1"]
    assert refused == [
        "framed: it begins with the frame of a schema registry (schema 258): "
        'framing = "registry" reads it',
        "not_json: JSON is malformed: invalid character (byte 0)",
    ]


def test_a_framed_record_may_be_as_large_as_one_without() -> None:
    schema = SchemaParams(framing="registry", record_bytes_max=len(PLAIN))

    rows, refused = decoded(schema, framed(PLAIN), framed(PLAIN + b" "))

    assert rows.offset.tolist() == [0]
    assert refused == [f"too_large: {len(PLAIN) + 6} bytes"]


def test_avro_is_read_by_the_schema_that_its_frame_names(tmp_path: Path) -> None:
    schema = avro_schema(tmp_path)

    rows, refused = decoded(
        schema, framed(payment()), framed(payment(account="A2", terminal=None, km=None, shop=None))
    )

    assert refused == []
    assert rows.transaction_id == ["T1", "T1"]
    assert rows.event_time_ms.tolist() == [START.timestamp() * 1000] * 2
    assert rows.amount_minor.tolist() == [1250] * 2
    assert list(rows.entities["account"]) == ["42", "A2"]
    assert list(rows.entities["terminal"]) == ["S1", None]
    assert list(rows.categorical["shop.kind"]) == ["X", None]
    assert rows.numeric["km"][0] == 1.5


@pytest.mark.parametrize(
    "others",
    [
        {"event_time_format": "epoch_ms"},
        {"event_time_format": "epoch_s"},
        {"event_time_format": "epoch_us"},
        {"event_time_format": "epoch_ns"},
        {"event_time_format": "steps", "event_time_origin": "2024-01-01T00:00:00Z"},
    ],
)
def test_a_time_of_avro_is_one_whatever_format_is_configured(
    tmp_path: Path, others: dict[str, str]
) -> None:
    rows, refused = decoded(avro_schema(tmp_path, **others), framed(payment()))

    assert refused == []
    assert rows.event_time_ms.tolist() == [START.timestamp() * 1000]


def test_what_is_no_avro_of_its_schema_is_refused_with_the_reason(tmp_path: Path) -> None:
    whole = payment()
    rows, refused = decoded(
        avro_schema(tmp_path), framed(whole, 18), framed(whole[:9]), framed(whole + b"x"), PLAIN
    )

    assert rows.transaction_id == ["T1"]
    assert refused[0] == f"unknown_schema: {tmp_path} has no 18.avsc"
    assert refused[1].startswith("not_avro: of schema 17: ")
    assert refused[2] == "not_avro: of schema 17: 1 bytes are left over"


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=60) | st.tuples(st.integers(0, 60), st.integers(0, 255)).map(lambda x: x))
def test_no_bytes_end_the_reader(tmp_path: Path, spoilt: bytes | tuple[int, int]) -> None:
    payload = payment()
    if isinstance(spoilt, tuple):
        at, byte = spoilt
        spoilt = payload[:at] + bytes([byte]) + payload[at + 1 :]

    rows, refused = decoded(avro_schema(tmp_path), framed(spoilt))

    assert len(rows) + len(refused) == 1


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("x.avsc", "{}", "is named by the number of its schema"),
        ("3.avsc", "{", "is no Avro schema"),
        ("3.avsc", '{"type":"record","name":"A","fields":[{"name":"a","type":"B"}]}', "B"),
        ("3.avsc", "[1]", "is no Avro schema"),
        ("3.txt", "{}", "holds no schema"),
    ],
)
def test_a_folder_without_usable_schemas_is_refused(
    tmp_path: Path, name: str, text: str, told: str
) -> None:
    (tmp_path / name).write_text(text)
    schema = SchemaParams(framing="registry", payload="avro", payload_schemas=str(tmp_path))

    with pytest.raises(ConfigError, match=told):
        TransactionDecoder(schema)
    with pytest.raises(ConfigError, match="nowhere: No such file"):
        TransactionDecoder(
            SchemaParams(framing="registry", payload="avro", payload_schemas="nowhere")
        )


@pytest.mark.parametrize(
    "others",
    [
        {"framing": "length"},
        {"framing": "registry", "payload": "protobuf"},
        {"payload": "avro", "payload_schemas": "x"},
        {"framing": "registry", "payload": "avro"},
        {"framing": "registry", "payload_schemas": "x"},
    ],
)
def test_settings_that_say_no_wire_format_are_refused(others: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"payload|framing"):
        SchemaParams(**others)


def test_nobody_imports_avro_who_does_not_read_it() -> None:
    code = (
        "import sys; from sentinel.codec.transactions import TransactionDecoder as D;"
        "from sentinel.codec.schema import SchemaParams as S;"
        "D(S(framing='registry')); sys.exit('fastavro' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], timeout=WAIT_S_MAX, check=False)

    assert done.returncode == 0


def test_without_the_library_it_is_said_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    schema = avro_schema(tmp_path)
    monkeypatch.delitem(sys.modules, "sentinel.codec.payloads.avro", raising=False)
    monkeypatch.setitem(sys.modules, "fastavro", None)

    with pytest.raises(ConfigError, match=r'pip install "sentinel\[avro\]"'):
        TransactionDecoder(schema)
