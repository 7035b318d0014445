"""Layers that cannot be mapped, with what to use instead; and all that is wrong with a model, at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import brevitas.nn as qnn
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ares.extract import ExtractionError, extract
from ares.nn import QuantAdd
from tests.extract.models import (
    IMAGE,
    TOKENS,
    Net,
    calibrated,
    conv,
    errors,
    identity,
    plain_identity,
    relu,
)
from tests.extract.refusing import Case, check


def _around(layer: nn.Module, tensor: bool = True) -> Callable[[], nn.Module]:
    """Quantiser, the layer, quantiser."""
    source = plain_identity if tensor else identity
    return lambda: Net(
        lambda m, x: m.q2(m.layer(m.q(x))), q=source(), layer=layer, q2=plain_identity()
    )


MIGRATIONS: dict[str, Case] = {
    "BatchNorm3d": Case(
        _around(nn.BatchNorm3d(2)),
        "layer",
        "BatchNorm3d",
        "cannot be mapped",
        "LayerNorm/GroupNorm",
        shapes=((1, 2, 3, 6, 5),),
    ),
    "nn.MultiheadAttention": Case(
        lambda: Net(
            lambda m, x: m.a(*[m.q(x)] * 3)[0], q=plain_identity(), a=nn.MultiheadAttention(6, 2)
        ),
        "a",
        "MultiheadAttention",
        "cannot be mapped",
        "use brevitas.nn.QuantMultiheadAttention",
        shapes=(TOKENS,),
    ),
    "QuantMultiheadAttention": Case(
        lambda: Net(
            lambda m, x: m.a(*[m.q(x)] * 3)[0], q=identity(), a=qnn.QuantMultiheadAttention(6, 2)
        ),
        "a",
        "QuantMultiheadAttention",
        "it has batch_first=False, and its query has the batch first",
        "make it with batch_first=True",
        shapes=(TOKENS,),
    ),
    "ConvTranspose2d": Case(
        _around(nn.ConvTranspose2d(2, 2, 3)),
        "layer",
        "ConvTranspose2d",
        "cannot be mapped",
        "use brevitas.nn.QuantConvTranspose2d",
    ),
    "implicit residual of a convolution": Case(
        lambda: Net(
            lambda m, x: (lambda y: m.r(m.c(y) + y))(m.q(x)),
            q=plain_identity(),
            c=conv(2, 2, padding=1),
            r=relu(),
        ),
        "add",
        "add",
        "its first operand is the real output of c (QuantConv2d), which is not quantised",
        "QuantIdentity",
    ),
    "implicit sum without a quantiser": Case(
        lambda: Net(
            lambda m, x: m.c(m.q(x) + m.q2(x)),
            q=plain_identity(),
            q2=plain_identity(),
            c=conv(2, 2),
        ),
        "c",
        "QuantConv2d",
        "its input is the sum add, which is not quantised",
        "ares.nn.QuantAdd",
    ),
    "implicit concatenation without a quantiser": Case(
        lambda: Net(
            lambda m, x: m.c(torch.cat([m.q(x), m.q2(x)], 1)),
            q=plain_identity(),
            q2=plain_identity(bit_width=4),
            c=conv(4, 2),
        ),
        "c",
        "QuantConv2d",
        "its input is the concatenation cat of different scales",
        "ares.nn.QuantConcatenate",
    ),
    "LSTM": Case(
        lambda: Net(lambda m, x: m.q(m.l(m.q(x))[0]), q=plain_identity(), l=nn.LSTM(6, 3)),
        "l",
        "LSTM",
        "cannot be mapped",
        "state-space",
        shapes=(TOKENS,),
    ),
    "float convolution": Case(
        _around(nn.Conv2d(2, 2, 3)),
        "layer",
        "Conv2d",
        "cannot be mapped",
        "brevitas.nn.QuantConv2d",
    ),
    "float linear": Case(
        _around(nn.Linear(5, 2)), "layer", "Linear", "cannot be mapped", "brevitas.nn.QuantLinear"
    ),
    "float convolution of a signal": Case(
        _around(nn.Conv1d(4, 2, 3)),
        "layer",
        "Conv1d",
        "cannot be mapped",
        "brevitas.nn.QuantConv1d",
        shapes=(TOKENS,),
    ),
    "TruncAvgPool2d, which is no AvgPool2d": Case(
        _around(qnn.TruncAvgPool2d(4, ceil_mode=True), tensor=False),
        "layer",
        "TruncAvgPool2d",
        "reach past the input",
        "ceil_mode=False",
    ),
    # These two stay unknown: powers and roots of sums.
    "an unknown layer": Case(
        _around(nn.LocalResponseNorm(2)),
        "layer",
        "LocalResponseNorm",
        "cannot be mapped",
        "docs/supported_operations.md",
    ),
    "a layer with a near relative": Case(
        _around(nn.LPPool2d(2, 2)),
        "layer",
        "LPPool2d",
        "cannot be mapped",
        "MaxPool2d",
    ),
}


@pytest.mark.parametrize("name", MIGRATIONS)
def test_migration_guide(name: str) -> None:
    check(MIGRATIONS[name])


def test_every_independent_error_is_reported_once() -> None:
    """And nothing of what only follows from them. `extract` raises the first, in one line."""

    def forward(m: Any, x: Any) -> Any:
        y = m.q(x)
        left = m.r1(m.norm(m.c1(y)))  # cannot be mapped; r1 does not follow up
        right = m.r2(m.c2(y))  # NaN weights
        joined = m.a(left, right)
        return m.fc(F.softshrink(m.q2(m.c3(y)))), m.fc(m.c1(joined).flatten(1))

    model: Any = Net(
        forward,
        q=plain_identity(),
        q2=plain_identity(),
        **{f"c{i}": conv(2, 2, padding=1) for i in (1, 2, 3)},
        norm=nn.LocalResponseNorm(2),
        r1=relu(),
        r2=relu(),
        a=QuantAdd(),
        fc=nn.Identity(),
    )
    calibrated(model, IMAGE)
    _nan(model.c2)
    found = [(finding.layer, finding.layer_type) for finding in errors(model, IMAGE)]
    assert found == [
        ("norm", "LocalResponseNorm"),
        ("c2", "QuantConv2d"),
        ("softshrink", "softshrink"),
    ]
    with pytest.raises(ExtractionError) as raised:
        extract(model, [torch.zeros(IMAGE)], "net")
    first = errors(model, IMAGE)[0]
    assert raised.value.finding == first
    assert str(raised.value) == f"net: norm (LocalResponseNorm): {first.reason}; {first.suggestion}"


def _nan(layer: Any) -> None:
    layer.weight.data[0] = float("nan")
