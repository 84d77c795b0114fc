"""A record that cannot be used keeps its bytes, gets a reason, and harms no neighbour."""

from typing import Any

import pytest

from sentinel.errors import TransientError
from sentinel.records import Header, OutputRecord, TopicPartition
from tests.engine.clock import run
from tests.engine.faults import Away
from tests.engine.samples import DAY_MS, START_MS, encoded, transactions, voice
from tests.engine.world import World

GOOD = transactions(1, seed=5)[0]
NOW_MS = START_MS + 100 * DAY_MS  # the time of the broker
TOO_DEEP = b"[" * 100_000 + b"]" * 100_000


def broken(**fields: Any) -> bytes:
    return encoded({**GOOD, **fields})


def without(name: str) -> bytes:
    return encoded({key: value for key, value in GOOD.items() if key != name})


def raw(field: str, text: bytes) -> bytes:
    """The good record with one field that Python's encoder would not write."""
    return broken(**{field: "PLACE"}).replace(b'"PLACE"', text)


BAD_TRANSACTIONS = {
    "text": (b"hello", "not_json"),
    "nothing": (b"", "not_json"),
    "half": (encoded(GOOD)[:-1], "not_json"),
    "two": (encoded(GOOD) * 2, "not_json"),
    "list": (b"[" + encoded(GOOD) + b"]", "wrong_type"),
    "null": (b"null", "wrong_type"),
    "tombstone": (None, "tombstone"),
    "framed": (b"\0\0\0\0\x11" + encoded(GOOD), "framed"),
    "no-id": (without("transaction_id"), "missing_field"),
    "no-account": (without("account"), "missing_field"),
    "no-time": (without("event_time"), "missing_field"),
    "no-amount": (without("amount"), "missing_field"),
    "null-account": (broken(account=None), "wrong_type"),
    "empty-id": (broken(transaction_id=""), "bad_id"),
    "empty-account": (broken(account=""), "bad_id"),
    "nested-account": (broken(account={"id": ["a"]}), "wrong_type"),
    "nested-garbage": (raw("channel", TOO_DEEP), "wrong_type"),
    "deep-in-an-unknown-field": (raw("garbage", TOO_DEEP), "not_json"),
    "number-as-channel": (broken(channel=1.5), "wrong_type"),
    "text-as-distance": (broken(distance="far"), "wrong_type"),
    "nan-literal": (broken(amount=float("nan")), "not_json"),
    "nan-text": (broken(amount="nan"), "bad_amount"),
    "infinite": (raw("amount", b"1e999"), "wrong_type"),
    "infinite-text": (broken(amount="1e999"), "bad_amount"),
    "negative": (broken(amount=-0.01), "bad_amount"),
    "too-much": (broken(amount=1e13), "bad_amount"),
    "boolean-amount": (broken(amount=True), "wrong_type"),
    "huge-amount": (raw("amount", b"9" * 5000), "wrong_type"),
    "huge-id": (raw("transaction_id", b"9" * 5000), "wrong_type"),
    "long-id": (broken(transaction_id="x" * 10_000), "bad_id"),
    "long-account": (broken(account="é" * 300), "bad_id"),
    "long-terminal": (broken(terminal="m" * 300), "bad_id"),
    "before-2000": (broken(event_time=0), "bad_time"),
    "negative-time": (broken(event_time=-1), "bad_time"),
    "far-future": (broken(event_time=NOW_MS + 2 * DAY_MS), "bad_time"),
    "end-of-time": (broken(event_time=10**18), "bad_time"),
    "time-as-text": (broken(event_time="2025-01-01T00:00:00Z"), "wrong_type"),
    "five-megabytes": (broken(comment="x" * 5_000_000), "too_large"),
    "invalid-utf-8": (raw("account", b'"\xff\xfe"'), "not_json"),
    "lone-surrogate": (raw("account", rb'"\ud800"'), "not_json"),
    "lone-surrogate-in-a-name": (encoded(GOOD)[:-1] + rb',"\ud800":1}', "not_json"),
}


@pytest.mark.parametrize(("value", "reason"), BAD_TRANSACTIONS.values(), ids=BAD_TRANSACTIONS)
def test_a_bad_transaction_becomes_a_dead_letter_between_good_ones(
    value: bytes | None, reason: str
) -> None:
    neighbours = transactions(6)
    world, clean = World(), World()
    world.send(neighbours[:3])
    world.append("transactions", value)
    world.send(neighbours[3:])
    clean.send(neighbours)

    instance = run(world.run_through())
    run(clean.run_through())

    (letter,) = world.records("dead-letters")
    headers = dict(letter.headers)
    assert letter.value == value
    assert headers["sentinel.reason"] == reason.encode()
    assert headers["sentinel.topic"] == b"transactions"
    assert headers["sentinel.partition"] == b"0"
    assert headers["sentinel.offset"] == b"3"
    assert headers["sentinel.detail"]
    assert instance.metrics.dead_letters == 1
    assert instance.metrics.dead_letter_reasons == {reason: 1}
    assert (instance.metrics.transactions, instance.metrics.decisions) == (7, 6)
    assert [d["features"] for d in world.values("decisions")] == [
        d["features"] for d in clean.values("decisions")
    ]
    commit = world.committed()
    assert commit is not None
    assert commit.offset == 7


def test_a_dead_letter_that_does_not_fit_goes_out_shortened_and_stops_nothing() -> None:
    neighbours = transactions(6)
    world = World()
    world.cluster.record_bytes_max["dead-letters"] = 5_000
    world.send(neighbours[:3])
    world.append("transactions", b"?" * 20_000)
    world.send(neighbours[3:])

    instance = run(world.run_through())

    (letter,) = world.records("dead-letters")
    assert 3_000 < len(letter.value or b"") < 5_000
    assert dict(letter.headers)["sentinel.shortened"].startswith(b"20000 ")
    assert (instance.metrics.dead_letters, instance.metrics.decisions) == (1, 6)
    assert world.is_done()


def test_a_topic_that_does_not_say_what_it_takes_is_asked_again_by_the_next_instance() -> None:
    world = World()
    world.send([*transactions(3), b"?"])

    async def scenario() -> None:
        async with world.instance(Away(names=frozenset({"record_bytes_max"}))) as instance:
            assert instance.task is not None
            with pytest.raises(TransientError, match="record_bytes_max"):
                await instance.task
        await world.run_through()

    run(scenario())
    assert len(world.records("dead-letters")) == 1
    assert len(world.decisions()) == 3


def test_a_dead_letter_keeps_key_and_headers() -> None:
    world = World()
    headers = (Header("trace", b"\x00\x01"), Header("trace", b"twice"), Header("é", b""))
    record = OutputRecord(b"\xffkey", b"?", headers)
    world.cluster.append(TopicPartition("transactions", 0), [record])

    run(world.run_through())

    (letter,) = world.records("dead-letters")
    assert letter.key == b"\xffkey"
    assert letter.headers[-3:] == tuple(headers)


def test_nothing_but_bad_records_is_no_trouble() -> None:
    world = World()
    world.send([b"?"] * 100)

    instance = run(world.run_through())

    assert len(world.records("dead-letters")) == instance.metrics.dead_letters == 100
    assert world.records("decisions") == []
    assert world.is_done()


VOICE = voice(GOOD)
BAD_FEEDBACK = {
    "text": (b"hello", "not_json"),
    "unknown-label": (encoded({**VOICE, "label": "maybe"}), "bad_label"),
    "too-sure": (encoded({**VOICE, "confidence": 1.01}), "bad_confidence"),
    "less-than-unsure": (encoded({**VOICE, "confidence": -0.1}), "bad_confidence"),
    "no-id": (encoded({**VOICE, "transaction_id": ""}), "bad_id"),
    "long-id": (encoded({**VOICE, "transaction_id": "x" * 10_000}), "bad_id"),
    "long-account": (encoded({**VOICE, "entities": {"account": "x" * 10_000}}), "bad_id"),
    "long-notes": (encoded({**VOICE, "notes": "x" * 20_000}), "too_large"),
    "huge-time": (encoded({**VOICE, "event_time_ms": 10**30}), "bad_time"),
    "huge-observed": (encoded({**VOICE, "observed_ms": 10**30}), "bad_time"),
    "wrong-type": (encoded({**VOICE, "source": 7}), "wrong_type"),
    "missing-label": (b'{"transaction_id":"t1","source":"chargeback"}', "wrong_type"),
    "lone-surrogate": (encoded(VOICE).replace(b'"t0"', rb'"\ud800"'), "not_json"),
    "too-deep": (encoded(VOICE)[:-1] + b',"x":' + TOO_DEEP + b"}", "not_json"),
}


@pytest.mark.parametrize(("value", "reason"), BAD_FEEDBACK.values(), ids=BAD_FEEDBACK)
def test_bad_feedback_becomes_a_dead_letter_between_good_ones(value: bytes, reason: str) -> None:
    sent = transactions(40)
    world = World()
    world.send(sent)
    world.send_feedback([voice(sent[0]), value, voice(sent[1])])

    instance = run(world.run_through())

    (letter,) = world.records("dead-letters")
    assert letter.value == value
    assert dict(letter.headers)["sentinel.reason"] == reason.encode()
    assert dict(letter.headers)["sentinel.topic"] == b"feedback"
    assert [label["transaction_id"] for label in world.values("labels")] == ["t0", "t1"]
    assert instance.metrics.feedback == 3
    assert instance.metrics.decisions == 40


def test_a_tombstone_in_feedback_is_a_dead_letter() -> None:
    world = World()
    world.append("feedback", None)

    run(world.run_through())

    (letter,) = world.records("dead-letters")
    assert dict(letter.headers)["sentinel.reason"] == b"tombstone"


def test_a_label_that_cannot_be_read_is_passed_over() -> None:
    """The topic is ours, but nothing keeps others from writing to it."""
    sent = transactions(40)
    world = World()
    world.append("labels", b"?")
    world.append("labels", None)
    world.send(sent)
    world.send_feedback([voice(sent[0])])

    async def scenario() -> int:
        async with world.instance() as instance:
            await instance.idle()
            world.send(transactions(10, first=40))
            await instance.idle()
            return instance.metrics.labels_applied

    assert run(scenario()) == 1
