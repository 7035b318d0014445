"""Quantised weights as integers: codes and scales of the float32 model, which is what the user trained.

Weights are constants, so nothing is asked about how their codes came to be: what `quant_weight()` returns is what the
layer means. Recomputed in float64 a scale can differ (by a factor of two, where a power of two is chosen by a logarithm
that binary32 rounds to an integer), and so can the code of a weight that lies on an edge.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from brevitas.quant_tensor import IntQuantTensor
from torch import nn

from ares.capture.walks import all_names, first_names
from ares.extract._findings import reject
from ares.extract._quantizers import code_range, is_enabled, require_settled
from ares.ir import frozen_array

# Codes times a binary32 scale, divided by it again, are off by 2**-17 at most.
_OFF_GRID = 2.0**-12
_INTEGER = "use an integer weight quantiser such as Int8WeightPerChannelFloat"
_S8 = np.iinfo(np.int8)


@dataclass(frozen=True, slots=True, eq=False)
class Weights:
    """Codes int8 in the shape of the layer's weight, scales float64 [1 or more], bounds of the codes.

    The real weight is codes * scale: a zero point that the quantiser had is taken off.
    """

    codes: npt.NDArray[Any]
    scale: npt.NDArray[np.float64]
    lo: int
    hi: int


def require_trained(layer: Any, *names: str) -> None:
    """Refuse parameters of these names that are computed anew at every call, and a weight that is no number."""
    for name in names:
        value = getattr(layer, name)
        if value is not None and not isinstance(value, torch.nn.Parameter):
            reject(
                f"its {name} is computed anew at every call (pruning, weight normalisation)",
                f"make that permanent, for example torch.nn.utils.prune.remove(layer, {name!r})",
            )
    if not bool(torch.isfinite(layer.weight).all()):
        reject("its weights contain NaN or infinity", "train or load the model again")


def observe_inputs(model: nn.Module, inputs: Sequence[torch.Tensor]) -> None:
    """Note with the quantisers of A2Q, in a copy of the model, which bit width and sign their layer's input has.

    Their codes depend on both. Runs the copy once more, where it has such quantisers.
    """
    handles = []
    proxy: Any  # torch declares no attributes but tensors and modules; the copy is ours, and so is this one
    for _, proxy in first_names(all_names(model)):
        # Of the class first: what a module has not takes torch long to say.
        asks = hasattr(type(proxy), "requires_quant_input") and proxy.requires_quant_input
        if asks and is_enabled(proxy):
            observed: set[tuple[float, bool]] = set()
            proxy.observed_inputs = observed
            handles.append(proxy.tensor_quant.register_forward_pre_hook(partial(_note, observed)))
    if handles:
        with torch.no_grad():
            model(*inputs)
    for handle in handles:
        handle.remove()


def _note(observed: set[tuple[float, bool]], _module: nn.Module, arguments: Any) -> None:
    _, bits, signed = arguments
    observed.add((float(bits), bool(signed)))


def read_weights(layer: Any, ran: Any = None) -> Weights:
    """The integers of a layer of the float32 model with an enabled weight quantiser; refuses what has none.

    `ran` is the same layer in a copy that ran under `observe_inputs`.
    """
    quant = layer.weight_quant.tensor_quant
    require_settled(quant, "its weight quantiser")
    quantized = _quantized(layer, ran)
    scale = quantized.scale.detach().double()
    bits = float(quantized.bit_width)
    if not bits.is_integer() or not 1 <= bits <= 8:
        reject(f"its weights have {bits:g} bits", "use 1 to 8 bits")
    lo, hi = _range(layer.weight_quant, int(bits))
    if lo == hi:
        reject(
            "its weights have 1 bit of narrow range: only the code 0",
            "use 2 bits, or a binary quantiser such as SignedBinaryWeightPerTensorConst",
        )
    if not bool((torch.isfinite(scale) & (scale != 0.0)).all()):
        reject(
            "its weights have a scale that is zero or no number", "train or load the model again"
        )
    zero_point = quantized.zero_point.detach().double()
    if bool((zero_point != torch.round(zero_point)).any()):
        reject(
            f"its weights have the zero point {float(zero_point.reshape(-1)[0])}, which is no integer: real zero "
            "has no code",
            "set weight_quantize_zero_point=True, or use a symmetric weight quantiser",
        )
    # A negative scale (SIGNED_FP) is a positive one with negative codes.
    exact = quantized.value.detach().double() / scale.abs()
    codes = torch.round(exact)
    if not float((exact - codes).abs().max()) < _OFF_GRID:
        reject("its weights are not multiples of their scale", _INTEGER)
    lo, hi = lo - int(zero_point.max()), hi - int(zero_point.min())
    if bool((scale < 0.0).any()):
        lo, hi = min(lo, -hi), max(hi, -lo)
    smallest, largest = int(codes.min()), int(codes.max())
    if smallest < _S8.min or largest > _S8.max:
        reject(
            f"its weights are {smallest}..{largest} with their zero point taken off, int8 holds "
            f"{_S8.min}..{_S8.max}",
            "use 7 bits (weight_bit_width=7), or a symmetric quantiser such as "
            "Int8WeightPerChannelFloat",
        )
    if smallest < lo or largest > hi:
        reject(f"its weights are {smallest}..{largest}, expected {lo}..{hi}", _INTEGER)
    return Weights(
        frozen_array(codes.numpy(), np.int8),
        scale.abs().numpy().reshape(-1),
        max(lo, _S8.min),
        min(hi, _S8.max),
    )


def _quantized(layer: Any, ran: Any) -> IntQuantTensor:
    """What the layer computes with."""
    arguments: tuple[IntQuantTensor, ...] = ()
    if layer.weight_quant.requires_quant_input:
        arguments = (_input(ran),)
    with torch.no_grad():
        quantized = layer.quant_weight(*arguments)
    if isinstance(quantized, IntQuantTensor):
        return quantized
    if "Groupwise" in type(quantized).__name__:
        reject(
            "its weights have a scale for each group of inputs: a sum over groups has no scale",
            "quantise per tensor or per output channel",
        )
    return reject(
        f"its weights are quantised to floating point ({type(layer.weight_quant.tensor_quant).__name__})",
        _INTEGER,
    )


def _input(ran: Any) -> IntQuantTensor:
    """A stand-in for the layer's input, of which A2Q asks bit width and sign."""
    proxy = getattr(ran, "weight_quant", None)
    seen: set[tuple[float, bool]] = getattr(proxy, "observed_inputs", set())
    if len(seen) != 1:
        reject(
            f"its weights depend on the bit width of its input, which takes {len(seen)} values",
            "give every call an input of the same quantiser, or use Int8WeightPerChannelFloat",
        )
    ((bits, signed),) = seen
    return IntQuantTensor(torch.zeros(()), 1.0, 0.0, bits, signed, False)


def _range(proxy: Any, bits: int) -> tuple[int, int]:
    """Bounds of the quantiser's codes, zero point included."""
    quant = proxy.tensor_quant
    integer = getattr(quant, "int_quant", None) or getattr(quant, "decoupled_int_quant", None)
    if integer is not None:
        return code_range(bits, bool(integer.signed), bool(integer.narrow_range))
    # Binary and ternary quantisers have no range: a sign, or the sign and zero.
    return (-1, 1) if bits == 1 else code_range(bits, proxy.is_signed is not False, False)
