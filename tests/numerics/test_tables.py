"""N8: tables of 256 codes are correctly rounded."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from ares.ir import DType, Tensor
from ares.numerics import FUNCTIONS, IDENTITY, NumericsError, lookup_table
from tests.numerics import oracle
from tests.numerics.vector_files import cases


def test_vectors() -> None:
    seen = set()
    for numbers, lines in cases("lookup.txt"):
        kind, source_signed, source_zero, mantissa, exponent, *rest = numbers
        signed, zero_point, out_mantissa, out_exponent, lo, hi, *affine = rest
        factor, addend = Fraction(*affine[:2]), Fraction(*affine[2:])
        name = list(oracle.FUNCTIONS)[kind]
        source = Tensor(
            "x",
            (1,),
            DType.S8 if source_signed else DType.U8,
            mantissa * 2.0**exponent,
            source_zero,
            *(oracle.S8 if source_signed else oracle.U8),
        )
        target = Tensor(
            "y",
            (1,),
            DType.S8 if signed else DType.U8,
            out_mantissa * 2.0**out_exponent,
            zero_point,
            lo,
            hi,
        )
        found = lookup_table(FUNCTIONS[name], source, target, factor, addend)
        assert found.dtype == np.uint8
        assert found.tolist() == [value for _, line in lines for value in line], numbers
        seen.add((name, factor > 0, addend != 0))
    assert {name for name, *_ in seen} == set(oracle.FUNCTIONS)
    assert {(rises, moves) for _, rises, moves in seen} >= {(False, True), (True, True)}


def test_equal_scales_change_nothing() -> None:
    for dtype, (lo, hi) in ((DType.S8, oracle.S8), (DType.U8, oracle.U8)):
        tensor = Tensor("x", (1,), dtype, 0.1, 5, lo, hi)
        assert lookup_table(IDENTITY, tensor, tensor).tolist() == list(range(256))


def test_scales_are_taken_exactly() -> None:
    # 0.1 and 0.3 in float64 are not one third of each other: no tie at multiples of three halves.
    source = Tensor("x", (1,), DType.U8, 0.1, 0, 0, 255)
    target = Tensor("y", (1,), DType.U8, 0.2, 0, 0, 255)
    ratio = Fraction(0.1) / Fraction(0.2)
    assert ratio == Fraction(1, 2)
    assert lookup_table(IDENTITY, source, target).tolist()[:8] == [0, 0, 1, 2, 2, 2, 3, 4]
    third = Tensor("z", (1,), DType.U8, 0.3, 0, 0, 255)
    expected = [oracle.nearest(code * Fraction(0.1) / Fraction(0.3)) for code in range(256)]
    assert lookup_table(IDENTITY, source, third).tolist() == expected


def test_a_real_tensor_has_no_table() -> None:
    codes = Tensor("x", (1,), DType.U8, 0.1, 0, 0, 255)
    with pytest.raises(NumericsError, match="scales on both sides"):
        lookup_table(IDENTITY, codes, Tensor("y", (1,), DType.F32))
