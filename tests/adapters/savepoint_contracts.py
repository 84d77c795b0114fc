"""What every savepoint store must do; `test_savepoints.py` runs it on the real one and its twin."""

import hashlib
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace

import pytest

from sentinel.codec.savepoints import PIECE_BYTES_MAX
from sentinel.errors import FencedError
from sentinel.ports import Savepoint, SavepointStore


@dataclass(frozen=True)
class Place:
    """Stores on the same data, and a hand that damages what they keep.

    Attributes
    ----------
    put
        Writes bytes in the place of the line that names the savepoint.
    """

    open: Callable[[], AbstractAsyncContextManager[SavepointStore]]
    put: Callable[[bytes], Awaitable[None]]


def a_savepoint(number: int = 1, *, pieces: tuple[bytes, ...] = (b"one", b"")) -> Savepoint:
    head = b"\x00\xff head of %d" % number
    sha256 = hashlib.sha256(head + b"".join(pieces)).hexdigest()
    return Savepoint(number, len(pieces), sha256, head)


async def written(
    store: SavepointStore, one: Savepoint, pieces: tuple[bytes, ...] = (b"one", b"")
) -> None:
    for number, piece in enumerate(pieces):
        await store.add_piece(one, number, piece)


async def a_savepoint_comes_back_as_it_was(place: Place) -> None:
    pieces = (bytes(range(256)) * (PIECE_BYTES_MAX // 256), b"", b"\r\nlast")
    one = a_savepoint(pieces=pieces)
    async with place.open() as store:
        assert await store.savepoint() is None
        await written(store, one, pieces)
        assert await store.savepoint() is None
        await store.keep(None, one)

    async with place.open() as store:
        assert await store.savepoint() == one
        assert [await store.piece(one, number) for number in range(4)] == [*pieces, None]


async def one_that_is_not_finished_leaves_the_one_before_it(place: Place) -> None:
    one, two = a_savepoint(1), a_savepoint(2)
    async with place.open() as store:
        await written(store, one)
        await store.keep(None, one)
        await store.add_piece(two, 0, b"one")
        for other in (two, a_savepoint(3)):
            with pytest.raises(FencedError):
                await store.keep(one, other)

        assert await store.savepoint() == one
        assert await store.piece(one, 0) == b"one"
        await store.add_piece(two, 1, b"")
        await store.add_piece(two, 0, b"one")
        await store.keep(one, two)
        assert await store.savepoint() == two
        assert await store.piece(two, 1) == b""


async def only_who_knows_the_one_before_may_replace_it(place: Place) -> None:
    one, two, three = (a_savepoint(number) for number in (1, 2, 3))
    async with place.open() as store, place.open() as another:
        for savepoint in (one, two, three):
            await written(store, savepoint)
        with pytest.raises(FencedError):
            await store.keep(one, two)
        await store.keep(None, one)
        await store.keep(one, two)
        for before in (None, one, three, replace(two, head=b"other")):
            with pytest.raises(FencedError):
                await another.keep(before, three)

        assert await another.savepoint() == two
        await another.keep(two, three)
        assert await store.savepoint() == three


async def one_of_the_same_number_and_other_contents_has_pieces_of_its_own(place: Place) -> None:
    """As when two trainers, of which one was left behind, save at the same time."""
    ours, theirs = a_savepoint(pieces=(b"ours",)), a_savepoint(pieces=(b"theirs",))
    async with place.open() as store, place.open() as another:
        await store.add_piece(ours, 0, b"ours")
        await another.add_piece(theirs, 0, b"theirs")
        await store.keep(None, ours)
        await another.add_piece(theirs, 0, b"theirs")

        assert await another.savepoint() == ours
        assert await another.piece(ours, 0) == b"ours"


async def a_line_that_cannot_be_read_is_as_if_there_were_none(place: Place) -> None:
    one, two = a_savepoint(1), a_savepoint(2)
    async with place.open() as store:
        await written(store, one)
        await store.keep(None, one)
        for damaged in (b"", b"{", b"[1]", b"\xff\x00"):
            await place.put(damaged)
            assert await store.savepoint() is None
        await written(store, two)
        with pytest.raises(FencedError):
            await store.keep(one, two)
        await store.keep(None, two)

        assert await store.savepoint() == two


CONTRACTS = (
    a_savepoint_comes_back_as_it_was,
    one_that_is_not_finished_leaves_the_one_before_it,
    only_who_knows_the_one_before_may_replace_it,
    one_of_the_same_number_and_other_contents_has_pieces_of_its_own,
    a_line_that_cannot_be_read_is_as_if_there_were_none,
)
