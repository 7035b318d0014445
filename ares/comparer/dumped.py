"""Tensors that somebody dumped, from a device or a runtime we have never seen, matched to ours and judged like any.

Files: `.npy`, `.npz`, or raw bytes that `manifest.json` describes ({"file": ..., "shape": [...], "dtype": "int8"} by
name). A tensor is ours where its name is, or contains, our name; else where only one of ours has its size; else where
its codes are those of one of ours in most places. It may hold codes, codes moved by 128 (u8 for s8), or real values on
our grid, channels first or last, with or without the batch axis.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ares.comparer.comparing import Comparison
from ares.comparer.judging import UNSAID, Judged, Row
from ares.comparer.layers import Layer, Parts
from ares.files import why_no_file
from ares.ir import Tensor
from ares.ops import run_reference
from ares.witness_onnx import evaluate

Array = npt.NDArray[Any]
Match = tuple[str, Array]
"""The name in the dump, and the codes."""
_MANIFEST = "manifest.json"
# Shares of equal codes: so many say that it is this tensor, and so many less than the best that it is another.
_MOST, _APART = 0.5, 0.1
_LARGEST = 2**28


class DumpError(ValueError):
    """A folder or file that holds no tensors. One line: what was found, what is expected."""


@dataclass(frozen=True, slots=True)
class Unmatched:
    """A tensor of the dump that is none of ours, or may be several."""

    name: str
    why: str

    def __str__(self) -> str:
        return f"{self.name}: {self.why}"


def compare_dump(
    parts: Parts, folder: Path, case: int = 0
) -> tuple[Comparison, tuple[Unmatched, ...]]:
    """Judge what a folder holds of one golden case; raises DumpError.

    Each layer is judged on what the dump itself fed it with, as far as that is there: differences do not travel.
    """
    found = read_dump(folder)
    matched: dict[str, Match] = {}
    unmatched = []
    for name, array in found.items():
        try:
            tensor, codes = _match(parts, case, name, array)
        except DumpError as error:
            unmatched.append(Unmatched(name, str(error)))
            continue
        if tensor in matched:
            unmatched.append(Unmatched(name, f"is {tensor}, as {matched[tensor][0]} is"))
            continue
        matched[tensor] = (name, codes)
    rows = [_row(parts, case, layer, matched, alone=True) for layer in parts.layers]
    ends = [layer for layer in parts.layers if layer.output.name in parts.graph.outputs]
    deployed = [_row(parts, case, layer, matched, alone=False) for layer in ends]
    name = folder.name or str(folder)
    return Comparison(parts.graph.name, name, "", (*rows,), (*deployed,), ()), (*unmatched,)


def _row(parts: Parts, case: int, layer: Layer, matched: Mapping[str, Match], alone: bool) -> Row:
    """A tensor of the dump beside ours. `alone`: beside what the layer makes of what the dump itself fed it with."""
    operation, name = layer.operation, layer.output.name
    if name not in matched:
        words = "it is not in the dump"
        return Row(operation.path, operation.OP_TYPE, name, UNSAID, words)
    inputs = {
        each: _fed(matched.get(each) if alone else None, parts.cases[case][each], tensor)
        for each, tensor in zip(
            layer.graph.inputs, layer.graph.tensors_of(layer.graph.inputs), strict=True
        )
    }
    golden = run_reference(layer.graph, [*inputs.values()]) if alone else parts.cases[case]
    return Judged(
        operation=operation,
        tensor=layer.output,
        inputs=layer.graph.tensors_of(operation.inputs),
        given=[[inputs[each] for each in operation.inputs]],
        golden=[golden[name]],
        found=[matched[name][1]],
        before=_before(layer, inputs) if alone else None,
    ).row()


def _fed(found: Match | None, golden: Array, tensor: Tensor) -> Array:
    """What reached a layer: the dump's codes where it has some, else the golden ones."""
    if found is not None and tensor.scale is not None:
        codes = found[1]
        if np.all((codes == np.rint(codes)) & (codes >= tensor.lo) & (codes <= tensor.hi)):
            golden = codes
    return golden.astype(tensor.dtype.numpy)


def _before(layer: Layer, inputs: Mapping[str, Array]) -> list[Array] | None:
    """The real values behind the codes that a layer makes of these inputs."""
    if layer.model is None or layer.output.scale is None:
        return None
    found = evaluate(layer.model.data, inputs, {}).before.get(layer.output.name)
    return None if found is None else [found]


def read_dump(folder: Path) -> dict[str, Array]:
    """Every tensor of a folder by its name; raises DumpError."""
    if not folder.is_dir():
        raise DumpError(f"{folder}: no such folder; expected one with .npy, .npz or {_MANIFEST}")
    found: dict[str, Array] = {}
    for name, array in _arrays(folder):
        if name in found:
            raise DumpError(f"{folder}: two tensors are called {name!r}")
        found[name] = array
    if not found:
        raise DumpError(f"{folder}: holds no .npy, no .npz and no {_MANIFEST}")
    return found


def _arrays(folder: Path) -> Iterator[tuple[str, Array]]:
    for path in sorted(folder.iterdir()):
        if path.suffix not in (".npy", ".npz") and path.name != _MANIFEST:
            continue
        why = why_no_file(path)
        if why:
            raise DumpError(f"{path} {why}")
        try:
            if path.suffix == ".npy":
                yield path.stem, np.load(path, allow_pickle=False)
            elif path.suffix == ".npz":
                with np.load(path, allow_pickle=False) as held:
                    yield from held.items()
            else:
                yield from _raw(folder, json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, EOFError, KeyError, TypeError, AttributeError) as error:
            words = str(error).splitlines()[:1] or [type(error).__name__]
            raise DumpError(f"{path}: not an array or list of arrays: {words[0][:200]}") from None


def _raw(folder: Path, entries: Mapping[str, Any]) -> Iterator[tuple[str, Array]]:
    for name, entry in entries.items():
        kind, shape = np.dtype(entry["dtype"]), tuple(map(int, entry["shape"]))
        path = folder / entry["file"]
        size = int(np.prod(shape, dtype=object)) * kind.itemsize
        if why_no_file(path) or path.stat().st_size != size or size > _LARGEST:
            raise ValueError(f"{name}: {entry['file']} is no file of {size} bytes")
        yield name, np.frombuffer(path.read_bytes(), kind).reshape(shape)


def _match(parts: Parts, case: int, name: str, array: Array) -> tuple[str, Array]:
    """Our tensor's name, and its codes as the dump has them, in our shape."""
    outputs = [layer.output for layer in parts.layers if layer.output.size == array.size]
    if not outputs:
        raise DumpError(f"none of ours has its {array.size} elements")
    named = [tensor for tensor in outputs if _says(name, tensor.name)]
    candidates = named or outputs
    rated = sorted(
        (
            (*_nearest(tensor, array, parts.cases[case][tensor.name]), tensor.name)
            for tensor in candidates
        ),
        key=lambda each: each[0],
        reverse=True,
    )
    best = rated[0]
    if len(candidates) == 1:
        return best[2], best[1]
    if best[0] < _MOST:
        raise DumpError(f"its codes are like none of {_listed(candidates)}")
    if rated[1][0] > best[0] - _APART:
        raise DumpError(f"may be {best[2]} or {rated[1][2]}; name it like one of them")
    return best[2], best[1]


def _listed(tensors: Sequence[Tensor]) -> str:
    names = [tensor.name for tensor in tensors]
    return ", ".join(names[:4]) + (" ..." if names[4:] else "")


def _says(name: str, ours: str) -> bool:
    """Whether a name is ours, or has ours in it as a word."""
    plain, wanted = (re.sub(r"[^a-z0-9]+", "_", each.lower()).strip("_") for each in (name, ours))
    return re.search(rf"(^|_){re.escape(wanted)}(_|$)", plain) is not None


def _nearest(tensor: Tensor, array: Array, golden: Array) -> tuple[float, Array]:
    """The share of equal codes, and the codes, in the order of axes and the meaning in which most are equal."""
    best: tuple[float, Array] | None = None
    for turned in _orders(array, tensor.shape):
        for codes in _meanings(tensor, turned):
            share = float(np.mean(codes == golden))
            # The first is the plainest; a wrong layer must not look right by chance in another form.
            if best is None or (share > best[0] and share >= _MOST):
                best = share, codes
    if best is None:
        return -1.0, np.zeros(tensor.shape)
    return best


def _orders(array: Array, shape: tuple[int, ...]) -> Iterator[Array]:
    """The array in our shape: as it is, or with its axes turned; a batch axis of one more or less does not count."""
    sizes = [size for size in array.shape if size != 1]
    wanted = [size for size in shape if size != 1]
    plain = array.reshape(sizes)
    for axes in permutations(range(len(sizes))) if len(sizes) <= 4 else [tuple(range(len(sizes)))]:
        if [sizes[axis] for axis in axes] == wanted:
            yield plain.transpose(axes).reshape(shape)


def _meanings(tensor: Tensor, array: Array) -> Iterator[Array]:
    """Codes that the numbers may be: themselves, moved by 128, or real values on our grid."""
    if tensor.scale is None:
        yield array.astype(np.float64)
        return
    if array.dtype.kind in "iu":
        codes = array.astype(np.int64)
        yield codes
        yield codes + (128 if tensor.dtype.hi > 127 else -128)
    else:
        steps = array.astype(np.float64) / tensor.scale
        if np.abs(steps - np.rint(steps)).max(initial=0.0) < 0.25:
            yield (np.rint(steps) + tensor.zero_point).astype(np.int64)
        yield array.astype(np.float64)
