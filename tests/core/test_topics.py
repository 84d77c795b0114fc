"""What is said of a topic that is not as it should be, and that nothing is said of one that is."""

from dataclasses import replace

import pytest

from sentinel.core.topics import SETTINGS, Finding, TopicDemands, TopicFacts, describe, findings

DAY_MS = 86_400_000

GOOD = {
    "cleanup.policy": "delete",
    "max.message.bytes": "16777216",
    "min.insync.replicas": "2",
    "retention.bytes": "-1",
    "retention.ms": str(60 * DAY_MS),
    "unclean.leader.election.enable": "false",
}
DEMANDS = TopicDemands(
    name="labels",
    partition_count=1,
    because="one order",
    copy_count=3,
    if_compacted="labels would vanish",
    batch_bytes=1_000_000,
    record_bytes=2_000_000,
    history_ms=37 * DAY_MS,
)
FACTS = TopicFacts(1, 3, GOOD)


def of(change: dict[str, str]) -> list[Finding]:
    return findings(DEMANDS, replace(FACTS, settings=GOOD | change))


def test_of_a_topic_that_is_as_it_should_be_nothing_is_said() -> None:
    assert findings(DEMANDS, FACTS) == []
    assert of({"retention.ms": "-1"}) == []
    assert describe(FACTS) == "1 partition, 3 copies, kept 60 days, records up to 16,777,216 bytes"
    assert describe(TopicFacts(4, 1, {"retention.ms": "-1"})) == (
        "4 partitions, 1 copy, kept for ever"
    )


def test_a_topic_that_is_not_there_is_wrong() -> None:
    [finding] = findings(DEMANDS, None)

    assert finding.severity == "wrong"
    assert "`sentinel topics create`" in finding.text


@pytest.mark.parametrize(
    ("change", "severity", "text"),
    [
        ({"cleanup.policy": "compact"}, "wrong", "must be delete: labels would vanish"),
        ({"cleanup.policy": "compact,delete"}, "wrong", "is compact,delete"),
        ({"max.message.bytes": "999999"}, "wrong", "full batches are refused"),
        ({"max.message.bytes": "1048588"}, "warning", "other topics take records of 2,000,000"),
        (
            {"min.insync.replicas": "4"},
            "warning",
            "is 4, and there are 3 copies: brokers before Kafka 4",
        ),
        ({"min.insync.replicas": "3"}, "warning", "refused while one broker is away"),
        ({"min.insync.replicas": "1"}, "warning", "is lost with it"),
        (
            {"retention.ms": str(7 * DAY_MS)},
            "warning",
            "retention.ms keeps 7 days, features look back 37 days",
        ),
        ({"retention.bytes": "1000000"}, "warning", "keeps 1,000,000 bytes"),
        ({"unclean.leader.election.enable": "true"}, "warning", "records may be lost"),
    ],
)
def test_a_setting_that_does_harm_is_named(
    change: dict[str, str], severity: str, text: str
) -> None:
    found = of(change)

    assert severity in {finding.severity for finding in found}
    assert any(text in finding.text for finding in found), found


def test_more_partitions_are_fine_where_they_are_and_any_where_nobody_asks() -> None:
    spread = replace(DEMANDS, partition_count=3, more_are_fine=True)

    assert findings(spread, replace(FACTS, partition_count=4)) == []
    (finding,) = findings(spread, replace(FACTS, partition_count=2))
    assert finding == Finding("wrong", "has 2 partitions, needs 3: one order")
    assert findings(replace(DEMANDS, partition_count=None), replace(FACTS, partition_count=9)) == []


def test_partitions_and_copies_are_counted() -> None:
    found = findings(DEMANDS, replace(FACTS, partition_count=4, copy_count=2))

    assert found == [
        Finding("wrong", "has 4 partitions, needs 1: one order"),
        Finding("warning", "has 2 copies of each record, kafka.replication_factor is 3"),
        Finding(
            "warning",
            "min.insync.replicas is 2, and there are 2 copies: "
            "writes are refused while one broker is away",
        ),
    ]


def test_one_copy_and_one_broker_is_a_choice() -> None:
    settings = GOOD | {"min.insync.replicas": "1"}
    demands = replace(DEMANDS, copy_count=1)

    assert findings(demands, TopicFacts(1, 1, settings)) == []


def test_how_long_it_is_kept_matters_where_history_is_needed() -> None:
    assert findings(replace(DEMANDS, history_ms=0), replace(FACTS, settings=GOOD | SHORT)) == []


SHORT = {"retention.ms": "1", "retention.bytes": "1"}


def test_what_the_broker_does_not_tell_is_unknown() -> None:
    [finding] = findings(DEMANDS, replace(FACTS, settings={}))

    assert finding == Finding("unknown", f"the broker does not tell {', '.join(SETTINGS)}")
