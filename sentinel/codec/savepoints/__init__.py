"""Savepoints of the trainer: columns as bytes, in pieces, and a head that says what they are."""

from sentinel.codec.savepoints.savepoint import PIECE_BYTES_MAX as PIECE_BYTES_MAX
from sentinel.codec.savepoints.savepoint import VERSION as VERSION
from sentinel.codec.savepoints.savepoint import Column as Column
from sentinel.codec.savepoints.savepoint import Encoded as Encoded
from sentinel.codec.savepoints.savepoint import Head as Head
from sentinel.codec.savepoints.savepoint import decode_head as decode_head
from sentinel.codec.savepoints.savepoint import decode_savepoint as decode_savepoint
from sentinel.codec.savepoints.savepoint import encode_savepoint as encode_savepoint
