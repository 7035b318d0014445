"""`ares export`: a trained model becomes a C project in a folder of its own, with a self-test, or an ONNX file."""

from __future__ import annotations

from enum import Enum
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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

if TYPE_CHECKING:
    from ares.verifier.user_subject import UserSubject


class Format(Enum):
    """What is written."""

    C = "c"
    ONNX = "onnx"


class Io(Enum):
    """What the network's functions take and give."""

    FLOAT = "float"
    CODES = "codes"


Place = Annotated[Path, typer.Argument(metavar="PATH", help="The folder to create, or the file.")]
Cases = Annotated[
    int,
    typer.Option(
        "--cases",
        metavar="N",
        min=1,
        max=100,
        help="Golden cases of the self-test: given inputs, then made ones.",
    ),
]
InputsAndOutputs = Annotated[
    Io,
    typer.Option(
        "--io",
        metavar="KIND",
        help="Inputs and outputs: float, or codes, those behind the first quantisers and at the end.",
    ),
]
FileFormat = Annotated[
    Format,
    typer.Option(
        "--format",
        metavar="FORMAT",
        help="c: a project in a folder. onnx: one file, QuantizeLinear and DequantizeLinear around every layer.",
    ),
]
Approximate = Annotated[
    bool,
    typer.Option(
        "--allow-approximate",
        help="Of onnx: write constants that binary32 cannot hold as near as it can, and say which.",
    ),
]


def export_command(
    path: Place,
    model_file: ModelFile = None,
    test_network: TestNetwork = None,
    model_class: ModelClass = None,
    init_kwarg: InitKwarg = None,
    input_shape: InputShape = None,
    state_dict: StateDict = None,
    inputs: InputData = None,
    cases: Cases = 3,
    io: InputsAndOutputs = Io.FLOAT,
    form: FileFormat = Format.C,
    is_approximate: Approximate = False,
) -> None:
    """Write a trained or calibrated model as a C project (sources, weights, runtime, self-test, Makefile) or as ONNX.

    The golden cases are accepted by the Brevitas model first. Exit code 0: written; 1: the model cannot be mapped, does
    not accept them, has no codes at an end (--io codes), or a layer that the format cannot say; 2: usage, or a model
    that cannot be loaded or run. A folder must not exist or be empty, a file not exist; PATH is written whole or not at
    all.
    """
    if is_approximate and form is not Format.ONNX:
        fail_usage("--allow-approximate is for --format onnx: the C is exact")
    _require_free(path, form)
    choice = choose(
        model_file, test_network, model_class, init_kwarg, input_shape, state_dict, inputs
    )
    import_torch()
    from ares.exporter import ExportError

    with code_of_the_user():
        subject = user_model(choice, cases, "ares verify")
        for note in subject.given.notes:
            typer.echo(f"ares: {note}", err=True)
        try:
            written = _written(
                subject, path, form, codes=io is Io.CODES, is_approximate=is_approximate
            )
        except ExportError as error:
            refuse(str(error))
        except OSError as error:
            fail_usage(f"cannot write {path}: {error.strerror}")
    typer.echo(written)


def _require_free(path: Path, form: Format) -> None:
    """Nothing of the user's is written over; what the format needs is installed."""
    if form is Format.C:
        if is_taken(path):
            fail_usage(
                f"{path} is there already and not empty; name a new folder or remove it first"
            )
        return
    if path.is_symlink() or path.exists():
        fail_usage(f"{path} is there already; name a new file or remove it first")
    if not path.parent.is_dir():
        fail_usage(f"{path}: there is no folder {path.parent}; make it first")
    if find_spec("onnx") is None:
        fail_usage("the Python package onnx is not installed (pip install 'ares-codegen[onnx]')")


def _written(
    subject: UserSubject, path: Path, form: Format, *, codes: bool, is_approximate: bool
) -> str:
    """Write, and what is said of it."""
    if form is Format.C:
        from ares.exporter import export

        return str(export(subject, path, codes=codes))
    from ares.exporter.onnx_file import export_onnx

    model = export_onnx(subject, path, codes=codes, is_approximate=is_approximate)
    for departure in model.departures:
        typer.echo(f"ares: approximate: {departure}", err=True)
    if model.odd:
        more = f" and {len(model.odd) - 1} more" if model.odd[1:] else ""
        typer.echo(
            f"ares: the zero point of {model.odd[0]}{more} is odd, and ONNX adds it after rounding: exact ties go to "
            "the other code there",
            err=True,
        )
    return (
        f"{path}: {subject.name}, {len(subject.graph.operations)} layers, {len(model.data)} bytes"
    )
