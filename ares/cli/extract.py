"""`ares extract`: a trained model becomes a Graph file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

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
    refuse,
)
from ares.cli.output import DASH, require_writable, show, wide_console, write_bytes

if TYPE_CHECKING:
    from rich.console import Console

    from ares.ir import Graph


def extract_command(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="P", help=f"The Graph file to write; {DASH}.")
    ],
    model_file: ModelFile = None,
    test_network: TestNetwork = None,
    model_class: ModelClass = None,
    init_kwarg: InitKwarg = None,
    input_shape: InputShape = None,
    state_dict: StateDict = None,
    inputs: InputData = None,
) -> None:
    """Extract the Graph of a trained or calibrated model into a file.

    Exit code 0: written; 1: the model cannot be mapped; 2: usage, or a model that cannot be loaded or run. The file
    is written whole or not at all.
    """
    choice = choose(
        model_file, test_network, model_class, init_kwarg, input_shape, state_dict, inputs
    )
    require_writable(output)
    console = wide_console(output)
    graph = extracted_graph(choice, state_dict, console)
    from ares.ir import graph_digest, save_graph

    data = save_graph(graph)
    write_bytes(output, data)
    line = (
        f"{output}: {graph.name}, {len(graph.operations)} layers, {_weights(graph)} weights, "
        f"{len(data)} bytes, digest {graph_digest(graph)}"
    )
    show(console, Text(line, no_wrap=True))


def extracted_graph(
    choice: ModelChoice, state_dict: Path | None = None, console: Console | None = None
) -> Graph:
    """The Graph of the chosen model; one line on stderr and exit code 1 or 2 where there is none."""
    import_torch()
    from ares.checker import first_reason, judge
    from ares.extract import ExtractionError
    from ares.user_files import example, trained_model

    with code_of_the_user(console):
        network = open_file(choice)
        loaded = trained_model(network, choice.state, choice.state_dict or state_dict)
        model = loaded.model
        for note in loaded.notes:
            typer.echo(f"ares: {note}", err=True)
        given = given_inputs(choice, network, given_samples(choice, model))
        try:
            inputs = example(model, given, network.name)
        except ExtractionError as error:
            refuse(str(error))
        analysis = judge(model, inputs.tensors, network.name, allow_uncalibrated=False)
    if analysis.graph is None:
        refuse(f"{network.name}: {first_reason([str(finding) for finding in analysis.errors])}")
    return analysis.graph


def _weights(graph: Graph) -> int:
    """Number of weight codes in the Graph."""
    return sum(
        operation.weight.size for operation in graph.operations if hasattr(operation, "weight")
    )
