"""Two repairs to how the client talks to the coordinator of its group (aiokafka 0.14)."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from aiokafka.errors import (
    CoordinatorNotAvailableError,
    NoError,
    NotCoordinatorError,
    UnknownMemberIdError,
    for_code,
)
from aiokafka.protocol.commit import OffsetCommitRequest, OffsetFetchRequest

from sentinel.adapters.kafka.internals import wrap_asking, wrap_commit

Ask = Callable[..., Awaitable[Any]]


def repair(coordinator: Any) -> None:
    """Make what would pass for an answer an error. Once, when the consumer has started."""
    _commit_as_a_member_only(coordinator)
    _hear_of_failed_fetches(coordinator)


def _commit_as_a_member_only(coordinator: Any) -> None:
    """Refuse to commit while this is no member of the group.

    A member that the group has expelled forgets its id and generation, to join anew. What it then
    commits looks like the commit of a program without a group, and Kafka takes it when the group is
    empty by now: over what a successor may have committed meanwhile.
    """

    def as_member(commit: Ask) -> Ask:
        async def commit_as_member(assignment: Any, offsets: Any) -> None:
            # A task of the client's, which nobody looks at any more when its caller was cancelled.
            task = asyncio.current_task()
            assert task is not None
            task.add_done_callback(_look_at)
            if coordinator.generation == OffsetCommitRequest.DEFAULT_GENERATION_ID:
                raise UnknownMemberIdError(coordinator.group_id)
            await commit(assignment, offsets)  # makes its request before it first waits

        return commit_as_member

    wrap_commit(coordinator, as_member)


def _look_at(task: "asyncio.Task[Any]") -> None:
    """Or asyncio complains of an exception that nobody saw."""
    if not task.cancelled():
        task.exception()


def _hear_of_failed_fetches(coordinator: Any) -> None:
    """Look at the error of a whole answer to "what is committed?".

    The client looks at those of single partitions only. A broker that is not the coordinator any
    more, or not yet, names none: to the client, nothing was ever committed.
    """

    def looking(send: Ask) -> Ask:
        async def send_and_look(request: Any) -> Any:
            response = await send(request)
            if isinstance(request, OffsetFetchRequest):
                error = for_code(getattr(response, "error_code", NoError.errno))
                if error in (CoordinatorNotAvailableError, NotCoordinatorError):
                    coordinator.coordinator_dead()
                if error is not NoError:
                    raise error()
            return response

        return send_and_look

    wrap_asking(coordinator, looking)
