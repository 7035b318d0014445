"""BatchNorm on codes: oracle -> reference -> C (N3 to N5). The oracle is one Fraction an element."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from ares.ir import GraphError, Tensor
from ares.numerics import Pointwise, clip, leaky_relu, plan_pointwise
from ares.ops import Site
from ares.ops.batch_norm import BatchNorm
from ares.ops.permute import Permute
from tests.numerics import oracle
from tests.ops.graphs import check_graph, graph_of
from tests.ops.harness import check_operation, codes, real
from tests.ops.reaching import assert_reaches

Array = npt.NDArray[Any]
Codes = tuple[Any, ...]  # dtype, scale, zero point, and lo, hi where they are not the type's


@dataclass(frozen=True)
class Case:
    """`factors` and `addends` are real, in turn for the channels; `slopes`: a PReLU for each, in turn, behind them."""

    name: str
    shape: tuple[int, ...]
    axis: int
    reaches: tuple[str, ...]
    factors: tuple[Fraction | int, ...] = (1,)
    addends: tuple[Fraction | int, ...] = (0,)
    slopes: tuple[Fraction | int, ...] = ()
    limits: tuple[int, int] | tuple[()] = ()
    source: Codes = ("s8", 0.5, 0)
    target: Codes = ("s8", 0.5, 0)


TIES = ("tie to the code below", "tie to the code above", "negative tie", "positive tie")
CLIPS = ("low clip", "high clip")
SIGNS = ("negative gamma", "positive gamma")
_F = Fraction

CASES = (
    Case(
        "rank 4",
        (1, 7, 5, 3),
        1,
        (*TIES, *CLIPS, *SIGNS, "zero gamma"),
        (_F(3, 2), _F(-5, 4), 0, _F(1, 2)),
        (_F(1, 4), -20, _F(13, 4)),
    ),
    Case(
        "rank 3, tokens",
        (1, 11, 13),
        2,
        (*TIES, *CLIPS, *SIGNS, "odd zero points"),
        (_F(-3, 2), _F(3, 4), _F(7, 4)),
        (_F(-5, 2), 9),
        source=("u8", 0.25, 129),
        target=("s8", 0.125, -7),
    ),
    Case(
        "rank 3, channels first",
        (1, 5, 17),
        1,
        (*CLIPS, *SIGNS, "code above 127"),
        (_F(0.731), _F(-1.913), _F(0.0173)),
        (_F(3.7), _F(-1.3), _F(-0.7)),
        source=("s8", 0.037, 5),
        target=("u8", 0.041, 101),
    ),
    Case("rank 2", (1, 257), 1, (*TIES, *SIGNS), (_F(1, 2), _F(-1, 2)), (_F(1, 4), 3)),
    Case(
        "positions of two axes",
        (1, 3, 7, 5),
        2,
        (*SIGNS, *CLIPS),
        (_F(5, 2), _F(-2), _F(1, 8)),
        (_F(-9), _F(4)),
        source=("u8", 0.25, 0),
        target=("u8", 0.5, 3),
    ),
    Case("all gammas zero", (1, 5, 3), 1, ("zero gamma", "high clip"), (0,), (_F(5, 4), 100, -3)),
    Case("one for all channels", (1, 6, 7), 1, (*SIGNS[:1], *TIES), (_F(-1, 2),), (_F(1, 4),)),
    Case(
        "offsets alone",
        (1, 7, 11),
        1,
        (*CLIPS, *TIES),
        (1,),
        (_F(1, 4), -40, _F(163, 4)),
    ),
    Case(
        "4 bits",
        (1, 13, 11),
        1,
        (*TIES, *CLIPS, *SIGNS),
        (_F(3, 2), _F(-3, 4)),
        (_F(1, 4), 0, -1),
        source=("s8", 0.5, 0, -8, 7),
        target=("s8", 0.5, 1, -8, 7),
    ),
    Case(
        "limits beside the zero point",
        (1, 5, 31),
        1,
        ("limit", *SIGNS, "tie to the code above"),
        (_F(1, 2), _F(-3, 2), _F(9, 8)),
        (_F(1, 4), 2),
        limits=(-3, 6),
        target=("s8", 0.5, -3),
    ),
    Case(
        "PReLU",
        (1, 7, 5, 3),
        1,
        (*TIES, "function a channel", "falling"),
        slopes=(_F(1, 4), 0, _F(-1, 2), 1, _F(1, 32)),
        source=("s8", 1.0, 3),
        target=("s8", 1.0, -1),
    ),
    Case(
        "BatchNorm, then PReLU on the last axis",
        (1, 9, 11),
        2,
        (*TIES, *SIGNS, "zero gamma", "function a channel", "falling", "low clip"),
        (_F(3, 2), _F(-3, 2), 0, _F(5, 8)),
        (_F(1, 4), 5),
        (_F(1, 4), _F(-1, 4), _F(1, 2)),
        source=("u8", 0.5, 128),
        target=("u8", 0.5, 31),
    ),
    Case("one element", (1, 1, 1, 1), 1, ("one element",), (_F(-1, 2),), (_F(3, 8),)),
    Case(
        "rank 2, more than a tile, constants that no tile repeats",
        (1, 131),
        1,
        (*TIES, *SIGNS),
        (_F(1, 2), _F(-1, 2), _F(3, 4)),
        (_F(1, 4), 3, _F(1, 2)),
    ),
    Case(
        "PReLU, past both ends",
        (1, 7, 5, 3),
        1,
        (*CLIPS, *SIGNS, "function a channel", "falling"),
        (_F(3, 2), _F(-5, 4), _F(1, 2)),
        (_F(1, 4), -20, _F(13, 4)),
        (_F(1, 4), _F(-1, 2), _F(3, 4)),
        target=("s8", 0.125, -31),
    ),
)


def _in_turn(values: Sequence[Any], channel: int) -> Any:
    return values[channel % len(values)]


def _unrounded(case: Case, code: int, channel: int) -> Fraction:
    """What the quantiser is given, in codes with the zero point, before rounding and clamp."""
    value = (code - case.source[2]) * Fraction(case.source[1])
    value = value * _in_turn(case.factors, channel) + _in_turn(case.addends, channel)
    if case.slopes:
        value = oracle.leaky_relu(value, Fraction(_in_turn(case.slopes, channel)))
    if case.limits:
        value = oracle.clip(value, *map(Fraction, case.limits))
    return value / Fraction(case.target[1]) + case.target[2]


def _facts(
    case: Case, x: Array, values: dict[tuple[int, ...], Fraction], y: Tensor
) -> dict[str, bool]:
    gammas = [_in_turn(case.factors, c) for c in range(case.shape[case.axis])]

    def is_falling(index: tuple[int, ...], value: Fraction) -> bool:
        channel = index[case.axis]
        if not case.slopes or _in_turn(case.slopes, channel) >= 0 or value <= y.zero_point:
            return False
        return (int(x[index]) - case.source[2]) * _in_turn(case.factors, channel) < 0

    meant = [(value - y.zero_point) * Fraction(case.target[1]) for value in values.values()]
    return {
        "negative gamma": min(gammas) < 0,
        "positive gamma": max(gammas) > 0,
        "zero gamma": 0 in gammas,
        "limit": any(value in (case.limits or ()) for value in meant),
        "falling": any(is_falling(*item) for item in values.items()),
        "odd zero points": case.source[2] % 2 == 1 and case.target[2] % 2 == 1,
        "code above 127": any(127 < value < 255 for value in values.values()),
        "function a channel": len(case.slopes) > 1,
        "one element": x.size == 1,
    }


def _operation(case: Case, source: Tensor, target: Tensor) -> BatchNorm:
    channels = range(case.shape[case.axis])
    count = case.shape[case.axis]
    factors, addends = (
        tuple(Fraction(_in_turn(v, c)) for c in channels) if len(v) > 1 else (Fraction(v[0]),)
        for v in (case.factors, case.addends)
    )
    pointwise = Pointwise(factors, addends)
    if case.slopes:
        pointwise = pointwise.then([leaky_relu(float(_in_turn(case.slopes, c))) for c in channels])
    if case.limits:
        lo, hi = map(Fraction, case.limits)
        pointwise = pointwise.then([clip(lo, hi)])
    assert source.scale is not None
    ratios, biases = [Fraction(source.scale)], [Fraction(0)]
    rescale = plan_pointwise(pointwise, ratios, biases, target, source.largest_magnitude)
    assert rescale.channels in (1, count)
    return BatchNorm("norm", ("x",), ("y",), case.axis, rescale)


def _drawn(case: Case) -> tuple[Tensor, Tensor, Array, Array]:
    source, target = codes("x", case.shape, *case.source), codes("y", case.shape, *case.target)
    draw = random.Random(len(case.name))
    x = np.zeros(case.shape, np.int64)
    values: dict[tuple[int, ...], Fraction] = {}
    for index in product(*(range(size) for size in case.shape)):
        x[index] = draw.randint(source.lo, source.hi)
        values[index] = _unrounded(case, int(x[index]), index[case.axis])
    # Where a ratio is no binary fraction an exact tie may go either way (N3): none may be there.
    facts = _facts(case, x, values, target)
    found = assert_reaches(case.reaches, facts, values.values(), target)
    dyadic = all((v.denominator & (v.denominator - 1)) == 0 for v in values.values())
    assert dyadic or not any("tie" in name for name in found)
    expected = np.zeros(case.shape, np.int64)
    for index, value in values.items():
        expected[index] = oracle.clamp(oracle.nearest(value), target.lo, target.hi)
    return source, target, x, expected


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_oracle_reference_c(case: Case) -> None:
    source, target, x, expected = _drawn(case)
    operation = _operation(case, source, target)
    assert operation.accumulator_bound(Site((source,), (target,))) == source.largest_magnitude
    assert operation.rescale.has_own_steps == (len(case.slopes) > 1)
    check_operation(operation, [source], [target], [x], [expected])


def test_channels_lie_where_the_layer_before_put_them() -> None:
    """Tokens outermost in memory, channels first in the tensor: the kernel finds the axis, and copies nothing."""
    case = CASES[0]
    source, target, x, expected = _drawn(case)
    for axes in ((0, 2, 3, 1), (0, 3, 1, 2)):
        # `order` only names axes anew: memory stays as the network's input lies.
        back = tuple(axes.index(axis) for axis in range(4))
        shape = tuple(case.shape[axis] for axis in axes)
        before = codes("before", shape, *case.source)
        graph = graph_of(
            [Permute("order", ("before",), ("x",), back), _operation(case, source, target)],
            [before, source, target],
            ["before"],
            ["y"],
        )
        planned = check_graph(graph, {"before": x.transpose(axes)}, {"y": expected})
        norm = next(step.call for step in planned.steps if step.layer == "norm" and step.call)
        fields = dict(norm.params.fields)
        at = axes.index(1)
        assert (fields["outer"], fields["inner"]) == (prod(shape[:at]), prod(shape[at + 1 :]))


@pytest.mark.parametrize(
    ("shape", "axis", "message"),
    [
        ((1, 7, 3), 0, r"its channels are axis 0 of \[1, 7, 3\]"),
        ((1, 7), 2, "its channels are axis 2"),
        ((1, 6, 7, 3), 1, "constants for 7 channels, expected 6"),
    ],
)
def test_what_does_not_fit_is_refused(shape: tuple[int, ...], axis: int, message: str) -> None:
    case = CASES[0]
    source, target = codes("x", case.shape, *case.source), codes("y", case.shape, *case.target)
    fitting = _operation(case, source, target)
    operation = BatchNorm("norm", ("x",), ("y",), axis, fitting.rescale)
    with pytest.raises(GraphError, match=message):
        operation.infer([codes("x", shape, *case.source)])
    with pytest.raises(GraphError, match="expected s8 or u8 codes"):
        fitting.infer([real("x", case.shape)])
