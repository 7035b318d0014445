"""SelectiveScan of `ares.nn`: exact decay factors, the recurrence, one rounding."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import torch

from ares.extract._call import Call
from ares.extract._codes import codes_of, quantize, quantizer_of
from ares.extract._findings import reject
from ares.extract._quantizers import Quantizer
from ares.extract._registry import on_module
from ares.extract._rescaling import fractions, real_value
from ares.extract._values import Codes, Unknown, Value
from ares.ir import frozen_array
from ares.nn.leaves.scan import SelectiveScan as Layer
from ares.numerics import NumericsError, decay_factors, plan_scan
from ares.ops.selective_scan import SelectiveScan, scan_range

_NAMES = ("x", "dt", "B", "C")


@on_module(Layer)
def selective_scan(call: Call) -> Value:
    values = tuple(call.argument(name, place) for place, name in enumerate(_NAMES))
    if any(isinstance(value, Unknown) for value in values):
        return Unknown()
    sources = tuple(
        codes_of(call, value, f"its {name}") for value, name in zip(values, _NAMES, strict=True)
    )
    dt = call.tensor(sources[1])
    if dt.lo < dt.zero_point:
        reject(
            f"its dt has codes {dt.lo}..{dt.hi} with zero point {dt.zero_point} and may be negative",
            "quantise dt without sign after its softplus: act_quant=Uint8ActPerTensorFloat",
        )
    for name in ("A_log", "D"):
        if not bool(torch.isfinite(getattr(call.single, name)).all()):
            reject(f"its {name} contains NaN or infinity", "train or load the model again")
    value = real_value(call, lambda quantizer: _finish(call, sources, quantizer))
    output = quantizer_of(call, call.module.quant.act_quant)
    return value if output is None else quantize(call, value, output)


def _finish(call: Call, sources: tuple[Codes, ...], quantizer: Quantizer) -> str:
    if not quantizer.only_limits:
        raise call.fault(
            f"{quantizer.function.name} is applied to its sum", "put a QuantIdentity before it"
        )
    tensors = [call.tensor(source) for source in sources]
    s_x, s_dt, s_b, s_c = (Fraction(tensor.scale or 0) for tensor in tensors)
    layer = call.single
    decay = decay_factors(layer.A_log.detach().double().numpy(), s_dt)
    skips = [gain / (s_c * s_dt * s_b) for gain in fractions(layer.D.detach().double().numpy())]
    ratio = s_c * s_dt * s_b * s_x / Fraction(quantizer.scale)
    try:
        held, plan = plan_scan(int(decay.max()), skips, ratio, scan_range(tensors))
    except NumericsError as error:
        raise call.fault(str(error), "check the scales around this layer") from None
    return call.add(
        SelectiveScan,
        tuple(source.tensor for source in sources),
        quantizer,
        decay=frozen_array(decay, np.int64),
        skip=frozen_array(held, np.int64),
        fraction=plan.fraction,
        drop=plan.drop,
        multiplier=plan.multiplier,
        shift=plan.shift,
    )
