"""How each runtime opens a model and runs it; imported in a child, where a crash is that runtime's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Run = Callable[[Mapping[str, Array]], Mapping[str, Array]]
"""Outputs by name from inputs by name."""


def onnxruntime_engine(model: Path, settings: Mapping[str, str]) -> Run:
    """ONNX Runtime's CPU provider on one thread; `level`: a GraphOptimizationLevel."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, settings["level"])
    session = ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    names = [port.name for port in session.get_outputs()]
    return lambda inputs: dict(zip(names, session.run(names, dict(inputs)), strict=True))


def openvino_engine(model: Path, settings: Mapping[str, str]) -> Run:
    """OpenVINO's CPU plug-in on one thread; settings are its own."""
    import openvino

    core = openvino.Core()
    options = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, **settings}
    compiled = core.compile_model(core.read_model(str(model)), "CPU", options)
    request = compiled.create_infer_request()

    def run(inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        found = request.infer(dict(inputs))
        return {port.get_any_name(): np.array(found[port]) for port in compiled.outputs}

    return run
