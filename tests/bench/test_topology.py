"""What other runtimes are given: computed here in plain float64, it is the network that our integers compute.

Each runtime rounds in its own way, so nothing is equal to the last code; a layer with the wrong weights, padding or
scale would be far off.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from ares.bench.against.topology import Node, Topology, memory_order, topology
from ares.bench.record import BenchError
from ares.ir import DType, Graph, Tensor
from ares.pipeline.network import NetworkSubject
from tests.checkout import ZOO
from tests.slow import slow_but

Array = np.ndarray[Any, Any]
# In steps of the output: half a code for each rounding of ours and theirs, and what weights have done with it.
_NEAR = 4.0


@cache
def subject(name: str) -> NetworkSubject:
    return NetworkSubject(ZOO.paths(name))


def given(name: str) -> Topology:
    own = subject(name)
    return topology(own.graph, own.expected(0))


def computed(given: Topology, inputs: tuple[Array, ...]) -> Mapping[str, Array]:
    """Real numbers of every tensor, in float64, rounded to codes where codes are."""
    reals: dict[str, Array] = {
        name: array.astype(np.float64) for name, array in zip(given.inputs, inputs, strict=True)
    }
    for node in given.nodes:
        made = _layer(node, given, [reals[name] for name in node.inputs])
        tensor = given.tensors[node.output]
        made = np.maximum(made, 0.0) if node.relu or node.kind == "relu" else made
        assert tensor.scale is not None
        codes = np.rint(made / tensor.scale + tensor.zero_point)
        limits = tensor.dtype
        reals[node.output] = (
            np.clip(codes, limits.lo, limits.hi) - tensor.zero_point
        ) * tensor.scale
    return reals


def _layer(node: Node, given: Topology, values: list[Array]) -> Array:
    (first, *_), shape = values, given.tensors[node.output].shape
    if node.kind in ("quantize", "requantize", "relu"):
        return first
    if node.kind == "add":
        return values[0] + values[1]
    if node.kind == "reshape":
        return first.reshape(shape)
    if node.kind == "global_avg_pool":
        return first.mean(axis=(2, 3), keepdims=True)
    if node.kind == "linear":
        weight, bias = _constants(node, given)
        return first @ weight.T + bias
    return _windows(node, given, first, shape)


def _constants(node: Node, given: Topology) -> tuple[Array, Array]:
    assert node.weight is not None
    assert node.weight_scale is not None
    assert node.bias is not None
    source = given.tensors[node.inputs[0]].scale
    assert source is not None
    scale = node.weight_scale.astype(np.float64)
    weight = node.weight * scale.reshape(-1, *[1] * (node.weight.ndim - 1))
    return weight, node.bias * scale * source


def _windows(node: Node, given: Topology, image: Array, shape: tuple[int, ...]) -> Array:
    top, left, bottom, right = node.padding
    outside = -np.inf if node.kind == "max_pool" else 0.0
    padded = np.pad(image, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=outside)
    out = np.zeros(shape)
    spans = [(k - 1) * d + 1 for k, d in zip(node.kernel, node.dilation, strict=True)]
    weight, bias = _constants(node, given) if node.kind == "conv" else (np.zeros(0), np.zeros(0))
    for y in range(shape[2]):
        for x in range(shape[3]):
            row, column = y * node.stride[0], x * node.stride[1]
            seen = padded[
                0,
                :,
                row : row + spans[0] : node.dilation[0],
                column : column + spans[1] : node.dilation[1],
            ]
            if node.kind == "max_pool":
                out[0, :, y, x] = seen.max(axis=(1, 2))
            elif node.kind == "avg_pool":
                out[0, :, y, x] = seen.mean(axis=(1, 2))
            else:
                groups = seen.reshape(node.groups, -1)
                filters = weight.reshape(node.groups, -1, groups.shape[1])
                out[0, :, y, x] = np.einsum("gk,gok->go", groups, filters).ravel() + bias
    return out


NETWORKS = ("test_40_depthwise_conv", "test_4_resnet_basic", "test_8_stride2", "test_10_resnet18")


@pytest.mark.parametrize("name", slow_but([0, 1], NETWORKS))
def test_it_computes_our_network(name: str) -> None:
    own, shape = subject(name), given(name)
    reals = computed(shape, own.golden.cases[0].inputs)
    for output in shape.outputs:
        scale = shape.tensors[output].scale
        assert scale is not None
        assert np.abs(reals[output] - own.expected(0)[output]).max() / scale <= _NEAR
    sums = {node.layer: node for node in shape.nodes if node.weight is not None}
    macs = 0
    for node in sums.values():
        assert node.weight is not None
        macs += int(np.prod(shape.tensors[node.output].shape)) * node.weight[0].size
    assert macs == own.macs


@pytest.mark.parametrize("what", ["weight", "bias", "weight_scale", "padding"])
def test_a_wrong_layer_is_far_off(what: str) -> None:
    """The distance that a comparison reports is worth something."""
    own, shape = subject(NETWORKS[0]), given(NETWORKS[0])
    nodes = list(shape.nodes)
    place = next(number for number, node in enumerate(nodes) if node.kind == "conv")
    node = nodes[place]
    assert node.weight is not None
    assert node.bias is not None
    assert node.weight_scale is not None
    wrong: dict[str, Any] = {
        "weight": node.weight[:, :, ::-1, ::-1].copy(),
        "bias": node.bias + 20_000,
        "weight_scale": node.weight_scale * 2,
        "padding": (0, 0, 2, 2),
    }
    nodes[place] = replace(node, **{what: wrong[what]})
    reals = computed(replace(shape, nodes=tuple(nodes)), own.golden.cases[0].inputs)
    (output,) = shape.outputs
    scale = shape.tensors[output].scale
    assert scale is not None
    assert np.abs(reals[output] - own.expected(0)[output]).max() / scale > _NEAR


def test_zeros_in_front_of_a_convolution_are_its_padding() -> None:
    own = subject("test_53_mlperf_mobilenet")
    assert any(operation.OP_TYPE == "OP_ZEROPAD2D" for operation in own.graph.operations)
    shape = given(own.name)
    assert all(node.kind != "pad" for node in shape.nodes)
    assert any(node.padding == (0, 0, 1, 1) for node in shape.nodes)


@pytest.mark.parametrize(
    ("name", "layer"),
    [("test_12_gelu_basic", "OP_LINEAR_INT8"), ("test_13_transformer_simple", "OP_")],
)
def test_what_cannot_be_expressed_is_named(name: str, layer: str) -> None:
    with pytest.raises(BenchError, match=rf"{name}: layer \S+ \({layer}.*cannot be expressed"):
        given(name)


def test_a_real_output_gets_the_scale_of_what_was_seen() -> None:
    tensor = Tensor("x", (1, 2), DType.F32)
    graph = Graph("none", (tensor,), (), ("x",), ("x",))
    shape = topology(graph, {"x": np.array([[-2.54, 1.0]])})
    assert shape.tensors["x"].scale == 2.54 / 127


def test_channels_last_is_told_from_our_order() -> None:
    values = np.arange(24).reshape(2, 3, 4)  # C H W
    assert values.ravel()[memory_order(values.shape)].tolist() == (
        values.transpose(1, 2, 0).ravel().tolist()
    )
