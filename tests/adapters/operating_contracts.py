"""What every store of operators' words must do; `test_operating.py` runs it on both of them."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace

from sentinel.ports import OperatingStore
from sentinel.records import AuditEntry
from sentinel.stored.switches import (
    CONFIG_COUNT_MAX,
    AppliedConfig,
    ConfigInForce,
    Switch,
    Switches,
)

Opening = Callable[[], AbstractAsyncContextManager[OperatingStore]]

ENTRY = AuditEntry("switch-1-drift", "switch", "drift", "é \x1b", 5, None, {"is_on": True})
PAUSED = Switches(drift=Switch("é \x1b[31m", 'why "not"', 5), number=1, untold=(ENTRY,))
APPLIED = AppliedConfig(
    {"policy.review_min": 0.1 + 0.2, "policy.recommended": {"low": ["a"]}}, "mia", "", 7, 1
)
CONFIG = ConfigInForce("0123456789ab", {"policy.review_min": 0.2}, {"kafka.url": "00"}, 5, "host-1")


async def what_is_said_is_read_by_others(opening: Opening) -> None:
    async with opening() as store, opening() as another:
        assert await store.switches() == Switches()
        assert await store.applied() == AppliedConfig()
        assert await store.change_switches(Switches(), PAUSED)
        assert await store.change_applied(AppliedConfig(), APPLIED)
        assert await another.switches() == PAUSED
        assert await another.applied() == APPLIED


async def of_two_at_once_one_is_first(opening: Opening) -> None:
    other = replace(PAUSED, learning=Switch("noa", "", 6))
    async with opening() as store, opening() as another:
        before = await store.switches()
        assert before == await another.switches()
        assert await another.change_switches(before, other)
        assert not await store.change_switches(before, PAUSED)
        assert await store.switches() == other
        assert await store.change_switches(other, replace(other, number=2))
        applied = await store.applied()
        assert await another.change_applied(applied, APPLIED)
        assert not await store.change_applied(applied, replace(APPLIED, who="noa"))
        assert (await store.applied()).who == "mia"


async def configurations_are_known_by_their_versions(opening: Opening) -> None:
    later = replace(CONFIG, version="ba9876543210", at_ms=9)
    async with opening() as store, opening() as another:
        assert await store.config(CONFIG.version) is None
        assert await store.configs(5) == []
        await store.keep_config(CONFIG)
        await store.keep_config(later)
        assert await another.config(CONFIG.version) == CONFIG
        assert await another.configs(5) == [later, CONFIG]
        again = replace(CONFIG, at_ms=12, instance="host-2")
        await another.keep_config(again)
        assert await store.configs(1) == [again]


async def only_the_newest_are_listed(opening: Opening) -> None:
    count = CONFIG_COUNT_MAX + 5
    async with opening() as store:
        for i in range(count):
            await store.keep_config(replace(CONFIG, version=f"{i:012x}", at_ms=i))
        found = await store.configs(count)
        assert [one.at_ms for one in found] == list(range(count - 1, 4, -1))


CONTRACTS = [
    what_is_said_is_read_by_others,
    of_two_at_once_one_is_first,
    configurations_are_known_by_their_versions,
    only_the_newest_are_listed,
]
