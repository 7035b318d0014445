"""Nodes as modules and calls: Brevitas' layers, torch's layers and functions, the joins of `ares.nn`.

A row of `KINDS` says how the module of a node is made, None where it has none, and how the node is computed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import brevitas.nn as qnn
import brevitas.quant as bq
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import ares.nn as ann
from ares.fuzzer.arithmetic import UNARY, ScaleShift
from ares.fuzzer.code_ranges import weight_code
from ares.fuzzer.quantizers import activation_quantizer, settle, weight_options
from ares.fuzzer.recipe import Option
from ares.fuzzer.shapes import axes_of, chunk_bounds, ints, number, out_channels, several
from ares.fuzzer.sites import Site
from ares.nn.quant_tensor import AnyTensor, value_of

Make = Callable[[Site], nn.Module | None]
Call = Callable[[Any, Mapping[str, Option], Sequence[AnyTensor]], AnyTensor]


@dataclass(frozen=True, slots=True)
class Kind:
    """`composite`: it holds quantisers whose scales are taken from a run (`ares.fuzzer.models`)."""

    make: Make
    call: Call
    composite: bool = False


def _nothing(_site: Site) -> nn.Module | None:
    return None


def module_call(module: Any, _options: Mapping[str, Option], operands: Sequence[AnyTensor]) -> Any:
    """The module on its one operand."""
    return module(*operands)


def _plain_call(module: Any, _options: Mapping[str, Option], operands: Sequence[AnyTensor]) -> Any:
    return module(*map(value_of, operands))


def function(call: Callable[[Tensor, Mapping[str, Option]], Tensor]) -> Kind:
    """A kind without a module, of one operand."""
    return Kind(_nothing, lambda _m, options, operands: call(value_of(operands[0]), options))


# Quantisers.


def _quant(cls: type[nn.Module]) -> Make:
    def make(site: Site) -> nn.Module:
        quantizer = activation_quantizer(site.options)
        plain = bool(site.options.get("plain", False))
        layer = cls(act_quant=quantizer, return_quant_tensor=not plain)
        settle(layer, site.options)
        return layer

    return make


# Layers with weights.


def _convolution(cls: Any, axes: int, transposed: bool = False) -> Make:
    def make(site: Site) -> nn.Module:
        options, channels = site.options, site.shapes[0][1]
        out, groups = out_channels(options, channels)
        sizes: dict[str, Any] = {
            "stride": ints(options, "stride", axes),
            "padding": ints(options, "padding", axes, 0),
            "dilation": ints(options, "dilation", axes),
        }
        if transposed:
            sizes["output_padding"] = ints(options, "output_padding", axes, 0)
        elif site.word("padding_mode"):
            sizes["padding_mode"] = site.word("padding_mode")
        kernel = ints(options, "kernel", axes)
        layer: nn.Module = cls(
            channels, out, kernel, groups=groups, **sizes, **_bias(site), **weight_options(options)
        )
        _fill(site, layer, transposed)
        return layer

    return make


def _linear(site: Site) -> nn.Module:
    features = site.shapes[0][-1]
    layer: nn.Module = qnn.QuantLinear(
        features, number(site.options, "out"), **_bias(site), **weight_options(site.options)
    )
    _fill(site, layer, False)
    return layer


def _bias(site: Site) -> dict[str, Any]:
    bias = site.word("bias", "none")
    found: dict[str, Any] = {"bias": bias != "none"}
    if bias == "int32":
        found["bias_quant"] = bq.Int32Bias
    return found


def _fill(site: Site, layer: Any, transposed: bool) -> None:
    """Weights and bias of a layer: codes of the style times the unit, channels apart by powers of two or by thirds."""
    shape = tuple(layer.weight.shape)
    outputs = shape[1] if transposed else shape[0]
    rows = (outputs, math.prod(shape) // outputs)
    codes = site.source.weights(site.word("weights", "uniform"), rows, weight_code(site.options))
    unit = site.real("unit") * np.ones(outputs)
    if site.options.get("per_channel", False) and site.real("spread"):
        steps = np.floor(site.source.units("spread", outputs) * site.real("spread") + 0.5)
        unit = unit * np.ldexp(1.0, steps.astype(int))
        unit = unit * (1.0 + (site.source.units("spread/fraction", outputs) > 0.3) / 3.0)
    found = torch.from_numpy((codes * unit[:, None]).astype(np.float32))
    if transposed:
        found = found.reshape(outputs, shape[0], *shape[2:]).transpose(0, 1)
    with torch.no_grad():
        layer.weight.copy_(found.reshape(shape))
        if layer.bias is not None:
            count = layer.bias.numel()
            layer.bias.copy_(site.constants("bias", count) * site.real("bias_size", 1.0))


# Layers of torch.


def _batch_norm(site: Site) -> nn.Module:
    shape = site.shapes[0]
    channels, size = shape[1], site.real("size", 1.0)
    layer = nn.BatchNorm2d(channels) if len(shape) == 4 else nn.BatchNorm1d(channels)
    mean, variance = layer.get_buffer("running_mean"), layer.get_buffer("running_var")
    gamma = site.constants("gamma", channels)
    with torch.no_grad():
        # A few channels are switched off, some turn signs around.
        layer.weight.copy_(torch.where(gamma.abs() < 0.06, 0.0, gamma * 1.5 + 0.25))
        layer.bias.copy_(site.constants("beta", channels) * 0.75)
        mean.copy_(site.constants("mean", channels) * size)
        spread = 0.2 + 1.2 * (site.constants("variance", channels) + 1.0)
        variance.copy_(spread * size * size)
    return layer


def _norm(cls: Any) -> Make:
    def make(site: Site) -> nn.Module:
        shape = site.shapes[0]
        channels = shape[1] if cls is nn.GroupNorm else shape[-1]
        sizes = (number(site.options, "groups"),) if cls is nn.GroupNorm else ()
        layer: nn.Module = cls(*sizes, channels, eps=1e-5)
        constants = dict(layer.named_parameters())  # an RMS norm has no bias
        with torch.no_grad():
            constants["weight"].copy_(site.constants("gamma", channels) * 0.9 + 0.6)
            if "bias" in constants:
                constants["bias"].copy_(site.constants("beta", channels) * 0.5)
        return layer

    return make


def _prelu(site: Site) -> nn.Module:
    channels = site.shapes[0][1] if site.options.get("per_channel", False) else 1
    layer = nn.PReLU(channels)
    with torch.no_grad():
        layer.weight.copy_(site.constants("slope", channels))
    return layer


def _unary(site: Site) -> nn.Module | None:
    module, _ = UNARY[site.word("function")]
    return module() if site.options.get("module", False) else None


def _call_unary(module: Any, options: Mapping[str, Option], operands: Sequence[AnyTensor]) -> Any:
    apply = module or UNARY[str(options["function"])][1]
    return apply(value_of(operands[0]))


def _pool(kind: str) -> Make:
    def make(site: Site) -> nn.Module:
        axes = len(site.shapes[0]) - 2
        words: dict[str, Any] = {
            "kernel_size": ints(site.options, "kernel", axes),
            "stride": ints(site.options, "stride", axes),
            "padding": ints(site.options, "padding", axes, 0),
            "ceil_mode": bool(site.options.get("ceil", False)),
        }
        if kind == "Max":
            words["dilation"] = ints(site.options, "dilation", axes)
        elif not site.options.get("counts_padding", True):
            words["count_include_pad"] = False
        pool: nn.Module = getattr(nn, f"{kind}Pool{axes}d")(**words)
        return pool

    return make


def _adaptive(kind: str) -> Make:
    def make(site: Site) -> nn.Module:
        axes = len(site.shapes[0]) - 2
        pool: nn.Module = getattr(nn, f"Adaptive{kind}Pool{axes}d")(
            ints(site.options, "sizes", axes)
        )
        return pool

    return make


def _truncating(site: Site) -> nn.Module:
    pool: nn.Module = qnn.TruncAvgPool2d(
        ints(site.options, "kernel", 2), ints(site.options, "stride", 2), return_quant_tensor=False
    )
    return pool


def _embedding(site: Site) -> nn.Module:
    ids = max(spec.ids for spec in site.inputs)
    dim = number(site.options, "dim")
    layer = nn.Embedding(ids, dim)
    with torch.no_grad():
        found = site.constants("table", ids * dim).reshape(ids, dim)
        layer.weight.copy_(found * site.real("size", 1.0))
    return layer


def _interpolate(x: Tensor, options: Mapping[str, Option]) -> Tensor:
    corners = bool(options.get("corners", False))
    mode = "linear" if x.dim() == 3 else "bilinear"
    sizes = ints(options, "sizes", x.dim() - 2)
    return F.interpolate(x, list(sizes), mode=mode, align_corners=corners)


def _nearest(x: Tensor, options: Mapping[str, Option]) -> Tensor:
    return F.interpolate(x, scale_factor=float(number(options, "factor", 2)))


# Joins and moves.


def _join(cls: Any, *leading: str) -> Kind:
    def make(site: Site) -> nn.Module:
        quantizer = activation_quantizer(site.options)
        bits = int(site.real("bits", 8))
        words: dict[str, Any] = {"dim": number(site.options, "axis", 1)} if leading else {}
        join: nn.Module = cls(bit_width=bits, act_quant=quantizer, **words)
        return join

    def call(module: Any, _options: Mapping[str, Option], operands: Sequence[AnyTensor]) -> Any:
        return module(list(operands)) if leading else module(*operands)

    return Kind(make, call)


def _two(apply: Callable[[Tensor, Tensor], Tensor]) -> Kind:
    return Kind(_nothing, lambda _m, _o, operands: apply(*map(value_of, operands)))


def _cat(_module: Any, options: Mapping[str, Option], operands: Sequence[AnyTensor]) -> Tensor:
    return torch.cat([value_of(x) for x in operands], number(options, "axis", 1))


def _averaged(x: Tensor, options: Mapping[str, Option]) -> Tensor:
    return x.mean(axes_of(options, x.dim()), keepdim=bool(options.get("keepdim", False)))


def _summed(x: Tensor, options: Mapping[str, Option]) -> Tensor:
    return x.sum(axes_of(options, x.dim()), keepdim=bool(options.get("keepdim", False)))


def _sliced(x: Tensor, options: Mapping[str, Option]) -> Tensor:
    axis, start = number(options, "axis"), number(options, "start")
    stop, step = number(options, "stop", x.shape[axis]), number(options, "step", 1)
    places = [slice(None)] * x.dim()
    places[axis] = slice(start, stop, step)
    return x[tuple(places)]


def _chunk(x: Tensor, options: Mapping[str, Option]) -> Tensor:
    axis, parts, index = (number(options, word) for word in ("axis", "parts", "index"))
    chunk_bounds(x.shape[axis], parts, index)
    return x.chunk(parts, axis)[index]


def _pad(x: Tensor, options: Mapping[str, Option]) -> Tensor:
    mode = str(options.get("mode", "zeros"))
    amounts = list(ints(options, "amounts", 2 * (x.dim() - 2), 0))
    return F.pad(x, amounts) if mode == "zeros" else F.pad(x, amounts, mode)


KINDS: Mapping[str, Kind] = {
    "quant": Kind(_quant(qnn.QuantIdentity), module_call),
    "quant_relu": Kind(_quant(qnn.QuantReLU), module_call),
    "conv1d": Kind(_convolution(qnn.QuantConv1d, 1), module_call),
    "conv2d": Kind(_convolution(qnn.QuantConv2d, 2), module_call),
    "conv_transpose1d": Kind(_convolution(qnn.QuantConvTranspose1d, 1, True), module_call),
    "conv_transpose2d": Kind(_convolution(qnn.QuantConvTranspose2d, 2, True), module_call),
    "linear": Kind(_linear, module_call),
    "batch_norm": Kind(_batch_norm, _plain_call),
    "layer_norm": Kind(_norm(nn.LayerNorm), _plain_call),
    "rms_norm": Kind(_norm(nn.RMSNorm), _plain_call),
    "group_norm": Kind(_norm(nn.GroupNorm), _plain_call),
    "prelu": Kind(_prelu, _plain_call),
    "scale_shift": Kind(ScaleShift, _plain_call),
    "unary": Kind(_unary, _call_unary),
    "softmax": function(lambda x, options: x.softmax(number(options, "axis", -1))),
    "max_pool": Kind(_pool("Max"), _plain_call),
    "avg_pool": Kind(_pool("Avg"), _plain_call),
    "adaptive_avg_pool": Kind(_adaptive("Avg"), _plain_call),
    "adaptive_max_pool": Kind(_adaptive("Max"), _plain_call),
    "global_avg_pool": Kind(lambda _site: ann.GlobalAvgPool(), _plain_call),
    "trunc_avg_pool": Kind(_truncating, module_call),
    "upsample_nearest": function(_nearest),
    "upsample_bilinear": function(_interpolate),
    "add": _two(torch.add),
    "sub": _two(torch.sub),
    "mul": _two(torch.mul),
    "matmul": _two(torch.matmul),
    "quant_add": _join(ann.QuantAdd),
    "quant_mul": _join(ann.QuantMul),
    "quant_concat": _join(ann.QuantConcatenate, "dim"),
    "concat": Kind(_nothing, _cat),
    "mean": function(_averaged),
    "sum": function(_summed),
    "permute": function(lambda x, options: x.permute(0, *axes_of(options, x.dim(), "order"))),
    "reshape": function(lambda x, options: x.reshape(x.shape[0], *several(options, "sizes"))),
    "flatten": function(lambda x, options: x.flatten(number(options, "start", 1))),
    "slice": function(_sliced),
    "flip": function(lambda x, options: x.flip(axes_of(options, x.dim()))),
    "squeeze": function(lambda x, options: x.squeeze(number(options, "axis"))),
    "unsqueeze": function(lambda x, options: x.unsqueeze(number(options, "axis"))),
    "chunk": function(_chunk),
    "pad": function(_pad),
    "embedding": Kind(_embedding, module_call),
}
"""Kinds without inner quantisers to be calibrated."""
