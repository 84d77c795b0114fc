"""What a group has committed, once no transaction is left that may still change it (KIP-447).

Kafka shows the offsets of a transaction a moment after its end. Who asks without waiting for them
is told the offset before, and would decide again what is decided. The client (aiokafka 0.14) asks
so, by an older version of the request.
"""

import asyncio
from typing import Any

from aiokafka.errors import CoordinatorNotAvailableError, NoError, NotCoordinatorError, for_code
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Int64,
    Schema,
    TaggedFields,
)

from sentinel.adapters.kafka.internals import ask_coordinator
from sentinel.errors import ConfigError
from sentinel.records import Commit, TopicPartition

UNSTABLE_OFFSET_COMMIT = 88  # a code that the client does not know
_NOTHING = -1
_ASK_AGAIN_S = 0.02


class _OffsetFetchResponse(Response):  # type: ignore[misc]  # aiokafka is untyped
    API_KEY = 9
    API_VERSION = 7
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "topics",
            CompactArray(
                ("topic", CompactString("utf-8")),
                (
                    "partitions",
                    CompactArray(
                        ("partition", Int32),
                        ("offset", Int64),
                        ("leader_epoch", Int32),
                        ("metadata", CompactString("utf-8")),
                        ("error_code", Int16),
                        ("tags", TaggedFields),
                    ),
                ),
                ("tags", TaggedFields),
            ),
        ),
        ("error_code", Int16),
        ("tags", TaggedFields),
    )


class _OffsetFetchRequestStruct(RequestStruct):  # type: ignore[misc]  # aiokafka is untyped
    API_KEY = 9
    API_VERSION = 7
    RESPONSE_TYPE = _OffsetFetchResponse
    FLEXIBLE_VERSION = True
    SCHEMA = Schema(
        ("group_id", CompactString("utf-8")),
        (
            "topics",
            CompactArray(
                ("topic", CompactString("utf-8")),
                ("partitions", CompactArray(Int32)),
                ("tags", TaggedFields),
            ),
        ),
        ("require_stable", Boolean),
        ("tags", TaggedFields),
    )


class _OffsetFetchRequest(Request[_OffsetFetchRequestStruct]):  # type: ignore[misc]  # aiokafka is untyped
    API_KEY = 9

    def __init__(self, group_id: str, partition: TopicPartition) -> None:
        self._group_id = group_id
        no_tags: dict[int, bytes] = {}
        self._topics = [(partition.topic, [partition.partition], no_tags)]

    def build(self, request_struct_class: type[_OffsetFetchRequestStruct]) -> Any:
        return request_struct_class(self._group_id, self._topics, True, {})


async def stable_commit(coordinator: Any, partition: TopicPartition) -> Commit | None:
    """What the coordinator's group has committed for a partition; waits while it is in doubt.

    Raises ConfigError when the broker is older than Kafka 2.5, the client's errors else.
    """
    while True:
        await coordinator.ensure_coordinator_known()
        try:
            code, commit = await _ask(coordinator, partition)
        except NotImplementedError as error:  # the client's word for "no version that it knows"
            raise ConfigError(
                'engine.delivery = "exactly_once" needs Apache Kafka 2.5 or newer'
            ) from error
        if code == NoError.errno:
            return commit
        if code != UNSTABLE_OFFSET_COMMIT:
            kind = for_code(code)
            if kind in (CoordinatorNotAvailableError, NotCoordinatorError):
                coordinator.coordinator_dead()
            if not kind.retriable:
                raise kind(partition)
        await asyncio.sleep(_ASK_AGAIN_S)


async def _ask(coordinator: Any, partition: TopicPartition) -> tuple[int, Commit | None]:
    request = _OffsetFetchRequest(coordinator.group_id, partition)
    response = await ask_coordinator(coordinator, request)
    if response.error_code != NoError.errno:
        return response.error_code, None
    ((_, ((_, offset, _, metadata, code, _),), _),) = response.topics
    return code, None if offset == _NOTHING else Commit(offset, metadata or "")
