"""ConvSum: oracle -> reference -> C. The oracle convolves in six loops, sums in two more, and rounds Fractions."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from ares.ir import GraphError, frozen_array
from ares.numerics import plan_rescale
from ares.ops import Site
from ares.ops.conv_sum import ConvSum
from tests.ops.conv2d_cases import CLIPS, SIGNS, TIES, Case
from tests.ops.finishing import finish_for
from tests.ops.harness import check_operation, codes
from tests.ops.reaching import assert_reaches
from tests.ops.summing import Sliding, as_laid, fields_of, window_sums


@dataclass(frozen=True)
class Summed:
    """A convolution, the window over its results, where the channels lie, and the tensors' rank."""

    case: Case
    sliding: Sliding
    axis: int = 1
    rank: int = 4


CASES = (
    Summed(
        Case(
            "1x1, all positions",
            (5, 7, 3),
            11,
            (1, 1),
            ("one window", *CLIPS, *SIGNS),
            units="channels",
        ),
        Sliding((7, 3)),
    ),
    Summed(
        Case(
            "3x3 padded, 2x2",
            (3, 7, 5),
            5,
            (3, 3),
            ("padding", *SIGNS, "scale for each channel"),
            padding=(1, 1, 1, 1),
            units="channels",
            bias="float",
        ),
        Sliding((2, 2), (2, 2)),
    ),
    Summed(
        Case(
            "overlapping windows with padding, ties",
            (2, 9, 7),
            5,
            (2, 2),
            ("window padding", "overlapping windows", *TIES, "odd zero point"),
            weight=(-1, 1),
            source=("u8", 129),
            target=("s8", -7),
        ),
        Sliding((3, 2), (2, 1), (1, 0, 1, 1)),
    ),
    Summed(
        Case(
            "every parameter differs between the axes",
            (4, 11, 13),
            6,
            (3, 2),
            ("padding", "dilation", "groups", "overlapping windows"),
            stride=(2, 1),
            padding=(2, 0, 1, 3),
            dilation=(1, 3),
            groups=2,
            source=("u8", 3),
            units="signed channels",
            bias="float",
        ),
        Sliding((2, 5), (1, 3)),
    ),
    Summed(
        Case(
            "depthwise, one row of positions",
            (7, 5, 6),
            7,
            (3, 3),
            ("depthwise", *SIGNS, "relu"),
            groups=7,
            padding=(1, 1, 1, 1),
            units="channels",
            function="relu",
            target=("u8", 0),
        ),
        Sliding((1, 6)),
    ),
    Summed(
        Case(
            "sums beyond binary32",
            (67, 5, 5),
            2,
            (1, 1),
            ("sum beyond binary32", "one window"),
            weight=(-128, -121),
            source=("u8", 0),
        ),
        Sliding((5, 5)),
    ),
    Summed(
        Case(
            "gelu, six positions",
            (3, 6, 9),
            5,
            (1, 1),
            ("falling piece", *SIGNS),
            function="gelu",
            units="tensor",
            scale=3.5 / 127,
        ),
        Sliding((2, 3), (2, 3)),
    ),
    Summed(
        Case(
            "signal, causal, windows of 4",
            (5, 1, 17),
            7,
            (1, 3),
            ("padding", "one-sided padding", "dilation", *SIGNS),
            padding=(0, 4, 0, 0),
            dilation=(1, 2),
            units="channels",
        ),
        Sliding((1, 4), (1, 4)),
        rank=3,
    ),
    Summed(
        Case("tokens, all", (6, 1, 13), 5, (1, 1), ("one window", *SIGNS), bias="float"),
        Sliding((1, 13)),
        axis=-1,
        rank=3,
    ),
    Summed(
        Case("tokens of an image, its rows", (6, 5, 3), 5, (1, 1), SIGNS, units="channels"),
        Sliding((5, 1)),
        axis=-1,
    ),
    Summed(
        Case("more than a panel", (6, 5, 3), 19, (1, 1), SIGNS, units="channels"),
        Sliding((5, 1)),
        axis=-1,
    ),
)


@pytest.mark.parametrize("number", range(len(CASES)), ids=lambda number: CASES[number].case.name)
def test_case(number: int) -> None:
    summed = CASES[number]
    case, axis, rank = summed.case, summed.axis, summed.rank
    kind, zero_point = case.source
    source = codes("x", (1,), kind, 0.5, zero_point)
    drawn = window_sums(
        case, summed.sliding, zero_point, source.lo, source.hi, seed=7100 + 2 * number
    )
    x = as_laid(drawn.x, axis, rank)
    source = codes("x", x.shape, kind, 0.5, zero_point)

    kind, zero_point = case.target
    target = codes("y", (1,), kind, case.scale, zero_point)
    rows = {o: [s for (c, _, _), s in drawn.sums.items() if c == o] for o in range(case.out)}
    finish = finish_for(rows, target, case.units, case.function, case.bias, seed=number)
    answers = np.zeros((1, case.out, *drawn.sizes), np.int64)
    for (o, y, column), acc in drawn.sums.items():
        answers[0, o, y, column] = finish.code(acc, o)
    expected = as_laid(answers, axis, rank)
    target = codes("y", expected.shape, kind, case.scale, zero_point)
    assert_reaches({*case.reaches} - finish.reached(rows), drawn.facts)

    window = int(np.prod(summed.sliding.kernel))
    largest = int(np.abs(drawn.weight).reshape(case.out, -1).sum(axis=1).max())
    bound = largest * source.largest_magnitude * window
    fields = fields_of(case, summed.sliding, drawn, axis, rank)
    operation = ConvSum("conv", ("x",), ("y",), **fields, rescale=finish.plan(bound))
    site = Site((source,), (target,))
    assert operation.accumulator_bound(site) == bound >= max(map(abs, drawn.sums.values()))
    assert operation.macs(site) == len(drawn.sums) * window * int(np.prod(drawn.weight.shape[1:]))
    check_operation(operation, [source], [target], [x], [expected])


@pytest.mark.parametrize(
    ("fields", "shape", "message"),
    [
        ({}, (1, 3, 4), "rank 3, expected 4"),
        ({}, (1, 3, 1, 4), "larger than the padded input"),
        ({"axis": 2}, (1, 3, 4, 4), r"channels along axis 2 of \[1, 3, 4, 4\]"),
        ({"axis": 3}, (1, 3, 4, 4), "does not fit 4 input channels"),
        ({"window": (2,)}, (1, 3, 4, 4), r"their strides and paddings \[1, 2, 4\] for 2 axes"),
    ],
)
def test_what_does_not_fit_is_refused(
    fields: dict[str, Any], shape: tuple[int, ...], message: str
) -> None:
    defaults: dict[str, Any] = {
        "weight": frozen_array(np.ones((2, 3, 1, 1)), np.int8),
        "stride": (1, 1),
        "padding": (0, 0, 0, 0),
        "dilation": (1, 1),
        "groups": 1,
        "window": (2, 2),
        "window_stride": (1, 1),
        "window_padding": (0, 0, 0, 0),
        "axis": 1,
        "rescale": plan_rescale([Fraction(1)], [Fraction(0)], 0, -128, 127, 100),
    }
    operation = ConvSum("conv", ("x",), ("y",), **(defaults | fields))
    with pytest.raises(GraphError, match=message):
        operation.infer([codes("x", shape)])
