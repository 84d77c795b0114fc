"""`sentinel archive`: what was decided, labelled and changed, as Parquet files."""

import asyncio
import logging
from pathlib import Path

import typer
import uvloop
from rich.console import Console
from rich.table import Table

from sentinel import config as configuration
from sentinel.adapters.archive import ParquetArchive
from sentinel.adapters.files import write_table
from sentinel.app.archiving import ArchivingStatus, archive
from sentinel.app.ending import limit_s, signals, until_done
from sentinel.archive.union import union_of
from sentinel.codec.archive import KINDS
from sentinel.engine.archive.examples import examples
from sentinel.errors import ConfigError
from sentinel.operations import embedded
from sentinel.operations.verify import verify


def run_command(config_file: Path | None, *, exit_when_idle_s: float | None) -> None:
    """Archive until a signal comes, or nothing has for so long."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    config = configuration.load(config_file)
    embedded.running(config)  # says at once what is missing; later it may come back

    seen = ArchivingStatus()

    async def main() -> None:
        stop = asyncio.Event()

        def watch(status: ArchivingStatus) -> None:
            nonlocal seen
            seen = status
            if exit_when_idle_s is not None and status.idle_s >= exit_when_idle_s:
                stop.set()

        may_take_s = config.engine.shutdown_s_max
        with signals(stop, limit_s(may_take_s), lambda: None):
            working = asyncio.create_task(archive(config, stop, watch))
            await until_done(working, (), stop, lambda: may_take_s)

    uvloop.run(main())
    done = seen.counts
    typer.echo(
        f"{done.rows:,} rows in {done.files:,} files under {config.archive.directory}, "
        f"{done.repeated:,} repetitions left out; {done.examples:,} examples, "
        f"{done.placed:,} votes placed"
    )


def verify_command(config_file: Path | None) -> bool:
    """A line for each partition; False when a row is missing or there twice."""
    config = embedded.running(configuration.load(config_file))
    found = uvloop.run(verify(config))
    table = Table()
    table.add_column("partition")
    for name in ("in the log", "in the archive", "twice", "files twice", "yet to come", ""):
        table.add_column(name, justify="right")
    for one in found:
        counts = (one.in_log, one.in_archive, one.doubled, one.overlap_count, one.behind_count)
        table.add_row(
            f"{one.at.topic}-{one.at.partition}",
            *(f"{count:,}" for count in counts),
            "ok" if one.is_right else "wrong",
        )
    Console().print(table)
    return all(one.is_right for one in found)


def compact_command(config_file: Path | None) -> None:
    """Join small files."""
    config = configuration.load(config_file)
    files = ParquetArchive(config.archive)
    limit = config.archive.compact_row_count_max
    fewer = sum(files.compact(kind, limit) for kind in KINDS)
    typer.echo(f"{fewer:,} files fewer")


def examples_command(out: Path, config_file: Path | None) -> None:
    """Write all examples to one file, and say how many of which kind there are."""
    config = configuration.load(config_file)
    if out.suffix != ".parquet" or not out.parent.is_dir():
        raise ConfigError(f"{out}: must be a .parquet file in a folder that exists")
    frames = list(examples(ParquetArchive(config.archive), config.maturity))
    if not sum(map(len, frames)):
        raise ConfigError("the archive holds nothing that is labelled, or old enough to presume")
    frame = union_of(frames)
    write_table(frame, out)
    counts = frame.group_by("source", "label").len().sort("source", "label")
    for source, label, count in counts.iter_rows():
        typer.echo(f"{count:>12,} {('genuine', 'fraud')[label]}, {source}")
