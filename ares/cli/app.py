"""The typer application: names and help of all commands."""

from __future__ import annotations

import typer

from ares.cli.check import check_command
from ares.cli.door import run_app
from ares.cli.export import export_command
from ares.cli.extract import extract_command
from ares.cli.golden import golden
from ares.cli.networks import networks
from ares.cli.verify import verify_command

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="ARES: from Brevitas models to integer C, exact layer by layer, on every compiler and processor.",
)
app.command("check")(check_command)
app.command("verify")(verify_command)
app.command("extract")(extract_command)
app.command("export")(export_command)
app.command("networks")(networks)
app.command("golden")(golden)


def main() -> None:
    """Entry point of the console script."""
    run_app(app)
