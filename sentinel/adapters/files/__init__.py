"""Files of transactions, in; tables of rows, out."""

from sentinel.adapters.files.transactions import (
    CHUNK_ROW_COUNT,
    Chunk,
    TransactionFile,
    write_table,
)

__all__ = ["CHUNK_ROW_COUNT", "Chunk", "TransactionFile", "write_table"]
