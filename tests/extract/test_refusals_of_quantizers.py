"""Quantisers and layers with settings, values or hooks that nothing says how to map."""

from __future__ import annotations

from collections.abc import Callable
from types import MethodType
from typing import Any

import brevitas.quant as bq
import pytest
from brevitas.inject.enum import FloatToIntImplType
from brevitas.quant.shifted_scaled_int import ShiftedUint8ActPerTensorFloat
from torch import nn
from torch.nn.utils import prune
from torch.nn.utils.parametrizations import weight_norm

from ares.nn import QuantAdd
from tests.extract.brevitas_versions import Fp8e4m3OCPActPerTensorFloat
from tests.extract.models import (
    Net,
    conv,
    identity,
    linear,
    relu,
    set_scale,
    tensor_quant,
)
from tests.extract.refusing import Case, check


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
    check(QUANTIZERS[name])


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
    check(LAYERS[name])
