"""The self-test of an exported project: golden cases as C, and as `expected.json` for `ares trace`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ares.emit.c_files import c_files
from ares.emit.literals import ConstArray, const_array
from ares.ir import Project, trace_digest
from ares.resources import runtime_dir

Array = npt.NDArray[Any]
FOLDER = "selftest"
EXPECTED = "expected.json"


@dataclass(frozen=True, slots=True, eq=False)
class Vector:
    """A golden case: inputs in order, every layer's tensor and the outputs, in PyTorch's order of elements."""

    name: str
    inputs: tuple[Array, ...]
    tensors: Mapping[str, Array]
    outputs: tuple[Array, ...]


def selftest_facts(project: Project, vectors: Sequence[Vector]) -> dict[str, Any]:
    """What the template of the self-test needs."""
    data = b"".join(_input_bytes(project, vector) for vector in vectors)
    digests = [int(digest, 16) for vector in vectors for digest in _digests(project, vector)]
    return {
        "vectors": vectors,
        "golden_input": const_array("golden_input", np.frombuffer(data, np.int8)),
        "golden_digests": _digest_array(digests),
    }


def selftest_signature(graph: str, project: Project, vectors: Sequence[Vector]) -> str:
    """What the self-test prints first: 16 digits of the Graph (its digest), the cases and what they must show."""
    state = hashlib.sha256(graph.encode())
    for vector in vectors:
        state.update(_input_bytes(project, vector))
        state.update(" ".join(_digests(project, vector)).encode())
    return state.hexdigest()[:16]


def selftest_runtime() -> dict[str, bytes]:
    """The part of the self-test that is the same for every network: `selftest/...` -> content."""
    return c_files(runtime_dir() / FOLDER, FOLDER)


def expected_json(project: Project, signature: str, vectors: Sequence[Vector]) -> bytes:
    """Per case the digest of every layer and output, with the signature that the self-test prints first."""
    cases = []
    for vector in vectors:
        digests = _digests(project, vector)
        layers = [
            {
                "index": point.layer_index,
                "layer": point.layer,
                "tensor": point.tensor,
                "op_type": point.op_type,
                "digest": next(digests),
            }
            for point in project.points
        ]
        cases.append({"name": vector.name, "layers": layers, "outputs": list(digests)})
    content = {"network": project.name, "signature": signature, "cases": cases}
    return (json.dumps(content, indent=1) + "\n").encode()


def _digest_array(digests: Sequence[int]) -> ConstArray:
    return const_array("golden_digests", np.array(digests, np.uint64))


def _digests(project: Project, vector: Vector) -> Iterator[str]:
    for point in project.points:
        yield trace_digest(point.to_memory(vector.tensors[point.tensor]))
    for port, array in zip(project.outputs, vector.outputs, strict=True):
        yield trace_digest(port.to_bytes(array))


def _input_bytes(project: Project, vector: Vector) -> bytes:
    pairs = zip(project.inputs, vector.inputs, strict=True)
    return b"".join(port.to_bytes(array) for port, array in pairs)
