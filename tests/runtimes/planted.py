"""Runtimes that are known to be right, wrong, or to end badly."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from ares.runtimes import Runtime
from ares.runtimes.engines import onnxruntime_engine

Array = npt.NDArray[Any]
Run = Callable[[Mapping[str, Array]], Mapping[str, Array]]


def planted(engine: str, **settings: str) -> Runtime:
    """A row of the table for one of the engines below."""
    name = f"tests.runtimes.planted:{engine}"
    return Runtime(engine, "onnx", "onnx", name, "planted", settings=settings)


def _outputs(data: bytes) -> list[Any]:
    return list(onnx.load_from_string(data).graph.output)


def exact(model: Path, settings: Mapping[str, str]) -> Run:
    """ONNX Runtime without optimisations, which is right wherever binary32 is."""
    del settings
    return onnxruntime_engine(model, {"level": "ORT_DISABLE_ALL"})


def half_up(model: Path, settings: Mapping[str, str]) -> Run:
    """The float64 meaning of a file, with ties that go up, where it has the operator `operator`."""
    data = model.read_bytes()
    if not _has(data, settings["operator"]):
        return exact(model, settings)

    from ares.witness_onnx import evaluate  # imports torch

    def run(inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        found = evaluate(data, inputs, {})
        codes = {}
        for port in _outputs(data):
            kind = onnx.helper.tensor_dtype_to_np_dtype(port.type.tensor_type.elem_type)
            limits = np.iinfo(kind)
            rounded = np.floor(found.before[port.name] + 0.5)
            codes[port.name] = np.clip(rounded, limits.min, limits.max).astype(kind)
        return codes

    return run


def dies(model: Path, settings: Mapping[str, str]) -> Run:
    """The process ends at files that have the operator `operator`."""
    if _has(model.read_bytes(), settings["operator"]):
        os.abort()
    return exact(model, settings)


def refuses(model: Path, settings: Mapping[str, str]) -> Run:
    """An error of two lines for files that have the operator `operator`."""
    if _has(model.read_bytes(), settings["operator"]):
        raise RuntimeError(f"no kernel for\n  {settings['operator']}")
    return exact(model, settings)


def flat(model: Path, settings: Mapping[str, str]) -> Run:
    """Outputs lose their shape."""
    run = exact(model, settings)
    return lambda inputs: {name: array.reshape(-1) for name, array in run(inputs).items()}


def _has(data: bytes, operator: str) -> bool:
    return any(node.op_type == operator for node in onnx.load_from_string(data).graph.node)
