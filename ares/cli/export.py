"""`ares export`: a trained model becomes a C project in a folder of its own, with a self-test."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
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
    user_model,
)
from ares.cli.output import fail_usage
from ares.verdict import Outcome

if TYPE_CHECKING:
    from ares.emit import Vector
    from ares.pipeline.user_model import UserModel


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
            min=1, max=100, help="Golden cases of the self-test: given inputs, then made ones."
        ),
    ] = 3,
) -> None:
    """Write the C project of a trained or calibrated model: sources, weights, runtime, self-test, Makefile, CMake.

    The self-test's golden cases are accepted by the Brevitas model first. Exit code 0: written; 1: the model cannot be
    mapped, or does not accept them; 2: usage, or a model that cannot be loaded or run. DIR must not exist or be empty;
    it is written whole or not at all.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        fail_usage(f"{folder} is there already and not empty; name a new folder or remove it first")
    choice = choose(
        model_file, test_network, model_class, init_kwarg, input_shape, state_dict, inputs
    )
    import_torch()
    from ares.emit import emit
    from ares.plan import PlanError, plan

    with code_of_the_user():
        subject = user_model(choice, cases, "ares verify")
        vectors = _accepted(subject)
    try:
        planned = plan(subject.graph)
    except PlanError as error:
        typer.echo(f"ares: {error}", err=True)
        raise typer.Exit(1) from None
    project = emit(planned, vectors)
    _write_folder(folder, project.files)
    typer.echo(
        f"{folder}: {subject.name}, {len(subject.graph.operations)} layers, {len(project.files)} files, "
        f"arena {planned.arena_bytes} bytes (at least {planned.arena_bound}), "
        f"self-test of {len(vectors)} cases\n"
        f"build it and compare every layer with: make -C {folder} check"
    )


def _accepted(subject: UserModel) -> list[Vector]:
    """The golden cases, once every stage before the C has passed; else one line and exit code 1."""
    from ares.emit import Vector

    for stage in subject.STAGES:
        verdict = subject.stage(stage)
        if verdict.outcome is not Outcome.PASS:
            first = f"{verdict.message.splitlines()[0]} (ares verify says more)"
            typer.echo(f"ares: {subject.refusal(verdict) or first}", err=True)
            raise typer.Exit(1)
    return [
        Vector(
            case.name,
            case.inputs,
            subject.expected(number),
            tuple(subject.expected(number)[name] for name in subject.graph.outputs),
        )
        for number, case in enumerate(subject.golden.cases)
    ]


def _write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write all files under a temporary name beside `folder`, then rename it."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".ares-") as temporary:
            root = Path(temporary) / "project"
            for name, content in files.items():
                path = root / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            if folder.is_dir():
                folder.rmdir()
            shutil.move(root, folder)
    except OSError as error:
        fail_usage(f"cannot write {folder}: {error.strerror}")
