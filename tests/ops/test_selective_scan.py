"""SelectiveScan: oracle -> reference -> C. The oracle is the real recurrence in decimals of 60 digits (N15)."""

from __future__ import annotations

import dataclasses
from decimal import Decimal
from fractions import Fraction
from math import prod
from typing import Any

import numpy as np
import pytest

from ares.ir import GraphError, Tensor, frozen_array
from ares.numerics import NumericsError, plan_scan
from ares.ops import Site
from ares.ops.selective_scan import SelectiveScan, scan_range
from tests.ops.harness import check_operation, codes
from tests.ops.reaching import assert_reaches
from tests.ops.selective_scan_cases import (
    CASES,
    NEAR_TIE,
    PUBLISHED,
    Array,
    Case,
    arrays_of,
    log_rates,
    operation_of,
    reals_of,
    tensors_of,
)


def _codes(tensor: Tensor, rows: list[list[Decimal]]) -> Array:
    """Half to even, then clamped; refuses a value too near a tie."""
    found = np.zeros(tensor.shape, np.int64)
    for t, row in enumerate(rows):
        for d, value in enumerate(row):
            if tensor.lo - 1 < value < tensor.hi + 1 and value != 0:
                assert abs(abs(value % 1) - Decimal("0.5")) > NEAR_TIE, f"{value} is nearly a tie"
            found[0, t, d] = max(tensor.lo, min(tensor.hi, int(value.to_integral_value())))
    return found


def _facts(
    case: Case, tensors: tuple[Tensor, ...], arrays: list[Array], found: Array, rows: Any
) -> dict[str, bool]:
    k = arrays[1].astype(np.int64) - tensors[1].zero_point
    y = tensors[4]
    alpha = float(tensors[1].scale or 0) * np.exp(log_rates(case))
    plain = found[0]

    def differs(**fault: Any) -> bool:
        wrong = reals_of(case, tensors, arrays, **fault)
        clipped = [[max(y.lo, min(y.hi, round(v))) for v in row] for row in wrong]
        return bool((np.array(clipped) != plain).any())

    return {
        "low clip": any(v < y.lo for row in rows for v in row) and bool((found == y.lo).any()),
        "high clip": any(v > y.hi for row in rows for v in row) and bool((found == y.hi).any()),
        "both signs": bool((found < 0).any() and (found > 0).any()),
        "k of zero": bool((k == 0).any()),
        "largest k": bool((k == 255).any()),
        "odd zero points": sum(t.zero_point % 2 for t in tensors) >= 4,
        "state forgotten": bool((np.exp(-k.max() * alpha) < 2.0**-62).any()),
        "state kept": bool(np.exp(-k.sum() * alpha.min()) > 0.01 or alpha.min() < 1e-7),
        "A below -1": "A below -1" in case.reaches and differs(clip=1.0),
        "D": "D" in case.reaches and differs(gain=False),
        "B-bar is dt B": "B-bar is dt B" in case.reaches and differs(hold=True),
    }


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_scan(case: Case) -> None:
    tensors = tensors_of(case)
    arrays = arrays_of(case, tensors)
    rows = reals_of(case, tensors, arrays)
    expected = _codes(tensors[4], rows)
    assert_reaches(case.reaches, _facts(case, tensors, arrays, expected, rows))
    operation = operation_of(case, tensors)
    assert operation.proven_error(tensors[:4]) <= SelectiveScan.EPS
    check_operation(operation, tensors[:4], tensors[4:], arrays, [expected])


def _halving(steps: int, channels: int, states: int, zero_point: int) -> Any:
    """A scan with exp(-alpha) = 1/2 and scales that are powers of two: exact, and full of ties."""
    x = codes("x", (1, steps, channels), "s8", 0.5)
    dt = codes("dt", (1, steps, channels), "u8", 0.5, 0, 0, 3)
    b = codes("b", (1, steps, states), "s8", 0.5)
    c = codes("c", (1, steps, states), "s8", 0.5)
    y = codes("y", (1, steps, channels), "s8", 64.0, zero_point)
    held, plan = plan_scan(
        2**61, [Fraction(64)] * channels, Fraction(1, 2**10), scan_range((x, dt, b, c))
    )
    operation = SelectiveScan(
        "scan",
        ("x", "dt", "b", "c"),
        ("y",),
        frozen_array(np.full((channels, states), 2**61), np.int64),
        frozen_array(held, np.int64),
        plan.fraction,
        plan.drop,
        plan.multiplier,
        plan.shift,
    )
    return operation, (x, dt, b, c, y)


@pytest.mark.parametrize("zero_point", [0, 5])
def test_ties_go_to_the_even_code(zero_point: int) -> None:
    operation, tensors = _halving(41, 13, 2, zero_point)
    draw = np.random.Generator(np.random.Philox(key=7))
    x, b, c = (8 * draw.integers(-8, 9, tensors[i].shape) for i in (0, 2, 3))
    k = draw.integers(0, 4, tensors[1].shape)
    expected = np.zeros(tensors[4].shape, np.int64)
    ties = set()
    for d in range(13):
        h = [Fraction(0)] * 2
        for t in range(41):
            kd, xd = int(k[0, t, d]), int(x[0, t, d])
            h = [h[n] / 2**kd + kd * xd * int(b[0, t, n]) for n in range(2)]
            total = sum(int(c[0, t, n]) * h[n] for n in range(2)) + 64 * xd
            value = total / 2**10 + zero_point
            if value.denominator == 2 and abs(value) < 127:
                ties.add((value > 0, int(value - Fraction(1, 2)) % 2))
            expected[0, t, d] = max(-128, min(127, round(value)))
    assert ties == {(sign, parity) for sign in (True, False) for parity in (0, 1)}
    arrays = [a.astype(t.dtype.numpy) for a, t in zip((x, k, b, c), tensors, strict=False)]
    check_operation(operation, tensors[:4], tensors[4:], arrays, [expected])


def test_the_last_rounding_sees_the_whole_product() -> None:
    """C = 0 and x = 1 leave the skip, one value a channel: a tie, and one unit beside it, of either sign."""
    values = [
        (2 * code + 1) * 2**53 + beside for code in (-60, -3, 0, 2, 61) for beside in (-1, 0, 1)
    ]
    inputs = (
        codes("x", (1, 1, 15), "s8", 1.0, 0, 0, 1),
        codes("dt", (1, 1, 15), "u8", 1.0, 0, 0, 1),
        codes("b", (1, 1, 1)),
        codes("c", (1, 1, 1)),
    )
    target = codes("y", (1, 1, 15), "s8", 1.0, 3)
    operation = SelectiveScan(
        "scan",
        ("x", "dt", "b", "c"),
        ("y",),
        frozen_array(np.zeros((15, 1)), np.int64),
        frozen_array(values, np.int64),
        fraction=40,
        drop=12,
        multiplier=2**30,
        shift=84,
    )
    expected = np.array([round(Fraction(value, 2**54) + 3) for value in values])
    assert len(set(expected.tolist())) == 10
    arrays = [np.full(t.shape, int(t.name == "x"), t.dtype.numpy) for t in inputs]
    check_operation(operation, inputs, (target,), arrays, [expected.reshape(target.shape)])


def test_every_inner_rounding_is_the_one_of_the_clause(monkeypatch: pytest.MonkeyPatch) -> None:
    """With h held to half a unit only, each rounding shows in the codes: exact integers are the oracle."""
    monkeypatch.setattr(SelectiveScan, "EPS", 1e9)  # no model may be held so coarsely
    inputs = (
        codes("x", (1, 23, 5), "s8", 1.0, 0, -3, 3),
        codes("dt", (1, 23, 5), "u8", 1.0, 0, 0, 3),
        codes("b", (1, 23, 2), "s8", 1.0, 0, -3, 3),
        codes("c", (1, 23, 2), "s8", 1.0, 0, -3, 3),
    )
    target = codes("y", (1, 23, 5), "s8")
    draw = np.random.Generator(np.random.Philox(key=2))
    decay = draw.integers(2**60, 2**62, (5, 2))
    decay[0] = 2**61  # halves: ties
    operation = SelectiveScan(
        "scan",
        ("x", "dt", "b", "c"),
        ("y",),
        frozen_array(decay, np.int64),
        frozen_array(np.zeros(5), np.int64),
        fraction=2,
        drop=1,
        multiplier=2**30,
        shift=33,
    )
    x, k, b, c = (draw.integers(t.lo, t.hi + 1, t.shape)[0].tolist() for t in inputs)
    expected = np.zeros(target.shape, np.int64)
    for d in range(5):
        h = [0, 0]
        for t in range(23):
            total = 0
            for n in range(2):
                power = 2**62
                for _ in range(k[t][d]):
                    power = (2 * power * int(decay[d, n]) + 2**62) // 2**63
                size = (2 * abs(h[n]) * power + 2**62) // 2**63
                h[n] = (size if h[n] >= 0 else -size) + 4 * k[t][d] * b[t][n] * x[t][d]
                total += c[t][n] * round(Fraction(h[n], 2))
            expected[0, t, d] = max(-128, min(127, round(Fraction(total, 8))))
    arrays = [
        np.array([a]).astype(t.dtype.numpy) for a, t in zip((x, k, b, c), inputs, strict=True)
    ]
    check_operation(operation, inputs, (target,), arrays, [expected])


def _product(value: int, factor: int) -> int:
    """value * factor / 2**62, a tie away from zero."""
    size = (2 * abs(value) * factor + 2**62) // 2**63
    return size if value >= 0 else -size


def _powers(decay: int, largest: int) -> list[int]:
    """N15: the k-th is the product of two of the 32 entries of a table."""
    low, high = [2**62, decay], [2**62]
    while len(low) < 16:
        low.append(_product(low[-1], decay))
    high.append(_product(low[15], decay))
    while len(high) < 16:
        high.append(_product(high[-1], high[1]))
    return [_product(high[k // 16], low[k % 16]) for k in range(largest + 1)]


def _at_ties() -> tuple[list[Tensor], Array, list[Array], Any]:
    """61 channels of 7 steps, 5 states; the decays, the codes, and sums without the skip."""
    steps, channels, states = 7, 61, 5
    x = codes("x", (1, steps, channels), "u8", 1.0, 1)
    dt = codes("dt", (1, steps, channels), "u8", 1.0, 0)
    b = codes("b", (1, steps, states), "u8", 1.0, 255)
    c = codes("c", (1, steps, states), "s8", 1.0, 0, -1, 1)
    draw = np.random.Generator(np.random.Philox(key=62))
    arrays = [draw.integers(t.lo, t.hi + 1, t.shape) for t in (x, dt, b, c)]
    arrays[1][0, 0], arrays[0][0, 0] = 251, 234  # a drive past 16 bits
    arrays[0][0, -1] = draw.choice([0, 2], channels)  # x of -1 or 1: any skip cancels
    arrays[3][0, -1] = [1, -1, 1, -1, 1]
    decay = 2**62 - draw.integers(2**50, 2**56, (channels, states))
    # Halves: h, held times 2**27, loses its last bit as a tie. Then the ends of the tables of powers.
    decay[1::4] = 2**61
    arrays[1][0, :, 1::4] = np.array([251, 28, 0, 1, 0, 1, 2])[:, None]
    arrays[1][0, :, 2::4] = np.array([15, 16, 0, 1, 16, 15, 16])[:, None]
    arrays[1][0, :, 3::4] = np.array([15, 14, 0, 1, 15, 15, 7])[:, None]
    differences = [
        a.astype(object) - t.zero_point for a, t in zip(arrays, (x, dt, b, c), strict=True)
    ]
    xs, ks, bs, cs = (array[0] for array in differences)
    sums = np.zeros((steps, channels), object)
    for d in range(channels):
        for n in range(states):
            powers, h = _powers(int(decay[d, n]), 255), 0
            for t in range(steps):
                h = _product(h, powers[ks[t, d]]) + (ks[t, d] * bs[t, n] * xs[t, d] << 27)
                sums[t, d] += cs[t, n] * round(Fraction(h, 2))
    return [x, dt, b, c], decay, arrays, sums


def test_roundings_within_the_proven_error_show_at_a_tie() -> None:
    """Each channel's skip puts its last sum on a tie exactly: one unit in any product or power moves the code."""
    inputs, decay, arrays, sums = _at_ties()
    x = arrays[0][0].astype(object) - 1
    multiplier, shift = 2**30, 64
    ties = [(2 * code + 1) * 2 ** (shift - 31) for code in range(-30, 31)]
    skip = [int((tie - total) * at) for tie, total, at in zip(ties, sums[-1], x[-1], strict=True)]
    target = codes("y", inputs[0].shape, "s8", 1.0, 3)
    operation = SelectiveScan(
        "scan",
        ("x", "dt", "b", "c"),
        ("y",),
        frozen_array(decay, np.int64),
        frozen_array(skip, np.int64),
        fraction=27,
        drop=1,
        multiplier=multiplier,
        shift=shift,
    )
    expected = np.zeros(target.shape, np.int64)
    for t, d in np.ndindex(sums.shape):
        value = Fraction(int(sums[t, d] + skip[d] * x[t, d]) * multiplier, 2**shift) + 3
        expected[0, t, d] = max(-128, min(127, round(value)))
    assert len({*expected[0, -1].tolist()}) == 31
    assert max(abs(int(k) * int(v)) for k, v in zip(arrays[1][0, 0], x[0], strict=True)) > 2**15
    typed = [a.astype(t.dtype.numpy) for a, t in zip(arrays, inputs, strict=True)]
    check_operation(operation, inputs, (target,), typed, [expected])


def test_extremes_do_not_overflow() -> None:
    """Every code at its end for 509 steps, C of either sign: the largest |h| and |sum| (gcc-asan watches)."""
    for sign in (127, -128):
        operation, tensors = _halving(509, 1, 3, 0)
        tensors = (tensors[0], codes("dt", (1, 509, 1), "u8", 0.5), *tensors[2:])
        held, plan = plan_scan(
            2**62, [Fraction(2**20)], Fraction(1, 2**29), scan_range(tensors[:4])
        )
        operation = dataclasses.replace(
            operation,
            decay=frozen_array(np.full((1, 3), 2**62), np.int64),
            skip=frozen_array(held, np.int64),
            fraction=plan.fraction,
            drop=plan.drop,
            multiplier=plan.multiplier,
            shift=plan.shift,
        )
        arrays = [
            np.full(tensors[0].shape, -128, np.int8),
            np.full(tensors[1].shape, 255, np.uint8),
            np.full(tensors[2].shape, -128, np.int8),
            np.full(tensors[3].shape, sign, np.int8),
        ]
        per_step = 255 * 128 * 128
        values = [Fraction((t + 1) * per_step * 3 * sign - 128 * 2**20, 2**29) for t in range(509)]
        assert max(map(abs, values)) > 127
        expected = np.array([max(-128, min(127, round(value))) for value in values])
        check_operation(
            operation, tensors[:4], tensors[4:], arrays, [expected.reshape(tensors[4].shape)]
        )
        reach = scan_range(tensors[:4])
        assert 2**59 < plan.sum_bound(reach) <= 2**61


def test_the_published_widths_are_proven() -> None:
    """FEMBA-Tiny (T 80, 16 states), and T 1024 with the finest dt."""
    for steps, dt in ((80, 0.1 / 255), (1024, 1e-2 / 255), (1024, 5 / 255)):
        case = Case(
            "wide",
            (steps, 1),
            PUBLISHED,
            (),
            dt=("u8", dt, 0),
            y=("s8", max(4.0, dt * 255) / 127, 0),
        )
        tensors = tensors_of(case)
        assert operation_of(case, tensors).proven_error(tensors[:4]) < 2.0**-22


BASE = Case("base", (5, 3), (1.0, 2.0), ())


def _renamed(tensor: Tensor, **changes: Any) -> Tensor:
    return dataclasses.replace(tensor, **changes)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t, op: (t[:3], op), "3 inputs, expected x, dt, B and C"),
        (lambda t, op: ((t[0], _renamed(t[1], shape=(1, 5, 4)), *t[2:]), op), "do not fit"),
        (lambda t, op: ((_renamed(t[0], shape=(5, 3)), *t[1:]), op), "'x' has rank 2"),
        (
            lambda t, op: ((t[0], codes("dt", t[1].shape, "s8"), *t[2:]), op),
            "dt has codes -128..127 with zero point 0 and may be negative",
        ),
        (lambda t, op: (t, dataclasses.replace(op, fraction=61)), "constants outside"),
        (lambda t, op: (t, dataclasses.replace(op, shift=32)), "constants outside"),
        (lambda t, op: (t, dataclasses.replace(op, fraction=55)), "its state could reach"),
        (lambda t, op: (t, dataclasses.replace(op, skip=op.skip * 2**12)), "its sum"),
        (lambda t, op: (t, dataclasses.replace(op, shift=36)), "proven to"),
        (lambda t, op: (t, dataclasses.replace(op, decay=-op.decay)), "constants outside"),
    ],
    ids=range(10),
)
def test_what_does_not_fit_is_refused(change: Any, words: str) -> None:
    tensors = tensors_of(BASE)
    inputs, operation = change(tensors[:4], operation_of(BASE, tensors))
    with pytest.raises(GraphError, match=words) as found:
        operation.infer(inputs)
    assert str(found.value).startswith("scan: ")
    assert "\n" not in str(found.value)


def test_scales_beyond_64_bits_are_refused() -> None:
    reach = scan_range(tensors_of(BASE)[:4])
    with pytest.raises(NumericsError, match="its state could reach"):
        plan_scan(2**62, [Fraction(0)], Fraction(1), dataclasses.replace(reach, steps=2**40))
    with pytest.raises(NumericsError, match="D is too large"):
        plan_scan(0, [Fraction(2**140)], Fraction(1), reach)
    with pytest.raises(NumericsError, match="which 64 bits do not hold"):
        plan_scan(0, [Fraction(0)], Fraction(2**60), reach)


def test_order_and_work() -> None:
    tensors = tensors_of(BASE)
    site = Site(tensors[:4], tensors[4:])
    operation = operation_of(BASE, tensors)
    assert operation.macs(site) == 2 * prod((5, 3, 2))
    assert operation.layouts(site, ((0, 2, 1),) * 4) == (((0, 1, 2),) * 4, ((0, 1, 2),))
