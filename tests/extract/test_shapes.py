"""Moves: flatten, reshape, squeeze, permute in every spelling; where they cost a copy; outputs' order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ares.nn import Permute, Reshape, Squeeze
from ares.plan import plan
from tests.extract.models import (
    IMAGE,
    Net,
    Shape,
    checked,
    conv,
    copies,
    identity,
    kinds,
    linear,
    plain_identity,
    relu,
    seeded,
)
from tests.slow import one_in

Move = Callable[..., Any]

# Move of codes [1, 2, 6, 5] -> operations of the Graph, and the shape.
MOVES: dict[str, tuple[Move, list[str], Shape]] = {
    "nn.Flatten": (nn.Flatten(), ["flatten"], (1, 60)),
    "nn.Flatten, part": (nn.Flatten(2), ["flatten"], (1, 2, 30)),
    "torch.flatten": (lambda y: torch.flatten(y, 1), ["flatten"], (1, 60)),
    "torch.flatten, keywords": (
        lambda y: torch.flatten(y, start_dim=1, end_dim=-2),
        ["flatten"],
        (1, 12, 5),
    ),
    "method": (lambda y: y.flatten(2), ["flatten"], (1, 2, 30)),
    "flatten of one axis": (lambda y: y.flatten(1, 1), [], IMAGE),
    "view, size": (lambda y: y.view(y.size(0), -1), ["reshape"], (1, 60)),
    "view, shape": (lambda y: y.view((*y.shape[:1], 30, 2)), ["reshape"], (1, 30, 2)),
    "view, -1 for the batch": (lambda y: y.view(-1, 60), ["reshape"], (1, 60)),
    "view to the same": (lambda y: y.view(y.shape), [], IMAGE),
    "reshape": (lambda y: y.reshape(y.shape[0], 5, 12), ["reshape"], (1, 5, 12)),
    "view_as": (lambda y: y.view_as(y.flatten(1)), ["reshape"], (1, 60)),
    "ares.nn.Reshape": (Reshape(3, 4, -1), ["reshape"], (1, 3, 4, 5)),
    "unflatten": (lambda y: y.unflatten(2, (3, 2)), ["reshape"], (1, 2, 3, 2, 5)),
    "nn.Unflatten": (nn.Unflatten(2, (3, 2)), ["reshape"], (1, 2, 3, 2, 5)),
    "unsqueeze": (lambda y: y.unsqueeze(1), ["squeeze"], (1, 1, 2, 6, 5)),
    "unsqueeze, squeeze": (lambda y: y.unsqueeze(-1).squeeze(dim=4), ["squeeze", "squeeze"], IMAGE),
    "squeeze of an axis that stays": (lambda y: y.squeeze(1), [], IMAGE),
    "permute": (lambda y: y.permute(0, 2, 3, 1), ["permute"], (1, 6, 5, 2)),
    "permute, list": (lambda y: y.permute([0, 2, -1, 1]), ["permute"], (1, 6, 5, 2)),
    "torch.permute, keywords": (
        lambda y: torch.permute(y, dims=(0, 3, 1, 2)),
        ["permute"],
        (1, 5, 2, 6),
    ),
    "ares.nn.Permute": (Permute(0, 3, 2, 1), ["permute"], (1, 5, 6, 2)),
    "permute to the same": (lambda y: y.permute(0, 1, 2, 3), [], IMAGE),
    "transpose": (lambda y: y.transpose(1, 2), ["permute"], (1, 6, 2, 5)),
    "transpose, negative": (lambda y: torch.transpose(y, -1, -2), ["permute"], (1, 2, 5, 6)),
    "transpose, keywords": (lambda y: y.transpose(dim0=1, dim1=3), ["permute"], (1, 5, 6, 2)),
    "swapaxes": (lambda y: torch.swapaxes(y, axis0=1, axis1=2), ["permute"], (1, 6, 2, 5)),
    "swapdims": (lambda y: y.swapdims(1, 2), ["permute"], (1, 6, 2, 5)),
    "mT": (lambda y: y.mT, ["permute"], (1, 2, 5, 6)),
    "movedim": (lambda y: y.movedim((1, 2), (3, 1)), ["permute"], (1, 6, 5, 2)),
    "moveaxis": (lambda y: torch.moveaxis(y, -1, 1), ["permute"], (1, 5, 2, 6)),
    "contiguous, clone, detach": (
        lambda y: y.mT.contiguous().clone().detach(),
        ["permute"],
        (1, 2, 5, 6),
    ),
}


@pytest.mark.parametrize("case", one_in(3, MOVES))
def test_moves_of_codes(case: str) -> None:
    """The network's output is in PyTorch's order, whatever lies in memory: compared in C where it is permuted."""
    move, expected, shape = MOVES[case]
    layers = {"move": move} if isinstance(move, nn.Module) else {}
    model = Net(lambda m, x: move(m.q(x)), q=plain_identity(), **layers)
    graph = checked(model, IMAGE)
    assert kinds(graph) == ["quantize", *expected]
    assert graph.tensor(graph.outputs[0]).shape == shape


def test_moves_of_quant_tensors() -> None:
    def forward(m: Any, x: Any) -> Any:
        y = m.q(x)
        return (
            y.flatten(1),
            y.view(y.shape[0], -1, 5),
            y.transpose(1, 3),
            y.permute(0, 2, 3, 1),
            y.reshape(y.shape[0], 12, 5),
            m.squeeze(m.reshape(y)),
        )

    model = Net(forward, q=identity(), reshape=Reshape(1, 60), squeeze=Squeeze(1))
    graph = checked(model, IMAGE, c=True)
    assert kinds(graph)[1:] == [
        "flatten",
        "reshape",
        "permute",
        "permute",
        "reshape",
        "reshape",
        "squeeze",
    ]


# Moves of what a convolution gives, which lies channels last, and the layers that need a copy for it.
BEHIND_A_CONVOLUTION: dict[str, tuple[Move, list[str]]] = {
    "tokens, as a vision transformer has them": (lambda y: y.flatten(2).transpose(1, 2), []),
    "permute to channels last": (lambda y: y.permute(0, 2, 3, 1), []),
    "permute and flatten": (lambda y: y.permute(0, 2, 3, 1).flatten(1), []),
    "flatten": (lambda y: y.flatten(1), ["flatten"]),
    "rank 5": (lambda y: y.unflatten(1, (2, 2)).permute(0, 4, 2, 1, 3), ["permute@01234"]),
}


@pytest.mark.parametrize("case", BEHIND_A_CONVOLUTION)
def test_moves_behind_a_convolution(case: str) -> None:
    """Before its quantiser: the move waits for the codes, and costs a copy only where memory has another order."""
    move, expected = BEHIND_A_CONVOLUTION[case]
    model = seeded(
        lambda: Net(lambda m, x: m.r(move(m.c(m.q(x)))), q=identity(), c=conv(2, 4), r=relu())
    )
    graph = checked(model, IMAGE, c=True)
    found = [name for name in copies(plan(graph)) if not name.startswith("q@")]
    assert found == expected


def test_a_vision_transformers_patches_are_not_copied() -> None:
    """Only the image is, from PyTorch's order to channels last."""

    def forward(m: Any, x: Any) -> Any:
        patches = m.patches(m.c(m.q(x)).flatten(2).transpose(1, 2))
        return m.head(m.pooled(m.tokens(m.fc(patches)).mean(1)))

    def make() -> nn.Module:
        return Net(
            forward,
            q=identity(),
            c=conv(2, 4, 3, stride=3, bias=True),
            patches=identity(),
            fc=linear(4, 6),
            tokens=plain_identity(),
            pooled=identity(),
            head=linear(6, 3),
        )

    graph = checked(seeded(make), (1, 2, 6, 6), c=True)
    assert kinds(graph) == [
        "quantize",
        "conv2d",
        "flatten",
        "permute",
        "linear",
        "mean",
        "linear_fp32",
    ]
    assert copies(plan(graph)) == ["q@0231"]


INTO_LAYERS: dict[str, Callable[..., Any]] = {
    "permute, convolution": lambda m, x: m.r(m.c(m.q(x).permute(0, 3, 2, 1))),
    "view, convolution": lambda m, x: (lambda y: m.r(m.c(y.view(y.size(0), 5, 4, 3))))(m.q(x)),
    "convolution, permute, flatten, logits": lambda m, x: m.fc(
        m.q2(m.d(m.q(x))).permute(0, 3, 1, 2).flatten(1)
    ),
    "permute, mean": lambda m, x: m.r(m.q2(m.d(m.q(x))).permute(0, 3, 1, 2).mean(2)),
    "permute, maximum": lambda m, x: F.max_pool2d(m.q2(m.d(m.q(x))).permute(0, 3, 1, 2), 2),
    "permute, average": lambda m, x: m.r(F.avg_pool2d(m.q2(m.d(m.q(x))).mT, 2, 1)),
    "permute, padding": lambda m, x: F.pad(m.q2(m.d(m.q(x))).permute(0, 2, 3, 1), (1, 0, 2, 0)),
    "permute, table": lambda m, x: m.r(m.q2(m.d(m.q(x))).permute(0, 2, 3, 1)),
    "permute, sum": lambda m, x: (lambda y: m.r(y.mT + m.q2(m.d(y)).mT))(m.q(x)),
    "permute, concatenation": lambda m, x: (
        lambda y: m.r(torch.cat([y.permute(0, 2, 3, 1), m.q2(m.d(y)).permute(0, 2, 3, 1)], 3))
    )(m.q(x)),
}


@pytest.mark.parametrize("case", one_in(2, INTO_LAYERS))
def test_moves_into_every_layer(case: str) -> None:
    model = seeded(
        lambda: Net(
            INTO_LAYERS[case],
            q=plain_identity(),
            c=conv(5, 3, 2),
            d=conv(2, 2, padding=1),
            q2=plain_identity(),
            fc=linear(60, 3),
            r=relu(),
        )
    )
    checked(model, IMAGE, c=True)


def _split(x: Any, axes: int) -> Any:
    return x.reshape(-1, *[2] * axes)


# Permutations of more axes than images have, none of which lie together.
MANY_AXES: dict[str, Callable[..., Any]] = {
    "seven, codes": lambda m, x: m.r(_split(m.q(x), 7).permute(0, 7, 5, 3, 1, 6, 4, 2).flatten(1)),
    "seven, the input": lambda m, x: m.q(_split(x, 7).permute(0, 7, 6, 5, 4, 3, 2, 1)),
    "seven, logits": lambda m, x: _split(m.fc(m.q(x)), 7).permute(0, 2, 4, 6, 1, 3, 5, 7),
    "one axis of one element": lambda m, x: m.r(
        _split(m.q(x), 7).unsqueeze(3).permute(0, 8, 6, 4, 2, 7, 5, 3, 1)
    ),
    "in two steps": lambda m, x: m.r(
        _split(m.q(x), 7).permute(0, 1, 3, 5, 7, 2, 4, 6).flatten(1, 3).permute(0, 5, 3, 1, 2, 4)
    ),
}


@pytest.mark.parametrize("case", MANY_AXES)
def test_permutations_of_many_axes(case: str) -> None:
    model = seeded(lambda: Net(MANY_AXES[case], q=plain_identity(), r=relu(), fc=linear(128, 128)))
    checked(model, (1, 128), c=True)


# Forward, whose outputs are what is tried -> number of outputs.
OUTPUTS: dict[str, tuple[Callable[..., Any], int]] = {
    "the codes of the input": (lambda m, x: m.q(x), 1),
    "two": (lambda m, x: (lambda y: (y, m.r(m.c(y))))(m.q(x)), 2),
    "the same codes twice": (lambda m, x: (lambda y: (y, y))(m.r(m.c(m.q(x)))), 2),
    "the same codes in two orders": (
        lambda m, x: (lambda y: [y, y.permute(0, 2, 3, 1), y.flatten(1)])(m.r(m.c(m.q(x)))),
        3,
    ),
    "the same logits twice": (lambda m, x: (lambda y: (y, y))(m.fc(m.q(x))), 2),
    "a dictionary with a list": (
        lambda m, x: (lambda y: {"b": y, "a": [m.r(m.c(y)), y.mT]})(m.q(x)),
        3,
    ),
    "codes and logits": (lambda m, x: (lambda y: (m.r(y), m.fc(y)))(m.q(x)), 2),
}


@pytest.mark.parametrize("case", OUTPUTS)
def test_outputs(case: str) -> None:
    forward, number = OUTPUTS[case]
    model = seeded(
        lambda: Net(forward, q=plain_identity(), c=conv(2, 3), r=relu(), fc=linear(5, 3))
    )
    graph = checked(model, IMAGE, c=True)
    assert len(graph.outputs) == number


def test_the_same_logits_are_computed_once() -> None:
    model = seeded(lambda: Net(lambda m, x: [m.fc(m.q(x))] * 2, q=identity(), fc=linear(5, 3)))
    graph = checked(model, IMAGE)
    assert kinds(graph) == ["quantize", "linear_fp32"]
    assert graph.outputs == ("fc", "fc")


def test_a_batch_that_forward_fixes() -> None:
    def forward(m: Any, x: Any) -> Any:
        return m.q(x).reshape(1, 2, 3, 2, 5, 1, 1).permute(0, 4, 2, 6, 1, 3, 5)

    checked(Net(forward, q=plain_identity()), IMAGE, fixed_batch=True, c=True)
