"""How to reach Redis, and what its client's errors mean to the engine."""

import re
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import hiredis
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ReadOnlyError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from sentinel.adapters.redis.resp import RespCommand
from sentinel.errors import ConfigError, TransientError

EMBEDDED = "embedded"

DAY_S = 86_400.0
_SCAN_COUNT = 1_000  # keys that the server looks at in one answer


@dataclass(frozen=True, slots=True)
class RedisParams:
    """Where Redis is, which of its numbered databases hold what, and the limits.

    Attributes
    ----------
    url
        "redis://host:port", "rediss://host:port" for TLS, or "unix:///path"; without credentials
        and without a database. The word "embedded" asks the app to start a Valkey of its own.
    state_ttl_s
        Entity state that nobody wrote for so long is forgotten: the longest window, with a margin.
    """

    url: str = EMBEDDED
    username: str = ""
    password: str = field(default="", repr=False)
    tls_ca_file: str = ""
    tls_certificate_file: str = ""
    tls_key_file: str = ""
    tls_check_hostname: bool = True
    state_db: int = 0
    feedback_db: int = 2
    registry_db: int = 3
    drift_db: int = 4
    experiments_db: int = 5
    key_prefix: str = "sentinel"
    connect_timeout_s: float = 2.0
    request_timeout_s: float = 2.0
    connection_count_max: int = 16
    state_ttl_s: float = 90 * DAY_S

    def __post_init__(self) -> None:
        self._check_url()
        databases = self.databases()
        if min(databases) < 0 or len(set(databases)) < len(databases):
            raise ValueError(f"the *_db numbers must be >= 0 and differ, got {databases}")
        for name in ("connect_timeout_s", "request_timeout_s", "connection_count_max"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        if self.state_ttl_s < 1:
            raise ValueError(f"state_ttl_s must be at least 1, got {self.state_ttl_s}")
        if not self.key_prefix or any(c.isspace() or c == ":" for c in self.key_prefix):
            raise ValueError("key_prefix must be a word without colons")
        if bool(self.tls_certificate_file) != bool(self.tls_key_file):
            raise ValueError("tls_certificate_file and tls_key_file go together")

    def _check_url(self) -> None:
        if self.url == EMBEDDED:
            return
        parts = urlsplit(self.url)
        if parts.scheme not in ("redis", "rediss", "unix"):
            raise ValueError("url must be embedded, redis://…, rediss://… or unix://…")
        if parts.username or parts.password:
            raise ValueError("url must not hold credentials; use username and password")
        if parts.scheme != "unix" and parts.path.strip("/"):
            raise ValueError("url must not name a database; the *_db keys do")

    def databases(self) -> tuple[int, ...]:
        """The numbers of all databases in use."""
        return (
            *(self.state_db, self.feedback_db, self.registry_db),
            *(self.drift_db, self.experiments_db),
        )


def connect(params: RedisParams, *, db: int) -> "Redis":
    """A client of one numbered database. It connects on first use; `aclose` it."""
    assert params.url != EMBEDDED, "the app puts the real address in"
    settings: dict[str, Any] = {
        "db": db,
        "username": params.username or None,
        "password": params.password or None,
        "decode_responses": False,  # blobs are bytes
        "protocol": 2,  # nothing here needs RESP3, and every server speaks this
        "socket_connect_timeout": params.connect_timeout_s,
        "socket_timeout": params.request_timeout_s,
        "max_connections": params.connection_count_max,
        # Once, at once: for a connection that the server had closed. The engine does the rest.
        "retry": Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
    }
    if params.url.startswith("rediss:"):
        _check_files(params)
        settings |= {
            "ssl_ca_certs": params.tls_ca_file or None,
            "ssl_certfile": params.tls_certificate_file or None,
            "ssl_keyfile": params.tls_key_file or None,
            "ssl_check_hostname": params.tls_check_hostname,
        }
    redis = Redis.from_url(params.url, **settings)
    pool = redis.connection_pool
    kind = pool.connection_class
    pool.connection_class = type(f"Packing{kind.__name__}", (_Packing, kind), {})
    return redis


class _Packing:
    """Lets hiredis write commands, for a connection of the asyncio client; some come written.

    The client's own writer takes 2 µs an argument, and a batch of entities has a thousand of them.

    And leaves a server that has become read-only: after a failover the name that it was found by
    may stand for another one, which only a new connection finds.

    And says of a connection that ends while it is made what the client says of all others.
    """

    async def send_packed_command(self, *args: Any, **options: Any) -> None:
        connection: Any = super()
        try:
            await connection.send_packed_command(*args, **options)
        except RuntimeError as error:  # uvloop's word for a connection that was closed meanwhile
            raise RedisConnectionError(str(error)) from error

    async def read_response(self, *args: Any, **options: Any) -> Any:
        connection: Any = super()
        try:
            return await connection.read_response(*args, **options)
        except ReadOnlyError:
            await cast("Any", self).disconnect(nowait=True)
            raise

    def pack_command(self, *args: Any) -> list[bytes]:
        if isinstance(args[-1], RespCommand):
            return [args[-1].data]
        head = args[0] if isinstance(args[0], bytes) else str(args[0]).encode()
        return [hiredis.pack_command((*head.split(), *args[1:]))]  # "SCRIPT LOAD" is two words

    def pack_commands(self, commands: Iterable[Iterable[Any]]) -> list[bytes]:
        return [b"".join([self.pack_command(*command)[0] for command in commands])]


async def keys_of(redis: "Redis", prefix: str) -> AsyncIterator[list[bytes]]:
    """Every key that begins so, some at a time; a page may be empty, and a key come twice."""
    client, cursor = cast("Any", redis), 0
    literally = re.sub(r"([*?\[\]\\^])", r"\\\1", prefix)
    while True:
        with translated("look for keys"):
            cursor, keys = await client.scan(cursor, match=f"{literally}*", count=_SCAN_COUNT)
        yield keys
        if cursor == 0:
            return


async def unlink_all(redis: "Redis", prefix: str) -> int:
    """Forget every key that begins so; returns how many there were."""
    count = 0
    async for keys in keys_of(redis, prefix):
        if keys:
            count += int(await redis.unlink(*keys))
    return count


def _check_files(params: RedisParams) -> None:
    """Whether the files of TLS can be read. Raises ConfigError."""
    for name in ("tls_ca_file", "tls_certificate_file", "tls_key_file"):
        if file := getattr(params, name):
            try:
                Path(file).read_bytes()
            except OSError as error:
                raise ConfigError(
                    f"[redis] {name}: {file}: cannot be read: {error.strerror}"
                ) from error


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Turn what the client raises into what the engine understands.

    Of the answers of a living server, too, most pass: out of memory, loading, read-only after a
    failover. Those that do not end the process after the engine's last try.
    """
    try:
        yield
    except (RedisConnectionError, RedisTimeoutError, ResponseError, OSError) as error:
        raise TransientError(f"redis, {doing}: {type(error).__name__}: {error}") from error
