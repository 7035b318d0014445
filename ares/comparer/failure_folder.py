"""A layer that a runtime gets wrong, as a folder for a bug report: it repeats with that runtime alone."""

from __future__ import annotations

import io
import re
from typing import Any

import numpy as np
import numpy.typing as npt

from ares.comparer.comparing import Comparison
from ares.comparer.judging import DIFFERS, Row
from ares.comparer.layers import Case, Layer, Parts
from ares.comparer.result_files import said
from ares.runtimes import Runtime

Array = npt.NDArray[Any]
_UNUSUAL = re.compile(r"[^A-Za-z0-9._-]+")


def folders_of(parts: Parts, comparison: Comparison, runtime: Runtime) -> dict[str, bytes]:
    """Path -> content of a folder for each layer that differs: its model, inputs, what it means, what repeats it."""
    files: dict[str, bytes] = {}
    rows = zip(parts.layers, comparison.layers, strict=True)
    for number, (layer, row) in enumerate(rows):
        if row.verdict == DIFFERS and layer.model is not None and row.first is not None:
            folder = f"{runtime.name}-{number:02d}-{_UNUSUAL.sub('_', row.layer)}"
            case = parts.cases[row.first[0]]
            files |= {
                f"{folder}/{path}": content
                for path, content in _files(comparison, runtime, layer, row, case).items()
            }
    return files


def _files(
    comparison: Comparison, runtime: Runtime, layer: Layer, row: Row, case: Case
) -> dict[str, bytes]:
    assert layer.model is not None
    graph = layer.graph
    inputs = [case[name].astype(graph.tensor(name).dtype.numpy) for name in graph.inputs]
    expected = case[layer.output.name].astype(layer.output.dtype.numpy)
    return {
        "model.onnx": layer.model.data,
        **{f"input{number}.npy": npy(array) for number, array in enumerate(inputs)},
        "expected.npy": npy(expected),
        "README.md": _words(comparison, row).encode(),
        "repeat.py": runtime.repeat.encode(),
    }


def npy(array: Array) -> bytes:
    """An array as a file."""
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def _words(comparison: Comparison, row: Row) -> str:
    return (
        f"# {comparison.runtime} {comparison.version}: {row.op_type} `{row.layer}`\n\n{said(row)}.\n\n"
        "`model.onnx` is this layer alone, from codes to codes; `expected.npy` is what it means, which the real values "
        "of the file in float64 confirm. `python repeat.py` in this folder shows the difference.\n"
    )
