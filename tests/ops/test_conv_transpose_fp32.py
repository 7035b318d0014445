"""ConvTransposeFp32: oracle -> reference -> C, bit for bit (N9)."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest

from ares.ir import GraphError, frozen_array
from ares.ops import Site
from ares.ops.conv_transpose_fp32 import ConvTransposeFp32
from tests.numerics import oracle
from tests.ops.harness import check_operation, codes, real
from tests.ops.reaching import assert_reaches
from tests.ops.real_outputs import exact, roundings, uniform
from tests.ops.transposed import Case, bound, draw, facts, out_sizes, sums

SIGNS = ("negative sum", "positive sum")


@dataclass(frozen=True)
class Real:
    """A transposed convolution and its constants' largest magnitudes."""

    case: Case
    scales: tuple[float, float] = (0.001, 0.01)
    bias_codes: int = 0
    bias: float = 0.0


CASES = (
    Real(Case("no bias", (3, 3, 5), 2, (4, 4), (2, 2), (*SIGNS, "product rounded", "cut"), (1, 1))),
    Real(
        Case(
            "float bias, output padding",
            (4, 3, 2),
            3,
            (3, 3),
            (2, 2),
            (*SIGNS, "sum rounded", "output padding", "positive scale", "negative scale"),
            (1, 0),
            (1, 0),
            source=("u8", 129),
        ),
        scales=(-0.01, 0.01),
        bias=3.0,
    ),
    Real(
        Case(
            "int32 bias where nothing arrives",
            (4, 3, 3),
            6,
            (1, 1),
            (2, 3),
            ("groups", "nothing arrives", *SIGNS),
            groups=2,
        ),
        bias_codes=2**20,
    ),
    Real(
        Case(
            "sums that binary32 rounds",
            (5, 2, 2),
            4,
            (2, 2),
            (2, 2),
            ("conversion rounded", "sum rounded"),
        ),
        bias_codes=2**30,
        bias=70000.0,
    ),
    Real(Case("signal", (5, 4), 3, (8,), (4,), ("overlap", *SIGNS), (2,)), bias=1.0),
)


@pytest.mark.parametrize("number", range(len(CASES)), ids=lambda number: CASES[number].case.name)
def test_case(number: int) -> None:
    given, seed = CASES[number], 7300 + 10 * number
    case = given.case
    source, x, weight = case.drawn(seed)
    found, reached = sums(case, x, weight, source.zero_point)
    scale = uniform(seed + 2, case.out, *given.scales)
    bias_codes = draw(seed + 3, (case.out,), -given.bias_codes, given.bias_codes)
    bias = uniform(seed + 4, case.out, -given.bias, given.bias)

    target = real("y", (1, case.out, *out_sizes(case)))
    answers = np.zeros(target.shape, np.uint32)
    reaches = set[str]()
    for (o, *place), total in found.items():
        acc = total + int(bias_codes[o])
        addend = exact(bias[o]) if given.bias else None
        result = oracle.real_output(acc, exact(scale[o]), addend)
        assert isinstance(result, Fraction)
        answers[(0, o, *place)] = oracle.to_bits(result)
        reaches |= roundings(acc, exact(scale[o]), addend)
    assert_reaches({*case.reaches} - reaches, facts(case, x, reached))

    operation = ConvTransposeFp32(
        "up",
        ("x",),
        ("y",),
        **case.fields(weight),
        scale=frozen_array(scale, np.float32),
        bias_codes=frozen_array(bias_codes if given.bias_codes else [], np.int32),
        bias=frozen_array(bias if given.bias else [], np.float32),
    )
    largest = bound(weight, case.groups, source) + int(np.abs(bias_codes).max())
    assert operation.accumulator_bound(Site((source,), (target,))) == largest
    check_operation(operation, [source], [target], [x], [answers.view(np.float32)])


def test_constants_of_another_number_are_refused() -> None:
    case = CASES[0].case
    operation = ConvTransposeFp32(
        "up",
        ("x",),
        ("y",),
        **case.fields(np.ones((3, 2, 4, 4))),
        scale=frozen_array([1.0] * 2, np.float32),
        bias_codes=frozen_array([], np.int32),
        bias=frozen_array([0.5] * 3, np.float32),
    )
    with pytest.raises(GraphError, match="3 constants for 2 features"):
        operation.infer([codes("x", (1, 3, 3, 5))])
