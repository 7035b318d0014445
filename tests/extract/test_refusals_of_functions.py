"""Functions that must not be mapped, or not there: behind a value that is not quantised."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tests.extract.models import (
    Net,
    conv,
    identity,
    linear,
    plain_identity,
    relu,
)
from tests.extract.refusing import Case, check


def _function(function: Callable[..., Any], *, end: bool = True) -> Callable[[], nn.Module]:
    """Quantiser, the function, perhaps a quantiser."""
    return lambda: Net(
        lambda m, x: m.q2(function(m.q(x))) if end else function(m.q(x)),
        q=plain_identity(),
        q2=plain_identity(),
    )


def _called(*arguments: Any, **options: Any) -> Callable[..., Any]:
    function, *rest = arguments
    return lambda y: function(y, *rest, **options)


FUNCTIONS: dict[str, Case] = {
    "sum as an output": Case(
        _function(lambda y: y + y, end=False),
        "add",
        "add",
        "the network's output is the sum",
        "end",
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
        "q2",
        "QuantIdentity",
        "the network's output is a tensor whose batch is not its first dimension",
        "bring the batch back to the front",
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
    "value of padding": Case(
        _function(_called(F.pad, (1, 1, 1, 1), value=1.0)), "pad", "pad", "value 1.0", "zeros"
    ),
    "indices of a maximum": Case(
        _function(lambda y: F.max_pool2d(y, 2, return_indices=True)[0]),
        "max_pool2d_with_indices",
        "max_pool2d_with_indices",
        "cannot be mapped",
        "return_indices=False",
    ),
    "indices of an adaptive maximum": Case(
        _function(lambda y: F.adaptive_max_pool2d(y, 2, return_indices=True)[0]),
        "adaptive_max_pool2d_with_indices",
        "adaptive_max_pool2d_with_indices",
        "cannot be mapped",
        "return_indices=False",
    ),
    "maximum over the batch": Case(
        _function(lambda y: y.amax((0, 2), keepdim=True)), "amax", "amax", "batch", "other dim"
    ),
    "maximum over everything": Case(
        _function(lambda y: y.amax()), "amax", "amax", "along which dimension", "amax(dim=...)"
    ),
    "the larger of two": Case(
        _function(lambda y: torch.max(y, y)), "max", "max", "along which dimension", "dim=..."
    ),
    "average without a batch": Case(
        _function(lambda y: F.avg_pool2d(y[:, 0], 2)),
        "avg_pool2d",
        "avg_pool2d",
        "gives shape [1, 3, 2]",
        "[batch, channels, height, width]",
    ),
    "maximum without a batch": Case(
        _function(lambda y: F.max_pool1d(y[:, 0, 0], 2)),
        "max_pool1d",
        "max_pool1d",
        "gives shape [1, 2]",
        "[batch, channels, length]",
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
        _function(lambda y: y.long().double()), "long", "long", "into int64", "conversion"
    ),
    "binary32": Case(
        _function(lambda y: y.float()), "float", "float", "into float32", "conversion"
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
    check(FUNCTIONS[name])


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
    "output of a norm": Case(
        lambda: Net(lambda m, x: m.c(m.q(x)), q=identity(), c=nn.LayerNorm(5)),
        "c",
        "LayerNorm",
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
    "mean of a convolution behind ReLU": Case(
        lambda: Net(
            lambda m, x: m.q2(F.relu(m.c(m.q(x))).mean((2, 3))),
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
    check(BEHIND_LAYERS[name])
