"""Who else is in a consumer group: another program there takes what is ours to read."""

import asyncio
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from aiokafka.coordinator.protocol import ConsumerProtocol, ConsumerProtocolMemberMetadata
from aiokafka.errors import KafkaError

_TIMEOUT_S = 5.0
_SAID_MAX = 3


class Member(NamedTuple):
    """One member, as its coordinator knows it."""

    client: str
    host: str
    topics: frozenset[str]  # that it wants to read; none where that cannot be told


async def members(admin_client: Any, group_id: str) -> list[Member]:
    """The members that there are now; none where the cluster does not tell us."""
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            answers = await admin_client.describe_consumer_groups([group_id])
    # An old broker, no right to ask, a coordinator that moves: nothing depends on it.
    except (KafkaError, NotImplementedError, OSError):
        return []
    return [one for answer in answers for one in _members_of(answer.to_object())]


def described(found: Iterable[Member]) -> str:
    """Members for a person to read, the first few of them."""
    names = sorted({f"{one.client} at {one.host}" for one in found})
    more = f" and {len(names) - _SAID_MAX} more" if len(names) > _SAID_MAX else ""
    return ", ".join(names[:_SAID_MAX]) + more


def _members_of(answer: dict[str, Any]) -> Iterator[Member]:
    for group in answer["groups"]:
        is_consumers = group["protocol_type"] == ConsumerProtocol.PROTOCOL_TYPE
        if is_consumers and group["state"] != "Stable":
            continue  # in a rebalance nobody is told what they read
        for one in group["members"]:
            if not one["client_id"]:
                continue  # Tansu tells that there is a member, and nothing of it
            topics = _topics(one["member_metadata"]) if is_consumers else frozenset()
            yield Member(one["client_id"], one["client_host"].lstrip("/"), topics)


def _topics(metadata: bytes | None) -> frozenset[str]:
    """What a member has said that it subscribes to; it may have said anything."""
    try:
        return frozenset(ConsumerProtocolMemberMetadata.decode(metadata or b"").subscription)
    except ValueError:  # cut off, or no text
        return frozenset()
