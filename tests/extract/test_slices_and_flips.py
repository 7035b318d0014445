"""Parts of a tensor and axes in reverse, in every spelling; windows that share an axis evenly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import brevitas.quant as bq
import pytest
import torch
import torch.nn.functional as F
from brevitas.quant.shifted_scaled_int import ShiftedUint8ActPerTensorFloat
from torch import nn

from ares.nn.slices import Flip, Slice
from tests.extract.models import (
    IMAGE,
    TOKENS,
    Net,
    Shape,
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
)
from tests.slow import one_in

# Of codes [1, 2, 6, 5] -> operations behind the quantiser.
MOVES: dict[str, tuple[Callable[..., Any], list[str]]] = {
    "slice": (lambda y: y[:, :, 1:5], ["slice"]),
    "first channel": (lambda y: y[:, :1], ["slice"]),
    "two axes": (lambda y: y[:, :, 2:, :-1], ["slice", "slice"]),
    "every second": (lambda y: y[:, :, ::2, 1::3], ["slice", "slice"]),
    "ellipsis": (lambda y: y[..., -3:], ["slice"]),
    "ellipsis in the middle": (lambda y: y[:, ..., 1:2], ["slice"]),
    "all of it": (lambda y: y[:, :], []),
    "a number": (lambda y: y[:, 1], ["slice", "squeeze"]),
    "a number from the end": (lambda y: y[..., -1], ["slice", "squeeze"]),
    "a number of one": (lambda y: y[:, :1][:, 0], ["slice", "squeeze"]),
    "a new axis": (lambda y: y[:, :, None], ["squeeze"]),
    "a new axis and a part": (lambda y: y[:, None, 1:, ..., 2], ["slice", "slice", "squeeze"]),
    "narrow": (lambda y: y.narrow(2, 1, 3), ["slice"]),
    "torch.narrow from the end": (lambda y: torch.narrow(y, dim=-1, start=-2, length=2), ["slice"]),
    "select": (lambda y: y.select(2, -2), ["slice", "squeeze"]),
    "chunk, one part used": (lambda y: y.chunk(2, 2)[0], ["slice"]),
    "chunk": (lambda y: torch.cat(y.chunk(2, 1)[::-1], 1), ["slice", "slice", "concat"]),
    "uneven chunks": (lambda y: torch.cat(y.chunk(4, 3)[::-1], 3), ["slice"] * 3 + ["concat"]),
    "split": (lambda y: torch.cat(y.split(4, dim=2)[::-1], 2), ["slice", "slice", "concat"]),
    "split by sizes": (
        lambda y: torch.cat(torch.split(y, [1, 3, 2], 2)[::-1], 2),
        ["slice"] * 3 + ["concat"],
    ),
    "tensor_split": (
        lambda y: torch.cat(torch.tensor_split(y, (1, 4), dim=3)[::-1], 3),
        ["slice"] * 3 + ["concat"],
    ),
    "unbind": (
        lambda y: torch.cat(torch.unbind(y, 1)[::-1], 2),
        ["slice", "squeeze", "slice", "squeeze", "concat"],
    ),
    "flip": (lambda y: torch.flip(y, (2,)), ["flip"]),
    "flip of two": (lambda y: y.flip(1, -1), ["flip", "flip"]),
    "flip, keyword": (lambda y: torch.flip(y, dims=[3]), ["flip"]),
    "fliplr": (torch.fliplr, ["flip"]),
    "flip and back": (lambda y: y.flip(2).flip(2), ["flip", "flip"]),
    "Slice": (Slice(2, 1, 4), ["slice"]),
    "Flip": (Flip(1, 3), ["flip", "flip"]),
}


@pytest.mark.parametrize("name", one_in(3, MOVES))
def test_of_codes(name: str) -> None:
    function, stems = MOVES[name]
    layers = {"f": function} if isinstance(function, nn.Module) else {}
    model = Net(
        lambda m, x: function(m.q(x)),
        q=plain_identity(act_quant=ShiftedUint8ActPerTensorFloat),
        **layers,
    )
    graph = checked(model, IMAGE, c=True)
    assert sorted(kinds(graph)) == sorted(["quantize", *stems])


@pytest.mark.parametrize("name", one_in(3, MOVES))
def test_of_a_layer_that_waits_for_its_quantizer(name: str) -> None:
    function, stems = MOVES[name]
    layers = {"f": function} if isinstance(function, nn.Module) else {}
    model = seeded(
        lambda: Net(
            lambda m, x: m.r(function(m.c(m.q(x)))),
            q=plain_identity(),
            c=conv(2, 2, padding=1, bias=True),
            r=relu(),
            **layers,
        )
    )
    found = kinds(checked(model, IMAGE))
    assert [
        kind for kind in found if kind not in ("quantize", "conv2d")
    ] == stems or "conv2d" in found


def test_behind_a_convolution_in_the_kernels_own_order() -> None:
    """Channels last: a part of the channels is the innermost axis."""
    model = seeded(
        lambda: Net(
            lambda m, x: (lambda y: m.c2(y[:, 1:4].flip(2, 1)))(m.r(m.c(m.q(x))).value),
            q=identity(),
            c=conv(2, 5, padding=1),
            r=relu(),
            c2=conv(3, 2),
        )
    )
    model.add_module("end", identity())
    model.body = lambda m, x: m.end(m.c2(m.r(m.c(m.q(x))).value[:, 1:4].flip(2, 1)))
    assert kinds(checked(model, IMAGE, c=True)) == [
        *("quantize", "conv2d", "slice", "flip", "flip", "conv2d")
    ]


def test_one_linear_layer_for_three() -> None:
    """q, k and v from one layer with a quantiser: three parts of its codes."""

    def forward(m: Any, x: Any) -> Any:
        q, k, v = m.q2(m.qkv(m.q(x))).chunk(3, dim=-1)
        return m.out(q + k), m.out2(k * v)

    model = seeded(
        lambda: Net(
            forward,
            q=identity(),
            qkv=linear(6, 12),
            q2=plain_identity(),
            out=identity(),
            out2=identity(),
        )
    )
    graph = checked(model, TOKENS, c=True)
    assert sorted(kinds(graph)) == sorted(
        ["quantize", "linear", "slice", "slice", "slice", "add", "mul"]
    )


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda y: y[0], "part of the batch"),
        (lambda y: y[:1, :1], "part of the batch"),
        (lambda y: y[None], "part of the batch"),
        (lambda y: y.chunk(1, 0)[0], "splits the batch"),
        (lambda y: y.flip(0), "reverses the batch"),
        (lambda y: y.narrow(0, 0, 1), "part of the batch"),
        (lambda y: y.select(0, 0), "one sample of the batch"),
        (lambda y: y.unbind(0)[0], "takes the batch apart"),
        (lambda y: y[:, [1, 0]], "indexed by [1, 0]"),
    ],
)
def test_what_is_refused(function: Callable[..., Any], reason: str) -> None:
    model = Net(lambda m, x: function(m.q(x)), q=plain_identity())
    assert reason in refused(calibrated(model, IMAGE), IMAGE).reason


@pytest.mark.parametrize("length", [1, 2, 3, 5, 6, 7, 9])
@pytest.mark.parametrize("dyadic", [False, True])
def test_adaptive_average(length: int, dyadic: bool) -> None:
    quant = {"act_quant": bq.Int8ActPerTensorFixedPoint} if dyadic else {}
    model = Net(
        lambda m, x: m.q2(m.p(m.q(x))),
        q=plain_identity(**quant),
        p=nn.AdaptiveAvgPool1d(length),
        q2=identity(**quant),
    )
    graph = checked(model, TOKENS, c=length == 4 or dyadic)
    assert kinds(graph) == ["quantize", "adaptive_avg_pool1d"]
    assert graph.tensor(graph.outputs[0]).shape == (1, 4, length)


SPELLINGS: dict[str, Callable[..., Any]] = {
    "function": lambda y: F.adaptive_avg_pool1d(y, 4),
    "function, keyword": lambda y: F.adaptive_avg_pool1d(y, output_size=(4,)),
    "relu": lambda y: F.relu(F.adaptive_avg_pool1d(y, 4)),
    "silu": lambda y: F.silu(F.adaptive_avg_pool1d(y, 4)),
    "tokens": lambda y: F.adaptive_avg_pool1d(y.transpose(1, 2), 3),
}


@pytest.mark.parametrize("name", SPELLINGS)
@pytest.mark.parametrize("shape", [TOKENS, (1, 4, 7)])
def test_adaptive_average_function(name: str, shape: Shape) -> None:
    model = Net(
        lambda m, x: m.q2(SPELLINGS[name](m.q(x))),
        q=plain_identity(),
        q2=identity(act_quant=ShiftedUint8ActPerTensorFloat),
    )
    found = kinds(checked(model, shape, c=True))
    assert found[-1] == "adaptive_avg_pool1d"


def test_adaptive_average_of_a_real_value_is_refused() -> None:
    model = seeded(
        lambda: Net(
            lambda m, x: m.q2(F.adaptive_avg_pool1d(m.fc(m.q(x)), 2)),
            q=identity(),
            fc=linear(6, 6),
            q2=identity(),
        )
    )
    assert "is not quantised" in refused(calibrated(model, TOKENS), TOKENS).reason
