"""Mean: oracle -> reference -> C, and the kernel's memory order for every layout and set of axes."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations, permutations, product
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ares.ir import GraphError, Tensor
from ares.numerics import plan_rescale
from ares.ops import Site
from ares.ops.mean import Mean
from tests.ops.averaging import answers, sums_over
from tests.ops.harness import check_operation, codes
from tests.ops.reaching import assert_reaches

Array = npt.NDArray[Any]
Codes = tuple[Any, ...]  # dtype, scale, zero point, and lo, hi where they are not the type's


@dataclass(frozen=True)
class Case:
    name: str
    shape: tuple[int, ...]
    axes: tuple[int, ...]
    keepdim: bool
    source: Codes
    target: Codes
    reaches: tuple[str, ...]


CASES = (
    Case(
        "tokens of N T D",
        (1, 8, 37),
        (1,),
        False,
        ("s8", 0.5, 0),
        ("s8", 0.25, 3),
        (
            "tie to the code below",
            "tie to the code above",
            "negative",
            "prime size",
            "middle axis",
        ),
    ),
    Case(
        "features of N T D, kept",
        (1, 11, 7),
        (2,),
        True,
        ("u8", 0.25, 127),
        ("u8", 0.03125, 129),
        ("low clip", "high clip", "odd zero points", "code above 127", "last axis"),
    ),
    Case(
        "H and W",
        (1, 29, 4, 2),
        (2, 3),
        True,
        ("s8", 0.5, 0),
        ("s8", 0.5, 0),
        ("tie of negative codes", "tie to the code below", "prime size"),
    ),
    Case("H alone", (1, 3, 5, 7), (2,), False, ("u8", 0.3, 0), ("s8", 0.17, -9), ("middle axis",)),
    Case(
        "C and W, which are neighbours channels last only",
        (1, 3, 5, 7),
        (1, 3),
        False,
        ("s8", 1.0, 1),
        ("s8", 0.0625, 0),
        ("low clip", "high clip", "split axes"),
    ),
    Case(
        "C, H and W",
        (1, 5, 3, 7),
        (1, 2, 3),
        False,
        ("u8", 1.0, 0),
        ("u8", 0.9, 0),
        ("all axes", "positive"),
    ),
    Case(
        "N F", (1, 31), (1,), False, ("s8", 2.0, 5), ("s8", 0.1, 7), ("all axes", "odd zero points")
    ),
    Case("one element", (1, 1, 1), (1,), False, ("u8", 1.0, 0), ("u8", 2.0, 1), ("one element",)),
    Case(
        "sums of high codes past 16 bits",
        (1, 1031, 6),
        (1,),
        False,
        ("s8", 0.5, 60, 60, 127),
        ("s8", 0.125, -128),
        ("sums past 16 bits", "positive"),
    ),
    Case(
        "sums of low codes past 16 bits",
        (1, 1031, 6),
        (1,),
        False,
        ("s8", 0.5, -61, -128, -61),
        ("s8", 0.125, 127, -128, 127),
        ("sums past 16 bits", "negative"),
    ),
    Case(
        "sums of bytes past 16 bits",
        (1, 1031, 7),
        (1,),
        False,
        ("u8", 0.5, 3),
        ("u8", 0.25, 0),
        ("sums past 16 bits", "odd codes and sizes"),
    ),
)


def _ratio(case: Case) -> Fraction:
    """What one unit of the sum is worth in output codes."""
    count = prod(case.shape[axis] for axis in case.axes)
    return Fraction(case.source[1]) / Fraction(case.target[1]) / count


def _operation(case: Case, source: Tensor, target: Tensor) -> Mean:
    bound = prod(case.shape[axis] for axis in case.axes) * source.largest_magnitude
    rescale = plan_rescale(
        [_ratio(case)], [Fraction(0)], target.zero_point, target.lo, target.hi, bound
    )
    return Mean("average", ("x",), ("y",), case.axes, case.keepdim, rescale)


def _bytes(seed: int, shape: tuple[int, ...], lo: int, hi: int) -> Array:
    raw = np.random.Philox(key=seed).random_raw(prod(shape)).reshape(shape)
    return (raw % np.uint64(hi - lo + 1)).astype(np.int64) + lo


def _sums(case: Case, x: Array) -> Array:
    """Exact sums of real steps, as Python integers, with the output's shape."""
    shape = [1 if axis in case.axes else size for axis, size in enumerate(case.shape)]
    sums = np.zeros(shape, object)
    for index in product(*(range(size) for size in case.shape)):
        at = tuple(0 if axis in case.axes else i for axis, i in enumerate(index))
        sums[at] += int(x[index]) - case.source[2]
    if case.keepdim:
        return sums
    return sums.reshape([size for axis, size in enumerate(case.shape) if axis not in case.axes])


def _facts(case: Case, x: Array) -> dict[str, bool]:
    sums = x.sum(axis=case.axes)
    last, axes = len(case.shape) - 1, case.axes
    is_split = axes[-1] - axes[0] >= len(axes)
    return {
        "prime size": any(size in (29, 31, 37) for size in case.shape),
        "one element": x.size == 1,
        "odd zero points": case.source[2] % 2 == case.target[2] % 2 == 1,
        "code above 127": x.max() > 127,
        "sums past 16 bits": np.abs(sums).min() > 2**16,
        "odd codes and sizes": case.source[2] % 2 == case.shape[-1] % 2 == 1,
        "all axes": len(axes) == last,
        "last axis": axes == (last,) and last > 1,
        "split axes": is_split and len(axes) < last,
        "middle axis": axes[-1] < last and not is_split,
    }


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_oracle_reference_c(case: Case) -> None:
    source = codes("x", case.shape, *case.source)
    x = _bytes(1, source.shape, source.lo, source.hi)
    sums = _sums(case, x)
    target = codes("y", sums.shape, *case.target)
    ratio = _ratio(case)
    reals = np.array([s * ratio + target.zero_point for s in sums.flat], object).reshape(sums.shape)
    reached = assert_reaches(case.reaches, _facts(case, x), reals.flat, target)
    # Where the ratio is no binary fraction, an exact tie may go either way (N3): none may be there.
    assert ratio.denominator & (ratio.denominator - 1) == 0 or not any("tie" in r for r in reached)
    expected = np.array([max(target.lo, min(target.hi, round(r))) for r in reals.flat], np.int64)
    check_operation(
        _operation(case, source, target), [source], [target], [x], [expected.reshape(sums.shape)]
    )


@pytest.mark.parametrize("shape", [(1, 6), (1, 2, 3), (1, 2, 3, 5), (1, 2, 1, 5), (1, 1, 1, 1)])
@pytest.mark.parametrize("keepdim", [False, True])
def test_the_kernel_sums_neighbours(shape: tuple[int, ...], keepdim: bool) -> None:
    """[outer][count][inner] of the chosen layout gives the reference, for every layout that is there."""
    x = np.arange(prod(shape)).reshape(shape)
    rank = len(shape)
    for size in range(1, rank):
        for axes in combinations(range(1, rank), size):
            case = Case("layouts", shape, axes, keepdim, ("s8", 1.0, 0), ("s8", 1.0, 0), ())
            source = codes("x", shape)
            sums = x.sum(axis=axes, keepdims=keepdim)
            target = codes("y", sums.shape)
            operation = _operation(case, source, target)
            for layout in permutations(range(rank)):
                site = Site((source,), (target,))
                (wanted,), (produced,) = operation.layouts(site, (layout,))
                call = operation.lower(Site((source,), (target,), (wanted,), (produced,)))
                fields = dict(call.params.fields)
                memory = x.transpose(wanted).reshape(
                    fields["outer"], fields["count"], fields["inner"]
                )
                lies = [sums.shape[axis] for axis in produced]
                found = memory.sum(axis=1).reshape(lies).transpose(np.argsort(produced))
                assert np.array_equal(found, sums), (axes, layout)


def _cases(draw: st.DrawFn) -> Case:
    shape = (1, *draw(st.lists(st.integers(1, 6), min_size=1, max_size=3)))
    axes = draw(st.sets(st.integers(1, len(shape) - 1), min_size=1))
    tensor = st.one_of(
        st.tuples(st.just("s8"), st.floats(2.0**-12, 8.0, width=32), st.integers(-128, 127)),
        st.tuples(st.just("u8"), st.floats(2.0**-12, 8.0, width=32), st.integers(0, 255)),
    )
    return Case(
        "drawn", shape, tuple(sorted(axes)), draw(st.booleans()), draw(tensor), draw(tensor), ()
    )


@settings(derandomize=True, deadline=None, max_examples=300)
@given(st.composite(_cases)(), st.integers(0, 2**32))
def test_reference_keeps_its_eps(case: Case, seed: int) -> None:
    """|code - clamp(r)| <= 1/2 + EPS in exact rationals: equality wherever r is not at a tie."""
    source = codes("x", case.shape, *case.source)
    x = _bytes(seed, source.shape, source.lo, source.hi)
    sums = _sums(case, x)
    target = codes("y", sums.shape, *case.target)
    operation = _operation(case, source, target)
    site = Site((source,), (target,))
    assert operation.infer([source])[0][0] == target.shape
    assert max(abs(total) for total in sums.flat) <= operation.accumulator_bound(site)
    (found,) = operation.reference(site, [x])
    assert found.shape == target.shape
    limit = Fraction(1, 2) + Fraction(Mean.EPS)
    for code, total in zip(found.flat, sums.flat, strict=True):
        real = total * _ratio(case) + target.zero_point
        assert abs(int(code) - max(target.lo, min(target.hi, real))) <= limit


@pytest.mark.parametrize(
    ("shape", "axes", "message"),
    [
        ((1,), (1,), "has rank 1, expected 2 to 4"),
        ((1, 2, 3, 4, 5), (1,), "has rank 5, expected 2 to 4"),
        ((1, 2, 3), (), "must be different, ascending"),
        ((1, 2, 3), (0, 1), "axis 0 is the batch"),
        ((1, 2, 3), (2, 1), "must be different, ascending"),
        ((1, 2, 3), (1, 1), "must be different, ascending"),
        ((1, 2, 3), (3,), "in 1..2"),
    ],
)
def test_what_does_not_fit_is_refused(
    shape: tuple[int, ...], axes: tuple[int, ...], message: str
) -> None:
    case = Case("wrong", (1,) * 6, axes, False, ("s8", 1.0, 0), ("s8", 1.0, 0), ())
    source = codes("x", shape)
    with pytest.raises(GraphError) as error:
        _operation(case, source, codes("y", (1,))).infer([source])
    assert message in str(error.value)


CHANNELS = {
    "H and W": ((1, 23, 4, 3), (2, 3), 1),
    "H": ((1, 7, 4, 5), (2,), 1),
    "W": ((1, 7, 4, 5), (3,), 1),
    "T of N C T": ((1, 23, 9), (2,), 1),
    "T of N T C": ((1, 9, 23), (1,), 2),
    "H and W, more channels than a tile": ((1, 71, 3, 2), (2, 3), 1),
}


@pytest.mark.parametrize("keepdim", [False, True])
@pytest.mark.parametrize("name", CHANNELS)
def test_constants_for_each_channel(name: str, keepdim: bool) -> None:
    shape, axes, channels = CHANNELS[name]
    source = codes("x", shape, "s8", 0.5, 3)
    x = _bytes(31, shape, -128, 127)
    first = np.moveaxis(x, channels, 1)
    moved = [axis + 1 if axis < channels else axis for axis in axes]
    places = [
        [range(size)] if axis in moved else [range(i, i + 1) for i in range(size)]
        for axis, size in enumerate(first.shape[2:], start=2)
    ]
    sums = np.moveaxis(sums_over(first, places, 3), 1, channels)
    if not keepdim:
        sums = sums.reshape([size for axis, size in enumerate(sums.shape) if axis not in axes])
    place = channels if keepdim else channels - sum(axis < channels for axis in axes)
    target = codes("y", sums.shape, "s8", 0.25, -5, -24, 15)
    bound = prod(shape[axis] for axis in axes) * source.largest_magnitude
    rescale, expected = answers(sums, place, target, bound)
    operation = Mean("average", ("x",), ("y",), axes, keepdim, rescale)
    check_operation(operation, [source], [target], [x], [expected])
