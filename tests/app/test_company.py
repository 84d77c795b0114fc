"""Who else is in the consumer group, and what is said of it."""

import logging
from collections.abc import Sequence

import pytest

from sentinel.adapters.kafka import GroupMember, described
from sentinel.adapters.kafka.requests.group_members import _members_of
from sentinel.app.company import Company

OURS = GroupMember("sentinel", "10.0.0.1", frozenset({"transactions", "feedback"}))
THIEF = GroupMember("console", "10.0.0.9", frozenset({"transactions"}))
NEIGHBOUR = GroupMember("billing", "10.0.0.8", frozenset({"bills"}))


@pytest.mark.parametrize(
    ("others", "said"),
    [
        ([], ""),
        ([OURS], ""),
        ([THIEF], "console at 10.0.0.9; what it reads is not decided"),
        ([NEIGHBOUR], "billing at 10.0.0.8"),
        ([NEIGHBOUR, THIEF], "billing at 10.0.0.8, console at 10.0.0.9; what it reads"),
    ],
)
async def test_a_member_that_reads_something_else_is_a_stranger(
    others: list[GroupMember], said: str
) -> None:
    async def members() -> Sequence[GroupMember]:
        return [OURS, *others]

    company = Company(members, ["transactions", "feedback"])
    await company.look()

    assert said in company.trouble
    assert bool(company.trouble) == bool(said)


async def test_strangers_are_said_once_and_that_they_have_gone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    found = iter([[OURS], [THIEF], [THIEF], [], []])

    async def members() -> Sequence[GroupMember]:
        return next(found)

    company = Company(members, ["transactions", "feedback"])
    for _ in range(5):
        await company.look()

    assert [message.partition(":")[0] for message in caplog.messages] == [
        "another program is in the consumer group",
        "no other program is in the consumer group any more",
    ]


def test_of_many_strangers_the_first_few_are_named() -> None:
    many = [GroupMember(f"m{i}", "h", frozenset()) for i in range(5)]
    assert described(many) == "m0 at h, m1 at h, m2 at h and 2 more"


@pytest.mark.parametrize("metadata", [None, b"", b"\x00", b"\x00\x00\x7f\xff\xff\xff", b"\xff" * 9])
def test_what_a_member_has_said_of_itself_may_be_anything(metadata: bytes | None) -> None:
    member = {"client_id": "x", "client_host": "/h", "member_metadata": metadata}
    group = {"protocol_type": "consumer", "state": "Stable", "members": [member]}

    [found] = _members_of({"groups": [group]})

    assert found == GroupMember("x", "h", frozenset())


def test_a_group_of_another_kind_is_all_strangers_and_a_rebalance_tells_nothing() -> None:
    member = {"client_id": "x", "client_host": "/h", "member_metadata": b"anything"}
    connect = {"protocol_type": "connect", "state": "Stable", "members": [member]}
    joining = {"protocol_type": "consumer", "state": "PreparingRebalance", "members": [member]}

    assert [one.client for one in _members_of({"groups": [connect, joining]})] == ["x"]
