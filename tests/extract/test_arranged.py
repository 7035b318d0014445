"""Tensors whose batch is not the first axis on the way: as timm, CLIP, Swin and fairseq write attention."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import brevitas.nn as qnn
import brevitas.quant as bq
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ares.nn import QuantAdd
from ares.plan import plan
from tests.extract.models import (
    Net,
    Shape,
    calibrated,
    checked,
    copies,
    identity,
    kinds,
    linear,
    plain_identity,
    refused,
    seeded,
)

TOKENS = (1, 7, 12)
HEADS, DEPTH = 3, 4
Function = Callable[..., Any]


def weights() -> nn.Module:
    return plain_identity(act_quant=bq.Uint8ActPerTensorFloat)


def net(forward: Function, **layers: Callable[[], nn.Module]) -> nn.Module:
    own: dict[str, Callable[[], nn.Module]] = {
        "x": plain_identity,
        "qkv": lambda: linear(12, 36),
        "q_qkv": plain_identity,
        "q_s": plain_identity,
        "q_w": weights,
        "q_c": plain_identity,
        "proj": lambda: linear(12, 12),
        "out": identity,
        **layers,
    }
    return seeded(lambda: Net(forward, **{name: make() for name, make in own.items()}))


def attend(m: Any, q: Any, k: Any, v: Any) -> Any:
    scores = m.q_s(q @ k.transpose(-2, -1) / math.sqrt(DEPTH))
    return m.q_w(scores.softmax(-1)) @ v


def timm(take: Function, quantize: Function) -> Function:
    def forward(m: Any, x: Any) -> Any:
        batch, tokens, width = x.shape
        qkv = quantize(
            m, m.qkv(m.x(x)).reshape(batch, tokens, 3, HEADS, DEPTH).permute(2, 0, 3, 1, 4)
        )
        context = attend(m, *take(qkv)).transpose(1, 2).reshape(batch, tokens, width)
        return m.out(m.proj(m.q_c(context)))

    return forward


TIMM: dict[str, Function] = {
    "unbind": timm(lambda qkv: qkv.unbind(0), lambda m, qkv: m.q_qkv(qkv)),
    "index": timm(lambda qkv: (qkv[0], qkv[1], qkv[2]), lambda m, qkv: m.q_qkv(qkv)),
    "iterated": timm(lambda qkv: [*qkv], lambda m, qkv: m.q_qkv(qkv)),
    "select": timm(
        lambda qkv: [qkv.select(0, i) for i in range(3)], lambda m, qkv: m.q_qkv(qkv.contiguous())
    ),
    "scaled": timm(lambda qkv: qkv.unbind(0), lambda m, qkv: m.q_qkv(qkv * 0.5)),
}


@pytest.mark.parametrize("name", TIMM)
def test_one_projection_for_three(name: str) -> None:
    graph = checked(net(TIMM[name]), TOKENS, c=True)
    assert kinds(graph).count("matmul") == 2
    # A head's part lies among the others: of the third only what the products want in order is copied.
    assert len(copies(plan(graph))) <= 3


def test_quantised_before_the_axes_are_moved() -> None:
    def forward(m: Any, x: Any) -> Any:
        batch, tokens, _ = x.shape
        qkv = m.q_qkv(m.qkv(m.x(x))).view(batch, tokens, 3, HEADS, DEPTH).permute(2, 0, 3, 1, 4)
        context = attend(m, *qkv.unbind(0)).transpose(1, 2).flatten(2)
        return m.out(m.proj(m.q_c(context)))

    graph = checked(net(forward), TOKENS, c=True)
    assert kinds(graph).count("matmul") == 2


def by_heads(m: Any, x: Any) -> Any:
    """Batch and heads as one axis, for bmm."""
    batch, tokens, width = x.shape
    q, k, v = (
        part.reshape(batch, tokens, HEADS, DEPTH)
        .transpose(1, 2)
        .reshape(batch * HEADS, tokens, DEPTH)
        for part in m.q_qkv(m.qkv(m.x(x))).chunk(3, -1)
    )
    scores = m.q_s(torch.bmm(q, k.transpose(1, 2)) / 2)
    shares = m.q_w(
        F.dropout(F.softmax(scores.masked_fill(m.future, -math.inf), dim=-1), 0.1, False)
    )
    context = m.q_c(torch.bmm(shares, v))
    context = (
        context.view(batch, HEADS, tokens, DEPTH).transpose(1, 2).reshape(batch, tokens, width)
    )
    return m.out(m.proj(context))


def test_heads_that_are_one_axis_with_the_batch() -> None:
    model = net(by_heads)
    model.register_buffer("future", torch.ones(7, 7).triu(1).bool())
    graph = checked(model, TOKENS, c=True)
    (softmax,) = (operation for operation in graph.operations if operation.stem() == "softmax")
    operation: Any = softmax
    assert operation.causal


def test_a_block_of_clip() -> None:
    """Tokens, batch, features all through the block."""

    def forward(m: Any, x: Any) -> Any:
        x = m.x(x).permute(1, 0, 2)
        y = m.q_norm(m.norm(x))
        x = m.q_sum(x + m.q_attn(m.attn(y, y, y, need_weights=False)[0]))
        y = m.q_up(F.gelu(m.up(m.q_norm2(m.norm2(x)))))
        return m.out(m.add(x, m.q_down(m.down(y))).permute(1, 0, 2))

    model = net(
        forward,
        norm=lambda: nn.LayerNorm(12),
        q_norm=plain_identity,
        attn=lambda: qnn.QuantMultiheadAttention(
            12, HEADS, softmax_input_quant=bq.Int8ActPerTensorFloat
        ),
        q_attn=plain_identity,
        q_sum=plain_identity,
        norm2=lambda: nn.LayerNorm(12),
        q_norm2=plain_identity,
        up=lambda: linear(12, 20),
        q_up=plain_identity,
        down=lambda: linear(20, 12),
        q_down=plain_identity,
        add=lambda: QuantAdd(return_quant_tensor=False),
    )
    graph = checked(model, TOKENS, c=True)
    assert kinds(graph).count("layer_norm") == 2
    assert [composite.name for composite in graph.composites] == ["attn"]


def windows(m: Any, x: Any) -> Any:
    """Attention inside windows of 2 x 2 of a map of 4 x 6, as Swin has it."""
    batch, height, width, features = x.shape
    x = m.x(x).view(batch, height // 2, 2, width // 2, 2, features)
    x = x.permute(0, 1, 3, 2, 4, 5).contiguous().view(-1, 2, 2, features).view(-1, 4, features)
    qkv = m.q_qkv(m.qkv(x)).reshape(-1, 4, 3, HEADS, DEPTH)
    q, k, v = (qkv.select(2, i).transpose(1, 2) for i in range(3))
    context = attend(m, q, k, v).transpose(1, 2).reshape(-1, 4, features)
    y = m.q_p(m.proj(m.q_c(context))).view(-1, 2, 2, features)
    y = y.view(batch, height // 2, width // 2, 2, 2, features).permute(0, 1, 3, 2, 4, 5)
    return m.out(y.reshape(batch, height, width, features))


def test_windows() -> None:
    graph = checked(net(windows, q_p=plain_identity), (1, 4, 6, 12), c=True)
    assert kinds(graph).count("matmul") == 2


def in_parts(m: Any, x: Any) -> Any:
    """Queries, keys and values of tokens that have their batch second; the layers around see rows of tokens."""
    batch, tokens, width = x.shape
    rows = m.q_p(m.proj(m.x(x).view(-1, width))).view(batch, tokens, width)
    q, k, v = m.q_qkv(m.qkv(rows.transpose(0, 1))).chunk(3, dim=-1)
    q, k, v = (part.transpose(0, 1) for part in (q, k, v))
    return m.out(attend(m, q, k, v))


def test_parts_and_rows() -> None:
    graph = checked(net(in_parts, q_p=plain_identity), TOKENS, c=True)
    assert kinds(graph).count("matmul") == 2


REFUSED: dict[str, tuple[Function, Shape, str, str]] = {
    "quantised, then the output": (
        lambda m, x: m.out(m.x(x).transpose(0, 1)),
        TOKENS,
        "out",
        "the network's output is a tensor whose batch is not its first dimension",
    ),
    "a layer of images": (
        lambda m, x: m.out(F.max_pool2d(m.x(x).transpose(0, 1), 2)),
        (1, 2, 4, 4),
        "transpose",
        "it gives a tensor whose batch is not its first dimension",
    ),
    "softmax over the batch": (
        lambda m, x: m.out(m.x(x).transpose(0, 1).softmax(1).transpose(0, 1)),
        TOKENS,
        "softmax",
        "it runs over dim=1 of [7, 1, 12]",
    ),
    "different places": (
        lambda m, x: m.out((m.x(x).transpose(0, 1) + m.x(x)).transpose(0, 1)),
        (1, 1, 12),
        "add",
        "its operands have their batch in different places",
    ),
    "a sample taken": (
        lambda m, x: m.out(m.x(x).transpose(0, 1)[:, 0]),
        TOKENS,
        "__getitem__",
        "x[i] alone may take the first dimension apart",
    ),
    "mixed": (
        lambda m, x: m.out(m.x(x).transpose(0, 1).reshape(1, 84)),
        TOKENS,
        "reshape",
        "it views [7, 1, 12] as [1, 84]",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    forward, shape, layer, message = REFUSED[name]
    model = Net(forward, x=plain_identity(), out=identity())
    finding = refused(calibrated(model, shape), shape)
    assert message in str(finding), finding
    assert finding.layer == layer


def test_one_quantiser_for_both_orders() -> None:
    """Each of its calls is judged in the order that it has the axes in."""
    model = net(
        lambda m, x: m.out(m.proj(m.x(m.proj(m.x(x)).transpose(0, 1)).transpose(0, 1))),
    )
    assert kinds(checked(model, TOKENS, c=True)) == ["quantize", "linear", "linear"]


def test_real_values_wait_through_it() -> None:
    """A layer's result is quantised where its batch is back."""
    model = net(
        lambda m, x: m.out(m.proj(m.x(x).transpose(0, 1)).relu().transpose(0, 1)),
    )
    assert kinds(checked(model, TOKENS, c=True)) == ["quantize", "linear"]
