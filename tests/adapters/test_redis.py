"""Redis: the parameters, the errors, and what only a real server shows."""

import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from sentinel.adapters.embedded import EmbeddedServers
from sentinel.adapters.redis import RedisParams, RedisStateStore, connect
from sentinel.errors import FencedError, TransientError
from sentinel.operations.stores import open_cases
from sentinel.ports import Blob, PartitionState
from sentinel.records import TopicPartition
from sentinel.stored.votes import CaseBatch, FeedbackProgress
from tests.adapters.contracts import a_case

PARTITION = TopicPartition("transactions", 3)
STATE = PartitionState("cluster/a", 10, "cluster/b", 20)


@pytest.fixture
def params(redis_params: RedisParams) -> RedisParams:
    """Keys of their own for each test."""
    return replace(redis_params, key_prefix=uuid.uuid4().hex)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"url": "http://host"}, "url must be"),
        ({"url": "redis://user:secret@host"}, "credentials"),
        ({"url": "redis://host:6379/3"}, "database"),
        ({"registry_db": 0}, "differ"),
        ({"state_db": -1}, ">= 0"),
        ({"key_prefix": "a:b"}, "key_prefix"),
        ({"request_timeout_s": 0.0}, "request_timeout_s must be positive"),
        ({"state_ttl_s": 0.5}, "state_ttl_s"),
        ({"tls_key_file": "key.pem"}, "go together"),
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RedisParams(**wrong)


def test_a_password_is_not_printed() -> None:
    assert "secret" not in repr(RedisParams(password="secret"))


async def test_a_server_that_is_away_is_a_transient_error() -> None:
    params = RedisParams(url="redis://127.0.0.1:1")

    with pytest.raises(TransientError, match="connect"):
        async with RedisStateStore(params, layout="layout"):
            pass


class ClosedWriter:
    """As uvloop's is when the server has gone while the connection is made."""

    def writelines(self, _: object) -> None:
        raise RuntimeError("unable to perform operation on <TCPTransport closed=True>")

    def close(self) -> None:
        pass


async def test_a_connection_that_ends_while_it_is_made_is_one_that_failed() -> None:
    """An instance ended by it when its store died at such a moment."""
    async with connect(RedisParams(url="redis://127.0.0.1:1"), db=4) as redis:
        pool: Any = redis.connection_pool
        connection = pool.make_connection()
        connection._reader = connection._writer = ClosedWriter()

        with pytest.raises(RedisConnectionError, match="closed=True"):
            await connection.send_command("SELECT", 4, check_health=False)


@pytest.mark.integration
async def test_a_stale_owner_is_fenced_off_in_the_middle(params: RedisParams) -> None:
    """Another instance claims between two saves: the second must leave no trace."""
    old, new = Blob("account", "a", -1, b"old"), Blob("account", "a", -1, b"new")
    async with (
        RedisStateStore(params, layout="layout") as first,
        RedisStateStore(params, layout="layout") as second,
    ):
        epoch = await first.claim(PARTITION)
        await first.save(PARTITION, epoch, [old], STATE)
        await second.claim(PARTITION)

        with pytest.raises(FencedError, match="not the newest"):
            await first.save(
                PARTITION, epoch, [new], PartitionState("cluster/a", 99, "cluster/b", 99)
            )

        assert await second.load_owned("account", ["a"], {}) == [b"old"]
        assert await second.partition_state(PARTITION) == STATE


@pytest.mark.integration
async def test_a_lost_epoch_refuses_its_old_owner(params: RedisParams) -> None:
    """As when a server comes back empty: whoever claims then must not meet an equal epoch."""
    async with (
        RedisStateStore(params, layout="layout") as store,
        connect(params, db=params.state_db) as client,
    ):
        epoch = await store.claim(PARTITION)
        await client.delete(f"{params.key_prefix}:e:transactions:3")

        with pytest.raises(FencedError):
            await store.save(PARTITION, epoch, [], STATE)

        assert await store.claim(PARTITION) > epoch


@pytest.mark.integration
async def test_a_restarted_server_is_given_the_script_again(params: RedisParams) -> None:
    async with (
        RedisStateStore(params, layout="layout") as store,
        connect(params, db=params.state_db) as client,
    ):
        epoch = await store.claim(PARTITION)
        await client.script_flush()

        await store.save(PARTITION, epoch, [Blob("account", "a", -1, b"x")] * 3000, STATE)

        assert await store.partition_state(PARTITION) == STATE


@pytest.mark.integration
async def test_a_full_server_is_a_transient_error_and_the_state_stays(params: RedisParams) -> None:
    """The state may only speak of blobs that were written."""
    async with (
        RedisStateStore(params, layout="layout") as store,
        connect(params, db=params.state_db) as client,
    ):
        epoch = await store.claim(PARTITION)
        await client.config_set("maxmemory", 1)
        try:
            with pytest.raises(TransientError, match="maxmemory"):
                await store.save(PARTITION, epoch, [Blob("account", "a", -1, b"x")] * 600, STATE)
        finally:
            await client.config_set("maxmemory", 0)

        assert await store.partition_state(PARTITION) is None


@pytest.mark.integration
async def test_state_expires_and_epochs_stay(params: RedisParams) -> None:
    blobs = [Blob("account", "a", -1, b"x"), Blob("terminal", "t", 3, b"x")]
    async with (
        RedisStateStore(params, layout="layout") as store,
        connect(params, db=params.state_db) as client,
    ):
        await store.save(PARTITION, await store.claim(PARTITION), blobs, STATE)

        lifetimes = {}
        async for key in client.scan_iter(f"{params.key_prefix}:*"):
            lifetimes[key.decode().removeprefix(params.key_prefix)] = await client.ttl(key)

    assert lifetimes.pop(":e:transactions:3") == -1
    assert lifetimes.keys() == {
        ":s:layout:account:a",
        ":s:layout:terminal:t",
        ":p:layout:transactions:3",
    }
    assert all(params.state_ttl_s - 60 < left <= params.state_ttl_s for left in lifetimes.values())


@pytest.mark.integration
async def test_layouts_do_not_see_each_other(params: RedisParams) -> None:
    async with (
        RedisStateStore(params, layout="old") as old,
        RedisStateStore(params, layout="new") as new,
    ):
        epoch = await old.claim(PARTITION)
        await old.save(PARTITION, epoch, [Blob("account", "a", -1, b"x")], STATE)

        assert await new.load_owned("account", ["a"], {}) == [None]
        assert await new.partition_state(PARTITION) is None
        assert await new.claim(PARTITION) > epoch


@pytest.mark.integration
async def test_a_case_that_has_expired_is_not_listed_as_unsettled(params: RedisParams) -> None:
    cases = {name: a_case(name, "open", at) for at, name in enumerate(("old", "gone", "new"), 1)}
    async with (
        open_cases(params) as store,
        connect(params, db=params.feedback_db) as client,
    ):
        await store.save(None, CaseBatch(FeedbackProgress("log", 1), cases))
        await client.delete(f"{params.key_prefix}:case:gone")

        assert await store.unsettled(2) == [cases["new"], cases["old"]]


@pytest.mark.integration
async def test_progress_that_somebody_has_damaged_is_said_and_waits_for_somebody(
    params: RedisParams,
) -> None:
    async with (
        open_cases(params) as store,
        connect(params, db=params.feedback_db) as client,
    ):
        await client.set(f"{params.key_prefix}:feedback", b"{")
        with pytest.raises(TransientError, match="how far feedback was counted is damaged"):
            await store.progress()


@pytest.mark.integration
async def test_a_user_who_may_not_write_the_index_saves_nothing(params: RedisParams) -> None:
    """Half a script would count votes twice: they are saved, and how far they were counted is not.

    The user of an older configuration lacks the right to take names out of an index.
    """
    rights = ("~*", "+@all", "-zrem", "-zremrangebyrank")
    progress, work = FeedbackProgress("log", 1), {"x": a_case("x", "open", 1)}
    async with connect(params, db=params.feedback_db) as client:
        await client.execute_command(  # type: ignore[no-untyped-call]
            "ACL", "SETUSER", params.key_prefix, "reset", "on", ">secret", *rights
        )
        limited = replace(params, username=params.key_prefix, password="secret")
        async with open_cases(limited) as store:
            with pytest.raises(TransientError, match="permissions"):
                await store.save(None, CaseBatch(progress, work))

            assert await store.cases(["x"]) == {}
            assert await store.progress() is None


@pytest.mark.integration
async def test_a_server_that_turns_read_only_is_left_and_looked_for_anew(tmp_path: Path) -> None:
    """As a primary does that a failover has made a replica; its name may stand for another now."""
    async with EmbeddedServers(tmp_path, kafka=False) as servers:
        params = RedisParams(url=servers.redis_url)
        async with connect(params, db=0) as admin, RedisStateStore(params, layout="l") as store:
            epoch = await store.claim(PARTITION)
            await store.save(PARTITION, epoch, [], STATE)
            before = await ids_of_clients(admin)
            await admin.replicaof("127.0.0.1", "1")

            assert await store.partition_state(PARTITION) == STATE, "it answers"
            for _ in range(2):
                with pytest.raises(TransientError, match="ReadOnly"):
                    await store.save(PARTITION, epoch, [], STATE)
            await admin.replicaof("NO", "ONE")
            await store.save(PARTITION, epoch, [], STATE)

            assert not (await ids_of_clients(admin) & before)


async def ids_of_clients(admin: Any) -> set[str]:
    """Of all connections but the one that asks."""
    own = str(await admin.client_id())
    return {one["id"] for one in await admin.client_list()} - {own}


@pytest.mark.integration
async def test_progress_that_an_older_version_has_written_is_gone_on_from(
    params: RedisParams,
) -> None:
    """Whoever saves is compared by the bytes that were read, not by how they are written now."""
    old = b'{"log":"log","next_offset":5,"fraud":3.0,"genuine":1.5}'
    async with connect(params, db=params.feedback_db) as redis, open_cases(params) as store:
        await redis.set(f"{params.key_prefix}:feedback", old)

        found = await store.progress()
        assert found == FeedbackProgress("log", 5)
        for before, after in ((found, 6), (FeedbackProgress("log", 6), 7)):
            await store.save(before, CaseBatch(FeedbackProgress("log", after)))

        assert await store.progress() == FeedbackProgress("log", 7)
        with pytest.raises(FencedError):
            await store.save(found, CaseBatch(FeedbackProgress("log", 8)))
