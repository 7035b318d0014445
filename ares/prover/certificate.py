"""A certificate: the exported C of a model, the program that probes its layers, and what every layer means."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ares import __version__
from ares.ir import Project, graph_digest
from ares.ops import KernelOperation, Site
from ares.ops._operation import Array
from ares.pipeline.subject import Subject
from ares.plan import Plan, Step, plan
from ares.plan.folding import fold_padding
from ares.plan.planner import Space
from ares.prover.meaning import (
    copy_meaning,
    folded_meaning,
    meaning_of,
    samples_meaning,
)
from ares.prover.sums import Meaning
from ares.resources import runtime_dir

FORMAT = "ares-certificate-1"
PROBE = "probe.c"
# As the C numbers them (layer_descriptors.h).
_SPACES = (Space.ARENA, Space.INPUT, Space.CONSTANT, Space.OUTPUT)


@dataclass(frozen=True, slots=True)
class Certificate:
    """`project` is what is compiled, with the probe in place of the tracing program; `files` go beside it."""

    project: Project
    files: Mapping[str, bytes]
    layers: Sequence[Mapping[str, Any]]


def certificate_of(subject: Subject) -> Certificate:
    """The certificate of a subject whose stages before the C have passed."""
    planned = plan(subject.graph)
    project = probed(subject.project)
    arrays: dict[str, Array] = {}
    layers = _layers(planned, subject, arrays)
    content = {
        "format": FORMAT,
        "ares": __version__,
        "network": subject.name,
        "graph": graph_digest(subject.graph),
        "sources": [*project.sources, project.main],
        "tensors": [_tensor(planned, number) for number in range(len(planned.tensors))],
        "layers": layers,
    }
    stored = io.BytesIO()
    np.savez_compressed(stored, allow_pickle=False, **arrays)
    return Certificate(project, sealed(content, stored.getvalue()), layers)


def sealed(content: Mapping[str, Any], stored: bytes) -> dict[str, bytes]:
    """The files of a certificate, with a digest by which the checker sees that they are whole, and as written."""
    facts = {**content, "seal": ""}
    facts["seal"] = hashlib.sha256(json.dumps(facts).encode() + stored).hexdigest()
    text = (json.dumps(facts, indent=1) + "\n").encode()
    return {"certificate.json": text, "certificate.npz": stored}


def probed(project: Project) -> Project:
    """The same network with a main program that runs single layers of it."""
    stem = project.sources[0].removesuffix(".c")
    head = f'#define ARES_PROBED_HEADER "{stem}.h"\n#define ARES_PROBED_NETWORK {stem}_network\n'
    probe = head.encode() + (runtime_dir() / "probe" / PROBE).read_bytes()
    # What builds the tracing program goes with it.
    gone = (project.main, "Makefile", "CMakeLists.txt")
    files = {path: data for path, data in project.files.items() if path not in gone}
    return replace(project, files={**files, PROBE: probe}, main=PROBE)


def _tensor(planned: Plan, number: int) -> dict[str, Any]:
    tensor = planned.tensors[number]
    meant = planned.graph.tensor(tensor.name.rpartition("@")[0] or tensor.name)
    return {
        "name": tensor.name,
        "shape": list(tensor.shape),
        "layout": list(tensor.layout),
        "elements": tensor.elements,
        "dtype": tensor.dtype.value,
        "place": [_SPACES.index(tensor.space), tensor.position],
        "zero_point": meant.zero_point,
        "lo": meant.lo,
        "hi": meant.hi,
    }


def _layers(planned: Plan, subject: Subject, arrays: dict[str, Array]) -> list[dict[str, Any]]:
    """A row for each step; its arrays, whose names it lists, go into `arrays` under its number."""
    names = [tensor.name for tensor in planned.tensors]
    operations = fold_padding(planned.graph).operations
    found = []
    for number, step in enumerate(planned.steps):
        meaning = _meaning(planned, step, operations, subject)
        own = {name: value for name, value in meaning.items() if isinstance(value, np.ndarray)}
        arrays |= {f"{number}.{name}": value for name, value in own.items()}
        row = {
            "name": step.layer,
            "op": step.op_type,
            "kernel": step.call is not None,
            "inputs": [names.index(name) for name in step.inputs],
            "outputs": [names.index(name) for name in step.outputs],
            "arrays": list(own),
        }
        found.append(row | {name: meaning[name] for name in meaning if name not in own})
    return found


def _meaning(
    planned: Plan, step: Step, operations: Mapping[str, KernelOperation], subject: Subject
) -> Meaning:
    if step.folded_into:
        return folded_meaning()
    site = _site(planned, step)
    operation = operations.get(step.layer)
    if operation is None:
        return copy_meaning(site)
    found = meaning_of(operation, site)
    if found is not None:
        return found
    known = []
    for number, case in enumerate(subject.golden.cases):
        pairs = zip(planned.graph.inputs, case.inputs, strict=True)
        known.append({**dict(pairs), **subject.expected(number)})
    inputs = [np.stack([_kept(planned, name, each) for each in known]) for name in step.inputs]
    return samples_meaning(
        inputs, np.stack([_kept(planned, step.outputs[0], each) for each in known])
    )


def _kept(planned: Plan, name: str, known: Mapping[str, Array]) -> Array:
    meant = name.rpartition("@")[0] if name not in known else name
    return known[meant].astype(planned.tensor(name).dtype.numpy)


def _site(planned: Plan, step: Step) -> Site:
    """The tensors around a step, with their layouts."""

    def all_of(names: Sequence[str]) -> tuple[Any, ...]:
        graph = planned.graph
        known = {tensor.name for tensor in graph.tensors}
        return tuple(graph.tensor(n if n in known else n.rpartition("@")[0]) for n in names)

    return Site(
        all_of(step.inputs),
        all_of(step.outputs),
        tuple(planned.tensor(name).layout for name in step.inputs),
        tuple(planned.tensor(name).layout for name in step.outputs),
    )
