"""Attention as people write it: products, softmax, masks and quantisers between, in their spellings."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import brevitas.quant as bq
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ares.plan import plan
from tests.extract.models import (
    Net,
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
INF = float("inf")
Function = Callable[..., Any]


class Attention(nn.Module):
    """q, k and v of [B, T, 12] in three heads; `scores(module, q, k)` and `context(module, weights, v)` to be tried."""

    def __init__(
        self, scores: Function, context: Function, *, quantized: bool = False, **buffers: Any
    ) -> None:
        super().__init__()
        quant = identity if quantized else plain_identity
        self.x = identity()
        self.q, self.k, self.v = (linear(12, 12) for _ in range(3))
        self.q_quant, self.k_quant, self.v_quant = (quant() for _ in range(3))
        self.scores_quant = plain_identity()
        self.weights_quant = quant(act_quant=bq.Uint8ActPerTensorFloat)
        self.context_quant = identity()
        self.proj = linear(12, 12)
        self.out = identity()
        self.functions = scores, context
        for name, buffer in buffers.items():
            self.register_buffer(name, buffer)

    def forward(self, x: torch.Tensor) -> Any:
        x = self.x(x)
        q, k, v = (
            quant(layer(x).view(x.shape[0], 7, HEADS, DEPTH).transpose(1, 2))
            for layer, quant in (
                (self.q, self.q_quant),
                (self.k, self.k_quant),
                (self.v, self.v_quant),
            )
        )
        weights = self.weights_quant(self.functions[0](self, q, k))
        context = self.functions[1](self, weights, v)
        context = context.transpose(1, 2).reshape(x.shape[0], 7, 12)
        return self.out(self.proj(self.context_quant(context)))


def _softmax(m: Any, scores: Any) -> Any:
    return F.softmax(m.scores_quant(scores), dim=-1)


def _plain(m: Any, q: Any, k: Any) -> Any:
    return _softmax(m, q @ k.transpose(-2, -1) / math.sqrt(DEPTH))


def _matmul(m: Any, weights: Any, v: Any) -> Any:
    return weights @ v


CAUSAL = torch.ones(7, 7).triu(1).bool()
SCORES: dict[str, Function] = {
    "@": _plain,
    "matmul, mT, a factor": lambda m, q, k: _softmax(m, torch.matmul(q, k.mT) * DEPTH**-0.5),
    "matmul of QuantTensors": lambda m, q, k: _softmax(m, torch.matmul(q, k.transpose(-2, -1)) / 2),
    "method": lambda m, q, k: m.scores_quant(q.matmul(k.permute(0, 1, 3, 2)) / 2).softmax(-1),
    "einsum": lambda m, q, k: _softmax(m, torch.einsum("bhqd,bhkd->bhqk", q, k) / 2),
    "einsum by tokens": lambda m, q, k: _softmax(
        m, torch.einsum("bqhd,bkhd->bhqk", [q.transpose(1, 2), k.transpose(1, 2)]) / 2
    ),
    "scaled before": lambda m, q, k: _softmax(m, (q @ k.transpose(-2, -1)).div(2.0)),
    "masked_fill": lambda m, q, k: (
        m.scores_quant(q @ k.transpose(-2, -1) / 2).masked_fill(m.mask, -INF).softmax(-1)
    ),
    "mask == 0": lambda m, q, k: (
        m.scores_quant(q @ k.transpose(-2, -1) / 2)
        .masked_fill(torch.ones(7, 7).tril()[None, None] == 0, -INF)
        .softmax(-1)
    ),
    "added": lambda m, q, k: (
        m.scores_quant(q @ k.transpose(-2, -1) / 2)
        + torch.full((7, 7), -INF, dtype=torch.float64 if q.dtype == torch.float64 else None).triu(
            1
        )
    ).softmax(-1),
    "a large number added": lambda m, q, k: (
        m.scores_quant(q @ k.transpose(-2, -1) / 2) + m.mask * -1e9
    ).softmax(-1),
    "where": lambda m, q, k: torch.where(
        m.mask, -INF, m.scores_quant(q @ k.transpose(-2, -1) / 2)
    ).softmax(-1),
    "where it counts": lambda m, q, k: torch.where(
        ~m.mask, m.scores_quant(q @ k.transpose(-2, -1) / 2), -INF
    ).softmax(-1),
}
MASKED = {"masked_fill", "mask == 0", "added", "a large number added", "where", "where it counts"}
MATMULS = ["matmul", "softmax", "matmul"]


@pytest.mark.parametrize("spelling", SCORES)
def test_scores(spelling: str) -> None:
    model = seeded(lambda: Attention(SCORES[spelling], _matmul, mask=CAUSAL))
    graph = checked(model, TOKENS, c=True)
    found = [kind for kind in kinds(graph) if kind in ("matmul", "softmax")]
    assert found == MATMULS
    (softmax,) = (operation for operation in graph.operations if operation.stem() == "softmax")
    assert softmax.causal == (spelling in MASKED)


CONTEXTS: dict[str, Function] = {
    "@": _matmul,
    "matmul": lambda m, w, v: torch.matmul(w, v),
    "einsum": lambda m, w, v: torch.einsum("bhqk,bhkd->bhqd", w, v),
    "einsum to tokens": lambda m, w, v: torch.einsum(
        "bhqk,bkhd->bqhd", w, v.transpose(1, 2)
    ).transpose(1, 2),
    "dropout": lambda m, w, v: F.dropout(w, 0.1, m.training) @ v,
}


@pytest.mark.parametrize("spelling", CONTEXTS)
def test_contexts(spelling: str) -> None:
    model = seeded(lambda: Attention(_plain, CONTEXTS[spelling]))
    graph = checked(model, TOKENS, c=True)
    assert [kind for kind in kinds(graph) if kind in ("matmul", "softmax")] == MATMULS


def test_heads_are_read_where_they_lie() -> None:
    """No byte is copied between the projections: heads are strides of the tokens."""
    model = seeded(lambda: Attention(_plain, _matmul))
    graph = checked(model, TOKENS)
    assert copies(plan(graph)) == []


def test_quant_tensors() -> None:
    """Brevitas' QuantTensor knows torch.matmul, but no `@`."""
    functions = SCORES["matmul of QuantTensors"], CONTEXTS["matmul"]
    model = seeded(lambda: Attention(*functions, quantized=True))
    graph = checked(model, TOKENS, c=True)
    assert [kind for kind in kinds(graph) if kind in ("matmul", "softmax")] == MATMULS


def _unsigned() -> nn.Module:
    return plain_identity(act_quant=bq.Uint8ActPerTensorFloat)


def _fixed() -> nn.Module:
    """A quantiser whose scale does not follow a mask of minus infinity."""
    return plain_identity(
        act_quant=bq.Int8ActPerTensorFloat,
        scaling_impl_type="const",
        scaling_stats_op=None,
        max_val=4.0,
        min_val=-4.0,
    )


def _rank_3(scores: Function, **buffers: Any) -> nn.Module:
    """One head of [B, T, 12]."""

    def forward(m: Any, x: Any) -> Any:
        q, k, v = m.q(x), m.k(x), m.v(x)
        weights = m.weights(F.softmax(scores(m, q, k), dim=2))
        return m.out(torch.bmm(weights, v))

    model = Net(
        forward,
        q=plain_identity(),
        k=plain_identity(),
        v=plain_identity(),
        s=plain_identity(),
        fixed=_fixed(),
        weights=_unsigned(),
        out=identity(),
    )
    for name, buffer in buffers.items():
        model.register_buffer(name, buffer)
    return model


KEYS = torch.tensor([0.0, 0.0, -INF, 0.0, 0.0, -INF, 0.0])
BAND = torch.where((torch.arange(7)[:, None] - torch.arange(7)).abs() > 2, -INF, 0.0)
BEFORE: dict[str, tuple[Function, dict[str, Any]]] = {
    "baddbmm": (
        lambda m, q, k: m.fixed(torch.baddbmm(m.mask, q, k.mT, alpha=0.3)),
        {"mask": BAND[None]},
    ),
    "baddbmm without": (
        lambda m, q, k: m.fixed(torch.baddbmm(m.mask, q, k.mT, beta=0)),
        {"mask": BAND[None]},
    ),
    "added": (lambda m, q, k: m.fixed(torch.bmm(q, k.mT) / 3 + m.mask), {"mask": BAND}),
    "a large number added": (
        lambda m, q, k: m.fixed(m.mask + torch.bmm(q, k.mT)),
        {"mask": BAND.clamp(min=-1e9)},
    ),
    "masked_fill": (
        lambda m, q, k: m.fixed((q @ k.mT).masked_fill(m.mask, -1e4)),
        {"mask": BAND < 0},
    ),
    "keys": (lambda m, q, k: m.fixed(q @ k.mT + m.mask), {"mask": KEYS}),
}


@pytest.mark.parametrize("name", BEFORE)
def test_masks_in_front_of_the_quantiser_are_its_smallest_code(name: str) -> None:
    scores, buffers = BEFORE[name]
    model = seeded(lambda: _rank_3(scores, **buffers))
    graph = checked(model, (1, 7, 5), c=True)
    mask = [] if name == "baddbmm without" else ["constant", "add"]
    expected = [*["quantize"] * 3, "permute", "matmul", *mask, "softmax", "matmul"]
    assert sorted(kinds(graph)) == sorted(expected)


AFTER: dict[str, tuple[Function, dict[str, Any], int]] = {
    "keys": (lambda m, q, k: m.s(q @ k.mT) + m.mask, {"mask": KEYS}, 1),
    "a band": (lambda m, q, k: m.s(q @ k.mT) + m.mask, {"mask": BAND}, 7),
    "as Swin has it": (
        lambda m, q, k: m.s(q @ k.mT) + m.mask,
        {"mask": BAND.clamp(min=-100.0)},
        7,
    ),
    "both": (
        lambda m, q, k: (m.s(q @ k.mT) + m.mask).masked_fill(m.keys, -INF),
        {"mask": BAND, "keys": torch.arange(7)[None, None] == 4},
        7,
    ),
}


@pytest.mark.parametrize("name", AFTER)
def test_masks_behind_the_quantiser_weigh_zero(name: str) -> None:
    scores, buffers, rows = AFTER[name]
    model = seeded(lambda: _rank_3(scores, **buffers))
    graph = checked(model, (1, 7, 5), c=True)
    (softmax,) = (operation for operation in graph.operations if operation.stem() == "softmax")
    assert len(softmax.kept) == rows


WITHOUT: dict[str, tuple[Function, dict[str, Any], int]] = {
    "as it is": (lambda m, q, k: q @ k.mT, {}, 0),
    "scaled": (lambda m, q, k: torch.bmm(q, k.mT) / math.sqrt(5), {}, 0),
    "a number for all": (lambda m, q, k: q @ k.mT * 0.5 + 3.0, {}, 0),
    "masked": (lambda m, q, k: (q @ k.mT / 3).masked_fill(m.mask, -INF), {"mask": BAND < 0}, 7),
    "causal": (
        lambda m, q, k: (q @ k.mT / 3).masked_fill(m.mask, torch.finfo(q.dtype).min),
        {"mask": CAUSAL},
        7,
    ),
    "keys, added": (lambda m, q, k: torch.baddbmm(m.mask, q, k.mT), {"mask": KEYS[None, None]}, 1),
    "twice": (
        lambda m, q, k: (q @ k.mT + m.mask).masked_fill(m.keys, -1e9),
        {"mask": BAND, "keys": torch.arange(7)[None, None] == 4},
        7,
    ),
    "einsum": (lambda m, q, k: torch.einsum("bqd,bkd->bqk", q, k) * 0.3, {}, 0),
}


@pytest.mark.parametrize("name", WITHOUT)
def test_softmax_right_behind_the_product(name: str) -> None:
    """Nothing is rounded between: both are one operation."""
    scores, buffers, rows = WITHOUT[name]
    graph = checked(seeded(lambda: _rank_3(scores, **buffers)), (1, 7, 5), c=True)
    assert {"softmax"}.isdisjoint(kinds(graph))
    (operation,) = (o for o in graph.operations if o.stem() == "matmul_softmax")
    own: Any = operation
    assert len(own.kept) == rows


def test_windows_have_another_axis() -> None:
    """[B, windows, heads, tokens, features], as in Swin; the same keys for all windows."""

    def forward(m: Any, x: Any) -> Any:
        q = m.q(x).view(x.shape[0], 2, 4, 3, 5).transpose(2, 3)
        weights = m.weights(m.s(q @ q.transpose(-2, -1)).softmax(-1))
        context = m.out(weights @ q).transpose(2, 3).reshape(x.shape[0], 8, 15)
        return m.last(context @ m.keys(x)[:, :1].transpose(1, 2))

    model = Net(
        forward,
        q=plain_identity(),
        s=plain_identity(),
        keys=plain_identity(),
        weights=_unsigned(),
        out=plain_identity(),
        last=identity(),
    )
    graph = checked(seeded(lambda: model), (1, 8, 15), c=True)
    assert kinds(graph).count("matmul") == 3


def _refused(forward: Function, **layers: nn.Module) -> str:
    own: dict[str, nn.Module] = {"q": plain_identity(), "out": identity(), **layers}
    model = seeded(lambda: Net(forward, **own))
    model.register_buffer("table", torch.ones(1, 5, 5))
    model.register_buffer("row", torch.tensor([[1.0, 0, 0, 0, 0, 0, 0]]))
    return str(refused(calibrated(model, (1, 7, 5)), (1, 7, 5)))


REFUSED: dict[str, tuple[Function, str]] = {
    "a real factor": (
        lambda m, x: m.out(m.l(m.q(x)) @ m.q(x).mT),
        "its first factor is the real output of l (QuantLinear), which is not quantised; insert a QuantIdentity",
    ),
    "weights without a quantiser": (
        lambda m, x: m.out(m.q(x).mT.softmax(-1) @ m.q(x)),
        "put a QuantIdentity after it, unsigned (act_quant=Uint8ActPerTensorFloat)",
    ),
    "a function of scores": (
        lambda m, x: m.out(F.gelu(m.q(x) @ m.q(x).mT).softmax(-1)),
        "its input is the product matmul, which is not quantised; put a QuantIdentity before softmax",
    ),
    "scores turned around": (
        lambda m, x: m.out((m.q(x) @ m.q(x).mT * -0.5).softmax(-1)),
        "its input is the product matmul, which is not quantised; put a QuantIdentity before softmax",
    ),
    "a number added to scores": (
        lambda m, x: m.out((m.q(x) @ m.q(x).mT + m.row * -60).softmax(-1)),
        "or with a number that is not below all scores; put a QuantIdentity before the mask, and mask",
    ),
    "a constant factor": (
        lambda m, x: m.out(m.q(x) @ m.table),
        "its second factor is a constant of the model; with weights use a QuantLinear",
    ),
    "a tensor added by baddbmm": (
        lambda m, x: m.out(torch.baddbmm(m.q(x) @ m.q(x).mT, m.q(x), m.q(x).mT)),
        "it adds a tensor of the network to a product",
    ),
    "einsum of one": (
        lambda m, x: m.out(torch.einsum("bij->bji", m.q(x))),
        "write it as products of two tensors",
    ),
    "einsum of weights": (
        lambda m, x: m.out(torch.einsum("bij,kj->bik", m.q(x), m.table[0])),
        "sum over one letter",
    ),
    "a function of masked scores": (
        lambda m, x: m.out(F.relu(m.q(x).masked_fill(m.table[0, 0] > 0, -INF))),
        "relu is applied to masked scores; mask the scores last",
    ),
    "another fill": (
        lambda m, x: m.out(m.q(x).masked_fill(m.table[0, 0] > 0, 0.0)),
        "it fills in 0; multiply by a constant mask to make values zero",
    ),
    "a mask that is near": (
        lambda m, x: m.out((m.far(m.q(x)) + m.table[0, :1].tril() * -1001.0).softmax(-1)),
        "its mask of -1001 is not far from scores of",
    ),
    "masked codes that are cut": (
        lambda m, x: m.out(m.q(x).masked_fill(torch.arange(5) > 2, -INF)[:, 2:].softmax(-1)),
        "its scores are cut or repeated behind their mask; take the parts of the scores",
    ),
    "masked codes that are repeated": (
        lambda m, x: m.out(
            m.q(x).masked_fill(m.table[0, :1].tril() == 0, -INF).repeat(1, 2, 1).softmax(-1)
        ),
        "its scores are cut or repeated behind their mask",
    ),
    "nothing left": (
        lambda m, x: m.out(m.q(x).masked_fill(m.table[0, 0] > 0, -1e9).softmax(-1)),
        "its mask leaves a row without any key; let every query see one key at least",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    forward, message = REFUSED[name]
    layers: dict[str, nn.Module] = {"l": linear(5, 5)}
    if name == "a mask that is near":
        layers["far"] = plain_identity(
            scaling_impl_type="const", scaling_stats_op=None, max_val=900.0, min_val=-900.0
        )
    found = _refused(forward, **layers)
    assert message in found, found
