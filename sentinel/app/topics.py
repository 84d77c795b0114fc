"""What the topics of a configuration must be like."""

from collections.abc import Mapping

from sentinel.app.assembly import topic_specs
from sentinel.config import Config
from sentinel.core.topics import TopicDemands, TopicFacts


def topic_demands(config: Config, facts: Mapping[str, TopicFacts]) -> list[TopicDemands]:
    """What Sentinel needs of each of its topics, given those that there are."""
    topics = config.topics
    transactions, feedback = topics.full(topics.transactions), topics.full(topics.feedback)
    there = facts.get(transactions)
    many = topics.partition_count if there is None else there.partition_count
    limits = [
        facts[name].number("max.message.bytes") or 0
        for name in (transactions, feedback)
        if name in facts
    ]
    history_ms = max((f.window_ms + f.delay_ms for f in config.features), default=0)
    newest = "only the newest of each account would be kept"
    if_compacted = {
        topics.transactions: newest,
        topics.decisions: newest,
        topics.alerts: newest,
        topics.feedback: "only the last word on each transaction would be kept",
        topics.labels: "a replay would apply other labels than before",
        topics.examples: "what a label superseded could not be read again",
        topics.control: "commands would be lost",
        topics.audit: "only the last change of each transaction would be kept",
        topics.model_updates: "only the last change of each version would be kept",
        topics.dead_letters: "a record without a key would be refused, and stop everything",
    }
    demands = []
    for name, spec in zip(topics.names(), topic_specs(config), strict=True):
        assert spec.name == topics.full(name)
        count, because = spec.partition_count, "everything in it must be in one order"
        if name == topics.transactions:
            because = "topics.partition_count says so"
        elif name in (topics.decisions, topics.alerts):
            count, because = many, "as many as transactions has"
        is_input = name in (topics.transactions, topics.feedback)
        demands.append(
            TopicDemands(
                name=spec.name,
                partition_count=count,
                because=because,
                copy_count=config.kafka.replication_factor,
                if_compacted=if_compacted[name],
                batch_bytes=0 if is_input else config.kafka.batch_bytes_max,
                record_bytes=max(limits, default=0) if name == topics.dead_letters else 0,
                history_ms=history_ms if name in (topics.transactions, topics.labels) else 0,
            )
        )
    return demands
