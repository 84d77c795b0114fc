"""`sentinel topics`: make what is missing, and say what is wrong with what there is."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import typer

from sentinel import config as configuration
from sentinel.adapters.kafka import KafkaAdmin
from sentinel.config import Config
from sentinel.core.topics import TopicFacts, describe, findings, resolved
from sentinel.errors import ConfigError
from sentinel.operations import embedded
from sentinel.operations.placement import placement_findings
from sentinel.operations.topics import topic_demands, topic_specs


def create_command(
    config_file: Path | None, *, partition_count: int | None, replication: int | None
) -> bool:
    """Make the topics that are missing; False when one that is there has another partition count.

    Those that are there are left as they are.
    """
    config = embedded.running(configuration.load(config_file))
    wanted = partition_count or config.topics.partition_count
    config = replace(
        config,
        topics=replace(config.topics, partition_count=wanted),
        kafka=replace(
            config.kafka, replication_factor=replication or config.kafka.replication_factor
        ),
    )
    before, after = asyncio.run(_create(config))
    is_right = True
    counts = {name: facts.partition_count for name, facts in before.items()}
    for spec in resolved(topic_specs(config), counts):
        facts = after[spec.name]
        is_right_count = facts.partition_count == spec.partition_count
        if spec.name not in before:
            typer.echo(f"created  {spec.name}: {describe(facts)}")
        elif is_right_count or (spec.follows and facts.partition_count > spec.partition_count):
            typer.echo(f"is there {spec.name}: {describe(facts)}")
        else:
            is_right = False
            typer.echo(f"wrong    {spec.name}: {describe(facts)}, wanted {spec.partition_count}")
    return is_right


async def _create(config: Config) -> tuple[Mapping[str, TopicFacts], Mapping[str, TopicFacts]]:
    """The topics as they were, and as they are."""
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


def check_topics_command(config_file: Path | None) -> bool:
    """One line for each topic or thing that is wrong with it; False when something is wrong."""
    config = embedded.running(configuration.load(config_file))
    names = [spec.name for spec in topic_specs(config)]

    async def main() -> Mapping[str, TopicFacts]:
        async with KafkaAdmin(config.kafka) as admin:
            return await admin.topic_facts(names)

    facts = asyncio.run(main())
    is_right = True
    for demands in topic_demands(config, facts):
        there = facts.get(demands.name)
        found = findings(demands, there)
        if there is not None and not any(f.severity in ("wrong", "warning") for f in found):
            typer.echo(f"ok       {demands.name}: {describe(there)}")
        for finding in found:
            typer.echo(f"{finding.severity:<8} {demands.name}: {finding.text}")
            is_right = is_right and finding.severity != "wrong"
    for finding in asyncio.run(placement_findings(config)):
        typer.echo(f"{finding.severity:<8} {names[0]}: {finding.text}")
    return is_right
