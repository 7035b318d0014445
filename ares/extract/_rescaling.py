"""What a call computes until its quantiser is met, and the constants of the one rounding then."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from ares.extract._builder import check_accumulator
from ares.extract._call import Call
from ares.extract._findings import Unmappable
from ares.extract._quantizers import Quantizer
from ares.extract._values import Finish, Real, Summed
from ares.numerics import NumericsError, Pointwise, Rescale, plan_pointwise


def real_value(
    call: Call,
    finish: Finish,
    *,
    what: str = "",
    shape: tuple[int, ...] | None = None,
    axes: Sequence[int] | None = None,
    expose: Callable[[Pointwise], str] | None = None,
    summed: Summed | None = None,
    advice: str = "insert a QuantIdentity before it",
) -> Real:
    """What the call computes, waiting for its quantiser; `shape` where it is not the call's own."""
    return Real(
        what or f"the real output of {call.name} ({call.layer_type})",
        call.name,
        call.out_shape if shape is None else shape,
        finish,
        None if axes is None else tuple(axes),
        expose=expose,
        summed=summed,
        advice=advice,
    )


def rescale_for(
    call: Call, quantizer: Quantizer, ratios: list[Fraction], biases: list[Fraction], bound: int
) -> Rescale:
    """Constants for quantise(pointwise(acc * ratio + bias)); ratio and bias are real values."""
    try:
        check_accumulator(bound)
        return plan_pointwise(quantizer.pointwise, ratios, biases, quantizer.tensor(), bound)
    except Unmappable as error:
        raise error.at(call.name, call.layer_type) from None
    except NumericsError as error:
        raise call.fault(str(error), "check the scales around this layer") from None


def fractions(values: npt.ArrayLike) -> list[Fraction]:
    """Exact rationals of float64 values."""
    return [Fraction(float(value)) for value in np.asarray(values, dtype=np.float64).reshape(-1)]
