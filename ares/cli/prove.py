"""`ares prove`: for each layer's compiled code, that it is right for every input; and the certificate of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

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
from ares.cli.own_targets import Cc, Runner, TargetsFile, own_or_ours
from ares.files import is_taken, write_folder
from ares.toolchain import BuildFailure, RunFailure, Target, ToolchainError

if TYPE_CHECKING:
    from ares.pipeline.subject import Subject
    from ares.prover.proving import Proof, Proven

Targets = Annotated[
    list[str] | None,
    typer.Option(
        "--target",
        metavar="T",
        help="Target name or glob; repeatable. Default: the default targets. Boards cannot be probed.",
    ),
]
Cases = Annotated[
    int | None,
    typer.Option(
        "--cases",
        metavar="N",
        min=1,
        max=10_000,
        help="With --model-file: the number of cases for those layers for which only samples say anything. "
        "Default: as for verify.",
    ),
]
Out = Annotated[
    Path | None,
    typer.Option("--out", metavar="DIR", help="Where to write the certificate, with the C."),
]
JsonOut = Annotated[
    Path | None,
    typer.Option("--json-out", metavar="P", help=f"Write what was shown as JSON; {DASH}."),
]


def prove_command(
    model: ZooNetwork = None,
    model_file: ModelFile = None,
    model_class: ModelClass = None,
    init_kwarg: InitKwarg = None,
    input_shape: InputShape = None,
    state_dict: StateDict = None,
    inputs: InputData = None,
    target: Targets = None,
    cc: Cc = None,
    runner: Runner = None,
    targets_file: TargetsFile = None,
    cases: Cases = None,
    json_out: JsonOut = None,
    out: Out = None,
) -> None:
    """Prove that each layer's compiled code is right, and write a certificate that anybody can re-check.

    Of every layer it says how much is shown: every input; every input but for a probability of 2^-64; or what the
    bound on paper and the golden cases show. Exit code 0: nothing is wrong; 1: a layer is wrong, or the model cannot
    be mapped; 2: usage, or a model or target that cannot be used.
    """
    from ares.prover.proving import kinds_of

    require_writable(json_out)
    if out is not None and is_taken(out):
        fail_usage(f"{out} is there already and not empty; name a new folder or remove it first")
    if (model is None) == (model_file is None):
        fail_usage("name one model: a network of the zoo (ares prove test_4), or --model-file FILE")
    targets = own_or_ours(target, cc, runner, None, targets_file)
    console = wide_console(json_out)
    with code_of_the_user(console):
        if model is not None:
            subject = zoo_subject(model)
        else:
            import_torch()
            choice = choose(
                model_file, None, model_class, init_kwarg, input_shape, state_dict, inputs
            )
            subject = user_model(choice, cases, "ares prove")
        result = _proven(console, subject, targets)
    for part in _parts(result):
        show(console, part)
    if out is not None:
        try:
            write_folder(out, result.files)
        except OSError as error:
            fail_usage(f"cannot write {out}: {error.strerror}")
        show(console, f"certificate: {out}; tools/check_certificate.py says how to re-check it")
    if json_out is not None:
        proofs = [proof.as_json() for proof in result.proofs]
        shown = kinds_of(result.proofs)
        content = {"network": result.network, "shown_for": shown, "proofs": proofs}
        write_text(json_out, json.dumps(content, indent=1) + "\n")
    if not result.passed:
        raise typer.Exit(1)


def _proven(console: Console, subject: Subject, targets: Sequence[Target]) -> Proven:
    from ares.prover.proving import ProveError, prove

    usable = tuple(target for target in targets if target.missing() is None)
    for target in targets:
        if target not in usable:
            complain(f"{target.name} is left out: {target.missing()}")
    try:
        with console.status(subject.name) as status:
            return prove(subject, usable, status.update)
    except ProveError as error:
        refuse(str(error))
    except (BuildFailure, RunFailure) as error:
        refuse(str(error))
    except ToolchainError as error:
        fail_usage(str(error))


def _parts(result: Proven) -> list[Table | str]:
    """A table where kinds are the same on all targets, faults by target, and a summary for each."""
    from ares.prover.proving import NOT_EXACT, kinds_of

    kinds = kinds_of(result.proofs)
    table = Table(box=None, pad_edge=False)
    for name in ("layer", "operation", "shown for", "probes"):
        table.add_column(name, justify="right" if name == "probes" else "left", no_wrap=True)
    for layer in result.proofs[0].layers:
        kind = kinds[layer.layer]
        style = "bold red" if kind == NOT_EXACT else ""
        cells = (layer.layer, layer.op_type, kind, str(layer.probes))
        table.add_row(*(Text(cell, style) for cell in cells))
    faults = [_fault(result.network, proof) for proof in result.proofs if proof.faults]
    return [table, *faults, *(f"{proof.target}: {proof.said()}" for proof in result.proofs)]


def _fault(network: str, proof: Proof) -> str:
    lines = [f"{layer.layer} ({layer.op_type}): {layer.fault}" for layer in proof.faults]
    again = f"again: ares prove {network} --target {proof.target}"
    return "\n".join([f"{proof.target}:", *lines, again])
