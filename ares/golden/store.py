"""The files of a golden: `manifest.json`, one compressed safetensors file per case, and the network's state.

The manifest holds a digest of every layer of every case; case 0 also holds every tensor whole, while the budget
lasts. `pack` gives the same bytes for the same content. Reading checks every digest; anything that does not fit
raises `GoldenError` with one line.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import zstandard
from safetensors import SafetensorError
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from ares.golden.audit import statistics
from ares.golden.cases import EDGE, RANDOM, REALISTIC
from ares.ir import Graph, Operation, Tensor

Array = npt.NDArray[Any]

FORMAT = 1
BUDGET = 4 * 1024 * 1024
# Whole tensors of one network: forty networks share 48 MiB.
TENSORS_BUDGET = 2 * 1024 * 1024
MANIFEST, STATE = "manifest.json", "state.safetensors"
_LARGEST_FILE = 256 * 1024 * 1024
_INPUT = "input:"
_CASE_NAME = re.compile(r"[a-z0-9_]+")
_CASES = (REALISTIC, RANDOM, EDGE)


class GoldenError(ValueError):
    """A golden that is missing, damaged or of another version. One line: what, where, what to do."""


@dataclass(frozen=True, slots=True)
class GoldenLayer:
    """What the manifest says of one layer's tensor in one case."""

    name: str
    layer: str
    stem: str
    op_type: str
    dtype: str
    shape: tuple[int, ...]
    digest: str
    saturated: float
    distinct: int


@dataclass(frozen=True, slots=True, eq=False)
class GoldenCase:
    """One case: inputs whole, what is known of all layers in order, and the arrays that are stored."""

    name: str
    inputs: tuple[Array, ...]
    layers: tuple[GoldenLayer, ...]
    arrays: Mapping[str, Array]


@dataclass(frozen=True, slots=True, eq=False)
class Golden:
    """A network's golden. `provenance`: versions, hashes of source and state, accuracies."""

    network: str
    provenance: Mapping[str, Any]
    cases: tuple[GoldenCase, ...]


def sha256(data: bytes) -> str:
    """64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def tensor_digest(array: Array) -> str:
    """128 bits over type, shape and little-endian elements in PyTorch's order."""
    little = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<")))
    header = f"{array.dtype.name}{list(array.shape)}\n".encode()
    return hashlib.sha256(header + little.tobytes()).hexdigest()[:32]


def golden_case(
    graph: Graph, name: str, inputs: tuple[Array, ...], arrays: Mapping[str, Array]
) -> GoldenCase:
    """The case in which the Graph's operations make these arrays of these inputs."""
    produced = list(graph.produced())
    layers = tuple(_layer(operation, tensor, arrays[tensor.name]) for operation, tensor in produced)
    return GoldenCase(
        name, inputs, layers, {tensor.name: arrays[tensor.name] for _, tensor in produced}
    )


def _layer(operation: Operation, tensor: Tensor, array: Array) -> GoldenLayer:
    found = statistics(tensor, array)
    return GoldenLayer(
        tensor.name,
        operation.name,
        operation.stem(),
        operation.OP_TYPE,
        array.dtype.name,
        array.shape,
        tensor_digest(array),
        found.saturated,
        found.distinct,
    )


def pack(golden: Golden, state_size: int, *, whole: bool = False) -> Mapping[str, bytes]:
    """File name -> bytes, within the budget together with a state of `state_size` bytes.

    Case 0 keeps its tensors in order of execution while they fit; the manifest says which were left out. `whole`:
    every case keeps all of them, without a budget.
    """
    files: dict[str, bytes] = {}
    stored: dict[str, list[str]] = {}
    room = min(TENSORS_BUDGET, BUDGET - state_size - 256 * 1024)
    for number, case in enumerate(golden.cases):
        kept: dict[str, Array] = dict(case.arrays) if whole else {}
        if number == 0 and not whole:
            for name, array in case.arrays.items():
                size = len(_pack_arrays({name: array}))
                if size <= room:
                    kept[name] = array
                    room -= size
        stored[case.name] = list(kept)
        inputs = {f"{_INPUT}{i}": array for i, array in enumerate(case.inputs)}
        files[_case_file(case.name)] = _pack_arrays({**inputs, **kept})
    manifest = {
        "format": FORMAT,
        "network": golden.network,
        "provenance": golden.provenance,
        "cases": [
            {
                "name": case.name,
                "file": _case_file(case.name),
                "sha256": sha256(files[_case_file(case.name)]),
                "stored": stored[case.name],
                "layers": [asdict(line) for line in case.layers],
            }
            for case in golden.cases
        ],
    }
    files[MANIFEST] = (json.dumps(manifest, indent=1, sort_keys=True) + "\n").encode()
    return files


def load_golden(folder: Path, expected: Sequence[str] = _CASES) -> Golden:
    """The golden in `folder`, which must hold the `expected` cases; every digest checked. Raises GoldenError."""
    manifest = read_manifest(folder)
    try:
        cases = tuple(_load_case(folder, entry) for entry in manifest["cases"])
        golden = Golden(str(manifest["network"]), dict(manifest["provenance"]), cases)
    except GoldenError:
        raise
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise GoldenError(
            f"{folder / MANIFEST}: damaged manifest ({type(error).__name__}: {error}); {ADVICE}"
        ) from None
    names = [case.name for case in golden.cases]
    lost = [name for name in expected if name not in names]
    if lost or len(set(names)) != len(names):
        raise GoldenError(
            f"{folder / MANIFEST}: its cases are {', '.join(names) or 'none'}; expected each of "
            f"{', '.join(expected)} once; {ADVICE}"
        )
    return golden


ADVICE = "restore it with git checkout, or run python tools/regenerate_golden.py"


def read_manifest(folder: Path) -> Any:
    """The manifest in `folder`: JSON of this version, nothing else is checked."""
    path = folder / MANIFEST
    if not path.exists():
        raise GoldenError(
            f"{path}: there is no golden; create it with python tools/regenerate_golden.py {folder.name}"
        )
    try:
        manifest = json.loads(path.read_text())
    except (ValueError, OSError, RecursionError) as error:
        raise GoldenError(f"{path}: not readable as JSON ({error}); {ADVICE}") from None
    found = manifest.get("format") if isinstance(manifest, dict) else None
    if found is True or found != FORMAT:
        raise GoldenError(f"{path}: format {found!r}, expected {FORMAT}; {ADVICE}")
    return manifest


def _load_case(folder: Path, entry: Any) -> GoldenCase:
    name = entry["name"]
    if not (isinstance(name, str) and _CASE_NAME.fullmatch(name)):
        # It becomes part of a path.
        raise GoldenError(f"{folder / MANIFEST}: {name!r} is no name of a case; {ADVICE}")
    path = folder / _case_file(name)
    if not path.exists():
        raise GoldenError(f"{path}: is missing; {ADVICE}")
    if path.stat().st_size > _LARGEST_FILE:
        raise GoldenError(f"{path}: {path.stat().st_size} bytes, at most {_LARGEST_FILE}; {ADVICE}")
    data = path.read_bytes()
    if sha256(data) != entry["sha256"]:
        raise GoldenError(f"{path}: its bytes are not those that the manifest records; {ADVICE}")
    arrays = _unpack_arrays(path, data)
    layers = tuple(
        GoldenLayer(**{**line, "shape": tuple(line["shape"])}) for line in entry["layers"]
    )
    by_name = {line.name: line for line in layers}
    tensors = {key: array for key, array in arrays.items() if not key.startswith(_INPUT)}
    inputs = [arrays[f"{_INPUT}{i}"] for i in range(len(arrays) - len(tensors))]
    if sorted(tensors) != sorted(entry["stored"]):
        raise GoldenError(f"{path}: stores other tensors than the manifest says; {ADVICE}")
    for key, array in tensors.items():
        if key not in by_name or tensor_digest(array) != by_name[key].digest:
            raise GoldenError(f"{path}: tensor {key!r} is not the one in the manifest; {ADVICE}")
    return GoldenCase(name, tuple(inputs), layers, tensors)


def _case_file(name: str) -> str:
    return f"case_{name}.safetensors.zst"


def compress(data: bytes) -> bytes:
    """What a file of a golden holds instead of `data`."""
    return zstandard.ZstdCompressor(level=12).compress(data)


def decompress(path: Path, data: bytes) -> bytes:
    """The inverse of `compress`; `path` is for the GoldenError."""
    try:
        # A size that the file itself announces would be allocated, whatever max_output_size says.
        if zstandard.frame_content_size(data) > _LARGEST_FILE:
            raise ValueError(f"more than {_LARGEST_FILE} bytes")
        return zstandard.ZstdDecompressor().decompress(data, max_output_size=_LARGEST_FILE)
    except (zstandard.ZstdError, ValueError) as error:
        raise GoldenError(f"{path}: cannot be unpacked ({error}); {ADVICE}") from None


def _pack_arrays(arrays: Mapping[str, Array]) -> bytes:
    return compress(
        save_arrays({key: np.ascontiguousarray(array) for key, array in arrays.items()})
    )


def _unpack_arrays(path: Path, data: bytes) -> Mapping[str, Array]:
    raw = decompress(path, data)
    try:
        return load_arrays(raw)
    except (SafetensorError, ValueError) as error:
        raise GoldenError(f"{path}: cannot be unpacked ({error}); {ADVICE}") from None


def changes(old: Golden | None, new: Golden) -> list[str]:
    """What a regeneration would change, in words: case, tensor, elements, largest difference."""
    if old is None:
        return [f"{new.network}: new, {len(new.cases)} cases"]
    lines: list[str] = []
    before = {case.name: case for case in old.cases}
    for case in new.cases:
        if case.name not in before:
            lines.append(f"{new.network}/{case.name}: new case")
            continue
        lines += _case_changes(f"{new.network}/{case.name}", before[case.name], case)
    lines += [
        f"{new.network}/{name}: case is gone"
        for name in before
        if name not in {case.name for case in new.cases}
    ]
    for key in sorted({*old.provenance, *new.provenance}):
        if old.provenance.get(key) != new.provenance.get(key):
            lines.append(
                f"{new.network}: {key}: {_short(old.provenance.get(key))} -> {_short(new.provenance.get(key))}"
            )
    return lines


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _case_changes(where: str, old: GoldenCase, new: GoldenCase) -> list[str]:
    lines = []
    before = {line.name: line for line in old.layers}
    for number, (a, b) in enumerate(zip(old.inputs, new.inputs, strict=False)):
        if a.tobytes() != b.tobytes():
            lines.append(f"{where}: input {number} changed")
    for line in new.layers:
        known = before.get(line.name)
        if known is None:
            lines.append(f"{where}: {line.name}: new tensor")
        elif known.digest != line.digest:
            lines.append(f"{where}: {line.name}: {_amount(old, new, line)}")
        elif known != line:
            lines.append(f"{where}: {line.name}: record changed")
    names = {line.name for line in new.layers}
    lines += [f"{where}: {name}: tensor is gone" for name in before if name not in names]
    return lines


def _amount(old: GoldenCase, new: GoldenCase, line: GoldenLayer) -> str:
    a, b = old.arrays.get(line.name), new.arrays.get(line.name)
    if a is None or b is None:
        return "changed (not stored whole)"
    if a.shape != b.shape or a.dtype != b.dtype:
        return f"{a.dtype.name}{list(a.shape)} -> {b.dtype.name}{list(b.shape)}"
    distance = np.abs(b.astype(np.float64) - a.astype(np.float64))
    return f"{np.count_nonzero(distance)} of {distance.size} elements differ, largest by {distance.max():g}"


def required(golden: Golden, graph: Graph) -> None:
    """Refuse a golden that is not this Graph's, naming the first input or layer that is not as in the Graph."""
    repair = (
        f"if the network was changed on purpose: python tools/regenerate_golden.py {graph.name}"
    )
    if golden.network != graph.name:
        raise GoldenError(
            f"{graph.name}: its golden is of another network, {golden.network}; {repair}"
        )
    tensors = [*graph.tensors_of(graph.inputs), *(tensor for _, tensor in graph.produced())]
    want = {tensor.name: _described(tensor.dtype.numpy.name, tensor.shape) for tensor in tensors}
    for case in golden.cases:
        have = dict(_described_arrays(graph, case))
        odd = [name for name in (*want, *have) if want.get(name) != have.get(name)]
        if odd or list(want) != list(have):
            what = (
                f"{odd[0]}: golden {have.get(odd[0], 'nothing')}, Graph {want.get(odd[0], 'nothing')}"
                if odd
                else "their order"
            )
            raise GoldenError(
                f"{graph.name}/{case.name}: golden and Graph have different layers: {what}; {repair}"
            )


def _described_arrays(graph: Graph, case: GoldenCase) -> Iterator[tuple[str, str]]:
    """Name and type of every input and layer of a case; inputs that the Graph does not have get numbers."""
    for index, array in enumerate(case.inputs):
        known = index < len(graph.inputs)
        name = graph.inputs[index] if known else f"input {index}"
        yield name, _described(array.dtype.name, array.shape)
    for line in case.layers:
        yield line.name, _described(line.dtype, line.shape)


def _described(dtype: str, shape: tuple[int, ...]) -> str:
    return f"{dtype}{list(shape)}"
