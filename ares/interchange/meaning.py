"""What a layer's integers mean in reals: the scale of its weights, its bias, and how far a file is from that.

A Graph holds one multiplier for each output channel, M / 2**s codes for one unit of the exact sum, and everything that
is added, in output codes. With the scales of input and output these are the layer's weight scales and its bias, to 31
bits. Formats hold binary32 numbers: a weight scale that was one comes out as what it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from ares.interchange.merged import function_and_grid, function_on_sums, ratio_and_addend
from ares.ir import Tensor
from ares.numerics import Rescale

Reals = npt.NDArray[np.float32]
# Codes: what constants in binary32 may cost a code within 8 bits. More is said.
NOTHING = Fraction(1, 2**14)
_SPAN = 256


class UnsaidError(ValueError):
    """A layer that a format has no words for. One line: which, and what it has."""


@dataclass(frozen=True, slots=True)
class Departure:
    """Where a file means something else than the Graph: in `layer`, `what`, by at most so many codes of its output."""

    layer: str
    what: str
    codes: float

    def __str__(self) -> str:
        return f"layer {self.layer}: {self.what}, which moves its codes by up to {self.codes:.3g}"


def scale_of(tensor: Tensor) -> Fraction:
    """The exact scale of a tensor of codes."""
    if tensor.scale is None:
        raise UnsaidError(f"tensor {tensor.name}: {tensor.dtype.value} has no scale")
    return Fraction(tensor.scale)


def nearest(value: Fraction) -> np.float32:
    """In binary32. A float64 between loses nothing but ties, of which 31 bits make none."""
    return np.float32(float(value))


@dataclass(frozen=True, slots=True)
class Affine:
    """Of each channel, f(sum * ratio + addend) before rounding, in output codes, the zero point not in the addend."""

    ratios: Sequence[Fraction]
    addends: Sequence[Fraction]
    function: str = "identity"

    @classmethod
    def of(cls, name: str, rescale: Rescale, target: Tensor, unit: Fraction) -> Affine:
        """What a Rescale means; raises UnsaidError for steps of which nobody knows where they are from.

        `unit`: what a ratio would be with no weight scale and no constant factor.
        """
        rows = list(_rows(rescale))
        if rescale.has_own_steps:
            raise UnsaidError(
                f"layer {name}: a function for each channel is merged into its rounding"
            )
        if not rescale.thresholds.size:
            return cls(
                [Fraction(m, 2**s) for m, _, s in rows],
                [Fraction(b, 2**s) - target.zero_point for _, b, s in rows],
            )
        if _is_the_sum(rows):
            plain = ratio_and_addend(rescale, target, unit)
            if plain is not None:
                return cls([plain[0]], [plain[1] - target.zero_point])
            merged = function_on_sums(rescale, target, unit)
            if merged is not None:
                function, ratio, addend = merged
                return cls([ratio], [addend], function)
        else:
            found = function_and_grid(rescale, target)
            if found is not None:
                function, start, step = found
                unit = step / scale_of(target)
                return cls(
                    [Fraction(m, 2**s) * unit for m, _, s in rows],
                    [Fraction(b, 2**s) * unit + start / scale_of(target) for _, b, s in rows],
                    function,
                )
        steps = rescale.thresholds.size
        raise UnsaidError(
            f"layer {name}: an unknown function is merged into its rounding, as {steps} steps"
        )

    def for_channels(self, count: int) -> Affine:
        """One of each for each of so many channels."""
        times = count // len(self.ratios)
        return Affine([*self.ratios] * times, [*self.addends] * times, self.function)


def _is_the_sum(rows: Sequence[tuple[int, int, int]]) -> bool:
    """Whether M, B and s leave a sum as it is: steps are then those of the sum itself."""
    return len(rows) == 1 and all(m == 2**s and not b for m, b, s in rows)


def _rows(rescale: Rescale) -> Iterator[tuple[int, int, int]]:
    arrays = np.broadcast_arrays(rescale.multiplier, rescale.offset, rescale.shift)
    yield from zip(*(array.tolist() for array in arrays), strict=True)


def relative(written: Fraction, meant: Fraction, addend: Fraction = Fraction(0)) -> Fraction:
    """Codes that a factor which is off costs, of results that are within 8 bits once `addend` is added to them."""
    span = _SPAN + abs(addend)
    if meant == 0:
        return Fraction(0) if written == 0 else span
    return abs(written / meant - 1) * span


def is_average(rescale: Rescale, ratio: Fraction, target: Tensor) -> bool:
    """Whether a Rescale gives round(sum * ratio + zero point): a mean and nothing besides."""
    if not rescale.thresholds.size:
        affine = Affine.of("", rescale, target, ratio)
        return len(affine.ratios) == 1 and (
            relative(affine.ratios[0], ratio) <= NOTHING and abs(affine.addends[0]) <= NOTHING
        )
    if rescale.has_own_steps or not _is_the_sum([*_rows(rescale)]):
        return False
    # Steps on the sum itself: what each code begins at, and what lies before it.
    pairs = zip(rescale.thresholds.tolist(), rescale.codes[:-1], rescale.codes[1:], strict=True)
    return all(
        _code(total - 1, ratio, rescale, target) == before
        and _code(total, ratio, rescale, target) == behind
        for total, before, behind in pairs
    )


def _code(total: int, ratio: Fraction, rescale: Rescale, target: Tensor) -> int:
    rounded = round(total * ratio + target.zero_point)
    return min(max(rounded, rescale.lo), rescale.hi)
