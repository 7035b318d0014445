"""Brevitas' truncation (N18): the codes are those that the float64 model itself computes, for every rounding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import brevitas.nn as qnn
import brevitas.quant as bq
import pytest
import torch
from brevitas.inject.defaults import RoundTo8bit, TruncTo8bit
from brevitas.quant.scaled_int import ShiftRoundSaturateTo8bit
from brevitas.quant.shifted_scaled_int import ShiftedUint8ActPerTensorFloat
from torch import nn

from ares.extract import Status, analyse, extract
from ares.ops import run_reference
from ares.ops.trunc_avg_pool2d import TruncAvgPool2d
from ares.witness import Witness
from tests.extract.models import (
    Net,
    calibrated,
    checked,
    errors,
    identity,
    kinds,
    linear,
    plain_identity,
    refused,
    relu,
    seeded,
)

FINE = (1, 3, 8, 8)


def _quant(rounding: str, bits: int = 8, **options: Any) -> Any:
    return type(
        "Trunc", (TruncTo8bit,), {"float_to_int_impl_type": rounding, "bit_width": bits, **options}
    )


QUANTISERS: dict[str, Any] = {
    "TruncTo8bit": TruncTo8bit,
    "RoundTo8bit": RoundTo8bit,
    "ceil": _quant("ceil"),
    "round to zero": _quant("round_to_zero"),
    "dpu": _quant("dpu"),
    "floor, 4 bits": _quant("floor", 4),
    "round, 3 bits, narrow": _quant("round", 3, narrow_range=True),
    "round to zero, 5 bits": _quant("round_to_zero", 5),
}
SOURCES: dict[str, Callable[[], nn.Module]] = {
    "s8": identity,
    "u8": relu,
    "4 bits": lambda: identity(bit_width=4),
    "2 bits without a sign": lambda: relu(bit_width=2),
    "power of two": lambda: identity(act_quant=bq.Int8ActPerTensorFixedPoint),
}
POOLS: dict[str, Callable[..., nn.Module]] = {
    "2": lambda **o: qnn.TruncAvgPool2d(2, **o),
    "(3, 2), stride (1, 2)": lambda **o: qnn.TruncAvgPool2d((3, 2), (1, 2), **o),
    "whole": lambda **o: qnn.TruncAvgPool2d(8, **o),
    "1": lambda **o: qnn.TruncAvgPool2d(1, **o),
    "divisor_override": lambda **o: qnn.TruncAvgPool2d(3, 2, divisor_override=5, **o),
    "adaptive 1": lambda **o: qnn.TruncAdaptiveAvgPool2d(1, **o),
    "adaptive (2, None)": lambda **o: qnn.TruncAdaptiveAvgPool2d((2, None), **o),
}


def _model(source: str, pool: nn.Module, **layers: nn.Module) -> nn.Module:
    return Net(lambda m, x: m.p(m.q(x)), q=SOURCES[source](), p=pool, **layers)


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("name", QUANTISERS)
def test_every_quantiser_of_every_input(name: str, source: str) -> None:
    pool = qnn.TruncAvgPool2d(3, 1, trunc_quant=QUANTISERS[name])
    graph = checked(_model(source, pool), FINE, c=(name, source) == ("round to zero", "s8"))
    assert kinds(graph) == ["quantize", "trunc_avg_pool2d"]
    assert isinstance(graph.operations[1], TruncAvgPool2d)


@pytest.mark.parametrize("tensor", [True, False], ids=["QuantTensor", "tensor"])
@pytest.mark.parametrize("quantiser", [TruncTo8bit, RoundTo8bit])
@pytest.mark.parametrize("name", POOLS)
def test_every_window(name: str, quantiser: Any, tensor: bool) -> None:
    pool = POOLS[name](trunc_quant=quantiser, return_quant_tensor=tensor)
    model = seeded(
        lambda: Net(
            lambda m, x: m.f(m.p(m.q(x)).flatten(1)),
            q=relu(),
            p=pool,
            f=qnn.QuantLinear(8, 3, True),
        )
    )
    model.f = seeded(lambda: linear(_features(model), 3))  # type: ignore[assignment]
    graph = checked(model, FINE, c=name == "whole" and tensor)
    assert kinds(graph) == ["quantize", "trunc_avg_pool2d", "flatten", "linear_fp32"]


def _features(model: Any) -> int:
    with torch.no_grad():
        result = model.eval().p(model.q(torch.zeros(FINE)))
        return int(result.flatten(1).shape[1])


def test_a_module_that_is_called_twice() -> None:
    """With other numbers each time: those of each call."""
    model = Net(
        lambda m, x: (m.p(m.q(x)), m.p(m.q2(x))),
        q=identity(),
        q2=relu(bit_width=4),
        p=qnn.TruncAvgPool2d(4, trunc_quant=TruncTo8bit),
    )
    graph = checked(model, FINE)
    assert kinds(graph) == ["quantize", "trunc_avg_pool2d"] * 2
    first, second = (graph.tensor(name) for name in graph.outputs)
    assert (first.lo, second.lo) == (-128, 0)
    assert first.scale != second.scale


def test_behind_moves_and_in_front_of_a_convolution() -> None:
    model = seeded(
        lambda: Net(
            lambda m, x: m.r(m.c(m.p(m.mp(m.q(x))))),
            q=relu(),
            mp=nn.MaxPool2d(2),
            p=qnn.TruncAvgPool2d(2, trunc_quant=TruncTo8bit),
            c=qnn.QuantConv2d(3, 4, 1, bias=True, bias_quant=bq.Int32Bias),
            r=relu(),
        )
    )
    assert kinds(checked(model, FINE)) == ["quantize", "max_pool2d", "trunc_avg_pool2d", "conv2d"]


def test_a_learned_shift() -> None:
    """ShiftRoundSaturateTo8bit saturates where its statistics say so."""
    model = _model("s8", qnn.TruncAvgPool2d(4, trunc_quant=ShiftRoundSaturateTo8bit))
    graph = checked(model, FINE)
    whole = checked(_model("s8", qnn.TruncAvgPool2d(4, trunc_quant=RoundTo8bit)), FINE)
    scale, most = graph.tensor("p").scale, whole.tensor("p").scale
    assert scale is not None
    assert most is not None
    assert scale < most, "its statistics cut off as many bits as there are"


def test_of_a_plain_tensor_it_is_the_average() -> None:
    """Brevitas truncates QuantTensors only, and averages the rest."""
    model = Net(
        lambda m, x: m.q2(m.p(m.q(x))),
        q=plain_identity(),
        q2=identity(),
        p=qnn.TruncAvgPool2d(2, trunc_quant=TruncTo8bit, return_quant_tensor=False),
    )
    assert kinds(checked(model, FINE)) == ["quantize", "avg_pool2d"]
    model.p = qnn.TruncAdaptiveAvgPool2d(3, return_quant_tensor=False)
    assert kinds(checked(model, FINE)) == ["quantize", "adaptive_avg_pool2d"]


def test_a_zero_point_that_is_divisible() -> None:
    """Brevitas leaves the zero point of a sum as it is, and divides it by the power of two."""
    model = Net(
        lambda m, x: m.p(m.q(x)),
        q=identity(act_quant=ShiftedUint8ActPerTensorFloat),
        p=qnn.TruncAvgPool2d(2, trunc_quant=TruncTo8bit),
    )
    calibrated(model, FINE)
    proxy: Any = model.get_submodule("q.act_quant.fused_activation_quant_proxy.tensor_quant")
    scale = proxy(torch.zeros(()))[1]
    for start in (128.0, 64.0):
        proxy.zero_point_impl.value.data.fill_(start * float(scale))
        proxy.zero_point_impl.buffer.fill_(start * float(scale))
        graph = checked(model, FINE, calibrate=False)
        assert graph.tensor("p").zero_point == start / 4
    proxy.zero_point_impl.value.data.fill_(130.0 * float(scale))
    proxy.zero_point_impl.buffer.fill_(130.0 * float(scale))
    finding = refused(model, FINE)
    assert "zero point 32.5" in finding.reason
    assert "without a zero point" in finding.suggestion


def test_binary32_and_binary64_agree_on_the_bits_of_a_sum() -> None:
    """For every window and every width that is accepted: Brevitas' formula, and the integers themselves."""
    for bits in range(1, 9):
        sums = (2**bits - 1) * torch.arange(1, 2**16 + 1)
        single, double = (torch.ceil(torch.log2(x)) for x in (sums.float(), sums.double()))
        assert torch.equal(single.double(), double)
        assert double.tolist() == [(total - 1).bit_length() for total in sums.tolist()]


REFUSED: dict[str, tuple[Callable[[], nn.Module], str, str]] = {
    "windows past the end": (
        lambda: qnn.TruncAvgPool2d(3, ceil_mode=True),
        "reach past the input",
        "ceil_mode=False",
    ),
    "windows of several sizes": (
        lambda: qnn.TruncAdaptiveAvgPool2d(3),
        "8 x 8 into 3 x 3",
        "AdaptiveAvgPool2d and a QuantIdentity",
    ),
    "more codes than that": (
        lambda: qnn.TruncAvgPool2d(2, divisor_override=2**16 + 1),
        "average of 65537 codes",
        "AvgPool2d and a QuantIdentity",
    ),
    "more than a byte": (
        lambda: qnn.TruncAvgPool2d(2, trunc_quant=_quant("floor", 9)),
        "has 9 bits",
        "between 1 and 8",
    ),
    "at random": (
        lambda: qnn.TruncAvgPool2d(2, trunc_quant=_quant("stochastic_round")),
        "StochasticRoundSte",
        "'floor' or 'round'",
    ),
    "never calibrated": (
        lambda: qnn.TruncAvgPool2d(2, trunc_quant=ShiftRoundSaturateTo8bit),
        "never calibrated",
        "calibrate",
    ),
    "delayed": (
        lambda: qnn.TruncAvgPool2d(2, trunc_quant=_quant("floor", quant_delay_steps=5)),
        "delays",
        "quant_delay_steps=0",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str) -> None:
    make, reason, suggestion = REFUSED[case]
    model = calibrated(_model("s8", nn.Identity()), FINE)
    model.p = make().eval()
    finding = refused(model, FINE)
    assert (finding.layer, reason in finding.reason) == ("p", True), finding
    assert suggestion in finding.suggestion


def test_what_was_never_calibrated_is_no_error_to_check() -> None:
    model = calibrated(_model("s8", nn.Identity()), FINE)
    model.p = qnn.TruncAvgPool2d(2, trunc_quant=ShiftRoundSaturateTo8bit).eval()
    analysis = analyse(model, [torch.zeros(FINE)], "net")
    assert not analysis.errors
    (warning,) = (finding for finding in analysis.findings if finding.status is Status.WARNING)
    assert (warning.layer, "never calibrated" in warning.reason) == ("p", True)


def test_of_a_real_value() -> None:
    """Of a convolution's QuantTensor, whose accumulator is no code."""
    model = seeded(
        lambda: Net(
            lambda m, x: m.p(m.c(m.q(x))),
            q=identity(),
            c=qnn.QuantConv2d(3, 4, 1, bias=False, return_quant_tensor=True),
            p=qnn.TruncAvgPool2d(2),
        )
    )
    (finding,) = errors(calibrated(model, FINE), FINE)
    assert finding.layer == "p"
    assert "not quantised" in finding.reason


class Pooled(nn.Module):
    """Its forward can be traced by torch.fx."""

    def __init__(self) -> None:
        super().__init__()
        self.quant = relu()
        self.most = nn.MaxPool2d(2)
        self.pool = qnn.TruncAvgPool2d(2, trunc_quant=TruncTo8bit)
        self.fc = linear(12, 3)

    def forward(self, x: torch.Tensor) -> Any:
        return self.fc(torch.flatten(self.pool(self.most(self.quant(x))), 1))


class _Leaves(torch.fx.Tracer):
    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        return type(module).__module__.startswith(("brevitas.nn", "torch.nn"))


def test_in_a_graph_module() -> None:
    model = seeded(Pooled)
    traced = torch.fx.GraphModule(model, _Leaves().trace(model))
    assert kinds(checked(traced, FINE)) == [
        *("quantize", "max_pool2d", "trunc_avg_pool2d", "flatten", "linear_fp32"),
    ]


def test_the_witness_sees_a_code_that_is_off_by_one() -> None:
    """Also where rounding down and to the nearest differ: there is no tolerance of half a code here."""
    model = calibrated(_model("s8", qnn.TruncAvgPool2d(3, trunc_quant=TruncTo8bit)), FINE)
    x = torch.randn(FINE, generator=torch.Generator().manual_seed(4)).numpy()
    graph = extract(model, [torch.from_numpy(x)], "model")
    right = run_reference(graph, [x])
    tensors = {tensor.name: right[tensor.name] for _, tensor in graph.produced()}
    assert all(judgement.accepted for judgement in Witness(model, graph).judge([x], tensors))
    wrong = tensors["p"].copy()
    wrong[0, 1, 0, 1] += 1
    found = Witness(model, graph).judge([x], tensors | {"p": wrong})
    assert [(j.tensor, j.index) for j in found if not j.accepted] == [("p", (0, 1, 0, 1))]


def test_behind_torch_compile() -> None:
    """What it wraps runs as it was written, here too: the compiler does not take Brevitas' QuantTensors."""
    model = seeded(Pooled)
    calibrated(model, FINE)
    model.pool.compile()
    assert "trunc_avg_pool2d" in kinds(extract(model, [torch.zeros(FINE)], "model"))
