"""The command line: one module a group, and nothing heavy imported before it is needed."""

from sentinel.cli.main import app

__all__ = ["app"]
