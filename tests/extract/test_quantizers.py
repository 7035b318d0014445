"""Activation quantisers: at the input, between codes, shared, of every width, sign and zero point."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import brevitas.quant as bq
import pytest
import torch
import torch.nn.functional as F
from brevitas.inject.enum import (
    BitWidthImplType,
    FloatToIntImplType,
    RestrictValueType,
    ScalingImplType,
)
from brevitas.quant.fixed_point import Uint8ActPerTensorFixedPointMaxInit
from brevitas.quant.shifted_scaled_int import ShiftedUint8ActPerTensorFloat
from torch import nn

from ares.ir import DType
from tests.extract.brevitas_versions import BEFORE_0_13, not_in_0_12
from tests.extract.models import (
    IMAGE,
    Net,
    checked,
    conv,
    identity,
    kinds,
    linear,
    plain_identity,
    refused,
    relu,
    seeded,
    set_scale,
)
from tests.slow import one_in

SIGNED, UNSIGNED = bq.Int8ActPerTensorFloat, bq.Uint8ActPerTensorFloat
SIGNED_FIXED, UNSIGNED_FIXED = bq.Int8ActPerTensorFixedPoint, bq.Uint8ActPerTensorFixedPoint
SHIFTED = ShiftedUint8ActPerTensorFloat

# Brevitas says so of its own QuantReLU when it is given a proxy.
SHARED_PROXY = "ignore:Keyword arguments are being passed but they not being used"

# Options of a quantiser -> element type, smallest and largest code, whether the zero point is zero.
KINDS: dict[str, tuple[dict[str, Any], DType, int, int, bool]] = {
    "s8": ({}, DType.S8, -128, 127, True),
    "s8 narrow": ({"narrow_range": True}, DType.S8, -127, 127, True),
    "s7": ({"bit_width": 7}, DType.S8, -64, 63, True),
    "s4": ({"bit_width": 4}, DType.S8, -8, 7, True),
    "s3 narrow": ({"bit_width": 3, "narrow_range": True}, DType.S8, -3, 3, True),
    "s2": ({"bit_width": 2}, DType.S8, -2, 1, True),
    "s1": ({"bit_width": 1}, DType.S8, -1, 0, True),
    "learned bit width": (
        {"bit_width": 5, "bit_width_impl_type": BitWidthImplType.PARAMETER},
        DType.S8,
        -16,
        15,
        True,
    ),
    "s8 fixed point": ({"act_quant": SIGNED_FIXED}, DType.S8, -128, 127, True),
    "u8": ({"act_quant": UNSIGNED}, DType.U8, 0, 255, True),
    "u5": ({"act_quant": UNSIGNED, "bit_width": 5}, DType.U8, 0, 31, True),
    "u5 narrow": (
        {"act_quant": UNSIGNED, "bit_width": 5, "narrow_range": True},
        DType.U8,
        0,
        30,
        True,
    ),
    "u2": ({"act_quant": UNSIGNED, "bit_width": 2}, DType.U8, 0, 3, True),
    "u1": ({"act_quant": UNSIGNED, "bit_width": 1}, DType.U8, 0, 1, True),
    "u8 fixed point": ({"act_quant": UNSIGNED_FIXED}, DType.U8, 0, 255, True),
    "shifted u8": ({"act_quant": SHIFTED}, DType.U8, 0, 255, False),
    "shifted u6": ({"act_quant": SHIFTED, "bit_width": 6}, DType.U8, 0, 63, False),
    "shifted u8 fixed point": (
        {"act_quant": bq.ShiftedUint8ActPerTensorFixedPoint},
        DType.U8,
        0,
        255,
        False,
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_input_to_codes(kind: str) -> None:
    options, dtype, lo, hi, centred = KINDS[kind]
    graph = checked(Net(lambda m, x: m.q(x), q=identity(**options)), IMAGE)
    assert kinds(graph) == ["quantize"]
    result = graph.tensor("q")
    assert (result.dtype, result.lo, result.hi, result.zero_point == 0) == (dtype, lo, hi, centred)


@pytest.mark.parametrize("target", ["s4", "shifted u8", "s8 fixed point"])
@pytest.mark.parametrize("source", one_in(3, KINDS))
def test_codes_to_codes(source: str, target: str) -> None:
    """By a QuantIdentity and by a QuantReLU, which is unsigned only where it is told to be."""

    def forward(m: Any, x: Any) -> Any:
        y = m.q(x)
        return m.i(y), m.r(y)

    options, dtype, lo, hi, _ = KINDS[target]
    model = Net(
        forward,
        q=identity(**KINDS[source][0]),
        i=identity(**options),
        r=relu(**{"act_quant": SIGNED, **options}),
    )
    graph = checked(model, IMAGE)
    assert set(kinds(graph)) <= {"quantize", "requantize", "relu"}
    for name in graph.outputs:
        result = graph.tensor(name)
        assert (result.dtype, result.hi) == (dtype, hi)
        assert result.lo in (lo, result.zero_point)


def test_odd_zero_points_survive_every_operation() -> None:
    """x / scale + zero_point is rounded after the addition: where the zero point is odd, ties differ."""

    def forward(m: Any, x: Any) -> Any:
        y = m.q(x)
        y = F.pad(F.max_pool2d(y, 2, 1), (1, 0, 0, 1))
        y = m.q2(m.c(y))
        y = m.q6(torch.cat([y, m.q3(F.avg_pool2d(y, 3, 1, 1))], 1))
        return m.fc(m.q5(m.q4(y) + y).flatten(2))

    def make() -> nn.Module:
        shifted = {f"q{i}": plain_identity(act_quant=SHIFTED) for i in ("", 2, 3, 4, 5, 6)}
        return Net(forward, c=conv(2, 3, padding=1, bias=True), fc=linear(30, 4), **shifted)

    graph = checked(seeded(make), IMAGE, c=True)
    zero_points = {tensor.zero_point for tensor in graph.tensors if tensor.scale is not None}
    assert any(z % 2 for z in zero_points)
    assert min(zero_points) > 0
    assert {"max_pool2d", "zero_pad2d", "conv2d", "concat", "avg_pool2d", "add"} <= set(
        kinds(graph)
    )


def test_power_of_two_scales_have_exact_ties() -> None:
    """Every scale a power of two: half of all codes of an average of two are ties."""

    def forward(m: Any, x: Any) -> Any:
        y = m.q(x)
        a = m.q2(m.c(y))
        return (
            m.add(a + y),
            m.avg(F.avg_pool2d(y, (2, 1), 1)),
            m.mean(y.mean((2, 3))),
            m.cat(torch.cat([y, a], 3)),
            m.relu(y),
            m.narrow(y),
        )

    def make() -> nn.Module:
        fixed = {"act_quant": SIGNED_FIXED}
        return Net(
            forward,
            q=plain_identity(**fixed),
            c=conv(2, 2, padding=1, weight_quant=bq.Int8WeightPerTensorFixedPoint, bias=True),
            q2=plain_identity(act_quant=UNSIGNED_FIXED),
            add=identity(**fixed),
            avg=identity(**fixed),
            mean=identity(**fixed),
            cat=identity(bit_width=5, **fixed),
            relu=relu(act_quant=UNSIGNED_FIXED, bit_width=6),
            narrow=identity(bit_width=4, **fixed),
        )

    graph = checked(seeded(make), IMAGE, c=True)
    for tensor in graph.tensors:
        if tensor.scale is not None:
            assert tensor.scale == 2.0 ** round(torch.log2(torch.tensor(tensor.scale)).item())


SCALINGS: dict[str, dict[str, Any]] = {
    "constant": {"scaling_impl_type": ScalingImplType.CONST, "scaling_init": 1.5},
    "parameter": {"scaling_impl_type": ScalingImplType.PARAMETER, "scaling_init": 1.5},
    "running statistics": {"scaling_impl_type": ScalingImplType.STATS},
    "minimum and maximum": {
        "act_quant": bq.Int8ActPerTensorFloatMinMaxInit,
        "min_val": -2.0,
        "max_val": 1.5,
    },
    "maximum": {"act_quant": bq.Uint8ActPerTensorFloatMaxInit, "max_val": 1.5},
    "maximum, power of two": {"act_quant": Uint8ActPerTensorFixedPointMaxInit, "max_val": 1.5},
    "constant, from minimum and maximum": {
        "scaling_impl_type": ScalingImplType.CONST,
        "min_val": -2.0,
        "max_val": 1.5,
    },
    "percentile": {"high_percentile_q": 90.0},
    "percentiles": {"act_quant": SHIFTED, "low_percentile_q": 5.0, "high_percentile_q": 90.0},
    "squared error": {"act_quant": bq.Int8ActPerTensorFloatMSE},
    "squared error, unsigned": {"act_quant": bq.Uint8ActPerTensorFloatMSE},
    "squared error, power of two": {"act_quant": bq.Int8ActPerTensorFixedPointMSE},
    "average of channels": {"act_quant": bq.Int8ActPerTensorFloatBatchQuant2d},
    "logarithm": {"restrict_scaling_type": RestrictValueType.LOG_FP},
    "rounding at random in training": {
        "float_to_int_impl_type": FloatToIntImplType.STOCHASTIC_ROUND
    },
}
if not BEFORE_0_13:  # 0.12 cannot build it
    SCALINGS["squared error, zero point"] = {"act_quant": bq.ShiftedUint8ActPerTensorFloatMSE}


@not_in_0_12("the percentile 0 of few values is out of range")
def test_a_zero_point_half_way_between_two_codes() -> None:
    """A range that is symmetric has its middle at 127.5 of 255: float32 and float64 round it apart."""
    model: Any = Net(lambda m, x: m.q(x), q=identity(act_quant=SHIFTED))
    with torch.no_grad():
        model.train()(torch.tensor([[-1.0, 1.0]]))
    finding = refused(model.eval(), (1, 2))
    assert "zero point 127 in float32, 128 in float64" in finding.reason
    assert "symmetric" in finding.suggestion


@pytest.mark.parametrize("kind", SCALINGS)
def test_every_kind_of_fixed_scale(kind: str) -> None:
    graph = checked(Net(lambda m, x: m.q(x), q=identity(**SCALINGS[kind])), IMAGE)
    assert kinds(graph) == ["quantize"]


@not_in_0_12("what is not positive becomes the smallest scale")
def test_a_learned_scale_may_be_negative() -> None:
    model = Net(lambda m, x: m.q(x), q=identity())
    checked(model, IMAGE)
    set_scale(model, "q.act_quant", -1.5)
    graph = checked(model, IMAGE, calibrate=False)
    assert graph.tensor("q").scale == 1.5 / 128


RELU_AT_INPUT: dict[str, Callable[[], nn.Module]] = {
    "QuantReLU": lambda: Net(lambda m, x: m.r(x), r=relu()),
    "QuantReLU, signed": lambda: Net(lambda m, x: m.r(x), r=relu(act_quant=SIGNED)),
    "QuantReLU, shifted": lambda: Net(lambda m, x: m.r(x), r=relu(act_quant=SHIFTED)),
    "F.relu, signed": lambda: Net(lambda m, x: m.q(F.relu(x)), q=identity()),
    "x.relu(), shifted": lambda: Net(lambda m, x: m.q(x.relu()), q=identity(act_quant=SHIFTED)),
}


@pytest.mark.parametrize("kind", RELU_AT_INPUT)
def test_relu_of_the_input_is_not_lost(kind: str) -> None:
    graph = checked(RELU_AT_INPUT[kind](), IMAGE, c="signed" in kind)
    assert kinds(graph) == ["quantize"]
    result = graph.tensor(graph.outputs[0])
    assert result.lo == result.zero_point


INPUT_QUANTIZERS: dict[str, tuple[Callable[[], nn.Module], list[str]]] = {
    "of a QuantReLU on codes": (
        lambda: Net(lambda m, x: m.r(m.q(x)), q=identity(), r=relu(input_quant=SIGNED)),
        ["quantize", "requantize", "relu"],
    ),
    "of a QuantReLU on codes, 3 bits": (
        lambda: Net(
            lambda m, x: m.r(m.q(x)), q=identity(), r=relu(input_quant=SIGNED, input_bit_width=3)
        ),
        ["quantize", "requantize", "relu"],
    ),
    "of a QuantReLU on the input": (
        lambda: Net(lambda m, x: m.r(x), r=relu(input_quant=SIGNED)),
        ["quantize", "relu"],
    ),
}


@pytest.mark.parametrize("kind", INPUT_QUANTIZERS)
def test_input_quantizers_of_activations(kind: str) -> None:
    make, expected = INPUT_QUANTIZERS[kind]
    assert kinds(checked(seeded(make), IMAGE)) == expected


def _first_is_relu() -> nn.Module:
    first = relu()
    return Net(
        lambda m, x: (m.r(m.c(m.q(x))), m.i(m.c(m.q(x)))),
        q=identity(),
        c=conv(2, 2),
        r=first,
        i=identity(act_quant=first.act_quant),
    )


def _first_is_identity() -> nn.Module:
    first = identity()
    return Net(
        lambda m, x: (m.r(m.c(m.q(x))), m.i(m.c(m.q(x)))),
        q=identity(),
        c=conv(2, 2),
        i=first,
        r=relu(act_quant=first.act_quant),
    )


def _shared_on_codes() -> nn.Module:
    first = identity()
    return Net(
        lambda m, x: (m.r(m.q(x)), m.i(m.q(x))),
        q=identity(),
        i=first,
        r=relu(act_quant=first.act_quant),
    )


SHARED: dict[str, tuple[Callable[[], nn.Module], bool]] = {
    "the owner is a QuantReLU": (_first_is_relu, True),
    "the owner is a QuantIdentity": (_first_is_identity, False),
}


@pytest.mark.filterwarnings(SHARED_PROXY)
@pytest.mark.parametrize("kind", SHARED)
def test_a_shared_proxy_does_what_its_owner_says(kind: str) -> None:
    make, clips = SHARED[kind]
    graph = checked(seeded(make), IMAGE)
    first, second = (graph.tensor(name) for name in graph.outputs)
    assert (first.lo == 0, second.lo == 0) == (clips, clips)


@pytest.mark.filterwarnings(SHARED_PROXY)
def test_a_shared_proxy_on_codes() -> None:
    graph = checked(seeded(_shared_on_codes), IMAGE)
    assert kinds(graph) == ["quantize", "requantize", "quantize", "requantize"]


def test_calls_of_a_shared_quantizer_are_counted() -> None:
    """The witness forces the codes of the k-th call at the k-th call: a wrong count would be seen."""

    def forward(m: Any, x: Any) -> Any:
        y = m.q(x)
        y = m.q(m.c1(y))
        m.q(m.c2(y))  # its result is not used, the call counts all the same
        return m.q(m.c2(y))

    model = seeded(lambda: Net(forward, q=identity(), c1=conv(2, 2), c2=conv(2, 2)))
    graph = checked(model, (1, 2, 7, 7))
    assert kinds(graph) == ["quantize", "conv2d", "conv2d"]
    assert [origin for origin in graph.tensor("c2#1").origins if origin.startswith("q")] == [
        "quantizer:q.act_quant#3"
    ]


def test_an_identical_quantizer_is_an_alias() -> None:
    model = Net(lambda m, x: m.r(m.r(m.q(m.q(m.q(x))))), q=identity(), r=relu())
    graph = checked(model, IMAGE)
    assert kinds(graph) == ["quantize", "relu"]


def test_a_quantizer_that_is_none_hands_on_what_comes() -> None:
    def forward(m: Any, x: Any) -> Any:
        y = m.none(m.q(x))
        return m.q2(m.relu(m.c(y))), m.relu(y)

    model = seeded(
        lambda: Net(
            forward,
            q=identity(),
            none=identity(act_quant=None),
            c=conv(2, 2, return_quant_tensor=True),
            relu=relu(act_quant=None),
            q2=identity(),
        )
    )
    graph = checked(model, IMAGE)
    assert kinds(graph) == ["quantize", "conv2d", "relu"]
    assert graph.tensor("c").lo == 0
