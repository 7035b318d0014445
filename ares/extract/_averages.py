"""What all averages share: exact sums of codes that wait for one quantiser."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from ares.extract._call import Call
from ares.extract._quantizers import Quantizer
from ares.extract._values import Codes, Unknown, Value


def average(call: Call, divisor: int, add: Callable[[Codes, Quantizer, Fraction], str]) -> Value:
    """sum / divisor of the call's first argument. `add` gets the real value of one unit of the sum."""
    value = call.x
    if isinstance(value, Unknown):
        return value
    source = call.codes(value)
    scale = call.tensor(source).scale
    assert scale is not None
    ratio = Fraction(scale) / divisor
    return call.real(lambda quantizer: add(source, quantizer, ratio), axes=())
