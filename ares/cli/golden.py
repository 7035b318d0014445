"""`ares golden`: make goldens anew, or check that they would come out the same."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.progress import track

from ares.cli.output import fail_usage
from ares.pipeline.zoo import UnknownNetwork, network_names, zoo_paths
from ares.resources import ResourceError


def golden(
    names: Annotated[list[str] | None, typer.Argument(help="Networks; default: all.")] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit 1 if anything would change.")
    ] = False,
    retrain: Annotated[
        bool,
        typer.Option(
            "--retrain", help="Also train or calibrate anew (other numbers on other machines)."
        ),
    ] = False,
) -> None:
    """Regenerate goldens: integer reference, accepted only where the torch witness agrees.

    Prints what changes (tensors, elements, largest difference). Exit code 0: done, or nothing would change; 1: with
    --check, something would change, or a golden was refused; 2: usage.
    """
    if check and retrain:
        fail_usage("--check writes nothing and --retrain makes a new state: use one of them")
    try:
        chosen = [zoo_paths(name) for name in (names or network_names())]
    except (UnknownNetwork, ResourceError) as error:
        fail_usage(str(error))
    from ares.extract import ExtractionError
    from ares.golden import GoldenError
    from ares.pipeline.regenerate import regenerate
    from ares.witness import WitnessError
    from ares.zoo.network_file import NetworkFileError
    from ares.zoo.state import StateError

    console = Console(soft_wrap=True, highlight=False)
    changed, refused = [], []
    for paths in track(chosen, "goldens", console=console, transient=True):
        try:
            result = regenerate(paths, retrain=retrain)
        except (ExtractionError, GoldenError, NetworkFileError, StateError, WitnessError) as error:
            refused.append(paths.name)
            console.print(f"[red]refused[/] {error}")
            continue
        if result.changes:
            changed.append(paths.name)
        for line in result.changes:
            console.print(f"{'would change' if check else 'changed'}: {line}", markup=False)
        if not check:
            result.write()
    verb = "would change" if check else "changed"
    console.print(
        f"[bold]{len(chosen)} goldens: {len(changed)} {verb}, {len(refused)} refused, "
        f"{len(chosen) - len(changed) - len(refused)} as they were[/]"
    )
    if refused or (check and changed):
        raise typer.Exit(1)
