"""`sentinel topics`: make what is missing, and say what is wrong with what there is."""

import asyncio
from dataclasses import replace
from typing import Annotated

import typer

from sentinel.cli.commands import command_group
from sentinel.cli.options import ConfigOption
from sentinel.cli.texts import echo

topics = command_group("Make the topics, and find out what is wrong with them.")


@topics.command("create")
def create_topics(
    config: ConfigOption = None,
    partitions: Annotated[
        int | None,
        typer.Option(min=1, max=4096, metavar="N", help="Of transactions, decisions and alerts."),
    ] = None,
    replication: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Copies of each record.")
    ] = None,
) -> None:
    """Make the topics that are missing, as the configuration says; leave the others as they are."""
    from sentinel.cli.operate.topic_lines import created, created_lines
    from sentinel.operations import embedded

    settings = embedded.running_from(config)
    count = partitions or settings.topics.partition_count
    copies = replication or settings.kafka.replication_factor
    settings = replace(
        settings,
        topics=replace(settings.topics, partition_count=count),
        kafka=replace(settings.kafka, replication_factor=copies),
    )
    before, after = asyncio.run(created(settings))
    lines = list(created_lines(settings, before, after))
    for line, _ in lines:
        echo(line)
    if not all(is_right for _, is_right in lines):
        raise typer.Exit(1)


@topics.command("check")
def check_topics(config: ConfigOption = None) -> None:
    """Say of each topic whether it is as it must be; exit code 1 when something is wrong."""
    from sentinel.cli.operate.topic_lines import checked_lines, topic_facts
    from sentinel.operations import embedded
    from sentinel.operations.entities.placement import placement_findings
    from sentinel.operations.topics import topic_specs

    settings = embedded.running_from(config)
    lines = list(checked_lines(settings, asyncio.run(topic_facts(settings))))
    for line, _ in lines:
        echo(line)
    name = topic_specs(settings)[0].name
    for finding in asyncio.run(placement_findings(settings)):
        echo(f"{finding.severity:<8} {name}: {finding.text}")
    if not all(is_right for _, is_right in lines):
        raise typer.Exit(1)
