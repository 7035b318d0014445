"""What must not be mapped: one clear line each, naming the layer, what was found and what to do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import MethodType
from typing import Any

import brevitas.nn as qnn
import brevitas.quant as bq
import pytest
import torch
import torch.nn.functional as F
from brevitas.inject.enum import FloatToIntImplType
from brevitas.quant.shifted_scaled_int import ShiftedUint8ActPerTensorFloat
from torch import nn
from torch.nn.utils import prune
from torch.nn.utils.parametrizations import weight_norm

from ares.extract import ExtractionError, analyse, extract
from ares.nn import QuantAdd
from tests.extract.brevitas_versions import Fp8e4m3OCPActPerTensorFloat
from tests.extract.models import (
    IMAGE,
    TOKENS,
    Net,
    Shape,
    calibrated,
    conv,
    errors,
    identity,
    linear,
    plain_identity,
    refused,
    relu,
    seeded,
    set_scale,
    tensor_quant,
)


@dataclass(frozen=True)
class Case:
    """A model, perhaps changed after its calibration, and parts of the one finding."""

    make: Callable[[], nn.Module]
    layer: str
    layer_type: str
    reason: str
    suggestion: str
    change: Callable[[Any], object] = lambda model: None
    shapes: tuple[Shape, ...] = (IMAGE,)
    calibrate: bool = True


def _check(case: Case) -> None:
    __tracebackhide__ = True
    model = seeded(case.make)
    if case.calibrate:
        calibrated(model, *case.shapes)
    else:
        model.eval()
    case.change(model)
    finding = refused(model, *case.shapes)
    assert (finding.layer, finding.layer_type) == (case.layer, case.layer_type), str(finding)
    assert case.reason in finding.reason, str(finding)
    assert case.suggestion in finding.suggestion, str(finding)


def _around(layer: nn.Module, tensor: bool = True) -> Callable[[], nn.Module]:
    """Quantiser, the layer, quantiser."""
    source = plain_identity if tensor else identity
    return lambda: Net(
        lambda m, x: m.q2(m.layer(m.q(x))), q=source(), layer=layer, q2=plain_identity()
    )


def _function(function: Callable[..., Any], *, end: bool = True) -> Callable[[], nn.Module]:
    """Quantiser, the function, perhaps a quantiser."""
    return lambda: Net(
        lambda m, x: m.q2(function(m.q(x))) if end else function(m.q(x)),
        q=plain_identity(),
        q2=plain_identity(),
    )


MIGRATIONS: dict[str, Case] = {
    "BatchNorm3d": Case(
        _around(nn.BatchNorm3d(2)),
        "layer",
        "BatchNorm3d",
        "cannot be mapped",
        "LayerNorm/GroupNorm",
        shapes=((1, 2, 3, 6, 5),),
    ),
    "nn.MultiheadAttention": Case(
        lambda: Net(
            lambda m, x: m.a(*[m.q(x)] * 3)[0], q=plain_identity(), a=nn.MultiheadAttention(6, 2)
        ),
        "a",
        "MultiheadAttention",
        "cannot be mapped",
        "QuantMultiHeadAttention",
        shapes=(TOKENS,),
    ),
    "QuantMultiheadAttention": Case(
        lambda: Net(
            lambda m, x: m.a(*[m.q(x)] * 3)[0], q=identity(), a=qnn.QuantMultiheadAttention(6, 2)
        ),
        "a",
        "QuantMultiheadAttention",
        "cannot be mapped",
        "QuantMultiHeadAttention",
        shapes=(TOKENS,),
    ),
    "ConvTranspose2d": Case(
        _around(nn.ConvTranspose2d(2, 2, 3)),
        "layer",
        "ConvTranspose2d",
        "cannot be mapped",
        "upsample",
    ),
    "QuantConvTranspose2d": Case(
        _around(qnn.QuantConvTranspose2d(2, 2, 3), tensor=False),
        "layer",
        "QuantConvTranspose2d",
        "cannot be mapped",
        "upsample",
    ),
    "implicit residual of a convolution": Case(
        lambda: Net(
            lambda m, x: (lambda y: m.r(m.c(y) + y))(m.q(x)),
            q=plain_identity(),
            c=conv(2, 2, padding=1),
            r=relu(),
        ),
        "add",
        "add",
        "its first operand is the real output of c (QuantConv2d), which is not quantised",
        "QuantIdentity",
    ),
    "implicit sum without a quantiser": Case(
        lambda: Net(
            lambda m, x: m.c(m.q(x) + m.q2(x)),
            q=plain_identity(),
            q2=plain_identity(),
            c=conv(2, 2),
        ),
        "c",
        "QuantConv2d",
        "its input is the sum add, which is not quantised",
        "ares.nn.QuantAdd",
    ),
    "implicit concatenation without a quantiser": Case(
        lambda: Net(
            lambda m, x: m.c(torch.cat([m.q(x), m.q2(x)], 1)),
            q=plain_identity(),
            q2=plain_identity(bit_width=4),
            c=conv(4, 2),
        ),
        "c",
        "QuantConv2d",
        "its input is the concatenation cat of different scales",
        "ares.nn.QuantConcatenate",
    ),
    "LSTM": Case(
        lambda: Net(lambda m, x: m.q(m.l(m.q(x))[0]), q=plain_identity(), l=nn.LSTM(6, 3)),
        "l",
        "LSTM",
        "cannot be mapped",
        "state-space",
        shapes=(TOKENS,),
    ),
    "float convolution": Case(
        _around(nn.Conv2d(2, 2, 3)),
        "layer",
        "Conv2d",
        "cannot be mapped",
        "brevitas.nn.QuantConv2d",
    ),
    "float linear": Case(
        _around(nn.Linear(5, 2)), "layer", "Linear", "cannot be mapped", "brevitas.nn.QuantLinear"
    ),
    "QuantConv1d": Case(
        _around(qnn.QuantConv1d(4, 2, 3)),
        "layer",
        "QuantConv1d",
        "cannot be mapped",
        "QuantConv2d",
        shapes=(TOKENS,),
    ),
    "TruncAvgPool2d, which is no AvgPool2d": Case(
        _around(qnn.TruncAvgPool2d(2), tensor=False),
        "layer",
        "TruncAvgPool2d",
        "cannot be mapped",
        "torch.nn.AvgPool2d",
    ),
    "TruncAdaptiveAvgPool2d": Case(
        _around(qnn.TruncAdaptiveAvgPool2d(1), tensor=False),
        "layer",
        "TruncAdaptiveAvgPool2d",
        "cannot be mapped",
        "torch.nn.AdaptiveAvgPool2d",
    ),
    "an unknown layer": Case(
        _around(nn.ReflectionPad2d(1)),
        "layer",
        "ReflectionPad2d",
        "cannot be mapped",
        "docs/supported_operations.md",
    ),
    "a layer with a near relative": Case(
        _around(nn.MaxPool1d(2)),
        "layer",
        "MaxPool1d",
        "cannot be mapped",
        "MaxPool2d",
        shapes=(TOKENS,),
    ),
}


@pytest.mark.parametrize("name", MIGRATIONS)
def test_migration_guide(name: str) -> None:
    _check(MIGRATIONS[name])


def _called(*arguments: Any, **options: Any) -> Callable[..., Any]:
    function, *rest = arguments
    return lambda y: function(y, *rest, **options)


FUNCTIONS: dict[str, Case] = {
    "gelu of a sum": Case(
        _function(lambda y: F.gelu(y + y)), "add", "add", "gelu is applied to its sum", "QuantAdd"
    ),
    "sum as an output": Case(
        _function(lambda y: y + y, end=False),
        "add",
        "add",
        "the network's output is the sum",
        "end",
    ),
    "broadcast of both": Case(
        _function(lambda y: y.flatten(2).unsqueeze(1) + y.flatten(2).unsqueeze(2)),
        "add",
        "add",
        "shapes differ",
        "change the shapes",
    ),
    "softshrink": Case(
        _function(F.softshrink), "softshrink", "softshrink", "cannot be mapped", "docs/supported"
    ),
    "x / y": Case(
        _function(lambda y: y / (y + 9)), "div", "div", "divides by a tensor", "by constants only"
    ),
    "remainder": Case(
        _function(lambda y: y % 2), "remainder", "remainder", "cannot be mapped", "docs/supported"
    ),
    "permuted batch": Case(
        _function(lambda y: y.permute(1, 0, 2, 3)),
        "permute",
        "permute",
        "batch",
        "other dimensions",
    ),
    "T": Case(_function(lambda y: y.flatten(1).T), "T", "T", "moves the batch", "other dimensions"),
    "flattened batch": Case(
        _function(torch.flatten), "flatten", "flatten", "the batch must stay", "x.size(0)"
    ),
    "squeezed batch": Case(
        _function(lambda y: y.flatten(1).squeeze(0)), "squeeze", "squeeze", "the batch", "x.size(0)"
    ),
    "averaged batch": Case(
        _function(lambda y: y.mean(0)),
        "mean",
        "mean",
        "it goes over the batch",
        "other dimensions",
    ),
    "mean of everything": Case(
        _function(lambda y: y.mean().reshape(1, 1)), "mean", "mean", "over everything", "dim="
    ),
    "mean of no dimensions": Case(
        _function(lambda y: y.mean(()).reshape(1, 1)), "mean", "mean", "over everything", "dim="
    ),
    "concatenated batch": Case(
        _function(lambda y: torch.cat([y, y])), "cat", "cat", "along the batch", "another dimension"
    ),
    "hstack": Case(
        _function(lambda y: torch.hstack([y, y])), "hstack", "hstack", "mapped", "QuantConcatenate"
    ),
    "33 parts": Case(
        _function(lambda y: torch.cat([y] * 33, 1)), "cat", "cat", "33 inputs", "change the shapes"
    ),
    "mode of padding": Case(
        _function(_called(F.pad, (1, 1, 1, 1), mode="reflect")), "pad", "pad", "reflect", "zeros"
    ),
    "value of padding": Case(
        _function(_called(F.pad, (1, 1, 1, 1), value=1.0)), "pad", "pad", "value 1.0", "zeros"
    ),
    "cropping": Case(
        _function(_called(F.pad, (0, -1))), "pad", "pad", "crops", "change the shapes"
    ),
    "padded channels": Case(
        _function(_called(F.pad, (0, 0, 0, 0, 1, 1))), "pad", "pad", "more than height", "last two"
    ),
    "padded tokens": Case(
        _function(_called(F.pad, (1, 1))),
        "pad",
        "pad",
        "expected [1, C, H, W]",
        "change",
        shapes=(TOKENS,),
    ),
    "indices of a maximum": Case(
        _function(lambda y: F.max_pool2d(y, 2, return_indices=True)[0]),
        "max_pool2d_with_indices",
        "max_pool2d_with_indices",
        "cannot be mapped",
        "return_indices=False",
    ),
    "ceil_mode of an average": Case(
        _function(_called(F.avg_pool2d, 2, ceil_mode=True)),
        "avg_pool2d",
        "avg_pool2d",
        "up",
        "ceil_mode",
    ),
    "padding that is not counted": Case(
        _function(_called(F.avg_pool2d, 3, 1, 1, count_include_pad=False)),
        "avg_pool2d",
        "avg_pool2d",
        "not counted",
        "count_include_pad",
    ),
    "windows of different sizes": Case(
        _function(_called(F.adaptive_avg_pool2d, 4)),
        "adaptive_avg_pool2d",
        "adaptive_avg_pool2d",
        "6 x 5 into 4 x 4",
        "divides",
    ),
    "average of an average": Case(
        _function(lambda y: F.avg_pool2d(F.avg_pool2d(y, 2), 2, 1)),
        "avg_pool2d#1",
        "avg_pool2d",
        "its input is the real output of avg_pool2d",
        "QuantIdentity",
    ),
    "integers": Case(
        _function(lambda y: y.to(torch.int32).double()), "to", "to", "into int32", "conversion"
    ),
    "x.long()": Case(
        _function(lambda y: y.long().double()), "long", "long", "cannot be mapped", "conversion"
    ),
    "binary32": Case(
        _function(lambda y: y.float()), "float", "float", "into float32", "conversion"
    ),
    "bits of another type": Case(
        _function(lambda y: y.view(torch.int64) if y.element_size() == 8 else y, end=False),
        "view",
        "view",
        "into int64",
        "conversion",
    ),
    "written elements": Case(
        _function(lambda y: _set_item(y)), "__setitem__", "__setitem__", "mapped", "torch.cat"
    ),
    "dropout that is always on": Case(
        _function(lambda y: F.dropout(y, 1.0)), "dropout", "dropout", "at random", "self.training"
    ),
}


def _set_item(y: Any) -> Any:
    y[:, 0] = 0.0
    return y


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name: str) -> None:
    _check(FUNCTIONS[name])


def _layer(
    layer: Callable[[], nn.Module], **more: Callable[[], nn.Module]
) -> Callable[[], nn.Module]:
    """Quantiser, layer `c`, QuantReLU."""
    return lambda: Net(
        lambda m, x: m.r(m.c(m.q(x))),
        q=identity(),
        c=layer(),
        r=relu(),
        **{name: make() for name, make in more.items()},
    )


def _fill(model: Any, name: str, value: float) -> None:
    getattr(model.c, name).data.view(-1)[0] = value


BEHIND_LAYERS: dict[str, Case] = {
    "convolution of a convolution": Case(
        lambda: Net(
            lambda m, x: m.r(m.d(m.c(m.q(x)))), q=identity(), c=conv(2, 2), d=conv(2, 2), r=relu()
        ),
        "d",
        "QuantConv2d",
        "its input is the real output of c (QuantConv2d), which is not quantised",
        "QuantIdentity",
    ),
    "linear of the input": Case(
        lambda: Net(lambda m, x: m.fc(x), fc=linear(5, 2)),
        "fc",
        "QuantLinear",
        "its input is the network's input 'input', which is not quantised",
        "QuantIdentity",
    ),
    "output of a convolution": Case(
        lambda: Net(lambda m, x: m.c(m.q(x)), q=identity(), c=conv(2, 2)),
        "c",
        "QuantConv2d",
        "the network's output is the real output of c",
        "end the network with",
    ),
    "logits behind a ReLU": Case(
        lambda: Net(lambda m, x: F.relu(m.fc(m.q(x))), q=identity(), fc=linear(5, 2)),
        "relu",
        "relu",
        "the network's output is relu of the real output of fc",
        "outside the network: return what it is applied to",
    ),
    "input as an output": Case(
        lambda: Net(lambda m, x: (m.q(x), x), q=identity()),
        "",
        "output",
        "the network's output is the network's input",
        "end the network with",
    ),
    "scale as an output": Case(
        lambda: Net(lambda m, x: (lambda y: (y, y.scale))(m.q(x)), q=identity()),
        "",
        "output",
        "the network's output is a constant",
        "return what forward computes",
    ),
    "maximum, then gelu": Case(
        lambda: Net(
            lambda m, x: m.q2(F.gelu(F.max_pool2d(m.c(m.q(x)), 2))),
            q=plain_identity(),
            c=conv(2, 2),
            q2=identity(),
        ),
        "gelu",
        "gelu",
        "gelu comes after a maximum",
        "QuantIdentity",
    ),
    "mean of a convolution": Case(
        lambda: Net(
            lambda m, x: m.q2(m.c(m.q(x)).mean((2, 3))),
            q=plain_identity(),
            c=conv(2, 2),
            q2=identity(),
        ),
        "mean",
        "mean",
        "its input is the real output of c",
        "QuantIdentity",
    ),
    "gelu of the input": Case(
        lambda: Net(lambda m, x: m.q(F.gelu(x)), q=identity()),
        "q",
        "QuantIdentity",
        "gelu is applied to the network's float input",
        "QuantIdentity",
    ),
}


@pytest.mark.parametrize("name", BEHIND_LAYERS)
def test_values_without_a_quantizer(name: str) -> None:
    _check(BEHIND_LAYERS[name])


PLAIN = "plain integer quantiser"
QUANTIZERS: dict[str, Case] = {
    "never calibrated": Case(
        lambda: Net(lambda m, x: m.q(x), q=identity()),
        "q",
        "QuantIdentity",
        "never calibrated",
        "calibration_mode",
        calibrate=False,
    ),
    "per channel": Case(
        lambda: Net(
            lambda m, x: m.q(x),
            q=identity(
                scaling_per_output_channel=True,
                per_channel_broadcastable_shape=(1, 2, 1, 1),
                scaling_stats_permute_dims=(1, 0, 2, 3),
            ),
        ),
        "q",
        "QuantIdentity",
        "has 2 scales",
        "scaling_per_output_channel",
    ),
    "float zero point": Case(
        lambda: Net(
            lambda m, x: m.q(x),
            q=identity(act_quant=ShiftedUint8ActPerTensorFloat, quantize_zero_point=False),
        ),
        "q",
        "QuantIdentity",
        "which is no integer",
        "integer zero point",
    ),
    "rounds down": Case(
        lambda: Net(
            lambda m, x: m.q(x), q=identity(float_to_int_impl_type=FloatToIntImplType.FLOOR)
        ),
        "q",
        "QuantIdentity",
        "rounds with FloorSte",
        "FloatToIntImplType.ROUND",
    ),
    "delayed": Case(
        lambda: Net(lambda m, x: m.q(x), q=identity(quant_delay_steps=4)),
        "q",
        "QuantIdentity",
        "delays quantisation by 1 steps",
        "quant_delay_steps=0",
    ),
    "1 bit, of which only zero is left": Case(
        lambda: Net(lambda m, x: m.q(x), q=identity(bit_width=1, narrow_range=True)),
        "q",
        "QuantIdentity",
        "1 bit of narrow range: only the code 0",
        "SignedBinaryActPerTensorConst",
    ),
    "9 bits": Case(
        lambda: Net(lambda m, x: m.q(x), q=identity(bit_width=9)),
        "q",
        "QuantIdentity",
        "9 bits, expected 1 to 8",
        "between 1 and 8",
    ),
    "floating point": Case(
        lambda: Net(lambda m, x: m.q(x), q=identity(act_quant=Fp8e4m3OCPActPerTensorFloat)),
        "q",
        "QuantIdentity",
        PLAIN,
        "Int8ActPerTensorFloat",
    ),
    "scale that is not a number": Case(
        _layer(lambda: conv(2, 2)),
        "q",
        "QuantIdentity",
        "has scale nan",
        "calibration_mode",
        change=lambda model: set_scale(model, "q.act_quant", float("nan")),
    ),
    "scale that float64 rounds elsewhere": Case(
        lambda: Net(lambda m, x: m.q(x), q=identity(act_quant=bq.Int8ActPerTensorFixedPoint)),
        "q",
        "QuantIdentity",
        "scale 0.125 and zero point 0 in float32, 0.25 and 0 in float64",
        "save its state",
        # One step above 16: binary32 says that its logarithm is 4.
        change=lambda model: tensor_quant(model, "q.act_quant").scaling_impl.buffer.fill_(
            16.000002
        ),
    ),
    "switched off": Case(
        _layer(lambda: conv(2, 2)),
        "r",
        "QuantReLU",
        "its quantiser r.act_quant is switched off",
        "r.act_quant.disable_quant = False",
        change=lambda model: setattr(model.r.act_quant, "disable_quant", True),
    ),
    "scales too far apart": Case(
        lambda: Net(lambda m, x: m.a(m.q(x), m.q2(x)), q=identity(), q2=identity(), a=QuantAdd()),
        "a",
        "QuantAdd",
        "times the output's: too large",
        "check the scales",
        change=lambda model: set_scale(model, "q2.act_quant", 1e12),
    ),
}


@pytest.mark.parametrize("name", QUANTIZERS)
def test_quantizers(name: str) -> None:
    _check(QUANTIZERS[name])


LAYERS: dict[str, Case] = {
    "weights that are not quantised": Case(
        _layer(lambda: conv(2, 2, weight_quant=None)),
        "c",
        "QuantConv2d",
        "not quantised",
        "weight_quant",
    ),
    "delayed weights": Case(
        _layer(lambda: conv(2, 2, weight_quant_delay_steps=5)),
        "c",
        "QuantConv2d",
        "its weight quantiser delays quantisation by 2 steps",
        "quant_delay_steps=0",
    ),
    "weights switched off": Case(
        _layer(lambda: conv(2, 2)),
        "c",
        "QuantConv2d",
        "its quantiser c.weight_quant is switched off",
        "c.weight_quant.disable_quant = False",
        change=lambda model: setattr(model.c.weight_quant, "disable_quant", True),
    ),
    "bias switched off": Case(
        _layer(lambda: conv(2, 2, bias=True, bias_quant=bq.Int32Bias)),
        "c",
        "QuantConv2d",
        "its quantiser c.bias_quant is switched off",
        "c.bias_quant.disable_quant = False",
        change=lambda model: setattr(model.c.bias_quant, "disable_quant", True),
    ),
    "NaN in weights": Case(
        _layer(lambda: conv(2, 2)),
        "c",
        "QuantConv2d",
        "its weights contain NaN",
        "train or load",
        change=lambda model: _fill(model, "weight", float("nan")),
    ),
    "infinity in weights": Case(
        _layer(lambda: conv(2, 2)),
        "c",
        "QuantConv2d",
        "its weights contain NaN or infinity",
        "train or load",
        change=lambda model: _fill(model, "weight", float("-inf")),
    ),
    "NaN in bias": Case(
        _layer(lambda: conv(2, 2, bias=True)),
        "c",
        "QuantConv2d",
        "its bias contains NaN",
        "train or load",
        change=lambda model: _fill(model, "bias", float("nan")),
    ),
    "mode of padding": Case(
        _layer(lambda: conv(2, 2, padding=1, padding_mode="reflect")),
        "c",
        "QuantConv2d",
        "'reflect'",
        "padding_mode='zeros'",
    ),
    "accumulator of codes": Case(
        lambda: Net(lambda m, x: m.r(m.fc(m.q(x))), q=identity(), fc=_ones(140_000), r=relu()),
        "fc",
        "QuantLinear",
        "its accumulator could reach 2275840000, int32 ends at 2147483647",
        "narrower weights",
        shapes=((1, 140_000),),
    ),
    "accumulator of logits": Case(
        lambda: Net(lambda m, x: m.fc(m.q(x)), q=identity(), fc=_ones(140_000)),
        "fc",
        "QuantLinear",
        "its accumulator could reach 2275840000, int32 ends at 2147483647",
        "narrower weights",
        shapes=((1, 140_000),),
    ),
    "scales too far apart": Case(
        _layer(lambda: conv(2, 2)),
        "c",
        "QuantConv2d",
        "too large for 64 bits",
        "check the scales",
        change=lambda model: set_scale(model, "q.act_quant", 1e12),
    ),
    "another forward": Case(
        _layer(lambda: conv(2, 2)),
        "c",
        "QuantConv2d",
        "its forward was replaced",
        "class of your own",
        change=lambda model: setattr(model.c, "forward", MethodType(_negated, model.c)),
    ),
    "hooks inside": Case(
        _layer(lambda: conv(2, 2)),
        "r",
        "QuantReLU",
        "tensor_quant inside it has hooks",
        "remove them",
        change=lambda model: tensor_quant(model, "r.act_quant").register_forward_hook(
            lambda *_: None
        ),
    ),
    "weight normalisation": Case(
        _layer(lambda: weight_norm(conv(2, 2))),
        "c",
        "ParametrizedQuantConv2d",
        "cannot be mapped",
        "QuantConv2d",
    ),
    "pruning": Case(
        _layer(lambda: prune.l1_unstructured(conv(2, 2), "weight", 0.3)),
        "c",
        "QuantConv2d",
        "computed anew at every call",
        "prune.remove",
    ),
}


def _negated(layer: Any, x: Any) -> Any:
    return -type(layer).forward(layer, x)


def _ones(features: int) -> nn.Module:
    layer = linear(features, 1, bias=False)
    layer.weight.data.fill_(1.0)
    return layer


@pytest.mark.parametrize("name", LAYERS)
def test_layers(name: str) -> None:
    _check(LAYERS[name])


class _Scripted(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 1.0


def _inplace_through_a_view(m: Any, x: Any) -> Any:
    y = m.q(x)
    part = y[:, :1]
    part += 1.0
    return m.r(m.c(y))


def _counts_its_calls(m: Any, x: Any) -> Any:
    m.calls = getattr(m, "calls", 0) + 1
    return m.r(m.c(m.q(x))) if m.calls % 2 else m.q(x)


def _raises(m: Any, x: Any) -> Any:
    raise ValueError("no such thing\nand a second line")


def _only_in_single(m: Any, x: Any) -> Any:
    return m.r(m.c(m.q(x).to(torch.float32)))


def _forward(
    forward: Callable[..., Any], **more: Callable[[], nn.Module]
) -> Callable[[], nn.Module]:
    return lambda: Net(
        forward,
        q=plain_identity(),
        c=conv(2, 2),
        r=relu(),
        **{name: make() for name, make in more.items()},
    )


MODELS: dict[str, Case] = {
    "control flow that depends on data": Case(
        _forward(lambda m, x: m.r(m.c(m.q(x))) if float(x.sum()) > 0 else m.q(x)),
        "",
        "data dependent",
        "'__float__' hands to Python the values",
        "tensor operations only",
    ),
    "through numpy": Case(
        _forward(lambda m, x: m.q(torch.tensor(x.tolist(), dtype=x.dtype))),
        "",
        "data dependent",
        "'tolist' hands to Python the values",
        "tensor operations only",
    ),
    "random numbers": Case(
        _forward(lambda m, x: m.r(m.c(m.q(x + torch.randn_like(x))))),
        "",
        "random",
        "'randn_like' draws random numbers",
        "remove it",
    ),
    "dropout that is on": Case(
        _forward(lambda m, x: m.r(m.c(m.q(F.dropout(x))))),
        "",
        "random",
        "'dropout' draws random numbers",
        "remove it",
    ),
    "in place through a view": Case(
        _forward(_inplace_through_a_view),
        "",
        "inplace view",
        "q#0 is used after it was changed in place",
        "out of place",
    ),
    "F.linear with a layer's weight": Case(
        _forward(lambda m, x: m.r(F.linear(m.q(x), m.fc.weight)), fc=lambda: linear(5, 3)),
        "",
        "bypassed leaf",
        "uses 'fc.weight' of a layer",
        "call the layer itself",
    ),
    "F.linear with a layer's quantised weight": Case(
        _forward(
            lambda m, x: m.r(F.linear(m.q(x), m.fc.quant_weight().value)), fc=lambda: linear(5, 3)
        ),
        "",
        "bypassed leaf",
        "uses 'fc.weight' of a layer",
        "call the layer itself",
    ),
    "forward called directly": Case(
        _forward(lambda m, x: m.r(m.c.forward(m.q(x)))),
        "",
        "bypassed leaf",
        "uses 'c.weight' of a layer",
        "call the layer itself",
    ),
    "a scripted module": Case(
        _forward(lambda m, x: m.r(m.c(m.j(m.q(x)))), j=lambda: torch.jit.script(_Scripted())),
        "c",
        "unknown origin",
        "a tensor that no recorded operation computed",
        "torch functions",
    ),
    "a forward that changes": Case(
        _forward(_counts_its_calls),
        "c",
        "changed structure",
        "two runs of forward differ",
        "same operations for every input",
    ),
    "a forward that raises": Case(
        _forward(_raises),
        "",
        "Net",
        "ValueError: no such thing",
        "work in PyTorch first",
        calibrate=False,
    ),
    "a forward that works in float32 only": Case(
        _forward(_only_in_single),
        "",
        "Net",
        "forward raised in module 'c' (QuantConv2d)",
        "it works in float32 but is run in float64",
    ),
    "no output": Case(
        _forward(lambda m, x: None), "", "unsupported output", "returns no tensor", "return tensors"
    ),
    "training mode": Case(
        _forward(lambda m, x: m.r(m.c(m.q(x)))),
        "",
        "Net",
        "in training mode",
        "model.eval()",
        change=lambda model: model.train(),
    ),
    "one layer in training mode": Case(
        _forward(lambda m, x: m.r(m.c(m.q(x)))),
        "c",
        "QuantConv2d",
        "in training mode",
        "model.eval()",
        change=lambda model: model.c.train(),
    ),
    "half precision": Case(
        _forward(lambda m, x: m.r(m.c(m.q(x)))),
        "c",
        "QuantConv2d",
        "parameter c.weight is float16, expected float32",
        "model.float()",
        change=lambda model: model.c.half(),
    ),
    "a table for each element in a sum": Case(
        lambda: _with_parameter(lambda m, x: m.r(m.q(x) + m.p)),
        "add",
        "add",
        "its constants are not one for each channel",
        "quant_table(table)",
    ),
    "a constant of another batch": Case(
        lambda: _with_parameter(lambda m, x: m.r(m.q(x) + m.q2(2.0 * m.p[0]))),
        "q2",
        "QuantIdentity",
        "it quantises the constant",
        "a first axis of one",
    ),
}


def _with_parameter(forward: Callable[..., Any]) -> nn.Module:
    model = Net(forward, q=plain_identity(), q2=plain_identity(), r=relu())
    model.register_parameter("p", nn.Parameter(torch.linspace(-1.0, 1.0, 60).reshape(IMAGE)))
    return model


@pytest.mark.parametrize("name", MODELS)
def test_models(name: str) -> None:
    _check(MODELS[name])


INPUTS: dict[str, tuple[torch.Tensor, str, str]] = {
    "token ids": (torch.zeros(IMAGE, dtype=torch.int64), "q", "tensor 'input' is s32, expected s8"),
    "truths": (torch.zeros(IMAGE, dtype=torch.bool), "input", "it holds bool, expected real"),
    "a number": (torch.zeros(()), "", "example input 0 has shape [], expected a batch"),
    "an empty batch": (torch.zeros(0, 2, 6, 5), "", "example input 0 has shape [0, 2, 6, 5]"),
}


@pytest.mark.parametrize("name", INPUTS)
def test_inputs(name: str) -> None:
    example, layer, reason = INPUTS[name]
    model = calibrated(Net(lambda m, x: m.q(x), q=identity()), IMAGE)
    (finding,) = analyse(model, [example], "net").errors
    assert finding.layer == layer
    assert finding.reason.startswith(reason)
    assert finding.suggestion


def test_every_independent_error_is_reported_once() -> None:
    """And nothing of what only follows from them. `extract` raises the first, in one line."""

    def forward(m: Any, x: Any) -> Any:
        y = m.q(x)
        left = m.r1(m.norm(m.c1(y)))  # cannot be mapped; r1 does not follow up
        right = m.r2(m.c2(y))  # NaN weights
        joined = m.a(left, right)
        return m.fc(F.softshrink(m.q2(m.c3(y)))), m.fc(m.c1(joined).flatten(1))

    model: Any = Net(
        forward,
        q=plain_identity(),
        q2=plain_identity(),
        **{f"c{i}": conv(2, 2, padding=1) for i in (1, 2, 3)},
        norm=nn.InstanceNorm2d(2),
        r1=relu(),
        r2=relu(),
        a=QuantAdd(),
        fc=nn.Identity(),
    )
    calibrated(model, IMAGE)
    _nan(model.c2)
    found = [(finding.layer, finding.layer_type) for finding in errors(model, IMAGE)]
    assert found == [
        ("norm", "InstanceNorm2d"),
        ("c2", "QuantConv2d"),
        ("softshrink", "softshrink"),
    ]
    with pytest.raises(ExtractionError) as raised:
        extract(model, [torch.zeros(IMAGE)], "net")
    first = errors(model, IMAGE)[0]
    assert raised.value.finding == first
    assert str(raised.value) == f"net: norm (InstanceNorm2d): {first.reason}; {first.suggestion}"


def _nan(layer: Any) -> None:
    layer.weight.data[0] = float("nan")
