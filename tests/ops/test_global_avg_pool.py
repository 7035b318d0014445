"""GlobalAvgPool: oracle -> reference -> C, from both memory orders."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ares.ir import Graph, GraphError, Tensor
from ares.numerics import plan_rescale
from ares.ops import Site
from ares.ops.global_avg_pool import GlobalAvgPool
from ares.ops.zero_pad2d import ZeroPad2d
from tests.ops.averaging import answers, sums_over
from tests.ops.harness import check_graph, check_operation, codes
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


CASES = (
    Case(
        "8x8 of s8, ties",
        (61, 8, 8),
        ("s8", 0.25, 0),
        ("s8", 0.03125, 1),
        ("tie to the code below", "tie to the code above", "negative", "prime size"),
    ),
    Case(
        "11x11, finer output",
        (5, 11, 11),
        ("s8", 1.0, -3),
        ("s8", 0.015625, 5),
        ("low clip", "high clip", "odd size", "odd zero points"),
    ),
    Case(
        "u8",
        (7, 7, 5),
        ("u8", 0.037, 0),
        ("u8", 0.021, 0),
        ("code above 127", "odd size"),
    ),
    Case(
        "u8 with an odd zero point",
        (7, 13, 1),
        ("u8", 0.5, 129),
        ("s8", 0.125, 7),
        ("code above 127", "odd zero points", "negative", "positive"),
    ),
    Case(
        "one position",
        (19, 1, 1),
        ("s8", 1.0, 0),
        ("s8", 2.0, 0),
        ("one position", "tie to the code below", "tie of negative codes", "prime size"),
    ),
    Case("one element", (1, 1, 1), ("u8", 1.0, 1), ("u8", 0.5, 3), ("one element",)),
    Case(
        "4-bit codes",
        (23, 2, 2),
        ("s8", 0.5, 0, -8, 7),
        ("s8", 0.125, 0, -7, 7),
        ("low clip", "high clip", "prime size"),
    ),
)


def _ratio(case: Case) -> Fraction:
    """What one unit of the sum is worth in output codes."""
    return Fraction(case.source[1]) / Fraction(case.target[1]) / (case.shape[1] * case.shape[2])


def _operation(case: Case, source: Tensor, target: Tensor) -> GlobalAvgPool:
    bound = case.shape[1] * case.shape[2] * source.largest_magnitude
    rescale = plan_rescale(
        [_ratio(case)], [Fraction(0)], target.zero_point, target.lo, target.hi, bound
    )
    return GlobalAvgPool("pool", ("x",), ("y",), rescale)


def _bytes(seed: int, shape: tuple[int, ...], lo: int, hi: int) -> Array:
    raw = np.random.Philox(key=seed).random_raw(int(np.prod(shape))).reshape(shape)
    return (raw % np.uint64(hi - lo + 1)).astype(np.int64) + lo


def _sums(case: Case, x: Array) -> list[int]:
    zero_point = case.source[2]
    return [sum(int(code) - zero_point for code in plane.flat) for plane in x[0]]


def _facts(case: Case, x: Array) -> dict[str, bool]:
    channels, height, width = case.shape
    return {
        "odd size": height % 2 == width % 2 == 1,
        "prime size": channels in (3, 5, 7, 19, 23, 61),
        "one position": height * width == 1,
        "one element": x.size == 1,
        "odd zero points": case.source[2] % 2 == case.target[2] % 2 == 1,
        "code above 127": x.max() > 127,
    }


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_oracle_reference_c(case: Case) -> None:
    source = codes("x", (1, *case.shape), *case.source)
    target = codes("y", (1, case.shape[0], 1, 1), *case.target)
    x = _bytes(1, source.shape, source.lo, source.hi)
    ratio = _ratio(case)
    reals = [total * ratio + target.zero_point for total in _sums(case, x)]
    reached = assert_reaches(case.reaches, _facts(case, x), reals, target)
    # Where the ratio is no binary fraction, an exact tie may go either way (N3): none may be there.
    assert ratio.denominator & (ratio.denominator - 1) == 0 or not any("tie" in r for r in reached)
    expected = np.array([max(target.lo, min(target.hi, round(r))) for r in reals], np.int64)
    check_operation(
        _operation(case, source, target), [source], [target], [x], [expected.reshape(target.shape)]
    )


def test_c_after_a_layer_that_lies_channels_last() -> None:
    """A frame of zeros adds nothing to the sum, but the kernel sees [H][W][C]."""
    case = CASES[2]
    source = codes("x", (1, *case.shape), *case.source)
    channels, height, width = case.shape
    padded = codes("p", (1, channels, height + 1, width + 2), *case.source)
    target = codes("y", (1, channels, 1, 1), *case.target)
    x = _bytes(1, source.shape, source.lo, source.hi)
    reals = [total * _ratio(case) + target.zero_point for total in _sums(case, x)]
    expected = np.array([max(target.lo, min(target.hi, round(r))) for r in reals], np.int64)
    graph = Graph(
        "channels_last",
        (source, padded, target),
        (
            ZeroPad2d("pad", ("x",), ("p",), (1, 2, 0, 0)),
            dataclasses.replace(_operation(case, source, target), inputs=("p",)),
        ),
        ("x",),
        ("y",),
    ).validate()
    planned = check_graph(graph, {"x": x}, {"y": expected.reshape(target.shape)})
    assert planned.tensor("p").layout == (0, 2, 3, 1)


@pytest.mark.parametrize(
    ("given_layout", "wanted", "sizes"),
    [
        ((0, 1, 2, 3), (0, 1, 2, 3), (3, 35, 1)),
        ((0, 2, 3, 1), (0, 2, 3, 1), (1, 35, 3)),
        ((0, 3, 1, 2), (0, 2, 3, 1), (1, 35, 3)),
    ],
)
def test_the_kernel_sums_neighbours(
    given_layout: tuple[int, ...], wanted: tuple[int, ...], sizes: tuple[int, int, int]
) -> None:
    case = Case("layouts", (3, 5, 7), ("s8", 1.0, 0), ("s8", 1.0, 0), ())
    source, target = codes("x", (1, 3, 5, 7)), codes("y", (1, 3, 1, 1))
    operation = _operation(case, source, target)
    inputs, outputs = operation.layouts(Site((source,), (target,)), (given_layout,))
    assert inputs == (wanted,)
    fields = dict(operation.lower(Site((source,), (target,), inputs, outputs)).params.fields)
    assert (fields["outer"], fields["count"], fields["inner"]) == sizes


@settings(derandomize=True, deadline=None, max_examples=200)
@given(
    st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9)),
    st.tuples(st.just("u8"), st.floats(2.0**-12, 8.0, width=32), st.integers(0, 255)),
    st.tuples(st.just("s8"), st.floats(2.0**-12, 8.0, width=32), st.integers(-128, 127)),
    st.integers(0, 2**32),
)
def test_reference_keeps_its_eps(
    shape: tuple[int, int, int], source_codes: Codes, target_codes: Codes, seed: int
) -> None:
    """|code - clamp(r)| <= 1/2 + EPS in exact rationals: equality wherever r is not at a tie."""
    case = Case("drawn", shape, source_codes, target_codes, ())
    source = codes("x", (1, *shape), *source_codes)
    target = codes("y", (1, shape[0], 1, 1), *target_codes)
    x = _bytes(seed, source.shape, source.lo, source.hi)
    operation = _operation(case, source, target)
    site = Site((source,), (target,))
    assert operation.infer([source])[0][0] == target.shape
    assert max(abs(total) for total in _sums(case, x)) <= operation.accumulator_bound(site)
    (found,) = operation.reference(site, [x])
    limit = Fraction(1, 2) + Fraction(GlobalAvgPool.EPS)
    for code, total in zip(found.flat, _sums(case, x), strict=True):
        real = total * _ratio(case) + target.zero_point
        assert abs(int(code) - max(target.lo, min(target.hi, real))) <= limit


def test_another_rank_is_refused() -> None:
    case = Case("wrong", (1, 1, 1), ("s8", 1.0, 0), ("s8", 1.0, 0), ())
    source = codes("x", (1, 2, 3))
    with pytest.raises(GraphError, match="has rank 3, expected 4"):
        _operation(case, source, codes("y", (1,))).infer([source])


def test_constants_for_each_channel() -> None:
    source, target = (
        codes("x", (1, 23, 3, 4), "u8", 0.5, 120),
        codes("y", (1, 23, 1, 1), "s8", 1.0, -5, -24, 15),
    )
    x = np.random.Philox(key=83).random_raw(276).reshape(source.shape).astype(np.int64) % 256
    sums = sums_over(x, [[range(3)], [range(4)]], 120)
    rescale, expected = answers(sums, 1, target, 12 * source.largest_magnitude)
    operation = GlobalAvgPool("pool", ("x",), ("y",), rescale)
    check_operation(operation, [source], [target], [x], [expected])
