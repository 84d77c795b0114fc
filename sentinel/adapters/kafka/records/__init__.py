"""Batches of records in the format of the wire, read and written whole."""
