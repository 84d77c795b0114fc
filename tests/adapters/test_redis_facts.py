"""What a server's INFO means to whoever trusts it."""

from typing import Any

import pytest

from sentinel.adapters.redis.facts import facts_of

GOOD: dict[str, Any] = {
    "redis_version": "7.0.15",
    "run_id": "abc",
    "evicted_keys": 0,
    "maxmemory": 0,
    "maxmemory_policy": "noeviction",
    "aof_enabled": 1,
    "connected_slaves": 0,
    "cluster_enabled": 0,
}


def test_a_server_that_keeps_what_it_is_given_is_no_trouble() -> None:
    facts = facts_of(GOOD)

    assert (facts.unfit, facts.may_evict, facts.may_forget) == ("", "", "")
    assert (facts.run, facts.evicted_count) == ("abc", 0)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"redis_version": "6.0.16"}, "Redis 6.0.16, 6.2 or newer"),
        ({"redis_version": "5.0"}, "Redis 5.0, 6.2 or newer"),
        ({"cluster_enabled": 1}, "Redis Cluster"),
        ({"maxmemory_policy": "allkeys-lru", "maxmemory": 1 << 30}, "allkeys-lru"),
    ],
)
def test_what_cannot_work_is_said(change: dict[str, Any], word: str) -> None:
    assert word in facts_of({**GOOD, **change}).unfit


@pytest.mark.parametrize("version", ["6.2.14", "7.2.4", "8.0", "10.1.1", "", "unstable"])
def test_newer_servers_and_those_that_do_not_say_are_fit(version: str) -> None:
    assert facts_of({**GOOD, "redis_version": version}).unfit == ""


def test_what_is_risky_is_said() -> None:
    evicting = facts_of({**GOOD, "maxmemory": 64 << 20, "maxmemory_policy": "volatile-lru"})
    forgetful = facts_of({**GOOD, "aof_enabled": 0})

    assert "64 MB" in evicting.may_evict
    assert "volatile-lru" in evicting.may_evict
    assert forgetful.may_forget
    assert facts_of({**GOOD, "aof_enabled": 0, "connected_slaves": 1}).may_forget == ""
    assert facts_of({**GOOD, "maxmemory_policy": "allkeys-lru"}).may_evict == ""  # no limit


def test_a_server_that_tells_nothing_is_taken_as_it_is() -> None:
    assert facts_of({}).unfit == ""
