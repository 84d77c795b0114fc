"""Topics as a cluster of Apache Kafka describes them: copies, retention, compaction."""

from dataclasses import replace

from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from sentinel.adapters.kafka import KafkaAdmin, KafkaParams
from sentinel.core.topics import SETTINGS, TopicDemands, findings
from sentinel.engine.params import TopicParams
from sentinel.operations.topics import topic_demands, topic_specs
from tests.engine.samples import a_config


async def test_every_setting_that_is_judged_is_told(kafka_params: KafkaParams) -> None:
    client = AIOKafkaAdminClient(bootstrap_servers=kafka_params.bootstrap_servers)
    await client.start()
    settings = {
        "cleanup.policy": "compact,delete",
        "retention.ms": "86400000",
        "retention.bytes": "1000000",
        "min.insync.replicas": "2",
    }
    await client.create_topics([NewTopic("judged", 2, 1, topic_configs=settings)])
    await client.close()

    async with KafkaAdmin(kafka_params) as admin:
        found = await admin.topic_facts(["judged", "never-made"])

    assert found.keys() == {"judged"}
    facts = found["judged"]
    assert (facts.partition_count, facts.copy_count) == (2, 1)
    assert facts.settings.keys() >= set(SETTINGS)
    assert facts.settings.items() >= settings.items()
    demands = TopicDemands("judged", 2, "", 1, "all would be lost", history_ms=1 << 40)
    assert [finding.severity for finding in findings(demands, facts)] == [
        "warning",  # more copies are asked for than there are: Kafka 4 takes all there are
        "wrong",  # compacted
        *("warning", "warning"),  # what is kept for less long, and less of it
    ]


async def test_nothing_is_wrong_with_topics_that_sentinel_has_made(
    kafka_params: KafkaParams,
) -> None:
    config = replace(a_config(), kafka=kafka_params, topics=TopicParams(prefix="made-"))
    specs = topic_specs(config)
    async with KafkaAdmin(kafka_params) as admin:
        await admin.ensure_topics(specs)
        facts = await admin.topic_facts([spec.name for spec in specs])

    assert len(facts) == len(specs)
    for demands in topic_demands(config, facts):
        assert findings(demands, facts[demands.name]) == []
