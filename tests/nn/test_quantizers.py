"""`act_quant=` and `weight_quant=` of every layer: the Graph has the scale and the bounds of the given quantiser."""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from brevitas.core.zero_point import ZeroZeroPoint
from brevitas.inject.enum import (
    BitWidthImplType,
    FloatToIntImplType,
    QuantType,
    RestrictValueType,
    ScalingImplType,
)
from brevitas.proxy.parameter_quant import WeightQuantProxyFromInjectorBase
from brevitas.proxy.runtime_quant import ActQuantProxyFromInjectorBase
from brevitas.quant import (
    Int8ActPerTensorFloat,
    Int8WeightPerTensorFloat,
    ShiftedUint8ActPerTensorFloat,
    Uint8ActPerTensorFloat,
)
from brevitas.quant.fixed_point import Int8ActPerTensorFixedPoint, Int8WeightPerTensorFixedPoint
from brevitas.quant.solver import ActQuantSolver
from torch import Tensor, nn

import ares.nn as ann
from ares.ir import Graph
from tests.extract.models import Net, checked, kinds, seeded
from tests.nn.test_section_d import CHANNELS, IMAGE, LAYERS, TOKENS, Shape, applied
from tests.nn.values import calibrated, ramp
from tests.slow import one_in


class FourBitAct(Int8ActPerTensorFloat):
    """Signed, 4 bits by its own account."""

    bit_width = 4


class FourBitWeight(Int8WeightPerTensorFloat):
    """One scale for all weights, 4 bits by its own account."""

    bit_width = 4


class CommonAct(ActQuantSolver):
    """As in Brevitas' bnn_pynq models: constant scale, and the bit width is left to the layer."""

    quant_type = QuantType.INT
    bit_width_impl_type = BitWidthImplType.CONST
    scaling_impl_type = ScalingImplType.CONST
    restrict_scaling_type = RestrictValueType.FP
    zero_point_impl = ZeroZeroPoint
    float_to_int_impl_type = FloatToIntImplType.ROUND
    scaling_per_output_channel = False
    narrow_range = True
    signed = True
    min_val = -1.0
    max_val = 1.0


def _attention(kind: str, **quants: Any) -> nn.Module:
    return {
        "mean": lambda: ann.QuantSelfAttention(8, 2, 6, "mean", **quants),
        "none": lambda: ann.QuantMultiHeadAttention(8, 2, 6, "none", **quants),
        "rope": lambda: ann.QuantRoPESelfAttention(8, 2, 6, "flat", **quants),
        "cross": lambda: ann.QuantCrossAttention(8, 2, 3, 6, norm=True, **quants),
        "alternating": lambda: ann.QuantAlternatingAttention(8, 2, 2, 3, 1, **quants),
        "refined": lambda: ann.QuantCrossAttentionWithSelfRefine(3, 8, 2, num_layers=1, **quants),
    }[kind]()


def _positions(**quants: Any) -> nn.Module:
    return ann.PositionalEmbedding(6, 8, **quants)


ACTIVATED: dict[str, tuple[Callable[..., nn.Module], Shape]] = {
    "QuantAdd": (ann.QuantAdd, IMAGE),
    "QuantMul": (ann.QuantMul, TOKENS),
    "QuantConcatenate": (ann.QuantConcatenate, IMAGE),
    "QuantMean": (ann.QuantMean, TOKENS),
    "QuantSiLU": (ann.QuantSiLU, TOKENS),
    "default_quant_identity": (ann.default_quant_identity, TOKENS),
    "PositionalEmbedding": (_positions, TOKENS),
    "RFFTFeatures": (lambda **quants: ann.RFFTFeatures(8, **quants), TOKENS),
    "ReLU": (ann.ReLU, TOKENS),
}
WEIGHTED: dict[str, tuple[Callable[..., nn.Module], Shape]] = {
    "QuantPatchEmbed": (
        lambda **q: ann.QuantPatchEmbed((4, 9), (2, 3), (2, 3), 1, 5, **q),
        (1, 1, 4, 9),
    ),
    "QuantConv1dDepthwise": (lambda **q: ann.QuantConv1dDepthwise(8, **q), CHANNELS),
    "QuantSSM": (lambda **q: ann.QuantSSM(8, 4, 2, **q), TOKENS),
    "QuantMambaBlock": (lambda **q: ann.QuantMambaBlock(8, 6, 4, **q), TOKENS),
    "QuantMambaWrapper add": (lambda **q: ann.QuantMambaWrapper(8, 6, 4, **q), TOKENS),
    "QuantMambaWrapper concat": (
        lambda **q: ann.QuantMambaWrapper(8, 6, 4, bidirectional_strategy="concat", **q),
        TOKENS,
    ),
    "ResidualBlock": (lambda **q: ann.ResidualBlock(4, **q), IMAGE),
    "FeedForward": (lambda **q: ann.FeedForward(8, 12, norm=True, **q), TOKENS),
    "SwiGLU": (lambda **q: ann.SwiGLU(8, 12, **q), TOKENS),
    "TransformerBlock": (lambda **q: ann.TransformerBlock(8, 2, 6, **q), TOKENS),
    **{
        f"attention {kind}": (lambda kind=kind, **q: _attention(kind, **q), TOKENS)
        for kind in ("mean", "none", "rope", "cross", "alternating", "refined")
    },
}
ONLY_WEIGHTS: dict[str, tuple[Callable[..., nn.Module], Shape]] = {
    "Conv2d": (lambda **q: ann.Conv2d(4, 3, 3, **q), IMAGE),
    "Linear": (lambda **q: ann.Linear(8, 5, **q), TOKENS),
}
# Quantisers that the layer has for other calls than the one made here.
UNUSED = {"RFFTFeatures": ("layer.input.",), "QuantSSM": ("layer.z.", "layer.gate.")}


def network(make: Callable[..., nn.Module], **quants: Any) -> nn.Module:
    """The layer between the network's quantiser and another one."""

    def forward(m: Any, x: Tensor) -> Any:
        return m.last(applied(m.layer, m.first(x)))

    return seeded(
        lambda: Net(
            forward,
            first=ann.default_quant_identity(),
            layer=make(**quants),
            last=ann.default_quant_identity(),
        )
    )


def expected(model: nn.Module, unused: tuple[str, ...]) -> dict[str, tuple[float, int, int]]:
    """Path -> (scale, lowest, highest code) of the layer's quantisers, by Brevitas' own account in float64."""
    found = {}
    for path, proxy in copy.deepcopy(model).double().named_modules():
        if not isinstance(proxy, ActQuantProxyFromInjectorBase) or not proxy.is_quant_enabled:
            continue
        if path.startswith("layer.") and not path.startswith(unused):
            bits = int(proxy.bit_width())
            lo, hi = (
                (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if proxy.is_signed else (0, 2**bits - 1)
            )
            found[path] = (float(proxy.scale()), lo, hi)
    return found


def judged(graph: Graph) -> dict[str, tuple[float | None, int, int]]:
    """Path of a quantiser -> (scale, lowest, highest code) of the Graph's tensor that it makes."""
    return {
        origin.removeprefix("quantizer:").rpartition("#")[0]: (tensor.scale, tensor.lo, tensor.hi)
        for _, tensor in graph.produced()
        for origin in tensor.origins
        if origin.startswith("quantizer:layer.")
    }


@pytest.mark.parametrize("kind", [Int8ActPerTensorFixedPoint, FourBitAct])
@pytest.mark.parametrize("name", one_in(9, [*ACTIVATED, *WEIGHTED]))
def test_the_graph_has_the_given_activation_quantiser(name: str, kind: Any) -> None:
    make, shape = {**ACTIVATED, **WEIGHTED}[name]
    # Here the unsigned form is the caller's affair: a ReLU is the quantiser's only user.
    given = kind.let(signed=False) if name == "ReLU" else kind
    model = network(make, act_quant=given)
    graph = checked(model, shape)
    want = expected(model, UNUSED.get(name, ()))
    assert want
    assert judged(graph) == want
    for scale, lo, hi in want.values():
        if kind is FourBitAct:
            assert (lo, hi) in ((-8, 7), (0, 15))
        else:
            assert (lo, hi) in ((-128, 127), (0, 255))
            assert math.frexp(scale)[0] == 0.5, "a power of two"


@pytest.mark.parametrize("name", one_in(6, [*WEIGHTED, *ONLY_WEIGHTS]))
@pytest.mark.parametrize("kind", [Int8WeightPerTensorFixedPoint, FourBitWeight])
def test_the_graph_has_the_given_weight_quantiser(name: str, kind: Any) -> None:
    make, shape = {**WEIGHTED, **ONLY_WEIGHTS}[name]
    model = network(make, weight_quant=kind)
    graph = checked(model, shape)
    layers = dict(model.named_modules())
    weighted = [op for op in graph.operations if hasattr(op, "weight") and op.path in layers]
    assert weighted
    for operation in weighted:
        weight = layers[operation.path].quant_weight()
        codes = weight.int().numpy().reshape(-1)
        assert weight.scale.numel() == 1
        assert sorted(np.asarray(operation.weight).reshape(-1)) == sorted(codes)
        assert int(np.abs(codes).max()) <= (7 if kind is FourBitWeight else 127)
        if kind is Int8WeightPerTensorFixedPoint:
            assert math.frexp(weight.scale.item())[0] == 0.5
        else:
            assert int(np.abs(codes).max()) == 7


def _proxies(model: nn.Module, kind: type) -> list[Any]:
    return [m for m in model.modules() if isinstance(m, kind) and m.is_quant_enabled]


@pytest.mark.parametrize("name", LAYERS)
def test_every_layer_with_a_quantiser_takes_one(name: str) -> None:
    """By name, without changing what was positional; what Brevitas hands on has it already."""
    make, _ = LAYERS[name]
    layer = make()
    parameters = inspect.signature(type(layer)).parameters
    assert ("act_quant" in parameters) == bool(_proxies(layer, ActQuantProxyFromInjectorBase))
    assert ("weight_quant" in parameters) == bool(_proxies(layer, WeightQuantProxyFromInjectorBase))
    if type(layer).__module__.startswith("ares."):
        for given in ("act_quant", "weight_quant"):
            assert parameters.get(given) is None or parameters[given].kind.name == "KEYWORD_ONLY"


@pytest.mark.parametrize(
    ("options", "bits"),
    [
        ({}, 8),
        ({"bit_width": 5}, 5),
        ({"act_quant": FourBitAct}, 4),
        ({"act_quant": FourBitAct, "bit_width": 6}, 6),
        ({"act_quant": Int8ActPerTensorFloat, "bit_width": 3}, 3),
        ({"act_quant": CommonAct}, 8),
        ({"act_quant": CommonAct, "bit_width": 2}, 2),
        ({"act_quant": Int8ActPerTensorFloat.let(bit_width=7)}, 7),
    ],
)
def test_whose_bit_width_counts(options: dict[str, Any], bits: int) -> None:
    """A number other than 8 overrides the quantiser's own; 8 is for one that names none."""
    for layer in (ann.QuantAdd(**options), ann.QuantSSM(4, 2, **options)):
        for proxy in _proxies(layer, ActQuantProxyFromInjectorBase):
            assert int(proxy.bit_width()) == bits


def test_weights_too() -> None:
    for options, bits in (
        ({}, 8),
        ({"weight_quant": FourBitWeight}, 4),
        ({"weight_quant": FourBitWeight, "bit_width": 3}, 3),
    ):
        assert int(ann.Linear(4, 4, **options).quant_weight().bit_width) == bits


def test_a_quantiser_with_a_zero_point_joins() -> None:
    model = network(ann.QuantAdd, act_quant=ShiftedUint8ActPerTensorFloat)
    graph = checked(model, TOKENS)
    assert graph.tensor("layer").zero_point != 0
    assert (graph.tensor("layer").lo, graph.tensor("layer").hi) == (0, 255)


def test_a_shared_quantiser() -> None:
    """As Brevitas' own, a layer with one quantiser takes that of another module, and both have one scale."""
    first = ann.QuantAdd()
    with pytest.warns(
        UserWarning, match="Keyword arguments are being passed"
    ):  # by Brevitas, always
        second = ann.QuantMul(act_quant=first.quant.act_quant)
    assert second.quant.act_quant is first.quant.act_quant


SINGLE = ("QuantAdd", "QuantMul", "QuantConcatenate", "QuantMean", "QuantSiLU")


@pytest.mark.parametrize("name", SINGLE)
def test_without_a_quantiser_the_result_is_real(name: str) -> None:
    """It is one operation with the quantiser that follows; parts of equal scales are codes without one."""
    make, shape = ACTIVATED[name]
    graph = checked(network(make, act_quant=None), shape)
    assert len(kinds(graph)) == (3 if name == "QuantConcatenate" else 2)
    assert judged(graph) == {}


def test_real_tokens() -> None:
    make, shape = WEIGHTED["QuantPatchEmbed"]
    graph = checked(network(make, act_quant=None), shape)
    assert "conv2d" in kinds(graph)
    assert judged(graph) == {}


def test_a_convolution_without_output_quantiser() -> None:
    conv = ann.QuantConv1dDepthwise(8, act_quant=None)
    assert not conv.output_quant.is_quant_enabled
    assert isinstance(conv(ramp(*CHANNELS)), Tensor)


@pytest.mark.parametrize("given", [None, "proxy"])
@pytest.mark.parametrize(
    "name",
    [
        *sorted(set(WEIGHTED) - {"QuantPatchEmbed", "QuantConv1dDepthwise"}),
        "RFFTFeatures",
        "PositionalEmbedding",
    ],
)
def test_a_layer_of_several_steps_wants_a_class(name: str, given: str | None) -> None:
    make, _ = {**ACTIVATED, **WEIGHTED}[name]
    quant = None if given is None else ann.QuantAdd().quant.act_quant
    with pytest.raises(ann.MappingError, match="expected a class, of which each of its steps"):
        make(act_quant=quant)


def test_the_unsigned_form_of_the_default_is_brevitas_own() -> None:
    """So that nothing changes where nothing is given."""
    x = ramp(3, 50).abs()
    given, own = (
        calibrated(ann.QuantAdd(act_quant=kind).quant, x)
        for kind in (Int8ActPerTensorFloat.let(signed=False), Uint8ActPerTensorFloat)
    )
    assert str(given) == str(own)
    assert given.state_dict().keys() == own.state_dict().keys()
    assert torch.equal(given(x).value, own(x).value)
    assert torch.equal(given(x).scale, own(x).scale)
