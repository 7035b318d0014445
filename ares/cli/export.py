"""`ares export`: a trained model becomes a C project in a folder of its own, with a self-test."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from ares.cli.model_options import (
    InitKwarg,
    InputData,
    InputShape,
    ModelClass,
    ModelFile,
    StateDict,
    TestNetwork,
    choose,
    code_of_the_user,
    import_torch,
    refuse,
    user_model,
)
from ares.cli.output import fail_usage
from ares.files import is_taken


class Io(Enum):
    """What the network's functions take and give."""

    FLOAT = "float"
    CODES = "codes"


def export_command(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder to create.")],
    model_file: ModelFile = None,
    test_network: TestNetwork = None,
    model_class: ModelClass = None,
    init_kwarg: InitKwarg = None,
    input_shape: InputShape = None,
    state_dict: StateDict = None,
    inputs: InputData = None,
    cases: Annotated[
        int,
        typer.Option(
            "--cases",
            metavar="N",
            min=1,
            max=100,
            help="Golden cases of the self-test: given inputs, then made ones.",
        ),
    ] = 3,
    io: Annotated[
        Io,
        typer.Option(
            "--io",
            metavar="KIND",
            help="Inputs and outputs: float, or codes, those behind the first quantisers and at the end.",
        ),
    ] = Io.FLOAT,
) -> None:
    """Write the C project of a trained or calibrated model: sources, weights, runtime, self-test, Makefile, CMake.

    The self-test's golden cases are accepted by the Brevitas model first. Exit code 0: written; 1: the model cannot be
    mapped, does not accept them, or has no codes at an end (--io codes); 2: usage, or a model that cannot be loaded or
    run. DIR must not exist or be empty; it is written whole or not at all.
    """
    if is_taken(folder):
        fail_usage(f"{folder} is there already and not empty; name a new folder or remove it first")
    choice = choose(
        model_file, test_network, model_class, init_kwarg, input_shape, state_dict, inputs
    )
    import_torch()
    from ares.exporter import ExportError, export

    with code_of_the_user():
        subject = user_model(choice, cases, "ares verify")
        for note in subject.given.notes:
            typer.echo(f"ares: {note}", err=True)
        try:
            written = export(subject, folder, codes=io is Io.CODES)
        except ExportError as error:
            refuse(str(error))
        except OSError as error:
            fail_usage(f"cannot write {folder}: {error.strerror}")
    typer.echo(written)
