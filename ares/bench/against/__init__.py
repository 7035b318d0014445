"""Other runtimes on the same topology, in turns with ours: onnxruntime, openvino, litert (XNNPACK).

They get a quantised model made from our Graph: the same layers, sizes, weight codes and scales. Their integers need not
agree with ours (each rounds in its own way); how far they are apart is measured, for a model of another topology would
be far off.
"""

from __future__ import annotations

import importlib.util

RUNTIMES = {
    "onnxruntime": ("onnxruntime", "onnx"),
    "openvino": ("openvino", "onnx"),
    "litert": ("ai_edge_litert", "flatbuffers"),
}
"""Runtime -> the Python modules that it and the making of its models need."""


def absent(runtime: str) -> str | None:
    """What is not installed, and what installs it; None when all is there."""
    for module in RUNTIMES[runtime]:
        if importlib.util.find_spec(module) is None:
            return (
                f"the Python package {module} is not installed (pip install 'ares-codegen[bench]')"
            )
    return None
