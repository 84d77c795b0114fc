"""TLS and access control lists: what the settings promise, on real servers.

The embedded Valkey has no TLS built in; Debian's Redis has.
"""

import asyncio
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sentinel.adapters.redis import RedisParams, RedisStateStore, connect
from sentinel.errors import ConfigError, TransientError
from sentinel.operations.stores import open_cases, open_models, open_reports, open_savepoints
from sentinel.ports import Blob, PartitionState
from sentinel.records import TopicPartition
from sentinel.stored.votes import CaseBatch, FeedbackProgress
from tests import children
from tests.adapters.conftest import await_server
from tests.adapters.contracts import ANN, CASE
from tests.adapters.model_contracts import ARTIFACT, on_registry_state
from tests.adapters.report_contracts import A
from tests.adapters.savepoint_contracts import a_savepoint, written
from tests.authority import Authority

pytestmark = pytest.mark.integration

PARTITION = TopicPartition("transactions", 0)
STATE = PartitionState("cluster/a", 10, "cluster/b", 20)
PASSWORD = "correct-horse-battery-staple"

# All that Sentinel does. Scripts may call only what their user may call. The client also offers its
# name, and does not mind when it may not.
COMMANDS = (
    *("+ping", "+select", "+script|load", "+eval", "+evalsha"),
    *("+get", "+mget", "+set", "+hset", "+hgetall", "+pexpire", "+time", "+zadd", "+zrevrange"),
    *("+zrem", "+zremrangebyrank", "+rpush", "+lrange"),
    *("+exists", "+persist", "+setbit", "+info"),
)


def test_the_rights_that_are_needed_stand_in_the_configuration() -> None:
    text = (Path(__file__).parents[2] / "config" / "sentinel.toml").read_text()
    lines = text.partition("# All the rights that a user needs")[2].partition("username")[0]

    assert sorted(word for word in lines.split() if word.startswith("+")) == sorted(COMMANDS)


async def exchange(params: RedisParams) -> None:
    """Every call of every store once."""
    async with RedisStateStore(params, layout="layout") as store:
        epoch = await store.claim(PARTITION)
        if await store.facts() is None:
            raise TransientError("redis, ask the server about itself: it does not say")
        owned = Blob("account", "a", -1, b"owned", labels=(3,))
        shared = Blob("terminal", "t", 0, b"shared")
        await store.save(PARTITION, epoch, [owned, shared], STATE)
        assert await store.load_owned("account", ["a"], {}) == [b"owned"]
        assert await store.load_shared("terminal", ["t"], {}) == [{0: b"shared"}]
        assert await store.partition_state(PARTITION) == STATE
        assert list(await store.applied_labels("account", STATE.labels_log, [3])) == [True]
    async with open_cases(params) as cases:
        before = await cases.progress()
        progress = FeedbackProgress("log", 1 if before is None else before.next_offset + 1)
        await cases.save(before, CaseBatch(progress, {"x": CASE}, {ANN.name: ANN}))
        assert await cases.cases(["x"]) == {"x": CASE}
        assert await cases.latest_annotators() == [ANN]
        assert await cases.unsettled(1) == []
    async with open_models(params) as models:
        await models.add(ARTIFACT)
        assert (await models.load("1.0.0")).text == ARTIFACT.text
        registry_state = await models.registry_state()
        if "1.0.0" not in registry_state.stages:
            await models.change(registry_state, *on_registry_state(registry_state, "1.0.0"))
        assert len(await models.history()) == 2
        await models.note_update(await models.update(), b"under way")
    async with open_reports(params) as reports:
        await reports.report(A, ttl_s=60.0)
        assert await reports.reports() == [A]
        await reports.end(A)
        assert await reports.ended() == [A]
    async with open_savepoints(params) as savepoints:
        former = await savepoints.savepoint()
        one = a_savepoint(1 if former is None else former.number + 1)
        await written(savepoints, one)
        await savepoints.keep(former, one)
        assert await savepoints.piece(one, 0) == b"one"


async def refusal(params: RedisParams) -> str:
    with pytest.raises(TransientError) as raised:
        await exchange(params)
    return str(raised.value)


async def permit(params: RedisParams, user: str, *rules: str) -> RedisParams:
    """The same server as another user, who may do nothing else."""
    client = connect(params, db=0)
    await client.execute_command(  # type: ignore[no-untyped-call]
        "ACL", "SETUSER", user, "reset", "on", f">{PASSWORD}", *rules
    )
    await client.aclose()
    return replace(params, username=user, password=PASSWORD, key_prefix=user)


@pytest.fixture
def user() -> str:
    return f"u{uuid.uuid4().hex}"


async def test_a_user_with_these_rights_and_no_others_is_enough(
    store_params: RedisParams, user: str
) -> None:
    await exchange(await permit(store_params, user, f"~{user}:*", *COMMANDS))


@pytest.mark.parametrize("command", COMMANDS)
async def test_each_of_the_rights_is_needed(
    store_params: RedisParams, user: str, command: str
) -> None:
    rules = [rule for rule in COMMANDS if rule != command]

    assert "redis, " in await refusal(await permit(store_params, user, f"~{user}:*", *rules))


async def test_keys_of_others_are_out_of_reach(store_params: RedisParams, user: str) -> None:
    params = await permit(store_params, user, "~another:*", *COMMANDS)

    assert "claim" in await refusal(params)


async def test_a_wrong_password_is_an_error_that_does_not_tell_it(
    store_params: RedisParams, user: str
) -> None:
    params = await permit(store_params, user, f"~{user}:*", *COMMANDS)

    message = await refusal(replace(params, password="a wrong guess"))

    assert message.startswith("redis, connect: AuthenticationError: ")
    assert "a wrong guess" not in message


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    for program in ("redis-server", "openssl"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    authority = Authority(tmp_path_factory.mktemp("authority"))
    authority.create()
    authority.issue("server")
    authority.issue("misnamed", host="redis.example")
    authority.issue("client")
    return authority


def tls_server(
    authority: Authority, certificate: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RedisParams]:
    """Redis behind TLS, which asks its clients for a certificate, too."""
    binary = shutil.which("redis-server")
    assert binary is not None
    directory, [port] = tmp_path_factory.mktemp("tls"), children.free_ports(1)
    command = [
        *(binary, "--port", "0", "--tls-port", str(port), "--bind", "127.0.0.1", "--save", ""),
        *("--tls-cert-file", authority.path(f"{certificate}.pem")),
        *("--tls-key-file", authority.path(f"{certificate}.key")),
        *("--tls-ca-cert-file", authority.path("ca.pem"), "--tls-auth-clients", "yes"),
    ]
    server = children.start(command, directory / "redis.log", directory)
    with asyncio.Runner() as runner:
        try:
            runner.run(await_server(port))
        except TimeoutError:
            if server.poll() is not None:
                pytest.skip("this redis-server was built without TLS")
            raise
        yield RedisParams(
            url=f"rediss://127.0.0.1:{port}",
            connect_timeout_s=30.0,
            request_timeout_s=30.0,
            tls_ca_file=authority.path("ca.pem"),
            tls_certificate_file=authority.path("client.pem"),
            tls_key_file=authority.path("client.key"),
        )
        server.terminate()
        runner.run(children.exit_of(server))


@pytest.fixture(scope="module")
def secured(
    authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RedisParams]:
    yield from tls_server(authority, "server", tmp_path_factory)


@pytest.fixture(scope="module")
def misnamed(
    authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RedisParams]:
    yield from tls_server(authority, "misnamed", tmp_path_factory)


async def test_a_client_with_a_certificate_is_let_in(secured: RedisParams) -> None:
    await exchange(secured)


async def test_without_a_certificate_nobody_is_let_in(secured: RedisParams) -> None:
    params = replace(secured, tls_certificate_file="", tls_key_file="")

    assert (await refusal(params)).startswith("redis, connect: ConnectionError: ")


async def test_a_certificate_of_another_authority_is_refused(
    secured: RedisParams, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = Authority(tmp_path_factory.mktemp("other"))
    other.create()

    message = await refusal(replace(secured, tls_ca_file=other.path("ca.pem")))

    assert "certificate verify failed" in message
    assert "\n" not in message


async def test_a_certificate_for_another_host_is_refused_unless_told_otherwise(
    misnamed: RedisParams,
) -> None:
    assert "certificate is not valid for '127.0.0.1'" in await refusal(misnamed)

    await exchange(replace(misnamed, tls_check_hostname=False))


async def test_a_file_that_is_not_there_is_a_mistake_of_the_settings(user: str) -> None:
    params = RedisParams(url="rediss://127.0.0.1:1", tls_ca_file=f"{user}.pem")

    with pytest.raises(ConfigError, match=rf"\[redis\] tls_ca_file: {user}.pem: cannot be read"):
        await exchange(params)
