"""BatchNorm where no layer takes it: on codes an operation of its own, on the input, behind the head; else refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import brevitas.nn as qnn
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ares.nn import QuantMul
from tests.extract.behind import POSITIVE, QUANTIZERS, SIGNAL, VECTOR, behind, exact, norm, trained
from tests.extract.models import (
    IMAGE,
    Net,
    Shape,
    checked,
    conv,
    identity,
    kinds,
    linear,
    plain_identity,
    refused,
    relu,
)


@pytest.mark.parametrize("name", QUANTIZERS)
def test_on_codes(name: str) -> None:
    make = behind(lambda m, y: m.n(y), n=lambda: norm(2), q2=QUANTIZERS[name])
    exact(make, "batch_norm", c=name in ("zero point", "ternary"))


def test_a_residual_block_before_its_activations() -> None:
    def forward(m: Any, y: Any) -> Any:
        z = m.c1(m.r1(m.n1(y)))
        return y + m.q3(m.c2(m.r2(m.n2(z))))

    make = behind(
        forward,
        n1=lambda: norm(2),
        r1=lambda: qnn.QuantReLU(bit_width=4),
        c1=lambda: conv(2, 6, padding=1),
        n2=lambda: norm(6),
        r2=lambda: qnn.QuantReLU(bit_width=4),
        c2=lambda: conv(6, 2, padding=1),
        q3=plain_identity,
    )
    exact(make, "batch_norm", "conv2d", "conv2d", "add", c=True)


def test_a_dense_block() -> None:
    """Every layer normalises all that came before it."""

    def forward(m: Any, y: Any) -> Any:
        first = torch.cat([y, m.q3(m.c1(m.r1(m.n1(y))))], 1)
        return torch.cat([first, m.q3(m.c2(m.r2(m.n2(first))))], 1)

    make = behind(
        forward,
        n1=lambda: norm(2),
        r1=lambda: relu(bit_width=4),
        c1=lambda: conv(2, 3, padding=1),
        n2=lambda: norm(5),
        r2=relu,
        c2=lambda: conv(5, 3, padding=1),
        q3=plain_identity,
        q2=lambda: plain_identity(bit_width=6),
    )
    model: Any = trained(make)
    model.q3.act_quant = model.q.act_quant  # one grid for all parts, as graph mode makes it
    graph = checked(model, IMAGE, calibrate=False, c=True)
    assert [stem for stem in kinds(graph) if stem == "batch_norm"] == ["batch_norm"] * 2


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (lambda: qnn.BatchNorm2dToQuantScaleBias(2), IMAGE),
        (lambda: qnn.BatchNorm1dToQuantScaleBias(4), SIGNAL),
    ],
)
@pytest.mark.parametrize("place", ["codes", "conv"])
def test_scale_and_bias_of_brevitas(
    layer: Callable[[], nn.Module], shape: Shape, place: str
) -> None:
    if place == "conv" and len(shape) < 4:
        shape = (1, 6)
        layer = lambda: qnn.QuantScaleBias(6, True, runtime_shape=(1, -1))  # noqa: E731

    def scaled() -> nn.Module:
        made: Any = layer()
        made.weight.data.copy_(
            torch.linspace(-1.0, 2.0, made.weight.numel()).reshape_as(made.weight)
        )
        made.bias.data.copy_(torch.linspace(0.5, -0.5, made.bias.numel()).reshape_as(made.bias))
        return made  # type: ignore[no-any-return]

    before = (lambda: conv(2, 2)) if len(shape) == 4 else (lambda: linear(6, 6))
    make = behind(
        lambda m, y: m.n(m.f(y) if place == "conv" else y), q=identity, f=before, n=scaled
    )
    exact(
        make,
        "batch_norm" if place == "codes" else "conv2d" if len(shape) == 4 else "linear",
        shape=shape,
        c=place == "codes",
    )


def test_on_the_input() -> None:
    def make() -> nn.Module:
        return Net(lambda m, x: m.q(m.n(x)), q=identity(), n=norm(2))

    exact(make, c=True)


@pytest.mark.parametrize("bias", [True, False])
def test_behind_the_head(bias: bool) -> None:
    def make() -> nn.Module:
        return Net(
            lambda m, x: m.n(m.f(m.q(x))), q=identity(), f=linear(6, 4, bias=bias), n=norm(4, 1)
        )

    exact(make, "linear_fp32", shape=VECTOR, c=True)


# --- refused


def _codes_first(m: Any, y: Any) -> Any:
    return m.n(m.q3(m.f(y)))


# Concatenations of different scales: each part takes the constants of its own channels. What stands behind `quantize`.
JOINED: dict[str, tuple[Callable[..., Any], dict[str, Callable[[], nn.Module]], list[str]]] = {
    "BatchNorm, ReLU": (
        lambda m, y: F.relu(m.n(torch.cat([y, m.q3(m.f(y))], 1))),
        {"f": lambda: conv(2, 3, padding=1), "n": lambda: norm(5)},
        ["conv2d", "batch_norm", "batch_norm", "concat"],
    ),
    "a real part": (
        lambda m, y: m.n(torch.cat([m.f(y), y], 1)),
        {"f": lambda: conv(2, 3, padding=1, bias=True), "n": lambda: norm(5)},
        ["conv2d", "batch_norm", "concat"],
    ),
    "a real part behind a maximum, positive factors": (
        lambda m, y: m.n(torch.cat([F.max_pool2d(m.f(y), 2), y[:, :, ::2, :4:2]], 1)),
        {"f": lambda: conv(2, 3, padding=1), "n": lambda: norm(5, gammas=POSITIVE)},
        ["conv2d", "max_pool2d", "slice", "slice", "batch_norm", "concat"],
    ),
    "along another axis than the channels": (
        lambda m, y: m.n(torch.cat([y, m.q3(2 * y)], 3)),
        {"n": lambda: norm(2)},
        ["requantize", "batch_norm", "batch_norm", "concat"],
    ),
    "PReLU": (
        lambda m, y: m.n(torch.cat([y, m.q3(2 * y)], 1)),
        {"n": lambda: nn.PReLU(4)},
        ["requantize", "batch_norm", "batch_norm", "concat"],
    ),
    "one factor for all": (
        lambda m, y: 0.5 - 2 * torch.cat([y, m.q3(2 * y)], 1),
        {},
        ["requantize", "requantize", "requantize", "concat"],
    ),
    "stacked": (
        lambda m, y: m.n(torch.stack([y[:, 0], m.q3(y[:, 1] * 3)], 1)),
        {"n": lambda: norm(2)},
        [],
    ),
}


@pytest.mark.parametrize("name", JOINED)
def test_behind_a_concatenation_of_different_scales(name: str) -> None:
    forward, layers, expected = JOINED[name]
    make = behind(forward, **layers, q3=plain_identity)
    graph = checked(trained(make), IMAGE, c=True, calibrate=False)
    if expected:
        assert sorted(kinds(graph)) == sorted(["quantize", *expected])


REFUSED: dict[str, tuple[Callable[..., Any], Callable[[], nn.Module], Callable[[], nn.Module], str]]
REFUSED = {
    "a norm": (
        lambda m, y: m.n(m.f(y)),
        *(lambda: nn.GroupNorm(2, 2), lambda: norm(2)),
        "the real output of f (GroupNorm), which takes no factor and no addend",
    ),
    "mixed channels": (
        lambda m, y: m.n(m.f(y).flatten(1)),
        *(lambda: conv(2, 2, 5), lambda: norm(4, 1)),
        "not one for each channel of the real output of f (QuantConv2d)",
    ),
    "a sum": (
        lambda m, y: m.n(y + y),
        *(nn.Identity, lambda: norm(2)),
        "not one for each channel of the sum add",
    ),
    "a product": (
        lambda m, y: m.n(y * y),
        *(nn.Identity, lambda: norm(2)),
        "not one for each channel of the product mul",
    ),
}
FOLLOWED: dict[str, Callable[..., Any]] = {
    "a norm": _codes_first,
    "mixed channels": lambda m, y: m.n(m.q3(m.f(y)).flatten(1)),
    "a sum": lambda m, y: m.n(m.q3(y + y)),
    "a product": lambda m, y: m.n(m.mul(y, y)),
}


@pytest.mark.parametrize("name", REFUSED)
def test_nothing_takes_it(name: str) -> None:
    """What is no layer with channels: with a quantiser before it, as the advice says, it is an operation on codes."""
    forward, layer, batch_norm, reason = REFUSED[name]
    layers = {"f": layer, "n": batch_norm, "q3": plain_identity, "mul": QuantMul}
    finding = refused(trained(behind(forward, **layers)), IMAGE)
    assert finding.layer == "n"
    assert reason in finding.reason
    assert finding.suggestion == (
        "put a QuantIdentity before it, which makes it an operation on codes; or replace it with LayerNorm/GroupNorm"
    )
    graph = checked(trained(behind(FOLLOWED[name], **layers)), IMAGE, calibrate=False)
    assert kinds(graph)[-1] == "batch_norm"


def test_statistics_of_the_batch_are_refused() -> None:
    make = behind(
        lambda m, y: m.n(m.f(y)),
        f=lambda: conv(2, 6),
        n=lambda: norm(6, track_running_stats=False),
    )
    finding = refused(trained(make), IMAGE)
    assert "statistics from the batch" in finding.reason
    assert "track_running_stats=True" in finding.suggestion


def test_statistics_that_a_function_updates_are_refused() -> None:
    def make() -> nn.Module:
        model = behind(
            lambda m, y: F.batch_norm(m.f(y), m.mean, m.variance, training=True),
            f=lambda: conv(2, 3),
        )()
        model.register_buffer("mean", torch.zeros(3))
        model.register_buffer("variance", torch.ones(3))
        return model

    finding = refused(trained(make), IMAGE)
    assert finding.layer == "batch_norm"
    assert "from the batch" in finding.reason
    assert "training=self.training" in finding.suggestion


@pytest.mark.parametrize("name", ["weight", "running_mean"])
def test_numbers_that_are_none_are_refused(name: str) -> None:
    make = behind(lambda m, y: m.n(m.f(y)), f=lambda: conv(2, 6), n=lambda: norm(6))
    model: Any = trained(make)
    getattr(model.n, name).data[1] = float("nan")
    finding = refused(model, IMAGE)
    assert finding.layer == "n"
    assert "NaN" in finding.reason
    assert "train or load" in finding.suggestion
