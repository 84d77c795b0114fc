"""`sentinel feedback`: say something of a transaction, and look at what was said."""

import asyncio
import time
from pathlib import Path
from typing import Annotated

import typer

from sentinel.cli.commands import command_group
from sentinel.cli.options import ConfigOption, TransactionArgument, login_name
from sentinel.cli.texts import PlainConsole, echo, echo_json
from sentinel.errors import ConfigError

feedback = command_group("Say what a transaction was, and see what others said.")

SourceOption = Annotated[
    str, typer.Option(metavar="NAME", help="Where the vote comes from: investigator, customer, ….")
]
JsonOption = Annotated[bool, typer.Option("--json", help="A line of JSON for each.")]


@feedback.command("add")
def add_feedback(
    transaction: TransactionArgument,
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
    from sentinel.cli.labels.sending import entity_columns, send_one
    from sentinel.operations import embedded

    name = login_name(who)
    settings = embedded.running_from(config)
    row: dict[str, object] = {
        "transaction_id": transaction,
        "label": label,
        "source": source,
        "who": name,
        "confidence": confidence,
        "notes": notes,
        "revision": revision,
        "observed": observed,
        "selected_by": selected_by,
        "account": account,
        "event_time": event_time,
    }
    send_one(row | entity_columns(entity or [], settings), settings)


@feedback.command("import")
def import_feedback(
    file: Annotated[
        Path, typer.Argument(help="CSV, Parquet or JSON lines: transaction_id, label, who, ….")
    ],
    config: ConfigOption = None,
    source: SourceOption = "investigator",
) -> None:
    """Send every row of a file as a vote; exit code 1 when rows were refused."""
    from sentinel.adapters.feedback_files import read_feedback_file
    from sentinel.cli.labels.rows import reader_of, say_left_out, say_refused
    from sentinel.cli.labels.sending import say_sent
    from sentinel.operations import embedded
    from sentinel.operations.feedback import FeedbackSent, send

    settings = embedded.running_from(config)
    reader, sent = reader_of(settings, source=source), FeedbackSent()
    try:
        asyncio.run(send(settings, read_feedback_file(file, reader), sent))
    except ConfigError:
        if sent.count:
            echo(f"{sent.count:,} votes were sent before this", err=True)
        raise
    say_refused(sent.refused)
    say_left_out(reader)
    say_sent(sent)
    if sent.refused.count:
        raise typer.Exit(1)


@feedback.command("show")
def show_feedback(transaction: TransactionArgument, config: ConfigOption = None) -> None:
    """Who said what of a transaction, and what is held to be true."""

    from sentinel.cli.labels.cases import case_line, vote_table
    from sentinel.cli.texts import shown
    from sentinel.operations import embedded
    from sentinel.operations.feedback import case_of

    case = asyncio.run(case_of(embedded.running_from(config), transaction))
    console = PlainConsole()
    console.print(shown(case_line(case)))
    console.print(vote_table(case))


@feedback.command("waiting")
def list_waiting(
    config: ConfigOption = None,
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="Show so many at most.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """Votes on transactions that are not archived yet, newest first, from the archive's folder."""

    from sentinel.cli.labels.waiting import waiting_facts, waiting_line, waiting_table
    from sentinel.codec.records import encode
    from sentinel.config import load
    from sentinel.operations.feedback import noted_waiting

    params = load(config).archive
    noted = noted_waiting(params)  # of the archive's folder; nothing needs to run
    if noted is None:
        raise ConfigError(
            f"{params.directory} holds no note of feedback: `sentinel archive run` keeps one in "
            "its folder, [archive] directory"
        )
    now_ms = round(time.time() * 1000)
    newest = sorted(noted.waiting, key=lambda one: -one.since_ms)[:limit]
    if as_json:
        for one in newest:
            echo_json(encode(waiting_facts(one, now_ms)))
        return
    echo(waiting_line(noted))
    if newest:
        PlainConsole().print(waiting_table(newest, now_ms))


@feedback.command("ask")
def list_questions(
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

    from sentinel.cli.labels.cases import question_facts, question_table
    from sentinel.codec.records import encode
    from sentinel.operations import embedded
    from sentinel.operations.feedback import unsettled

    settings = embedded.running_from(config)
    found = asyncio.run(unsettled(settings, source=source, capacity=capacity, limit=limit))
    if as_json:
        for question in found:
            echo_json(encode(question_facts(question)))
        return
    PlainConsole().print(question_table(found))
