"""Every layer of the stored suites as a file of its own: it means the codes that the oracles expect, or is refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
import torch

from ares import witness_onnx
from ares.interchange import sayable_in_onnx, write_onnx
from ares.ir import DType, Graph, Tensor
from ares.ops import operations
from ares.ops.permute import Permute
from tests.interchange.one_layer import (
    BINARY32,
    Array,
    Layer,
    alone,
    excess,
    layers,
    limits,
    tolerance,
    written,
)

STEMS = [*operations()]
# What is refused, how often, and what is said.
REFUSED: Mapping[str, Mapping[str, int]] = {
    "add": {"an unknown function is merged into its rounding, as 5 steps": 3},
    "batch_norm": {"a function for each channel is merged into its rounding": 3},
    "conv1d_depthwise": {"a function for each channel is merged into its rounding": 1},
    "conv2d": {"a function for each channel is merged into its rounding": 2},
    "conv_transpose2d": {"a function for each channel is merged into its rounding": 1},
    "linear": {
        "a function for each channel is merged into its rounding": 1,
        "an unknown function is merged into its rounding, as 6 steps": 1,
    },
    "rfft": {
        "ONNX has no words for RFFT: lengths and angles of a spectrum, quantised by thresholds of "
        "their own": 45
    },
    "selective_scan": {
        "ONNX has no words for SelectiveScan: a recurrence over the steps of a sequence, with "
        "exact state": 16
    },
    "trunc_avg_pool2d": {
        "TruncAvgPool2d cuts bits off towards zero, or sends ties below zero up; ONNX rounds half "
        "to even": 5
    },
}
# What ONNX Runtime 1.32 gets wrong beside ties, with its optimisations off: operation -> why.
FAULTS_OF_ORT = {
    "group_norm.the_largest_group.random::layer_x": "means of 131072 values in binary32",
    "group_norm.the_largest_group.one_code_off::layer_x": "means of 131072 values in binary32",
}
# What a file means in float64 is not what the layer does.
NOT_IN_FLOAT64 = {
    "quantize.steps_before_the_quantiser.past_the_largest_and_back::layer": "binary32 overflows"
}
# Binary32 sums of a runtime, in parts of the largest result: real outputs may cancel.
REAL = 2.0**-18


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_every_operation_has_layers() -> None:
    assert [*layers()] == STEMS


@pytest.mark.parametrize("stem", STEMS)
def test_layers_that_are_refused(stem: str) -> None:
    files, refusals = written(stem)
    said = Counter(line.removeprefix(f"layer {name}: ") for name, line in refusals)
    assert said == REFUSED.get(stem, {})
    assert bool(files) == (operations()[stem] in sayable_in_onnx())


def _before(layer: Layer, meant: witness_onnx.Meant) -> tuple[Array, Array]:
    """Unrounded codes within the layer's limits, and which of them are numbers: ONNX gives NaN no code."""
    real = meant.before[layer.output.name]
    is_number = ~np.isnan(real)
    return np.clip(np.where(is_number, real, 0.0), *limits(layer)), is_number


def _complaint(layer: Layer, data: bytes) -> str:
    """How what a file means differs from what is expected of a layer; empty where it does not."""
    meant = witness_onnx.evaluate(data, layer.inputs, {})
    found = meant.values[layer.output.name]
    if found.shape != layer.expected.shape:
        return f"shape {found.shape}"
    if layer.output.scale is None:
        return "" if excess(layer, found).max(initial=0.0) <= 1.0 else "reals"
    if layer.output.name not in meant.before:
        # Codes that are looked up, or are no 8-bit codes, were never reals.
        return "" if np.array_equal(found, layer.expected) else "codes without reals"
    real, is_number = _before(layer, meant)
    off = np.abs(layer.expected - real)
    if off[is_number].max(initial=0.0) > 0.5 + tolerance(layer):
        return f"{off[is_number].max() - 0.5:.3g} codes off"
    is_clear = is_number & (off < 0.5 - tolerance(layer))
    return "" if np.array_equal(found[is_clear], layer.expected[is_clear]) else "rounding or limits"


@pytest.mark.parametrize("stem", STEMS)
def test_files_mean_the_expected_codes(stem: str) -> None:
    complaints = {layer.operation.name: _complaint(layer, data) for layer, data in written(stem)[0]}
    assert {name for name, said in complaints.items() if said} == {
        name for name in NOT_IN_FLOAT64 if name.startswith(f"{stem}.")
    }, complaints


def test_a_file_that_means_something_else_is_seen() -> None:
    """Weights, a zero point and a limit of the codes, each changed in the Graph that is written."""
    layer, _ = written("linear")[0][0]
    own, tensors = layer.operation, {tensor.name: tensor for tensor in layer.graph.tensors}
    narrow = replace(own.rescale, hi=own.rescale.hi - 1)
    (source,) = layer.sources
    moved = replace(source, zero_point=source.zero_point + 1)
    planted = [
        alone(replace(own, weight=-own.weight), tensors),
        alone(replace(own, rescale=narrow), tensors),
        alone(own, {**tensors, moved.name: moved}),
    ]
    said = [_complaint(layer, write_onnx(graph).data) for graph in planted]
    assert all(said), said


def test_names_of_tensors_that_are_also_ours() -> None:
    shapes = {"x": (1, 2, 3), "constant0": (1, 3, 2), "x/real": (1, 2, 3)}
    tensors = tuple(Tensor(n, s, DType.S8, 0.1, 3, -128, 127) for n, s in shapes.items())
    first, second, third = shapes
    moves = (
        Permute("a", (first,), (second,), axes=(0, 2, 1)),
        Permute("a/Transpose", (second,), (third,), axes=(0, 2, 1)),
    )
    graph = Graph("net", tensors, moves, (first,), (third,)).validate()
    x = np.arange(-3, 3, dtype=np.int8).reshape(1, 2, 3)
    assert np.array_equal(_run(write_onnx(graph).data, {"x": x}), x)


def _run(data: bytes, inputs: Mapping[str, Array]) -> Array:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    (output,) = session.run(None, dict(inputs))
    return np.asarray(output)


@pytest.mark.parametrize("stem", STEMS)
def test_onnx_runtime_gives_the_expected_codes(stem: str) -> None:
    """All of them, but for ties, which binary32 may decide otherwise: the cases of the suites are full of them."""
    wrong: set[str] = set()
    for layer, data in written(stem)[0]:
        found, expected = _run(data, layer.inputs), layer.expected
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape), layer.operation.name
        if layer.output.scale is None:
            off = np.abs(found.astype(np.float64) - expected).max(initial=0.0)
            assert off <= REAL * np.abs(expected).max(initial=0.0), layer.operation.name
            continue
        off = np.abs(found.astype(np.int64) - expected)
        if not off.any():
            continue
        real, is_number = _before(layer, witness_onnx.evaluate(data, layer.inputs, {}))
        is_tie = np.abs(np.abs(expected - real) - 0.5) <= BINARY32
        if off[is_number & ~is_tie].any() or off[is_number].max(initial=0) > 1:
            wrong.add(layer.operation.name)
    assert wrong == {name for name in FAULTS_OF_ORT if name.startswith(f"{stem}.")}
