"""`ares export`: a trained model becomes a C project in a folder of its own."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from ares.cli.extract import extracted_graph
from ares.cli.model_options import (
    InitKwarg,
    InputShape,
    ModelClass,
    ModelFile,
    StateDict,
    TestNetwork,
    choose,
)
from ares.cli.output import fail_usage


def export_command(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder to create.")],
    model_file: ModelFile = None,
    test_network: TestNetwork = None,
    model_class: ModelClass = None,
    init_kwarg: InitKwarg = None,
    input_shape: InputShape = None,
    state_dict: StateDict = None,
) -> None:
    """Write the C project of a trained or calibrated model: sources, weights, runtime, Makefile, CMakeLists.txt.

    Exit code 0: written; 1: the model cannot be mapped; 2: usage, or a model that cannot be loaded or run. DIR must not
    exist or be empty; it is written whole or not at all.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        fail_usage(f"{folder} is there already and not empty; name a new folder or remove it first")
    choice = choose(model_file, test_network, model_class, init_kwarg, input_shape)
    graph = extracted_graph(choice, state_dict)
    from ares.emit import emit
    from ares.plan import PlanError, plan

    try:
        planned = plan(graph)
    except PlanError as error:
        typer.echo(f"ares: {error}", err=True)
        raise typer.Exit(1) from None
    project = emit(planned)
    _write_folder(folder, project.files)
    typer.echo(
        f"{folder}: {graph.name}, {len(graph.operations)} layers, {len(project.files)} files, "
        f"arena {planned.arena_bytes} bytes (at least {planned.arena_bound})\n"
        f"build it with: make -C {folder}"
    )


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
