"""Build the probe for a target, have tools/check_certificate.py decide, read what it found.

The checker is a program of its own, which knows nothing of ARES: what is said here is what anybody can see who runs
it on the folder of a certificate.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ares.ir import Binary
from ares.pipeline.subject import Subject
from ares.prover.certificate import Certificate, certificate_of, sealed
from ares.resources import checker_file
from ares.toolchain import RunFailure, Target, ToolchainError, build
from ares.toolchain.build import write_files
from ares.toolchain.machines import PYTHON
from ares.toolchain.process import run_process
from ares.verdict import Outcome

TIMEOUT = 3600.0
EVERY, ALMOST, SAMPLES = (
    "every input",
    "every input but for 2^-64",
    "bound on paper and samples",
)
KINDS = (EVERY, ALMOST, SAMPLES)
NOT_EXACT = "NOT EXACT"
# The checker's matrices are small, and targets and networks run side by side.
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


class ProveError(Exception):
    """There is nothing to prove: the model is not mapped, or not what its witnesses accept. One line."""


@dataclass(frozen=True, slots=True)
class LayerProof:
    """What was shown of a layer: its kind, how many probes were run, and the first difference ("" without one)."""

    layer: str
    op_type: str
    kind: str
    probes: int
    fault: str


@dataclass(frozen=True, slots=True)
class Proof:
    """All layers of a model on one target."""

    target: str
    compiler: str
    layers: tuple[LayerProof, ...]

    @property
    def faults(self) -> tuple[LayerProof, ...]:
        return tuple(layer for layer in self.layers if layer.fault)

    def summary(self) -> str:
        """How many layers were shown how, in a line."""
        counts = Counter(layer.kind for layer in self.layers)
        shown = counts[EVERY] + counts[ALMOST]
        almost = f" ({counts[ALMOST]} of them but for 2^-64)" if counts[ALMOST] else ""
        samples = f", {counts[SAMPLES]} by a bound on paper and samples" if counts[SAMPLES] else ""
        return f"{shown} of {len(self.layers)} layers for every input{almost}{samples}"

    def said(self) -> str:
        """The same, behind what is wrong."""
        names = ", ".join(layer.layer for layer in self.faults)
        return f"NOT EXACT at {names}; {self.summary()}" if self.faults else self.summary()

    def as_json(self) -> dict[str, Any]:
        return {
            "target": self.target,
            "compiler": self.compiler,
            "layers": [
                {name: getattr(layer, name) for name in LayerProof.__slots__}
                for layer in self.layers
            ],
        }


@dataclass(frozen=True, slots=True)
class Proven:
    """The proofs of a model, and the files of its certificate with the kinds that it claims."""

    network: str
    proofs: tuple[Proof, ...]
    files: dict[str, bytes]

    @property
    def passed(self) -> bool:
        return not any(proof.faults for proof in self.proofs)


def prove(
    subject: Subject, targets: Sequence[Target], tell: Callable[[str], None] = lambda _: None
) -> Proven:
    """Prove every layer on every target.

    Raises ProveError where a stage before the C does not pass, ToolchainError and BuildFailure for a target that cannot
    be used, RunFailure for a probe that does not run to its end.
    """
    require_accepted(subject)
    certificate = certificate_of(subject)
    proofs = prove_on(certificate, targets, tell)
    return Proven(subject.name, proofs, _with_kinds(certificate, proofs[0]))


def kinds_of(proofs: Sequence[Proof]) -> dict[str, str]:
    """For which inputs each layer was shown to be right, the least of all targets; or that it is not."""
    found: dict[str, str] = {}
    for layer in (layer for proof in proofs for layer in proof.layers):
        kind = NOT_EXACT if layer.fault else layer.kind
        found[layer.layer] = max(kind, found.get(layer.layer, EVERY), key=(*KINDS, NOT_EXACT).index)
    return found


def require_accepted(subject: Subject) -> None:
    """Raise ProveError unless the Graph and the golden codes are what the model means, as all witnesses say."""
    for stage in subject.stages():
        verdict = subject.stage(stage)
        if verdict.outcome is not Outcome.PASS:
            raise ProveError(
                f"{stage.name}: {verdict.message.splitlines()[0]} (ares verify says more)"
            )


def prove_on(
    certificate: Certificate,
    targets: Sequence[Target],
    tell: Callable[[str], None] = lambda _: None,
) -> tuple[Proof, ...]:
    """Every layer, as each target's own compiler and processor have it."""
    for target in targets:
        if target.machine.board is not None:
            raise ToolchainError(
                f"{target.name}: a board reads no files, so that its layers cannot be probed"
            )
    binaries = []
    for target in targets:
        tell(f"{certificate.project.name}: {target.name} is built")
        binaries.append(build(certificate.project, target, progress=tell))
    tell(f"{certificate.project.name}: {', '.join(target.name for target in targets)}")
    try:
        found = _checked(certificate, targets, binaries)
    except RunFailure:
        if len(targets) == 1:
            raise
        # One that ends early ends all: each alone shows which it is.
        pairs = zip(targets, binaries, strict=True)
        found = [_checked(certificate, [target], [binary])[0] for target, binary in pairs]
    made = zip(targets, binaries, found, strict=True)
    return tuple(Proof(target.name, b.recipe.compiler, layers) for target, b, layers in made)


def _checked(
    certificate: Certificate, targets: Sequence[Target], binaries: Sequence[Binary]
) -> list[tuple[LayerProof, ...]]:
    """What the checker says of the layers, program by program; all answer side by side."""
    words: list[str] = []
    environment = dict(_ONE_THREAD)
    for target, binary in zip(targets, binaries, strict=True):
        words += [*(["--"] if words else []), *target.machine.runner, str(binary.path)]
        environment |= target.run_environment
    with tempfile.TemporaryDirectory(prefix="ares-prove-") as name:
        folder = Path(name)
        write_files(certificate.files, folder)
        command = [*PYTHON, str(checker_file()), str(folder), *words]
        finished = run_process(command, folder=folder, timeout=TIMEOUT, environment=environment)
    rows = [json.loads(line) for line in finished.stdout.splitlines()]
    if finished.code not in (0, 1) or len(rows) != len(certificate.layers):
        said = (finished.stderr.strip().splitlines() or ["it said nothing"])[-1]
        names = ", ".join(target.name for target in targets)
        raise RunFailure("crash", names, f"the probes were not answered: {said}")
    return [
        tuple(
            LayerProof(
                row["layer"], layer["op"], row["shown"], row["probes"], row["faults"][k] or ""
            )
            for layer, row in zip(certificate.layers, rows, strict=True)
        )
        for k in range(len(targets))
    ]


def _with_kinds(certificate: Certificate, proof: Proof) -> dict[str, bytes]:
    """The folder of the certificate: the C, what it means, and what is claimed of every layer."""
    claimed = replace(
        certificate,
        layers=[
            {**layer, "kind": found.kind}
            for layer, found in zip(certificate.layers, proof.layers, strict=True)
        ],
    )
    content = json.loads(certificate.files["certificate.json"])
    content["layers"] = claimed.layers
    files = sealed(content, certificate.files["certificate.npz"])
    return {**certificate.project.files, **files}
