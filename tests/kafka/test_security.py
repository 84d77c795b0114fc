"""TLS and SASL as far as the settings go: a listener for each, and what happens without a key."""

import logging
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio

from sentinel.adapters.kafka import KafkaAdmin, KafkaBroker, KafkaParams, KafkaTail
from sentinel.core.topics import TopicSpec
from sentinel.errors import ConfigError, TransientError
from sentinel.records import Commit, TopicPartition
from tests.adapters.contracts import join, read, read_tail, send, values
from tests.authority import Authority
from tests.kafka.cluster import KafkaCluster, Listener

PARTITION = TopicPartition("secret", 0)
PASSWORD = "correct horse battery staple"

pytestmark = [pytest.mark.asyncio(loop_scope="module")]


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "aiokafka")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    authority = Authority(tmp_path_factory.mktemp("authority"))
    authority.create()
    authority.issue("broker")
    authority.issue("client")
    authority.issue("stranger", host="localhost.example")
    return authority


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def secured(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority
) -> AsyncIterator[KafkaCluster]:
    """One broker with a listener that asks for certificates, and two that ask for passwords."""
    keys = {
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": authority.path("broker.both"),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": authority.path("ca.pem"),
    }
    misnamed = authority.path("stranger.both")  # a certificate for another host
    plain = "org.apache.kafka.common.security.plain.PlainLoginModule required"
    scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
    by_password = {
        "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-512",
        "plain.sasl.jaas.config": f'{plain} user_ada="{PASSWORD}";',
        "scram-sha-512.sasl.jaas.config": scram,
    }
    cluster = KafkaCluster(
        tmp_path_factory.mktemp("secured"),
        listeners=(
            Listener("CERTIFIED", "SSL", keys | {"ssl.client.auth": "required"}),
            Listener("ENCRYPTED", "SASL_SSL", keys | by_password),
            Listener("OPEN", "SASL_PLAINTEXT", by_password),
            Listener("MISNAMED", "SSL", keys | {"ssl.keystore.location": misnamed}),
        ),
        scram_users={"grace": PASSWORD},
    )
    async with cluster:
        yield cluster


@pytest.fixture
def params(kafka_params: KafkaParams, authority: Authority) -> KafkaParams:
    return replace(kafka_params, ssl_ca_file=authority.path("ca.pem"))


async def exchange(params: KafkaParams, group_id: str) -> None:
    """Every client of the adapter at work once: admin, producer, member, tail."""
    async with KafkaBroker(replace(params, group_id=group_id)) as broker:
        await broker.ensure_topics([TopicSpec(group_id, 1)])
        partition = TopicPartition(group_id, 0)
        await send(broker, partition, values("a"))
        await join(broker, group_id)
        await read(broker, partition, 1)
        await broker.commit({partition: Commit(1, "seen")})
        assert await broker.committed(partition) == Commit(1, "seen")
        async with KafkaTail(params, [group_id]) as tail:
            assert await read_tail(tail, 1) == [(group_id, b"a")]


async def test_a_client_with_a_certificate_is_let_in(
    secured: KafkaCluster, params: KafkaParams, authority: Authority
) -> None:
    params = replace(
        params,
        bootstrap_servers=secured.addresses("CERTIFIED"),
        security_protocol="SSL",
        ssl_certificate_file=authority.path("client.pem"),
        ssl_key_file=authority.path("client.key"),
    )

    await exchange(params, "certified")


@pytest.mark.parametrize(
    ("listener", "mechanism", "username"),
    [
        ("ENCRYPTED", "SCRAM-SHA-512", "grace"),
        ("ENCRYPTED", "PLAIN", "ada"),
        ("OPEN", "SCRAM-SHA-512", "grace"),
    ],
)
async def test_a_client_with_the_password_is_let_in(
    secured: KafkaCluster, params: KafkaParams, listener: str, mechanism: Any, username: str
) -> None:
    params = replace(
        params,
        bootstrap_servers=secured.addresses(listener),
        security_protocol="SASL_SSL" if listener == "ENCRYPTED" else "SASL_PLAINTEXT",
        sasl_mechanism=mechanism,
        sasl_username=username,
        sasl_password=PASSWORD,
    )

    await exchange(params, f"{listener}-{username}".lower())


async def test_a_wrong_password_is_an_error_that_does_not_tell_it(
    secured: KafkaCluster, params: KafkaParams
) -> None:
    params = replace(
        params,
        bootstrap_servers=secured.addresses("ENCRYPTED"),
        security_protocol="SASL_SSL",
        sasl_mechanism="SCRAM-SHA-512",
        sasl_username="grace",
        sasl_password="a wrong guess",
    )

    with pytest.raises(TransientError) as raised:
        async with KafkaBroker(params):
            pass
    assert str(raised.value) == (
        f"connect to {params.bootstrap_servers}: the server refuses sasl_username or its password"
    )


async def test_a_mechanism_that_the_server_does_not_know_is_named(
    secured: KafkaCluster, params: KafkaParams
) -> None:
    params = replace(
        params,
        bootstrap_servers=secured.addresses("ENCRYPTED"),
        security_protocol="SASL_SSL",
        sasl_mechanism="SCRAM-SHA-256",
        sasl_username="grace",
        sasl_password=PASSWORD,
    )

    with pytest.raises(TransientError, match="the server does not know this sasl_mechanism"):
        async with KafkaBroker(params):
            pass


@pytest.mark.parametrize("listener", ["ENCRYPTED", "MISNAMED"])
async def test_a_server_that_cannot_prove_who_it_is_gets_no_password(
    secured: KafkaCluster,
    params: KafkaParams,
    tmp_path_factory: pytest.TempPathFactory,
    listener: str,
) -> None:
    """Its certificate is of another authority, or for another host."""
    other = Authority(tmp_path_factory.mktemp("other"))
    other.create()
    params = replace(
        params,
        bootstrap_servers=secured.addresses(listener),
        security_protocol="SASL_SSL",
        sasl_mechanism="SCRAM-SHA-512",
        sasl_username="grace",
        sasl_password=PASSWORD,
    )
    if listener == "ENCRYPTED":
        params = replace(params, ssl_ca_file=other.path("ca.pem"))

    for client in (KafkaBroker(params), KafkaAdmin(params), KafkaTail(params, ["any"])):
        with pytest.raises(TransientError, match="certificate is refused: ") as raised:
            async with client:
                pass
        named = (
            "IP address mismatch" if listener == "MISNAMED" else "issuer certificate|self.signed"
        )
        assert re.search(named, str(raised.value)), raised.value


async def test_plain_text_to_a_listener_that_wants_tls_ends_in_time(
    secured: KafkaCluster, params: KafkaParams
) -> None:
    params = replace(params, bootstrap_servers=secured.addresses("ENCRYPTED"))

    with pytest.raises(TransientError, match="connect to"):
        async with KafkaBroker(params):
            pass


async def test_without_a_certificate_nobody_is_let_in(
    secured: KafkaCluster, params: KafkaParams
) -> None:
    params = replace(
        params, bootstrap_servers=secured.addresses("CERTIFIED"), security_protocol="SSL"
    )

    with pytest.raises(TransientError, match="connect to"):
        async with KafkaBroker(params):
            pass


async def test_a_file_that_is_not_there_is_a_mistake_of_the_settings(params: KafkaParams) -> None:
    params = replace(params, ssl_ca_file="no-such.pem", security_protocol="SSL")

    with pytest.raises(ConfigError, match=r"ssl_\*_file: no-such.pem: No such file"):
        async with KafkaBroker(params):
            pass
