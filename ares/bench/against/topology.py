"""A Graph as the layers that other runtimes know: convolutions, linear layers, sums, pools.

Weights are per output channel, symmetric; biases are integers in units of input scale times weight scale. What cannot
be expressed is refused by the layer's name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ares.bench.record import BenchError
from ares.ir import DType, Graph, Operation, Tensor
from ares.numerics import Rescale

Array = npt.NDArray[Any]
Padding = tuple[int, int, int, int]

_SAME_CODES = ("Flatten", "Reshape", "Squeeze")
_RESCALED = {"Requantize": "requantize", "Relu": "relu"}
_STEP = 2.0**-20


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """One layer.

    `kind`: quantize, conv, linear, add, max_pool, avg_pool, global_avg_pool, pad, reshape, requantize, relu.
    `weight`: int8, [out, in / groups, kh, kw] or [out, in]. `padding`: top, left, bottom, right. `relu`: negative
    results become zero, where the output's type alone does not see to it.
    """

    kind: str
    layer: str
    inputs: tuple[str, ...]
    output: str
    relu: bool = False
    weight: Array | None = None
    weight_scale: Array | None = None
    bias: Array | None = None
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    padding: Padding = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1


@dataclass(frozen=True, slots=True, eq=False)
class Topology:
    """`tensors` by name: those that were real numbers at the end have codes here, too."""

    name: str
    nodes: tuple[Node, ...]
    tensors: Mapping[str, Tensor]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def topology(graph: Graph, outputs: Mapping[str, Array]) -> Topology:
    """The layers of a Graph; `outputs` are some of its results, by which real ones get a scale.

    Raises BenchError for the first layer that cannot be expressed.
    """
    tensors = {tensor.name: tensor for tensor in graph.tensors}
    for name in graph.outputs:
        if not tensors[name].dtype.is_integer:
            tensors[name] = _with_codes(tensors[name], outputs[name])
    nodes = []
    for operation in graph.operations:
        node = _node(operation, tensors)
        if node is None:
            raise BenchError(
                f"{graph.name}: layer {operation.name} ({operation.OP_TYPE}) cannot be expressed for another runtime"
            )
        nodes.append(replace(node, relu=_needs_relu(tensors[node.output])))
    return Topology(graph.name, _padded(nodes, graph.outputs), tensors, graph.inputs, graph.outputs)


def one_number() -> Topology:
    """As little as a model can do: one number to a code."""
    real = Tensor("x", (1, 1), DType.F32)
    codes = Tensor("y", (1, 1), DType.S8, 1.0, 0, -128, 127)
    node = Node("quantize", "y", ("x",), "y")
    return Topology("one number", (node,), {"x": real, "y": codes}, ("x",), ("y",))


def _padded(nodes: Sequence[Node], outputs: Sequence[str]) -> tuple[Node, ...]:
    """Zeros in front of a convolution that alone reads them are its own padding, as published models have it."""
    read = [name for node in nodes for name in node.inputs]
    pads = {
        node.output: node
        for node in nodes
        if node.kind == "pad" and read.count(node.output) == 1 and node.output not in outputs
    }
    kept: list[Node] = []
    for node in nodes:
        pad = pads.get(node.inputs[0]) if node.kind == "conv" else None
        if pad is not None:
            del pads[pad.output]
            kept.remove(pad)
            sizes = zip(node.padding, pad.padding, strict=True)
            top, left, bottom, right = (own + more for own, more in sizes)
            node = replace(node, inputs=pad.inputs, padding=(top, left, bottom, right))
        kept.append(node)
    return tuple(kept)


def _node(operation: Operation, tensors: Mapping[str, Tensor]) -> Node | None:
    kind = type(operation).__name__
    base = (operation.name, operation.inputs, operation.outputs[0])
    own: Any = operation
    source, result = tensors[operation.inputs[0]], tensors[operation.outputs[0]]
    if kind == "Quantize":
        return Node("quantize", *base) if not own.steps else None
    if kind in ("Conv2d", "Linear"):
        weights = _weights(own.weight, own.rescale, source, result)
        return None if weights is None else _product(own, base, weights)
    if kind == "LinearFp32":
        return _product(own, base, _real_weights(own, source))
    if kind == "Add":
        same = all(tensors[name].shape == result.shape for name in operation.inputs)
        return Node("add", *base) if same else None
    if kind in ("MaxPool2d", "AvgPool2d"):
        return _pool(own, base, kind)
    if kind == "GlobalAvgPool" and own.rescale.channels == 1:
        return Node("global_avg_pool", *base, kernel=(source.shape[2], source.shape[3]))
    if kind == "ZeroPad2d" and len(source.shape) == 4:
        return Node("pad", *base, padding=own.padding)
    if kind in _SAME_CODES:
        return Node("reshape", *base)
    if kind in _RESCALED:
        return Node(_RESCALED[kind], *base)
    return None


_Base = tuple[str, tuple[str, ...], str]
_Weights = tuple[Array, Array, Array]


def _product(own: Any, base: _Base, weights: _Weights) -> Node:
    """A convolution or a linear layer."""
    weight, scale, bias = weights
    if weight.ndim == 2:
        return Node("linear", *base, weight=weight, weight_scale=scale, bias=bias)
    return Node(
        "conv",
        *base,
        weight=weight,
        weight_scale=scale,
        bias=bias,
        kernel=weight.shape[2:],
        stride=own.stride,
        padding=own.padding,
        dilation=own.dilation,
        groups=own.groups,
    )


def _pool(own: Any, base: _Base, kind: str) -> Node | None:
    if getattr(own, "ceil_mode", False) or getattr(own, "dilation", (1, 1)) != (1, 1):
        return None
    what = {"MaxPool2d": "max_pool", "AvgPool2d": "avg_pool"}[kind]
    return Node(what, *base, kernel=own.kernel, stride=own.stride, padding=own.padding)


def _weights(weight: Array, rescale: Rescale, source: Tensor, result: Tensor) -> _Weights | None:
    """Codes, scales and biases a channel; None where what follows the sum is no straight line."""
    if rescale.thresholds.size:
        return None
    channels = weight.shape[0]
    unit = np.exp2(-rescale.shift.astype(np.float64))
    ratio = np.broadcast_to(rescale.multiplier * unit, (channels,))
    addend = np.broadcast_to(rescale.offset * unit - result.zero_point, (channels,))
    # A channel that is multiplied by a negative number has its weights turned; one by zero has none.
    sign = np.sign(ratio)
    size = np.where(sign == 0.0, _STEP, np.abs(ratio))
    codes = weight * sign.astype(np.int64).reshape(-1, *[1] * (weight.ndim - 1))
    return _fitting(codes, size * scale_of(result) / scale_of(source), addend / size)


def _real_weights(own: Any, source: Tensor) -> _Weights:
    channels = own.weight.shape[0]
    scale = own.scale.astype(np.float64)
    codes = own.bias_codes if own.bias_codes.size else np.zeros(channels)
    reals = own.bias if own.bias.size else np.zeros(channels)
    sign = np.where(scale < 0.0, -1, 1)
    size = np.maximum(np.abs(scale), np.finfo(np.float32).tiny)
    return _fitting(
        own.weight * sign[:, None], size / scale_of(source), codes * sign + reals / size
    )


def _fitting(codes: Array, scale: Array, bias: Array) -> _Weights:
    limits = np.iinfo(np.int32)
    return (
        np.clip(codes, -127, 127).astype(np.int8),
        scale.astype(np.float32),
        np.clip(np.rint(bias), limits.min, limits.max).astype(np.int32),
    )


def _with_codes(tensor: Tensor, seen: Array) -> Tensor:
    """A real output as s8 codes that just hold what was seen."""
    largest = float(np.abs(seen).max()) or 1.0
    return replace(tensor, dtype=DType.S8, scale=largest / 127.0, zero_point=0, lo=-128, hi=127)


def _needs_relu(tensor: Tensor) -> bool:
    return tensor.dtype.is_integer and tensor.dtype.lo < tensor.lo == tensor.zero_point


def scale_of(tensor: Tensor) -> float:
    """What a step of codes is worth."""
    assert tensor.scale is not None
    return tensor.scale


def memory_order(sizes: Sequence[int]) -> Array:
    """For each element of C, H, W stored channels last, its place in PyTorch's order."""
    channels, height, width = sizes
    return (
        np.arange(channels * height * width)
        .reshape(channels, height, width)
        .transpose(1, 2, 0)
        .ravel()
    )
