"""Topics made and looked at, and a line for each: is it as it must be."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from sentinel.adapters.kafka import KafkaAdmin
from sentinel.config import Config
from sentinel.core.topics import TopicFacts, describe, findings, resolved
from sentinel.errors import ConfigError
from sentinel.operations.topics import topic_demands, topic_specs

Facts = Mapping[str, TopicFacts]
Line = tuple[str, bool]  # and whether what it tells of is right


async def created(config: Config) -> tuple[Facts, Facts]:
    """Make those that are missing: the topics as they were, and as they are."""
    specs = topic_specs(config)
    names = [spec.name for spec in specs]
    async with KafkaAdmin(config.kafka) as admin:
        before = await admin.topic_facts(names)
        counts = {name: facts.partition_count for name, facts in before.items()}
        missing = [spec for spec in resolved(specs, counts) if spec.name not in before]
        copies, brokers = config.kafka.replication_factor, await admin.broker_count()
        if missing and copies > brokers:
            raise ConfigError(
                f"{copies} copies of each record need as many brokers, there are {brokers}: "
                f"set --replication or kafka.replication_factor to 1..{brokers}"
            )
        await admin.ensure_topics([replace(spec, follows="") for spec in missing])
        return before, await admin.topic_facts(names)


def created_lines(config: Config, before: Facts, after: Facts) -> Iterator[Line]:
    """What became of each topic; wrong is one that is there with another partition count."""
    counts = {name: facts.partition_count for name, facts in before.items()}
    for spec in resolved(topic_specs(config), counts):
        facts = after[spec.name]
        is_right_count = facts.partition_count == spec.partition_count
        if spec.name not in before:
            yield f"created  {spec.name}: {describe(facts)}", True
        elif is_right_count or (spec.follows and facts.partition_count > spec.partition_count):
            yield f"is there {spec.name}: {describe(facts)}", True
        else:
            wanted = spec.partition_count
            yield f"wrong    {spec.name}: {describe(facts)}, wanted {wanted}", False


async def topic_facts(config: Config) -> Facts:
    """What there is of the topics that are needed."""
    async with KafkaAdmin(config.kafka) as admin:
        return await admin.topic_facts([spec.name for spec in topic_specs(config)])


def checked_lines(config: Config, facts: Facts) -> Iterator[Line]:
    """One line for each topic, or for each thing that is wrong with it."""
    for demands in topic_demands(config, facts):
        there = facts.get(demands.name)
        found = findings(demands, there)
        if there is not None and not any(f.severity in ("wrong", "warning") for f in found):
            yield f"ok       {demands.name}: {describe(there)}", True
        for finding in found:
            line = f"{finding.severity:<8} {demands.name}: {finding.text}"
            yield line, finding.severity != "wrong"
