"""Weight quantisers: weights are constants, so whatever made their codes, the layer means what it computes with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import brevitas.quant as bq
import numpy as np
import pytest
import torch
from brevitas import nn as qnn
from brevitas.inject.enum import (
    BitWidthImplType,
    FloatToIntImplType,
    LearnedRoundImplType,
    QuantType,
    RestrictValueType,
    ScalingImplType,
    StatsOp,
)
from brevitas.quant.fixed_point import (
    Int4WeightPerTensorFixedPointDecoupled,
    Int8WeightPerChannelFixedPoint,
)
from brevitas.quant.scaled_int import Int8WeightPerChannelFloatHQO, Int8WeightPerTensorFloatHQO
from brevitas.quant.shifted_scaled_int import ShiftedUint8WeightPerTensorFloatHQO
from torch import nn

from ares.capture import faithful_copy
from ares.extract import extract
from ares.ir import Graph
from ares.witness import Witness
from tests.extract.brevitas_versions import (
    BEFORE_0_13,
    Fp8e4m3OCPWeightPerTensorFloat,
    MXInt8Weight,
)
from tests.extract.models import (
    IMAGE,
    Net,
    calibrated,
    checked,
    conv,
    errors,
    identity,
    kinds,
    linear,
    plain_identity,
    refused,
    relu,
    seeded,
)
from tests.extract.test_embedding import DIM, VOCABULARY, embedded
from tests.extract.test_embedding import checked as embedding_checked
from tests.slow import one_in

PER_TENSOR, PER_CHANNEL = bq.Int8WeightPerTensorFloat, bq.Int8WeightPerChannelFloat
A2Q, A2Q_CENTRED = bq.Int8AccumulatorAwareWeightQuant, bq.Int8AccumulatorAwareZeroCenterWeightQuant
SHIFTED, SHIFTED_CHANNELS = (
    bq.ShiftedUint8WeightPerTensorFloat,
    bq.ShiftedUint8WeightPerChannelFloat,
)

# Brevitas says so of a layer that is given a quantiser.
SHARED = "ignore:Keyword arguments are being passed but they not being used"


class Binary(PER_TENSOR):
    """+-1 times the largest weight."""

    quant_type = QuantType.BINARY


class Ternary(PER_CHANNEL):
    """-1, 0 or 1 times the largest weight of a channel."""

    quant_type = QuantType.TERNARY
    threshold = 0.2


def _weights(quantizer: type, **options: Any) -> dict[str, Any]:
    """Options of a layer with this weight quantiser."""
    return {"weight_quant": quantizer, **{f"weight_{key}": value for key, value in options.items()}}


# Options of a layer -> smallest and largest code that its weights can have, zero point taken off.
KINDS: dict[str, tuple[dict[str, Any], int, int]] = {
    "binary": (_weights(Binary), -1, 1),
    "binary, constant scale": (_weights(bq.SignedBinaryWeightPerTensorConst), -1, 1),
    "ternary": (_weights(Ternary), -1, 1),
    "ternary, constant scale": (_weights(bq.SignedTernaryWeightPerTensorConst), -1, 1),
    "1 bit, full range": (_weights(PER_TENSOR, bit_width=1, narrow_range=False), -1, 0),
    "2 bits, per channel": (_weights(PER_CHANNEL, bit_width=2), -1, 1),
    "learned bit width": (
        _weights(PER_TENSOR, bit_width=5, bit_width_impl_type=BitWidthImplType.PARAMETER),
        -15,
        15,
    ),
    "learned scale": (
        _weights(PER_TENSOR, scaling_impl_type=ScalingImplType.PARAMETER_FROM_STATS),
        -127,
        127,
    ),
    "squared error": (_weights(bq.Int8WeightPerTensorFloatMSE), -127, 127),
    "squared error, per channel": (_weights(bq.Int8WeightPerChannelFloatMSE), -127, 127),
    "half-quadratic": (_weights(Int8WeightPerTensorFloatHQO), -127, 127),
    "half-quadratic, per channel": (_weights(Int8WeightPerChannelFloatHQO), -127, 127),
    "power of two, per channel": (_weights(Int8WeightPerChannelFixedPoint), -127, 127),
    "decoupled, L2": (_weights(bq.Int4WeightPerTensorFloatDecoupled), -7, 7),
    "decoupled, per channel": (_weights(bq.Int8WeightPerChannelFloatDecoupled), -127, 127),
    "decoupled, power of two": (_weights(Int4WeightPerTensorFixedPointDecoupled), -7, 7),
    "L2 norm": (_weights(bq.Int8WeightNormL2PerChannelFixedPoint), -127, 127),
    "A2Q": (_weights(A2Q), -127, 127),
    "A2Q, accumulator of 12 bits": (_weights(A2Q, accumulator_bit_width=12), -15, 15),
    "A2Q+, accumulator of 14 bits": (_weights(A2Q_CENTRED, accumulator_bit_width=14), -63, 63),
    "zero point, 7 bits": (_weights(SHIFTED, bit_width=7), -127, 127),
    "zero point, 6 bits, per channel": (_weights(SHIFTED_CHANNELS, bit_width=6), -63, 63),
    "zero point, squared error": (
        _weights(bq.ShiftedUint8WeightPerChannelFloatMSE, bit_width=4),
        -15,
        15,
    ),
    "rounded down": (
        _weights(PER_TENSOR, float_to_int_impl_type=FloatToIntImplType.FLOOR),
        -127,
        127,
    ),
    "rounded up": (_weights(PER_TENSOR, float_to_int_impl_type=FloatToIntImplType.CEIL), -127, 127),
    "rounding learned": (
        _weights(
            PER_TENSOR,
            float_to_int_impl_type=FloatToIntImplType.LEARNED_ROUND,
            learned_round_impl_type=LearnedRoundImplType.HARD_SIGMOID,
        ),
        -127,
        127,
    ),
    "rounded at random in training": (
        _weights(PER_TENSOR, float_to_int_impl_type=FloatToIntImplType.STOCHASTIC_ROUND),
        -127,
        127,
    ),
}
if not BEFORE_0_13:  # 0.12 has no signed scales
    signed = _weights(
        PER_CHANNEL,
        restrict_scaling_type=RestrictValueType.SIGNED_FP,
        scaling_stats_op=StatsOp.SIGNED_MAX,
    )
    KINDS["negative scales"] = (signed, -127, 127)


def _convolution(**options: Any) -> nn.Module:
    return Net(
        lambda m, x: m.r(m.f(m.q(x))),
        q=identity(),
        f=conv(2, 3, padding=1, **options),
        r=plain_identity(),
    )


@pytest.mark.parametrize("kind", one_in(3, KINDS))
def test_every_kind_of_quantizer(kind: str) -> None:
    """The codes are those that the float32 model computes with, and no other code passes the witness."""
    options, lo, hi = KINDS[kind]
    model: Any = seeded(lambda: _convolution(**options))
    graph = checked(model, IMAGE, c=True)
    codes = graph.operations[1].weight
    assert lo <= codes.min() < codes.max() <= hi
    with torch.no_grad():
        quantized = model.f.quant_weight(model.q(torch.zeros(IMAGE)))
    scale, value = quantized.scale.abs().numpy(), quantized.value.numpy()
    assert np.array_equal(codes.astype(np.float32) * scale, value)
    assert len(_unaccepted(model, graph)) == 0
    for changed in (codes.flat[0] - 1, codes.flat[0] + 1, -codes.flat[0] or 1):
        assert _unaccepted(model, _with_first_weight(graph, int(changed))) == ["f"]


def _unaccepted(model: nn.Module, graph: Graph) -> list[str]:
    found = Witness(model, graph).weight_judgements
    return [judgement.tensor for judgement in found if not judgement.accepted]


def _with_first_weight(graph: Graph, code: int) -> Graph:
    layer: Any = graph.operations[1]
    weight = layer.weight.copy()
    weight.flat[0] = np.clip(code, -128, 127)
    operations = (graph.operations[0], replace(layer, weight=weight), *graph.operations[2:])
    return replace(graph, operations=operations)


@pytest.mark.parametrize(
    "kind",
    [
        "binary",
        "ternary",
        "decoupled, per channel",
        "L2 norm",
        "A2Q, accumulator of 12 bits",
        "zero point, 6 bits, per channel",
    ],
)
def test_linear_layers_and_biases(kind: str) -> None:
    """Signed and unsigned inputs, input quantisers of the layer, quantised biases."""

    def forward(m: Any, x: Any) -> Any:
        return m.r(m.last(m.relu(m.first(x))))

    def make() -> nn.Module:
        return Net(
            forward,
            first=linear(6, 5, **options, input_quant=bq.Int8ActPerTensorFloat),
            relu=relu(bit_width=4),
            last=linear(5, 3, **options, bias_quant=bq.Int32Bias),
            r=plain_identity(),
        )

    options = KINDS[kind][0]
    assert kinds(checked(seeded(make), (1, 6))) == ["quantize", "linear", "linear"]


def test_zero_point_of_8_bits_where_the_weights_fit() -> None:
    """Unsigned weights of 8 bits need not fit int8; these, none of which is negative, have no zero point."""
    model: Any = seeded(lambda: _convolution(**_weights(SHIFTED, bit_width=7)))
    model.f.weight.data.abs_()
    codes = checked(model, IMAGE).operations[1].weight
    assert codes.min() >= 0
    assert codes.max() == 127


def test_weights_on_the_edge_of_a_code() -> None:
    """A2Q rounds towards zero; before training its largest weights are whole, and float64 may see less than that."""
    model: Any = seeded(lambda: _convolution(**_weights(A2Q)), seed=2)
    codes: Any = checked(model, IMAGE).operations[1].weight
    layer: Any = faithful_copy(model.f).double()
    with torch.no_grad():
        value, scale, *_ = layer.weight_quant.tensor_quant(layer.weight, torch.tensor(8.0), True)
    assert np.count_nonzero(codes != torch.round(value / scale).numpy()) == 1


@pytest.mark.parametrize(
    "kind", ["binary", "ternary, constant scale", "zero point, 7 bits", "decoupled, L2"]
)
def test_tables_of_embeddings(kind: str) -> None:
    """A table is a weight whose codes leave the layer as they are."""
    options, lo, hi = KINDS[kind]
    layer = seeded(lambda: qnn.QuantEmbedding(VOCABULARY, DIM, **options))
    graph = embedding_checked(embedded(layer, identity()))
    codes: Any = graph.operations[0].table
    assert lo <= codes.min() < codes.max() <= hi


@pytest.mark.parametrize("quantizer", [PER_TENSOR, PER_CHANNEL])
def test_weights_at_ties_have_the_even_code(quantizer: type) -> None:
    """Halves of a scale of 2**-5, and the numbers beside them: N1, as Brevitas rounds them."""

    def make() -> Net:
        layer = linear(
            6,
            7,
            **_weights(
                quantizer, scaling_impl_type=ScalingImplType.CONST, scaling_init=127 * 2.0**-5
            ),
        )
        halves = torch.arange(42, dtype=torch.float32).reshape(7, 6) - 20.5
        halves[:, 4] -= 2.0**-12
        halves[:, 5] += 2.0**-12
        layer.weight.data.copy_(halves * 2.0**-5)
        return Net(lambda m, x: m.r(m.f(m.q(x))), q=identity(), f=layer, r=plain_identity())

    model = seeded(make)
    graph = checked(model, (1, 6))
    expected = [[round(float(w) * 32) for w in row] for row in model.f.weight.tolist()]
    assert sum(code % 2 for row in expected for code in row[:4]) == 0
    assert sum(code % 2 for row in expected for code in row[4:]) > 3
    assert graph.operations[1].weight.tolist() == expected


# --- one quantiser for several layers


def _given_to_both() -> nn.Module:
    """Brevitas' own way: one scale from the weights of both."""
    first = conv(2, 2)
    second = conv(2, 2, weight_quant=first.weight_quant)
    second.weight.data *= 3.0
    return _in_a_row(first, second)


def _assigned() -> nn.Module:
    """The quantiser does not know of the second layer: each has a scale of its own."""
    first, second = conv(2, 2), conv(2, 2)
    second.weight.data *= 3.0
    second.weight_quant = first.weight_quant
    return _in_a_row(first, second)


def _tied() -> nn.Module:
    first = conv(2, 2, weight_quant=PER_CHANNEL)
    second = conv(2, 2, weight_quant=PER_CHANNEL)
    second.weight = first.weight
    return _in_a_row(first, second)


def _in_a_row(first: nn.Module, second: nn.Module) -> nn.Module:
    return Net(
        lambda m, x: m.r(m.d(m.r(m.c(m.q(x))))), q=identity(), c=first, d=second, r=plain_identity()
    )


SHARING: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "given to both": (_given_to_both, 1),
    "assigned": (_assigned, 2),
    "tied weights": (_tied, 2),
}


@pytest.mark.filterwarnings(SHARED)
@pytest.mark.parametrize("kind", SHARING)
def test_one_quantizer_for_two_layers(kind: str) -> None:
    make, at_full_scale = SHARING[kind]
    model: Any = seeded(make)
    graph = checked(model, IMAGE)
    assert kinds(graph) == ["quantize", "conv2d", "conv2d"]
    weights: list[Any] = [operation.weight for operation in graph.operations[1:]]
    assert sum(np.abs(codes).max() == 127 for codes in weights) == at_full_scale
    for codes, layer in zip(weights, (model.c, model.d), strict=True):
        assert np.array_equal(codes, layer.quant_weight().int().numpy())


# --- refused


REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "float zero point": (
        _weights(ShiftedUint8WeightPerTensorFloatHQO, bit_width=6),
        "which is no integer: real zero has no code",
        "weight_quantize_zero_point=True",
    ),
    "zero point, 8 bits": (
        _weights(SHIFTED),
        "with their zero point taken off, int8 holds -128..127",
        "weight_bit_width=7",
    ),
    "1 bit, narrow range": (
        _weights(PER_TENSOR, bit_width=1),
        "1 bit of narrow range: only the code 0",
        "SignedBinaryWeightPerTensorConst",
    ),
    "9 bits": (_weights(PER_TENSOR, bit_width=9), "its weights have 9 bits", "1 to 8 bits"),
    "floating point": (
        _weights(Fp8e4m3OCPWeightPerTensorFloat),
        "quantised to floating point (FloatQuant)",
        "Int8WeightPerChannelFloat",
    ),
    "random": (
        _weights(
            PER_TENSOR,
            float_to_int_impl_type=FloatToIntImplType.STOCHASTIC_ROUND,
            deterministic_inference=False,
        ),
        "its weight quantiser rounds at random",
        "deterministic_inference=True",
    ),
    "delayed": (
        _weights(PER_TENSOR, quant_delay_steps=5),
        "its weight quantiser delays quantisation by 2 steps",
        "quant_delay_steps=0",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_refused(kind: str) -> None:
    options, reason, advice = REFUSED[kind]
    # Weights that are no numbers leave the quantiser behind them without a scale: that is said in the same round.
    (finding, *behind) = errors(calibrated(seeded(lambda: _convolution(**options)), IMAGE), IMAGE)
    assert (finding.layer, reason in finding.reason) == ("f", True), finding
    assert all("has scale nan" in other.reason for other in behind)
    assert advice in finding.suggestion


def test_groups_of_inputs_are_refused() -> None:
    layer = linear(64, 3, weight_quant=MXInt8Weight)
    model = Net(lambda m, x: m.r(m.f(m.q(x))), q=identity(), f=layer, r=plain_identity())
    finding = refused(calibrated(model, (1, 64)), (1, 64))
    assert "a scale for each group of inputs" in finding.reason


def test_weights_that_depend_on_the_call_are_refused() -> None:
    """The same A2Q layer behind quantisers of different widths: it has different weights."""

    def forward(m: Any, x: Any) -> Any:
        return m.r(m.f(m.q(x))), m.r(m.f(m.narrow(x)))

    model = calibrated(
        Net(
            forward,
            q=identity(),
            narrow=identity(bit_width=4),
            f=conv(2, 3, **_weights(A2Q)),
            r=plain_identity(),
        ),
        IMAGE,
    )
    with pytest.raises(ValueError, match="bit width of its input, which takes 2 values"):
        extract(model, [torch.zeros(IMAGE)], "net")
