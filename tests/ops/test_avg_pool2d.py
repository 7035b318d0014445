"""AvgPool2d: oracle -> reference -> C. The oracle sums with loops and rounds Fractions."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ares.ir import GraphError, Tensor
from ares.numerics import plan_rescale
from ares.ops import Site
from ares.ops.avg_pool2d import AvgPool2d
from tests.ops.averaging import answers, sums_over
from tests.ops.harness import check_operation, codes
from tests.ops.reaching import assert_reaches

Array = npt.NDArray[Any]
Codes = tuple[Any, ...]  # dtype, scale, zero point, and lo, hi where they are not the type's


@dataclass(frozen=True)
class Case:
    name: str
    shape: tuple[int, int, int]
    source: Codes
    target: Codes
    reaches: tuple[str, ...]
    kernel: tuple[int, int] = (2, 2)
    stride: tuple[int, int] = (2, 2)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)


CASES = (
    Case(
        "2x2 of s8",
        (3, 7, 5),
        ("s8", 0.0625, 0),
        ("s8", 0.0625, 0),
        (
            "odd size",
            "tie of negative codes",
            "tie to the code below",
            "tie to the code above",
            "dropped rest",
        ),
    ),
    Case(
        "finer output",
        (2, 6, 10),
        ("s8", 0.5, 3),
        ("s8", 0.125, -7),
        ("low clip", "high clip", "odd zero points"),
    ),
    Case(
        "padded u8",
        (5, 7, 7),
        ("u8", 0.1, 129),
        ("u8", 0.07, 131),
        ("code above 127", "padding", "odd zero points", "negative", "positive"),
        kernel=(3, 3),
        stride=(1, 1),
        padding=(1, 1, 1, 1),
    ),
    Case(
        "s8 to u8",
        (3, 4, 6),
        ("s8", 0.25, 0),
        ("u8", 0.0625, 0),
        ("low clip", "code above 127", "negative"),
    ),
    Case(
        "every parameter differs between the axes",
        (7, 11, 13),
        ("s8", 0.3, 0),
        ("s8", 0.17, 0),
        ("prime size", "one-sided padding", "padding", "both signs in a window"),
        kernel=(3, 2),
        stride=(2, 3),
        padding=(2, 1, 0, 3),
    ),
    Case(
        "one element",
        (1, 1, 1),
        ("u8", 1.0, 0),
        ("u8", 2.0, 1),
        ("one element", "tie to the code below"),
        kernel=(1, 1),
        stride=(1, 1),
    ),
    Case(
        "4-bit codes",
        (4, 8, 8),
        ("s8", 0.5, 0, -8, 7),
        ("s8", 0.125, 0, -8, 7),
        ("low clip", "high clip"),
    ),
    Case(
        "a window of padding only",
        (2, 3, 3),
        ("u8", 0.5, 7),
        ("s8", 0.5, 5),
        ("padding", "window of padding", "odd zero points"),
        padding=(2, 2, 3, 3),
    ),
)


def _operation(case: Case, source: Tensor, target: Tensor) -> AvgPool2d:
    bound = case.kernel[0] * case.kernel[1] * source.largest_magnitude
    rescale = plan_rescale(
        [_ratio(case)], [Fraction(0)], target.zero_point, target.lo, target.hi, bound
    )
    return AvgPool2d("pool", ("x",), ("y",), case.kernel, case.stride, case.padding, rescale)


def _ratio(case: Case) -> Fraction:
    """What one unit of the sum is worth in output codes."""
    return Fraction(case.source[1]) / Fraction(case.target[1]) / (case.kernel[0] * case.kernel[1])


def _bytes(seed: int, shape: tuple[int, ...], lo: int, hi: int) -> Array:
    raw = np.random.Philox(key=seed).random_raw(int(np.prod(shape))).reshape(shape)
    return (raw % np.uint64(hi - lo + 1)).astype(np.int64) + lo


def _sums(case: Case, x: Array) -> Array:
    """Exact sums of real steps, as Python integers."""
    channels, height, width = case.shape
    top, left, bottom, right = case.padding
    rows = range(-top, height + bottom - case.kernel[0] + 1, case.stride[0])
    columns = range(-left, width + right - case.kernel[1] + 1, case.stride[1])
    sums = np.zeros((1, channels, len(rows), len(columns)), object)
    for c, (i, y0), (j, x0) in product(range(channels), enumerate(rows), enumerate(columns)):
        for row, column in product(range(y0, y0 + case.kernel[0]), range(x0, x0 + case.kernel[1])):
            if 0 <= row < height and 0 <= column < width:
                sums[0, c, i, j] += int(x[0, c, row, column]) - case.source[2]
    return sums


def _reals(case: Case, x: Array) -> Array:
    """The exact value that the output's quantiser is given, in codes."""
    ratio = _ratio(case)
    sums = _sums(case, x)
    return np.array([s * ratio + case.target[2] for s in sums.flat], object).reshape(sums.shape)


def _facts(case: Case, x: Array, reals: Array, target: Tensor) -> dict[str, bool]:
    channels, height, width = case.shape
    first = x[0, 0, : case.kernel[0], : case.kernel[1]]
    top, left = case.padding[:2]
    return {
        "odd size": height % 2 == width % 2 == 1,
        "prime size": {channels, height, width} <= {2, 3, 5, 7, 11, 13},
        "one element": x.size == 1,
        "padding": max(case.padding) > 0,
        "one-sided padding": len({*case.padding}) > 2,
        "odd zero points": case.source[2] % 2 == case.target[2] % 2 == 1,
        "dropped rest": (height - case.kernel[0]) % case.stride[0] > 0 and not max(case.padding),
        "code above 127": x.max() > 127 or (target.dtype.lo == 0 and reals.max() > 127),
        "both signs in a window": first.min() < 0 < first.max(),
        "window of padding": top >= case.kernel[0] and left >= case.kernel[1],
    }


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_oracle_reference_c(case: Case) -> None:
    source = codes("x", (1, *case.shape), *case.source)
    x = _bytes(1, source.shape, source.lo, source.hi)
    reals = _reals(case, x)
    target = codes("y", reals.shape, *case.target)
    reached = assert_reaches(case.reaches, _facts(case, x, reals, target), reals.flat, target)
    # Where the ratio is no binary fraction, an exact tie may go either way (N3): none may be there.
    ratio = _ratio(case)
    assert ratio.denominator & (ratio.denominator - 1) == 0 or not any("tie" in r for r in reached)
    expected = np.array([max(target.lo, min(target.hi, round(r))) for r in reals.flat], np.int64)
    check_operation(
        _operation(case, source, target), [source], [target], [x], [expected.reshape(reals.shape)]
    )


def _cases(draw: st.DrawFn) -> Case:
    pair = st.tuples(st.integers(1, 4), st.integers(1, 4))
    tensor = st.one_of(
        st.tuples(st.just("s8"), st.floats(2.0**-12, 8.0, width=32), st.integers(-128, 127)),
        st.tuples(st.just("u8"), st.floats(2.0**-12, 8.0, width=32), st.integers(0, 255)),
    )
    return Case(
        "drawn",
        draw(st.tuples(st.integers(1, 3), st.integers(4, 7), st.integers(4, 7))),
        draw(tensor),
        draw(tensor),
        (),
        kernel=draw(pair),
        stride=draw(pair),
        padding=draw(st.tuples(*[st.integers(0, 3)] * 4)),
    )


@settings(derandomize=True, deadline=None, max_examples=300)
@given(st.composite(_cases)(), st.integers(0, 2**32))
def test_reference_keeps_its_eps(case: Case, seed: int) -> None:
    """|code - clamp(r)| <= 1/2 + EPS in exact rationals: equality wherever r is not at a tie."""
    source = codes("x", (1, *case.shape), *case.source)
    x = _bytes(seed, source.shape, source.lo, source.hi)
    reals = _reals(case, x)
    target = codes("y", reals.shape, *case.target)
    operation = _operation(case, source, target)
    site = Site((source,), (target,))
    assert operation.infer([source])[0][0] == target.shape
    assert max(abs(s) for s in _sums(case, x).flat) <= operation.accumulator_bound(site)
    (found,) = operation.reference(site, [x])
    limit = Fraction(1, 2) + Fraction(AvgPool2d.EPS)
    for code, real in zip(found.flat, reals.flat, strict=True):
        assert abs(int(code) - max(target.lo, min(target.hi, real))) <= limit


@pytest.mark.parametrize(
    ("shape", "changes", "message"),
    [
        ((1, 2, 3), {}, "expected [1, C, H, W]"),
        ((2, 2, 3, 3), {}, "expected [1, C, H, W]"),
        ((1, 2, 1, 3), {}, "kernel is larger"),
        ((1, 2, 3, 3), {"stride": (0, 1)}, "must be positive"),
        ((1, 2, 3, 3), {"padding": (0, 0, -1, 0)}, "not negative"),
    ],
)
def test_what_does_not_fit_is_refused(
    shape: tuple[int, ...], changes: dict[str, Any], message: str
) -> None:
    case = Case("wrong", (1, 1, 1), ("s8", 1.0, 0), ("s8", 1.0, 0), (), **changes)
    source = codes("x", shape)
    with pytest.raises(GraphError) as error:
        _operation(case, source, codes("y", (1,))).infer([source])
    assert message in str(error.value)


@pytest.mark.parametrize("channels", [7, 71])
def test_constants_for_each_channel(channels: int) -> None:
    """Also where they are more than a tile."""
    source, target = (
        codes("x", (1, channels, 5, 4), "s8", 0.5, 3),
        codes("y", (1, channels, 3, 2), "s8", 1.0, -5, -24, 15),
    )
    x = (
        np.random.Philox(key=97).random_raw(20 * channels).reshape(source.shape).astype(np.int64)
        % 256
        - 128
    )
    sums = sums_over(x, [[range(1), range(1, 3), range(3, 5)], [range(2), range(2, 4)]], 3)
    rescale, expected = answers(sums, 1, target, 4 * source.largest_magnitude)
    operation = AvgPool2d("pool", ("x",), ("y",), (2, 2), (2, 2), (1, 0, 0, 0), rescale)
    check_operation(operation, [source], [target], [x], [expected])
