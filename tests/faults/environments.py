"""Settings of the instances: those that are struck, and the oracle's."""

import os
from collections.abc import Mapping
from pathlib import Path

from tests.faults import drift_watch
from tests.faults.plan import Fault
from tests.faults.world import Servers

COMMIT_INTERVAL_S = 0.5
CLOCK = Path(__file__).parent / "clock"


def environment_of(servers: Servers, fault: Fault, folder: Path) -> dict[str, str]:
    """Short sessions and small caches, so that everything happens that can."""
    settings = {
        "KAFKA__BOOTSTRAP_SERVERS": servers.bootstrap_servers,
        "KAFKA__IDEMPOTENCE": "false" if servers.kafka is None else "true",
        "KAFKA__REPLICATION_FACTOR": "1"
        if servers.kafka is None
        else str(len(servers.kafka.nodes)),
        "KAFKA__SESSION_TIMEOUT_S": "2.0" if servers.kafka is None else "3.0",
        "KAFKA__HEARTBEAT_INTERVAL_S": "0.5",
        "KAFKA__REBALANCE_TIMEOUT_S": "6.0",
        "KAFKA__REQUEST_TIMEOUT_S": "8.0",
        "KAFKA__MAX_POLL_INTERVAL_S": "30.0",
        "REDIS__URL": servers.redis_url,
        "TOPICS__PARTITION_COUNT": str(fault.partition_count),
        "ENGINE__COMMIT_INTERVAL_S": str(COMMIT_INTERVAL_S),
        "ENGINE__BATCH_COUNT_MAX": "256",
        "ENGINE__SNAPSHOT_RATE_MAX": "2000",
        "ENGINE__RESTART_COUNT_MAX": "1000",
        "ENGINE__BACKOFF_S_MAX": "2.0",
        "MODEL__DIRECTORY": str(folder / "models"),
        "HTTP__BIND": "",  # instances run beside each other
    }
    if fault.watched_row_ms:
        settings |= drift_watch.SETTINGS
    found = {f"SENTINEL__{key}": value for key, value in settings.items()}
    found |= {"NUMBA_CACHE_DIR": os.environ.get("NUMBA_CACHE_DIR", "")}
    if not found["NUMBA_CACHE_DIR"]:
        del found["NUMBA_CACHE_DIR"]
    return found


def under_fire(environment: Mapping[str, str], folder: Path) -> dict[str, str]:
    return {
        **environment,
        "SENTINEL__KAFKA__GROUP_ID": "fire",
        "SENTINEL__REDIS__KEY_PREFIX": "fire",
        "FAULTS_CLOCK_FILE": str(folder / "clock"),
        "PYTHONPATH": os.pathsep.join([str(CLOCK), *filter(None, [os.environ.get("PYTHONPATH")])]),
    }


def in_peace(environment: Mapping[str, str]) -> dict[str, str]:
    """The same input, labels included; everything else is the oracle's own."""
    return {
        **environment,
        "SENTINEL__KAFKA__GROUP_ID": "oracle",
        "SENTINEL__REDIS__KEY_PREFIX": "oracle",
        "SENTINEL__TOPICS__DECISIONS": "oracle-decisions",
        "SENTINEL__TOPICS__ALERTS": "oracle-alerts",
        "SENTINEL__TOPICS__DEAD_LETTERS": "oracle-dead-letters",
        "SENTINEL__TOPICS__FEEDBACK": "oracle-feedback",
        "SENTINEL__TOPICS__SUMMARIES": "oracle-summaries",
        "SENTINEL__TOPICS__DRIFT_ALERTS": "oracle-drift-alerts",
    }
