"""The topics of a configuration: what they are created as, and what they must be like."""

from collections.abc import Mapping

from sentinel.config import Config
from sentinel.core.topics import TopicDemands, TopicFacts, TopicSpec
from sentinel.engine.topics import TOPICS, Topic

# What Kafka keeps where nobody says otherwise: no topic of ours is made to keep less.
_RETENTION_MS_MIN = 7 * 86_400_000


def topic_specs(config: Config) -> list[TopicSpec]:
    """The topics that an instance needs, in the order of the table."""
    many = config.topics.partition_count
    return [
        TopicSpec(
            _name(config, topic),
            many if topic.is_spread else 1,
            max(config.history_ms, _RETENTION_MS_MIN) if topic.is_history else None,
            is_free=topic is TOPICS[0],
            follows=_name(config, TOPICS[0]) if topic.is_spread and topic is not TOPICS[0] else "",
        )
        for topic in TOPICS
    ]


def topic_demands(config: Config, facts: Mapping[str, TopicFacts]) -> list[TopicDemands]:
    """What Sentinel needs of each of its topics, given those that there are."""
    there = facts.get(_name(config, TOPICS[0]))
    many = config.topics.partition_count if there is None else there.partition_count
    limits = [
        facts[name].number("max.message.bytes") or 0
        for name in (_name(config, topic) for topic in TOPICS if topic.is_input)
        if name in facts
    ]
    return [
        TopicDemands(
            name=_name(config, topic),
            partition_count=_count(config, topic, many),
            because=_because(topic),
            copy_count=config.kafka.replication_factor,
            if_compacted=topic.if_compacted,
            batch_bytes=0 if topic.is_input else config.kafka.batch_bytes_max,
            record_bytes=max(limits, default=0) if topic.setting == "dead_letters" else 0,
            history_ms=config.history_ms if topic.is_history else 0,
        )
        for topic in TOPICS
    ]


def _name(config: Config, topic: Topic) -> str:
    return config.topics.full(getattr(config.topics, topic.setting))


def _count(config: Config, topic: Topic, many: int) -> int:
    if topic.setting == "transactions":
        return config.topics.partition_count
    return many if topic.is_spread else 1


def _because(topic: Topic) -> str:
    if topic.setting == "transactions":
        return "topics.partition_count says so"
    return (
        "as many as transactions has"
        if topic.is_spread
        else "everything in it must be in one order"
    )
