"""However a function is written, it is recorded under one name, and the name replays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from ares.capture import capture
from tests.capture.models import Applies, noise
from tests.capture.replaying import replay

# what is written: the function it is recorded as
SPELLINGS: list[tuple[Callable[[torch.Tensor], Any], str]] = [
    (lambda x: x + 1, "add"),
    (lambda x: 1 + x, "add"),
    (lambda x: torch.add(x, 1), "add"),
    (lambda x: x.add_(1), "add"),
    (lambda x: x.__iadd__(1), "add"),
    (lambda x: torch.ops.aten.add(x, 1), "add"),
    (lambda x: torch.ops.aten.add.Tensor(x, x), "add"),
    (lambda x: x - 1, "sub"),
    (lambda x: 1 - x, "rsub"),
    (lambda x: torch.subtract(x, 1), "sub"),
    (lambda x: 3 * x, "mul"),
    (lambda x: x.multiply_(3), "mul"),
    (lambda x: x / 3, "div"),
    (lambda x: 3 / x, "rdiv"),
    (lambda x: x.true_divide(3), "div"),
    (lambda x: x // 3, "floor_divide"),
    (lambda x: 3 // x, "rfloor_divide"),
    (lambda x: x % 3, "remainder"),
    (lambda x: 3 % x, "rremainder"),
    (lambda x: x**2, "pow"),
    (lambda x: 2**x, "rpow"),
    (lambda x: x @ x.T, "matmul"),
    (lambda x: x.__rmatmul__(x.T), "rmatmul"),
    (lambda x: -x, "neg"),
    (lambda x: abs(x), "abs"),
    (lambda x: (x > 0) & (x < 1), "bitwise_and"),
    (lambda x: ~(x > 0), "bitwise_not"),
    (lambda x: x >= 0, "ge"),
    (lambda x: torch.concat([x, x]), "cat"),
    (lambda x: x.swapaxes(0, 1), "transpose"),
    (lambda x: x.clip(0, 1), "clamp"),
    (lambda x: x.mT, "mT"),
    (lambda x: x.data, "data"),
    (lambda x: x.relu_(), "relu"),
    (lambda x: F.relu(x), "relu"),
    (lambda x: F.gelu(x), "gelu"),
    (lambda x: F.softmax(x, dim=-1), "softmax"),
    (lambda x: x[:, 1], "__getitem__"),
    (lambda x: x.mean(1), "mean"),
]


@pytest.mark.parametrize(("function", "name"), SPELLINGS)
def test_names(function: Callable[[torch.Tensor], Any], name: str) -> None:
    model = Applies(function).eval()
    flow = capture(model, noise([(2, 3)], 1))
    assert flow.problems == ()
    assert flow.nodes[-1].function == name
    (inputs,) = noise([(2, 3)], 2)
    (got,) = replay(flow, [inputs])
    assert torch.equal(got, model(inputs.clone()))
