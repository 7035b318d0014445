"""Rfft: oracle -> reference -> C (N16). The oracle rounds cosines of 60 digits to 30 bits and then never again."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, getcontext
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from ares.emit import emit
from ares.ir import GraphError, Tensor, frozen_array
from ares.numerics.dft import dft_tables, plan_magnitude, plan_phase
from ares.ops import Site
from ares.ops.rfft import MAGNITUDE, PHASE, Rfft
from ares.plan import plan
from ares.toolchain import build, run
from tests.extract.models import fast_target
from tests.numerics import dft_oracle as oracle
from tests.ops.graphs import check_graph, graph_of
from tests.ops.harness import Array, check_operation, codes

getcontext().prec = oracle.DIGITS
PI = float(oracle.PI)
TURN = 3.2  # with pi, quarter turns would be ties but for the rounding of the scale
SNAP = 2**20


def magnitude_of(source: Tensor, target: Tensor) -> Rfft:
    cosine, sine = dft_tables(source.shape[-1])
    ratio = Fraction(source.scale or 0) / Fraction(target.scale or 0)
    steps = plan_magnitude(ratio, target.zero_point, target.hi)
    none = frozen_array(np.zeros((0, 2)), np.int32)
    return Rfft(
        "layer",
        (source.name,),
        (target.name,),
        MAGNITUDE,
        cosine,
        sine,
        target.zero_point,
        steps,
        none,
        0,
    )


def phase_of(source: Tensor, target: Tensor) -> Rfft:
    cosine, sine = dft_tables(source.shape[-1])
    steps = plan_phase(target.scale or 0.0, target.zero_point, target.lo, target.hi)
    none = frozen_array([], np.int64)
    return Rfft(
        "phase",
        (source.name,),
        (target.name,),
        PHASE,
        cosine,
        sine,
        steps.first,
        none,
        steps.directions,
        steps.below,
    )


def rows_of(length: int, lo: int, hi: int, zero_point: int = 0) -> Array:
    """Constant, zero, impulse, even, odd, square, alternating, tones and random rows."""
    n = np.arange(length)
    middle = zero_point
    draw = np.random.Generator(np.random.PCG64(length))
    half = draw.integers(lo, hi + 1, length)
    even = np.where(n <= length - n, half, half[-n % length])
    reach = min(hi - middle, middle - lo)
    near = np.clip(half, middle - reach, middle + reach)
    odd = np.where(n < length - n, near, 2 * middle - near[-n % length])
    odd = np.where((n == 0) | (2 * n == length), middle, odd)
    rows = np.array(
        [
            np.full(length, hi),
            np.full(length, lo),
            np.full(length, middle),
            np.where(n == 0, hi, middle),
            np.where(n == length - 1, lo, middle),
            even,
            odd,
            np.where(n < length // 2, hi, lo),
            np.where(n % 2, lo, hi),
            middle + np.rint(reach * np.cos(2 * np.pi * n / length)),
            middle + np.rint(reach * np.sin(2 * np.pi * (length // 3) * n / length)),
            middle + np.rint(1.4 * np.cos(2 * np.pi * 2 * n / length + 1.0)),
            draw.integers(lo, hi + 1, length),
            *(middle + draw.integers(-1, 2, (2, length))),
            *draw.integers(lo, hi + 1, (8, length)),
        ],
        np.int64,
    )
    return np.clip(rows, lo, hi)


def half_even(value: Decimal) -> int:
    return oracle.nearest(value)


def bins_of(rows: Array, source: Tensor) -> list[list[tuple[int, int]]]:
    length = source.shape[-1]
    table = [oracle.rounded_circle(j, length) for j in range(length)]
    return [
        [
            (
                sum(x * table[n * k % length][0] for n, x in enumerate(row)),
                -sum(x * table[n * k % length][1] for n, x in enumerate(row)),
            )
            for k in range(length // 2 + 1)
        ]
        for row in ([int(x) - source.zero_point for x in row] for row in rows)
    ]


def magnitudes(
    bins: list[list[tuple[int, int]]], source: Tensor, target: Tensor, seen: set[str]
) -> Array:
    ratio = Decimal(source.scale or 0) / Decimal(target.scale or 0)
    found = []
    for row in bins:
        codes_of_row = []
        for re, im in row:
            power = re * re + im * im
            value = Decimal(power).sqrt() / 2**30 * ratio + target.zero_point
            tie = value * 2 == int(value * 2) and int(value * 2) % 2 == 1
            seen |= {"tie"} if tie and target.lo < value < target.hi else set()
            seen |= {"high clip"} if value > target.hi + 1 else set()
            seen |= {"zero"} if power == 0 else set()
            seen |= {"cut"} if max(abs(re), abs(im)) >= 2**31 else {"not cut"}
            codes_of_row.append(min(max(half_even(value), target.lo), target.hi))
        found.append(codes_of_row)
    return np.array(found)


def phases(bins: list[list[tuple[int, int]]], target: Tensor, seen: set[str]) -> Array:
    found = []
    for row in bins:
        codes_of_row = []
        for re, im in row:
            snapped = any(0 < abs(part) <= SNAP for part in (re, im))
            seen |= {"snapped"} if snapped else set()
            re, im = (0 if abs(part) <= SNAP else part for part in (re, im))
            angle = oracle.angle(Decimal(im), Decimal(re))
            seen |= {"plus pi"} if im == 0 and re < 0 else set()
            seen |= {"origin"} if im == 0 and re == 0 else set()
            for name, yes in (("+ +", re > 0 < im), ("- +", re < 0 < im)):
                seen |= {name} if yes else set()
            for name, yes in (("+ -", re > 0 > im), ("- -", re < 0 and im < 0)):
                seen |= {name} if yes else set()
            value = angle / Decimal(target.scale or 0) + target.zero_point
            seen |= {"clip"} if not target.lo - 1 < value < target.hi + 1 else set()
            codes_of_row.append(min(max(half_even(value), target.lo), target.hi))
        found.append(codes_of_row)
    return np.array(found)


QUADRANTS = ("+ +", "- +", "+ -", "- -", "plus pi", "origin")


@dataclass(frozen=True)
class Case:
    """Length, input (dtype, scale, zero point, bounds), output of both parts, and what must be reached."""

    length: int
    source: tuple[Any, ...]
    magnitude: tuple[Any, ...]
    phase: tuple[Any, ...]
    reaches: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.length}-{self.source[0]}"


S8 = ("s8", 0.03, 0)
CASES = (
    Case(2, ("s8", 0.5, 0), ("s8", 1.0, 0), ("s8", TURN / 127, 0), ("tie",)),
    Case(3, ("s8", 0.5, 0), ("s8", 1.0, 0), ("s8", PI / 128, 0), ("tie",)),
    Case(4, ("s8", 0.25, 0), ("s8", 1.0, 0), ("s8", 2 * PI / 255, 0), ("tie", *QUADRANTS)),
    Case(5, S8, ("s8", 0.11, 0), ("s8", 0.01, 0), ("clip", *QUADRANTS)),
    Case(7, ("u8", 0.03, 117), ("s8", 0.1, 0), ("s8", TURN / 127, 0), QUADRANTS),
    Case(16, ("s8", 2.0, 0), ("s8", 4.0, 0), ("s8", 1 / 32, 0), ("tie", "high clip", *QUADRANTS)),
    Case(16, ("s8", 1.0, -5, -8, 7), ("s8", 16.0, 0, -8, 7), ("s8", TURN / 7, 0, -8, 7), QUADRANTS),
    Case(40, S8, ("s8", 0.7, 0), ("s8", TURN / 127, 0), ("cut", "not cut", *QUADRANTS)),
    Case(40, ("s8", 1.0, 0), ("s8", 1 / 512, 0), ("s8", 2.0**-8, 0), ("high clip", "clip")),
    Case(
        40, ("u8", 0.03, 0), ("u8", 0.5, 3), ("u8", TURN / 127, 128), ("cut", "plus pi", "origin")
    ),
    Case(50, S8, ("u8", 0.4, 0, 0, 254), ("u8", PI / 100, 101, 1, 254), QUADRANTS),
    Case(97, S8, ("s8", 0.8, -3), ("s8", TURN / 127, 1), ("snapped", *QUADRANTS)),
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_both_parts(case: Case) -> None:
    kind, scale, zero_point, *bounds = case.source
    probe = codes("x", (1, 1, case.length), kind, scale, zero_point, *bounds)
    rows = rows_of(case.length, probe.lo, probe.hi, zero_point)
    source = codes("x", (1, *rows.shape), kind, scale, zero_point, *bounds)
    shape = (1, len(rows), case.length // 2 + 1)
    bins, seen = bins_of(rows, source), set[str]()
    first = codes("m", shape, *case.magnitude)
    second = codes("p", shape, *case.phase)
    expected = {
        "m": magnitudes(bins, source, first, seen)[None],
        "p": phases(bins, second, seen)[None],
    }
    assert set(case.reaches) <= seen, set(case.reaches) - seen
    graph = graph_of(
        [magnitude_of(source, first), phase_of(source, second)],
        [source, first, second],
        ["x"],
        ["m", "p"],
    )
    check_graph(graph, {"x": rows[None]}, expected)


@pytest.mark.parametrize(
    ("length", "scale", "reaches"),
    [(256, 2.5, "high clip"), (1024, 2.5, "high clip"), (1024, 25.0, "cut")],
)
def test_long_rows(length: int, scale: float, reaches: str) -> None:
    """The sums of the oracle take seconds here: three rows, both parts."""
    rows = rows_of(length, -128, 127)[[0, 5, 7]]
    source = codes("x", (1, 3, length), "s8", 0.02)
    shape = (1, 3, length // 2 + 1)
    first, second = codes("m", shape, "s8", scale), codes("p", shape, "s8", TURN / 127)
    bins, seen = bins_of(rows, source), set[str]()
    expected = {
        "m": magnitudes(bins, source, first, seen)[None],
        "p": phases(bins, second, seen)[None],
    }
    assert {"cut", reaches, "origin", "plus pi"} <= seen
    graph = graph_of(
        [magnitude_of(source, first), phase_of(source, second)],
        [source, first, second],
        ["x"],
        ["m", "p"],
    )
    check_graph(graph, {"x": rows[None]}, expected)


def test_parts_on_both_sides_of_the_snap() -> None:
    """Of half a million rows, those with a part that is nearly zero but not for want of digits."""
    table = np.array([oracle.rounded_circle(j, 16) for j in range(16)])
    turns = np.outer(np.arange(16), np.arange(9)) % 16
    draw = np.random.Generator(np.random.PCG64(16))
    many = draw.integers(-128, 128, (500_000, 16))
    parts = np.abs(np.concatenate([many @ table[turns, i] for i in (0, 1)], axis=1))
    snapped = ((parts > 2**10) & (parts <= SNAP)).any(axis=1)
    kept = ((parts > SNAP) & (parts < 4 * SNAP)).any(axis=1)
    assert snapped.sum() > 5
    assert kept.sum() > 15
    rows = many[snapped | kept]
    source = codes("x", (1, *rows.shape), "s8", 1.0)
    # No threshold at zero, but codes finer than a part of 4 * SNAP beside one of a few codes.
    target = codes("p", (1, len(rows), 9), "s8", PI / 128)
    expected = phases(bins_of(rows, source), target, set[str]())[None]
    check_operation(phase_of(source, target), [source], [target], [rows[None]], [expected])


@pytest.mark.parametrize("part", ["re", "im"])
def test_snap_shows_in_the_code(part: str) -> None:
    """Tables of our own put a part just below and just above 2^-10 beside nothing: 0 or a quarter turn."""
    source, target = codes("x", (1, 6, 4), "s8", 1.0), codes("p", (1, 6, 3), "s8", PI / 128)
    good = phase_of(source, target)
    # Rows (a, b, 0, 0) have bin 1 = a c[0] + b (c[1] - i s[1]).
    small = np.array([SNAP - 1, SNAP, SNAP + 1, -SNAP - 1, -SNAP, 1])
    for value, code in zip(small, (0, 0, None, None, 0, 0), strict=True):
        cosine = np.array([value if part == "re" else 0, 0, 0, 0])
        sine = np.array([0, value if part == "im" else 0, 0, -value if part == "im" else 0])
        operation = _changed(
            good, cosine=frozen_array(cosine, np.int32), sine=frozen_array(sine, np.int32)
        )
        rows = np.zeros((1, 6, 4), np.int64)
        rows[..., 0 if part == "re" else 1] = 1
        angle = {"re": 0 if value > 0 else 128, "im": -64 if value > 0 else 64}[part]
        bin_code = min(angle, 127) if code is None else code
        # Every bin of cosine[0] alone is the same; the sine of bin 1 alone is not zero.
        row = [bin_code] * 3 if part == "re" else [0, bin_code, 0]
        expected = np.array([[row] * 6])
        check_operation(operation, [source], [target], [rows], [expected])


def test_symmetric_rows_have_exact_phases() -> None:
    """Even rows have phases 0 and pi and nothing else, constant rows a phase of 0 in every bin but the first."""
    for length in (5, 16, 40, 50, 97):
        rows = rows_of(length, -128, 127)
        source = codes("x", (1, *rows.shape), "s8", 0.1)
        target = codes("p", (1, len(rows), length // 2 + 1), "s8", PI / 128)
        (found,) = phase_of(source, target).reference(Site((source,), (target,)), [rows[None]])
        assert set(np.unique(found[0, 5])) <= {0, 127}
        assert set(np.unique(found[0, 6])) <= {0, -64, 64}, "purely imaginary bins: a quarter turn"
        assert (found[0, 0] == 0).all()
        assert found[0, 1, 0] == 127
        assert (found[0, 1, 1:] == 0).all()


def test_directions_next_to_bins() -> None:
    """Rows (a, b, c, d) have bins (a - c) + i (d - b): every direction of a grid, against 60 digits at a fine scale."""
    grid = [
        (a, b) for a in (-255, -254, -3, -1, 0, 1, 2, 127, 255) for b in (-255, -128, -1, 0, 1, 254)
    ]
    rows = np.array([(a // 2 + a % 2, -(b // 2), -(a // 2), b // 2 + b % 2) for a, b in grid])
    source = codes("x", (1, len(rows), 4), "s8", 1.0)
    assert rows.min() >= -128
    assert rows.max() <= 128
    rows = np.clip(rows, -128, 127)
    target = codes("p", (1, len(rows), 3), "s8", 2.0**-6)
    seen = set[str]()
    expected = phases(bins_of(rows, source), target, seen)[None]
    assert set(QUADRANTS) <= seen
    check_operation(phase_of(source, target), [source], [target], [rows[None]], [expected])


def test_pythagorean_ties() -> None:
    """Bins 3 + 4i and their multiples are ties although neither part is zero, and go to the even code."""
    factors = np.arange(1, 26)
    rows = np.array([(3 * f, 0, 0, 4 * f) for f in factors])
    source = codes("x", (1, len(rows), 4), "s8", 1.0)
    target = codes("m", (1, len(rows), 3), "s8", 2.0)
    seen = set[str]()
    expected = magnitudes(bins_of(rows, source), source, target, seen)[None]
    assert "tie" in seen
    assert [expected[0, f - 1, 1] for f in (1, 3, 5)] == [2, 8, 12]
    check_operation(magnitude_of(source, target), [source], [target], [rows[None]], [expected])


def _changed(operation: Rfft, **fields: Any) -> Rfft:
    names = ("part", "cosine", "sine", "first", "thresholds", "directions", "below")
    values = {name: getattr(operation, name) for name in names} | fields
    return Rfft("layer", operation.inputs, operation.outputs, **values)


def test_shapes_are_refused() -> None:
    source = codes("x", (1, 8), "s8", 0.1)
    target = codes("y", (1, 5), "s8", 0.1)
    good = magnitude_of(source, target)
    assert good.infer([source])[0][0] == (1, 5)
    wrong: Sequence[tuple[Rfft, Tensor, str]] = (
        (good, codes("x", (8,)), "after the batch"),
        (good, codes("x", (1, 1025)), "2 to 1024"),
        (good, codes("x", (1, 1)), "2 to 1024"),
        (good, codes("x", (1, 9)), "tables of 8"),
        (good, codes("x", (1, 8), "s32"), "expected s8 or u8"),
        (_changed(good, part="power"), source, "power"),
        (_changed(good, part=PHASE), source, "for the part"),
        (_changed(phase_of(source, target), part=MAGNITUDE), source, "for the part"),
    )
    for operation, tensor, message in wrong:
        with pytest.raises(GraphError, match=message):
            operation.infer([tensor])


def test_the_rows_of_luna_are_quick() -> None:
    """704 rows of 40, both parts, in C: a second would be far too slow; it takes milliseconds."""
    source = codes("x", (1, 704, 40), "s8", 0.02)
    first, second = codes("m", (1, 704, 21), "s8", 0.4), codes("p", (1, 704, 21), "s8", TURN / 127)
    graph = graph_of(
        [magnitude_of(source, first), phase_of(source, second)],
        [source, first, second],
        ["x"],
        ["m", "p"],
    )
    project = emit(plan(graph))
    binary = build(project, fast_target())
    rows = np.random.Generator(np.random.PCG64(1)).integers(-128, 128, (1, 704, 40))
    start = time.perf_counter()
    run(binary, project, [[rows]] * 10, mode="outputs")
    assert time.perf_counter() - start < 10.0
