"""`RFFTFeatures`: magnitudes and phases of a DFT, each straight to codes, then side by side."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np

from ares.extract._call import Call
from ares.extract._codes import codes_of, quantizer_of
from ares.extract._findings import reject
from ares.extract._quantizers import Quantizer
from ares.extract._registry import on_module
from ares.extract._values import Codes, Unknown, Value
from ares.ir import Tensor, frozen_array
from ares.nn.leaves.spectrum import JoinSpectrum, RfftMagnitude, RfftPhase
from ares.numerics import IDENTITY
from ares.numerics.dft import PhasePlan, dft_tables, plan_magnitude, plan_phase
from ares.ops.concat import Concat
from ares.ops.rfft import MAGNITUDE, PHASE, Rfft

_NO_DIRECTIONS = frozen_array(np.zeros((0, 2)), np.int32)


@on_module(RfftMagnitude)
def magnitude(call: Call) -> Value:
    def parameters(source: Tensor, quantizer: Quantizer) -> dict[str, Any]:
        ratio = Fraction(source.scale or 0) / Fraction(quantizer.scale)
        steps = plan_magnitude(ratio, quantizer.zero_point, quantizer.hi)
        return _parameters(
            MAGNITUDE, thresholds=steps, plan=PhasePlan(quantizer.zero_point, 0, _NO_DIRECTIONS)
        )

    return _part(call, parameters)


@on_module(RfftPhase)
def phase(call: Call) -> Value:
    def parameters(source: Tensor, quantizer: Quantizer) -> dict[str, Any]:
        del source
        q = quantizer
        steps = plan_phase(q.scale, q.zero_point, q.lo, q.hi)
        return _parameters(PHASE, thresholds=frozen_array([], np.int64), plan=steps)

    return _part(call, parameters)


def _parameters(part: str, *, thresholds: Any, plan: PhasePlan) -> dict[str, Any]:
    return {
        "part": part,
        "first": plan.first,
        "thresholds": thresholds,
        "directions": plan.directions,
        "below": plan.below,
    }


def _part(call: Call, parameters: Any) -> Value:
    value = call.x
    quantizer = quantizer_of(call, call.module.quant.act_quant)
    if isinstance(value, Unknown):
        return value
    if quantizer is None or quantizer.function is not IDENTITY:
        reject("its quantiser is no QuantIdentity", "leave the quantiser that RFFTFeatures makes")
    source = codes_of(call, value)
    tensor = call.tensor(source)
    cosine, sine = dft_tables(tensor.shape[-1])
    name = call.add(
        Rfft,
        (source.tensor,),
        quantizer,
        cosine=cosine,
        sine=sine,
        **parameters(tensor, quantizer),
    )
    call.builder.add_origin(name, quantizer.origin)
    return Codes(name)


@on_module(JoinSpectrum)
def join(call: Call) -> Value:
    values = (call.argument("magnitude", 0), call.argument("phase", 1))
    if any(isinstance(value, Unknown) for value in values):
        return Unknown()
    first, second = (call.tensor(codes_of(call, value)) for value in values)
    if (first.dtype, first.zero_point) != (second.dtype, second.zero_point):
        reject(
            "the quantisers of magnitudes and phases differ in sign or zero point",
            "leave the quantisers that RFFTFeatures makes",
        )
    like = replace(second, lo=min(first.lo, second.lo), hi=max(first.hi, second.hi))
    # The codes stay as they are; a table says so, for they come from another grid.
    tables = (frozen_array(np.arange(256), np.uint8), frozen_array([], np.uint8))
    axis = len(call.out_shape) - 1
    return Codes(call.add(Concat, (first.name, second.name), like, axis=axis, tables=tables))
