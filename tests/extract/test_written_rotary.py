"""Rotary embeddings as people write them: tables of cos and sin, and rotate_half."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from ares.plan import plan
from tests.extract.models import (
    Net,
    calibrated,
    checked,
    copies,
    errors,
    identity,
    kinds,
    linear,
    plain_identity,
    refused,
    relu,
    seeded,
)

LENGTH, HEADS, DEPTH = 7, 3, 8
TOKENS = (1, LENGTH, HEADS * DEPTH)
SPEEDS = 100.0 ** (-torch.arange(0, DEPTH, 2) / DEPTH)
ANGLES = torch.outer(torch.arange(LENGTH).float(), SPEEDS)
TABLE = torch.cat([ANGLES, ANGLES], -1)
Function = Callable[..., Any]


def rotate_half(x: Any) -> Any:
    half = x.shape[-1] // 2
    return torch.cat((-x[..., half:], x[..., :half]), dim=-1)


def by_chunks(x: Any) -> Any:
    first, second = x.chunk(2, -1)
    return torch.cat([second.neg(), first], -1)


def _made_in_forward(m: Any, q: Any) -> Any:
    speeds = 1.0 / (100.0 ** (torch.arange(0, DEPTH, 2, dtype=q.dtype) / DEPTH))
    angles = torch.einsum("i,j->ij", torch.arange(q.shape[2], dtype=q.dtype), speeds)
    table = torch.cat((angles, angles), -1)[None, None]
    return q * table.cos() + rotate_half(q) * table.sin()


ROTATIONS: dict[str, Function] = {
    "Llama": lambda m, q: (q * m.cos) + (rotate_half(q) * m.sin),
    "chunks": lambda m, q: by_chunks(q) * m.sin + m.cos * q,
    "multiply": lambda m, q: torch.add(torch.mul(q, m.cos), torch.mul(m.sin, rotate_half(q))),
    "the other way": lambda m, q: q * m.cos - rotate_half(q) * m.sin,
    "made in forward": _made_in_forward,
    "heads behind tokens": lambda m, q: (
        (t := q.transpose(1, 2)) * m.cos.unsqueeze(1) + rotate_half(t) * m.sin.unsqueeze(1)
    ).transpose(1, 2),
}


def net(rotation: Function, **layers: nn.Module) -> nn.Module:
    def forward(m: Any, x: Any) -> Any:
        q = m.q_quant(m.q(m.x(x)).view(x.shape[0], LENGTH, HEADS, DEPTH).transpose(1, 2))
        return m.out(rotation(m, q))

    def make() -> nn.Module:
        own = {"x": identity(), "q": linear(24, 24), "q_quant": plain_identity(), "out": identity()}
        model = Net(forward, **{**own, **layers})
        model.register_buffer("cos", TABLE.cos())
        model.register_buffer("sin", TABLE.sin())
        return model

    return seeded(make)


@pytest.mark.parametrize("spelling", ROTATIONS)
def test_spellings(spelling: str) -> None:
    graph = checked(net(ROTATIONS[spelling]), TOKENS, c=True)
    (rotary,) = (operation for operation in graph.operations if operation.stem() == "rotary")
    assert rotary.halves
    assert {"mul", "add", "concat", "slice", "requantize"}.isdisjoint(kinds(graph))
    # Heads are read where they lie among the tokens; only the network's output is put in order.
    assert {name.partition("@")[0] for name in copies(plan(graph))} <= {*graph.outputs}


def test_three_axes() -> None:
    model = Net(
        lambda m, x: m.out((y := m.x(x)) * m.cos + rotate_half(y) * m.sin),
        x=plain_identity(),
        out=identity(),
    )
    model.register_buffer("cos", TABLE.cos())
    model.register_buffer("sin", TABLE.sin())
    assert kinds(checked(model, (1, LENGTH, DEPTH), c=True)).count("rotary") == 1


def _of_pairs(x: Any) -> Any:
    pairs = x.unflatten(-1, (DEPTH // 2, 2))
    return torch.cat((-pairs[..., 1:], pairs[..., :1]), -1).flatten(-2)


NEIGHBOURS: dict[str, Function] = {
    "pairs": _of_pairs,
    "GPT-J": lambda x: torch.stack((-x[..., 1::2], x[..., ::2]), -1).flatten(-2),
}


@pytest.mark.parametrize("name", NEIGHBOURS)
def test_neighbours(name: str) -> None:
    """Pairs of neighbours, put together along an axis of their own."""
    turned = NEIGHBOURS[name]
    model = net(lambda m, q: q * m.cos_2 + turned(q) * m.sin_2)
    table = ANGLES.repeat_interleave(2, -1)
    model.register_buffer("cos_2", table.cos())
    model.register_buffer("sin_2", table.sin())
    graph = checked(model, TOKENS, c=True)
    (rotary,) = (operation for operation in graph.operations if operation.stem() == "rotary")
    assert not rotary.halves


REFUSED: dict[str, tuple[Function, str, str]] = {
    "no rotation": (
        lambda m, q: q * m.cos + torch.cat([q[..., 4:], q[..., :4]], -1) * m.sin,
        "mul",
        "its constants are not one for each channel",
    ),
    "halves that turn apart": (
        lambda m, q: q * m.apart.cos() + rotate_half(q) * m.apart.sin(),
        "mul",
        "its constants are not one for each channel",
    ),
    "a table alone": (lambda m, q: q * m.cos, "mul", "quantise both, each with a QuantIdentity"),
    "a table and codes": (
        lambda m, q: q * m.cos + q,
        "mul",
        "quantise both, each with a QuantIdentity",
    ),
    "another tensor's half": (
        lambda m, q: q * m.cos + rotate_half(m.other(q.relu())) * m.sin,
        "mul",
        "its constants are not one for each channel",
    ),
    "angles of heads": (
        lambda m, q: (
            q * (m.cos * m.heads).clamp(-1, 1) + rotate_half(q) * (m.sin * m.heads).clamp(-1, 1)
        ),
        "add",
        "its angles depend on the axes [1, 2]",
    ),
    "above one": (
        lambda m, q: q * (2 * m.cos) + rotate_half(q) * (2 * m.sin),
        "add",
        "its cos or sin is above one",
    ),
    "a layer behind it": (
        lambda m, q: m.next((q * m.cos + rotate_half(q) * m.sin).flatten(2)),
        "next",
        "let a QuantIdentity follow the rotation",
    ),
    "a function behind it": (
        lambda m, q: torch.tanh(q * m.cos + rotate_half(q) * m.sin),
        "add",
        "tanh is applied to what it rotates",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    rotation, layer, message = REFUSED[name]
    model = net(rotation, other=plain_identity(), next=linear(DEPTH * LENGTH, 4))
    model.register_buffer("apart", torch.cat([ANGLES, 2 * ANGLES], -1))
    model.register_buffer("heads", torch.tensor([1.0, 0.5, 0.25]).reshape(1, HEADS, 1, 1))
    finding = refused(calibrated(model, TOKENS), TOKENS)
    assert finding.layer == layer
    assert message in str(finding), finding


def test_a_table_at_the_networks_end() -> None:
    model = Net(lambda m, x: m.x(x) * m.table, x=plain_identity())
    model.register_buffer("table", torch.arange(56.0).reshape(7, 8))
    finding = refused(calibrated(model, (1, 7, 8)), (1, 7, 8))
    assert finding.layer == "mul"
    assert "its constants are not one for each channel" in finding.reason


def test_complex_numbers() -> None:
    def rotation(m: Any, q: Any) -> Any:
        turned = torch.view_as_complex(q.unflatten(-1, (4, 2)).contiguous()) * m.cos[:, :4]
        return torch.view_as_real(turned).flatten(-2)

    found = errors(calibrated(net(rotation), TOKENS), TOKENS)
    assert "write the rotation with real numbers" in found[0].suggestion


def test_a_relu_in_its_quantiser() -> None:
    model = net(ROTATIONS["Llama"])
    model.out = relu()
    graph = checked(model, TOKENS)
    assert graph.tensor(graph.outputs[0]).lo == 0
