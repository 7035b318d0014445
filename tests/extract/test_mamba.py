"""Depthwise convolution, selective scan, Mamba blocks and patches: against the torch witness, and in C."""

from __future__ import annotations

from collections.abc import Callable
from math import exp
from typing import Any

import numpy as np
import pytest
import torch
from brevitas.nn import QuantIdentity
from brevitas.quant import Uint8ActPerTensorFloat
from brevitas.quant.shifted_scaled_int import ShiftedUint8ActPerTensorFloat
from torch import nn

from ares.extract import extract
from ares.ir import Graph
from ares.nn.activations import QuantSiLU
from ares.nn.leaves.conv1d import QuantConv1dDepthwise
from ares.nn.leaves.scan import SelectiveScan
from ares.nn.mamba import QuantMambaBlock, QuantMambaWrapper, QuantSSM
from ares.nn.patch_embed import QuantPatchEmbed
from ares.ops import run_reference
from ares.plan import plan
from ares.witness import Witness
from tests.extract.models import (
    Net,
    calibrated,
    checked,
    copies,
    identity,
    kinds,
    plain_identity,
    refused,
    seeded,
)
from tests.slow import one_in, slow_but

SERIES = (1, 5, 13)  # B, C, T
TOKENS = (1, 13, 10)  # B, T, D


def _net(layer: Callable[[], nn.Module], **options: Any) -> nn.Module:
    return seeded(lambda: nn.Sequential(plain_identity(**options), layer()))


CONVOLUTIONS: dict[str, dict[str, Any]] = {
    "causal": {},
    "symmetric": {"kernel_size": 5, "causal": False},
    "even": {"causal": False},
    "k 1": {"kernel_size": 1},
    "longer than T": {"kernel_size": 17},
    "no bias": {"bias": False},
    "4 bits": {"bit_width": 4},
}


@pytest.mark.parametrize("which", CONVOLUTIONS)
def test_depthwise_convolution(which: str) -> None:
    graph = checked(_net(lambda: QuantConv1dDepthwise(5, **CONVOLUTIONS[which])), SERIES, c=True)
    assert kinds(graph) == ["quantize", "conv1d_depthwise"]
    assert graph.operations[1].name == "1"


def test_padding_is_the_real_zero() -> None:
    """With a zero point, a padded position is that code."""
    model = _net(lambda: QuantConv1dDepthwise(5), act_quant=ShiftedUint8ActPerTensorFloat)
    graph = checked(model, SERIES, c=True)
    assert graph.tensor("0").zero_point != 0


def test_silu_and_its_quantizer_join_the_convolution() -> None:
    model = _net(lambda: nn.Sequential(QuantConv1dDepthwise(5, quantize_output=False), QuantSiLU()))
    graph = checked(model, SERIES, c=True)
    assert kinds(graph) == ["quantize", "conv1d_depthwise"]


def test_a_convolution_that_nothing_quantises_is_refused() -> None:
    model = calibrated(_net(lambda: QuantConv1dDepthwise(5, quantize_output=False)), SERIES)
    assert "not quantised" in refused(model, SERIES).reason


class Scan(nn.Module):
    """Four quantised inputs made of one, and the scan."""

    def __init__(self, channels: int, states: int, **options: Any) -> None:
        super().__init__()
        self.x = plain_identity(**options)
        self.b = plain_identity(**options)
        self.c = plain_identity(**options)
        self.positive = nn.ReLU()
        self.dt = plain_identity(act_quant=Uint8ActPerTensorFloat)
        self.scan = SelectiveScan(channels, states)

    def forward(self, x: Any, dt: Any, b: Any, c: Any) -> Any:
        return self.scan(self.x(x), self.dt(self.positive(dt)), self.b(b), self.c(c))


def _scan_shapes(steps: int, channels: int, states: int) -> tuple[tuple[int, ...], ...]:
    return ((1, steps, channels),) * 2 + ((1, steps, states),) * 2


def _accepted(model: nn.Module, *shapes: tuple[int, ...], step: float) -> tuple[Graph, float]:
    """The Graph, and the largest deviation that the witness sees in the scan, on three inputs."""
    draw = np.random.Generator(np.random.PCG64(3))
    cases = []
    for spread in (1.0, 0.3, 3.0):
        case = [draw.normal(0.0, spread, shape).astype(np.float32) for shape in shapes]
        case[1] *= np.float32(step)
        cases.append(case)
    with torch.no_grad():
        model.train()
        for case in cases:
            model(*(torch.from_numpy(array) for array in case))
        model.eval()
    graph = extract(model, [torch.from_numpy(array) for array in cases[0]], "scan")
    worst = -1.0
    for case in cases:
        judgements = Witness(model, graph).judge(case, run_reference(graph, case))
        assert all(judgement.accepted for judgement in judgements), judgements
        worst = max(worst, *(j.deviation for j in judgements if j.tensor == "scan"))
    return graph, worst


RATES: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "as published": lambda a: a,
    "A to -2000": lambda a: torch.linspace(0.0, 7.6, a.numel()).reshape(a.shape),
    "A of -0.0001": lambda a: torch.full_like(a, -9.2),
    "twin poles": lambda a: 1e-4 * torch.arange(a.numel()).reshape(a.shape),
}


@pytest.mark.parametrize("rates", one_in(2, RATES))
@pytest.mark.parametrize("step", [0.01, 1.0])
def test_scan_is_accepted_at_any_rate(rates: str, step: float) -> None:
    model = Scan(7, 16)
    model.scan.A_log.data = RATES[rates](model.scan.A_log.data)
    model.scan.D.data = torch.linspace(-1.0, 1.0, 7)
    graph, worst = _accepted(model, *_scan_shapes(101, 7, 16), step=step)
    assert kinds(graph).count("selective_scan") == 1
    scan: Any = graph.operations[-1]
    assert worst <= scan.proven_error(graph.tensors_of(scan.inputs)) <= scan.EPS


def test_scan_of_a_thousand_steps_is_accepted() -> None:
    _accepted(Scan(3, 4), *_scan_shapes(1024, 3, 4), step=0.1)


def test_scan_reads_its_parameters_from_the_float32_model() -> None:
    model = Scan(3, 2)
    graph, _ = _accepted(model, *_scan_shapes(11, 3, 2), step=0.5)
    scan: Any = graph.operations[-1]
    s_dt = graph.tensor(scan.inputs[1]).scale
    assert s_dt is not None
    for place, rate in enumerate((1.0, 2.0)):
        found = scan.decay[0, place] / 2**62
        assert abs(found - exp(-s_dt * rate)) < 2.0**-23


@pytest.mark.parametrize(
    "options", [{}, {"act_quant": ShiftedUint8ActPerTensorFloat}, {"bit_width": 4}]
)
def test_scan_in_c(options: dict[str, Any]) -> None:
    graph = checked(Scan(5, 3, **options), *_scan_shapes(17, 5, 3), c=True)
    assert kinds(graph).count("selective_scan") == 1


def _open_scan(function: nn.Module, quantizer: nn.Module) -> nn.Module:
    """A scan without a quantiser of its own, then a function and a quantiser."""
    scan = Scan(5, 3)
    scan.scan.quant = QuantIdentity(act_quant=None)
    return Net(lambda m, *x: m.q(m.f(m.s(*x))), s=scan, f=function, q=quantizer)


def test_a_quantised_relu_behind_the_scan_is_part_of_it() -> None:
    graph = checked(_open_scan(nn.ReLU(), identity()), *_scan_shapes(17, 5, 3), c=True)
    assert kinds(graph)[-1] == "selective_scan"
    assert graph.tensor(graph.outputs[0]).lo == 0


def test_another_function_behind_the_scan_is_refused() -> None:
    shapes = _scan_shapes(17, 5, 3)
    finding = refused(calibrated(_open_scan(nn.SiLU(), identity()), *shapes), *shapes)
    assert (finding.layer, finding.reason) == ("s.scan", "silu is applied to its sum")


def _signed_dt(model: Any) -> None:
    model.positive = nn.Identity()
    model.dt = identity()


def _endless(model: Any) -> None:
    model.scan.A_log.data[1, 1] = float("inf")


def _no_number(model: Any) -> None:
    model.scan.D.data[1] = float("nan")


def _real_dt(model: Any) -> None:
    model.dt = nn.Identity()


def test_a_signed_quantizer_behind_a_relu_gives_no_negative_dt() -> None:
    model = Scan(5, 3)
    model.dt = plain_identity()
    graph = checked(model, *_scan_shapes(17, 5, 3), c=True)
    assert graph.tensor("dt").lo == 0


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_signed_dt, "may be negative"),
        (_endless, "A_log contains NaN or infinity"),
        (_no_number, "D contains NaN or infinity"),
        (_real_dt, "its dt is "),
    ],
)
def test_a_scan_without_exact_integers_is_refused(spoil: Callable[[Any], None], words: str) -> None:
    model = Scan(5, 3)
    shapes = _scan_shapes(17, 5, 3)
    quantisers_change = spoil in (_signed_dt, _real_dt)
    if quantisers_change:
        spoil(model)
    calibrated(model, *shapes)
    if not quantisers_change:
        spoil(model)
    finding = refused(model, *shapes)
    assert finding.layer == "scan"
    assert words in finding.reason


SIZES = ((13, 10, 14, 3), (7, 20, 6, 5), (1, 3, 2, 1))  # T, d_model, d_inner, d_state


@pytest.mark.parametrize("sizes", SIZES)
def test_state_space(sizes: tuple[int, ...]) -> None:
    steps, _, inner, states = sizes
    graph = checked(_net(lambda: QuantSSM(inner, states)), (1, steps, inner), c=True)
    assert kinds(graph) == ["quantize", *["linear"] * 4, "selective_scan"]
    names = {operation.name for operation in graph.operations}
    assert names == {"0", "1.dt_low", "1.dt", "1.B", "1.C", "1.y"}


@pytest.mark.parametrize("sizes", slow_but([0], [(sizes,) for sizes in SIZES]))
def test_mamba_block(sizes: tuple[int, ...]) -> None:
    steps, model_size, inner, states = sizes
    graph = checked(
        _net(lambda: QuantMambaBlock(model_size, inner, states)), (1, steps, model_size), c=True
    )
    found = kinds(graph)
    assert sorted(set(found)) == sorted(
        [
            *("quantize", "linear", "slice", "permute"),
            *("conv1d_depthwise", "selective_scan", "silu", "mul"),
        ]
    )
    assert [found.count(kind) for kind in ("linear", "slice", "selective_scan")] == [6, 2, 1]
    assert copies(plan(graph)) == []


@pytest.mark.parametrize("strategy", slow_but([1], ["add", "concat"]))
def test_both_directions(strategy: Any) -> None:
    graph = checked(
        _net(lambda: QuantMambaWrapper(10, 14, 3, bidirectional_strategy=strategy)), TOKENS, c=True
    )
    assert kinds(graph).count("flip") == 2
    assert graph.tensor(graph.outputs[0]).shape == (1, 13, 10 if strategy == "add" else 20)


def test_a_block_that_is_called_twice() -> None:
    model = seeded(
        lambda: Net(
            lambda m, x: m.block(m.block(m.q(x))),
            q=plain_identity(),
            block=QuantMambaBlock(6, 4, 2, return_quant_tensor=False),
        )
    )
    assert kinds(checked(model, (1, 5, 6), c=True)).count("selective_scan") == 2


@pytest.mark.parametrize(
    ("shape", "patch", "channels"),
    [((1, 1, 10, 32), (2, 2), 1), ((1, 2, 6, 15), (2, 3), 2), ((1, 1, 4, 6), 2, 1)],
)
def test_patches(shape: tuple[int, ...], patch: Any, channels: int) -> None:
    graph = checked(
        _net(lambda: QuantPatchEmbed(shape[2:], patch, patch, channels, 7)), shape, c=True
    )
    assert kinds(graph) == ["quantize", "conv2d", "permute", "reshape"]
