"""`topics check` looks at where the newest transactions are."""

from dataclasses import replace

import pytest

from sentinel.config import Config
from sentinel.core.partitioning import Partitioner, PartitionOf
from sentinel.operations.entities.placement import findings_of
from tests.engine.samples import a_config

ACCOUNTS = [f"a{i}" for i in range(40)]


def a_partitioner(partitioner: Partitioner) -> Config:
    config = a_config(4)
    return replace(config, kafka=replace(config.kafka, partitioner=partitioner))


def placed(partitioner: Partitioner) -> dict[int, list[str]]:
    rule = PartitionOf(4, partitioner)
    found: dict[int, list[str]] = {}
    for account in ACCOUNTS:
        found.setdefault(rule(account), []).append(account)
    return found


@pytest.mark.parametrize("named", ["murmur2", "crc32"])
@pytest.mark.parametrize("real", ["murmur2", "crc32"])
def test_the_rule_that_fits_is_named(named: Partitioner, real: Partitioner) -> None:
    found = findings_of(placed(real), 4, a_partitioner(named))

    if named == real:
        assert found == []
    else:
        (finding,) = found
        assert finding.severity == "warning"
        assert finding.text.endswith(f'set it to "{real}"')
        assert f"of {len(ACCOUNTS)} transactions" in finding.text


def test_where_no_rule_fits_any_is_what_is_left() -> None:
    (finding,) = findings_of({0: ACCOUNTS}, 4, a_partitioner("murmur2"))
    assert finding.text.endswith('set it to "any"')


def test_who_has_said_any_is_not_asked() -> None:
    assert findings_of({0: ACCOUNTS}, 4, a_partitioner("any")) == []


def test_of_nothing_nothing_is_said() -> None:
    assert findings_of({}, 4, a_partitioner("murmur2")) == []
