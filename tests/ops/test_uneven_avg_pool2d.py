"""AvgPool2d with ceil_mode or uncounted padding: oracle -> reference -> C, and PyTorch's own answer for divisors."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch

from ares.ir import GraphError
from ares.numerics import Rescale, plan_rescale
from ares.ops import Site
from ares.ops.uneven_avg_pool2d import UnevenAvgPool2d
from tests.ops import windows
from tests.ops.harness import check_operation, codes
from tests.ops.reaching import assert_reaches
from tests.ops.windows import Array, Seen


@dataclass(frozen=True)
class Case:
    name: str
    shape: tuple[int, int, int]
    reaches: tuple[str, ...]
    kernel: tuple[int, int] = (2, 2)
    stride: tuple[int, int] = (2, 2)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    ceil_mode: bool = False
    count_include_pad: bool = True
    divisor: int | None = None
    kinds: tuple[str, str] = ("s8", "s8")
    scale: float = 0.5

    @property
    def seen(self) -> list[list[Seen]]:
        return [
            windows.sliding(
                self.shape[1 + axis],
                self.kernel[axis],
                self.stride[axis],
                (self.padding[axis], self.padding[axis + 2]),
                self.ceil_mode,
                self.count_include_pad,
            )
            for axis in (0, 1)
        ]

    def operation(self, constants: tuple[Rescale, ...]) -> UnevenAvgPool2d:
        return UnevenAvgPool2d(
            "pool",
            ("x",),
            ("y",),
            self.kernel,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            constants,
        )


CASES = (
    Case("past the end", (3, 7, 5), ("past the end", "sizes", "tie"), ceil_mode=True),
    Case(
        "uncounted padding",
        (2, 6, 7),
        ("padding", "sizes", "negative tie"),
        kernel=(3, 3),
        stride=(1, 2),
        padding=(1, 1, 1, 1),
        count_include_pad=False,
    ),
    Case(
        "counted padding, past it",
        (2, 7, 6),
        ("padding", "past the padding", "sizes"),
        kernel=(4, 4),
        stride=(3, 3),
        padding=(1, 2, 1, 2),
        ceil_mode=True,
        kinds=("u8", "s8"),
    ),
    Case(
        "all at once, the axes differ",
        (5, 11, 13),
        ("padding", "one-sided padding", "past the end", "sizes", "answer above 127"),
        kernel=(4, 3),
        stride=(4, 5),
        padding=(2, 1, 0, 0),
        ceil_mode=True,
        count_include_pad=False,
        kinds=("u8", "u8"),
    ),
    Case(
        "one divisor for all",
        (3, 7, 5),
        ("past the end", "one divisor", "low clip", "high clip"),
        ceil_mode=True,
        divisor=3,
        scale=2.0**-8,
    ),
    Case(
        "as even as AvgPool2d",
        (2, 6, 4),
        ("one size",),
        ceil_mode=True,
        count_include_pad=False,
        kinds=("s8", "u8"),
    ),
)


def _facts(case: Case) -> dict[str, bool]:
    sizes = [len({window.divisor for window in axis}) for axis in case.seen]
    ends, padded = [], []
    for axis in (0, 1):
        last = (len(case.seen[axis]) - 1) * case.stride[axis] - case.padding[axis]
        ends.append(last + case.kernel[axis] > case.shape[1 + axis])
        padded.append(last + case.kernel[axis] > case.shape[1 + axis] + case.padding[axis + 2])
    return {
        "sizes": max(sizes) > 1 and case.divisor is None,
        "one size": max(sizes) == 1,
        "one divisor": case.divisor is not None,
        "padding": max(case.padding) > 0,
        "one-sided padding": case.padding[:2] != case.padding[2:],
        "past the end": any(ends),
        "past the padding": any(padded) and max(case.padding) > 0,
    }


def _scattered(shape: tuple[int, ...], zero_point: int) -> Array:
    return (np.arange(int(np.prod(shape))) * 37 % 23 - 11 + zero_point).reshape(shape)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_oracle_reference_c(case: Case) -> None:
    zero_points = [131 if kind == "u8" else 3 for kind in case.kinds]
    source = codes("x", (1, *case.shape), case.kinds[0], 0.5, zero_points[0])
    shape = (1, case.shape[0], *map(len, case.seen))
    target = codes("y", shape, case.kinds[1], case.scale, zero_points[1])
    x = _scattered(source.shape, source.zero_point)
    answer, reals = windows.averages(x, case.seen, source, target, case.divisor)
    assert_reaches(case.reaches, _facts(case), reals, target)
    constants = windows.rescales(case.seen, source, target, case.divisor)
    check_operation(case.operation(constants), [source], [target], [x], [answer])


def test_the_divisors_are_pytorchs() -> None:
    compared = 0
    grid = product((4, 7), (1, 2, 3), (1, 2, 3), (0, 1), (False, True), (False, True), (None, 3))
    for size, kernel, stride, pad, ceil_mode, counts, divisor in grid:
        if pad > kernel // 2:
            continue
        case = Case(
            "torch",
            (2, size, size + 1),
            (),
            (kernel,) * 2,
            (stride,) * 2,
            (pad,) * 4,
            ceil_mode,
            counts,
            divisor,
        )
        source = codes("x", (1, *case.shape))
        x = _scattered(source.shape, 0)
        real = torch.nn.functional.avg_pool2d(
            torch.from_numpy(x).double(), kernel, stride, pad, ceil_mode, counts, divisor
        )
        target = codes("y", tuple(real.shape), "s8", 0.125)
        answer, found = windows.averages(x, case.seen, source, target, divisor)
        units = (real * 2**20).flatten().tolist()
        assert [round(unit) for unit in units] == [round(value * 2**17) for value in found], case
        operation = case.operation(windows.rescales(case.seen, source, target, divisor))
        assert operation.infer([source])[0][0] == target.shape
        (codes_found,) = operation.reference(Site((source,), (target,)), [x])
        assert np.array_equal(codes_found, answer), case
        compared += 1
    assert compared > 150


@pytest.mark.parametrize(
    ("shape", "changes", "message"),
    [
        ((1, 2, 3), {}, "expected [1, C, H, W]"),
        ((1, 2, 1, 3), {}, "kernel is larger"),
        ((1, 2, 3, 3), {"stride": (0, 1)}, "must be positive"),
        ((1, 2, 3, 3), {"padding": (0, 0, -1, 0)}, "not negative"),
        ((1, 2, 3, 3), {"ceil_mode": True}, "2 sets of constants for windows of 1 to 2 x 1 to 2"),
        (
            (1, 2, 3, 3),
            {"padding": (3, 0, 0, 0), "count_include_pad": False},
            "padding only, which is not counted",
        ),
    ],
)
def test_what_does_not_fit_is_refused(
    shape: tuple[int, ...], changes: dict[str, Any], message: str
) -> None:
    rescale = plan_rescale([Fraction(1, 5)], [Fraction(0)], 0, -128, 127, 999)
    case = Case("wrong", (1, 1, 1), (), **changes)
    with pytest.raises(GraphError) as error:
        case.operation((rescale, rescale)).infer([codes("x", shape)])
    assert message in str(error.value)
