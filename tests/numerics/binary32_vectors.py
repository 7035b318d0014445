"""The vectors of the clauses on binary32 (N6, N9), from Fractions alone: a part of `make_vectors.py`."""

from __future__ import annotations

import random
from collections.abc import Iterator
from fractions import Fraction

from tests.numerics.oracle import (
    HALF,
    INT32,
    S8,
    U8,
    from_bits,
    quantize_binary32,
    real_output,
    to_binary32,
    to_bits,
)

SCALES = {
    "tenth": to_binary32(Fraction(1, 10)),
    "eighth": Fraction(1, 8),
    "full": to_binary32(Fraction(27, 10) / 255),
    "small": to_binary32(Fraction(1, 10**10)),
    "large": to_binary32(Fraction(3 * 10**10)),
}


POINTS = 8  # elements of one line, which is one call
STEP_KINDS = ("add", "sub", "rsub", "mul", "div", "sign")
Step = tuple[str, int, list[Fraction]]  # kind, inner, constants


def quantize_f32_lines() -> Iterator[str]:
    """N6. The numbers around every step from code to code, and those that are not numbers."""
    special = (
        *(0x00000000, 0x80000000),  # zeros
        *(0x7F800000, 0xFF800000),  # infinities
        *(0x7FC00000, 0xFFC00000, 0x7F800001, 0xFF812345),  # quiet and signalling NaN
        *(0x00000001, 0x80000001, 0x007FFFFF, 0x807FFFFF),  # subnormal
        *(0x00800000, 0x80800000),  # smallest normal
        *(0x7F7FFFFF, 0xFF7FFFFF),  # largest
        *(0x3F800000, 0xBF800000, 0x3F7FFFFF, 0xBF7FFFFF),
    )
    for name, zero_point, (lo, hi) in (
        ("eighth", 0, S8),
        ("full", 77, U8),
        ("tenth", 0, (-7, 7)),
        ("tenth", 1, (0, 15)),
        ("eighth", 255, (240, 255)),
        ("small", 3, (0, 15)),
        ("large", -1, (-8, 7)),
    ):
        scale = SCALES[name]
        assert isinstance(scale, Fraction)
        yield f"case {to_bits(scale):#x} {zero_point} {lo} {hi}"
        patterns = list(special)
        for code in range(lo - 1, hi + 1):
            edge = to_binary32((code + HALF - zero_point) * scale)
            near = to_bits(edge)
            patterns += [near] if not edge else [near - 2, near - 1, near, near + 1, near + 2]
        codes = [quantize_binary32(bits, scale, zero_point, lo, hi) for bits in patterns]
        yield from _points(patterns, codes)
    draw = random.Random(13)
    for scale, zero_point, bounds, steps in _stepped_cases():
        yield f"case {to_bits(scale):#x} {zero_point} {bounds[0]} {bounds[1]}"
        for kind, inner, values in steps:
            constants = " ".join(f"{to_bits(value):#x}" for value in values)
            yield f"step {STEP_KINDS.index(kind)} {inner} {constants}"
        rows = [_steps_of(steps, element) for element in range(POINTS)]
        patterns = list(special)
        for code in range(bounds[0] - 1, bounds[1] + 1, 3):
            # Where the input must lie for the code to change.
            edge = _inverse((code + HALF - zero_point) * scale, rows[len(patterns) % POINTS])
            near = to_bits(to_binary32(edge))
            patterns.append(near + draw.randrange(-2, 3) if edge else near)
        codes = [
            quantize_binary32(bits, scale, zero_point, *bounds, rows[i % POINTS])
            for i, bits in enumerate(patterns)
        ]
        yield from _points(patterns, codes)


def _points(patterns: list[int], codes: list[int]) -> Iterator[str]:
    for start in range(0, len(patterns), POINTS):
        pairs = zip(patterns[start : start + POINTS], codes[start : start + POINTS], strict=True)
        yield "points " + " ".join(f"{bits:#x} {code}" for bits, code in pairs)


def _stepped_cases() -> Iterator[tuple[Fraction, int, tuple[int, int], list[Step]]]:
    """(scale, zero point, bounds, steps)"""

    def number(text: str) -> Fraction:
        value = to_binary32(Fraction(text))
        assert isinstance(value, Fraction)
        return value

    third, tenth = number("0.3333333"), number("0.1")
    large, small = number("3e38"), number("1e-30")
    yield third / 64, 0, S8, [("mul", 1, [Fraction(2)]), ("sub", 1, [Fraction(1)])]
    yield Fraction(1, 64), 0, S8, [("div", 1, [Fraction(255)])]
    yield tenth, 77, U8, [("rsub", 1, [third])]
    yield tenth, -3, S8, [("add", 1, [tenth]), ("mul", 1, [-third])]
    # Per channel, one element, two and three of each in a row; more constants than a line has elements.
    mean, deviation = (
        [number(t) for t in ("0.485", "0.456", "0.406")],
        [number(t) for t in ("0.229", "0.224", "0.225")],
    )
    yield third / 16, 3, S8, [("sub", 2, mean), ("div", 2, deviation)]
    yield third / 16, 114, U8, [("sub", 1, mean), ("div", 3, deviation)]
    yield tenth, 0, S8, [("mul", 1, [number(f"{n}.1") * (-1) ** n for n in range(11)])]
    # A sum that cancels: what is left of x are its last bits.
    yield Fraction(1, 2**20), 0, S8, [("add", 1, [number("1000.1")]), ("sub", 1, [number("1000")])]
    # Overflow on the way, which is an infinity and stays one; a factor of zero makes NaN of it.
    yield Fraction(1), 5, U8, [("mul", 1, [large]), ("div", 1, [large])]
    yield Fraction(1), 5, U8, [("mul", 1, [large]), ("rsub", 1, [third]), ("mul", 1, [small])]
    yield Fraction(1), 5, U8, [("mul", 1, [Fraction(0), Fraction(1)]), ("add", 1, [Fraction(9)])]
    # Both zeros are positive, NaN is not.
    yield tenth, 0, S8, [("sign", 1, [tenth])]
    yield tenth, 0, S8, [("sub", 1, [third]), ("sign", 1, [tenth, third])]


def _steps_of(steps: list[Step], element: int) -> list[tuple[str, Fraction]]:
    """The steps with the constants that one element meets."""
    return [(kind, values[element // inner % len(values)]) for kind, inner, values in steps]


def _inverse(value: Fraction, steps: list[tuple[str, Fraction]]) -> Fraction:
    """The real number of which the steps, if nothing were rounded, make `value`."""
    for kind, constant in reversed(steps):
        if kind in ("mul", "div"):
            value = (value / constant if constant else value) if kind == "mul" else value * constant
        elif kind != "sign":
            value = {"add": value - constant, "sub": value + constant}.get(kind, constant - value)
    return value


def binary32_lines() -> Iterator[str]:
    """N9. Accumulator, scale, bias and result: conversions that round, products and sums that do."""
    draw = random.Random(3)
    accumulators = [0, 1, -1, 2**24 + 1, 2**24 + 3, -(2**24) - 1, 2**25 + 2, 2**25 + 6, *INT32]
    accumulators += [2**30 + 2**6, 2**30 + 3 * 2**6, -(2**30) - 2**6 - 1]
    accumulators += [draw.randrange(-(2**bits), 2**bits) for bits in range(2, 32) for _ in range(4)]
    for acc in accumulators:
        for _ in range(2):
            scale = from_bits(draw.randrange(0x33000000, 0x3F800000))
            assert isinstance(scale, Fraction)
            yield f"plain {acc} {to_bits(scale):#x} {to_bits(real_output(acc, scale, None)):#x}"
            # A bias near the product, of the other sign: the sum cancels, a fused one would show.
            rough = to_binary32(-acc * scale * Fraction(draw.randrange(2**20, 2**21), 2**20))
            bias = rough if isinstance(rough, Fraction) and rough else Fraction(1, 3 * 2**10)
            bias = to_binary32(bias)
            assert isinstance(bias, Fraction)
            yield (
                f"biased {acc} {to_bits(scale):#x} {to_bits(bias):#x} "
                f"{to_bits(real_output(acc, scale, bias)):#x}"
            )
