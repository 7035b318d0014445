"""How far float32 may be off in functions that mix many elements: norms and interpolation (`ares.witness_rounding`).

All bounds are absolute and float64, of the elements of the result. `error` is what the argument is off.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

UNIT = 2.0**-24
"""The largest relative error of one rounding to float32."""
CONSTANT = 8 * UNIT
FUNCTION = 8 * UNIT
"""A function of one element, relative to its result: libraries for float32 promise four units."""


def normalised(
    value: Tensor, error: Tensor, axes: tuple[int, ...], eps: float, *, by_squares: bool = False
) -> Tensor:
    """Of (x - mean) / sqrt(variance + eps), `value` being x in float64: mean and variance are sums over `axes`.

    It may be computed as x / deviation - mean / deviation: both products are rounded, however near they are.
    `by_squares`: the variance is the mean of the squares without the square of the mean. However far it is off, what is
    computed is no less than zero: where all elements are equal, no deviation is below sqrt(eps).
    """
    terms = math.prod(value.shape[axis] for axis in axes) + 4
    mean = value.mean(axes, keepdim=True)
    centred = (value - mean).abs()
    off_mean = (error + terms * UNIT * value.abs()).mean(axes, keepdim=True)
    off = error + off_mean + UNIT * (centred + 2 * mean.abs() + value.abs())
    variance = (centred**2).mean(axes, keepdim=True)
    off_variance = (off * (2 * centred + off)).mean(axes, keepdim=True)
    off_variance = off_variance + terms * UNIT * variance
    if by_squares:
        squares = ((value.abs() + error) ** 2).mean(axes, keepdim=True)
        off_variance = off_variance + 2 * terms * UNIT * squares
    whole, least = variance + eps, (variance - off_variance).clamp(min=0.0) + eps
    more, less = (whole / least).sqrt() - 1.0, 1.0 - (whole / (whole + off_variance)).sqrt()
    relative = torch.maximum(more, less) + FUNCTION
    bound: Tensor = whole**-0.5 * (off * (1.0 + relative) + centred * (relative + CONSTANT))
    return bound


def interpolation_weights(size: Tensor) -> Tensor:
    """Of a bilinear interpolation of pictures [..., height, width] of these magnitudes, what its weights add.

    They come from positions in float32, which lie up to the size of the picture from zero. What is not a number is read
    by no result that is one: it widens no bound.
    """
    largest = size.nan_to_num(nan=0.0).amax((-2, -1), keepdim=True)
    terms = 2 * sum(size.shape[-2:]) + 16
    return terms * UNIT * largest
