"""`ares compare`: whether other runtimes compute what a model means, layer by layer and as deployed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from ares.cli.model_options import (
    InitKwarg,
    InputData,
    InputShape,
    ModelClass,
    ModelFile,
    StateDict,
    ZooNetwork,
    choose,
    code_of_the_user,
    import_torch,
    refuse,
    user_model,
    zoo_subject,
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
from ares.files import is_taken, write_folder
from ares.verdict import Outcome

if TYPE_CHECKING:
    from ares.comparer import Comparison, Parts
    from ares.pipeline.subject import Subject
    from ares.runtimes import Runtime

Runtimes = Annotated[
    list[str] | None,
    typer.Option("--runtime", metavar="NAME", help="Runtime or glob; repeatable. Default: all."),
]
Cases = Annotated[
    int | None,
    typer.Option(
        "--cases",
        metavar="N",
        min=1,
        max=100,
        help="With --model-file: the number of cases, given inputs first, then random and edge values. Default, as for "
        "verify: 3, or all samples of --inputs (at most 64) and two.",
    ),
]
Dump = Annotated[
    Path | None,
    typer.Option(
        "--dump",
        metavar="DIR",
        help="Run none: judge tensors that a device or runtime of yours dumped (.npy, .npz, raw with manifest.json).",
    ),
]
DumpCase = Annotated[
    int,
    typer.Option("--dump-case", metavar="K", min=0, help="Which golden case was dumped; from 0."),
]
InputsOut = Annotated[
    Path | None,
    typer.Option(
        "--inputs-out",
        metavar="DIR",
        help="Run none: write the inputs of the golden cases as .npy, to be run elsewhere.",
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        metavar="DIR",
        help="Where to keep every layer that differs, to be repeated with that runtime alone.",
    ),
]
JsonOut = Annotated[
    Path | None,
    typer.Option("--json-out", metavar="P", help=f"Write the whole result as JSON; {DASH}."),
]
JunitOut = Annotated[
    Path | None,
    typer.Option("--junit-out", metavar="P", help="Write it as JUnit's XML; - as well."),
]


def compare_command(
    model: ZooNetwork = None,
    model_file: ModelFile = None,
    model_class: ModelClass = None,
    init_kwarg: InitKwarg = None,
    input_shape: InputShape = None,
    state_dict: StateDict = None,
    inputs: InputData = None,
    runtime: Runtimes = None,
    cases: Cases = None,
    dump: Dump = None,
    dump_case: DumpCase = 0,
    inputs_out: InputsOut = None,
    json_out: JsonOut = None,
    junit_out: JunitOut = None,
    out: Out = None,
) -> None:
    """Compare other runtimes with the integers that a model means: as deployed, and each layer on its own.

    Each layer becomes a file of its own, fed with golden codes, so that nothing travels. Of every difference it says
    how many codes, by how much, where first, how far theirs and ours are from the model in float64, and the cause
    where the numbers tell it. Exit code 0: all equal; 1: something differs or fails, or the model cannot be mapped; 2:
    usage, or a model, runtime or dump that cannot be used.
    """
    require_writable(json_out, junit_out)
    _require_free(out, inputs_out)
    if (model is None) == (model_file is None):
        fail_usage(
            "name one model: a network of the zoo (ares compare test_4), or --model-file FILE"
        )
    if dump is not None and (runtime or out):
        fail_usage("--dump judges what was run elsewhere: leave out --runtime and --out")
    runtimes = [] if dump or inputs_out else _usable(runtime or [])
    console = wide_console(json_out, junit_out)
    with code_of_the_user(console):
        if model is not None:
            subject = zoo_subject(model)
        else:
            import_torch()
            choice = choose(
                model_file, None, model_class, init_kwarg, input_shape, state_dict, inputs
            )
            subject = user_model(choice, cases, "ares compare")
        parts = _parts(subject)
        if inputs_out is not None:
            _hand_out(console, inputs_out, parts)
            return
        found = [_dumped(parts, dump, dump_case)] if dump else _run(console, parts, runtimes)
    _report(console, found, json_out, junit_out)
    if out is not None:
        _keep(console, out, parts, found, runtimes)
    if not all(each.is_equal for each in found):
        raise typer.Exit(1)


def _require_free(*folders: Path | None) -> None:
    for folder in folders:
        if folder is not None and is_taken(folder):
            fail_usage(
                f"{folder} is there already and not empty; name a new folder or remove it first"
            )


def _run(console: Console, parts: Parts, runtimes: Sequence[Runtime]) -> list[Comparison]:
    from ares.comparer import compare

    with console.status(parts.graph.name) as status:
        return [compare(parts, each, status.update) for each in runtimes]


def _usable(patterns: Sequence[str]) -> list[Runtime]:
    """The runtimes that are asked for and here; of others, what brings them."""
    from ares.runtimes import UnknownRuntime, chosen

    try:
        wanted = chosen(patterns)
    except UnknownRuntime as error:
        fail_usage(str(error))
    for each in wanted:
        if each.missing():
            complain(f"{each.name} is not run: {each.missing()}")
    found = [each for each in wanted if not each.missing()]
    if not found:
        fail_usage("no runtime is here; ares compare wants one at least")
    return found


def _parts(subject: Subject) -> Parts:
    """The network, once the integers themselves are what the model means."""
    from ares.comparer import Parts

    for stage in subject.stages():
        verdict = subject.stage(stage)
        if verdict.outcome is not Outcome.PASS:
            refuse(verdict.message.splitlines()[0])
    cases = [
        {**subject.expected(number), **dict(zip(subject.graph.inputs, case.inputs, strict=True))}
        for number, case in enumerate(subject.golden.cases)
    ]
    return Parts(subject.graph, cases)


def _report(
    console: Console, found: Sequence[Comparison], json_out: Path | None, junit_out: Path | None
) -> None:
    from ares.comparer.rendering import parts
    from ares.comparer.result_files import as_json, as_junit

    for part in parts(found):
        show(console, part)
    if json_out is not None:
        write_text(json_out, as_json(found))
    if junit_out is not None:
        write_text(junit_out, as_junit(found))


def _keep(
    console: Console,
    out: Path,
    parts: Parts,
    found: Sequence[Comparison],
    runtimes: Sequence[Runtime],
) -> None:
    """Every layer that differs, in a folder of its own; none where all is equal."""
    from ares.comparer.failure_folder import folders_of

    files: dict[str, bytes] = {}
    for comparison, each in zip(found, runtimes, strict=True):
        files |= folders_of(parts, comparison, each)
    if not files:
        return
    try:
        write_folder(out, files)
    except OSError as error:
        fail_usage(f"cannot write {out}: {error.strerror}")
    show(console, f"kept: {out}; python repeat.py in each folder shows it with that runtime alone")


def _dumped(parts: Parts, folder: Path, case: int) -> Comparison:
    """What a dump holds, judged; what is none of ours is said."""
    from ares.comparer.dumped import DumpError, compare_dump

    if case >= len(parts.cases):
        fail_usage(f"--dump-case {case}: there are {len(parts.cases)} cases, from 0")
    try:
        found, unmatched = compare_dump(parts, folder, case)
    except DumpError as error:
        fail_usage(str(error))
    for each in unmatched:
        complain(f"not judged: {each}")
    if all(row.verdict == "unsaid" for row in found.layers):
        fail_usage(f"{folder}: no tensor there is one of this network's")
    return found


def _hand_out(console: Console, folder: Path, parts: Parts) -> None:
    """The inputs of every case, for a runtime of the user's own."""
    from ares.comparer.failure_folder import npy

    files = {
        f"case{number}/{name}.npy": npy(array)
        for number, typed in enumerate(parts.typed(parts.graph))
        for name, array in typed.items()
    }
    try:
        write_folder(folder, files)
    except OSError as error:
        fail_usage(f"cannot write {folder}: {error.strerror}")
    show(
        console, f"{folder}: inputs of {len(parts.cases)} cases; dump the tensors of one for --dump"
    )
