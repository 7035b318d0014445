"""Linear and bilinear interpolation: exact sums, the division part of the quantiser's one rounding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from math import gcd
from typing import Any

import brevitas.nn as qnn
from torch import nn

from ares.extract._call import Call
from ares.extract._codes import codes_of
from ares.extract._findings import reject
from ares.extract._quantizers import Quantizer
from ares.extract._registry import on_module
from ares.extract._rescaling import real_value, rescale_for
from ares.extract._values import Unknown, Value
from ares.extract.upsample_bilinear_fp32 import add_real
from ares.numerics import INT32_MAX, Pointwise
from ares.ops.upsample_bilinear2d import UpsampleBilinear2d

MODES = ("linear", "bilinear")
_ROUNDING = (qnn.QuantUpsample, qnn.QuantUpsamplingBilinear2d)
# Of a factor's denominator: a longer one is that of a decimal number which binary64 cannot hold.
_LONGEST = 64


@on_module(nn.UpsamplingBilinear2d, qnn.QuantUpsamplingBilinear2d)
def upsample_bilinear2d(call: Call) -> Value:
    return bilinear(call)


def bilinear(call: Call) -> Value:
    """Of these modules, and of nn.Upsample and F.interpolate in `MODES`."""
    if isinstance(call.node.module, _ROUNDING):
        reject(
            "it rounds to its input's scale in floating point, where a tie may fall either way",
            "use nn.Upsample(scale_factor=..., mode='bilinear') and a QuantIdentity behind it",
        )
    lines = _lines(call)
    value = call.x
    if isinstance(value, Unknown):
        return value
    source = codes_of(call, value)
    scale = call.tensor(source).scale
    assert scale is not None
    divisor = lines[0].divisor * lines[1].divisor
    bound = divisor * call.tensor(source).largest_magnitude
    if bound > INT32_MAX:
        reject(
            f"it interpolates in steps of 1/{lines[0].divisor} by 1/{lines[1].divisor}, whose sums could reach {bound}",
            "use a whole scale_factor, which needs few steps",
        )
    ratio = Fraction(scale) / divisor
    fields: dict[str, Any] = {
        "sizes": (lines[0].size, lines[1].size),
        "steps": (lines[0].step, lines[1].step),
        "offsets": (lines[0].offset, lines[1].offset),
        "divisors": (lines[0].divisor, lines[1].divisor),
    }

    def finish(quantizer: Quantizer) -> str:
        rescale = rescale_for(call, quantizer, [ratio], [Fraction(0)], bound)
        return call.add(UpsampleBilinear2d, (source.tensor,), quantizer, **fields, rescale=rescale)

    @cache
    def expose(pointwise: Pointwise) -> str:
        return add_real(call, source.tensor, ratio, fields, pointwise)

    return real_value(call, finish, axes=(1,), expose=expose)


@dataclass(frozen=True, slots=True)
class _Line:
    """The outputs along an axis: number i lies at (i * step + offset) / divisor, counted from the first input."""

    size: int
    step: int
    offset: int
    divisor: int

    def reduced(self) -> _Line:
        common = gcd(self.step, self.offset, self.divisor)
        return _Line(self.size, self.step // common, self.offset // common, self.divisor // common)


def _lines(call: Call) -> list[_Line]:
    """Of rows and columns; a sequence is one row."""
    if call.argument("antialias", 6, False):
        reject("it filters (antialias=True)", "use antialias=False")
    before, after = call.shape_of("input", 0)[2:], call.out_shape[2:]
    sizes = list(zip(before, after, strict=True))
    if call.setting("align_corners", 4):
        found = [_Line(new, old - 1, 0, max(new - 1, 1)) for old, new in sizes]
    elif call.setting("scale_factor", 2) is None or call.setting("recompute_scale_factor", 5):
        found = [_Line(new, 2 * old, old - new, 2 * new) for old, new in sizes]
    else:
        factors = _factors(call, len(sizes))
        found = [
            _Line(new, 2 * by.denominator, by.denominator - by.numerator, 2 * by.numerator)
            for (_, new), by in zip(sizes, factors, strict=True)
        ]
    return [_Line(1, 0, 0, 1), *(line.reduced() for line in found)][-2:]


def _factors(call: Call, axes: int) -> list[Fraction]:
    """Those of the call, which count as they are, whatever the sizes become."""
    given = call.setting("scale_factor", 2)
    factors = [Fraction(by) for by in (given if isinstance(given, Sequence) else [given] * axes)]
    for by in factors:
        if by.denominator > _LONGEST:
            reject(
                f"its scale_factor {float(by)!r} is no simple fraction",
                "use size=, or recompute_scale_factor=True",
            )
    return factors
