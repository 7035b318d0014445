"""ConvFp32: oracle -> reference -> C, bit for bit (N9). The oracle convolves in loops and rounds Fractions itself."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest

from ares.ir import GraphError, frozen_array
from ares.ops import Site
from ares.ops.conv_fp32 import ConvFp32
from tests.numerics import oracle
from tests.ops.conv2d_cases import SIGNS, Case
from tests.ops.convolving import draw_codes
from tests.ops.harness import check_operation, codes, real
from tests.ops.reaching import assert_reaches
from tests.ops.real_outputs import exact, roundings, uniform
from tests.ops.summing import Sliding, as_laid, fields_of, window_sums

ALONE = Sliding()


@dataclass(frozen=True)
class Real:
    """A convolution, the window over its results, and the constants' largest magnitudes."""

    case: Case
    sliding: Sliding = ALONE
    axis: int = 1
    rank: int = 4
    scales: tuple[float, float] = (0.001, 0.01)
    bias_codes: int = 0
    bias: float = 0.0


CASES = (
    Real(Case("no bias", (3, 5, 7), 5, (3, 3), (*SIGNS, "product rounded"))),
    Real(
        Case(
            "float bias, padding, stride 2",
            (4, 7, 6),
            3,
            (3, 2),
            (*SIGNS, "sum rounded", "padding"),
            stride=(2, 2),
            padding=(1, 0, 1, 1),
            source=("u8", 129),
        ),
        bias=3.0,
    ),
    Real(
        Case("int32 bias, groups", (4, 3, 5), 6, (1, 3), ("groups", *SIGNS), groups=2),
        bias_codes=2**20,
    ),
    Real(
        Case(
            "sums that binary32 rounds", (5, 3, 3), 4, (1, 1), ("conversion rounded", "sum rounded")
        ),
        bias_codes=2**30,
        bias=70000.0,
    ),
    Real(
        Case("negative scales", (3, 4, 4), 7, (2, 2), ("negative scale", "positive scale", *SIGNS)),
        scales=(-0.01, 0.01),
        bias=0.5,
    ),
    Real(
        Case("averaged over all positions", (5, 4, 3), 7, (1, 1), ("one window", *SIGNS)),
        Sliding((4, 3)),
        bias=0.25,
    ),
    Real(
        Case(
            "overlapping windows with padding",
            (2, 5, 5),
            3,
            (2, 2),
            ("window padding", "overlapping windows"),
        ),
        Sliding((2, 3), (1, 2), (1, 1, 0, 1)),
    ),
    Real(
        Case("signal", (5, 1, 11), 3, (1, 3), ("dilation", *SIGNS), dilation=(1, 3)),
        rank=3,
        bias=1.0,
    ),
    Real(
        Case("tokens, averaged", (7, 1, 5), 4, (1, 1), ("one window", *SIGNS)),
        Sliding((1, 5)),
        axis=-1,
        rank=3,
        bias=0.1,
    ),
    Real(Case("more than a panel", (4, 3, 2), 19, (1, 1), SIGNS), bias=0.1),
)


@pytest.mark.parametrize("number", range(len(CASES)), ids=lambda number: CASES[number].case.name)
def test_case(number: int) -> None:
    given, seed = CASES[number], 7200 + 10 * number
    case, axis, rank = given.case, given.axis, given.rank
    kind, zero_point = case.source
    source = codes("x", (1,), kind, 0.5, zero_point)
    drawn = window_sums(case, given.sliding, zero_point, source.lo, source.hi, seed)
    scale = uniform(seed + 2, case.out, *given.scales)
    bias_codes = draw_codes(seed + 3, (case.out,), -given.bias_codes, given.bias_codes, False)
    bias = uniform(seed + 4, case.out, -given.bias, given.bias)

    answers = np.zeros((1, case.out, *drawn.sizes), np.uint32)
    reached = set[str]()
    worst, largest = Fraction(0), Fraction(0)
    for (o, y, column), total in drawn.sums.items():
        acc = total + int(bias_codes[o])
        addend = exact(bias[o]) if given.bias else None
        result = oracle.real_output(acc, exact(scale[o]), addend)
        assert isinstance(result, Fraction)
        answers[0, o, y, column] = oracle.to_bits(result)
        reached |= roundings(acc, exact(scale[o]), addend)
        meant = acc * exact(scale[o]) + (addend or 0)
        worst, largest = max(worst, abs(result - meant)), max(largest, abs(meant))
    assert_reaches({*case.reaches} - reached, drawn.facts)
    assert worst <= ConvFp32.EPS * largest

    x = as_laid(drawn.x, axis, rank)
    expected = as_laid(answers.view(np.float32), axis, rank)
    source, target = codes("x", x.shape, kind, 0.5, zero_point), real("y", expected.shape)
    operation = ConvFp32(
        "head",
        ("x",),
        ("y",),
        **fields_of(case, given.sliding, drawn, axis, rank),
        scale=frozen_array(scale, np.float32),
        bias_codes=frozen_array(bias_codes if given.bias_codes else [], np.int32),
        bias=frozen_array(bias if given.bias else [], np.float32),
    )
    largest_weights = int(np.abs(drawn.weight).reshape(case.out, -1).sum(axis=1).max())
    bound = largest_weights * source.largest_magnitude * int(np.prod(given.sliding.kernel))
    bound += int(np.abs(bias_codes).max())
    assert operation.accumulator_bound(Site((source,), (target,))) == bound
    check_operation(operation, [source], [target], [x], [expected])


def test_what_does_not_fit_is_refused() -> None:
    operation = ConvFp32(
        "head",
        ("x",),
        ("y",),
        weight=frozen_array(np.ones((3, 2, 1)), np.int8),
        stride=(1,),
        padding=(0, 0),
        dilation=(1,),
        groups=1,
        window=(1,),
        window_stride=(1,),
        window_padding=(0, 0),
        axis=1,
        scale=frozen_array([1.0] * 3, np.float32),
        bias_codes=frozen_array([], np.int32),
        bias=frozen_array([0.5] * 2, np.float32),
    )
    with pytest.raises(GraphError, match="2 constants for 3 features"):
        operation.infer([codes("x", (1, 2, 5))])
