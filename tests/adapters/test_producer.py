"""What the producer remembers of its deliveries, without a broker."""

import asyncio

import pytest

from sentinel.adapters.kafka.client import KafkaParams
from sentinel.adapters.kafka.producer import Load, Producer, Sent
from sentinel.errors import RefusedError, TransientError
from sentinel.records import Header, OutputRecord


async def test_a_failed_delivery_behind_a_settled_one_is_heard_of_at_the_flush() -> None:
    producer = Producer(KafkaParams(bootstrap_servers="127.0.0.1:1", pending_batch_count_max=2))
    producer._producer._closed = True  # never started: nothing to close
    loop = asyncio.get_running_loop()
    arrived, lost = loop.create_future(), loop.create_future()
    nothing = OutputRecord(None, None)
    loads = Load("t-0", 3, nothing), Load("t-1", 20, nothing)
    producer._pending.extend([Sent(arrived, loads[0]), Sent(lost, loads[1])])
    lost.set_exception(ConnectionError("gone"))
    arrived.set_result(None)

    await producer._make_room()

    with pytest.raises(
        TransientError, match="1 of 1 batches were not delivered, the first, 20 records to t-1,"
    ):
        await producer.flush()


DECISION = b'{"decision_id":"payments-7-1234","transaction_id":"t","label":"x"}'
LABEL = b'{"transaction_id":"t","is_fraud":true,"feedback_offset":77}'
LETTER = (
    Header("sentinel.topic", b"payments"),
    Header("sentinel.partition", b"7"),
    Header("sentinel.offset", b"1234"),
)


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (OutputRecord(b"k", DECISION), ", the first of payments-7 at offset 1234"),
        (OutputRecord(b"k", LABEL), ", the first of feedback at offset 77"),
        (OutputRecord(b"k", b"\xff", LETTER), ", the first of payments-7 at offset 1234"),
        (OutputRecord(b"k", b"{}"), ""),
        (OutputRecord(None, None), ""),
    ],
)
def test_a_lost_batch_names_the_input_record_that_it_came_of(
    record: OutputRecord, said: str
) -> None:
    assert str(Load("decisions-7", 12, record)) == f"12 records to decisions-7{said}"


@pytest.mark.parametrize("has_taken", [False, True])
async def test_a_place_that_has_never_taken_anything_refuses(has_taken: bool) -> None:
    """What else is committed meanwhile must not look like progress, or it would go on for ever."""
    producer = Producer(KafkaParams(bootstrap_servers="127.0.0.1:1"))
    producer._producer._closed = True
    loop = asyncio.get_running_loop()
    before, lost = loop.create_future(), loop.create_future()
    before.set_result(None)
    lost.set_exception(ConnectionError("gone"))
    nothing = OutputRecord(None, None)
    first = Load("t-1" if has_taken else "u-0", 1, nothing)
    producer._pending.append(Sent(before, first))
    await producer.flush()
    producer._pending.append(Sent(lost, Load("t-1", 1, nothing)))

    for _ in range(2):  # a failed one stays failed
        with pytest.raises(TransientError) as caught:
            await producer.flush()
        assert isinstance(caught.value, RefusedError) != has_taken
