"""N1: half to even, in Python."""

from __future__ import annotations

import numpy as np

from ares.numerics import round_half_even_shift
from tests.numerics.oracle import half_even
from tests.numerics.vector_files import records


def test_points() -> None:
    points = [numbers for word, numbers in records("round_shift.txt") if word == "point"]
    shift, value, expected = np.array(points, np.int64).T
    assert set(shift) == set(range(1, 63))
    np.testing.assert_array_equal(round_half_even_shift(value, shift), expected)


def test_every_value_of_a_dense_range() -> None:
    for word, numbers in records("round_shift.txt"):
        if word == "dense":
            shift, first, count, _ = numbers
            values = np.arange(first, first + count)
            expected = [half_even(int(value), 2**shift) for value in values]
            found = round_half_even_shift(values, shift)
            np.testing.assert_array_equal(found, expected)
            ties = values % 2**shift == 2 ** (shift - 1)
            assert ties.sum() == 64
            assert (found[ties] % 2 == 0).all()


def test_one_shift_for_each_channel() -> None:
    values = np.array([[3, 3, 3], [-5, -5, -5]])
    np.testing.assert_array_equal(
        round_half_even_shift(values, np.array([[1, 2, 3]], np.uint8)), [[2, 1, 0], [-2, -1, -1]]
    )
