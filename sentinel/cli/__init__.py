"""The command line: one module a command or group, loaded when it runs, as what it needs is."""

from sentinel.cli.main import app

__all__ = ["app"]
