"""Targets of one's own, tried before anything is judged on them.

A command that does not build, does not start what it built, or loses what that shows would look like a fault of the
C. So the smallest network goes all the way first: what does not even show three integers is nothing to compare on.
What it shows is not judged here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ares.emit import emit
from ares.ir import DType, Graph, Tensor
from ares.ops.flip import Flip
from ares.plan import plan
from ares.toolchain import (
    BuildFailure,
    RunFailure,
    Target,
    ToolchainError,
    build,
    default_targets,
    run,
    select,
)
from ares.toolchain.own_targets import (
    OwnTarget,
    chosen_targets,
    command_target,
    file_targets,
    resolved,
)
from ares.toolchain.process import side_by_side

_TIMEOUT = 60.0
# What a run may end with although compiler and runner are in order: the comparison says it, of the layer.
_OF_THE_C = ("sanitizer", "digest", "disk full")


Tell = Callable[[str], None]


class NoTarget(ToolchainError):
    """Nothing could be compared on any of the targets; one line says why."""

    def __init__(self, targets: tuple[Target, ...]) -> None:
        super().__init__("; ".join(f"{target.name}: {target.unusable}" for target in targets))
        self.targets = targets


def named_targets(
    patterns: Sequence[str] = (),
    cc: str | None = None,
    runner: str | None = None,
    board: str | None = None,
    targets_file: Path | None = None,
    tell: Tell | None = None,
) -> tuple[Target, ...]:
    """What the options of a command name: targets by pattern, a compiler in words, the rows of a file.

    Patterns choose among one's own and ours; without them it is all of one's own, or where there is none the default
    targets. A target of one's own that cannot be used stays and says so. Raises NoTarget where all are such,
    ToolchainError for what was written wrongly. `tell` hears of builds that take time.
    """
    if cc is None and (runner is not None or board is not None):
        raise ToolchainError("--runner and --board go with --cc, a compiler of your own")
    own = () if targets_file is None else file_targets(targets_file)
    if cc is not None:
        own = (*own, command_target(cc, runner, board))
    if not own:
        return select(patterns) if patterns else default_targets()
    targets = tried(chosen_targets(patterns, own), tell)
    if all(target.unusable for target in targets):
        raise NoTarget(targets)
    return targets


def tried(targets: Iterable[Target | OwnTarget], tell: Tell | None = None) -> tuple[Target, ...]:
    """Those of one's own with all that their compilers were asked for, and with what is wrong with them."""
    with side_by_side(os.cpu_count() or 1) as pool:
        return tuple(pool.map(lambda target: _tried(target, tell), targets))


def _tried(target: Target | OwnTarget, tell: Tell | None) -> Target:
    if isinstance(target, Target):
        return target
    found = resolved(target)
    return replace(found, unusable=" ".join((_fault(found, tell) or "").split()))


def _fault(target: Target, tell: Tell | None) -> str | None:
    fault = target.missing()
    if fault is not None:
        return fault
    project, case = emit(plan(_network())), [np.array([[1, 2, 3]], np.int8)]
    try:
        binary = build(project, target, progress=tell)
        run(binary, project, [case], mode=target.trace, timeout=_TIMEOUT, target=target)
    except BuildFailure as error:
        lines = error.stderr.splitlines() or [error.kind]
        said = next((line for line in lines if "error" in line), lines[0])
        return f"{target.compiler[0]} cannot build the runtime: {said} ({error.folder})"
    except RunFailure as error:
        return _run_fault(target, error)
    except ToolchainError as error:
        return str(error)
    return None


def _run_fault(target: Target, error: RunFailure) -> str | None:
    if error.kind in _OF_THE_C:
        return None
    if error.kind == "probe":
        return f"{error.message} (-ffp-contract=off, no -ffast-math)"
    who = " ".join(target.machine.runner) or "this machine"
    report = error.report.strip().splitlines()
    said = f": {report[-1]}" if report else ""
    return f"{who} does not run what it built: {error.kind}: {error.message}{said}"


def _network() -> Graph:
    """Three codes, in reverse."""
    codes = [
        Tensor(name, (1, 3), DType.S8, 1.0, 0, DType.S8.lo, DType.S8.hi) for name in ("x", "y")
    ]
    flip = Flip("trial", ("x",), ("y",), axis=1)
    return Graph("trial", tuple(codes), (flip,), ("x",), ("y",)).validate()
