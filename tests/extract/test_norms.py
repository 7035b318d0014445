"""LayerNorm, RMSNorm and GroupNorm in every spelling, in front of every quantiser, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import brevitas.nn as qnn
import brevitas.quant as bq
import pytest
import torch
import torch.nn.functional as F
from brevitas.quant.shifted_scaled_int import ShiftedUint8ActPerTensorFloat
from torch import nn
from torch.nn.utils import prune

from ares.nn.norms import GroupNorm, LayerNorm, RMSNorm
from tests.extract.models import (
    TOKENS,
    Net,
    calibrated,
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

IMAGE = (1, 8, 6, 5)
SIGNAL = (1, 6, 11)

LAYERS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], str]] = {
    "layer norm": (lambda: LayerNorm(6), TOKENS, "layer_norm"),
    "layer norm of two axes": (lambda: LayerNorm([4, 6], bias=False), TOKENS, "layer_norm"),
    "layer norm of an image": (lambda: LayerNorm(IMAGE[1:]), IMAGE, "layer_norm"),
    "layer norm without affine": (
        lambda: LayerNorm(6, elementwise_affine=False, eps=1e-3),
        TOKENS,
        "layer_norm",
    ),
    "RMS norm": (lambda: RMSNorm(6), TOKENS, "rms_norm"),
    "torch's RMS norm": (
        lambda: nn.RMSNorm(5, eps=1e-6, elementwise_affine=False),
        IMAGE,
        "rms_norm",
    ),
    "group norm of an image": (lambda: GroupNorm(4, 8), IMAGE, "group_norm"),
    "group norm of a signal": (lambda: GroupNorm(2, 6), SIGNAL, "group_norm"),
    "group norm of features": (lambda: GroupNorm(3, 12, affine=False), (1, 12), "group_norm"),
}
SOURCES: dict[str, Callable[[], nn.Module]] = {
    "s8": plain_identity,
    "u8": lambda: plain_identity(act_quant=bq.Uint8ActPerTensorFloat),
    "zero point": lambda: plain_identity(act_quant=ShiftedUint8ActPerTensorFloat),
    "4 bits": lambda: plain_identity(bit_width=4),
    "QuantTensor": identity,
}
TARGETS: dict[str, Callable[[], nn.Module]] = {
    "s8": identity,
    "zero point": lambda: identity(act_quant=ShiftedUint8ActPerTensorFloat),
    "3 bits": lambda: identity(bit_width=3),
    "QuantReLU": relu,
}


def _random_affine(layer: nn.Module) -> nn.Module:
    """Weights of both signs and biases, as training leaves them."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(parameter + torch.randn(parameter.shape, generator=generator))
    return layer


def _net(layer: str, source: str = "s8", target: str = "s8") -> tuple[nn.Module, tuple[int, ...]]:
    make, shape, _ = LAYERS[layer]
    model = Net(
        lambda m, x: m.q2(m.norm(m.q(x))),
        q=SOURCES[source](),
        norm=_random_affine(make()),
        q2=TARGETS[target](),
    )
    return model, shape


@pytest.mark.parametrize("layer", LAYERS)
def test_every_layer(layer: str) -> None:
    model, shape = _net(layer)
    assert kinds(checked(model, shape, c=True)) == ["quantize", LAYERS[layer][2]]


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("layer", ["layer norm", "RMS norm", "group norm of an image"])
def test_every_source(layer: str, source: str) -> None:
    model, shape = _net(layer, source, "zero point")
    assert kinds(checked(model, shape, c=source == "zero point")) == ["quantize", LAYERS[layer][2]]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("layer", ["layer norm", "RMS norm", "group norm of an image"])
def test_every_target(layer: str, target: str) -> None:
    model, shape = _net(layer, "zero point", target)
    graph = checked(model, shape)
    assert kinds(graph) == ["quantize", LAYERS[layer][2]]
    assert graph.tensor("norm").lo == (0 if target == "QuantReLU" else graph.tensor("norm").lo)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "F.layer_norm": lambda m, x: F.layer_norm(x, (6,), m.weight, m.bias),
    "F.layer_norm, plain": lambda m, x: F.layer_norm(x, [6], eps=1e-4),
    "torch.layer_norm": lambda m, x: torch.layer_norm(x, (6,), m.weight, None),
    "F.rms_norm": lambda m, x: F.rms_norm(x, (6,), m.weight, 1e-5),
    "F.group_norm": lambda m, x: F.group_norm(x, 2, m.scale, eps=1e-5),
}


class _WithFunction(nn.Module):
    def __init__(self, spelling: str) -> None:
        super().__init__()
        self.q, self.q2 = plain_identity(), identity()
        self.weight = nn.Parameter(torch.linspace(-2.0, 3.0, 6))
        self.bias = nn.Parameter(torch.linspace(1.0, -1.5, 6))
        self.scale = nn.Parameter(torch.tensor([1.0, -0.5, 2.0, 0.25]))
        self.body = FUNCTIONS[spelling]

    def forward(self, x: torch.Tensor) -> Any:
        return self.q2(self.body(self, self.q(x)))


def test_constants_that_forward_computes_are_parameters() -> None:
    model = _WithFunction("F.layer_norm")
    model.body = lambda m, x: F.layer_norm(x, (6,), m.weight.abs(), m.bias * 2)
    assert kinds(checked(model, TOKENS)) == ["quantize", "layer_norm"]


@pytest.mark.parametrize("spelling", FUNCTIONS)
def test_functions_are_the_layers(spelling: str) -> None:
    graph = checked(_WithFunction(spelling), TOKENS)
    assert kinds(graph) == ["quantize", spelling.split(",")[0].split(".")[1]]


@pytest.mark.parametrize("layer", ["layer norm", "RMS norm", "group norm of an image"])
@pytest.mark.parametrize("function", [nn.GELU(), nn.GELU("tanh"), nn.ReLU()])
def test_a_function_joins_the_layer(layer: str, function: nn.Module) -> None:
    model, shape = _net(layer)
    model.add_module("f", function)
    model.body = lambda m, x: m.q2(m.f(m.norm(m.q(x))))
    graph = checked(model, shape, c=isinstance(function, nn.GELU) and layer != "RMS norm")
    assert kinds(graph) == ["quantize", LAYERS[layer][2]]


def test_between_layers() -> None:
    """A pre-norm block and a convolution with GroupNorm and GELU, as in EEG transformers."""
    block = seeded(
        lambda: Net(
            lambda m, x: m.q3(m.head(m.q2(m.norm(m.q1(m.body_linear(m.q(x))))))),
            q=plain_identity(),
            body_linear=linear(6, 12),
            q1=identity(),
            norm=_random_affine(LayerNorm(12)),
            q2=identity(),
            head=linear(12, 5),
            q3=identity(),
        )
    )
    assert kinds(checked(block, TOKENS, c=True)) == ["quantize", "linear", "layer_norm", "linear"]
    stem = seeded(
        lambda: Net(
            lambda m, x: m.q2(m.c2(m.q1(F.gelu(m.norm(m.q0(m.c(m.q(x)))))))),
            q=plain_identity(),
            c=conv(8, 16, padding=1),
            q0=identity(),
            norm=_random_affine(GroupNorm(4, 16)),
            q1=identity(),
            c2=conv(16, 3),
            q2=identity(),
        )
    )
    assert kinds(checked(stem, IMAGE, c=True)) == ["quantize", "conv2d", "group_norm", "conv2d"]


def test_moves_wait_for_the_quantizer() -> None:
    model, shape = _net("group norm of an image")
    model.body = lambda m, x: m.q2(m.norm(m.q(x)).flatten(1))
    assert kinds(checked(model, shape, c=True)) == ["quantize", "group_norm", "flatten"]


def test_an_image_of_luna() -> None:
    """56320 codes a group, after which GELU follows without a quantiser."""
    model = Net(
        lambda m, x: m.q2(F.gelu(m.norm(m.q(x)))),
        q=plain_identity(),
        norm=_random_affine(GroupNorm(4, 16)),
        q2=identity(),
    )
    graph = checked(model, (1, 16, 704, 20), c=True)
    assert kinds(graph) == ["quantize", "group_norm"]


def test_scales_are_part_of_it() -> None:
    """A variance far below eps, and an output so fine that nearly all of it is clipped."""
    model, shape = _net("layer norm")
    checked(model, shape)
    set_scale(model, "q.act_quant", 1e-3)
    checked(model, shape, calibrate=False, c=True)
    set_scale(model, "q2.act_quant", 1e-4)
    checked(model, shape, calibrate=False)


def _prepared(norm: nn.Module, shape: tuple[int, ...]) -> nn.Module:
    model = Net(lambda m, x: m.q2(m.norm(m.q(x))), q=plain_identity(), norm=norm, q2=identity())
    with torch.no_grad():
        model(torch.randn(shape, generator=torch.Generator().manual_seed(1)))
    return model.eval()


REFUSED: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], str, str]] = {
    "eps=None": (lambda: nn.RMSNorm(6), TOKENS, "its eps is None", "ares.nn.RMSNorm"),
    "eps=0": (lambda: nn.LayerNorm(6, eps=0.0), TOKENS, "its eps is 0", "positive eps"),
    "negative eps": (lambda: nn.GroupNorm(2, 4, eps=-1e-5), TOKENS, "its eps is -1e-05", "1e-5"),
    "the batch": (lambda: nn.LayerNorm([1, 4, 6]), TOKENS, "over the batch", "last axes"),
    "huge eps": (lambda: nn.LayerNorm(6, eps=1e18), TOKENS, "too large beside", "scales around"),
    "a large group": (
        lambda: nn.GroupNorm(1, 2),
        (1, 2, 256, 257),
        "over 131584 values, at most 131072",
        "change the shapes",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refusals(what: str) -> None:
    make, shape, reason, suggestion = REFUSED[what]
    finding = refused(_prepared(make(), shape), shape)
    assert reason in finding.reason
    assert suggestion in finding.suggestion
    assert finding.layer == "norm"


def test_parameters_have_to_be_numbers() -> None:
    norm = nn.LayerNorm(6)
    model = _prepared(norm, TOKENS)
    with torch.no_grad():
        norm.weight[2] = float("nan")
    assert "weight contains NaN" in refused(model, TOKENS).reason
    pruned = nn.LayerNorm(6)
    prune.random_unstructured(pruned, "weight", 0.5)
    finding = refused(_prepared(pruned, TOKENS), TOKENS)
    assert "weight is computed anew" in finding.reason
    assert "prune.remove" in finding.suggestion
    model = _WithFunction("F.layer_norm")
    calibrated(model, TOKENS)
    model.body = lambda m, x: F.layer_norm(x, (6,), m.weight, m.bias / 0)
    assert "bias contains NaN or infinity" in refused(model, TOKENS).reason
    parametrized = torch.nn.utils.parametrizations.weight_norm(nn.LayerNorm(6), dim=None)
    assert "cannot be mapped" in refused(_prepared(parametrized, TOKENS), TOKENS).reason


def test_codes_have_to_come_in_and_a_quantizer_after_it() -> None:
    model = Net(lambda m, x: m.q2(m.norm(x)), norm=nn.LayerNorm(6), q2=identity())
    with torch.no_grad():
        model(torch.randn(TOKENS))
    assert "not quantised" in refused(model.eval(), TOKENS).reason
    model = Net(
        lambda m, x: m.l(m.norm(m.q(x))),
        q=plain_identity(),
        norm=nn.LayerNorm(6),
        l=qnn.QuantLinear(6, 2, bias=False),
    )
    with torch.no_grad():
        model(torch.randn(TOKENS))
    finding = refused(model.eval(), TOKENS)
    assert "the real output of norm" in finding.reason
    assert "QuantIdentity" in finding.suggestion


def test_rms_norm_has_an_eps_of_its_own() -> None:
    assert RMSNorm(6).eps == 1e-5
    assert nn.RMSNorm(6).eps is None
