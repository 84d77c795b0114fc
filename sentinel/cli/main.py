"""The commands and their options. Each imports what it needs when it is called."""

import logging
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from sentinel import __version__, kernel_cache
from sentinel.cli import judging, versions
from sentinel.cli.models import updates
from sentinel.cli.options import Commands, ConfigOption, LabelColumn
from sentinel.errors import ConfigError

app = typer.Typer(
    name="sentinel",
    cls=Commands,
    help="Scores payment transactions from Kafka while they happen.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

ReasonOption = Annotated[str, typer.Option(metavar="REASON", help="Only those refused for this.")]
TopicOption = Annotated[str, typer.Option(metavar="TOPIC", help="Only those from this topic.")]
SinceOption = Annotated[
    str, typer.Option(metavar="2h", help="Only those refused since: so long ago, or a time.")
]

dead_letters = typer.Typer(help="Look at records that could not be used, and send them back.")
app.add_typer(dead_letters, name="dead-letters", no_args_is_help=True)
topics = typer.Typer(help="Make the topics, and find out what is wrong with them.")
app.add_typer(topics, name="topics", no_args_is_help=True)
state = typer.Typer(help="Entity state of an older version, or of another deployment.")
app.add_typer(state, name="state", no_args_is_help=True)
app.add_typer(judging.feedback, name="feedback", no_args_is_help=True)
app.add_typer(judging.archive, name="archive", no_args_is_help=True)
app.add_typer(versions.models, name="models", no_args_is_help=True)
app.add_typer(updates.update, name="update", no_args_is_help=True)
app.command()(judging.investigators)
app.command()(judging.consensus)
app.command()(judging.why)
app.command()(judging.audit)


class OnGap(StrEnum):
    """What to do when the log has lost records that were to be read."""

    FAIL = "fail"
    EARLIEST = "earliest"


def _version(asked: bool) -> None:
    if asked:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Scores payment transactions from Kafka while they happen."""
    if not kernel_cache.settle():
        raise ConfigError(
            "no folder for compiled kernels can be written: set NUMBA_CACHE_DIR to one that can"
        )
    # While a broker is away the client reports it two hundred times a second; what matters of it
    # reaches the user as one error, or through health.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


@app.command()
def run(
    config: ConfigOption = None,
    rate: Annotated[
        float, typer.Option(min=0.1, metavar="N", help="Built-in stream: transactions a second.")
    ] = 200.0,
    stream: Annotated[
        bool | None,
        typer.Option(
            "--stream/--no-stream", help="Play the built-in stream (default without --config)."
        ),
    ] = None,
    duration: Annotated[
        float | None, typer.Option(min=0.1, metavar="SECONDS", help="Stop after so long.")
    ] = None,
    exit_when_idle: Annotated[
        float | None,
        typer.Option(min=0.1, metavar="SECONDS", help="Stop when nothing came for so long."),
    ] = None,
    plain: Annotated[bool, typer.Option("--plain", help="Log lines instead of the view.")] = False,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the run's figures as JSON.")
    ] = None,
    on_gap: Annotated[
        OnGap | None,
        typer.Option(
            help="When Kafka has deleted records that were to be read: stop, or go on with what is "
            "left. [default: engine.on_gap]"
        ),
    ] = None,
    archive: Annotated[
        bool,
        typer.Option(
            "--archive/--no-archive",
            help="Beside an embedded broker, run `sentinel archive run` as well.",
        ),
    ] = True,
) -> None:
    """Score transactions until stopped; with no configuration, a built-in stream."""
    from sentinel.cli.run.session import run_command

    play = stream if stream is not None else config is None
    run_command(
        config,
        stream=play,
        plain=plain,
        report_file=report,
        rate=rate,
        duration_s=duration,
        exit_when_idle_s=exit_when_idle,
        on_gap=on_gap.value if on_gap is not None else None,
        archive=archive,
    )


@app.command()
def produce(
    file: Annotated[Path, typer.Argument(help="Parquet, CSV or JSON lines; also gzipped.")],
    config: ConfigOption = None,
    speed: Annotated[
        str, typer.Option(metavar="60x", help="Pace by event time; empty: as fast as possible.")
    ] = "",
    label_column: LabelColumn = "",
    label_delay: Annotated[
        str, typer.Option(metavar="7d", help="After which a row's label is sent as feedback.")
    ] = "7d",
    label_source: Annotated[
        str, typer.Option(metavar="NAME", help="Source named in the feedback.")
    ] = "ground_truth",
    frauds_only: Annotated[
        bool, typer.Option("--frauds-only", help="Send no labels of genuine transactions.")
    ] = False,
    skip: Annotated[int, typer.Option(min=0, metavar="N", help="Leave out the first N rows.")] = 0,
    count: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Send at most N rows.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where the last run of this file stopped.")
    ] = False,
) -> None:
    """Send a file's transactions to Kafka, and its labels when their delay has passed."""
    from sentinel.cli.data.produce import produce_command

    produce_command(
        file,
        config,
        speed=speed,
        label_column=label_column,
        label_delay=label_delay,
        label_source=label_source,
        frauds_only=frauds_only,
        skip=skip,
        count=count,
        resume=resume,
    )


@app.command()
def train(
    file: Annotated[Path, typer.Argument(help="Your history, in the order of event time.")],
    config: ConfigOption = None,
    label_column: LabelColumn = "is_fraud",
    days: Annotated[
        float | None, typer.Option(min=1, metavar="N", help="Use only the first N days.")
    ] = None,
) -> None:
    """Fit a model on history, test it on the last days, and write it down."""
    from sentinel.cli.data.history import train_command

    train_command(file, config, label_column=label_column, day_count=days)


@app.command()
def features(
    file: Annotated[Path, typer.Argument(help="Your history, in the order of event time.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Parquet to write.")],
    config: ConfigOption = None,
    label_column: LabelColumn = "",
) -> None:
    """Write the feature matrix of a history, by the code that scores."""
    from sentinel.cli.data.history import features_command

    features_command(file, config, label_column=label_column, out=out)


@app.command("check-config")
def check_config(config: ConfigOption = None) -> None:
    """Validate a configuration and say what is in force."""
    from sentinel.cli.data.check_config import check_command

    check_command(config)


@app.command()
def warm(config: ConfigOption = None) -> None:
    """Compile all kernels now, so that a start compiles none: for the build of an image."""
    from sentinel.cli.operate.warm import warm_command

    warm_command(config)


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
    from sentinel.cli.operate.dead_letters import Filters, list_command

    filters = Filters(reason, topic, since)
    list_command(config, filters, count_max=None if everything else newest, as_json=as_json)


@dead_letters.command("show")
def show_dead_letter(
    offset: Annotated[int, typer.Argument(min=0, help="Its offset in the topic, as listed.")],
    config: ConfigOption = None,
) -> None:
    """All there is of one dead letter: its bytes, and its own headers."""
    from sentinel.cli.operate.dead_letters import show_command

    show_command(config, offset)


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
    from sentinel.cli.operate.dead_letters import Filters, replay_command

    replay_command(
        config,
        offsets or [],
        Filters(reason, topic, since),
        everything=everything,
        again=again,
        yes=yes,
        dry_run=dry_run,
    )


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
    from sentinel.cli.operate.topics import create_command

    is_right = create_command(config, partition_count=partitions, replication=replication)
    if not is_right:
        raise typer.Exit(1)


@state.command("migrate")
def migrate_state(config: ConfigOption = None) -> None:
    """Bring the entity state of an older version to the present form; no instance may run."""
    from sentinel.cli.operate.state import migrate_command

    migrate_command(config)


@state.command("adopt")
def adopt_state(
    config: ConfigOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Give the state under redis.key_prefix to this configuration's group and topic."""
    from sentinel.cli.operate.state import adopt_command

    adopt_command(config, is_sure=yes)


@topics.command("check")
def check_topics(config: ConfigOption = None) -> None:
    """Say of each topic whether it is as it must be; exit code 1 when something is wrong."""
    from sentinel.cli.operate.topics import check_topics_command

    is_right = check_topics_command(config)
    if not is_right:
        raise typer.Exit(1)
