"""The topics of a configuration: what they are created as, and what they must be like."""

import logging
from collections.abc import Mapping
from dataclasses import replace

from sentinel.adapters.kafka import KafkaParams
from sentinel.config import Config
from sentinel.core.topics import TopicDemands, TopicFacts, TopicSpec, findings
from sentinel.engine.topics import TOPICS, Topic
from sentinel.errors import ConfigError

log = logging.getLogger(__name__)

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
            partition_count=None if topic is TOPICS[0] else many if topic.is_spread else 1,
            because=_because(topic),
            more_are_fine=topic.is_spread,
            copy_count=config.kafka.replication_factor,
            if_compacted=topic.if_compacted,
            batch_bytes=0 if topic.is_input else config.kafka.batch_bytes_max,
            record_bytes=max(limits, default=0) if topic.setting == "dead_letters" else 0,
            history_ms=config.history_ms if topic.is_history else 0,
        )
        for topic in TOPICS
    ]


def refuse_wrong(config: Config, facts: Mapping[str, TopicFacts]) -> list[str]:
    """What health has to say of topics, a sentence each; what else is doubtful is logged.

    Raises ConfigError for what `topics check` calls wrong: records would be lost, or refused.
    Nothing is made of what the cluster does not tell.
    """
    found = [
        (finding, f"topic {demands.name}: {finding.text}")
        for demands in topic_demands(config, facts)
        if demands.name in facts
        for finding in findings(demands, facts[demands.name])
    ]
    wrong = [text for finding, text in found if finding.severity == "wrong"]
    if wrong:
        more = f" (and {len(wrong) - 1} more: `sentinel topics check`)" if len(wrong) > 1 else ""
        raise ConfigError(f"{wrong[0]}{more}")
    warned = [(finding, text) for finding, text in found if finding.severity == "warning"]
    for _, text in warned:
        log.warning("%s", text)
    return [text for finding, text in warned if finding.is_of_history]


def _name(config: Config, topic: Topic) -> str:
    return config.topics.full(getattr(config.topics, topic.setting))


def _because(topic: Topic) -> str:
    return (
        "as many as transactions has, `sentinel run` gives it more"
        if topic.is_spread
        else "everything in it must be in one order"
    )


def archive_kafka(config: Config) -> KafkaParams:
    """The archive reads in a group of its own, and only what was committed."""
    kafka = config.kafka
    isolation = "read_committed" if config.engine.delivery == "exactly_once" else kafka.isolation
    return replace(kafka, group_id=f"{kafka.group_id}-archive", isolation=isolation)
