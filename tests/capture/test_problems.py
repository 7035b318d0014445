"""What cannot be recorded is a named problem; harmless code is none."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ares.capture import PROBLEM_KINDS, capture, structural_changes
from tests.capture.models import Branches, Holder, calibrated, linear, noise
from tests.capture.replaying import replay, tensors_of, value_of


class Opaque:
    def __init__(self, tensor: torch.Tensor) -> None:
        self.tensor = tensor


class Rounds(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return x.round()


def through_a_view(m: Any, x: torch.Tensor) -> Any:
    y = m.fc(x)
    y[:, 0].zero_()
    return y


def through_data(m: Any, x: torch.Tensor) -> Any:
    y = m.fc(x)
    y.data.mul_(2)
    return y


def after_a_view(m: Any, x: torch.Tensor) -> Any:
    y = m.fc(x)
    z = y.view(-1)
    y += 1
    return z * 2


def leaf_writes(m: Any, x: torch.Tensor) -> Any:
    y = m.fc(x)
    rows = y.unbind(0)
    m.relu(y)
    return rows[0] - 1


def assigns(m: Any, x: torch.Tensor) -> Any:
    m.count = m.count + 1
    return x * 2


def sets_data(m: Any, x: torch.Tensor) -> Any:
    y, z = m.fc(x), x * 2
    y.data = z
    return y + z


def sets_weight(m: Any, x: torch.Tensor) -> Any:
    m.count.data = torch.ones(4)
    return x * 2


def to_generator(m: Any, x: torch.Tensor) -> Any:
    return x + torch.rand(4, generator=torch.Generator().manual_seed(1))


def under_autocast(m: Any, x: torch.Tensor) -> Any:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return m.fc(m.fc(x))


# function of Holder and x, kind, part of the message
FAULTS: list[tuple[Callable[[Any, torch.Tensor], Any], str, str]] = [
    (lambda m, x: m.fc(x) if x.mean() > 0 else x, "data_dependent", "'__bool__' hands to Python"),
    (lambda m, x: x * m.fc(x).max().item(), "data_dependent", "'item'"),
    (lambda m, x: x * float(x.sum()), "data_dependent", "'__float__'"),
    (lambda m, x: x * int(x.sum()), "data_dependent", "'__int__'"),
    (lambda m, x: x[[1, 0][x.argmax() % 2]], "data_dependent", "'__index__'"),
    (lambda m, x: x * x.tolist()[0][0], "data_dependent", "'tolist'"),
    (lambda m, x: x * torch.from_numpy(x.numpy()), "data_dependent", "'numpy'"),
    (lambda m, x: x * torch.tensor(np.asarray(x)), "data_dependent", "'__array__'"),
    (lambda m, x: x * 2 if 3.0 in x else x, "data_dependent", "'__contains__'"),
    (lambda m, x: x if torch.equal(x, -x) else x + 1, "data_dependent", "'equal'"),
    (lambda m, x: x if m.inp(x).value.sum().is_nonzero() else -x, "data_dependent", "'is_nonzero'"),
    (lambda m, x: x * m.scripted(x).sum().item(), "data_dependent", "values of :sum#0"),
    (lambda m, x: x * x[x > 0].shape[0], "data_dependent", "shape of :__getitem__#0"),
    (lambda m, x: x * x.nonzero().shape[0], "data_dependent", "shape of :nonzero#0"),
    (lambda m, x: x[: x.argmax() % 2 + 1], "data_dependent", "shape of :__getitem__#0"),
    (lambda m, x: x + 1 if torch.rand(1) > 2 else x, "data_dependent", "'__bool__'"),
    (under_autocast, "autocast", "fc#0 runs under torch.autocast (bfloat16)"),
    (lambda m, x: x.half().float(), "reduced_precision", ":half#0 computes in float16"),
    (lambda m, x: x + torch.randn(4), "random", "'randn' draws"),
    (lambda m, x: x + torch.rand_like(x), "random", "'rand_like' draws"),
    (lambda m, x: x + torch.empty(4).uniform_(), "random", "'uniform' draws"),
    (lambda m, x: F.dropout(x, 0.5), "random", "'dropout' draws"),
    (lambda m, x: torch.bernoulli(x.sigmoid()), "random", "'bernoulli' draws"),
    (to_generator, "random", "'rand' draws"),
    (through_a_view, "inplace_view", "output '0' was changed in place through another"),
    (through_data, "inplace_view", "output '0' was changed in place through another"),
    (after_a_view, "inplace_view", ":view#0 is used after it was changed in place"),
    (leaf_writes, "inplace_view", ":unbind#0 is used after it was changed in place"),
    (lambda m, x: x + m.count.add_(1), "inplace_state", ":add#0 writes into 'count'"),
    (lambda m, x: x + m.count[1:].fill_(1)[0], "inplace_state", ":fill#0 writes into 'count'"),
    (sets_weight, "inplace_state", ":set_data#0 writes into 'count'"),
    (assigns, "inplace_state", "forward assigned 'count' anew"),
    (lambda m, x: x * m.plain, "unknown_origin", "plain is a plain tensor attribute"),
    (lambda m, x: x + torch.Tensor([1.0]), "unknown_origin", "no recorded operation computed"),
    (lambda m, x: x + m.scripted(x), "unknown_origin", "no recorded operation computed"),
    (lambda m, x: m.scripted(x), "unknown_origin", "the output uses a tensor that no recorded"),
    (
        lambda m, x: F.linear(x, m.listed[0].weight),
        "unknown_origin",
        "a parameter that no module registers",
    ),
    (
        lambda m, x: m.listed[0](x),
        "unregistered",
        "a Linear is held in the plain container listed",
    ),
    (lambda m, x: m.listed[0](input=x), "unregistered", "in the plain container listed"),
    (lambda m, x: nn.Linear(4, 4)(x), "made_in_forward", "a Linear is made anew in forward"),
    (
        lambda m, x: nn.Sequential(nn.GELU(), linear(4, 4))(x),
        "made_in_forward",
        "a Sequential is made",
    ),
    (lambda m, x: m.fc.forward(x), "bypassed_leaf", "uses 'fc.input_quant."),
    (lambda m, x: F.linear(x, m.fc.weight), "bypassed_leaf", "'fc.weight' of a layer"),
    (
        lambda m, x: F.linear(x, m.fc.quant_weight().value),
        "bypassed_leaf",
        "'fc.weight' of a layer",
    ),
    (lambda m, x: m.doubled(x), "bypassed_leaf", "'doubled.weight' of a layer"),
    (lambda m, x: (x + 1, Opaque(x)), "unsupported_output", "forward returns a Opaque"),
    (lambda m, x: None, "unsupported_output", "forward returns no tensor"),
]


@pytest.mark.parametrize(("function", "kind", "message"), FAULTS)
def test_problems(function: Callable[[Any, torch.Tensor], Any], kind: str, message: str) -> None:
    model = calibrated(Holder(lambda m, x: m.fc(m.inp(x).value) + m.doubled(x)), (3, 4))
    model.function = function
    flow = capture(model, noise([(3, 4)], 1))
    (found,) = {(p.kind, p.message) for p in flow.problems if message in p.message}
    assert found[0] == kind
    for problem in flow.problems:
        assert problem.suggestion == PROBLEM_KINDS[problem.kind]
        assert problem.where in dict(model.named_modules())


HARMLESS: list[Callable[[Any, torch.Tensor], Any]] = [
    lambda m, x: x * m.inp(x).scale.item(),
    lambda m, x: m.inp(x).value if m.inp(x).signed else x,
    lambda m, x: m.inp(x).value if m.inp(x).is_valid else x,
    lambda m, x: x * 2 if m.count.sum() == 0 and torch.zeros(2).tolist() else x,
    lambda m, x: (m.inp(x) - m.inp(x), f"{x}", repr(x), x.type(), torch.is_tensor(x)),
    lambda m, x: x * len(x) * x.element_size() * x.stride(0) * (x.is_contiguous() + x.ndim),
    lambda m, x: m.inp(x).int().float() * 2,
    lambda m, x: x.view(-1).mul_(2).relu_(),
    lambda m, x: Rounds.apply(x) * 2,
    sets_data,
    lambda m, x: m.drop(x).requires_grad_(False) * 2,
    lambda m, x: (torch.randn(1) if m.training else x) * 2,
    lambda m, x: [m.fc(row[None]) for row in x],
    lambda m, x: F.linear(x, m.count.expand(4, 4)),
]


@pytest.mark.parametrize("function", HARMLESS)
def test_harmless_code_is_no_problem(function: Callable[[Any, torch.Tensor], Any]) -> None:
    model = calibrated(Holder(lambda m, x: m.fc(m.inp(x).value) + m.doubled(x)), (3, 4))
    model.function = function
    flow = capture(model, noise([(3, 4)], 1))
    assert flow.problems == ()
    (inputs,) = noise([(3, 4)], 2)
    expected = [value_of(t) for t in tensors_of(model(inputs.clone()))]
    assert all(torch.equal(*pair) for pair in zip(replay(flow, [inputs]), expected, strict=True))


def test_training_mode_is_a_problem_and_changes_nothing() -> None:
    model = calibrated(nn.Sequential(linear(4, 4), nn.Dropout(0.5)), (2, 4))
    model[1].train()
    state = copy.deepcopy(model.state_dict())
    flow = capture(model, noise([(2, 4)], 1))
    assert [(p.kind, p.where) for p in flow.problems] == [("training", "1")]
    assert [module.training for module in model] == [False, True]
    assert not model.training
    model.train()
    capture(model, noise([(2, 4)], 1))
    assert all(module.training for module in model.modules())
    assert all(torch.equal(state[name], value) for name, value in model.state_dict().items())


@pytest.mark.parametrize(
    "change",
    [
        lambda m, x: (x + 1) * random.random(),
        lambda m, x: x if random.random() < 0.5 else x + 1,
        lambda m, x: (x, x + 1)[:: random.choice([1, -1])],
    ],
)
def test_changed_structure(change: Callable[..., Any]) -> None:
    model = Holder(change).eval()
    seen = set()
    for seed in range(8):
        random.seed(seed)
        first = capture(model, noise([(3, 4)], 1))
        random.seed(seed + 1)
        second = capture(model, noise([(3, 4)], 2))
        seen |= {problem.kind for problem in structural_changes(first, second)}
        assert structural_changes(first, first) == ()
    assert seen == {"changed_structure"}


def test_every_kind_is_tested() -> None:
    others = {"training", "changed_structure", "type_dependent"}
    assert {kind for _, kind, _ in FAULTS} | others == set(PROBLEM_KINDS)


def test_branch_is_flagged_and_named() -> None:
    model = calibrated(Branches(), (2, 6))
    flow = capture(nn.Sequential(model).eval(), noise([(2, 6)], 1))
    (problem,) = flow.problems
    assert (problem.kind, problem.node, problem.where) == ("data_dependent", "0:gt#0", "0")
