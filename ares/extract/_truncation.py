"""Brevitas' truncation quantisers, which cut bits off the integers of a QuantTensor: their numbers, or a refusal.

What they do depends on the bit width, sign and zero point that Brevitas says its tensor has, so they are taken from
the very tensors that they were given when the model ran: `observe_truncations`. Read in Brevitas 0.12.0 and 0.13.4,
where all of it is the same.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from brevitas.quant_tensor import IntQuantTensor
from torch import nn

from ares.capture.compiled import uncompiled
from ares.capture.walks import all_names, child, first_names
from ares.extract._call import Call
from ares.extract._findings import Finding, Status, reject
from ares.extract._quantizers import code_range, is_enabled, require_settled
from ares.extract._scales import CALIBRATE, ONE_SCALE
from ares.ir import DType, GraphError, Tensor
from ares.numerics import Rescale, plan_truncation

# Above it binary32 may give the sum of a window another number of bits than float64.
_LARGEST_WINDOW = 2**16
_ROUNDINGS: Mapping[str, str] = {
    "FloorSte": "down",
    "CeilSte": "up",
    "RoundSte": "half to even",
    "RoundToZeroSte": "towards zero",
    "DPURoundSte": "half to even, negative ties up",
}
_LEARNED = ("ParameterFromRuntimeStatsScaling", "ParameterScaling", "ConstScaling")


@dataclass(frozen=True, slots=True)
class Truncation:
    """code = clamp(whole((acc + zero_point) / 2**shift)) of the sums `acc` of a tensor; `target` has their numbers."""

    rounding: str
    shift: int
    zero_point: int
    target: Tensor

    def rescale(self, bound: int) -> Rescale:
        """Constants for |acc| <= `bound`."""
        return plan_truncation(
            self.rounding, self.shift, self.zero_point, self.target.lo, self.target.hi, bound
        )


def observe_truncations(model: nn.Module, inputs: Sequence[torch.Tensor]) -> None:
    """Note at every layer with a truncation quantiser, in a copy of the model, what each of its calls truncates.

    Runs the copy once more, where it has such layers.
    """
    handles = []
    running: dict[int, list[Any]] = {}
    module: Any  # torch declares no attributes but tensors and modules; the copy is ours, and so is this one
    for _, module in first_names(all_names(model)):
        proxy = child(module, "trunc_quant")
        if proxy is None or not is_enabled(proxy):
            continue
        observed: list[Any] = []
        module.observed_truncations = observed
        handles.append(module.register_forward_pre_hook(partial(_enter, running, observed)))
        handles.append(proxy.register_forward_pre_hook(partial(_note, running)))
    if handles:
        with torch.no_grad(), uncompiled():
            model(*inputs)
    for handle in handles:
        handle.remove()


def _enter(running: dict[int, list[Any]], observed: list[Any], module: Any, _given: Any) -> None:
    observed.append(None)
    running[id(module.trunc_quant)] = observed


def _note(running: dict[int, list[Any]], proxy: nn.Module, given: tuple[Any, ...]) -> None:
    running[id(proxy)][-1] = given[0]


def truncated(call: Call) -> IntQuantTensor | None:
    """The tensor that this call truncates; None where it was given none that Brevitas knows the codes of.

    Of a plain tensor TruncAvgPool2d and TruncAdaptiveAvgPool2d are the average alone.
    """
    observed = getattr(call.module, "observed_truncations", [])
    number = int(call.node.key.rpartition("#")[2])
    found = observed[number] if number < len(observed) else None
    if found is not None and not isinstance(found, IntQuantTensor):
        reject(f"it truncates a {type(found).__name__}", "give it the result of a QuantIdentity")
    return found


def read_truncation(call: Call, given: IntQuantTensor, source: Tensor, count: int) -> Truncation:
    """What the call's quantiser makes of `given`, sums of `count` codes each of `source`. Raises Unmappable."""
    what = "its truncation quantiser"
    quant, single = call.module.trunc_quant.tensor_quant, call.single.trunc_quant.tensor_quant
    require_settled(single, what)
    _require_calibrated(call, single, what)
    if type(quant).__name__ != "TruncIntQuant":
        reject(f"{what} is a {type(quant).__name__}", "use TruncTo8bit or RoundTo8bit")
    name = type(quant.float_to_int_impl).__name__
    if name not in _ROUNDINGS:
        reject(f"{what} rounds with {name}", "use float_to_int_impl_type='floor' or 'round'")
    if count > _LARGEST_WINDOW:
        reject(
            f"it is an average of {count} codes, expected at most {_LARGEST_WINDOW}",
            "use AvgPool2d and a QuantIdentity",
        )
    scale, start, bits = (
        _number(what, part) for part in (given.scale, given.zero_point, given.bit_width)
    )
    signed, unit = bool(given.signed), source.scale
    if unit is None or scale != unit / count or start != source.zero_point:
        raise GraphError(
            f"Brevitas takes its input for codes of scale {scale * count:g} and zero point {start:g}, they have "
            f"{unit} and {source.zero_point}"
        )
    with torch.no_grad():
        out, exact = _numbers(quant, scale, start, bits, signed, torch.float64)
        _, in_float32 = _numbers(single, scale, start, bits, signed, torch.float32)
    if exact != in_float32 or not math.log2(exact).is_integer():
        reject(
            f"{what} divides by {exact:g} in float64 and {in_float32:g} in float32, expected one power of two",
            "use TruncTo8bit or RoundTo8bit",
        )
    out_scale, out_start, out_bits = out
    if not out_bits.is_integer() or not 1 <= out_bits <= 8:
        reject(f"{what} has {out_bits:g} bits, expected 1 to 8", "set bit_width between 1 and 8")
    lo, hi = code_range(int(out_bits), signed, bool(quant.narrow_range))
    if not out_start.is_integer() or not lo <= out_start <= hi:
        reject(
            f"{what} leaves the zero point {out_start:g}, expected an integer of {lo}..{hi}: real zero has no code",
            "quantise its input without a zero point, or use AvgPool2d and a QuantIdentity",
        )
    target = Tensor("", (1,), DType.S8 if signed else DType.U8, out_scale, int(out_start), lo, hi)
    return Truncation(_ROUNDINGS[name], int(math.log2(exact)), int(start), target)


def _require_calibrated(call: Call, quant: Any, what: str) -> None:
    """What `TruncScalingWrapper` learns; `TruncMsbScaling` learns nothing."""
    learned = getattr(getattr(quant, "trunc_scaling_impl", None), "scaling_impl", None)
    if getattr(learned, "counter", 1) != 0:
        return
    reason = f"{what} was never calibrated"
    if not call.context.allow_uncalibrated:
        reject(reason, CALIBRATE)
    warning = Finding(call.name, call.layer_type, Status.WARNING, reason, CALIBRATE)
    call.context.warnings.append(warning)


def _numbers(
    quant: Any, scale: float, start: float, bits: float, signed: bool, dtype: torch.dtype
) -> tuple[tuple[float, float, float], float]:
    """((scale, zero point, bits) of what comes out, what the integers are divided by), both as the quantiser says."""
    what = "its truncation quantiser"
    scaling = quant.trunc_scaling_impl
    if type(scaling).__name__ == "TruncScalingWrapper":
        learned = scaling.scaling_impl
        if type(learned).__name__ not in _LEARNED:
            reject(f"{what} learns its scale by a {type(learned).__name__}", "use TruncTo8bit")
    elif type(scaling).__name__ != "TruncMsbScaling":
        reject(f"{what} scales by a {type(scaling).__name__}", "use TruncTo8bit or RoundTo8bit")
    zero, *numbers = (torch.tensor(value, dtype=dtype) for value in (0.0, scale, start, bits))
    _, *out = quant(zero, *numbers, torch.tensor(signed))
    divisor = scaling(zero, numbers[-1], out[-1], torch.tensor(signed))
    out_scale, out_start, out_bits = (float(number) for number in out)
    return (out_scale, out_start, out_bits), float(divisor)


def _number(what: str, numbers: Any) -> float:
    """The one value of a scale, zero point or bit width."""
    values = torch.as_tensor(numbers, dtype=torch.float64).detach().reshape(-1)
    if bool((values != values[0]).any()):
        reject(f"{what} is given {values.numel()} scales, one for each channel", ONE_SCALE)
    return float(values[0])
