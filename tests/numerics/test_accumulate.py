"""N2: sums of products are exact, and what might not be is refused."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from ares.ir import DType, Tensor
from ares.numerics import INT32_MAX, NumericsError, exact_matmul, plan_rescale
from ares.ops._operation import weight_bound
from tests.numerics.make_vectors import pseudo_random
from tests.numerics.vector_files import records


def test_vectors() -> None:
    for word, numbers in records("dot.txt"):
        is_signed, zero_point, *_, count, expected = numbers
        kind = np.int8 if is_signed else np.uint8
        if word == "drawn":
            drawn = list(itertools.islice(pseudo_random(numbers[2]), 2 * count))
            data = np.array(drawn, np.uint8)
            x, w = data[::2].view(kind), data[1::2].view(np.int8)
        else:
            x, w = np.full(count, numbers[2], kind), np.full(count, numbers[3], np.int8)
        found = exact_matmul((x.astype(np.int64) - zero_point)[None], w[:, None])
        assert found.item() == expected, numbers


def test_weights_of_minus_128_count_in_full() -> None:
    # abs() of int8 -128 is -128: a check that goes through it sees no weight at all.
    with pytest.raises(NumericsError, match="not exact"):
        exact_matmul(np.full((1, 2), 2**46), np.full((2, 1), -128, np.int8))
    found = exact_matmul(np.full((1, 2), 2**44), np.full((2, 1), -128, np.int8))
    assert found.item() == -(2**52)


@pytest.mark.parametrize(
    ("lo", "hi", "zero_point", "largest"), [(-128, 127, 0, 128), (0, 255, 3, 252), (-8, 7, 7, 15)]
)
def test_the_bound_is_reached_and_not_passed(
    lo: int, hi: int, zero_point: int, largest: int
) -> None:
    source = Tensor("x", (1, 5), DType.U8 if lo == 0 else DType.S8, 1.0, zero_point, lo, hi)
    weight = np.array([[1, -2, 3, -127, 0], [-128, 127, -128, 1, 1]], np.int8)
    bound = weight_bound(weight, source)
    assert bound == (128 + 127 + 128 + 1 + 1) * largest
    extreme = max((lo, hi), key=lambda code: abs(code - zero_point))
    other = lo + hi - extreme
    worst = np.where(weight[1] < 0, extreme, other) - zero_point
    assert abs(int(exact_matmul(worst[None], weight.T).max())) <= bound
    aligned = np.sign(weight[1].astype(int)) * largest
    assert int((aligned * weight[1]).sum()) == bound


def test_an_accumulator_past_int32_is_refused() -> None:
    arguments = ([1], [0], 0, -128, 127)
    assert plan_rescale(*arguments, INT32_MAX).channels == 1
    with pytest.raises(NumericsError, match="int32 ends at 2147483647"):
        plan_rescale(*arguments, INT32_MAX + 1)
