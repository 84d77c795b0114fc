"""`sentinel dead-letters`: look at what could not be used, and send it back."""

import asyncio
from typing import Annotated

import typer

from sentinel.cli.commands import command_group
from sentinel.cli.options import ConfigOption
from sentinel.cli.texts import echo, echo_json
from sentinel.errors import ConfigError

dead_letters = command_group("Look at records that could not be used, and send them back.")

ReasonOption = Annotated[str, typer.Option(metavar="REASON", help="Only those refused for this.")]
TopicOption = Annotated[str, typer.Option(metavar="TOPIC", help="Only those from this topic.")]
SinceOption = Annotated[
    str,
    typer.Option(metavar="2h", help="Only those refused since: 2h for two hours ago, or a time."),
]


@dead_letters.command("list")
def list_dead_letters(
    config: ConfigOption = None,
    reason: ReasonOption = "",
    topic: TopicOption = "",
    since: SinceOption = "",
    newest: Annotated[
        int, typer.Option("--newest", "-n", min=1, metavar="N", help="Show the newest N.")
    ] = 20,
    everything: Annotated[bool, typer.Option("--all", help="Show all of them.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="A line of JSON for each.")] = False,
) -> None:
    """Where each came from, and why it was refused; and how many there are for each reason."""
    from sentinel.cli.operate.letters import letter_facts, letter_line, summary
    from sentinel.cli.operate.opened import found_letters, wanted_letters
    from sentinel.codec.records import encode
    from sentinel.operations import embedded

    settings = embedded.running_from(config)
    wanted = wanted_letters(settings, reason=reason, topic=topic, since=since)
    count_max = None if everything else newest
    found = asyncio.run(found_letters(settings, wanted, count_max=count_max))
    for letter in found.letters:
        at_ms = found.replayed_ms.get(letter.offset)
        echo_json(encode(letter_facts(letter, at_ms)) if as_json else letter_line(letter, at_ms))
    if not as_json:
        echo(summary(found))


@dead_letters.command("show")
def show_dead_letter(
    offset: Annotated[int, typer.Argument(min=0, help="Its offset in the topic, as listed.")],
    config: ConfigOption = None,
) -> None:
    """All there is of one dead letter: its bytes, and its own headers."""
    from sentinel.cli.operate.letters import letter_lines
    from sentinel.cli.operate.opened import check_offsets, found_letters
    from sentinel.operations import embedded
    from sentinel.operations.dead_letters import Wanted

    settings = embedded.running_from(config)
    found = asyncio.run(found_letters(settings, Wanted(frozenset([offset])), count_max=1))
    check_offsets(found, [offset])
    for line in letter_lines(found.letters[0], found.replayed_ms.get(offset)):
        echo(line)


@dead_letters.command("replay")
def replay_dead_letters(
    offsets: Annotated[
        list[int] | None, typer.Argument(min=0, help="Their offsets in the topic, as listed.")
    ] = None,
    config: ConfigOption = None,
    reason: ReasonOption = "",
    topic: TopicOption = "",
    since: SinceOption = "",
    everything: Annotated[bool, typer.Option("--all", help="All that there are.")] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Also those that were replayed before.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be sent, and send nothing.")
    ] = False,
) -> None:
    """Send dead letters back to the partitions they came from, marked as replays.

    What was replayed before is left out, unless asked for again. The record is as it was; whether
    it is taken now depends on what has been changed since.
    """
    from sentinel.cli.operate.letters import plan_lines
    from sentinel.cli.operate.opened import planned_replay, replayed_count, wanted_letters
    from sentinel.operations import embedded

    if sum([bool(offsets), any((reason, topic, since)), everything]) != 1:
        raise ConfigError("say which dead letters: offsets, or filters such as --reason, or --all")
    settings = embedded.running_from(config)
    wanted = wanted_letters(settings, offsets or (), reason=reason, topic=topic, since=since)
    plan = asyncio.run(planned_replay(settings, wanted, again=again))
    for line in plan_lines(plan):
        echo(line)
    count = len(plan.offsets)
    if dry_run:
        echo(f"{count:,} would be sent")
        return
    if count > 1 and not yes:
        _ask(count)
    echo(f"{asyncio.run(replayed_count(settings, plan)) if count else 0:,} sent")


def _ask(count: int) -> None:
    """Before many are sent. Raises ConfigError when that is not wanted, or nobody answers."""
    try:
        is_wanted = typer.confirm(f"send {count:,} records?")
    except typer.Abort as error:
        raise ConfigError("nothing was sent: nobody has answered; --yes asks nothing") from error
    if not is_wanted:
        raise ConfigError("nothing was sent")
