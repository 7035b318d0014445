"""TruncAvgPool2d: oracle -> reference -> C. The oracle sums with loops and cuts bits off Python's integers (N18)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor, trunc

import numpy as np
import pytest

from ares.ir import GraphError
from ares.numerics import plan_truncation
from ares.numerics.truncation import ROUNDINGS
from ares.ops.trunc_avg_pool2d import TruncAvgPool2d
from tests.numerics import oracle
from tests.ops import windows
from tests.ops.harness import check_operation, codes
from tests.ops.reaching import assert_reaches
from tests.ops.windows import Array


def _dpu(value: Fraction) -> int:
    return ceil(value) if value < 0 and value % 1 == Fraction(1, 2) else oracle.nearest(value)


WHOLE: Mapping[str, Callable[[Fraction], int]] = {
    "down": floor,
    "up": ceil,
    "half to even": oracle.nearest,
    "towards zero": trunc,
    "half to even, negative ties up": _dpu,
}


@dataclass(frozen=True)
class Case:
    shift: int
    reaches: tuple[str, ...]
    kernel: tuple[int, int] = (2, 2)
    stride: tuple[int, int] = (2, 2)
    kind: str = "s8"
    zero_point: int = 0
    ends: tuple[int, int] = (-128, 127)

    @property
    def operation(self) -> Callable[..., TruncAvgPool2d]:
        padding = (0, 0, 0, 0)
        return lambda rescale: TruncAvgPool2d(
            "pool", ("x",), ("y",), self.kernel, self.stride, padding, rescale
        )


CASES = {
    "2x2 of s8": Case(2, ("remainder", "tie", "negative", "positive")),
    "every bit stays": Case(-1, ("nothing cut off",), kernel=(1, 1), stride=(1, 1)),
    "u8 with a zero point": Case(
        1, ("negative tie", "high clip", "low clip"), (3, 2), (1, 2), "u8", 128, (0, 255)
    ),
    "four bits": Case(6, ("low clip", "high clip", "remainder"), (3, 3), (1, 1), ends=(-3, 3)),
    "more than a window holds": Case(9, ("remainder", "zero"), (2, 3), (2, 3)),
}


def _reals(case: Case, x: Array) -> Array:
    axes = [
        windows.sliding(x.shape[2 + axis], case.kernel[axis], case.stride[axis]) for axis in (0, 1)
    ]
    reals = np.zeros((*x.shape[:2], *map(len, axes)), object)
    for channel, index, seen in windows.every(x, axes):
        total = case.zero_point + sum(
            int(x[0, channel, row, column]) - case.zero_point
            for row in seen[0].places
            for column in seen[1].places
        )
        reals[0, channel, *index] = Fraction(total) / Fraction(2) ** case.shift
    return reals


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("name", CASES)
def test_oracle_reference_c(name: str, rounding: str) -> None:
    case = CASES[name]
    source = codes("x", (1, 3, 7, 6), case.kind, 0.25, case.zero_point)
    x = (np.arange(3 * 7 * 6) * 37 % 256 + source.dtype.lo).reshape(source.shape)
    reals = _reals(case, x)
    start = case.zero_point // 2 ** max(case.shift, 0)
    lo, hi = case.ends
    target = codes("y", reals.shape, case.kind, 0.25, start, lo, hi)
    facts = {
        "remainder": any(real.denominator > 1 for real in reals.flat),
        "nothing cut off": all(real.denominator == 1 for real in reals.flat),
        "zero": any(-1 < real < 1 for real in reals.flat),
    }
    assert_reaches(case.reaches, facts, reals.flat, target)
    whole = [oracle.clamp(WHOLE[rounding](real), lo, hi) for real in reals.flat]
    bound = case.kernel[0] * case.kernel[1] * source.largest_magnitude
    rescale = plan_truncation(rounding, case.shift, case.zero_point, lo, hi, bound)
    expected = np.array(whole, np.int64).reshape(reals.shape)
    check_operation(case.operation(rescale), [source], [target], [x], [expected])


def test_what_does_not_fit_is_refused() -> None:
    rescale = plan_truncation("down", 2, 0, -128, 127, 999)
    for shape, message in (
        ((1, 2, 3), "expected [1, C, H, W]"),
        ((1, 2, 1, 3), "kernel is larger"),
    ):
        with pytest.raises(GraphError) as error:
            CASES["2x2 of s8"].operation(rescale).infer([codes("x", shape)])
        assert message in str(error.value)
