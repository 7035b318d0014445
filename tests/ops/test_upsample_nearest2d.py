"""UpsampleNearest2d: oracle -> reference -> C, for whole factors and for others."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from ares.ir import GraphError
from ares.ops import Site
from ares.ops.upsample_nearest2d import UpsampleNearest2d
from tests.ops.harness import check_operation, codes
from tests.ops.reaching import assert_reaches

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Case:
    name: str
    shape: tuple[int, ...]
    sizes: tuple[int, int]
    reaches: tuple[str, ...]
    dtype: str = "s8"
    zero_point: int = 0

    @property
    def operation(self) -> UpsampleNearest2d:
        tables = [
            np.array([place * old // new for place in range(new)] if old != new else [], np.int32)
            for old, new in zip(self.shape[-2:], self.sizes, strict=True)
        ]
        return UpsampleNearest2d("up", ("x",), ("y",), *tables)


CASES = (
    Case("twice", (1, 3, 5, 7), (10, 14), ("whole factors", "prime size", "both signs")),
    Case("3 and 2", (1, 5, 2, 3), (6, 6), ("whole factors", "factors differ"), "u8", 131),
    Case("across only", (1, 4, 3, 5), (3, 20), ("whole factors", "one axis"), "s8", -9),
    Case("no whole factor", (1, 2, 3, 5), (7, 8), ("other factor",), "u8"),
    Case("fewer", (1, 3, 7, 5), (3, 2), ("other factor", "fewer")),
    Case("one pixel", (1, 3, 1, 1), (4, 5), ("whole factors", "one pixel"), "u8", 200),
    Case("a sequence", (1, 4, 7), (4, 21), ("whole factors", "one axis"), "s8", 3),
)


def _oracle(case: Case, x: Array) -> Array:
    out = np.zeros((*x.shape[:-2], *case.sizes), np.int64)
    for index in product(*(range(size) for size in out.shape)):
        y, x_ = (
            place * old // new
            for place, old, new in zip(index[-2:], x.shape[-2:], case.sizes, strict=True)
        )
        out[index] = x[(*index[:-2], y, x_)]
    return out


def _facts(case: Case, x: Array) -> dict[str, bool]:
    (h, w), (new_h, new_w) = case.shape[-2:], case.sizes
    return {
        "whole factors": new_h % h == new_w % w == 0,
        "other factor": new_h % h != 0 or new_w % w != 0,
        "factors differ": new_h * w != new_w * h,
        "one axis": (h == new_h) != (w == new_w),
        "fewer": new_h < h and new_w < w,
        "prime size": {*case.shape} <= {1, 2, 3, 5, 7},
        "one pixel": h == w == 1,
        "both signs": x.min() < 0 < x.max(),
    }


def _values(case: Case) -> tuple[Any, Array]:
    source = codes("x", case.shape, case.dtype, 0.25, case.zero_point)
    raw = np.random.Philox(key=3).random_raw(source.size).reshape(source.shape)
    return source, (raw % np.uint64(256)).astype(np.int64) + source.lo


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_oracle_reference_c(case: Case) -> None:
    source, x = _values(case)
    expected = _oracle(case, x)
    assert_reaches(case.reaches, _facts(case, x))
    target = codes("y", expected.shape, case.dtype, 0.25, case.zero_point)
    check_operation(case.operation, [source], [target], [x], [expected])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_values_are_pytorchs(case: Case) -> None:
    import torch

    source, x = _values(case)
    size = case.sizes if len(case.shape) == 4 else case.sizes[-1]
    real = torch.nn.functional.interpolate(torch.from_numpy(x).double(), size)
    target = codes("y", tuple(real.shape), case.dtype, 0.25, case.zero_point)
    (found,) = case.operation.reference(Site((source,), (target,)), [x])
    assert np.array_equal(found, real.numpy())


def test_what_does_not_fit_is_refused() -> None:
    operation = Case("wrong", (1, 1, 3, 3), (6, 6), ()).operation
    with pytest.raises(GraphError) as error:
        operation.infer([codes("x", (1, 1, 2, 3))])
    assert "takes rows 0 to 2, the input has 2" in str(error.value)
