"""Brevitas' quantisers with numbers of a recipe: nothing is calibrated, every scale is given.

Options of a quantiser of activations: "bits", "signed", "narrow", "scale", "zero_point" (0: none), "scaling": "const",
"parameter" or "runtime" (what a calibration leaves), "steps": "" or "binary" or "ternary". Of weights: "weight_bits",
"weight_narrow", "per_channel", "weight_kind": "int", "shifted", "binary", "ternary" or "fixed" (power of two by
statistics), "weight_scaling": "stats" or "const", "unit": the real value of a code.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import brevitas.quant as bq
import torch
from brevitas.proxy.runtime_quant import ActQuantProxyFromInjectorBase
from torch import nn

from ares.capture.walks import all_names, first_names, of_kind
from ares.fuzzer.code_ranges import largest_code
from ares.fuzzer.recipe import Option

_ACTIVATIONS = {True: bq.Int8ActPerTensorFloat, False: bq.Uint8ActPerTensorFloat}
_STEPS = {
    "binary": bq.SignedBinaryActPerTensorConst,
    "ternary": bq.SignedTernaryActPerTensorConst,
}
_WEIGHTS = {
    ("int", True): bq.Int8WeightPerChannelFloat,
    ("int", False): bq.Int8WeightPerTensorFloat,
    ("shifted", True): bq.ShiftedUint8WeightPerChannelFloat,
    ("shifted", False): bq.ShiftedUint8WeightPerTensorFloat,
    ("fixed", False): bq.Int8WeightPerTensorFixedPoint,
    ("binary", False): bq.SignedBinaryWeightPerTensorConst,
    ("ternary", False): bq.SignedTernaryWeightPerTensorConst,
}


def activation_quantizer(options: Mapping[str, Option]) -> Any:
    """The injector class of a quantiser of activations; one with "runtime" scaling has to be settled."""
    number: Mapping[str, Any] = options
    scale = float(number["scale"])
    steps = str(number.get("steps", ""))
    if steps:
        return _STEPS[steps].let(scaling_init=scale)
    bits, signed = int(number.get("bits", 8)), bool(number.get("signed", True))
    narrow, scaling = bool(number.get("narrow", False)), str(number.get("scaling", "const"))
    threshold = scale * largest_code(bits, signed, narrow)
    if number.get("zero_point", 0):
        return bq.ShiftedUint8ActPerTensorFloat.let(bit_width=bits)
    given: dict[str, Any] = {"bit_width": bits, "narrow_range": narrow}
    if scaling != "runtime":
        given |= {"scaling_impl_type": scaling.upper(), "scaling_init": threshold}
    return _ACTIVATIONS[signed].let(**given)


def settle(module: nn.Module, options: Mapping[str, Option]) -> None:
    """Give the one quantiser inside `module` the numbers that a calibration would have left."""
    number: Mapping[str, Any] = options
    zero_point = int(number.get("zero_point", 0))
    if number.get("steps") or not (zero_point or number.get("scaling") == "runtime"):
        return
    (quant,) = _quantizers(module)
    bits = int(number.get("bits", 8))
    signed = bool(number.get("signed", True)) and not zero_point
    narrow = bool(number.get("narrow", False)) and not zero_point
    scale = float(number["scale"])
    scaling = quant.scaling_impl
    with torch.no_grad():
        scaling.buffer.fill_(scale * largest_code(bits, signed, narrow))
        scaling.counter = 1
        if zero_point:
            quant.zero_point_impl.buffer.fill_(zero_point * scale)
            quant.zero_point_impl.counter = 1


def settle_all(module: nn.Module) -> None:
    """Round all thresholds that a run in training mode left to three bits: the same on every machine.

    What is measured differs between machines in its last bits, at most.
    """
    with torch.no_grad():
        for quant in _quantizers(module):
            scaling = quant.scaling_impl
            if hasattr(scaling, "collect_stats_steps"):
                scaling.buffer.copy_(_coarse(float(scaling.buffer)))
                scaling.counter = 1


def _coarse(value: float) -> torch.Tensor:
    # Not at a half: a tie would fall as the last bit does.
    mantissa, exponent = math.frexp(max(value, 2.0**-30))
    return torch.tensor(math.ldexp(math.floor(mantissa * 8.0 + 0.37) / 8.0, exponent))


def _quantizers(module: nn.Module) -> Iterator[Any]:
    for _, proxy in of_kind(first_names(all_names(module)), ActQuantProxyFromInjectorBase):
        if proxy.is_quant_enabled:
            yield proxy.fused_activation_quant_proxy.tensor_quant


def weight_options(options: Mapping[str, Option]) -> dict[str, Any]:
    """Keywords that give one of Brevitas' layers its weight quantiser."""
    number: Mapping[str, Any] = options
    kind = str(number.get("weight_kind", "int"))
    per_channel = bool(number.get("per_channel", False))
    unit = float(number["unit"])
    found: dict[str, Any] = {"weight_quant": _WEIGHTS[kind, per_channel]}
    if kind in ("binary", "ternary"):
        return {**found, "weight_scaling_init": unit}
    found["weight_bit_width"] = int(number.get("weight_bits", 8))
    if kind != "int":
        return found
    narrow = bool(number.get("weight_narrow", True))
    found["weight_narrow_range"] = narrow
    if number.get("weight_scaling", "stats") == "const" and not per_channel:
        most = largest_code(int(number.get("weight_bits", 8)), True, narrow)
        found |= {"weight_scaling_impl_type": "CONST", "weight_scaling_init": unit * most}
    return found
