"""Files of transactions, in; tables of rows, out."""

from sentinel.adapters.files.folders import TransactionFolder, TransactionSource, transactions_in
from sentinel.adapters.files.transactions import (
    CHUNK_ROW_COUNT,
    Chunk,
    TransactionFile,
    row_name,
    write_table,
)

__all__ = [
    "CHUNK_ROW_COUNT",
    "Chunk",
    "TransactionFile",
    "TransactionFolder",
    "TransactionSource",
    "row_name",
    "transactions_in",
    "write_table",
]
