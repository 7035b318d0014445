"""What an ONNX file of codes means, in float64: every tensor of it, and the real value behind every code.

Written from the operators' specification and sharing no code with what writes such files or reads them. Codes are
rounded where the file has QuantizeLinear, half to even; what stands before that, in codes, is kept: the exact value
that a runtime's code is measured against. A caller may hand in codes that take the place of the computed ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
import torch.nn.functional as F
from onnx import numpy_helper
from torch import Tensor

Array = npt.NDArray[Any]
_Node = Any
_Values = Sequence[Any]


class OnnxMeaningError(ValueError):
    """A file with an operator, or a form of one, that has no meaning here. One line."""


@dataclass(frozen=True, slots=True, eq=False)
class Meant:
    """`values`: every tensor by its name, reals in float64. `before`: of each tensor of codes, its unrounded codes."""

    values: Mapping[str, Array]
    before: Mapping[str, Array]


def evaluate(data: bytes, inputs: Mapping[str, Array], forced: Mapping[str, Array]) -> Meant:
    """Run a file on inputs by name; `forced` codes replace those of the tensors that they are named after."""
    graph = onnx.load_from_string(data).graph
    values: dict[str, Any] = {
        each.name: _tensor(numpy_helper.to_array(each)) for each in graph.initializer
    }
    values.update({name: _tensor(array) for name, array in inputs.items()})
    before: dict[str, Array] = {}
    for node in graph.node:
        operator = _OPERATORS.get(node.op_type)
        if operator is None or node.domain not in ("", "ai.onnx"):
            raise OnnxMeaningError(f"node {node.name!r}: operator {node.domain} {node.op_type}")
        given = [values[name] if name else None for name in node.input]
        if node.op_type == "QuantizeLinear":
            before[node.output[0]] = _unrounded(node, given).numpy()
        made = operator(node, given)
        for name, value in zip(
            node.output, made if isinstance(made, tuple) else (made,), strict=False
        ):
            values[name] = _tensor(forced[name]) if name in forced else value
            if node.op_type == "Clip" and node.input[0] in before:
                before[name] = before[node.input[0]]
    return Meant({name: value.numpy() for name, value in values.items()}, before)


def _tensor(array: Array) -> Tensor:
    """Reals in float64, all else as it is."""
    array = np.ascontiguousarray(array)
    return torch.from_numpy(array.astype(np.float64) if array.dtype.kind == "f" else array.copy())


def _attributes(node: _Node) -> dict[str, Any]:
    return {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}


def _on_axis(value: Tensor, rank: int, axis: int) -> Tensor:
    """A scale or zero point of one number, or one for each place along an axis."""
    if value.numel() == 1:
        return value.reshape(())
    shape = [1] * rank
    shape[axis] = -1
    return value.reshape(shape)


def _unrounded(node: _Node, given: _Values) -> Tensor:
    x, scale, *zero = given
    axis = _attributes(node).get("axis", 1)
    steps: Tensor = x / _on_axis(scale, x.dim(), axis)
    return steps + _on_axis(zero[0], x.dim(), axis).double() if zero else steps


def _quantize(node: _Node, given: _Values) -> Tensor:
    x, scale, *zero = given
    axis = _attributes(node).get("axis", 1)
    kind = zero[0].dtype if zero else torch.uint8
    # Rounded before the zero point is added, as the specification has it.
    steps = torch.round(x / _on_axis(scale, x.dim(), axis))
    codes = steps + (_on_axis(zero[0], x.dim(), axis).double() if zero else 0.0)
    limits = torch.iinfo(kind)
    return codes.clamp(limits.min, limits.max).to(kind)


def _dequantize(node: _Node, given: _Values) -> Tensor:
    codes, scale, *zero = given
    axis = _attributes(node).get("axis", 1)
    steps = codes.double()
    if zero:
        steps = steps - _on_axis(zero[0], codes.dim(), axis).double()
    made: Tensor = steps * _on_axis(scale, codes.dim(), axis)
    return made


def _pads(node: _Node, spatial: int) -> list[int]:
    """As torch has them: the last axis first, begin and end beside each other."""
    attributes = _attributes(node)
    if attributes.get("auto_pad", b"NOTSET") not in (b"NOTSET", b""):
        raise OnnxMeaningError(f"node {node.name!r}: auto_pad")
    pads = attributes.get("pads", [0] * 2 * spatial)
    return [pad for axis in reversed(range(spatial)) for pad in (pads[axis], pads[spatial + axis])]


def _conv(node: _Node, given: _Values) -> Tensor:
    x, weight, *bias = given
    spatial = x.dim() - 2
    attributes = _attributes(node)
    ones = [1] * spatial
    function: Any = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}[spatial]
    made: Tensor = function(
        F.pad(x, _pads(node, spatial)),
        weight,
        bias[0] if bias else None,
        attributes.get("strides", ones),
        0,
        attributes.get("dilations", ones),
        attributes.get("group", 1),
    )
    return made


def _conv_transpose(node: _Node, given: _Values) -> Tensor:
    x, weight, *bias = given
    spatial = x.dim() - 2
    attributes = _attributes(node)
    ones, zeros = [1] * spatial, [0] * spatial
    function: Any = {1: F.conv_transpose1d, 2: F.conv_transpose2d}[spatial]
    made: Tensor = function(
        x,
        weight,
        bias[0] if bias else None,
        attributes.get("strides", ones),
        0,
        attributes.get("output_padding", zeros),
        attributes.get("group", 1),
        attributes.get("dilations", ones),
    )
    return F.pad(made, [-pad for pad in _pads(node, spatial)])


def _padded(node: _Node, x: Tensor, around: float, behind: float) -> Tensor:
    """Its padding with the value `around`; where ceil_mode lets a last window reach further, `behind` follows."""
    attributes = _attributes(node)
    spatial = len(attributes["kernel_shape"])
    given = _pads(node, spatial)
    x = F.pad(x, given, value=around)
    ones = [1] * spatial
    missing: list[int] = []
    for axis in reversed(range(spatial)):
        step = attributes.get("strides", ones)[axis]
        reach = (attributes["kernel_shape"][axis] - 1) * attributes.get("dilations", ones)[axis] + 1
        room = x.shape[2 + axis] - reach
        last = -(-room // step) * step if attributes.get("ceil_mode") else room // step * step
        # No window begins in the padding behind.
        if last >= x.shape[2 + axis] - given[2 * (spatial - 1 - axis) + 1]:
            last -= step
        missing += [0, max(0, last - room)]
    return F.pad(x, missing, value=behind)


def _seen(node: _Node, x: Tensor) -> Tensor:
    """[..., taps]: what each window sees; no window is cut off."""
    attributes = _attributes(node)
    kernel = attributes["kernel_shape"]
    ones = [1] * len(kernel)
    for axis, taps in enumerate(kernel):
        spread = attributes.get("dilations", ones)[axis]
        reach = (taps - 1) * spread + 1
        x = x.unfold(2 + axis, reach, attributes.get("strides", ones)[axis])[..., ::spread]
    return x.flatten(-len(kernel))


def _max_pool(node: _Node, given: _Values) -> Tensor:
    least = -torch.inf
    return _seen(node, _padded(node, given[0], least, least)).amax(-1)


def _average_pool(node: _Node, given: _Values) -> Tensor:
    counts = float(_attributes(node).get("count_include_pad", 0))
    counted = _seen(node, _padded(node, torch.ones_like(given[0]), counts, 0.0)).sum(-1)
    made: Tensor = _seen(node, _padded(node, given[0], 0.0, 0.0)).sum(-1) / counted
    return made


def _gemm(node: _Node, given: _Values) -> Tensor:
    a, b, *c = given
    attributes = _attributes(node)
    a = a.T if attributes.get("transA") else a
    b = b.T if attributes.get("transB") else b
    made: Tensor = attributes.get("alpha", 1.0) * (a @ b)
    return made + attributes.get("beta", 1.0) * c[0] if c else made


def _slice(node: _Node, given: _Values) -> Tensor:
    x, starts, ends, *rest = given
    axes = rest[0].tolist() if rest else list(range(len(starts)))
    steps = rest[1].tolist() if len(rest) > 1 else [1] * len(starts)
    for start, end, axis, step in zip(starts.tolist(), ends.tolist(), axes, steps, strict=True):
        places = range(*slice(start, end, step).indices(x.shape[axis]))
        if step < 0 and end < -x.shape[axis]:
            places = range(range(x.shape[axis])[start], -1, step)
        x = x.index_select(axis, torch.tensor([*places], dtype=torch.int64))
    made: Tensor = x
    return made


def _pad(node: _Node, given: _Values) -> Tensor:
    x, sizes, *rest = given
    if _attributes(node).get("mode", b"constant") != b"constant":
        raise OnnxMeaningError(f"node {node.name!r}: Pad with another mode than constant")
    pads = sizes.tolist()
    ordered = [p for axis in reversed(range(x.dim())) for p in (pads[axis], pads[x.dim() + axis])]
    return F.pad(x, ordered, value=float(rest[0]) if rest and rest[0] is not None else 0.0)


def _reshape(node: _Node, given: _Values) -> Tensor:
    x, shape = given
    sizes = [x.shape[axis] if size == 0 else size for axis, size in enumerate(shape.tolist())]
    made: Tensor = x.reshape(sizes)
    return made


def _clip(node: _Node, given: _Values) -> Tensor:
    x, lo, hi = [*given, None, None][:3]
    x = x if lo is None else torch.maximum(x, lo)
    return x if hi is None else torch.minimum(x, hi)


def _reduced(function: Callable[..., Tensor]) -> Callable[[_Node, _Values], Tensor]:
    """Over axes that are an attribute, or an input in later versions."""

    def apply(node: _Node, given: _Values) -> Tensor:
        attributes = _attributes(node)
        axes = given[1].tolist() if len(given) > 1 else attributes["axes"]
        return function(given[0], tuple(axes), keepdim=bool(attributes.get("keepdims", 1)))

    return apply


def _instance_norm(node: _Node, given: _Values) -> Tensor:
    x, scale, bias = given
    axes = tuple(range(2, x.dim()))
    off = x - x.mean(axes, keepdim=True)
    epsilon = float(np.float32(_attributes(node).get("epsilon", 1e-5)))
    normal = off / ((off * off).mean(axes, keepdim=True) + epsilon).sqrt()
    made: Tensor = normal * _on_axis(scale, x.dim(), 1) + _on_axis(bias, x.dim(), 1)
    return made


def _layer_norm(node: _Node, given: _Values) -> Tensor:
    x, gamma, *beta = given
    attributes = _attributes(node)
    axes = tuple(range(attributes.get("axis", -1) % x.dim(), x.dim()))
    off = x - x.mean(axes, keepdim=True)
    # The attribute is binary32.
    spread = (off * off).mean(axes, keepdim=True) + float(
        np.float32(attributes.get("epsilon", 1e-5))
    )
    made: Tensor = off / spread.sqrt() * gamma
    return made + beta[0] if beta else made


def _gather(node: _Node, given: _Values) -> Tensor:
    x, places = given
    axis = _attributes(node).get("axis", 0) % x.dim()
    flat = places.reshape(-1).to(torch.int64)
    shape = (*x.shape[:axis], *places.shape, *x.shape[axis + 1 :])
    made: Tensor = x.index_select(axis, flat).reshape(shape)
    return made


def _of(function: Callable[..., Tensor]) -> Callable[[_Node, _Values], Tensor]:
    return lambda _node, given: function(*given)


def _with(function: Callable[..., Tensor], **defaults: float) -> Callable[[_Node, _Values], Tensor]:
    """A function of one value and of attributes, which are binary32."""

    def apply(node: _Node, given: _Values) -> Tensor:
        attributes = {**defaults, **_attributes(node)}
        return function(given[0], *(float(np.float32(attributes[name])) for name in defaults))

    return apply


_OPERATORS: Mapping[str, Callable[[_Node, _Values], Any]] = {
    "Add": _of(torch.add),
    "AveragePool": _average_pool,
    "Cast": lambda node, given: given[0].to(
        {1: torch.float64, 6: torch.int32, 7: torch.int64}[_attributes(node)["to"]]
    ),
    "Celu": _with(
        lambda x, alpha: torch.where(x > 0, x, alpha * torch.expm1(x / alpha)), alpha=1.0
    ),
    "Clip": _clip,
    "Concat": lambda node, given: torch.cat(list(given), _attributes(node)["axis"]),
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "DequantizeLinear": _dequantize,
    "Div": _of(torch.div),
    "Elu": _with(lambda x, alpha: torch.where(x > 0, x, alpha * torch.expm1(x)), alpha=1.0),
    "Erf": _of(torch.erf),
    "Gather": _gather,
    "Gemm": _gemm,
    "GlobalAveragePool": lambda _node, given: given[0].mean(
        tuple(range(2, given[0].dim())), keepdim=True
    ),
    "GreaterOrEqual": _of(torch.ge),
    "HardSigmoid": _with(
        lambda x, alpha, beta: (alpha * x + beta).clamp(0, 1), alpha=0.2, beta=0.5
    ),
    "HardSwish": _of(lambda x: x * (x / 6 + 0.5).clamp(0, 1)),
    "Identity": _of(torch.clone),
    "InstanceNormalization": _instance_norm,
    "LayerNormalization": _layer_norm,
    "LeakyRelu": _with(lambda x, alpha: torch.where(x >= 0, x, alpha * x), alpha=0.01),
    "MatMul": _of(torch.matmul),
    "MaxPool": _max_pool,
    "Mul": _of(torch.mul),
    "Neg": _of(torch.neg),
    "Pad": _pad,
    "QuantizeLinear": _quantize,
    "ReduceMax": _reduced(torch.amax),
    "ReduceMean": _reduced(torch.mean),
    "Relu": _of(torch.relu),
    "Reshape": _reshape,
    "Selu": _with(
        lambda x, alpha, gamma: gamma * torch.where(x > 0, x, alpha * torch.expm1(x)),
        alpha=1.67326319217681884765625,
        gamma=1.05070102214813232421875,
    ),
    "Sigmoid": _of(torch.sigmoid),
    "Slice": _slice,
    "Softmax": lambda node, given: torch.softmax(given[0], _attributes(node).get("axis", -1)),
    "Softplus": _of(F.softplus),
    "Softsign": _of(F.softsign),
    "Sqrt": _of(torch.sqrt),
    "Sub": _of(torch.sub),
    "Tanh": _of(torch.tanh),
    "Where": _of(torch.where),
    "Transpose": lambda node, given: given[0].permute(_attributes(node)["perm"]),
}
