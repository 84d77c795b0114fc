"""Bytes to records and back: JSON in by msgspec, JSON out by orjson; the only home of both."""
