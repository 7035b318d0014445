"""UpsampleBilinear2d: oracle -> reference -> C. The oracle is linear interpolation in Fractions."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from ares.ir import GraphError
from ares.numerics import plan_rescale
from ares.ops import Site
from ares.ops.upsample_bilinear2d import UpsampleBilinear2d
from tests.ops.finishing import finish_for
from tests.ops.harness import check_operation, codes
from tests.ops.interpolating import Case, facts, inputs, means
from tests.ops.reaching import assert_reaches

TIES = ("tie to the code below", "tie to the code above", "negative tie", "positive tie")
CLIPS = ("low clip", "high clip")

CASES = (
    Case("twice", (1, 3, 5, 7), (10, 14), ("prime size", *TIES, *CLIPS)),
    Case("3 and 2", (1, 5, 3, 2), (9, 4), ("factors differ", "odd factor"), ("u8", 131)),
    Case("4 down only", (1, 2, 3, 5), (12, 5), ("one axis", *TIES), ("u8", 131), ("u8", 129)),
    Case("5 by 7, any scale", (1, 3, 2, 3), (10, 21), ("odd factor", *CLIPS), units="tensor"),
    Case("one pixel", (1, 3, 1, 1), (2, 4), ("one pixel", "every output is an input")),
    Case("nothing to do", (1, 2, 3, 2), (3, 2), ("every output is an input",), target=("u8", 77)),
    Case("a sequence", (1, 4, 5), (1, 15), ("one axis", "odd factor"), ("s8", -7), ("s8", 9)),
    Case("a sequence, twice", (1, 3, 7), (1, 14), ("one axis", *CLIPS), target=("s8", -3)),
    Case("no whole factor", (1, 3, 5, 4), (7, 9), ("no whole factor", *CLIPS), ("u8", 129)),
    Case("fewer", (1, 2, 7, 9), (3, 4), ("fewer", "no whole factor"), target=("u8", 9)),
    Case("corners", (1, 3, 4, 3), (8, 6), ("corners", *CLIPS), ("u8", 127), corners=True),
    Case("corners of a sequence", (1, 3, 5), (1, 9), ("corners", *CLIPS), corners=True),
    Case("one output at the corner", (1, 3, 4, 3), (1, 5), ("fewer rows",), corners=True),
    Case("largest differences", (1, 3, 3, 3), (6, 9), ("low clip",), ("u8", 255), extreme=True),
    Case("relu", (1, 3, 3, 4), (6, 8), ("relu", "high clip"), target=("u8", 0), function="relu"),
    Case(
        "gelu behind BatchNorm of every sign",
        (1, 5, 3, 3),
        (6, 6),
        ("falling piece", "negative gamma", "zero gamma"),
        units="signed channels",
        bias="float",
        function="gelu",
    ),
)


@pytest.mark.parametrize("number", range(len(CASES)), ids=lambda number: CASES[number].name)
def test_oracle_reference_c(number: int) -> None:
    case = CASES[number]
    source, x = inputs(case, number)
    found = means(case, x)
    divisor = case.divisor
    sums = {key: int(mean * divisor) for key, mean in found.items()}
    rows = {c: [acc for key, acc in sums.items() if key[0] == c] for c in range(case.shape[1])}
    shape = (*case.shape[:2], *case.sizes[4 - len(case.shape) :])
    dtype, zero_point = case.target
    target = codes("y", shape, dtype, 0.0625, zero_point)
    finish = finish_for(rows, target, case.units, case.function, case.bias, number)
    assert_reaches(case.reaches, facts(case, found) | dict.fromkeys(finish.reached(rows), True))
    answers = [finish.code(acc, key[0]) for key, acc in sums.items()]
    expected = np.array(answers, np.int64).reshape(shape)
    rescale = finish.plan(divisor * source.largest_magnitude)
    operation = UpsampleBilinear2d("up", ("x",), ("y",), **case.fields(), rescale=rescale)
    bound = operation.accumulator_bound(Site((source,), (target,)))
    assert bound == divisor * source.largest_magnitude
    check_operation(operation, [source], [target], [x], [expected])


UNIT = plan_rescale([Fraction(1)], [Fraction(0)], 0, -(2**20), 2**20, 2**24)


@pytest.mark.parametrize("corners", [False, True])
@pytest.mark.parametrize("sizes", [(5, 4), (10, 8), (15, 16), (7, 9), (2, 3), (1, 13)], ids=str)
def test_sums_are_pytorchs(sizes: tuple[int, int], corners: bool) -> None:
    import torch

    case = Case("torch", (1, 2, 5, 4), sizes, (), ("s8", -3), corners=corners)
    source, x = inputs(case, 7)
    real = torch.nn.functional.interpolate(
        torch.from_numpy(x + 3).double(), sizes, mode="bilinear", align_corners=corners
    ).numpy()
    operation = UpsampleBilinear2d("up", ("x",), ("y",), **case.fields(), rescale=UNIT)
    (found,) = operation.reference(Site((source,), (codes("y", real.shape),)), [x])
    assert np.abs(found - real * case.divisor).max() < 1e-8  # binary64


@pytest.mark.parametrize(
    ("shape", "changes", "message"),
    [
        ((1, 2, 3, 4, 5), {}, "expected [1, C, H, W] or [1, C, T]"),
        ((2, 2, 3, 3), {}, "expected [1, C, H, W] or [1, C, T]"),
        ((1, 2, 3), {}, "6 rows of a sequence"),
        ((1, 2, 3, 3), {"sizes": (0, 6)}, "must be positive"),
        ((1, 2, 3, 3), {"divisors": (4, 0)}, "must be positive"),
        ((1, 2, 3, 3), {"steps": (-1, 1)}, "not negative"),
        ((1, 2, 3, 3), {"steps": (2**29, 1)}, "leave int32"),
        ((1, 2, 3, 3), {"offsets": (-(2**31) - 1, 0)}, "leave int32"),
    ],
)
def test_what_does_not_fit_is_refused(
    shape: tuple[int, ...], changes: dict[str, Any], message: str
) -> None:
    fields = {**Case("wrong", (1, 2, 3, 3), (6, 6), ()).fields(), **changes}
    operation = UpsampleBilinear2d("up", ("x",), ("y",), **fields, rescale=UNIT)
    with pytest.raises(GraphError) as error:
        operation.infer([codes("x", shape)])
    assert message in str(error.value)
