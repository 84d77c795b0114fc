"""What a Redis server says of itself, and what of that matters to whoever trusts it."""

from collections.abc import Mapping
from typing import Any

from sentinel.ports import StoreFacts

VERSION_MIN = (6, 2)  # of Redis; Valkey tells the version of Redis that it stands for


def facts_of(info: Mapping[str, Any]) -> StoreFacts:
    """From the answer to INFO."""
    return StoreFacts(
        unfit=_unfit(info),
        run=str(info.get("run_id", "")),
        evicted_count=int(info.get("evicted_keys", 0)),
        may_evict=_may_evict(info),
        may_forget=_may_forget(info),
    )


def _unfit(info: Mapping[str, Any]) -> str:
    version = str(info.get("redis_version", ""))
    numbers = [int(word) for word in version.split(".")[:2] if word.isdigit()]
    if numbers and tuple(numbers) < VERSION_MIN:
        needed = ".".join(map(str, VERSION_MIN))
        return f"the server is Redis {version}, {needed} or newer is needed"
    if info.get("cluster_enabled"):
        return (
            "the server is one of a Redis Cluster, which has one database and spreads keys over "
            "servers: use a single server, with a replica and a failover behind one name"
        )
    policy = str(info.get("maxmemory_policy", ""))
    if policy.startswith("allkeys") and int(info.get("maxmemory", 0)):
        return (
            f"maxmemory-policy is {policy}: a full server would drop models, votes and fencing "
            "epochs, too; set it to noeviction"
        )
    return ""


def _may_evict(info: Mapping[str, Any]) -> str:
    policy, limit = str(info.get("maxmemory_policy", "noeviction")), int(info.get("maxmemory", 0))
    if policy == "noeviction" or limit == 0:
        return ""
    return (
        f"redis may drop entity state when its {limit / 2**20:,.0f} MB are full: "
        f"maxmemory-policy is {policy}, set it to noeviction"
    )


def _may_forget(info: Mapping[str, Any]) -> str:
    if info.get("aof_enabled") or int(info.get("connected_slaves", 0)):
        return ""
    return "redis writes no append-only file and has no replica: a restart loses what came last"
