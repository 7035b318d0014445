"""Conv1dDepthwise: oracle -> reference -> C. The oracle is three loops over Python integers."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from ares.ir import GraphError, Tensor, frozen_array
from ares.numerics import IDENTITY, Pointwise, leaky_relu, plan_pointwise
from ares.ops import Site
from ares.ops.conv1d_depthwise import Conv1dDepthwise
from ares.ops.permute import Permute
from tests.ops.graphs import check_graph, graph_of
from tests.ops.harness import check_operation, codes

Array = npt.NDArray[Any]
Codes = tuple[Any, ...]  # dtype, scale, zero point, and lo, hi where they are not the type's


@dataclass(frozen=True)
class Case:
    """`shape` is channels, steps; `ratio` is what one unit of the accumulator is worth, times `factors` in turn.

    `slopes`: a PReLU behind it, in turn for the channels.
    """

    name: str
    shape: tuple[int, int]
    kernel: int
    left: int
    reaches: tuple[str, ...]
    source: Codes = ("s8", 1.0, 0)
    target: Codes = ("s8", 1.0, 0)
    ratio: Fraction = Fraction(1, 256)
    bias: Fraction = Fraction(0)
    weight: int = 127
    extreme: bool = False
    factors: tuple[int, ...] = (1, 2)
    slopes: tuple[Fraction, ...] = ()


CLIPS = ("low clip", "high clip")
CASES = (
    Case("causal, k 4", (7, 13), 4, 3, (*CLIPS, "before the start", "prime size")),
    Case(
        "symmetric, k 5",
        (5, 11),
        5,
        2,
        ("before the start", "after the end", "bias"),
        bias=Fraction(77, 8),
    ),
    Case("k 4 not causal", (3, 7), 4, 1, ("before the start", "after the end")),
    Case("all padding after", (2, 5), 3, 0, ("after the end",)),
    Case("k 1", (11, 3), 1, 0, ("prime size",)),
    Case("kernel longer than time", (3, 2), 7, 6, ("before the start", "longer")),
    Case("kernel longer than time, symmetric", (3, 2), 9, 4, ("after the end", "longer")),
    Case(
        "zero points, u8",
        (5, 17),
        4,
        3,
        ("odd zero points", "before the start", *CLIPS),
        source=("u8", 1.0, 131),
        target=("u8", 1.0, 127),
        ratio=Fraction(1, 128),
    ),
    Case(
        "4 bits, ties",
        (13, 31),
        4,
        3,
        ("tie to the code below", "tie to the code above", *CLIPS),
        source=("s8", 1.0, 0, -8, 7),
        target=("s8", 1.0, 1, -8, 7),
        ratio=Fraction(1, 16),
        weight=7,
    ),
    Case(
        "all at their ends",
        (3, 19),
        16,
        15,
        (*CLIPS, "largest accumulator"),
        source=("u8", 1.0, 0),
        ratio=Fraction(1, 2048),
        extreme=True,
    ),
    Case("one of everything", (1, 1), 1, 0, ("one element",)),
    Case(
        "BatchNorm of every sign",
        (5, 17),
        4,
        3,
        (
            "negative gamma",
            "tie to the code below",
            "tie to the code above",
            *CLIPS,
            "before the start",
        ),
        source=("u8", 1.0, 131),
        target=("s8", 1.0, 3),
        ratio=Fraction(1, 8),
        bias=Fraction(-5, 4),
        weight=7,
        factors=(-1, 0, 1, -2, 3),
    ),
    Case(
        "PReLU",
        (4, 13),
        3,
        2,
        ("negative gamma", "tie to the code above", "bias", "low clip"),
        source=("s8", 1.0, 0, -8, 7),
        target=("s8", 1.0, -1, -8, 7),
        ratio=Fraction(1, 8),
        bias=Fraction(1, 4),
        weight=7,
        factors=(1, -1, 2, -3),
        slopes=(Fraction(1, 4), Fraction(-1, 2), Fraction(0), Fraction(1)),
    ),
)


def _tensors(case: Case) -> tuple[Tensor, Tensor]:
    shape = (1, *case.shape)
    return codes("x", shape, *case.source), codes("y", shape, *case.target)


def _draw(case: Case) -> tuple[Array, Array]:
    source, _ = _tensors(case)
    draw = np.random.Generator(np.random.Philox(key=len(case.name)))
    weight = draw.integers(-case.weight, case.weight + 1, (case.shape[0], case.kernel))
    x = draw.integers(source.lo, source.hi + 1, source.shape)
    if case.extreme:
        weight = np.where(np.arange(case.shape[0])[:, None] % 2, 127, -127) * np.ones_like(weight)
        x = np.full(source.shape, source.hi)
    return weight.astype(np.int8), x.astype(source.dtype.numpy)


def _ratios(case: Case) -> list[Fraction]:
    factors = case.factors
    return [case.ratio * factors[channel % len(factors)] for channel in range(case.shape[0])]


def _operation(case: Case, weight: Array) -> Conv1dDepthwise:
    source, target = _tensors(case)
    bound = int(np.abs(weight.astype(np.int64)).sum(axis=1).max()) * source.largest_magnitude
    slopes = [case.slopes[c % len(case.slopes)] for c in range(case.shape[0]) if case.slopes]
    functions = tuple(leaky_relu(float(slope)) for slope in slopes) or (IDENTITY,)
    pointwise = Pointwise(functions=functions)
    rescale = plan_pointwise(pointwise, _ratios(case), [case.bias], target, bound)
    return Conv1dDepthwise(
        "conv", ("x",), ("y",), frozen_array(weight, np.int8), case.left, rescale
    )


def _expected(case: Case, weight: Array, x: Array) -> tuple[Array, set[str]]:
    source, target = _tensors(case)
    channels, steps = case.shape
    found = np.zeros(target.shape, np.int64)
    reached = set()
    for c in range(channels):
        for t in range(steps):
            total = 0
            for j in range(case.kernel):
                place = t + j - case.left
                if 0 <= place < steps:
                    total += (int(x[0, c, place]) - source.zero_point) * int(weight[c, j])
                else:
                    reached.add("before the start" if place < 0 else "after the end")
            value = total * _ratios(case)[c] + case.bias
            if case.slopes and value < 0:
                value *= case.slopes[c % len(case.slopes)]
            value += target.zero_point
            code = round(value)
            found[0, c, t] = max(target.lo, min(target.hi, code))
            if code < target.lo:
                reached.add("low clip")
            elif code > target.hi:
                reached.add("high clip")
            elif value.denominator == 2:
                reached.add(f"tie to the code {'below' if code < value else 'above'}")
            if abs(total) == case.kernel * 127 * 255:
                reached.add("largest accumulator")
    facts = {
        "bias": case.bias != 0,
        "negative gamma": min(_ratios(case)) < 0,
        "longer": case.kernel > steps,
        "odd zero points": source.zero_point % 2 == 1 and target.zero_point % 2 == 1,
        "one element": found.size == 1,
        "prime size": case.shape in ((7, 13), (11, 3)),
    }
    return found, reached | {name for name, fact in facts.items() if fact}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_conv1d_depthwise(case: Case) -> None:
    source, target = _tensors(case)
    weight, x = _draw(case)
    expected, reached = _expected(case, weight, x)
    assert set(case.reaches) <= reached
    check_operation(_operation(case, weight), [source], [target], [x], [expected])


def test_transposes_around_it_move_nothing() -> None:
    """[1, T, C] -> [1, C, T] -> conv -> [1, T, C]: the kernel reads and writes time outermost."""
    case = CASES[0]
    source, target = _tensors(case)
    weight, x = _draw(case)
    expected, _ = _expected(case, weight, x)
    channels, steps = case.shape
    graph = graph_of(
        [
            Permute("in", ("tokens",), ("x",), (0, 2, 1)),
            _operation(case, weight),
            Permute("out", ("y",), ("z",), (0, 2, 1)),
        ],
        [
            codes("tokens", (1, steps, channels), *case.source),
            source,
            target,
            codes("z", (1, steps, channels), *case.target),
        ],
        ["tokens"],
        ["z"],
    )
    planned = check_graph(
        graph, {"tokens": x.transpose(0, 2, 1)}, {"y": expected, "z": expected.transpose(0, 2, 1)}
    )
    assert [s.call.function for s in planned.steps if s.call] == ["ares_depthwise"]


def test_bound_and_work() -> None:
    case = CASES[0]
    weight, _ = _draw(case)
    source, target = _tensors(case)
    site = Site((source,), (target,))
    operation = _operation(case, weight)
    worst = max(sum(abs(int(w)) for w in row) for row in weight)
    assert operation.accumulator_bound(site) == worst * 128
    assert operation.macs(site) == 7 * 13 * 4


@pytest.mark.parametrize(
    ("shape", "left", "words"),
    [
        ((7, 13), 3, "rank 2, expected 3"),
        ((1, 6, 13), 3, "input has 6 channels, its weights 7"),
        ((1, 7, 13), 4, "4 steps of padding before a kernel of 4"),
        ((1, 7, 13), -1, "-1 steps of padding"),
    ],
)
def test_what_does_not_fit_is_refused(shape: tuple[int, ...], left: int, words: str) -> None:
    weight, _ = _draw(CASES[0])
    fitting = _operation(CASES[0], weight)
    operation = Conv1dDepthwise("conv", ("x",), ("y",), fitting.weight, left, fitting.rescale)
    with pytest.raises(GraphError, match=words):
        operation.infer([codes("x", shape)])
