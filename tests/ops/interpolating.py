"""Cases of UpsampleBilinear2d and UpsampleBilinearFp32, and their oracle: linear interpolation in Fractions."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from ares.ir import Tensor
from tests.ops.harness import codes

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Case:
    """`sizes` of the output; `corners`: the first and the last output are the first and the last input."""

    name: str
    shape: tuple[int, ...]
    sizes: tuple[int, int]
    reaches: tuple[str, ...]
    source: tuple[Any, ...] = ("s8", 0)
    target: tuple[Any, ...] = ("s8", 0)
    units: str = "dyadic"
    bias: str = "none"
    function: str = "identity"
    extreme: bool = False
    corners: bool = False

    @property
    def image(self) -> tuple[int, int]:
        height, width = (1, *self.shape[2:])[-2:]
        return height, width

    def fields(self) -> dict[str, Any]:
        """Unreduced fractions: 2 * size of the output, or one less than it, is their denominator."""
        pairs = list(zip(self.image, self.sizes, strict=True))
        if self.corners:
            lines = [(old - 1, 0, max(new - 1, 1)) for old, new in pairs]
        else:
            lines = [(2 * old, old - new, 2 * new) for old, new in pairs]
        steps, offsets, divisors = zip(*lines, strict=True)
        return {"sizes": self.sizes, "steps": steps, "offsets": offsets, "divisors": divisors}

    @property
    def divisor(self) -> int:
        return int(np.prod(self.fields()["divisors"]))


def inputs(case: Case, seed: int) -> tuple[Tensor, Array]:
    dtype, zero_point = case.source
    source = codes("x", case.shape, dtype, 0.5, zero_point)
    raw = np.random.Philox(key=seed).random_raw(source.size).reshape(source.shape)
    x = (raw % np.uint64(256)).astype(np.int64) + source.lo
    return source, np.where(
        x > (source.lo + source.hi) / 2, source.hi, source.lo
    ) if case.extreme else x


def _line(old: int, new: int, corners: bool) -> list[list[tuple[int, Fraction]]]:
    """For each output the inputs that it lies between and their weights, from PyTorch's documentation."""
    found = []
    for output in range(new):
        if corners:
            place = Fraction(output * (old - 1), new - 1) if new > 1 else Fraction(0)
        else:
            place = Fraction(2 * output + 1, 2) * Fraction(old, new) - Fraction(1, 2)
        place = min(max(place, Fraction(0)), Fraction(old - 1))
        near = place.numerator // place.denominator
        share = place - near
        found.append([(near, 1 - share), *([(near + 1, share)] if share else [])])
    return found


def means(case: Case, x: Array) -> dict[tuple[int, ...], Fraction]:
    """Of codes without their zero point, by (channel, y, x)."""
    image = x.reshape(*x.shape[:2], *(x.shape[2:] if x.ndim == 4 else (1, x.shape[2])))
    rows, columns = (
        _line(old, new, case.corners) for old, new in zip(case.image, case.sizes, strict=True)
    )
    found = {}
    for c, (y, down), (column, across) in product(
        range(x.shape[1]), enumerate(rows), enumerate(columns)
    ):
        found[c, y, column] = sum(
            (a * b * (int(image[0, c, i, j]) - case.source[1]))
            for (i, a), (j, b) in product(down, across)
        )
    return found


def facts(case: Case, means: dict[Any, Fraction]) -> dict[str, bool]:
    (height, width), (rows, columns) = case.image, case.sizes
    return {
        "prime size": {*case.shape} <= {1, 2, 3, 5, 7},
        "factors differ": rows * width != columns * height,
        "one axis": (rows == height) != (columns == width),
        "odd factor": any(n % 2 and n > 1 for n in (rows // height, columns // width)),
        "no whole factor": rows % height != 0 and columns % width != 0,
        "fewer": rows < height and columns < width,
        "fewer rows": rows < height,
        "one pixel": case.image == (1, 1),
        "corners": case.corners,
        "every output is an input": all(mean.denominator == 1 for mean in means.values()),
    }
