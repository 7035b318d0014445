"""Goldens are made here and nowhere else: state, cases, integer reference, the torch witness's acceptance, audit.

Nothing is written when a witness objects or the evidence is vacuous; files that stay the same keep their bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from ares import __version__
from ares.emit import emit
from ares.extract import extract
from ares.files import write_file
from ares.golden import (
    STATE,
    Case,
    Golden,
    GoldenCase,
    GoldenError,
    Statistics,
    audit,
    changes,
    golden_case,
    load_golden,
    make_cases,
    pack,
    sha256,
)
from ares.golden.operations import (
    OperationCase,
    OperationSuite,
    load_operation_suite,
    make_suites,
    operation_suites,
    pack_suite,
    suite_changes,
)
from ares.ir import DType, Graph, GraphError
from ares.ops import run_reference
from ares.pipeline.catalogue import ZooPaths
from ares.pipeline.fidelity import fidelity
from ares.pipeline.stored_state import read_state, restore_state
from ares.plan import plan
from ares.toolchain import build, default_targets, run
from ares.witness import Judgement, Witness
from ares.zoo.network_file import NetworkFile, load_network_file
from ares.zoo.state import StateInfo, make_state

VERSIONS = "versions"
# Deviations below this differ from machine to machine with the order of float64 sums.
FLOAT64_NOISE = 1e-10


@dataclass(frozen=True, slots=True)
class Regenerated:
    """What regenerating one golden would change (`changes`, in words), the files that hold it, and those to remove."""

    network: str
    changes: tuple[str, ...]
    files: Mapping[Path, bytes]
    gone: tuple[Path, ...] = ()

    def write(self) -> None:
        """Write every changed file, each whole or not at all; remove what is gone."""
        for path, data in self.files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_file(path, data)
        for path in self.gone:
            path.unlink() if path.is_file() else path.rmdir()


def regenerate_operations(cases: Sequence[OperationCase], folder: Path) -> tuple[Regenerated, ...]:
    """The suites of these unit cases against those stored in `folder`, which holds all goldens.

    Writes nothing. Raises GoldenError when the merged Graphs do not give what the cases say.
    """
    suites = make_suites(cases)
    results = []
    for suite in suites:
        lines = suite_changes(_stored_suite(folder / suite.name), suite)
        packed = pack_suite(suite) if lines else {}
        files = {folder / suite.name / name: data for name, data in packed.items()}
        results.append(Regenerated(suite.name, tuple(lines), files))
    for name in sorted({*operation_suites(folder)} - {suite.name for suite in suites}):
        gone = (*sorted((folder / name).iterdir()), folder / name)
        results.append(Regenerated(name, (f"{name}: suite is gone",), {}, gone))
    return tuple(results)


def _stored_suite(folder: Path) -> OperationSuite | None:
    try:
        return load_operation_suite(folder)
    except GoldenError:
        # Missing or damaged: everything is new.
        return None


def regenerate(paths: ZooPaths, *, retrain: bool = False) -> Regenerated:
    """Compute the golden of a network anew and compare it with what is stored; writes nothing.

    `retrain` also makes a new state (training or calibration); without it only a missing one is made. Raises
    GoldenError when a witness objects or a layer is vacuous.
    """
    network = load_network_file(paths.source)
    state_path = paths.golden / STATE
    new_state = retrain or not state_path.exists()
    state = make_state(network) if new_state else read_state(paths)
    model, info = restore_state(network, state)
    graph = extract(model, network.example_inputs(), paths.name)
    _refuse_stale_excuses(graph, network)
    realistic = [tensor.numpy() for tensor in network.example_inputs()]
    cases = make_cases(graph, realistic)
    golden_cases = tuple(_golden_case(graph, case, network) for case in cases)
    judgements = _accepted(model, graph, golden_cases)
    provenance = _provenance(network, graph, state, info, judgements)
    provenance["fidelity"] = fidelity(model, graph, golden_cases)
    golden = Golden(paths.name, provenance, golden_cases)
    old = _stored(paths)
    if old is not None:
        golden = _with_known_versions(golden, old)
    lines = changes(old, golden)
    files: dict[Path, bytes] = {}
    if new_state:
        lines = [f"{paths.name}: new state ({len(state)} bytes)", *lines]
        files[state_path] = state
    if lines:
        files |= {paths.golden / name: data for name, data in pack(golden, len(state)).items()}
    return Regenerated(paths.name, tuple(lines), files)


def _stored(paths: ZooPaths) -> Golden | None:
    try:
        return load_golden(paths.golden)
    except GoldenError:
        # Missing or damaged: everything is new.
        return None


def _refuse_stale_excuses(graph: Graph, network: NetworkFile) -> None:
    layers = [tensor.name for _, tensor in graph.produced()]
    for name in network.vacuity:
        if name not in layers:
            raise GoldenError(
                f"{graph.name}: VACUITY of its file names {name!r}, which is no layer; "
                f"layers: {', '.join(layers)}"
            )


def _golden_case(graph: Graph, case: Case, network: NetworkFile) -> GoldenCase:
    try:
        arrays = run_reference(graph, case.inputs)
    except GraphError as error:
        raise GoldenError(f"case {case.name}: {error}") from error
    made = golden_case(graph, case.name, case.inputs, arrays)
    if case.saturation_limit is not None:
        found = {
            line.name: (prod(line.shape), Statistics(line.saturated, line.distinct))
            for line in made.layers
        }
        vacuous = audit(found, case.saturation_limit, network.vacuity)
        if vacuous:
            raise GoldenError(
                f"{graph.name}: case {case.name}: vacuous evidence: {'; '.join(vacuous)}; "
                "calibrate the network, or give the reason in VACUITY of its file"
            )
    return made


def _accepted(model: Any, graph: Graph, cases: Sequence[GoldenCase]) -> tuple[Judgement, ...]:
    """The witness's judgements; raises GoldenError when it rejects a tensor."""
    inputs = [np.concatenate([case.inputs[i] for case in cases]) for i in range(len(graph.inputs))]
    tensors = {
        tensor.name: np.concatenate([case.arrays[tensor.name] for case in cases])
        for _, tensor in graph.produced()
    }
    judgements = Witness(model, graph).judge(inputs, tensors)
    for judgement in judgements:
        if not judgement.accepted:
            raise GoldenError(
                f"{graph.name}: the torch witness rejects {judgement.tensor} at {judgement.event}: "
                f"code {judgement.code:g}, model means {judgement.real:.9g} "
                f"(deviation {judgement.deviation:.3g}, allowed {judgement.eps:.3g})"
            )
    return judgements


def _deviations(graph: Graph, judgements: Sequence[Judgement]) -> Mapping[str, float]:
    """Stem of the operation -> largest deviation seen, to two digits; float64 noise counts as none.

    What a binary32 result is off by is the doing of the operation that computed it, not of those that moved it.
    """
    makers = {tensor.name: operation for operation, tensor in graph.produced()}
    worst: dict[str, float] = {}
    for judgement in judgements:
        if not judgement.of_weights:
            operation = makers[judgement.tensor]
            while operation.EPS == 0.0 and graph.tensor(operation.outputs[0]).dtype is DType.F32:
                operation = makers[operation.inputs[0]]
            stem = operation.stem()
            seen = judgement.deviation if judgement.deviation > FLOAT64_NOISE else 0.0
            worst[stem] = max(worst.get(stem, 0.0), float(f"{seen:.1e}"))
    return dict(sorted(worst.items()))


def _provenance(
    network: NetworkFile,
    graph: Graph,
    state: bytes,
    info: StateInfo,
    judgements: Sequence[Judgement],
) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "source_sha256": sha256(network.path.read_bytes()),
        "state_sha256": sha256(state),
        "seed": info.seed,
        "deviations": _deviations(graph, judgements),
        **_composites(graph),
        VERSIONS: {"ares": __version__}
        | {name: version(name) for name in ("brevitas", "numpy", "torch")},
    }
    if network.is_trained:
        facts["accuracy"] = {
            "float": info.float_accuracy,
            "brevitas": info.brevitas_accuracy,
            **_c_accuracy(network, graph),
        }
    return facts


def _composites(graph: Graph) -> dict[str, Any]:
    """Name -> OpType of the layers that are several operations; nothing where there are none."""
    found = {composite.name: composite.op_type for composite in graph.composites}
    return {"composites": found} if found else {}


def _c_accuracy(network: NetworkFile, graph: Graph) -> dict[str, Any]:
    """Held-out accuracy of the generated C, run on every held-out sample."""
    target = next(target for target in default_targets() if target.missing() is None)
    project = emit(plan(graph))
    data = network.dataset()
    samples = [[x.numpy()[None]] for x in data.heldout_x]
    traces = run(build(project, target), project, samples, mode="outputs")
    right = sum(
        int(np.argmax(trace.outputs[0])) == int(label)
        for trace, label in zip(traces, data.heldout_y, strict=True)
    )
    return {"c": round(right / len(samples), 6), "heldout_samples": len(samples)}


def _with_known_versions(golden: Golden, old: Golden) -> Golden:
    """Keep the recorded versions when nothing but them would change."""
    kept = {**golden.provenance, VERSIONS: old.provenance.get(VERSIONS)}
    candidate = Golden(golden.network, kept, golden.cases)
    return golden if changes(old, candidate) else candidate
