"""One turn of another runtime, in a process of its own, on one thread: times of inferences, and the outputs.

`python -m ares.bench.against.runtimes RUNTIME FOLDER NANOSECONDS`: the folder holds `model` and `input0.npy` ...; it
gets `output0.npy` ... and `turn.json`.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Once = Callable[[], object]
Outputs = Callable[[], Sequence[Array]]

_PACKAGES = {"onnxruntime": "onnxruntime", "openvino": "openvino", "litert": "ai-edge-litert"}
_WARM_NS = 50_000_000
_MEASURED_NS = 2_000_000
_LEAST = 5


def _onnxruntime(model: Path, inputs: Sequence[Array]) -> tuple[Once, Outputs]:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    binding = session.io_binding()
    for port, array in zip(session.get_inputs(), inputs, strict=True):
        binding.bind_cpu_input(port.name, array)
    for port in session.get_outputs():
        binding.bind_output(port.name, "cpu")
    return lambda: session.run_with_iobinding(binding), binding.copy_outputs_to_cpu


def _openvino(model: Path, inputs: Sequence[Array]) -> tuple[Once, Outputs]:
    import openvino

    core = openvino.Core()
    settings = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY"}
    compiled = core.compile_model(core.read_model(str(model)), "CPU", settings)
    request = compiled.create_infer_request()
    for number, array in enumerate(inputs):
        request.set_input_tensor(number, openvino.Tensor(array, shared_memory=True))
    count = len(compiled.outputs)
    return request.infer, lambda: [request.get_output_tensor(k).data for k in range(count)]


def _litert(model: Path, inputs: Sequence[Array]) -> tuple[Once, Outputs]:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(model), num_threads=1)
    interpreter.allocate_tensors()
    for port, array in zip(interpreter.get_input_details(), inputs, strict=True):
        interpreter.set_tensor(port["index"], array)
    ports = interpreter.get_output_details()
    return interpreter.invoke, lambda: [interpreter.get_tensor(port["index"]) for port in ports]


_OPEN = {"onnxruntime": _onnxruntime, "openvino": _openvino, "litert": _litert}


def _measure(once: Once, nanoseconds: int) -> list[float]:
    """Nanoseconds an inference, of many groups of them: the process's time on the processor, as ours is measured."""
    start = time.perf_counter_ns()
    runs = 0
    while time.perf_counter_ns() - start < _WARM_NS or runs < 2:
        once()
        runs += 1
    group = max(1, _MEASURED_NS * runs // (time.perf_counter_ns() - start))
    found: list[float] = []
    begin = time.perf_counter_ns()
    while len(found) < _LEAST or time.perf_counter_ns() - begin < nanoseconds:
        start = time.process_time_ns()
        for _ in range(group):
            once()
        found.append((time.process_time_ns() - start) / group)
    return found


def main(words: Sequence[str]) -> None:
    """One turn."""
    runtime, folder = words[0], Path(words[1])
    inputs = [
        np.load(folder / f"input{k}.npy") for k in range(len(list(folder.glob("input*.npy"))))
    ]
    once, outputs = _OPEN[runtime](folder / "model", inputs)
    gc.disable()
    times = _measure(once, int(words[2]))
    for number, array in enumerate(outputs()):
        np.save(folder / f"output{number}.npy", np.asarray(array))
    turn = {"version": version(_PACKAGES[runtime]), "times": times}
    (folder / "turn.json").write_text(json.dumps(turn), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
