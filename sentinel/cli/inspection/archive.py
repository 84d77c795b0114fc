"""`sentinel archive`: what was decided, labelled and changed, as Parquet files."""

import logging
import os
import sys
import threading
from pathlib import Path
from typing import Annotated

import typer

from sentinel.cli.commands import command_group
from sentinel.cli.options import ConfigOption, IdleOption, NewestOption
from sentinel.cli.texts import PlainConsole, echo, echo_json
from sentinel.errors import ConfigError

log = logging.getLogger(__name__)

archive = command_group("Keep decisions and labels as Parquet files.")

_CHILD_NICENESS = 10  # as of the process that explains: scoring, which started it, goes first


@archive.command("run")
def run_archive(
    config: ConfigOption = None,
    exit_when_idle: IdleOption = None,
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
        _end_with_input()  # first: what is imported next takes seconds
        os.nice(_CHILD_NICENESS)
    from sentinel.cli.inspection.archiving import archive_until_stopped
    from sentinel.cli.logs import log_to
    from sentinel.config import load
    from sentinel.operations import embedded

    settings = load(config)
    log_to(sys.stderr, settings.logging)
    embedded.running(settings)  # says at once what is missing; later it may come back
    done = archive_until_stopped(settings, exit_when_idle_s=exit_when_idle)
    words = (
        f"{done.rows:,} rows in {done.files:,} files under {settings.archive.directory}, "
        f"{done.repeated:,} repetitions left out; {done.examples:,} examples, "
        f"{done.placed:,} votes placed"
    )
    if settings.logging.format == "json":
        log.info("%s", words)
    else:
        echo(words)


def _end_with_input() -> None:
    """Have this process end, at once, when its standard input does: with whoever started it.

    In a thread, so that it ends while its loop hangs, too. Nothing is lost that a kill -9 would not
    lose.
    """

    def watch() -> None:
        while os.read(0, 4096):
            continue
        os._exit(1)

    threading.Thread(target=watch, name="end with input", daemon=True).start()


@archive.command("verify")
def verify_archive(config: ConfigOption = None) -> None:
    """Count the archive against the topics."""
    import uvloop

    from sentinel.cli.inspection.tables import verified_table
    from sentinel.operations import embedded
    from sentinel.operations.verify import verify

    found = uvloop.run(verify(embedded.running_from(config)))
    PlainConsole().print(verified_table(found))
    if not all(one.is_right for one in found):
        raise typer.Exit(1)


@archive.command("schema")
def show_schema(
    kind: Annotated[str, typer.Argument(help="decisions, labels or audit.")] = "decisions",
    config: ConfigOption = None,
) -> None:
    """The columns of all files: types, since when, in how many files, which came and went."""

    from sentinel.archive import columns
    from sentinel.cli.inspection.tables import archived_kind, schema_table
    from sentinel.config import load

    directory = load(config).archive.directory
    found = columns(directory, archived_kind(kind))
    if not found:
        raise ConfigError(f"{Path(directory) / kind}: there are no archived files")
    PlainConsole().print(schema_table(found))


@archive.command("history")
def show_history(
    account: Annotated[str, typer.Argument(help="The account, as the decisions name it.")],
    config: ConfigOption = None,
    since: Annotated[
        str, typer.Option(metavar="2026-03-01", help="Only what was appended since that day.")
    ] = "",
    limit: NewestOption = 50,
    as_json: Annotated[
        bool, typer.Option("--json", help="All that is archived of each, an object a line.")
    ] = False,
) -> None:
    """The archived decisions on one account."""

    from sentinel.archive import history
    from sentinel.cli.inspection.tables import decision_table
    from sentinel.codec.records import encode
    from sentinel.config import load

    directory = load(config).archive.directory
    found = history(directory, account, since=since or None)
    if found.is_empty():
        raise ConfigError(f"no decision on account {account} is in {directory}")
    rows = found.tail(limit).to_dicts()
    if as_json:
        for row in rows:
            echo_json(encode({name: value for name, value in row.items() if value is not None}))
        return
    console = PlainConsole()
    console.print(decision_table(rows))
    if len(found) > limit:
        console.print(f"the last {limit:,} of {len(found):,}")


@archive.command("compact")
def compact_archive(config: ConfigOption = None) -> None:
    """Join the files of a day, sorted by account: a history is found at once."""
    from sentinel.adapters.archive import ParquetArchive
    from sentinel.codec.archive import KINDS
    from sentinel.config import load

    params = load(config).archive
    files = ParquetArchive(params)
    fewer = sum(files.compact(kind, params.compact_row_count_max) for kind in KINDS)
    echo(f"{fewer:,} files fewer")


@archive.command("examples")
def write_examples(
    out: Annotated[Path, typer.Argument(help="Parquet to write.")],
    config: ConfigOption = None,
) -> None:
    """Join decisions with what turned out to be true: what a model can learn from."""
    from sentinel.adapters.archive import ParquetArchive
    from sentinel.adapters.files import write_table
    from sentinel.archive.union import union_of
    from sentinel.config import load
    from sentinel.engine.archive.examples import examples

    settings = load(config)
    if out.suffix != ".parquet" or not out.parent.is_dir():
        raise ConfigError(f"{out}: must be a .parquet file in a folder that exists")
    frames = list(examples(ParquetArchive(settings.archive), settings.maturity))
    if not sum(map(len, frames)):
        raise ConfigError(
            "the archive holds no decision with a label, nor one that is old enough to presume it"
        )
    frame = union_of(frames)
    write_table(frame, out)
    counts = frame.group_by("source", "label").len().sort("source", "label")
    for source, label, count in counts.iter_rows():
        echo(f"{count:>12,} {('genuine', 'fraud')[label]}, {source}")
