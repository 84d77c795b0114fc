"""Which topic it is: the id that Kafka gives each one when it is created (KIP-516).

A topic that is deleted and made again has the same name and another id, and its offsets begin anew.
The client (aiokafka 0.14) asks for metadata by an older version of the request, which has no ids.
"""

from collections.abc import Sequence
from io import BytesIO
from typing import Any

from aiokafka.errors import (
    IncompatibleBrokerVersion,
    NoError,
    UnknownTopicOrPartitionError,
    for_code,
)
from aiokafka.protocol.abstract import AbstractType
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

from sentinel.adapters.kafka.internals import ask_broker

_NO_ID = bytes(16)
_NO_TAGS: dict[int, bytes] = {}


class _Uuid(AbstractType):  # type: ignore[misc]  # aiokafka is untyped
    @classmethod
    def encode(cls, value: bytes) -> bytes:
        assert len(value) == len(_NO_ID)
        return value

    @classmethod
    def decode(cls, data: BytesIO) -> bytes:
        found = data.read(len(_NO_ID))
        if len(found) != len(_NO_ID):
            raise ValueError("a topic id is cut off")
        return found


class _MetadataResponse(Response):  # type: ignore[misc]  # aiokafka is untyped
    API_KEY = 3
    API_VERSION = 10
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(
                ("node_id", Int32),
                ("host", CompactString("utf-8")),
                ("port", Int32),
                ("rack", CompactString("utf-8")),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_id", CompactString("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("topic", CompactString("utf-8")),
                ("topic_id", _Uuid),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", CompactArray(Int32)),
                        ("isr", CompactArray(Int32)),
                        ("offline_replicas", CompactArray(Int32)),
                        ("tags", TaggedFields),
                    ),
                ),
                ("authorized_operations", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("authorized_operations", Int32),
        ("tags", TaggedFields),
    )


class _MetadataRequestStruct(RequestStruct):  # type: ignore[misc]  # aiokafka is untyped
    API_KEY = 3
    API_VERSION = 10
    RESPONSE_TYPE = _MetadataResponse
    FLEXIBLE_VERSION = True
    SCHEMA = Schema(
        (
            "topics",
            CompactArray(
                ("topic_id", _Uuid), ("topic", CompactString("utf-8")), ("tags", TaggedFields)
            ),
        ),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_authorized_operations", Boolean),
        ("include_topic_authorized_operations", Boolean),
        ("tags", TaggedFields),
    )


class _MetadataRequest(Request[_MetadataRequestStruct]):  # type: ignore[misc]  # aiokafka is untyped
    API_KEY = 3

    def __init__(self, topics: Sequence[str]) -> None:
        self._topics = [(_NO_ID, topic, _NO_TAGS) for topic in topics]

    def build(self, request_struct_class: type[_MetadataRequestStruct]) -> Any:
        return request_struct_class(self._topics, False, False, False, _NO_TAGS)


async def topic_id(client: Any, topic: str) -> tuple[str, int] | None:
    """The id of a topic, in hex, and its partition count; None when there is no such topic.

    The id is empty where the broker gives topics none. Raises the client's errors, and
    NotImplementedError of a broker that is older than Kafka 2.8.

    Parameters
    ----------
    client
        aiokafka's admin client, started.
    """
    try:
        answer = await ask_broker(client, _MetadataRequest([topic]))
    except IncompatibleBrokerVersion as error:
        raise NotImplementedError from error
    ((code, _, found, _, partitions, *_),) = answer.topics
    if code == UnknownTopicOrPartitionError.errno:
        return None
    if code != NoError.errno:
        raise for_code(code)(topic)
    return "" if found == _NO_ID else found.hex(), len(partitions)
