"""Additions and concatenations, explicit and implicit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import brevitas.quant as bq
import pytest
import torch
import torch.nn.functional as F
from brevitas.quant.shifted_scaled_int import ShiftedUint8ActPerTensorFloat
from torch import nn

from ares.nn import QuantAdd, QuantConcatenate, ResidualBlock
from ares.ops.concat import Concat
from tests.extract.models import (
    IMAGE,
    Net,
    Shape,
    calibrated,
    checked,
    conv,
    identity,
    kinds,
    plain_identity,
    refused,
    relu,
    seeded,
    set_scale,
)

SHIFTED = ShiftedUint8ActPerTensorFloat


def _operands() -> dict[str, nn.Module]:
    return {
        "q": plain_identity(),
        "q2": plain_identity(act_quant=SHIFTED),
        "q3": plain_identity(act_quant=bq.Uint8ActPerTensorFloat, bit_width=5),
        "out": identity(),
        "relu": relu(),
    }


def _iadd(m: Any, x: Any) -> Any:
    y = m.q(x)
    y += m.q2(x)
    return m.out(y), m.relu(y)


def _add_twice_in_place(m: Any, x: Any) -> Any:
    y = m.q(x)
    z = m.q2(x)
    z += y
    w = m.q3(z)
    w.add_(y)
    return m.out(w)


# Forward -> operations behind the quantisers of the input.
ADDITIONS: dict[str, tuple[Callable[..., Any], list[str]]] = {
    "operator": (lambda m, x: m.out(m.q(x) + m.q2(x)), ["add"]),
    "torch.add": (lambda m, x: m.out(torch.add(m.q(x), m.q2(x))), ["add"]),
    "torch.add, keywords": (
        lambda m, x: m.out(torch.add(input=m.q(x), other=m.q2(x), alpha=1)),
        ["add"],
    ),
    "method": (lambda m, x: m.out(m.q3(x).add(m.q2(x))), ["add"]),
    "in place": (_iadd, ["add", "add"]),
    "in place, then again": (_add_twice_in_place, ["add", "add"]),
    "itself": (lambda m, x: (lambda y: m.out(y + y))(m.q2(x)), ["add"]),
    "relu": (lambda m, x: m.relu(m.q(x) + m.q2(x)), ["add"]),
    "F.relu, identity": (lambda m, x: m.out(F.relu(m.q(x) + m.q2(x))), ["add"]),
    "leaky_relu": (lambda m, x: m.out(F.leaky_relu(m.q(x) + m.q2(x), 0.1)), ["add"]),
    "gelu, behind a factor": (lambda m, x: m.out(F.gelu((m.q(x) - m.q3(x)) * -1.5)), ["add"]),
    "absolute difference": (lambda m, x: m.out((m.q(x) - m.q3(x)).abs()), ["add"]),
    "flatten": (lambda m, x: m.out((m.q(x) + m.q2(x)).flatten(1)), ["add", "flatten"]),
    "permute, maximum": (
        lambda m, x: m.relu(F.max_pool2d((m.q(x) + m.q3(x)).permute(0, 1, 3, 2), 2)),
        ["add", "permute", "max_pool2d"],
    ),
    "two quantisers": (
        lambda m, x: (lambda y: (m.out(y), m.relu(y)))(m.q(x) + m.q2(x)),
        ["add", "add"],
    ),
}


@pytest.mark.parametrize("case", ADDITIONS)
def test_additions(case: str) -> None:
    forward, expected = ADDITIONS[case]
    graph = checked(Net(forward, **_operands()), IMAGE, c="maximum" in case or case == "in place")
    assert [kind for kind in kinds(graph) if kind != "quantize"] == expected


def _mean(m: Any, x: Any, dims: tuple[int, ...]) -> Any:
    return m.q2(m.q(x).mean(dims, keepdim=True))


BROADCAST: dict[str, Callable[..., Any]] = {
    "channels second": lambda m, x: m.out(m.q(x) + _mean(m, x, (2, 3))),
    "channels first": lambda m, x: m.out(_mean(m, x, (2, 3)) + m.q(x)),
    "pixels second": lambda m, x: m.out(m.q(x) + _mean(m, x, (1,))),
    "pixels first": lambda m, x: m.out(_mean(m, x, (1,)) + m.q(x)),
    "rows": lambda m, x: m.out(m.q(x) + _mean(m, x, (1, 3))),
    "one number": lambda m, x: m.out(_mean(m, x, (1, 2, 3)) + m.q(x)),
}

# Neither operand has the shape of the sum: the larger one is repeated by a concatenation.
BOTH: dict[str, Callable[..., Any]] = {
    "rows and columns": lambda m, x: m.out(_mean(m, x, (2,)) + _mean(m, x, (3,))),
    "a difference": lambda m, x: m.out(_mean(m, x, (3,)) - _mean(m, x, (2,))),
    "channels and pixels": lambda m, x: m.relu(_mean(m, x, (1,)) + _mean(m, x, (2, 3))),
    "pairs": lambda m, x: m.out(m.q(x).flatten(2).unsqueeze(2) + m.q2(x).flatten(2).unsqueeze(3)),
    "a product": lambda m, x: m.out(_mean(m, x, (2,)) * _mean(m, x, (3,))),
    "a constant": lambda m, x: m.out(_mean(m, x, (2,)) + torch.linspace(-1, 1, 6).reshape(6, 1)),
    "more than a concatenation takes": lambda m, x: m.out(
        m.q(x).flatten(1)[:, None, :37] - m.q2(x).flatten(1)[:, :40, None]
    ),
}


@pytest.mark.parametrize("case", BROADCAST)
def test_broadcasting(case: str) -> None:
    graph = checked(Net(BROADCAST[case], **_operands()), IMAGE, c="rows" in case or "first" in case)
    assert kinds(graph)[-1] == "add"


@pytest.mark.parametrize("case", BOTH)
def test_broadcasting_on_both_sides(case: str) -> None:
    graph = checked(Net(BOTH[case], **_operands()), IMAGE, c=True)
    last, result = kinds(graph)[-1], graph.tensor(graph.outputs[0]).shape
    assert last in ("add", "mul", "batch_norm")
    sources = [graph.tensor(name).shape for name in graph.operations[-1].inputs]
    assert sources[0] == result
    assert "concat" in kinds(graph)


# torch.stack along a new axis, the front one too, where the batch is then second.
STACKS: dict[str, Callable[..., Any]] = {
    "mean of two": lambda m, x: m.out(torch.stack([m.q(x), m.q(x).flip(2)]).mean(0)),
    "sum of two": lambda m, x: m.relu(torch.stack([m.q(x), m.q(x).flip(2)], 0).sum(dim=0)),
    "mean of tokens": lambda m, x: m.out(
        torch.stack([m.q(x).flatten(2), m.q(x).flatten(2).flip(2)]).mean((0, -1))
    ),
    "kept": lambda m, x: m.out(
        torch.stack([m.q(x), m.q(x).flip(3)]).sum(0, keepdim=True).transpose(0, 1)
    ),
    "taken apart": lambda m, x: m.out(torch.add(*torch.stack([m.q(x), m.q(x).flip(3)]).unbind(0))),
    "one of them": lambda m, x: m.out(torch.stack([m.q(x), m.q2(x)])[1]),
    "the batch in front again": lambda m, x: m.out(
        torch.stack([m.q(x), m.q2(x), m.q3(x)]).transpose(0, 1)
    ),
    "of different scales": lambda m, x: m.out(m.q4(torch.stack([m.q(x), m.q2(x)])).mean(0)),
    "behind the batch": lambda m, x: m.out(torch.stack([m.q(x), m.q(x).flip(3)], 1).mean(1)),
    "last": lambda m, x: m.out(torch.stack([m.q(x), m.q(x).flip(3)], -1).sum((3, 4))),
}


@pytest.mark.parametrize("case", STACKS)
def test_stacks(case: str) -> None:
    model = Net(STACKS[case], q4=plain_identity(), **_operands())
    checked(model, IMAGE, c=case in ("mean of two", "taken apart", "last"))


STACKS_REFUSED: dict[str, tuple[Callable[..., Any], str]] = {
    "an output": (lambda m, x: torch.stack([m.q(x), m.q(x)]), "batch is not its first dimension"),
    "over the batch": (
        lambda m, x: m.out(torch.stack([m.q(x), m.q(x)]).mean(1)),
        "batch is not its first dimension",
    ),
    "over axes that lie apart": (
        lambda m, x: m.out(torch.stack([m.q(x), m.q(x)], 1).mean((1, 3))),
        "the axes [1, 3] of 5, which lie apart",
    ),
}


@pytest.mark.parametrize("case", STACKS_REFUSED)
def test_stacks_that_are_refused(case: str) -> None:
    forward, reason = STACKS_REFUSED[case]
    finding = refused(calibrated(Net(forward, q=plain_identity(), out=identity()), IMAGE), IMAGE)
    assert reason in finding.reason


def test_sums_of_quant_tensors_with_one_scale() -> None:
    """Brevitas' own addition reads and averages scales: none of that is part of the Graph."""

    def forward(m: Any, x: Any) -> Any:
        y = m.q(x)
        return m.out(y + y), m.out2(m.q2(m.c(y)) + m.q2(m.d(y))), m.relu(y.add(y))

    model = seeded(
        lambda: Net(
            forward,
            q=identity(),
            q2=identity(),
            c=conv(2, 2),
            d=conv(2, 2, bias=True),
            out=identity(),
            out2=identity(),
            relu=relu(),
        )
    )
    graph = checked(model, IMAGE)
    assert kinds(graph) == ["quantize", "add", "conv2d", "conv2d", "add", "add"]


def _residual_of_the_input(m: Any, x: Any) -> Any:
    y = m.q(x)
    return m.add(y, m.q2(m.c(y)))


def _residual_with_moves(m: Any, x: Any) -> Any:
    y = m.q(x)
    z = m.q2(F.max_pool2d(m.c(y), 3, 1, 1).mT)
    return m.add(z, y.transpose(2, 3))


RESIDUALS: dict[str, tuple[Callable[..., Any], list[str]]] = {
    "of the input": (_residual_of_the_input, ["quantize", "conv2d", "add"]),
    "with moves": (
        _residual_with_moves,
        ["quantize", "conv2d", "max_pool2d", "permute", "permute", "add"],
    ),
    "block": (
        lambda m, x: m.block(m.q(x)),
        ["quantize", "conv2d", "conv2d", "add", "relu"],
    ),
}


@pytest.mark.parametrize("case", RESIDUALS)
def test_residuals(case: str) -> None:
    forward, expected = RESIDUALS[case]
    model = seeded(
        lambda: Net(
            forward,
            q=identity(),
            q2=plain_identity(bit_width=6),
            c=conv(2, 2, padding=1, bias=True),
            add=QuantAdd(),
            block=ResidualBlock(2),
        )
    )
    graph = checked(model, IMAGE, c=True)
    assert kinds(graph) == expected


@pytest.mark.parametrize("threshold", [1e-30, 1e-6, 1e6])
@pytest.mark.parametrize("which", ["q2.act_quant", "add.quant.act_quant"])
def test_sums_of_very_different_scales(which: str, threshold: float) -> None:
    model = Net(lambda m, x: m.add(m.q(x), m.q2(x)), q=identity(), q2=identity(), add=QuantAdd())
    checked(model, IMAGE)
    set_scale(model, which, threshold)
    checked(model, IMAGE, calibrate=False)


@pytest.mark.parametrize("dim", [1, -1, 2, 3, -3])
def test_concatenation_along_every_axis(dim: int) -> None:
    """Of codes on different grids, and of convolutions that wait for the quantiser."""

    def forward(m: Any, x: Any) -> Any:
        y = m.q(x)
        parts = [m.c(y), m.d(y), m.c(y)]
        return m.out(torch.cat([y, m.q2(x), m.q3(x)], dim)), m.relu(torch.cat(parts, dim=dim))

    model = seeded(lambda: Net(forward, c=conv(2, 2), d=conv(2, 2, bias=True), **_operands()))
    graph = checked(model, IMAGE, c=dim in (-1, 2))
    joins = [op for op in graph.operations if isinstance(op, Concat)]
    assert [join.axis for join in joins] == [dim % 4] * 2
    # A part whose codes are the result's already is copied.
    assert [table.size for table in joins[0].tables[1:]] == [256, 256]
    assert [table.size for table in joins[1].tables] == [0, 0, 0]


CONCATENATIONS: dict[str, tuple[Callable[..., Any], list[str]]] = {
    "same codes": (lambda m, x: (lambda y: torch.cat([y, y], 1))(m.q(x)), ["concat"]),
    "one part": (lambda m, x: torch.cat((m.q(x),), 1), ["concat"]),
    "stack": (
        lambda m, x: m.q2(torch.stack([m.q(x), m.c(m.q(x))], dim=-1)),
        ["squeeze", "conv2d", "squeeze", "concat"],
    ),
    "stack, same codes": (
        lambda m, x: (lambda y: torch.stack((y, y), 1).flatten(1, 2))(m.q(x)),
        ["squeeze", "squeeze", "concat", "flatten"],
    ),
    "axis=": (lambda m, x: (lambda y: torch.cat([y, y], axis=1))(m.q(x)), ["concat"]),
    "torch.concatenate": (
        lambda m, x: (lambda y: torch.concatenate((y, F.relu(y)), dim=2))(m.q(x)),
        ["relu", "concat"],
    ),
    "codes and a convolution": (
        lambda m, x: (lambda y: m.relu(torch.cat([y, m.c(y)], 3)))(m.q(x)),
        ["conv2d", "concat"],
    ),
    "a convolution with itself": (
        lambda m, x: (lambda y: m.out(torch.cat([y, y], 1)))(m.c(m.q(x))),
        ["conv2d", "concat"],
    ),
    "functions of their own": (
        lambda m, x: (lambda y: m.q2(torch.cat([y, F.relu(m.c(y)), F.gelu(m.c(y))], 1)))(m.q(x)),
        ["conv2d", "conv2d", "concat"],
    ),
    "a function of all": (
        lambda m, x: (lambda y: m.out(F.gelu(torch.cat([y, m.c(y)], 1))))(m.q(x)),
        ["conv2d", "concat"],
    ),
    "moves before and behind": (
        lambda m, x: (lambda y: m.out(torch.cat([y.mT, m.c(y).mT], 1).flatten(2)))(m.q(x)),
        ["permute", "conv2d", "permute", "concat", "flatten"],
    ),
    "then a sum": (
        lambda m, x: (lambda y: m.out(torch.cat([y, y], 1) + m.q2(torch.cat([y, m.c(y)], 1))))(
            m.q(x)
        ),
        ["concat", "conv2d", "concat", "add"],
    ),
}


@pytest.mark.parametrize("case", CONCATENATIONS)
def test_concatenations(case: str) -> None:
    forward, expected = CONCATENATIONS[case]
    model = seeded(lambda: Net(forward, c=conv(2, 2, padding=1), **_operands()))
    graph = checked(model, IMAGE, c="moves" in case or "sum" in case)
    assert [kind for kind in kinds(graph) if kind != "quantize"] == expected


def test_concatenation_of_inputs_of_the_network() -> None:
    model = Net(lambda m, x: m.out(torch.cat([x, x], 1)), out=identity())
    assert kinds(checked(model, IMAGE)) == ["quantize", "concat"]


def test_quant_concatenate_of_three() -> None:
    model = Net(
        lambda m, x: m.join([m.q(x), m.q2(x), m.q3(x)]),
        q=identity(),
        q2=identity(bit_width=4),
        q3=relu(),
        join=QuantConcatenate(),
    )
    assert kinds(checked(model, IMAGE))[-1] == "concat"


def test_concatenation_of_quant_tensors_with_one_scale_is_codes() -> None:
    """Nothing quantises the result, and a bias in its scale may follow."""
    model = seeded(
        lambda: Net(
            lambda m, x: (lambda y: m.r(m.c(torch.cat([y, y, F.relu(y)], 1))))(m.q(x)),
            q=identity(),
            c=conv(6, 2, bias=True, bias_quant=bq.Int32Bias),
            r=relu(),
        )
    )
    graph = checked(model, IMAGE)
    assert kinds(graph) == ["quantize", "relu", "concat", "conv2d"]
    assert graph.tensor("cat").lo == -128


def test_a_part_with_more_codes_than_the_result_is_clipped() -> None:
    """Same scale, 8 bits in, 4 bits out: the codes cannot just be copied."""
    model = Net(
        lambda m, x: m.out(torch.cat([m.q(x), m.q2(x)], 1)),
        q=plain_identity(),
        q2=plain_identity(act_quant=SHIFTED),
        out=identity(bit_width=4),
    )
    checked(model, IMAGE)
    set_scale(model, "q.act_quant", 16.0)
    set_scale(model, "out.act_quant", 1.0)  # both scales are 1/8 now
    graph = checked(model, IMAGE, calibrate=False, c=True)
    assert graph.tensor("q").scale == graph.tensor("cat").scale


INPUTS: dict[str, tuple[Callable[..., Any], list[Shape]]] = {
    "two quantisers": (lambda m, x, y: m.add(m.q(x), m.q2(y)), [IMAGE, IMAGE]),
    "one quantiser, twice": (lambda m, x, y: m.add(m.q(x), m.q(y)), [IMAGE, IMAGE]),
    "one unused": (lambda m, x, y: m.add(m.q(y), m.q2(y)), [IMAGE, (1, 3)]),
    "broadcast": (lambda m, x, y: m.add(m.q(x), m.q2(y)), [(1, 2, 1, 1), IMAGE]),
}


@pytest.mark.parametrize("case", INPUTS)
def test_two_inputs(case: str) -> None:
    forward, shapes = INPUTS[case]
    model = Net(forward, q=identity(), q2=identity(act_quant=SHIFTED), add=QuantAdd())
    graph = checked(model, *shapes, c=True)
    assert graph.inputs == ("input0", "input1")
    assert kinds(graph) == ["quantize", "quantize", "add"]
