"""The commands that concern what was decided and what was true: archive, feedback, consensus."""

import os
from pathlib import Path
from typing import Annotated

import typer

from sentinel.cli.options import ConfigOption, end_with_input, login_name

feedback = typer.Typer(help="Say what a transaction was, and see what others said.")
SourceOption = Annotated[
    str, typer.Option(metavar="NAME", help="What kind of voice: investigator, customer, ….")
]
_CHILD_NICENESS = 10  # as of the process that explains: scoring, which started it, goes first
JsonOption = Annotated[bool, typer.Option("--json", help="A line of JSON for each.")]


@feedback.command("add")
def add_feedback(
    transaction: Annotated[str, typer.Argument(help="Its identifier.")],
    label: Annotated[str, typer.Argument(help="fraud, genuine, unsure, or retracted.")],
    config: ConfigOption = None,
    who: Annotated[
        str, typer.Option(metavar="NAME", help="Who says so. [default: your login name]")
    ] = "",
    source: SourceOption = "investigator",
    confidence: Annotated[float, typer.Option(min=0.0, max=1.0, help="How sure they are.")] = 1.0,
    notes: Annotated[str, typer.Option(metavar="TEXT", help="Why.")] = "",
    revision: Annotated[
        int, typer.Option(min=0, help="Higher than before, to change one's mind.")
    ] = 0,
    account: Annotated[str, typer.Option(metavar="ID", help="Of the transaction.")] = "",
    event_time: Annotated[
        str, typer.Option(metavar="TIME", help="When the transaction happened.")
    ] = "",
    entity: Annotated[
        list[str] | None,
        typer.Option(metavar="KIND=ID", help="Another entity of it; repeatable."),
    ] = None,
    observed: Annotated[
        str, typer.Option(metavar="TIME", help="When it was seen. [default: now]")
    ] = "",
    selected_by: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="How it came to be looked at: approve, review, block, explored, or a name of "
            "your own such as random_check.",
        ),
    ] = "",
) -> None:
    """Say what a transaction was; with a higher revision, say something else."""
    from sentinel.cli.labels.feedback import Placed, add_command

    add_command(
        config,
        {
            "transaction_id": transaction,
            "label": label,
            "source": source,
            "who": login_name(who),
            "confidence": confidence,
            "notes": notes,
            "revision": revision,
            "observed": observed,
            "selected_by": selected_by,
        },
        Placed(account, event_time, tuple(entity or ())),
    )


@feedback.command("import")
def import_feedback(
    file: Annotated[
        Path, typer.Argument(help="CSV, Parquet or JSON lines: transaction_id, label, who, ….")
    ],
    config: ConfigOption = None,
    source: SourceOption = "investigator",
) -> None:
    """Send every row of a file as a voice; exit code 1 when rows were refused."""
    from sentinel.cli.labels.feedback import import_command

    if not import_command(file, config, source=source):
        raise typer.Exit(1)


@feedback.command("show")
def show_feedback(
    transaction: Annotated[str, typer.Argument(help="Its identifier.")],
    config: ConfigOption = None,
) -> None:
    """Who said what of a transaction, and what is held to be true."""
    from sentinel.cli.labels.feedback import show_command

    show_command(transaction, config)


@feedback.command("waiting")
def waiting_feedback(
    config: ConfigOption = None,
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="Show so many at most.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """Votes on transactions that are not archived yet, newest first, from the archive's folder."""
    from sentinel.cli.labels.waiting import waiting_command

    waiting_command(config, limit=limit, as_json=as_json)


@feedback.command("ask")
def ask_feedback(
    config: ConfigOption = None,
    source: SourceOption = "investigator",
    capacity: Annotated[
        int, typer.Option(min=1, metavar="N", help="Votes that each can give now.")
    ] = 5,
    limit: Annotated[
        int, typer.Option(min=1, max=500, metavar="N", help="Show so many cases at most.")
    ] = 20,
    as_json: JsonOption = False,
) -> None:
    """Cases that are contested or open, and whose vote would help most on each."""
    from sentinel.cli.labels.investigators import ask_command

    ask_command(config, source=source, capacity=capacity, limit=limit, as_json=as_json)


def investigators(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Everybody who votes: how well they see fraud, and what is odd about them."""
    from sentinel.cli.labels.investigators import investigators_command

    investigators_command(config, as_json=as_json)


def consensus(
    votes: Annotated[
        Path, typer.Argument(help="CSV, Parquet or JSON lines: task, label, worker, ….")
    ],
    config: ConfigOption = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write every task here.")
    ] = None,
    workers: Annotated[
        Path | None, typer.Option("--workers", metavar="FILE", help="Write every worker here.")
    ] = None,
) -> None:
    """Weigh the votes of a file: a probability for each task, a record for each worker."""
    from sentinel.cli.labels.consensus import consensus_command

    if not consensus_command(votes, config, out=out, workers_out=workers):
        raise typer.Exit(1)


archive = typer.Typer(help="Keep decisions and labels as Parquet files.")


@archive.command("run")
def run_archive(
    config: ConfigOption = None,
    exit_when_idle: Annotated[
        float | None,
        typer.Option(min=0.1, metavar="SECONDS", help="Stop when nothing came for so long."),
    ] = None,
    until_input_ends: Annotated[
        bool,
        typer.Option(
            "--until-input-ends",
            help="Also end, at once, when standard input does: with whoever started it.",
        ),
    ] = False,
) -> None:
    """Write what is decided to files, until stopped."""
    if until_input_ends:
        end_with_input()  # first: what is imported next takes seconds
        os.nice(_CHILD_NICENESS)
    from sentinel.cli.inspection.archive import run_command

    run_command(config, exit_when_idle_s=exit_when_idle)


@archive.command("verify")
def verify_archive(config: ConfigOption = None) -> None:
    """Count the archive against the topics."""
    from sentinel.cli.inspection.archive import verify_command

    is_right = verify_command(config)
    if not is_right:
        raise typer.Exit(1)


@archive.command("schema")
def show_archive_schema(
    kind: Annotated[str, typer.Argument(help="decisions, labels or audit.")] = "decisions",
    config: ConfigOption = None,
) -> None:
    """The columns of all files: types, since when, in how many files, which came and went."""
    from sentinel.cli.inspection.archive_views import schema_command

    schema_command(kind, config)


@archive.command("history")
def show_archived_history(
    account: Annotated[str, typer.Argument(help="The account, as the decisions name it.")],
    config: ConfigOption = None,
    since: Annotated[
        str, typer.Option(metavar="2026-03-01", help="Only what was appended since that day.")
    ] = "",
    limit: Annotated[int, typer.Option(min=1, help="Show so many of the newest.")] = 50,
    as_json: Annotated[
        bool, typer.Option("--json", help="All that is archived of each, an object a line.")
    ] = False,
) -> None:
    """The archived decisions on one account."""
    from sentinel.cli.inspection.archive_views import history_command

    history_command(account, config, since=since, limit=limit, as_json=as_json)


@archive.command("compact")
def compact_archive(config: ConfigOption = None) -> None:
    """Join the files of a day, sorted by account: a history is found at once."""
    from sentinel.cli.inspection.archive import compact_command

    compact_command(config)


@archive.command("examples")
def write_examples(
    out: Annotated[Path, typer.Argument(help="Parquet to write.")],
    config: ConfigOption = None,
) -> None:
    """Join decisions with what turned out to be true: what a model can learn from."""
    from sentinel.cli.inspection.archive import examples_command

    examples_command(out, config)


def why(
    transaction: Annotated[
        str, typer.Argument(help="Its identifier; none with --replay: all.")
    ] = "",
    config: ConfigOption = None,
    replay: Annotated[
        bool, typer.Option("--replay", help="Score again from the archive: is it the same?")
    ] = False,
) -> None:
    """Why a transaction was decided so: features, reasons, votes, labels."""
    from sentinel.cli.inspection.why import why_command

    is_same = why_command(transaction, config, replay=replay)
    if not is_same:
        raise typer.Exit(1)


def audit(
    subject: Annotated[
        str, typer.Argument(help="A transaction, or one who votes: investigator/ann.")
    ],
    config: ConfigOption = None,
    limit: Annotated[int, typer.Option(min=1, help="Show so many of the newest.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """What was changed, when and by whom, with before and after."""
    from sentinel.cli.inspection.audit import audit_command

    audit_command(subject, config, limit=limit, as_json=as_json)
