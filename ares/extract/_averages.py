"""What all averages share: exact sums of codes that wait for one quantiser."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from ares.extract._call import Call
from ares.extract._codes import codes_of
from ares.extract._quantizers import Quantizer
from ares.extract._rescaling import real_value
from ares.extract._values import Codes, Unknown, Value


def average(call: Call, divisor: int, add: Callable[[Codes, Quantizer, Fraction], str]) -> Value:
    """sum / divisor of the call's first argument. `add` gets the real value of one unit of the sum."""
    value = call.x
    if isinstance(value, Unknown):
        return value
    source = codes_of(call, value)
    scale = call.tensor(source).scale
    assert scale is not None
    ratio = Fraction(scale) / divisor
    return real_value(call, lambda quantizer: add(source, quantizer, ratio), axes=())
