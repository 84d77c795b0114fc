"""What a dry run of a file has found, shown: how much is usable, and how decisions would see it."""

import math
from pathlib import Path

from rich.table import Table

from sentinel.cli.data.folding import undecided
from sentinel.cli.data.sources import tell_refusals, transaction_file
from sentinel.cli.progress import progress_bar
from sentinel.cli.texts import PlainConsole
from sentinel.codec.times import date_text
from sentinel.config import Config
from sentinel.operations.data.dry_run import DryRun, dry_run
from sentinel.operations.data.refusals import nothing_usable
from sentinel.records import Transactions


def tell_file(console: PlainConsole, file: Path, config: Config) -> None:
    """Read a whole file and say what comes of it. Raises ConfigError where no row is usable."""
    source = transaction_file(file, config, None, needs_labels=False)
    with progress_bar(console) as progress:
        task = progress.add_task(f"reading {file.name or file}", total=source.row_count())
        found = dry_run(source, config, lambda count: progress.advance(task, count))
    if not found.usable_count:
        raise nothing_usable(file, found.refusals)
    tell_counts(console, found, f"rows of {file}")
    if not source.label_column:
        console.print(f"no labels: it has no column {config.training.label_column}")
    if source.undecided_count:
        console.print(undecided(source.undecided_count, config), soft_wrap=True)
    if found.unordered_row is not None:
        console.print(
            f"{source.row_name(found.unordered_row)} is earlier than the one before it: train "
            "wants the rows in the order of event time",
            soft_wrap=True,
        )
    console.print(_first_table(found, config))


def tell_counts(console: PlainConsole, found: DryRun, what: str) -> None:
    """How many rows are usable, of which time, with which labels; and why others are not."""
    said = f"{found.usable_count:,} of {found.row_count:,} {what} are usable"
    if found.first_ms is not None and found.last_ms is not None:
        said += f", from {date_text(found.first_ms)} to {date_text(found.last_ms)} UTC"
    if found.fraud_count + found.genuine_count:
        said += f"; {found.fraud_count:,} frauds, {found.genuine_count:,} genuine"
    console.print(said, soft_wrap=True)
    tell_refusals(console, found.refusals)


def _first_table(found: DryRun, config: Config) -> Table:
    """The first transactions side by side: their values, then their features."""
    assert found.first is not None
    rows = found.first
    table = Table(title="as decisions would see them")
    for header in ("", *(f"#{i + 1}" for i in range(len(rows)))):
        table.add_column(header, overflow="fold")
    for name, values in _values(rows, config).items():
        table.add_row(name, *values)
    table.add_section()
    for feature, column in zip(config.features, found.first_features.T.tolist(), strict=True):
        table.add_row(feature.name, *(_number(value) for value in column))
    return table


def _values(rows: Transactions, config: Config) -> dict[str, list[str]]:
    decimals = config.schema.amount_decimals
    amounts = [f"{minor / 10**decimals:,.{decimals}f}" for minor in rows.amount_minor.tolist()]
    texts = {"transaction": rows.transaction_id, **rows.entities, **rows.categorical}
    return {
        "event time": [date_text(time_ms) for time_ms in rows.event_time_ms.tolist()],
        "amount": amounts,
        **{name: [value or "nothing" for value in values] for name, values in texts.items()},
        **{name: list(map(_number, values.tolist())) for name, values in rows.numeric.items()},
    }


def _number(value: float) -> str:
    return "nothing" if math.isnan(value) else f"{value + 0.0:,.6g}"  # no minus before a zero
