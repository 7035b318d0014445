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

from ares.pipeline.subject import Subject
from ares.prover.certificate import Certificate, certificate_of
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
        """How many layers have which kind, in a line."""
        counts = Counter(layer.kind for layer in self.layers)
        first, *others = ((kind, counts[kind]) for kind in KINDS if counts[kind])
        words = [f"{first[1]} of {len(self.layers)} layers: {first[0]}"]
        return "; ".join([*words, *(f"{count}: {kind}" for kind, count in others)])

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
    proofs = []
    for target in targets:
        tell(f"{subject.name} on {target.name}")
        proofs.append(prove_on(certificate, target))
    return Proven(subject.name, tuple(proofs), _with_kinds(certificate, proofs[0]))


def require_accepted(subject: Subject) -> None:
    """Raise ProveError unless the Graph and the golden codes are what the model means, as all witnesses say."""
    for stage in subject.stages():
        verdict = subject.stage(stage)
        if verdict.outcome is not Outcome.PASS:
            raise ProveError(
                f"{stage.name}: {verdict.message.splitlines()[0]} (ares verify says more)"
            )


def prove_on(certificate: Certificate, target: Target) -> Proof:
    """Every layer, as the target's own compiler and processor have it."""
    if target.machine.board is not None:
        raise ToolchainError(
            f"{target.name}: a board reads no files, so that its layers cannot be probed"
        )
    binary = build(certificate.project, target)
    with tempfile.TemporaryDirectory(prefix="ares-prove-") as name:
        folder = Path(name)
        write_files(certificate.files, folder)
        command = [
            *PYTHON,
            str(checker_file()),
            str(folder),
            *target.machine.runner,
            str(binary.path),
        ]
        environment = dict(target.run_environment)
        finished = run_process(command, folder=folder, timeout=TIMEOUT, environment=environment)
    rows = [json.loads(line) for line in finished.stdout.splitlines()]
    if finished.code not in (0, 1) or len(rows) != len(certificate.layers):
        words = (finished.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise RunFailure("crash", target.name, f"the probes were not answered: {words}")
    pairs = zip(certificate.layers, rows, strict=True)
    layers = tuple(
        LayerProof(
            found["layer"],
            layer["op"],
            found["shown"],
            found["probes"],
            found["fault"] or "",
        )
        for layer, found in pairs
    )
    return Proof(target.name, binary.recipe.compiler, layers)


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
    text = (json.dumps(content, indent=1) + "\n").encode()
    return {**certificate.project.files, **certificate.files, "certificate.json": text}
