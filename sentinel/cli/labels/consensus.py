"""`sentinel consensus`: the votes of a file, weighed as those of the stream are."""

from pathlib import Path
from typing import Annotated

import typer

from sentinel.cli.options import ConfigOption
from sentinel.cli.texts import echo
from sentinel.errors import ConfigError


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
    from sentinel.adapters.feedback_files import read_feedback_file
    from sentinel.adapters.files import write_table
    from sentinel.cli.labels import weighing
    from sentinel.cli.labels.rows import passed, reader_of, say_left_out, say_refused
    from sentinel.codec.feedback.files import Refusals
    from sentinel.config import load
    from sentinel.core.consensus.batch.judging import judged
    from sentinel.operations.data.consensus import cases_of

    settings = load(config)
    for path in (out, workers):
        if path is not None and path.suffix not in (".csv", ".parquet"):
            raise ConfigError(f"{path}: must end in .csv or .parquet")
    reader, refused = reader_of(settings, source=""), Refusals()
    pieces = passed(read_feedback_file(votes, reader), refused)
    all_feedback = [feedback for piece in pieces for feedback in piece.all_feedback]
    say_refused(refused)
    say_left_out(reader)
    params, trusted = settings.consensus, settings.feedback.trusted_sources
    cases = cases_of(all_feedback, trusted, params)
    found = judged(cases, trusted, params)
    tasks = weighing.task_table(cases, found)
    annotators = weighing.worker_table(found, params)
    for frame, path in ((tasks, out), (annotators, workers)):
        if path is not None:
            write_table(frame, path)
    weighing.show_weighed(cases, found, annotators, trusted)
    if refused.count:
        echo(f"refused: {refused.count:,} of the rows", err=True)
        raise typer.Exit(1)
