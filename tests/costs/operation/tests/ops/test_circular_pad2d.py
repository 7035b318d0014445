"""CircularPad2d: oracle -> reference -> C."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from ares.ir import GraphError
from ares.ops.circular_pad2d import CircularPad2d
from tests.ops.harness import check_operation, codes

# Shape, padding (top, left, bottom, right), type.
CASES = {
    "four different sides, prime sizes": ((3, 5, 7), (1, 2, 3, 4), "s8"),
    "whole sizes": ((2, 3, 2), (3, 2, 3, 2), "u8"),
    "rows only": ((5, 4, 3), (1, 0, 2, 0), "s8"),
    "columns only": ((1, 3, 4), (0, 1, 0, 3), "s8"),
    "no padding": ((2, 2, 3), (0, 0, 0, 0), "u8"),
    "one pixel": ((3, 1, 1), (1, 1, 0, 1), "s8"),
}


@pytest.mark.parametrize("case", CASES)
def test_case(case: str) -> None:
    (channels, height, width), padding, dtype = CASES[case]
    top, left, bottom, right = padding
    source = codes("x", (1, channels, height, width), dtype, 0.5, 7)
    x = np.random.Philox(key=3).random_raw(source.size).reshape(source.shape) % np.uint64(256)
    x = x.astype(np.int64) + source.lo
    expected = np.zeros((1, channels, top + height + bottom, left + width + right), np.int64)
    for c, y, z in product(*map(range, expected.shape[1:])):
        expected[0, c, y, z] = x[0, c, (y - top) % height, (z - left) % width]
    if channels * height * width > 3:
        assert len(np.unique(x)) > 3, "nothing would be seen if pixels changed places"
    target = codes("y", expected.shape, dtype, 0.5, 7)
    operation = CircularPad2d("pad", ("x",), ("y",), padding)
    check_operation(operation, [source], [target], [x], [expected])


@pytest.mark.parametrize(
    ("shape", "padding", "message"),
    [
        ((1, 2, 3), (0, 0, 0, 0), "expected [1, C, H, W]"),
        ((1, 2, 3, 3), (0, -1, 0, 0), "from 0 to that size"),
        ((1, 2, 3, 3), (0, 0, 4, 0), "from 0 to that size"),
    ],
)
def test_what_does_not_fit_is_refused(
    shape: tuple[int, ...], padding: tuple[int, int, int, int], message: str
) -> None:
    with pytest.raises(GraphError) as error:
        CircularPad2d("pad", ("x",), ("y",), padding).infer([codes("x", shape)])
    assert message in str(error.value)
