"""UpsampleBilinearFp32: oracle -> reference -> C, bit for bit (N9)."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest

from ares.ir import GraphError, frozen_array
from ares.ops import Site
from ares.ops.upsample_bilinear_fp32 import UpsampleBilinearFp32
from tests.numerics import oracle
from tests.ops.harness import check_operation, codes, real
from tests.ops.interpolating import Case, facts, inputs, means
from tests.ops.reaching import assert_reaches
from tests.ops.real_outputs import exact, roundings, uniform


@dataclass(frozen=True)
class Real:
    """An interpolation and its constants' largest magnitudes."""

    case: Case
    scales: tuple[float, float] = (0.001, 0.01)
    bias: float = 0.0


CASES = (
    Real(Case("twice", (1, 3, 3, 5), (6, 10), ("product rounded", "positive sum", "negative sum"))),
    Real(
        Case(
            "no whole factor, bias",
            (1, 4, 3, 4),
            (5, 7),
            ("no whole factor", "sum rounded", "negative scale"),
            ("u8", 129),
        ),
        scales=(-0.01, 0.01),
        bias=3.0,
    ),
    Real(
        Case(
            "corners",
            (1, 2, 3, 4),
            (8, 9),
            ("corners", "product rounded"),
            corners=True,
        )
    ),
    Real(Case("a sequence", (1, 5, 4), (1, 12), ("one axis", "sum rounded"), ("s8", -3)), bias=1.0),
)


@pytest.mark.parametrize("number", range(len(CASES)), ids=lambda number: CASES[number].case.name)
def test_case(number: int) -> None:
    given, seed = CASES[number], 7400 + 10 * number
    case = given.case
    source, x = inputs(case, seed)
    found = means(case, x)
    channels = case.shape[1]
    scale = uniform(seed + 2, channels, *given.scales)
    bias = uniform(seed + 4, channels, -given.bias, given.bias)

    answers, reaches = [], set[str]()
    for (c, _, _), mean in found.items():
        acc = int(mean * case.divisor)
        addend = exact(bias[c]) if given.bias else None
        result = oracle.real_output(acc, exact(scale[c]), addend)
        assert isinstance(result, Fraction)
        answers.append(oracle.to_bits(result))
        reaches |= roundings(acc, exact(scale[c]), addend)
    assert_reaches({*case.reaches} - reaches, facts(case, found))

    target = real("y", (*case.shape[:2], *case.sizes[4 - len(case.shape) :]))
    expected = np.array(answers, np.uint32).view(np.float32).reshape(target.shape)
    operation = UpsampleBilinearFp32(
        "up",
        ("x",),
        ("y",),
        **case.fields(),
        scale=frozen_array(scale, np.float32),
        bias=frozen_array(bias if given.bias else [], np.float32),
    )
    bound = operation.accumulator_bound(Site((source,), (target,)))
    assert bound == case.divisor * source.largest_magnitude
    check_operation(operation, [source], [target], [x], [expected])


def test_constants_of_another_number_are_refused() -> None:
    operation = UpsampleBilinearFp32(
        "up",
        ("x",),
        ("y",),
        **CASES[0].case.fields(),
        scale=frozen_array([1.0] * 2, np.float32),
        bias=frozen_array([], np.float32),
    )
    with pytest.raises(GraphError, match="2 constants for 3 features"):
        operation.infer([codes("x", (1, 3, 3, 5))])
