"""The unit cases of the operations as data: many of them merged into one pseudo-network, a *suite*.

The tests of `tests/ops` hand over their cases (a small Graph, its inputs, every tensor that it makes; their oracle in
big integers has judged them); `tools/regenerate_golden.py` stores them in `golden/<suite>/`, as a golden with the one
case "oracle" and the merged Graph beside it. A program for one suite runs all its cases, on any target.

Reading checks every digest, and that the Graph and the arrays hold the very cases that the manifest lists; anything
that does not fit raises `GoldenError` with one line.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ares.golden.merging import SEPARATOR, SINGLE, distinct, key_of, merge, split
from ares.golden.store import (
    ADVICE,
    MANIFEST,
    Golden,
    GoldenError,
    compress,
    decompress,
    golden_case,
    load_golden,
    pack,
    read_manifest,
    required,
    sha256,
    tensor_digest,
)
from ares.ir import Graph, GraphError, GraphFileError, graph_digest, save_graph
from ares.ops import read_graph, run_reference

Array = npt.NDArray[Any]

# The suites, by the first letter of an operation's name, so that a new operation finds its own. Each is one program
# for each target: some 200 layers, about a second of compiling.
LETTERS = ("ae", "fm", "nr", "sz")
PREFIX = "ops_"
ORACLE = "oracle"
GRAPH = "graph.safetensors.zst"
# Bytes of all tensors of a case; what is larger stays with the default targets, where each case is a program.
LARGEST_CASE = 256 * 1024
# Bytes of all tensors of a suite. A program keeps outputs twice, inputs once: that must fit 4 MiB.
LARGEST_SUITE = 3 * 1024 * 1024 // 2


@dataclass(frozen=True, slots=True, eq=False)
class OperationCase:
    """A unit case. `operation` is the stem of its test's file, `label` tells the cases of one test apart.

    `tensors`: everything that the Graph makes, in order; `judged` are those that the test's oracle gave (the others
    lie between, and are the reference's).
    """

    operation: str
    test: str
    label: str
    graph: Graph
    inputs: tuple[Array, ...]
    tensors: Mapping[str, Array]
    judged: tuple[str, ...]

    @property
    def key(self) -> str:
        """`<operation>.<test>.<label>`; not yet distinct."""
        return key_of((self.operation, self.test.removeprefix("test_"), self.label))

    @property
    def nbytes(self) -> int:
        return sum(tensor.nbytes for tensor in self.graph.tensors)

    @property
    def digest(self) -> str:
        """Changes when anything in the Graph or the arrays does, but for the Graph's name."""
        return _content(replace(self.graph, name=SINGLE), self.inputs, self.tensors)


@dataclass(frozen=True, slots=True, eq=False)
class OperationSuite:
    """A pseudo-network: its Graph, and its golden with the one case "oracle", in which every tensor is whole."""

    name: str
    graph: Graph
    golden: Golden


def suite_of(operation: str) -> str:
    """The suite in which an operation's cases are stored."""
    for letters in LETTERS:
        if operation[:1] <= letters[-1]:
            return f"{PREFIX}{letters}"
    raise ValueError(f"{operation!r}: an operation's name starts with a lower case letter")


def operation_suites(root: Path) -> tuple[str, ...]:
    """Names of the suites that are stored under `root`, the folder of all goldens."""
    return tuple(sorted(path.name for path in root.glob(f"{PREFIX}*") if path.is_dir()))


def stored_digests(folder: Path) -> frozenset[str]:
    """Digests of the cases that a suite's manifest lists, stored or left out. Raises GoldenError."""
    manifest = read_manifest(folder)
    try:
        facts = manifest["provenance"]
        return frozenset(str(entry["digest"]) for entry in (*facts["cases"], *facts["left_out"]))
    except (KeyError, TypeError) as error:
        raise _damaged(folder, error) from None


# Making suites.


def make_suites(cases: Iterable[OperationCase]) -> tuple[OperationSuite, ...]:
    """All cases in suites, sorted by name; duplicates of content are stored once.

    Raises GoldenError where the reference of the merged Graph is not what the cases say, or a suite grows too large.
    """
    families: dict[str, list[OperationCase]] = {}
    for case in sorted(cases, key=lambda case: case.operation):
        families.setdefault(suite_of(case.operation), []).append(case)
    return tuple(_make_suite(name, families[name]) for name in sorted(families))


def _make_suite(name: str, cases: Sequence[OperationCase]) -> OperationSuite:
    taken: set[str] = set()
    kept: dict[str, OperationCase] = {}
    by_digest: dict[str, str] = {}
    left_out, same = [], {}
    for case in cases:
        key, digest = distinct(case.key, taken), case.digest
        reason = _unfit(case)
        if digest in by_digest:
            same[key] = by_digest[digest]
        elif reason:
            left_out.append({"name": key, "digest": digest, "reason": reason})
        else:
            kept[key], by_digest[digest] = case, key
    total = sum(case.nbytes for case in kept.values())
    if total > LARGEST_SUITE:
        raise GoldenError(
            f"{name}: {total} bytes of tensors, at most {LARGEST_SUITE} fit the smallest boards; divide its letters "
            "in ares/golden/operations.py"
        )
    graph = merge(name, {key: case.graph for key, case in kept.items()})
    arrays = {
        f"{key}{SEPARATOR}{tensor}": array
        for key, case in kept.items()
        for tensor, array in case.tensors.items()
    }
    inputs = tuple(array for case in kept.values() for array in case.inputs)
    _same_as_reference(graph, inputs, arrays)
    made = golden_case(graph, ORACLE, inputs, arrays)
    facts = {
        "graph_sha256": graph_digest(graph),
        "sources": {case.operation: f"tests/ops/test_{case.operation}.py" for case in cases},
        "counts": {
            "cases": len(kept),
            "layers": len(made.layers),
            "inputs": len(graph.inputs),
            "outputs": len(graph.outputs),
            "operations": _counted(case.operation for case in kept.values()),
            "tests": _counted(f"{case.operation}.{case.test}" for case in kept.values()),
        },
        "cases": [
            {
                "name": key,
                "digest": case.digest,
                "not_judged": [name for name in case.tensors if name not in case.judged],
            }
            for key, case in kept.items()
        ],
        "duplicates": same,
        "left_out": left_out,
    }
    return OperationSuite(name, graph, Golden(name, facts, (made,)))


def _unfit(case: OperationCase) -> str:
    """Why a case cannot be stored; empty when it can."""
    if case.nbytes > LARGEST_CASE:
        return f"{case.nbytes} bytes of tensors, at most {LARGEST_CASE}"
    try:
        case.graph.validate()
    except GraphError as error:
        return f"no valid Graph outside its test, which lifts a limit: {error}"
    return ""


def _counted(names: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(names).items()))


def _same_as_reference(graph: Graph, inputs: Sequence[Array], arrays: Mapping[str, Array]) -> None:
    try:
        found = run_reference(graph, inputs)
    except GraphError as error:
        raise GoldenError(f"{graph.name}: {error}") from error
    for _, tensor in graph.produced():
        if tensor_digest(found[tensor.name]) != tensor_digest(arrays[tensor.name]):
            raise GoldenError(
                f"{graph.name}: {tensor.name}: the reference of the merged Graph differs from the case"
            )


def _content(graph: Graph, inputs: Iterable[Array], tensors: Mapping[str, Array]) -> str:
    lines = [graph_digest(graph), *map(tensor_digest, inputs)]
    lines += [f"{name} {tensor_digest(array)}" for name, array in tensors.items()]
    return sha256("\n".join(lines).encode())[:32]


def pack_suite(suite: OperationSuite) -> Mapping[str, bytes]:
    """File name -> bytes; the same for the same suite."""
    return {**pack(suite.golden, 0, whole=True), GRAPH: compress(save_graph(suite.graph))}


def suite_changes(old: OperationSuite | None, new: OperationSuite) -> list[str]:
    """What storing `new` in the place of `old` would change, in words; nothing where they are the same."""
    if old is None:
        return [f"{new.name}: new, {len(new.golden.provenance['cases'])} cases"]
    before, after = (
        {entry["name"]: entry["digest"] for entry in suite.golden.provenance["cases"]}
        for suite in (old, new)
    )
    lines = [f"{new.name}: {name}: new case" for name in after if name not in before]
    lines += [f"{new.name}: {name}: case is gone" for name in before if name not in after]
    lines += [
        f"{new.name}: {name}: changed"
        for name, digest in after.items()
        if before.get(name, digest) != digest
    ]
    if not lines:
        lines = [
            f"{new.name}: {fact}: changed"
            for fact in sorted({*old.golden.provenance, *new.golden.provenance})
            if old.golden.provenance.get(fact) != new.golden.provenance.get(fact)
        ]
    if not lines and old.golden.cases[0].layers != new.golden.cases[0].layers:
        lines = [f"{new.name}: facts of its layers: changed"]
    return lines


# Reading suites.


def load_operation_suite(folder: Path) -> OperationSuite:
    """The suite in `folder`, every digest checked. Raises GoldenError."""
    golden = load_golden(folder, (ORACLE,))
    if golden.network != folder.name or len(golden.cases) != 1:
        raise GoldenError(f"{folder / MANIFEST}: not the manifest of suite {folder.name}; {ADVICE}")
    (case,) = golden.cases
    lost = [line.name for line in case.layers if line.name not in case.arrays]
    if lost:
        raise GoldenError(f"{folder}: tensor {lost[0]!r} is not stored whole; {ADVICE}")
    try:
        graph = _load_graph(folder, golden.provenance["graph_sha256"])
        required(golden, graph)
        again = golden_case(graph, case.name, case.inputs, case.arrays)
        for found, expected in zip(case.layers, again.layers, strict=True):
            if found != expected:
                raise GoldenError(
                    f"{folder / MANIFEST}: {found.name}: its record is not the tensor's; {ADVICE}"
                )
        _required_cases(folder, graph, golden)
    except GoldenError:
        raise
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise _damaged(folder, error) from None
    return OperationSuite(folder.name, graph, golden)


def _load_graph(folder: Path, digest: object) -> Graph:
    path = folder / GRAPH
    if not path.exists():
        raise GoldenError(f"{path}: is missing; {ADVICE}")
    data = decompress(path, path.read_bytes())
    if sha256(data) != digest:
        raise GoldenError(f"{path}: not the Graph that the manifest records; {ADVICE}")
    try:
        return read_graph(data)
    except GraphFileError as error:
        raise GoldenError(f"{path}: {error}; {ADVICE}") from None


def _required_cases(folder: Path, graph: Graph, golden: Golden) -> None:
    """The cases in Graph and arrays are those that the manifest lists."""
    (case,) = golden.cases
    inputs = dict(zip(graph.inputs, case.inputs, strict=True))
    listed = {str(entry["name"]): entry["digest"] for entry in golden.provenance["cases"]}
    parts = split(graph)
    odd = set(parts) ^ set(listed)
    if odd:
        raise GoldenError(
            f"{folder / MANIFEST}: {min(odd)}: in the list of cases or in the Graph, not in both; {ADVICE}"
        )
    for key, part in parts.items():
        own = [inputs[f"{key}{SEPARATOR}{name}"] for name in part.inputs]
        made = {
            tensor.name: case.arrays[f"{key}{SEPARATOR}{tensor.name}"]
            for _, tensor in part.produced()
        }
        if _content(part, own, made) != listed[key]:
            raise GoldenError(f"{folder / MANIFEST}: {key}: its digest is not the case's; {ADVICE}")


def _damaged(folder: Path, error: Exception) -> GoldenError:
    return GoldenError(
        f"{folder / MANIFEST}: damaged manifest ({type(error).__name__}: {error}); {ADVICE}"
    )


def as_typed(graph: Graph, name: str, array: Array) -> Array:
    """An array of a test (mostly int64) in its tensor's type. Raises GoldenError where that changes a value."""
    tensor = graph.tensor(name)
    typed = np.ascontiguousarray(array.astype(tensor.dtype.numpy))
    if typed.shape != tensor.shape or not np.array_equal(typed, array, equal_nan=True):
        raise GoldenError(
            f"{graph.name}: {name}: {array.dtype.name}{list(array.shape)} does not fit"
        )
    return typed
