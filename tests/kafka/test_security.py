"""TLS and SASL as far as the settings go: a listener for each, and what happens without a key."""

import logging
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from sentinel.adapters.kafka import KafkaBroker, KafkaParams, KafkaTail
from sentinel.errors import TransientError
from sentinel.ports import TopicSpec
from sentinel.records import Commit, TopicPartition
from tests.adapters.contracts import join, read, read_tail, send, values
from tests.kafka.cluster import KafkaCluster, Listener

PARTITION = TopicPartition("secret", 0)
PASSWORD = "correct horse battery staple"

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "aiokafka")


@dataclass(frozen=True)
class Authority:
    """A certificate authority of one's own, in a folder."""

    directory: Path

    def create(self) -> None:
        name = ["-subj", "/CN=Sentinel test authority"]
        self._openssl("req", "-x509", "-newkey", *NEW_KEY, "-out", "ca.pem", *name)

    def issue(self, name: str) -> None:
        """`name.pem` and `name.key`, for 127.0.0.1; `name.both` holds them for Kafka."""
        signed = ["-CA", "ca.pem", "-CAkey", "key.pem", "-addext", "subjectAltName=IP:127.0.0.1"]
        key = ["-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key"]
        self._openssl("req", "-x509", *key, *signed, "-out", f"{name}.pem", "-subj", f"/CN={name}")
        both = (self.path(f"{name}.key"), self.path(f"{name}.pem"))
        Path(self.path(f"{name}.both")).write_text("".join(Path(p).read_text() for p in both))

    def path(self, name: str) -> str:
        return str(self.directory / name)

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(
            ["openssl", *arguments], cwd=self.directory, check=True, capture_output=True, timeout=30
        )


NEW_KEY = ("rsa:2048", "-nodes", "-keyout", "key.pem")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    authority = Authority(tmp_path_factory.mktemp("authority"))
    authority.create()
    authority.issue("broker")
    authority.issue("client")
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

    with pytest.raises(TransientError, match="connect to") as raised:
        async with KafkaBroker(params):
            pass
    assert "a wrong guess" not in str(raised.value)


@pytest.mark.parametrize("without", ["a certificate", "the authority"])
async def test_without_the_right_files_nobody_is_let_in(
    secured: KafkaCluster, params: KafkaParams, authority: Authority, without: str
) -> None:
    params = replace(
        params, bootstrap_servers=secured.addresses("CERTIFIED"), security_protocol="SSL"
    )
    if without == "the authority":
        params = replace(
            params,
            ssl_ca_file="",
            ssl_certificate_file=authority.path("client.pem"),
            ssl_key_file=authority.path("client.key"),
        )

    with pytest.raises(TransientError, match="connect to"):
        async with KafkaBroker(params):
            pass
