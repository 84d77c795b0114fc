"""The private parts of aiokafka that are used, each by a name: no other file reaches for one.

A test goes through them for each version that pyproject.toml admits. All objects are aiokafka's
own, which is untyped.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from copy import copy
from typing import Any

from aiokafka.consumer.fetcher import READ_COMMITTED, READ_UNCOMMITTED
from aiokafka.errors import KafkaError

PROCESS_FETCH = "_proc_fetch_request"  # of a fetcher: asks a broker, and unpacks the answer


def coordinator_of(consumer: Any) -> Any:
    """Who speaks to the coordinator of the consumer's group."""
    return consumer._coordinator


def fetcher_of(consumer: Any) -> Any:
    """Who fetches for a consumer."""
    return consumer._fetcher


def state_of(consumer: Any, partition: Any) -> Any:
    """What a consumer knows of a partition that is assigned to it."""
    return consumer._subscription.subscription.assignment.state_value(partition)


async def close_connections(consumer: Any) -> None:
    """Close a consumer's connections, whatever else it still does."""
    await consumer._client.close()


def has_unread(fetcher: Any, partition: Any) -> bool:
    """Whether records of a partition are here and not taken."""
    return partition in fetcher._records


def reads_committed(fetcher: Any) -> bool:
    """Whether it hides what is not committed."""
    return bool(fetcher._isolation_level == READ_COMMITTED)


def uncommitted(fetcher: Any) -> Any:
    """The same fetcher, to which nothing is hidden: only to ask it for offsets."""
    other = copy(fetcher)
    other._isolation_level = READ_UNCOMMITTED
    return other


def fetch_wait_ms(fetcher: Any) -> int:
    """How long a broker may hold its fetches open."""
    return int(fetcher._fetch_max_wait_ms)


def set_fetch_wait_ms(fetcher: Any, wait_ms: int) -> None:
    fetcher._fetch_max_wait_ms = wait_ms


def set_prefetch_backoff_s(fetcher: Any, backoff_s: float) -> None:
    """For so long a partition is not asked for while another one's records lie unread."""
    fetcher._prefetch_backoff = backoff_s


def wrap_commit(coordinator: Any, wrapped: Callable[[Callable[..., Any]], Any]) -> None:
    """Commit with what `wrapped` makes of the coordinator's own way."""
    coordinator._do_commit_offsets = wrapped(coordinator._do_commit_offsets)


def wrap_asking(coordinator: Any, wrapped: Callable[[Callable[..., Any]], Any]) -> None:
    """The same of each request to the coordinator."""
    coordinator._send_req = wrapped(coordinator._send_req)


async def ask_coordinator(coordinator: Any, request: Any) -> Any:
    """The coordinator's answer to a request of our own."""
    return await coordinator._send_req(request)


async def ask_broker(admin: Any, request: Any, node_id: int | None = None) -> Any:
    """The answer of one broker, or of any, to a request that the admin client has no method for."""
    return await admin._send_request(request, node_id)


def brokers_of(admin: Any) -> Collection[Any]:
    """The brokers that an admin client has heard of."""
    brokers: Collection[Any] = admin._client.cluster.brokers()
    return brokers


def built(batch: Any) -> bytes:
    """The bytes of a batch as they are sent."""
    return bytes(batch._build())


def transaction_of(producer: Any) -> Any:
    """The manager of a producer's transactions."""
    return producer._txn_manager


def sending_of(producer: Any) -> Any:
    """The task that sends a producer's batches; None before it has started."""
    return producer._sender.sender_task


async def stop_sending(producer: Any) -> None:
    """End that task; it may have been cancelled with the client, which is nothing to us."""
    closing: Awaitable[None] = producer._sender.close()
    await asyncio.gather(closing, return_exceptions=True)


def wait_for_no_metadata(client: Any) -> None:
    """A batch that a broker refused waits for fresh metadata; nobody fetches them any more."""

    async def at_once() -> None:
        pass

    client._maybe_wait_metadata = at_once
    if client._md_update_fut is not None and not client._md_update_fut.done():
        client._md_update_fut.set_result(False)


def fail_all(producer: Any) -> None:
    """Give up every batch that is queued or under way.

    The accumulator's own method does so, but takes each to be under way, which one that waits to be
    sent again is not, and leaves an exception that nobody looks at in one that was never sent.
    """
    accumulator = producer._message_accumulator
    for queue in accumulator._batches.values():
        for batch in queue:
            batch.drain_ready()
            accumulator._pending_batches.add(batch)
    accumulator.fail_all(KafkaError("the producer was closed"))
