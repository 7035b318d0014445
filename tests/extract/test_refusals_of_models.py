"""A forward, its state and its inputs: what a recording does not hold is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ares.extract import analyse
from tests.extract.models import (
    IMAGE,
    Net,
    calibrated,
    conv,
    identity,
    linear,
    plain_identity,
    relu,
)
from tests.extract.refusing import Case, check


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
    check(MODELS[name])


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
