"""`ares golden`: make goldens anew, or check that they would come out the same.

`tools/regenerate_golden.py` is the same command with the unit cases of the operations besides: those are recorded from
tests, which this package does not know.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import track

from ares.cli.output import fail_usage
from ares.pipeline.catalogue import UnknownNetwork, Zoo
from ares.resources import ResourceError, checkout_dir

if TYPE_CHECKING:
    from ares.golden.operations import OperationCase
    from ares.pipeline.regenerate import Regenerated

Record = Callable[[], "Sequence[OperationCase]"]
Names = Annotated[list[str] | None, typer.Argument(metavar="NAME", help="Networks; default: all.")]
NamesWithOperations = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="NAME",
        help="Networks, and `ops` for the unit cases of the operations; default: all.",
    ),
]
Check = Annotated[
    bool, typer.Option("--check", help="Write nothing; exit 1 if anything would change.")
]
Retrain = Annotated[
    bool,
    typer.Option(
        "--retrain", help="Also train or calibrate anew (other numbers on other machines)."
    ),
]
OPERATIONS = "ops"


def golden(names: Names = None, check: Check = False, retrain: Retrain = False) -> None:
    """Regenerate goldens: integer reference, accepted only where the torch witness agrees.

    Prints what changes (tensors, elements, largest difference). Exit code 0: done, or nothing would change; 1: with
    --check, something would change, or a golden was refused; 2: usage.
    """
    if any(_is_operations(name) for name in names or ()):
        fail_usage(
            f"operations are recorded from tests: python tools/regenerate_golden.py {OPERATIONS}"
        )
    _golden(names or None, check=check, retrain=retrain, record=None)


def golden_with_operations(record: Record) -> Callable[..., None]:
    """The command of `tools/regenerate_golden.py`; `record` runs the tests of the operations for their cases."""

    def regenerate_golden(
        names: NamesWithOperations = None, check: Check = False, retrain: Retrain = False
    ) -> None:
        """Regenerate goldens: of networks as `ares golden` does, of operations from the cases of their tests.

        Prints what changes (tensors, elements, largest difference; unit cases). Exit code 0: done, or nothing would
        change; 1: with --check, something would change, or a golden was refused; 2: usage.
        """
        networks = None if not names else [name for name in names if not _is_operations(name)]
        wanted = not names or len(networks or ()) < len(names)
        _golden(networks, check=check, retrain=retrain, record=record if wanted else None)

    return regenerate_golden


def _is_operations(name: str) -> bool:
    """`ops`, or one of its suites: they are recorded together."""
    return name == OPERATIONS or name.startswith(f"{OPERATIONS}_")


def _golden(
    names: Sequence[str] | None, *, check: bool, retrain: bool, record: Record | None
) -> None:
    """`names`: of networks, None for all of them."""
    if check and retrain:
        fail_usage("--check writes nothing and --retrain makes a new state: use one of them")
    try:
        zoo = Zoo(checkout_dir())
        chosen = [zoo.paths(name).name for name in (zoo.networks if names is None else names)]
    except (UnknownNetwork, ResourceError) as error:
        fail_usage(str(error))
    console = Console(soft_wrap=True, highlight=False)
    changed, refused, total = [], [], 0
    for results in _results(zoo, chosen, retrain, record, console):
        if isinstance(results, Exception):
            total += 1
            refused.append(results)
            console.print(f"[red]refused[/] {results}")
            continue
        for result in results:
            total += 1
            if result.changes:
                changed.append(result.network)
            for line in result.changes:
                console.print(f"{'would change' if check else 'changed'}: {line}", markup=False)
            if not check:
                result.write()
    verb = "would change" if check else "changed"
    console.print(
        f"[bold]{total} goldens: {len(changed)} {verb}, {len(refused)} refused, "
        f"{total - len(changed) - len(refused)} as they were[/]"
    )
    if refused or (check and changed):
        raise typer.Exit(1)


def _results(
    zoo: Zoo, networks: Sequence[str], retrain: bool, record: Record | None, console: Console
) -> Iterable[Sequence[Regenerated] | Exception]:
    """What was regenerated, or why not, one after the other."""
    from ares.extract import ExtractionError
    from ares.golden import GoldenError
    from ares.pipeline.regenerate import regenerate, regenerate_operations
    from ares.witness import WitnessError
    from ares.zoo.network_file import NetworkFileError
    from ares.zoo.state import StateError

    for name in track(networks, "goldens", console=console, transient=True, disable=not networks):
        try:
            yield [regenerate(zoo.paths(name), retrain=retrain)]
        except (ExtractionError, GoldenError, NetworkFileError, StateError, WitnessError) as error:
            yield error
    if record is not None:
        try:
            yield regenerate_operations(record(), zoo.golden)
        except GoldenError as error:
            yield error
