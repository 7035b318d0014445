"""The vectors given to a runtime: one that follows ONNX in binary32 shows what ONNX says of ties, and nothing else."""

from __future__ import annotations

import pytest

from ares.runtimes import chosen
from vectors.run import BY_ONNX, RIGHT, SHOWN, judged


@pytest.mark.parametrize("operation", ["add", "average"])
def test_a_runtime_that_follows_onnx(operation: str) -> None:
    (runtime,) = chosen(["onnxruntime-plain"])
    if runtime.missing():
        pytest.skip(str(runtime.missing()))
    for fault, counts in judged(runtime, operation).items():
        right, shown = counts[RIGHT], counts[SHOWN]
        others = counts.total() - right - shown
        assert (fault, right, shown, others) == (
            (fault, 0, counts.total(), 0) if fault == BY_ONNX else (fault, counts.total(), 0, 0)
        )
