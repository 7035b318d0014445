"""The command line: `ares`. Importing it is light; every command imports what it needs when it runs."""

from ares.cli.interrupts import interruptible


def main() -> None:
    """Entry point of the console script."""
    with interruptible():
        from ares.cli.app import app
        from ares.cli.door import run_app

        run_app(app)
