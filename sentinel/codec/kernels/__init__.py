"""Compiled scanning and writing of JSON."""
