"""The table of runtimes: a row is a package, what it reads and how it is asked."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from importlib.metadata import PackageNotFoundError, version


class UnknownRuntime(ValueError):
    """A name that no row has. One line."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """`engine`: `module:function` that opens a model with these `settings`, in a child. `form`: what it reads."""

    name: str
    package: str
    module: str
    engine: str
    says: str
    form: str = "onnx"
    settings: Mapping[str, str] = field(default_factory=dict)
    repeats: str = ""

    @property
    def repeat(self) -> str:
        """A program of a few lines that runs `model.onnx` beside it in this runtime alone."""
        return self.repeats.format(**self.settings)

    def missing(self) -> str | None:
        """What is not installed, and the command that brings it; None when all is there."""
        for module in (self.module, self.form):
            if importlib.util.find_spec(module) is None:
                return f"{module} is not installed (pip install 'ares-codegen[compare]')"
        return None

    @property
    def version(self) -> str:
        try:
            return version(self.package)
        except PackageNotFoundError:
            return ""


_ONNXRUNTIME = """import numpy as np
import onnxruntime as ort

options = ort.SessionOptions()
options.graph_optimization_level = ort.GraphOptimizationLevel.{level}
session = ort.InferenceSession("model.onnx", options, providers=["CPUExecutionProvider"])
names = [port.name for port in session.get_inputs()]
inputs = {{name: np.load(f"input{{number}}.npy") for number, name in enumerate(names)}}
(found,) = session.run(None, inputs)
expected = np.load("expected.npy")
print((found != expected).sum(), "of", expected.size, "differ in onnxruntime", ort.__version__)
"""

_OPENVINO = """import numpy as np
import openvino

model = openvino.Core().compile_model("model.onnx", "CPU")
inputs = [np.load(f"input{{number}}.npy") for number in range(len(model.inputs))]
found = model(inputs)[model.outputs[0]]
expected = np.load("expected.npy")
print((found != expected).sum(), "of", expected.size, "differ in openvino", openvino.__version__)
"""


def _onnxruntime(name: str, level: str, says: str) -> Runtime:
    settings = {"level": level}
    return Runtime(
        name,
        "onnxruntime",
        "onnxruntime",
        "ares.runtimes.engines:onnxruntime_engine",
        says,
        settings=settings,
        repeats=_ONNXRUNTIME,
    )


RUNTIMES: tuple[Runtime, ...] = (
    _onnxruntime("onnxruntime-plain", "ORT_DISABLE_ALL", "ONNX Runtime, optimisations off"),
    _onnxruntime("onnxruntime", "ORT_ENABLE_ALL", "ONNX Runtime as it comes"),
    Runtime(
        "openvino",
        "openvino",
        "openvino",
        "ares.runtimes.engines:openvino_engine",
        "OpenVINO's CPU plug-in as it comes",
        repeats=_OPENVINO,
    ),
)


def chosen(patterns: Sequence[str]) -> tuple[Runtime, ...]:
    """The rows of names or globs, all where none is given; raises UnknownRuntime."""
    for pattern in patterns:
        if not any(fnmatchcase(each.name, pattern) for each in RUNTIMES):
            known = ", ".join(each.name for each in RUNTIMES)
            raise UnknownRuntime(f"no runtime is called {pattern!r}; there are {known}")
    return tuple(
        each
        for each in RUNTIMES
        if not patterns or any(fnmatchcase(each.name, pattern) for pattern in patterns)
    )
