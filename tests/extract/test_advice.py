"""Advice works when it is followed: what is refused, what is said, and the model that it makes of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import brevitas.quant as bq
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ares.extract._migration import _ADVICE, advice
from ares.extract._registry import known_names
from ares.nn import QuantConcatenate, QuantMul
from tests.extract.behind import VECTOR, behind, trained
from tests.extract.models import (
    IMAGE,
    TOKENS,
    Net,
    Shape,
    checked,
    errors,
    linear,
    plain_identity,
)
from tests.slow import one_in

Forward = Callable[[Any, Any], Any]


@dataclass(frozen=True, slots=True)
class Case:
    """`before` is refused at `layer`, in words with `says`; `after` is the same, or what is offered instead."""

    before: Forward
    layer: str
    says: str
    after: Forward
    shape: Shape = IMAGE
    same: bool = True


LAYERS: dict[str, Callable[[], nn.Module]] = {
    "q3": plain_identity,
    "q4": plain_identity,
    "instance": lambda: nn.InstanceNorm2d(2, track_running_stats=True),
    "rrelu": lambda: nn.RReLU(0.125, 0.375),
    "glu": lambda: nn.GLU(1),
    "product": QuantMul,
    "join": lambda: QuantConcatenate(dim=1),
    "norm3d": lambda: nn.BatchNorm3d(2),
    "norm2d": lambda: nn.BatchNorm2d(2),
    "norm1d": lambda: nn.BatchNorm1d(2),
    "up": lambda: nn.Upsample(scale_factor=2, mode="bicubic"),
    "nearest": lambda: nn.Upsample(scale_factor=2),
    "around": lambda: nn.CircularPad2d((1, 2, 0, 1)),
    "weights": lambda: plain_identity(act_quant=bq.Uint8ActPerTensorFloat),
}
CASES: dict[str, Case] = {
    "BatchNorm2d": Case(
        lambda m, y: m.norm2d(y + y),
        *("norm2d", "put a QuantIdentity before it, which makes it an operation on codes"),
        lambda m, y: m.norm2d(m.q3(y + y)),
        same=False,
    ),
    "BatchNorm3d": Case(
        lambda m, y: m.norm3d(y),
        *("norm3d", "nn.BatchNorm2d of x.flatten(3) computes the same"),
        lambda m, y: m.norm2d(y.flatten(3)),
        shape=(1, 2, 3, 4, 5),
    ),
    "InstanceNorm2d": Case(
        lambda m, y: m.instance(y),
        *("instance", "use nn.BatchNorm2d, which computes the same"),
        lambda m, y: m.norm2d(m.q3(y)),
        same=False,
    ),
    "scaled_dot_product_attention": Case(
        lambda m, y: F.scaled_dot_product_attention(y, y, y),
        *("scaled_dot_product_attention", "write it out: quant_context(quant_weights("),
        lambda m, y: m.weights((y @ y.transpose(-2, -1) / math.sqrt(6)).softmax(-1)) @ y,
        shape=TOKENS,
        same=False,
    ),
    "Upsample": Case(
        lambda m, y: m.up(y),
        *("up", "use mode='nearest' or 'bilinear'"),
        lambda m, y: m.nearest(y),
        same=False,
    ),
    "CircularPad2d": Case(
        lambda m, y: m.around(y),
        *("around", "torch.nn.functional.pad(x, padding, mode='circular')"),
        lambda m, y: F.pad(y, (1, 2, 0, 1), mode="circular"),
    ),
    "hstack": Case(
        lambda m, y: torch.hstack([y, y]),
        *("hstack", "torch.cat with its dim"),
        lambda m, y: torch.cat([y, y], dim=1),
    ),
    "index_select": Case(
        lambda m, y: y.index_select(3, torch.tensor([0, 2, 4])),
        *("index_select", "with slices"),
        lambda m, y: y[..., ::2],
    ),
    "where": Case(
        lambda m, y: torch.where(y > 0, y, y * 0.25),
        *("where", "F.leaky_relu"),
        lambda m, y: F.leaky_relu(y, 0.25),
    ),
    "masked_fill": Case(
        lambda m, y: y.masked_fill(torch.tensor([[[True]], [[False]]]), 0.0),
        *("masked_fill", "multiply by a constant mask to make values zero"),
        lambda m, y: y * torch.tensor([[[0.0]], [[1.0]]], dtype=y.dtype),
    ),
    "pow": Case(
        lambda m, y: y**3,
        *("pow", "x * x * x"),
        lambda m, y: m.q3(y * y) * y,
        same=False,
    ),
    "RReLU": Case(
        lambda m, y: m.rrelu(y),
        *("rrelu", "(lower + upper) / 2"),
        lambda m, y: F.leaky_relu(y, 0.25),
        same=False,
    ),
    "GLU": Case(
        lambda m, y: m.glu(y),
        *("glu", "a, b = x.chunk(2, dim)"),
        lambda m, y: (lambda a, b: m.product(a, m.q3(torch.sigmoid(b))))(*y.chunk(2, 1)),
        same=False,
    ),
    "floor_divide": Case(
        lambda m, y: y // 2,
        *("floor_divide", "the next quantiser rounds"),
        lambda m, y: y / 2,
        same=False,
    ),
    "amax": Case(
        lambda m, y: y.amax((1, 2, 3), keepdim=True),
        *("amax", "x.flatten(1).unsqueeze(1).amax(2)"),
        lambda m, y: y.flatten(1).unsqueeze(1).amax(2),
    ),
    "written elements": Case(
        lambda m, y: _written(y),
        *("__setitem__", "torch.cat"),
        lambda m, y: torch.cat([y[:, :1] * 0, y[:, 1:]], 1),
    ),
}  # fmt: skip


def _written(y: Any) -> Any:
    y = y.clone()
    y[:, 0] = 0.0
    return y


@pytest.mark.parametrize("name", one_in(3, CASES))
def test_advice(name: str) -> None:
    case = CASES[name]
    found = errors(trained(behind(case.before, **LAYERS), case.shape), case.shape)
    said = {finding.layer: finding.suggestion for finding in found}
    assert case.says in said[case.layer], found
    # Whatever else is refused is a neighbour with the same words: `y > 0` beside torch.where.
    assert set(said.values()) == {said[case.layer]}, found
    after = trained(behind(case.after, **LAYERS), case.shape)
    checked(after, case.shape, calibrate=False, fixed_batch=False)
    if case.same:
        _assert_same(case, after)


def _assert_same(case: Case, model: Any) -> None:
    """Both give the same codes, in the model that `after` is."""
    draw = torch.Generator().manual_seed(2)
    y = torch.round(8.0 * torch.randn(3, *case.shape[1:], generator=draw)) / 8.0
    model.norm3d.load_state_dict(model.norm2d.state_dict())
    with torch.no_grad():
        before, after = (model.q2(forward(model, y)) for forward in (case.before, case.after))
        assert torch.equal(before.value, after.value.reshape(before.value.shape))


HEADS: dict[str, Callable[[Any], Any]] = {
    "log_softmax": lambda y: F.log_softmax(y, -1),
    "argmax": lambda y: y.argmax(-1),
    "topk": lambda y: y.topk(2)[0],
}


@pytest.mark.parametrize("name", HEADS)
def test_what_belongs_behind_the_network(name: str) -> None:
    def network(end: Callable[[Any], Any]) -> Callable[[], nn.Module]:
        return lambda: Net(lambda m, x: end(m.f(m.q(x))), q=plain_identity(), f=linear(6, 4))

    (finding,) = errors(trained(network(HEADS[name]), VECTOR), VECTOR)
    assert finding.layer == name
    assert finding.suggestion == (
        "outside the network: return what it is applied to, and apply it to the outputs on the host"
    )
    checked(trained(network(lambda y: y), VECTOR), VECTOR, calibrate=False)


def test_a_name_has_one_advice_and_no_detector() -> None:
    """BatchNorm1d and BatchNorm2d are known; theirs is the advice for where nothing can take them."""
    names = [name for row, _ in _ADVICE for name in row]
    assert len(names) == len(set(names))
    both = set(names) & set(known_names())
    assert both <= {"BatchNorm1d", "BatchNorm2d", "SyncBatchNorm", "batch_norm"}, both
    for row, text in _ADVICE:
        assert {advice(name) for name in row} == {text}
