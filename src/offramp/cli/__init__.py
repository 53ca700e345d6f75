"""The command line: one file per verb. Only here is anything printed."""

from offramp.cli.main import main

__all__ = ["main"]
