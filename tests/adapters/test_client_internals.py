"""Which private members of aiokafka are used, and where: what to look at when it has a new version.

pyproject.toml bounds the version for them. A member that is gone fails here by its name, and not
as a riddle in a cluster.
"""

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.client import AIOKafkaClient
from aiokafka.consumer import fetcher
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.producer.message_accumulator import BatchBuilder, MessageAccumulator

from sentinel.adapters.kafka.fetching import PLACES, BlockResult
from sentinel.adapters.kafka.internals import PROCESS_FETCH

HOME = Path(__file__).parents[2] / "sentinel" / "adapters" / "kafka"

MEMBERS: dict[type, set[str]] = {
    AIOKafkaAdminClient: {"_client", "_send_request"},
    AIOKafkaClient: {"_maybe_wait_metadata", "_md_update_fut"},
    AIOKafkaConsumer: {"_client", "_coordinator", "_fetcher", "_subscription"},
    AIOKafkaProducer: {"_message_accumulator", "_sender", "_txn_manager"},
    BatchBuilder: {"_build"},
    GroupCoordinator: {"_do_commit_offsets", "_send_req"},
    MessageAccumulator: {"_batches", "_pending_batches"},
    fetcher.Fetcher: {
        *("_fetch_max_wait_ms", "_isolation_level", "_prefetch_backoff", "_proc_fetch_request"),
        "_records",
    },
}
# What `BlockResult` takes from the class that it extends.
INHERITED = {"_partition_records", "_topic_partition", "_update_position"}

OURS = {"_make"}  # of a named tuple


def private_members() -> Iterator[tuple[str, str]]:
    """What is reached for within something else, and the file that does."""
    for path in HOME.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Attribute) or not node.attr.startswith("_"):
                continue
            is_own = isinstance(node.value, ast.Name) and node.value.id in {"self", "cls"}
            if not is_own and not node.attr.startswith("__") and node.attr not in OURS:
                yield node.attr, path.name


def has(kind: type, name: str) -> bool:
    """Also what its methods set on each object."""
    return hasattr(kind, name) or f"self.{name} = " in inspect.getsource(kind)


@pytest.mark.parametrize(
    ("kind", "name"),
    [(kind, name) for kind, names in MEMBERS.items() for name in sorted(names)],
    ids=lambda one: one if isinstance(one, str) else one.__name__,
)
def test_the_client_has_the_private_member_that_is_used(kind: type, name: str) -> None:
    assert has(kind, name), f"another aiokafka: {kind.__name__} has no {name}"


@pytest.mark.parametrize("name", sorted(INHERITED))
def test_what_is_extended_has_the_private_member_that_is_used(name: str) -> None:
    assert issubclass(BlockResult, fetcher.FetchResult)
    assert has(fetcher.FetchResult, name), f"another aiokafka: FetchResult has no {name}"


@pytest.mark.parametrize("name", sorted(PLACES))
def test_the_methods_that_are_bound_anew_take_their_classes_by_name(name: str) -> None:
    code = getattr(fetcher.Fetcher, name).__code__

    assert PLACES[name].keys() <= set(code.co_names)
    assert not code.co_freevars


def test_each_private_member_that_is_used_is_named_above_and_each_named_one_is_used() -> None:
    used = {name for name, _ in private_members()} | {PROCESS_FETCH}
    assert used == set().union(*MEMBERS.values())


def test_private_members_are_used_in_one_file() -> None:
    assert {file for _, file in private_members()} == {"internals.py"}
