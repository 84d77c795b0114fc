"""Under which keys, in which bytes and for how long the stores keep what: others read it, too."""

import uuid
from dataclasses import replace
from typing import Any

import pytest

from sentinel.adapters.redis import RedisParams, RedisStateStore, connect
from sentinel.codec.models.artifacts import encode_artifact
from sentinel.codec.stored import encode_stored
from sentinel.operations.stores import open_cases, open_models, open_reports, open_savepoints
from sentinel.ports import Blob, Savepoint
from sentinel.stored.versions import RegistryState
from sentinel.stored.votes import CaseBatch, FeedbackProgress
from tests.adapters.contracts import ANN, CASE, PARTITION, STATE, a_case
from tests.adapters.model_contracts import ARTIFACT, on_registry_state
from tests.adapters.report_contracts import A, B
from tests.adapters.savepoint_contracts import a_savepoint, written
from tests.reference import redis_keys

pytestmark = pytest.mark.integration

DAY_S = 86_400
KINDS = {"string": b"string", "hash": b"hash", "list": b"list", "sorted set": b"zset"}


@pytest.fixture
def params(store_params: RedisParams) -> RedisParams:
    return replace(store_params, key_prefix=uuid.uuid4().hex)


async def kept(params: RedisParams, db: int) -> tuple[dict[str, Any], dict[str, int]]:
    """Every key of the database with what it holds, and for how many seconds, if not for good."""
    found, lifetimes_s = {}, {}
    async with connect(params, db=db) as client:
        read: dict[Any, Any] = {
            b"string": client.get,
            b"zset": lambda key: client.zrange(key, 0, -1, withscores=True),
            b"list": lambda key: client.lrange(key, 0, -1),
        }
        async for key in client.scan_iter(f"{params.key_prefix}:*"):
            name = key.decode().removeprefix(f"{params.key_prefix}:")
            found[name] = await read[await client.type(key)](key)
            if (left_s := await client.ttl(key)) >= 0:
                lifetimes_s[name] = left_s
    return found, lifetimes_s


async def check_reference(params: RedisParams, db: int) -> None:
    """The reference has every key of this database, its type and whether it expires; no other."""
    left = {row.key: row for row in redis_keys(db)}
    rows = list(left.values())
    async with connect(params, db=db) as client:
        async for key in client.scan_iter(f"{params.key_prefix}:*"):
            name = key.decode().removeprefix(f"{params.key_prefix}:")
            row = next(row for row in rows if row.is_of(name))
            assert await client.type(key) == KINDS[row.kind], name
            assert (await client.ttl(key) >= 0) == row.expires, name
            left.pop(row.key, None)
    assert not left


async def test_entity_state(params: RedisParams) -> None:
    blobs = [Blob("account", "a:1", -1, b"a", (7,)), Blob("terminal", "t", 0, b"t", (7,))]
    async with RedisStateStore(params, layout="layout") as store:
        await store.note_owner(None, b"owner")
        await store.note_history(None, b"history")
        await store.save(PARTITION, await store.claim(PARTITION), blobs, STATE)

    await check_reference(params, 0)


async def test_feedback(params: RedisParams) -> None:
    progress, open_case = FeedbackProgress("log", 1), a_case("é", "open", 5)
    async with open_cases(params) as store:
        await store.save(None, CaseBatch(progress, {"t:1": CASE, "é": open_case}, {ANN.name: ANN}))

    found, lifetimes_s = await kept(params, 2)
    assert found == {
        "feedback": encode_stored(progress),
        "case:t:1": encode_stored(CASE),
        "case:é": encode_stored(open_case),
        f"annotator:{ANN.name}": encode_stored(ANN),
        "annotators": [(ANN.name.encode(), ANN.last_ms)],
        "recent": sorted(
            [(b"t:1", CASE.newest_ms), ("é".encode(), 5)], key=lambda member: member[1]
        ),
        "unsettled": [("é".encode(), 5)],
    }
    assert lifetimes_s == pytest.approx(
        {"case:t:1": 180 * DAY_S, "case:é": 180 * DAY_S, f"annotator:{ANN.name}": 730 * DAY_S},
        abs=60,
    )
    await check_reference(params, 2)


async def test_the_registry(params: RedisParams) -> None:
    registry_state, events = on_registry_state(RegistryState(), "1.0.0")
    one = a_savepoint(1)
    async with (
        open_models(params) as models,
        open_reports(params) as reports,
        open_savepoints(params) as savepoints,
    ):
        await models.add(ARTIFACT)
        await models.change(RegistryState(), registry_state, events)
        await models.note_update(None, b"update")
        await models.note_outlook(b"outlook")
        await reports.report(A, ttl_s=45.0)
        await reports.end(B)
        await written(savepoints, one)
        await savepoints.keep(None, one)

    text, manifest = encode_artifact(ARTIFACT)
    found, lifetimes_s = await kept(params, 3)
    assert found == {
        "artifact:1.0.0": text,
        "manifest:1.0.0": manifest,
        "shelf": encode_stored(registry_state),
        "model-history": [encode_stored(event) for event in events],
        "update": b"update",
        "outlook": b"outlook",
        f"serves:{A.instance}": encode_stored(A),
        "instances": [(A.instance.encode(), A.until_ms)],
        "served": [(encode_stored(B), B.until_ms)],
        "savepoint": encode_stored(one),
        f"savepoint:{one.name}:0": b"one",
        f"savepoint:{one.name}:1": b"",
    }
    assert lifetimes_s == pytest.approx({f"serves:{A.instance}": 45}, abs=10)
    await check_reference(params, 3)


async def test_a_savepoint_of_an_older_sentinel_goes_when_the_next_one_is_kept(
    params: RedisParams,
) -> None:
    """All its pieces were in one hash: it has none that are found, and takes no room for good."""
    old, new = a_savepoint(1), a_savepoint(2)
    async with open_savepoints(params) as store, connect(params, db=3) as client:
        key = f"{params.key_prefix}:savepoint"
        await client.set(key, encode_stored(old))
        await client.hset(f"{key}:{old.name}", "0", "one")

        assert await store.savepoint() == old
        assert await store.piece(old, 0) is None
        await written(store, new)
        await store.keep(old, new)

        assert await store.savepoint() == new
        assert 0 < await client.ttl(f"{key}:{old.name}") <= 60


async def test_a_savepoint_of_many_pieces_is_kept_and_replaced(params: RedisParams) -> None:
    """As the largest has, of half a gigabyte."""
    one, two = (replace(a_savepoint(number), piece_count=2_048) for number in (1, 2))

    async def whole(savepoint: Savepoint) -> None:
        for number in range(savepoint.piece_count):
            await store.add_piece(savepoint, number, b"%d" % number)

    async with open_savepoints(params) as store, connect(params, db=3) as client:
        await whole(one)
        await store.keep(None, one)
        await whole(two)
        await store.keep(one, two)

        ttls_s = [
            [await client.ttl(f"{params.key_prefix}:savepoint:{x.name}:{n}") for n in (0, 2_047)]
            for x in (one, two)
        ]
        assert ttls_s[1] == [-1, -1]
        assert all(0 < left_s <= 60 for left_s in ttls_s[0])
