"""The command line: `ares`. Importing it is light; every command imports what it needs when it runs."""

from ares.cli.app import main

__all__ = ["main"]
