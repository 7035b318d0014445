"""Clause N11: normalisation over n codes, in integers.

    d_i  = n * (q_i - z) - S1,   V = n * S2 - S1**2             (S1 = 0 where no mean is taken away)
    code = quantise(f(gamma * d_i / sqrt(V + E) + beta))        E = n**2 * eps / scale**2

The sums are exact, one inverse root serves a whole group, and the product is rounded once. C: `runtime/inc/norm.h`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from ares.ir import Tensor, frozen_array
from ares.numerics.accumulate import INT32_MAX, NumericsError
from ares.numerics.functions import Function
from ares.numerics.rescale import MAX_SHIFT, Rescale
from ares.numerics.rounding import IntArray, magnitude_bits, round_scaled
from ares.numerics.tables import code_limits, common_grid, steps_on_grid

LARGEST_COUNT = 2**17
"""Codes in one group: |d| < 2**25 then, and |d| times the inverse root stays below 2**62."""

_LARGEST_VARIANCE_SHIFT = 44
_RADICAND_LIMIT = 2**63
_OFFSET_LIMIT = 2**61


def radicand_bound(
    source: Tensor, count: int, is_centred: bool, variance_shift: int, variance_offset: int
) -> int:
    """Largest W = V * 2**F + Eq that codes of `source` can give; N11 needs W < 2**63."""
    # V / n**2 is a variance: at most a quarter of the range squared; without a mean, the largest square.
    range_squared = (source.hi - source.lo) ** 2
    square = count**2 * source.largest_magnitude**2
    largest = count**2 * range_squared // 4 if is_centred else square
    return (largest << variance_shift) + variance_offset


def plan_norm(
    function: Function,
    gammas: Sequence[Fraction],
    betas: Sequence[Fraction],
    epsilon: Fraction,
    source: Tensor,
    target: Tensor,
    count: int,
    is_centred: bool,
) -> tuple[int, int, Rescale]:
    """(F, Eq, constants) for code = quantise(f(gamma * normalised + beta)); gamma and beta are REAL.

    One gamma and beta, or one a channel; `epsilon` is that of the layer, `count` the codes in a group. The
    multiplier of the Rescale carries gamma's sign. Raises NumericsError out of range.
    """
    if source.scale is None or target.scale is None:
        raise NumericsError("a normalisation needs scales on both sides")
    shift, offset = _plan_radicand(epsilon, source, count, is_centred)
    lo, hi, zero_point = target.lo, target.hi, target.zero_point
    unit, start = Fraction(target.scale), Fraction(0)
    thresholds: list[int] = []
    codes: list[int] = []
    if function.clips is not None:
        lo, hi = code_limits(function, target)
    else:
        # Normalised values reach 2**h; in units of 2**-31, so that gamma does not bound how fine the grid is.
        sizes = [abs(gamma) / 2**31 for gamma in gammas]
        grid = common_grid(function, sizes, betas, target, 2 ** (31 + root_bits(count)))
        unit, start, zero_point = grid.step, grid.start, 0
        thresholds, codes = steps_on_grid(function, grid, target)
        if not thresholds:
            # One code for every input: a threshold that changes nothing says so.
            thresholds, codes = [INT32_MAX], codes * 2
    rows = [
        _plan_channel(
            gammas[channel % len(gammas)] / unit,
            (betas[channel % len(betas)] - start) / unit + zero_point,
            count,
        )
        for channel in range(max(len(gammas), len(betas)))
    ]
    if len(set(rows)) == 1:
        rows = rows[:1]
    rescale = Rescale(
        multiplier=frozen_array([row[0] for row in rows], np.int32),
        offset=frozen_array([row[1] for row in rows], np.int64),
        shift=frozen_array([row[2] for row in rows], np.uint8),
        lo=lo,
        hi=hi,
        thresholds=frozen_array(thresholds, np.int32),
        codes=frozen_array(codes, np.int16),
    )
    return shift, offset, rescale


def _plan_radicand(
    epsilon: Fraction, source: Tensor, count: int, is_centred: bool
) -> tuple[int, int]:
    """(F, Eq): F even, the largest for which V * 2**F + Eq < 2**63."""
    added = count**2 * epsilon / Fraction(source.scale or 0) ** 2
    for shift in range(_LARGEST_VARIANCE_SHIFT, -1, -2):
        offset = max(1, round(added * 2**shift))
        if radicand_bound(source, count, is_centred, shift, offset) < _RADICAND_LIMIT:
            return shift, offset
    raise NumericsError(
        f"its eps of {float(epsilon):.3g} is too large beside the input's scale {source.scale:.3g}"
    )


def _plan_channel(gain: Fraction, addend: Fraction, count: int) -> tuple[int, int, int]:
    """(M, B, s) with the largest s for which |M| < 2**31 and |B| < 2**61: then |total| < 2**62."""
    down = 30 - root_bits(count)
    # |gain| > 2**(bits - 1): a larger shift would bring the multiplier to 2**31.
    for shift in range(min(MAX_SHIFT, down + 32 - magnitude_bits(gain)), 0, -1):
        multiplier = round_scaled(gain, shift - down)
        offset = round_scaled(addend, shift)
        if abs(multiplier) <= INT32_MAX and abs(offset) < _OFFSET_LIMIT:
            return multiplier, offset, shift
    raise NumericsError(
        f"its weight is worth {float(gain):.3g} codes, its bias {float(addend):.3g} codes: "
        "too large for 64 bits"
    )


def root_bits(count: int) -> int:
    """h with sqrt(count) < 2**h: no normalised value reaches it."""
    return (count.bit_length() + 1) // 2


def root_shift(count: int, variance_shift: int) -> int:
    """What is left to shift a product by when its group's radicand needs no doubling."""
    return 6 + root_bits(count) - variance_shift // 2


def inverse_root(radicand: int) -> tuple[int, int]:
    """(R, k): 1 / sqrt(radicand) = R * 2**(k - 68) within one part in 2**36; R in [2**36, 2**37].

    Limits: 1 <= radicand < 2**64. A radicand that is a power of four is exact.
    """
    doublings = 0
    while radicand < 2**62:
        radicand <<= 2
        doublings += 1
    root = math.isqrt(radicand)
    # Six bits more than the integer root: the rest over twice the root.
    wide = (root << 6) + ((radicand - root * root) << 5) // root
    return 2**74 // wide, doublings


def normalise(
    steps: npt.NDArray[np.int64],
    is_centred: bool,
    variance_shift: int,
    variance_offset: int,
    rescale: Rescale,
) -> IntArray:
    """Codes of [rows, groups, channels of a group, positions] steps q - z (N11); each group on its own.

    `rescale` has one constant, or one for every channel of all groups.
    """
    _, groups, width, positions = steps.shape
    count = width * positions
    over = (2, 3)
    mean = steps.sum(axis=over, keepdims=True) * int(is_centred)
    variance = count * (steps * steps).sum(axis=over, keepdims=True) - mean * mean
    roots = [inverse_root((int(v) << variance_shift) + variance_offset) for v in variance.flat]
    inverse, doublings = np.array(roots, np.int64).T.reshape(2, *variance.shape)
    shape = (1, groups, width, 1) if rescale.channels > 1 else (1, 1, 1, 1)
    multiplier = rescale.multiplier.astype(np.int64).reshape(shape)
    product = (count * steps - mean) * inverse
    high, low = product >> 32, product & 0xFFFFFFFF
    wide = high * multiplier + ((low * multiplier) >> 32)
    shift = root_shift(count, variance_shift) - doublings
    total = wide << np.maximum(-shift, 0) >> np.maximum(shift, 0)
    return rescale.finish(total + rescale.offset.reshape(shape), rescale.shift.reshape(shape))
