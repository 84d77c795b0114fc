"""Transactions as commands open them, and what they say of the rows that cannot be used."""

from pathlib import Path

from sentinel.adapters.files import TransactionSource, transactions_in
from sentinel.cli.texts import PlainConsole
from sentinel.config import Config
from sentinel.operations.data.refusals import RefusedRows


def transaction_file(
    file: Path, config: Config, label_column: str | None, *, needs_labels: bool
) -> TransactionSource:
    """A file or folder with its labels: in the column that is named, or else in that configured.

    Where nobody needs labels, a file without the configured column has none.
    """
    named = config.training.label_column if label_column is None else label_column
    return transactions_in(
        file,
        config.schema,
        label_column=named,
        is_label_needed=needs_labels or label_column is not None,
    )


def tell_refusals(
    console: PlainConsole, refusals: RefusedRows, *, so: str = "they are left out"
) -> None:
    """Say how many rows cannot be used, and the first of each kind; nothing if all can."""
    if not refusals.count:
        return
    counted = "1 row" if refusals.count == 1 else f"{refusals.count:,} rows"
    console.print(f"{counted} could not be used: {so}", soft_wrap=True)
    for line in refusals.lines():
        console.print(f"  {line}", soft_wrap=True)
