"""Functions as somebody else wrote them, in the place of ours: wrong like the C, or like what feeds both."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from ares.extract import _codes, _norms, _rescaling, selective_scan, softmax
from ares.numerics import rescale as _rescale
from ares.numerics import round_half_even_shift
from ares.ops.avg_pool2d import AvgPool2d
from ares.ops.linear_fp32 import LinearFp32

Array = npt.NDArray[Any]

_read_quantizer = _codes.read_quantizer
_plan_norm = _norms.plan_norm
_plan_pointwise = _rescaling.plan_pointwise
_decay_factors = selective_scan.decay_factors
_plan_scan = selective_scan.plan_scan
_exp_table = softmax.exp_table
_average = AvgPool2d.reference
_linear_fp32 = LinearFp32.reference


# --- rounding


def half_up_shift(value: Any, shift: Any) -> Any:
    """Ties go up."""
    number, bits = np.asarray(value, np.int64), np.asarray(shift, np.int64)
    return (number + (np.int64(1) << (bits - 1))) >> bits


def half_away_shift(value: Any, shift: Any) -> Any:
    """Ties go away from zero, as C's round has it."""
    number, bits = np.asarray(value, np.int64), np.asarray(shift, np.int64)
    return np.sign(number) * half_up_shift(np.abs(number), bits)


def truncating_shift(value: Any, shift: Any) -> Any:
    """Cut toward zero."""
    number, bits = np.asarray(value, np.int64), np.asarray(shift, np.int64)
    return np.sign(number) * (np.abs(number) >> bits)


def shift_twice(value: Any, shift: Any) -> Any:
    """The high half of the product first, then the rest of the shift: two roundings."""
    first = np.minimum(31, np.asarray(shift, np.int64) - 1)
    return round_half_even_shift(round_half_even_shift(value, first), shift - first)


def average_cut(self: AvgPool2d, site: Any, arrays: Any) -> Any:
    """Averages of negative sums are cut toward zero."""
    right = _average(self, site, arrays)[0]
    before = _rescale.round_half_even_shift
    _rescale.round_half_even_shift = truncating_shift
    try:
        cut = _average(self, site, arrays)[0]
    finally:
        _rescale.round_half_even_shift = before
    return (np.where(cut < site.outputs[0].zero_point, cut, right),)


def quantize_half_away(x: Any, scale: float, zero_point: int, lo: int, hi: int) -> Any:
    """Ties of the input go away from zero."""
    shifted = ((x / np.float32(scale)).astype(np.float32) + np.float32(zero_point)).astype("f8")
    away = np.copysign(np.floor(np.abs(shifted) + 0.5), shifted)
    return np.clip(away, lo, hi).astype(np.int64)


def quantize_then_shift(x: Any, scale: float, zero_point: int, lo: int, hi: int) -> Any:
    """The zero point is added to what was rounded."""
    quotient = np.rint((x / np.float32(scale)).astype(np.float32))
    return np.clip(quotient + zero_point, lo, hi).astype(np.int64)


# --- biases


def _with_biases(edit: Any) -> Any:
    def planned(pointwise: Any, ratios: Any, biases: Any, *rest: Any) -> Any:
        units = len(biases) // len(ratios) * ratios
        changed = [edit(bias, unit) for bias, unit in zip(biases, units, strict=True)]
        return _plan_pointwise(pointwise, ratios, changed, *rest)

    return planned


def _truncated(bias: Fraction, unit: Fraction) -> Fraction:
    return int(bias / unit) * unit


def _rounded(bias: Fraction, unit: Fraction) -> Fraction:
    return round(bias / unit) * unit


bias_truncated = _with_biases(_truncated)
bias_rounded = _with_biases(_rounded)


# --- layers


def softmax_floored(product: Array, shift: Array, zero_point: int) -> Array:
    """Probabilities are cut to 8 bits."""
    before = np.minimum(shift - 1, 63).astype(np.uint64)
    bits = np.where(shift <= 64, product >> before, np.uint64(0))
    return (bits >> np.uint64(1)).astype(np.int64) + zero_point


def exp_table_of_integers(scale: float) -> Any:
    """exp(k) for integer k, where differences of scores are scaled by 16."""
    return _exp_table(16 * scale)


def norm_times_scale(
    function: Any, gammas: Any, betas: Any, epsilon: Any, source: Any, *rest: Any
) -> Any:
    """The result is multiplied by the input's scale."""
    scale = Fraction(source.scale)
    gammas, betas = ([scale * value for value in values] for values in (gammas, betas))
    return _plan_norm(function, gammas, betas, epsilon, source, *rest)


def decay_clipped(log_rate: Array, step: Fraction) -> Array:
    """A is clipped at -1."""
    return _decay_factors(np.minimum(log_rate, 0.0), step)


def decay_shifted(log_rate: Array, step: Fraction) -> Array:
    """dt is shifted by 8 ..."""
    return _decay_factors(log_rate, step / 256)


def scan_shifted(slowest: int, skips: list[Fraction], ratio: Fraction, reach: Any) -> Any:
    """... and never restored."""
    return _plan_scan(slowest, [256 * skip for skip in skips], ratio / 256, reach)


def signed_quantizer(*arguments: Any, **keywords: Any) -> Any:
    """`QuantReLU` kept as signed: everything above code 127 is clipped."""
    quantizer = _read_quantizer(*arguments, **keywords)
    return replace(quantizer, hi=min(quantizer.hi, 127))


def linear_signed(self: LinearFp32, site: Any, arrays: Any) -> Any:
    """Reads 128..255 as -128..-1."""
    read = arrays[0].astype(np.uint8).view(np.int8).astype(np.int64)
    return _linear_fp32(self, site, (read, *arrays[1:]))
