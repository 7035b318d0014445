"""Weights and constants of a random model, each drawn from (seed of the recipe, name of its node, parameter) alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ares.zoo.philox import bits

Reals = npt.NDArray[np.float64]


def units(key: str, count: int) -> Reals:
    """Uniform in (-1, 1), odd multiples of 2^-24."""
    top = (bits(key, count) >> np.uint64(40)).astype(np.int64)
    return np.asarray((2 * top + 1 - (1 << 24)) / 2.0**24, dtype=np.float64)


def normals(key: str, count: int) -> Reals:
    """About normal with deviation 1, within +-3.5, by sums of uniform numbers: exact arithmetic, no libm."""
    found: Reals = units(key, 4 * count).reshape(4, count).sum(axis=0) * (1.0 + 1.0 / 8 + 1.0 / 32)
    return found


# In units of a code; `most` is the largest code. Rows are those of the output channels.
_Style = Callable[[str, tuple[int, int], float], Reals]


def _flat(
    draw: Callable[[str, int], Reals], scale: Callable[[float], float]
) -> Callable[[str, tuple[int, int], float], Reals]:
    def style(key: str, shape: tuple[int, int], most: float) -> Reals:
        return draw(key, math.prod(shape)).reshape(shape) * scale(most)

    return style


def _normal(key: str, shape: tuple[int, int], most: float) -> Reals:
    found = normals(key, math.prod(shape)).reshape(shape) * (most / 2.5)
    return np.clip(found, -most, most)


def _sparse(key: str, shape: tuple[int, int], most: float) -> Reals:
    kept = units(f"{key}/kept", math.prod(shape)).reshape(shape) > 0.5
    return np.where(kept, _normal(key, shape, most), 0.0)


def _extreme(key: str, shape: tuple[int, int], most: float) -> Reals:
    return np.copysign(most, units(key, math.prod(shape)).reshape(shape))


def _zero_rows(key: str, shape: tuple[int, int], most: float) -> Reals:
    kept = units(f"{key}/rows", shape[0]) > 0.0
    if not kept.any():
        kept[0] = True
    return np.where(kept[:, None], units(key, math.prod(shape)).reshape(shape) * most, 0.0)


def _ties(key: str, shape: tuple[int, int], most: float) -> Reals:
    found = units(key, math.prod(shape)).reshape(shape) * (most - 0.5)
    return np.floor(found) + 0.5


def _small(key: str, shape: tuple[int, int], _most: float) -> Reals:
    return np.clip(np.floor(units(key, math.prod(shape)).reshape(shape) * 1.5 + 0.5), -1.0, 1.0)


_STYLES: Mapping[str, _Style] = {
    "ones": lambda _key, shape, most: np.full(shape, most),
    "normal": _normal,
    "uniform": _flat(units, lambda most: most),
    "sparse": _sparse,
    "extreme": _extreme,
    "zero rows": _zero_rows,
    "ties": _ties,
    "small": _small,
}
RMS: Mapping[str, float] = {
    "ones": 1.0,
    "normal": 0.27,
    "uniform": 0.58,
    "sparse": 0.14,
    "extreme": 1.0,
    "zero rows": 0.41,
    "ties": 0.55,
    "small": 0.1,
}
"""Root of the mean square of a style's weights, about, as a share of the largest code."""


def style_of(style: str, key: str, shape: tuple[int, int], most: float) -> Reals:
    """Weights [outputs, each] of a style, in units of a code."""
    return _STYLES[style](key, shape, most)


@dataclass(frozen=True, slots=True)
class Source:
    """Numbers of one node. `style` stands in place of the node's own where it is not ""."""

    seed: int
    name: str
    style: str = ""

    def key(self, parameter: str) -> str:
        return f"ares fuzz/{self.seed}/{self.name}/{parameter}"

    def weights(self, own_style: str, shape: tuple[int, int], most: float) -> Reals:
        """Weights [outputs, each] in units of a code."""
        return style_of(self.style or own_style, self.key("weight"), shape, most)

    def units(self, parameter: str, count: int) -> Reals:
        """Uniform in (-1, 1); all 1/2 where weights are to be simple."""
        if self.style == "ones":
            return np.full(count, 0.5)
        return units(self.key(parameter), count)
