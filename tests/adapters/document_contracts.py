"""What every store of documents must do; `test_documents.py` runs it on Redis and on its twin."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

from sentinel.documents import SCORE_MAX, Change, Documents

EVERY_BYTE = bytes(range(256))
SHORT_S = 2.0  # a lifetime that is changed before it ends, also where a second is lost
MANY = 2_500  # more than a script can have on its stack at once


@dataclass(frozen=True)
class Space:
    """Stores on the same names, and a way to let time pass for what they keep."""

    open: Callable[[], AbstractAsyncContextManager[Documents]]
    pass_s: Callable[[float], Awaitable[None]]


async def get(store: Documents, *names: str) -> list[bytes | None]:
    return await store.get(names, doing="read")


async def newest(store: Documents, index: str, begin: int = 0, count: int = 9_999) -> list[bytes]:
    return await store.newest(index, begin, count, doing="list")


async def entries(store: Documents, name: str, begin: int = 0, count: int = 9_999) -> list[bytes]:
    return await store.entries(name, begin, count, doing="list")


async def make(store: Documents, **parts: Any) -> bool:
    return await store.change(Change(**parts), doing="write")


async def what_is_put_is_read_by_others(space: Space) -> None:
    names = ["a", "a:b", "é \n\r\n*", ""]
    values = [EVERY_BYTE, b"", b"$-1\r\n", b"x" * 3_000_000]
    async with space.open() as store, space.open() as another:
        assert await get(store, *names) == [None] * 4
        assert await get(store) == []
        assert await make(store, puts=dict(zip(names, values, strict=True)))
        assert await get(another, *names, "b") == [*values, None]
        assert await get(another, "a:b") == [b""]
        assert await make(another, puts={"a": b"2"}, removed=["a:b", "was never there"])
        assert await get(store, "a", "a:b") == [b"2", None]


async def a_change_of_nothing_can_be_made(space: Space) -> None:
    async with space.open() as store:
        assert await make(store)
        assert await make(store, indexed={"i": {}}, unindexed={"i": []}, appended={"l": []})
        assert await newest(store, "i") == await entries(store, "l") == []


async def a_change_is_made_if_documents_are_as_they_must_be(space: Space) -> None:
    """To the byte, and none of it is made if one of them is not."""
    async with space.open() as store:
        assert await make(store, expected={"a": None, "b": None}, puts={"a": EVERY_BYTE, "b": b""})
        before = {"a": EVERY_BYTE, "b": b""}
        wrong: list[dict[str, bytes | None]] = [
            {"a": None},
            {"b": None},
            {"a": EVERY_BYTE[:-1]},
            {"a": b""},
            {"b": b"0"},
            {"c": b""},
            {**before, "c": b"x"},
            {"a": EVERY_BYTE, "b": b"x"},
        ]
        for expected in wrong:
            assert not await make(
                store,
                expected=expected,
                puts={"a": b"new", "c": b"new"},
                removed=["b"],
                indexed={"i": {b"m": 1}},
                appended={"l": [b"e"]},
            )
        assert await get(store, "a", "b", "c") == [EVERY_BYTE, b"", None]
        assert await newest(store, "i") == await entries(store, "l") == []

        assert await make(store, expected={**before, "c": None}, puts={"a": b"new"}, removed=["b"])
        assert await get(store, "a", "b") == [b"new", None]


async def of_two_at_once_one_makes_its_change(space: Space) -> None:
    async with space.open() as store, space.open() as another:
        assert await make(store, puts={"a": b"0"})
        made = await asyncio.gather(
            *(
                make([store, another][i % 2], expected={"a": b"0"}, puts={"a": b"%d" % i},
                     appended={"l": [b"%d" % i]})
                for i in range(1, 20)
            )
        )  # fmt: skip
        assert sum(made) == 1
        [winner] = [b"%d" % i for i, is_made in enumerate(made, 1) if is_made]
        assert await get(store, "a") == [winner]
        assert await entries(store, "l") == [winner]


async def what_must_be_there_must_be_there(space: Space) -> None:
    pieces = {f"p{i}": b"%d" % i for i in range(MANY)}
    async with space.open() as store:
        assert await make(store, puts=pieces)
        assert not await make(store, present=[*pieces, "another"], puts={"line": b"x"})
        assert await get(store, "line") == [None]
        assert await make(store, present=list(pieces), puts={"line": b"x"}, removed=["p7"])
        assert not await make(store, present=list(pieces), removed=["line"])
        assert await get(store, "line", "p7", "p8") == [b"x", None, b"8"]


async def a_document_is_forgotten_when_its_time_is_over(space: Space) -> None:
    async with space.open() as store:
        puts = dict.fromkeys(("short", "long", "good", "kept", "changed", "again"), b"x")
        assert await make(
            store,
            puts=puts,
            lifetimes={
                "short": SHORT_S, "long": 600.0, "good": None,
                "kept": SHORT_S, "changed": SHORT_S, "again": SHORT_S,
            },
        )  # fmt: skip
        lifetimes = {"kept": None, "changed": 600.0, "not there": 600.0, "long": SHORT_S}
        assert await make(store, lifetimes=lifetimes, puts={"again": b"y"})
        await space.pass_s(SHORT_S + 0.1)
        names = ("short", "long", "good", "kept", "changed", "again", "not there")
        assert await get(store, *names) == [None, None, b"x", b"x", b"x", b"y", None]
        assert not await make(store, present=["short"])
        assert await make(store, expected={"short": None}, puts={"short": b"new"})
        await space.pass_s(SHORT_S + 0.1)
        assert await get(store, "short") == [b"new"]


async def an_index_lists_the_highest_first(space: Space) -> None:
    """Of the same score by their bytes."""
    members = {b"a": 1, b"b": 3, b"\xff": 3, b"": 3, EVERY_BYTE: -SCORE_MAX, b"z": SCORE_MAX}
    order = [b"z", b"\xff", b"b", b"", b"a", EVERY_BYTE]
    async with space.open() as store:
        assert await newest(store, "i") == []
        assert await make(store, indexed={"i": members, "j": {b"other": 1}})
        assert await newest(store, "i") == order
        pages = [(0, 2), (2, 3), (5, 9), (6, 1), (0, 0), (3, 0)]
        for begin, count in pages:
            assert await newest(store, "i", begin, count) == order[begin : begin + count]
        assert await make(
            store, unindexed={"i": [b"z", b"b", b"nobody"]}, indexed={"i": {b"a": 5, b"b": 0}}
        )
        assert await newest(store, "i") == [b"a", b"\xff", b"", b"b", EVERY_BYTE]
        assert await newest(store, "j") == [b"other"]


async def an_index_keeps_the_newest_of_what_it_is_told_to(space: Space) -> None:
    async with space.open() as store:
        for begin in range(0, 2 * MANY, MANY):
            members = {b"%05d" % i: i for i in range(begin, begin + MANY)}
            assert await make(store, indexed={"i": members}, newest={"i": 1_200})
        expected = [b"%05d" % i for i in range(2 * MANY - 1, 2 * MANY - 1_201, -1)]
        assert await newest(store, "i") == expected
        assert await make(store, newest={"i": 2})
        assert await make(store, indexed={"i": {b"too old": 1}}, newest={"i": 2, "j": 1})
        assert await newest(store, "i") == expected[:2]
        assert await make(store, unindexed={"i": expected})
        assert await newest(store, "i") == []


async def a_list_grows_at_its_end(space: Space) -> None:
    many = [b"%d" % i for i in range(MANY)]
    async with space.open() as store:
        assert await entries(store, "l") == []
        assert await make(store, appended={"l": [EVERY_BYTE, b"", b""], "m": [b"x"]})
        assert await make(store, appended={"l": many})
        found = [EVERY_BYTE, b"", b"", *many]
        assert await entries(store, "l") == found
        for begin, count in ((0, 1), (1, 5), (len(found) - 1, 9), (len(found), 9), (0, 0)):
            assert await entries(store, "l", begin, count) == found[begin : begin + count]
        assert await entries(store, "m") == [b"x"]


async def all_of_it_in_one_change(space: Space) -> None:
    """As much of each as a large piece of work has."""
    names = [f"n{i}" for i in range(MANY)]
    values = {name: name.encode() for name in names}
    async with space.open() as store:
        for expected in (dict.fromkeys(names), values):
            assert await make(
                store,
                expected=expected,
                puts=values,
                lifetimes={**dict.fromkeys(names[::2], 60.0), "other": 60.0},
                indexed={"i": {x: i for i, x in enumerate(values.values())}, "j": {b"x": 1}},
                unindexed={"i": list(values.values())[::2], "k": [b"x"]},
                newest={"i": 10, "j": 10},
                appended={"l": list(values.values()), "m": [b"x"]},
            )
        assert await get(store, *names) == list(values.values())
        assert await newest(store, "i") == list(values.values())[:-11:-1]
        assert len(await entries(store, "l")) == 2 * MANY
        assert await make(store, present=names, removed=names)
        assert await get(store, *names) == [None] * MANY


async def what_is_cleared_is_as_if_it_had_never_been(space: Space) -> None:
    async with space.open() as store:
        await make(
            store,
            puts={"a": b"1", "b:c": b"2"},
            lifetimes={"a": 60.0},
            indexed={"i": {b"x": 1}},
            appended={"l": [b"x"]},
        )

        assert await store.clear(doing="forget") == 4

        assert await get(store, "a", "b:c") == [None, None]
        assert await newest(store, "i") == []
        assert await entries(store, "l") == []
        assert await store.clear(doing="forget") == 0


CONTRACTS: Sequence[Callable[[Space], Awaitable[None]]] = (
    what_is_put_is_read_by_others,
    a_change_of_nothing_can_be_made,
    a_change_is_made_if_documents_are_as_they_must_be,
    of_two_at_once_one_makes_its_change,
    what_must_be_there_must_be_there,
    a_document_is_forgotten_when_its_time_is_over,
    an_index_lists_the_highest_first,
    an_index_keeps_the_newest_of_what_it_is_told_to,
    a_list_grows_at_its_end,
    all_of_it_in_one_change,
    what_is_cleared_is_as_if_it_had_never_been,
)
