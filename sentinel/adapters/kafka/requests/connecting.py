"""The first connection to a cluster: when it fails, why."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiokafka.conn import collect_hosts, create_conn
from aiokafka.errors import (
    AuthenticationFailedError,
    KafkaConnectionError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)

from sentinel.adapters.kafka.client import KafkaParams, connection_settings, translated
from sentinel.errors import TransientError

_PROBE_S_MAX = 5.0


@asynccontextmanager
async def connecting(params: KafkaParams, doing: str = "connect to") -> AsyncIterator[None]:
    """Run the body within the request timeout; TransientError says why there is no connection.

    The client merely says that it could not bootstrap, and logs the cause.
    """
    what = f"{doing} {params.bootstrap_servers}"
    try:
        with translated(what):
            async with asyncio.timeout(params.request_timeout_s):
                yield
    except TransientError as error:
        if not isinstance(error.__cause__, KafkaConnectionError):
            raise
        raise TransientError(f"{what}: {await _cause(params) or repr(error.__cause__)}") from error


async def _cause(params: KafkaParams) -> str:
    """What goes wrong with the first server; empty if it can be reached now."""
    settings = connection_settings(params)
    host, port, _ = collect_hosts(settings.pop("bootstrap_servers"), randomize=False)[0]
    del settings["metadata_max_age_ms"]
    try:
        async with asyncio.timeout(_PROBE_S_MAX):
            connection = await create_conn(host, port, **settings)
    except (OSError, KafkaError) as error:
        return _explained(error)
    connection.close()
    return ""


def _explained(error: Exception) -> str:
    match error:
        case ssl.SSLCertVerificationError():
            return f"the server's certificate is refused: {error.verify_message} (ssl_ca_file)"
        case ssl.SSLError():
            return f"TLS fails: {error.reason or error} (security_protocol)"
        case AuthenticationFailedError() | SaslAuthenticationFailed():
            return "the server refuses sasl_username or its password"
        case UnsupportedSaslMechanismError():
            return "the server does not know this sasl_mechanism"
        case TimeoutError():
            return "no answer in time"
        case ConnectionRefusedError():
            return "nobody listens there"
        case OSError():
            return error.strerror or str(error)
    return repr(error)
