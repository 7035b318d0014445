"""`ares check`: whether a model can be mapped, and what to change where it cannot."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ares.cli.model_options import (
    InitKwarg,
    InputData,
    InputShape,
    ModelChoice,
    ModelClass,
    ModelFile,
    StateDict,
    TestNetwork,
    choose,
    code_of_the_user,
    given_inputs,
    given_samples,
    import_torch,
    open_file,
)
from ares.cli.output import DASH, USAGE, require_writable, show, wide_console, write_text

if TYPE_CHECKING:
    from rich.console import Console

    from ares.checker import Report


def check_command(
    model_file: ModelFile = None,
    test_network: TestNetwork = None,
    model_class: ModelClass = None,
    init_kwarg: InitKwarg = None,
    input_shape: InputShape = None,
    state_dict: StateDict = None,
    inputs: InputData = None,
    json_out: Annotated[
        Path | None,
        typer.Option("--json-out", metavar="P", help=f"Write the report as JSON; {DASH}."),
    ] = None,
    strict_warnings: Annotated[
        bool, typer.Option("--strict-warnings", help="Exit 1 also when there are only warnings.")
    ] = False,
    list_supported_types: Annotated[
        bool, typer.Option("--list-supported-types", help="List what can be mapped and stop.")
    ] = False,
) -> None:
    """Check whether a model can be mapped: every layer and function that its forward calls.

    Exit code 0: compatible, though perhaps to be calibrated; 1: not compatible, or warnings with --strict-warnings;
    2: usage, a model that cannot be loaded or run, or not known, for its forward was not seen.
    """
    if list_supported_types:
        _list_supported_types()
        return
    choice = choose(
        model_file, test_network, model_class, init_kwarg, input_shape, state_dict, inputs
    )
    require_writable(json_out)
    console = wide_console(json_out)
    report = _check(choice, console)
    if json_out is not None:
        write_text(json_out, report.to_json())
    from ares.checker import render

    show(console, render(report, console.width))
    if not report.known:
        raise typer.Exit(USAGE)
    if not report.compatible or (strict_warnings and report.warnings):
        raise typer.Exit(1)


def _check(choice: ModelChoice, console: Console) -> Report:
    import_torch()
    from ares.checker import check_model, unbuildable
    from ares.user_files import structural_model
    from ares.zoo.network_file import NetworkFileError

    with code_of_the_user(console):
        network = open_file(choice)
        try:
            loaded = structural_model(network, choice.state, choice.state_dict)
        except NetworkFileError as error:
            refused = unbuildable(network, error)
            if refused is None:
                raise
            return refused
        given = given_inputs(choice, network, given_samples(choice, loaded.model))
        report = check_model(loaded.model, given, network.name, is_ours=True)
    report = replace(report, notes=(*loaded.notes, *report.notes))
    if not loaded.problem:
        return report
    from ares.extract import Finding, Status

    advice = "python tools/regenerate_golden.py --retrain makes a new one"
    warning = Finding("", report.model, Status.WARNING, loaded.problem, advice)
    return replace(report, findings=(warning, *report.findings))


def _list_supported_types() -> None:
    from ares.ops import COMPOSITES, operations

    rows = {(op.LAYER_TYPE, op.PYTHON_CLASS, op.OP_TYPE) for op in operations().values()}
    rows |= {
        (kind.layer_type, name, kind.op_type) for kind in COMPOSITES for name in kind.python_classes
    }
    lines = [("layer type", "Python class", "OpType"), *sorted(rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(2)]
    for layer_type, python_class, op_type in lines:
        # Plain text: a table would cut names to the width of the terminal.
        typer.echo(f"{layer_type:{widths[0]}}  {python_class:{widths[1]}}  {op_type}")
