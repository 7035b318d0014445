"""`ares bench`: what the C of a network costs, in time, instructions and bytes."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ares.cli.model_options import (
    InitKwarg,
    InputData,
    InputShape,
    ModelClass,
    ModelFile,
    StateDict,
    choose,
    code_of_the_user,
    import_torch,
    refuse,
    user_model,
)
from ares.cli.output import (
    DASH,
    complain,
    fail_usage,
    require_writable,
    show,
    wide_console,
    write_text,
)
from ares.cli.own_targets import Board, Cc, Runner, TargetsFile, own_or_ours
from ares.pipeline.catalogue import UnknownNetwork, Zoo
from ares.resources import ResourceError, checkout_dir
from ares.toolchain import Target, missing_tools

if TYPE_CHECKING:
    from ares.bench.record import Cost
    from ares.pipeline.subject import Subject

_SECONDS = (0.05, 600.0)

Names = Annotated[
    list[str] | None,
    typer.Argument(metavar="NAME", help="Networks of the zoo, by name or its beginning (test_4)."),
]
TargetNames = Annotated[
    list[str] | None,
    typer.Option(
        "--target",
        metavar="T",
        help="Target name or glob ('m4-*'); repeatable. Default: gcc-O2, or all of your own.",
    ),
]
Layers = Annotated[
    bool, typer.Option("--layers", help="Show every layer; one network is always shown so.")
]
Seconds = Annotated[
    float,
    typer.Option(
        "--seconds",
        metavar="S",
        help="About how long the host runs each network, and each runtime: 0.05 to 600.",
    ),
]
Against = Annotated[
    list[str] | None,
    typer.Option(
        "--against",
        metavar="R",
        help="Another runtime on the same topology, in turns with ours: onnxruntime, openvino, litert. Repeatable.",
    ),
]
JsonOut = Annotated[
    Path | None,
    typer.Option("--json-out", metavar="P", help=f"Write all figures as JSON; {DASH}."),
]
Record = Annotated[
    Path | None,
    typer.Option(
        "--record",
        metavar="F",
        help="Put the figures into a file of records, in place of older ones of the same machine and networks.",
    ),
]


def bench_command(
    names: Names = None,
    model_file: ModelFile = None,
    model_class: ModelClass = None,
    init_kwarg: InitKwarg = None,
    input_shape: InputShape = None,
    state_dict: StateDict = None,
    inputs: InputData = None,
    target: TargetNames = None,
    cc: Cc = None,
    runner: Runner = None,
    board: Board = None,
    targets_file: TargetsFile = None,
    layers: Layers = False,
    seconds: Seconds = 1.0,
    against: Against = None,
    json_out: JsonOut = None,
    record: Record = None,
) -> None:
    """Measure networks of the zoo, or a model of yours: time, instructions, bytes, by layer.

    Time on this machine; on boards in QEMU the instructions that the processor retires, the same in every run.
    A program whose outputs are not the golden's is not measured. Exit code 0: measured; 1: a network cannot be built,
    run or expressed for the other runtime; 2: usage, or a model, target or runtime that is not there.
    """
    require_writable(json_out, record)
    if (model_file is None) == (not names):
        fail_usage("give networks of the zoo by name, or a model of yours with --model-file")
    least, most = _SECONDS
    if not least <= seconds <= most:
        fail_usage(f"--seconds {seconds:g}: expected {least:g} to {most:g}")
    runtimes = _runtimes(against or ())
    targets = _targets(target, cc, runner, board, targets_file)
    _require_this_machine(runtimes, targets)
    console = wide_console(json_out)
    found: list[Cost] = []
    import_torch()
    with code_of_the_user(console):
        if model_file is not None:
            shapes = input_shape
            choice = choose(model_file, None, model_class, init_kwarg, shapes, state_dict, inputs)
            subjects: Iterator[Subject] = iter([user_model(choice, None, "ares verify")])
        else:
            subjects = _zoo_subjects(names or ())
        for subject in subjects:
            found += [_measure(subject, each, seconds, runtimes) for each in targets]
    from ares.bench.machine import entry
    from ares.bench.rendering import parts

    shown_layers = layers or len({cost.network for cost in found}) == 1
    for part in parts(found, console.width, layers=shown_layers):
        show(console, part)
    result = entry(found, shlex.join(["ares", "bench", *sys.argv[2:]]))
    if json_out is not None:
        write_text(json_out, json.dumps(result, indent=1) + "\n")
    if record is not None:
        _record(record, result)


def _targets(
    patterns: Sequence[str] | None,
    cc: str | None,
    runner: str | None,
    board: str | None,
    targets_file: Path | None,
) -> tuple[Target, ...]:
    """The targets; one that cannot be used here is a usage error, for nothing is measured on the others instead."""
    own = cc or runner or board or targets_file
    targets = own_or_ours(
        patterns or (None if own else ["gcc-O2"]), cc, runner, board, targets_file
    )
    for name, reason in missing_tools(targets).items():
        if reason is not None:
            fail_usage(f"target {name} cannot be used here: {reason}")
    return targets


def _runtimes(names: Sequence[str]) -> tuple[str, ...]:
    from ares.bench.against import RUNTIMES, absent

    for name in names:
        if name not in RUNTIMES:
            fail_usage(f"--against {name}: unknown; known: {', '.join(RUNTIMES)}")
        reason = absent(name)
        if reason is not None:
            fail_usage(f"--against {name}: {reason}")
    return tuple(dict.fromkeys(names))


def _require_this_machine(runtimes: Sequence[str], targets: Sequence[Target]) -> None:
    for target in targets:
        if runtimes and target.machine.runner:
            fail_usage(
                f"--against {runtimes[0]}: it runs on this machine, and {target.name} does not; "
                "name a target of the host, such as gcc-O2"
            )


def _zoo_subjects(names: Sequence[str]) -> Iterator[Subject]:
    from ares.pipeline.network import NetworkSubject

    try:
        zoo = Zoo(checkout_dir())
        chosen = [zoo.paths(name) for name in dict.fromkeys(names)]
    except (UnknownNetwork, ResourceError) as error:
        fail_usage(str(error))
    for paths in chosen:
        yield NetworkSubject(paths)


def _measure(subject: Subject, target: Target, seconds: float, runtimes: Sequence[str]) -> Cost:
    from ares.bench.against.turns import compared
    from ares.bench.measuring import build_bench, cost_of
    from ares.bench.record import BenchError
    from ares.toolchain import BuildFailure, RunFailure, ToolchainError

    faults: tuple[type[Exception], ...] = (BuildFailure, RunFailure, ToolchainError, BenchError)
    try:
        bench = build_bench(subject, target)
        return compared(bench, cost_of(bench, seconds), runtimes, seconds)
    except (*faults, *subject.FAULTS) as error:
        refuse(str(error))


def _record(path: Path, result: dict[str, Any]) -> None:
    from ares.bench.machine import RecordError, with_entry

    try:
        text = with_entry(path.read_text(encoding="utf-8") if path.exists() else None, result)
    except (OSError, UnicodeDecodeError, RecordError) as error:
        fail_usage(f"cannot add to {path}: {error}")
    write_text(path, text)
    complain(f"recorded in {path}")
