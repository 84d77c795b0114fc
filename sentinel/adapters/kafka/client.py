"""How to reach a Kafka cluster, and what its client's errors mean to the engine."""

import asyncio
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self, get_args

from aiokafka.errors import (
    CommitFailedError,
    IllegalGenerationError,
    IllegalStateError,
    InvalidProducerEpoch,
    InvalidProducerIdMapping,
    InvalidTxnState,
    KafkaError,
    ProducerFenced,
    RebalanceInProgressError,
    UnknownMemberIdError,
)
from aiokafka.helpers import create_ssl_context
from aiokafka.structs import TopicPartition as ClientPartition

from sentinel.adapters.kafka.internals import close_connections, state_of
from sentinel.core.partitioning import PARTITIONERS, Partitioner
from sentinel.errors import ConfigError, FencedError, TransientError

EMBEDDED = "embedded"

# The client does not notice every leader that moved, nor a partition that was added; its default,
# five minutes, is long for a payment that waits.
METADATA_AGE_MS_MAX = 30_000

# Goodbye takes milliseconds; whoever does not hear it misses our heartbeats.
CLOSE_S_MAX = 0.5

Compression = Literal["none", "gzip", "snappy", "lz4", "zstd"]
Isolation = Literal["read_uncommitted", "read_committed"]
SecurityProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
SaslMechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]

# Each says that the partitions may belong to another member by now.
FENCING_ERRORS = (
    CommitFailedError,
    IllegalGenerationError,
    IllegalStateError,
    InvalidProducerEpoch,
    InvalidProducerIdMapping,
    InvalidTxnState,
    ProducerFenced,
    RebalanceInProgressError,
    UnknownMemberIdError,
)


@dataclass(frozen=True, slots=True)
class KafkaParams:
    """How to reach the cluster, and the limits of what is read and written.

    Attributes
    ----------
    bootstrap_servers
        "host:port,host:port"; the word "embedded" asks the app to start a broker of its own.
    group_instance_id
        Static membership when not empty: a restart within the session causes no rebalance.
    rebalance_timeout_s
        How long the other members wait for this one to hand its partitions over.
    request_timeout_s
        After this long any request, and the delivery of a record, counts as failed.
    fetch_wait_ms_max
        How long the broker may hold a fetch open when it has less than `fetch_bytes_min`. aiokafka
        has one fetch a node in flight, so it also bounds how long a partition waits for the fetch
        of another one.
    fetch_bytes_min
        What a fetch waits for, of all its partitions together: a fetch for each few records would
        cost the broker and this process more than the records do.
    fetch_bytes_max
        Of one partition in one fetch; this much is buffered for each partition.
    record_bytes_max
        Topics that Sentinel creates take records up to this size.
    batch_bytes_max
        Of one produced batch; brokers refuse more than 1,048,588 unless told otherwise.
    partitioner
        By which rule your producers place a transaction by the key that is its account.
    pending_batch_count_max
        Batches that may be on their way before `publish` waits.
    isolation
        "read_committed" leaves out what a producer has taken back: an aborted transaction never was
        a payment. It waits for transactions that are open. Who writes without transactions sees no
        difference.
    transaction_timeout_s
        With exactly-once delivery: how long a dead instance may hold up readers of committed
        records, if nobody takes its partitions over. Brokers allow 15 minutes at most.
    """

    bootstrap_servers: str = EMBEDDED
    group_id: str = "sentinel"
    client_id: str = "sentinel"
    group_instance_id: str = ""
    session_timeout_s: float = 30.0
    heartbeat_interval_s: float = 3.0
    max_poll_interval_s: float = 300.0
    rebalance_timeout_s: float = 20.0
    request_timeout_s: float = 30.0
    fetch_wait_ms_max: int = 5
    fetch_bytes_min: int = 65_536
    fetch_bytes_max: int = 1 << 20
    record_bytes_max: int = 16 << 20
    batch_bytes_max: int = 1_000_000
    pending_batch_count_max: int = 64
    partitioner: Partitioner = "murmur2"
    compression: Compression = "none"
    idempotence: bool = True
    isolation: Isolation = "read_committed"
    transaction_timeout_s: float = 60.0
    replication_factor: int = 1
    security_protocol: SecurityProtocol = "PLAINTEXT"
    sasl_mechanism: SaslMechanism = "PLAIN"
    sasl_username: str = ""
    sasl_password: str = field(default="", repr=False)
    ssl_ca_file: str = ""
    ssl_certificate_file: str = ""
    ssl_key_file: str = ""

    def __post_init__(self) -> None:
        for name in ("bootstrap_servers", "group_id", "client_id"):
            if not getattr(self, name):
                raise ValueError(f"{name} must not be empty")
        for name in (
            "pending_batch_count_max",
            "replication_factor",
            "fetch_bytes_min",
            "fetch_bytes_max",
        ):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        self._check_choices()
        self._check_times()
        if not 1024 <= self.batch_bytes_max <= self.record_bytes_max <= 1 << 30:
            raise ValueError("expected 1024 <= batch_bytes_max <= record_bytes_max <= 1 GiB")
        if self.security_protocol.startswith("SASL") and not self.sasl_username:
            raise ValueError(f"security_protocol {self.security_protocol} needs sasl_username")
        if bool(self.ssl_certificate_file) != bool(self.ssl_key_file):
            raise ValueError("ssl_certificate_file and ssl_key_file go together")

    def _check_choices(self) -> None:
        for name, choices in (
            ("compression", get_args(Compression)),
            ("isolation", get_args(Isolation)),
            ("partitioner", PARTITIONERS),
            ("security_protocol", get_args(SecurityProtocol)),
            ("sasl_mechanism", get_args(SaslMechanism)),
        ):
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} must be one of {choices}, got {getattr(self, name)!r}")

    def _check_times(self) -> None:
        # The broker forgets a member after the session; three heartbeats must fit, says Kafka.
        if not 0 < 3 * self.heartbeat_interval_s <= self.session_timeout_s:
            raise ValueError("expected 0 < 3 * heartbeat_interval_s <= session_timeout_s")
        if self.max_poll_interval_s < self.session_timeout_s:
            raise ValueError("expected session_timeout_s <= max_poll_interval_s")
        # The answer to a join comes when the slowest member has handed over: aiokafka gives that
        # request no longer than any other.
        if not 0 < self.rebalance_timeout_s < self.request_timeout_s:
            raise ValueError("expected 0 < rebalance_timeout_s < request_timeout_s")
        if not 1 <= self.transaction_timeout_s <= 900:
            raise ValueError("transaction_timeout_s must be in 1..900")
        if not 0 < self.fetch_wait_ms_max < self.request_timeout_s * 1000:
            raise ValueError("expected 0 < fetch_wait_ms_max < request_timeout_s * 1000")

    def embedded_at(self, servers: str) -> Self:
        """The same for the embedded broker, which knows neither idempotence nor security.

        Tansu lets the first member of a group wait for half a session, at least 1 s; and it forgets
        a silent member only when another one joins, so that a short session costs nothing. It looks
        through its log at each fetch, and again until there is as much as was asked for.
        """
        return replace(
            self,
            bootstrap_servers=servers,
            session_timeout_s=2.0,
            heartbeat_interval_s=0.5,
            fetch_wait_ms_max=max(self.fetch_wait_ms_max, 10),
            fetch_bytes_min=1,
            idempotence=False,
            isolation="read_uncommitted",
            security_protocol="PLAINTEXT",
        )


def connection_settings(params: KafkaParams) -> dict[str, Any]:
    """The keyword arguments that every client of aiokafka takes."""
    assert params.bootstrap_servers != EMBEDDED, "the app puts the real address in"
    ssl_context = None
    if params.security_protocol.endswith("SSL"):
        ssl_context = _ssl_context(params)
    return {
        "bootstrap_servers": params.bootstrap_servers,
        "client_id": params.client_id,
        "request_timeout_ms": milliseconds(params.request_timeout_s),
        "metadata_max_age_ms": METADATA_AGE_MS_MAX,
        "security_protocol": params.security_protocol,
        "ssl_context": ssl_context,
        "sasl_mechanism": params.sasl_mechanism,
        "sasl_plain_username": params.sasl_username or None,
        "sasl_plain_password": params.sasl_password or None,
    }


def _ssl_context(params: KafkaParams) -> ssl.SSLContext:
    """Checks the server's certificate, and its name, against the authority that was given."""
    files = (params.ssl_ca_file, params.ssl_certificate_file, params.ssl_key_file)
    try:
        ca, certificate, key = (file or None for file in files)
        context = create_ssl_context(cafile=ca, certfile=certificate, keyfile=key)
    except OSError as error:  # no such file, or nothing that TLS can use
        named = ", ".join(filter(None, files))
        raise ConfigError(f"[kafka] ssl_*_file: {named}: {error.strerror or error}") from error
    assert isinstance(context, ssl.SSLContext)
    return context


def fetch_settings(params: KafkaParams) -> dict[str, Any]:
    """The keyword arguments that the group member and the tail share."""
    return {
        "enable_auto_commit": False,
        "fetch_max_wait_ms": params.fetch_wait_ms_max,
        "fetch_min_bytes": params.fetch_bytes_min,
        "max_partition_fetch_bytes": params.fetch_bytes_max,
        "isolation_level": params.isolation,
    }


def lag_of(consumer: Any, partition: ClientPartition, params: KafkaParams) -> int | None:
    """Records of an assigned partition that wait; None before its first fetch."""
    # `position()` is a coroutine because it may wait for one; here it is known or it is not.
    # Counting records would never reach the end of a log whose last record is a control record.
    state = state_of(consumer, partition)
    end = readable_end(state, is_committed=params.isolation == "read_committed")
    if end is None or not state.has_valid_position:
        return None
    return max(0, end - int(state.position))


def readable_end(state: Any, *, is_committed: bool) -> int | None:
    """Behind the last record that can be read of a partition now; None before its first fetch."""
    # A reader of committed records cannot pass the last stable offset. Who knows no transactions
    # tells none.
    has_stable = is_committed and state.lso is not None and state.lso >= 0
    end = state.lso if has_stable else state.highwater
    return None if end is None else int(end)


def milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


async def stop_consumer(consumer: Any) -> None:
    """Leave the group and close the connections, also when the cluster is away.

    When a fetch is waiting to be repeated, `stop` ends in a CancelledError of the client's own
    making, before it has closed its connections; hence the task, and the second close.
    """
    stop = asyncio.create_task(consumer.stop())
    try:
        await asyncio.wait({stop}, timeout=CLOSE_S_MAX)
    finally:
        stop.cancel()
        await close_connections(consumer)
        await asyncio.wait({stop}, timeout=CLOSE_S_MAX)


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Turn what the client raises into what the engine understands."""
    try:
        yield
    except FENCING_ERRORS as error:
        raise FencedError(f"{doing}: {error!r}") from error
    except (KafkaError, OSError) as error:  # a timeout is an OSError
        raise TransientError(f"{doing}: {error!r}") from error
