"""The typer application: names and help of all commands."""

from __future__ import annotations

from ares.cli.bench import bench_command
from ares.cli.check import check_command
from ares.cli.compare import compare_command
from ares.cli.export import export_command
from ares.cli.extract import extract_command
from ares.cli.fuzz import fuzz_command
from ares.cli.golden import golden
from ares.cli.mutate import mutate_command
from ares.cli.networks import networks
from ares.cli.prove import prove_command
from ares.cli.setup import Version, new_app
from ares.cli.targets import targets_command
from ares.cli.trace import trace_command
from ares.cli.verify import verify_command

app = new_app(
    no_args_is_help=True,
    help="ARES: from Brevitas models to integer C, exact layer by layer, on every compiler and processor.",
)


@app.callback()
def _ares(version: Version = False) -> None:
    pass


for name, command, what in (
    ("check", check_command, "Whether a model can be mapped to C."),
    ("verify", verify_command, "Whether its C is exact, on every target."),
    ("prove", prove_command, "For which inputs each layer is right."),
    ("export", export_command, "The C project of a model, or its ONNX."),
    ("compare", compare_command, "Whether other runtimes are exact."),
    ("trace", trace_command, "Whether a self-test elsewhere was exact."),
    ("extract", extract_command, "The Graph of a model, as a file."),
    ("bench", bench_command, "What its C costs: time, instructions, bytes."),
    ("fuzz", fuzz_command, "Random models, by all witnesses."),
    ("mutate", mutate_command, "Faults made by rule, and what sees them."),
    ("targets", targets_command, "The compilers and processors."),
    ("networks", networks, "The networks of the zoo, on every target."),
    ("golden", golden, "The stored integers of the zoo, anew."),
):
    app.command(name, short_help=what)(command)
