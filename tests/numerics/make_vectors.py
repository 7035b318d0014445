"""Writes `vectors/*.txt`, what docs/numerics.md means in numbers, from Python's big integers alone.

`python -m tests.numerics.make_vectors [FOLDER]`. A file is lines of `word integer ...`; `#` starts a comment;
a `case` line holds what the lines after it share. Exhaustive loops are one line with a digest, in which a
single wrong value always shows (see `digest`). Read by `vector_files.py` and by `vector_check.c`.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from pathlib import Path

from tests.numerics.binary32_vectors import binary32_lines, quantize_f32_lines
from tests.numerics.oracle import (
    FUNCTIONS,
    INT32,
    S8,
    U8,
    clamp,
    half_even,
    quantize,
    rescale,
    step_code,
)

MASK = 2**64 - 1


def digest(values: Iterable[int]) -> int:
    """64 bits; each value enters by exclusive or and an odd factor, so one that differs is never lost."""
    state = 0xCBF29CE484222325
    for value in values:
        state = (state ^ value & MASK) * 0x100000001B3 & MASK
    return state


def pseudo_random(seed: int) -> Iterator[int]:
    """Bytes 0..255 that C can draw alike."""
    state = seed
    while True:
        state = (state * 6364136223846793005 + 1442695040888963407) & MASK
        yield state >> 56


def round_shift_lines() -> Iterator[str]:
    """N1. Every value of a dense range at small shifts; ties, their neighbours and the limits at all."""
    for shift in range(1, 9):
        first, count = -(2 ** (shift + 5)), 2 ** (shift + 6) + 1
        found = digest(half_even(first + i, 2**shift) for i in range(count))
        yield f"dense {shift} {first} {count} {found:#x}"
    limit = 2**62 - 1
    for shift in range(1, 63):
        half = 2 ** (shift - 1)
        ties = [quotient * 2**shift + half for quotient in (-3, -2, -1, 0, 1, 2)]
        ties += [limit - limit % 2**shift - half, limit % 2**shift + half - limit]
        values = {tie + near for tie in ties for near in (-1, 0, 1)} | {-limit, limit}
        for value in sorted(values):
            if abs(value) <= limit:
                yield f"point {shift} {value} {half_even(value, 2**shift)}"


def _rescale_cases() -> Iterator[tuple[int, int, int, int, int]]:
    """(multiplier, offset, shift, lo, hi)"""
    for log2, zero_point, (lo, hi) in (
        # Power-of-two ratios: every 2**log2-th accumulator is an exact tie.
        (1, 0, S8),
        (1, 1, U8),
        (1, -7, S8),
        (3, 0, U8),
        (5, 127, U8),
        (8, -128, S8),
        (8, 255, U8),
    ):
        yield 2**30, zero_point << (30 + log2), 30 + log2, lo, hi
    # A bias of half a code: the ties are at whole multiples.
    yield 2**30, (3 << 38) + 2**37, 38, *S8
    yield 2**30, (-3 << 38) - 2**37, 38, *S8
    # Multipliers of one bit, shifts from the smallest on.
    yield 1, 0, 1, *S8
    yield 3, 5, 2, *U8
    yield 1, 77 << 8, 8, *U8
    # Narrow quantisers, and an empty one.
    yield 2**30, 0, 34, -7, 7
    yield 2**30, 0, 36, 0, 3
    yield 2**30, 5 << 33, 33, 5, 5
    # No structure at all.
    draw = random.Random(20240501)
    for lo, hi in (S8, U8, S8, U8):
        shift = draw.randrange(36, 44)
        multiplier = draw.randrange(2**30, 2**31)
        yield multiplier, draw.randrange(lo, hi) << shift | draw.randrange(2**shift), shift, lo, hi
    # Negative multipliers: ties, an odd zero point, a bias of half a code, one bit, the largest, no structure.
    yield -(2**30), 0, 31, *S8
    yield -(2**30), 131 << 33, 33, *U8
    yield -(2**30), (-7 << 38) + 2**37, 38, *S8
    yield -1, 77 << 8, 8, *U8
    yield -(2**31 - 1), -(5 << 38), 38, -8, 7
    yield -draw.randrange(2**30, 2**31), draw.randrange(2**40, 2**47), 40, *S8
    # A channel whose factor is zero: ties of the offset alone, to both sides, and past both ends.
    for offset in (2**37, 3 << 37, -(2**37), -(3 << 37), (3 << 37) + 1, 300 << 38, -(300 << 38)):
        yield 0, offset, 38, *S8


def rescale_lines() -> Iterator[str]:
    """N3, N4. A dense range of accumulators; those on both sides of each step from code to code; the limits."""
    for case in _rescale_cases():
        multiplier, offset, shift, lo, hi = case
        yield f"case {multiplier} {offset} {shift} {lo} {hi}"
        first, count = -20011, 40023
        codes = digest(rescale(first + i, *case) for i in range(count))
        yield f"dense {first} {count} {codes:#x}"
        for code in range(lo - 1, hi + 1):
            if not multiplier:
                continue
            # The largest accumulator that is not past the tie between code and code + 1.
            acc = ((2 * code + 1) * 2 ** (shift - 1) - offset) // multiplier
            if INT32[0] <= acc < INT32[1]:
                yield f"steps {acc} {rescale(acc, *case)} {rescale(acc + 1, *case)}"
    # |total| = 2**62 - 1 at every shift; bounds as wide as int32 let a wrong sum show.
    for shift in range(1, 62):
        for sign in (1, -1):
            acc = sign * INT32[1]
            offset = sign * (2**62 - 1) - acc * INT32[1]
            for multiplier in (INT32[1], -INT32[1]):
                # The same total from a negative multiplier and the accumulator of the other sign.
                limits = (multiplier, offset, shift, *INT32)
                end = acc if multiplier > 0 else -acc
                lower = min(end, end - (1 if end > 0 else -1))
                yield "case " + " ".join(map(str, limits))
                yield f"steps {lower} {rescale(lower, *limits)} {rescale(lower + 1, *limits)}"


def step_lines() -> Iterator[str]:
    """N5. Tables of 1 to 383 steps; each threshold, the value before it, and the ends of int64's use."""
    draw = random.Random(11)
    for size, (lo, hi) in ((1, U8), (2, S8), (3, U8), (17, S8), (255, U8), (383, S8)):
        thresholds = sorted({draw.randrange(*INT32) for _ in range(size)})
        if size == 3:
            thresholds = [INT32[0] + 1, 0, INT32[1]]
        codes = [draw.randint(lo, hi) for _ in range(len(thresholds) + 1)]
        yield f"case {len(thresholds)} " + " ".join(map(str, thresholds + codes))
        values = [v for t in thresholds for v in (t - 1, t)] + [-(2**40), -1, 0, 2**40, *INT32]
        found = digest(step_code(value, thresholds, codes) for value in values)
        yield f"edges {found:#x}"
        for value in values[:: max(len(values) // 16, 1)]:
            yield f"point {value} {step_code(value, thresholds, codes)}"


def channel_lines() -> Iterator[str]:
    """N3 to N5 with constants, steps or both for each channel: what every channel makes of an accumulator."""
    # case: channels, steps of a table, strides of multipliers and tables, lo, hi. Then arrays, and rows of codes.
    draw = random.Random(17)
    ends = [INT32[0] + 1, -1, 0, 1, INT32[1]]
    for channels, size, channel_stride, step_stride in (
        (1, 0, 0, 0),
        (5, 0, 1, 0),
        (3, 7, 1, 0),
        (3, 1, 0, 1),
        (7, 5, 0, 1),
        (4, 11, 1, 1),
    ):
        constants, tables = channels if channel_stride else 1, channels if step_stride else 1
        # Negative, zero and positive in turn; |acc * M + B| < 2**62.
        multipliers = [(c % 3 - 1) * draw.randrange(2**29, 2**30) for c in range(constants)]
        shifts = [draw.randrange(30, 38) for _ in multipliers]
        offsets = [draw.randrange(-(2**37), 2**37) for _ in multipliers]
        if not channel_stride:
            # u is the accumulator.
            multipliers, shifts, offsets = [2**30], [30], [0]
        thresholds, codes = [], []
        for table in range(tables if size else 0):
            row = sorted(draw.randrange(*INT32) for _ in range(size))
            row_codes = [draw.randint(*S8) for _ in range(size + 1)]
            if table == 1:
                # One code for every accumulator.
                row, row_codes = [INT32[1]] * size, [row_codes[0]] * (size + 1)
            elif table == 2 and size > 1:
                # A shorter table, filled up: its last threshold is the largest accumulator itself.
                row = [INT32[0] + 1, 0, *[INT32[1]] * (size - 2)]
                row_codes = row_codes[:3] + [row_codes[3]] * (size - 2)
            thresholds.append(row)
            codes.append(row_codes)
        yield f"case {channels} {size} {channel_stride} {step_stride} {S8[0]} {S8[1]}"
        yield "multipliers " + " ".join(map(str, multipliers))
        yield "offsets " + " ".join(map(str, offsets))
        yield "shifts " + " ".join(map(str, shifts))
        for row, row_codes in zip(thresholds, codes, strict=True):
            yield "table " + " ".join(map(str, row + row_codes))
        near = [t + d for row in thresholds for t in row for d in (-1, 0, 1)]
        near += [draw.randrange(-(2**bits), 2**bits) for bits in range(2, 32)]
        for acc in ends + [acc for acc in near if INT32[0] < acc <= INT32[1]]:
            row = []
            for c in range(channels):
                m, b, s = (v[c % constants] for v in (multipliers, offsets, shifts))
                if size:
                    u = half_even(acc * m + b, 2**s)
                    row.append(step_code(u, thresholds[c % tables], codes[c % tables]))
                else:
                    row.append(rescale(acc, m, b, s, *S8))
            yield f"row {acc} " + " ".join(map(str, row))


def weighted_sum_lines() -> Iterator[str]:
    """N10. All 65,536 pairs of codes, for each set of coefficients."""
    cases = (
        # a0, a1, shift, offset, bounds of the output, bounds of the inputs
        (2**30, 2**30, 31, 0, S8, S8, S8),
        (2**30, 2**30, 31, 1 << 31, S8, S8, S8),
        (2**30, 2**30, 31, (77 << 31) - 2**30 * (3 + 128), U8, U8, U8),
        (2**29, 2**30, 31, -5 << 31, S8, S8, U8),
        (2**30, 2**27, 32, 2**31, U8, U8, S8),
        (2**31 - 1, 2**31 - 1, 31, 0, S8, S8, S8),
        (2**31 - 1, 1, 30, -(2**31), U8, S8, U8),
        (1288490189, 536870912, 31, (3 << 31) - 12345678901, (-8, 7), S8, S8),
        (1932735283, 1, 54, 255 << 54, U8, U8, U8),
        (1, 1, 1, 0, S8, S8, S8),
        # Differences; what is added is no whole code; both negative; one operand gone.
        (2**30, -(2**30), 31, 0, S8, S8, S8),
        (-(2**30), 2**29, 31, (3 << 31) + 2**30, U8, U8, S8),
        (-(2**31 - 1), -(2**31 - 1), 32, -(2**31), S8, S8, U8),
        (-1610612733, 0, 31, 99 << 31, U8, U8, U8),
        (-(2**31 - 1), 2**31 - 1, 24, 2**61, S8, U8, U8),
    )
    for a0, a1, shift, offset, (lo, hi), first, second in cases:
        found = digest(
            clamp(half_even(a0 * q0 + a1 * q1 + offset, 2**shift), lo, hi)
            for q0 in range(first[0], first[1] + 1)
            for q1 in range(second[0], second[1] + 1)
        )
        signs = f"{int(first is S8)} {int(second is S8)}"
        yield f"case {a0} {a1} {offset} {shift} {lo} {hi} {signs}"
        yield f"all {found:#x}"


def dot_lines() -> Iterator[str]:
    """N2. Sums of products of drawn bytes, and the longest sums that int32 holds."""
    for seed, count in enumerate((0, 1, 2, 3, 7, 31, 64, 1021, 4099)):
        for is_signed in (0, 1):
            for zero_point in (0, -128, 127) if is_signed else (0, 128, 255, 3):
                draw = pseudo_random(1000 * seed + zero_point + 128 * is_signed)
                total = 0
                for _ in range(count):
                    x, w = next(draw), next(draw)
                    x -= 256 * (is_signed and x > 127)
                    w -= 256 * (w > 127)
                    total += (x - zero_point) * w
                start = 1000 * seed + zero_point + 128 * is_signed
                yield f"drawn {is_signed} {zero_point} {start} {count} {total}"
    for is_signed, zero_point, x, w in ((0, 0, 255, -127), (0, 255, 0, -127), (1, 127, -128, 127)):
        count = (2**31 - 1) // (255 * 127)
        yield f"full {is_signed} {zero_point} {x} {w} {count} {(x - zero_point) * w * count}"


def lookup_lines() -> Iterator[str]:
    """N7, N8. The code for each of the 256 bytes. Scales are `mantissa * 2**exponent`; then factor and addend."""
    scales = [(1, -5), (1, -6), (13107, -17), (12345677, -28), (9, -3), (1, -20)]
    draw, draw_affine = random.Random(5), random.Random(6)
    plain = Fraction(1), Fraction(0)
    for kind in FUNCTIONS:
        combinations = [(a, b) for a in scales for b in scales]
        chosen = combinations if kind in ("identity", "relu") else draw.sample(combinations, 9)
        for pair in chosen:
            yield from _lookup_case(kind, *pair, *plain, draw)
        for pair in draw_affine.sample(combinations[:24], 3):
            factor = Fraction(draw_affine.choice((-1, 1)) * draw_affine.randrange(1, 48), 32)
            addend = Fraction(draw_affine.randrange(-64, 65), 16)
            yield from _lookup_case(kind, *pair, factor, addend, draw_affine)


def _lookup_case(
    kind: str,
    source_parts: tuple[int, int],
    parts: tuple[int, int],
    factor: Fraction,
    addend: Fraction,
    draw: random.Random,
) -> Iterator[str]:
    source, target = draw.choice((S8, U8)), draw.choice((S8, U8, (-8, 7), (0, 15)))
    zero_points = [draw.choice((0, *bounds)) for bounds in (source, target)]
    zero_points = [clamp(z, *b) for z, b in zip(zero_points, (source, target), strict=True)]
    source_scale, scale = (Fraction(m) * Fraction(2) ** e for m, e in (source_parts, parts))
    row = bytearray()
    for byte in range(256):
        code = byte - 256 * (source is S8 and byte > 127)
        x = (code - zero_points[0]) * source_scale * factor + addend
        row.append(quantize(FUNCTIONS[kind](x), scale, zero_points[1], *target) & 0xFF)
    yield (
        f"case {list(FUNCTIONS).index(kind)} {int(source is S8)} {zero_points[0]} "
        f"{source_parts[0]} {source_parts[1]} {int(target[0] < 0)} {zero_points[1]} "
        f"{parts[0]} {parts[1]} {target[0]} {target[1]} "
        f"{factor.numerator} {factor.denominator} {addend.numerator} {addend.denominator}"
    )
    for start in range(0, 256, 64):
        yield "bytes " + " ".join(str(value) for value in row[start : start + 64])


def wide_lines() -> Iterator[str]:
    """N15. Products of 124 bits and the last rounding: ends, carries between halves, ties and their neighbours."""
    draw = random.Random(15)
    one = 2**62
    # Halves that carry: of ones alone, of one bit, and of both.
    ends = [0, 1, 2, 3, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**32 + 1, 2**61 - 1, 2**61, 2**61 + 1]
    ends += [one - 2**32, one - 2**31 - 1, one - 2, one - 1, one]
    pairs = [(value, factor) for value in ends for factor in ends]
    for _ in range(60):
        bits = draw.randrange(1, 62)
        # An odd multiple of 2**61: a tie; and one unit beside it.
        tie = (draw.randrange(2**bits) | 1) << (62 - bits)
        pairs += [(tie + near, 2 ** (bits - 1)) for near in (-1, 0, 1)]
        pairs.append((2 ** (bits - 1), tie))
        pairs.append((draw.randint(0, one), draw.randint(0, one)))
    for value, factor in pairs:
        product = (2 * value * factor + one) // (2 * one)
        yield f"product {value} {factor} {product}"
        yield f"state {-value} {factor} {-product}"
    largest = 2**31 - 1
    for shift in range(33, 85):
        for multiplier in (0, 1, 3, 2**30, largest):
            values = [0, 1, -1, 2**32 - 1, -(2**32), 2**61, -(2**61), 2**61 - 1]
            values += [draw.randint(-(2**61), 2**61)]
            if multiplier:
                for code in (-129, -2, -1, 0, 1, 254):
                    # The product that is nearest to the tie between two codes: on it only where the multiplier divides.
                    near = half_even((2 * code + 1) * 2 ** (shift - 1), multiplier)
                    values += [near - 1, near, near + 1]
            for value in values:
                addend = draw.choice((0, -128, 127, 255))
                if abs(value) <= 2**61:
                    rounded = half_even(value * multiplier + (addend << shift), 2**shift)
                    yield f"round {value} {multiplier} {shift} {addend} {rounded}"


FILES: dict[str, Callable[[], Iterator[str]]] = {
    "round_shift.txt": round_shift_lines,
    "dot.txt": dot_lines,
    "rescale.txt": rescale_lines,
    "steps.txt": step_lines,
    "channels.txt": channel_lines,
    "quantize_f32.txt": quantize_f32_lines,
    "lookup.txt": lookup_lines,
    "binary32.txt": binary32_lines,
    "weighted_sum.txt": weighted_sum_lines,
    "wide.txt": wide_lines,
}


def content(name: str) -> str:
    """The text of one file."""
    return "\n".join(
        (f"# Written by tests/numerics/make_vectors.py. {FILES[name].__doc__}", *FILES[name](), "")
    )


def main(arguments: list[str]) -> int:
    """Write every file into the folder given, or into `vectors` beside this script."""
    folder = Path(arguments[0]) if arguments else Path(__file__).parent / "vectors"
    folder.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        (folder / name).write_text(content(name), encoding="ascii", newline="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
