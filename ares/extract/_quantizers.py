"""Reading Brevitas' activation quantisers: what a proxy does, in numbers, or a clear refusal.

Scales are read from the float64 copy of the model, in which Brevitas evaluates `value / 255` in float64: the
torch witness divides by the same numbers. Nothing is taken from the layer's class name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from brevitas.proxy.quant_proxy import QuantProxyFromInjector
from brevitas.proxy.runtime_quant import ActQuantProxyFromInjectorBase
from torch import nn

from ares.extract._findings import reject
from ares.extract._functions import function_of
from ares.extract._scales import CALIBRATE as CALIBRATE
from ares.extract._scales import ChannelScales, read_scales
from ares.ir import DType, Tensor
from ares.numerics import IDENTITY, PLAIN, RELU, Function, Pointwise, code_limits, compose, sign

PLAIN_QUANTIZER = "RescalingIntQuant"
# Parts of a quantiser whose result does not depend on what is quantised, in evaluation mode; and what to use.
_CONSTANT_IN_EVALUATION: Mapping[str, tuple[tuple[str, ...], str]] = {
    "scaling_impl": (
        (
            "ParameterFromRuntimeStatsScaling",
            "ParameterScaling",
            "ConstScaling",
            "RuntimeStatsScaling",
        ),
        "use a quantiser with a fixed scale, such as Int8ActPerTensorFloat",
    ),
    "zero_point_impl": (
        ("ZeroZeroPoint", "ParameterFromRuntimeZeroPoint", "ParameterZeroPoint"),
        "use a quantiser with a fixed zero point, such as ShiftedUint8ActPerTensorFloat",
    ),
    "msb_clamp_bit_width_impl": (
        ("BitWidthConst", "BitWidthStatefulConst", "BitWidthParameter"),
        "use bit_width_impl_type=BitWidthImplType.CONST",
    ),
}

# The latter in evaluation mode, where `require_settled` has made sure of it.
_HALF_TO_EVEN = ("RoundSte", "StochasticRoundSte")


@dataclass(frozen=True, slots=True)
class Quantizer:
    """round(function(x) / scale + zero_point), clamped to lo..hi. `origin` is the witness event.

    With `scales`, one for each channel, it is step(function(x) / scales) in place of function(x) / scale: `scale` is 1,
    the codes' own unit.

    As an operation gets it, `pointwise` is all that stands between the operation and the rounding; `function` is its
    function where all channels share one. `axis` is that of the channels, where `pointwise` has constants of their own.
    """

    scale: float
    zero_point: int
    lo: int
    hi: int
    dtype: DType
    function: Function
    origin: str
    pointwise: Pointwise = PLAIN
    axis: int | None = None
    scales: ChannelScales | None = None
    step: Function = IDENTITY

    def tensor(self, name: str = "", shape: tuple[int, ...] = (1,)) -> Tensor:
        """A tensor of this quantiser's codes; after a ReLU none of them means less than zero."""
        lo, hi = self.limits
        # Every tensor can hold zero, whatever its values are.
        lo, hi = min(lo, self.zero_point), max(hi, self.zero_point)
        return Tensor(name, shape, self.dtype, self.scale, self.zero_point, lo, hi)

    @property
    def limits(self) -> tuple[int, int]:
        """The smallest and the largest code that can come out."""
        whole = Tensor("", (1,), self.dtype, self.scale, self.zero_point, self.lo, self.hi)
        return (
            (self.lo, self.hi) if self.function.clips is None else code_limits(self.function, whole)
        )

    @property
    def only_limits(self) -> bool:
        """Whether the function before it does no more than the bounds of `tensor` do."""
        tensor = self.tensor()
        return self.function.clips is not None and self.limits == (tensor.lo, tensor.hi)

    def keeps(self, source: Tensor) -> bool:
        """Whether codes of `source` already are this quantiser's codes, so that nothing has to run."""
        return (self.dtype, self.scale, self.zero_point) == (
            source.dtype,
            source.scale,
            source.zero_point,
        ) and self.lo <= source.lo <= source.hi <= self.hi

    def leaves(self, source: Tensor) -> bool:
        """Whether the function before it changes no code of `source`, which are all of its range."""
        return self.function is IDENTITY or (
            self.function is RELU and source.lo >= source.zero_point
        )

    def with_function(self, function: Function) -> Quantizer:
        return replace(self, function=function)

    def of_codes(self) -> Quantizer:
        """What is left of one with a scale for each channel when all before the rounding was done."""
        return replace(self, function=IDENTITY, scales=None, step=IDENTITY)

    def behind(self, pointwise: Pointwise, axis: int | None) -> Quantizer:
        """As an operation gets it that `pointwise` follows."""
        whole = pointwise.then((self.function,))
        return replace(self, function=whole.function or IDENTITY, pointwise=whole, axis=axis)


def is_enabled(proxy: Any) -> bool:
    """Whether the proxy quantises (`act_quant=None`: no)."""
    return bool(getattr(proxy, "is_quant_enabled", False))


def is_switched_off(proxy: QuantProxyFromInjector) -> bool:
    """Whether it is the proxy of a quantiser that a tool left switched off."""
    if not proxy.disable_quant:
        return False
    # Proxies of activations keep a flag, those of weights and biases the quantiser itself.
    return bool(getattr(proxy, "_is_quant_enabled", proxy.tensor_quant is not None))


def require_settled(quant: Any, what: str) -> None:
    """Refuse a quantiser that does not do in evaluation mode, or not every time, what it is for.

    `quant` belongs to the float32 model, which never ran: a delay counts its calls.
    """
    if isinstance(quant, torch.jit.ScriptModule):
        reject(f"{what} is compiled (BREVITAS_JIT=1)", "unset BREVITAS_JIT")
    if getattr(quant, "observer_only", False):
        reject(
            f"{what} still observes and does not quantise (calibration_mode left observer_only on)",
            "run: for m in model.modules(): m.observer_only = False",
        )
    for module in quant.modules():
        steps = getattr(module, "quant_delay_steps", 0)
        if steps > 0:
            reject(f"{what} delays quantisation by {steps} steps", "set quant_delay_steps=0")
        if not getattr(module, "deterministic_inference", True):
            reject(f"{what} rounds at random", "set deterministic_inference=True")


def require_plain(quant: Any, what: str, classes: tuple[str, ...] = (PLAIN_QUANTIZER,)) -> Any:
    """The `IntQuant` inside a quantiser that only scales, rounds half to even and clamps; refuses others.

    `quant` belongs to the float32 model.
    """
    require_settled(quant, what)
    integer: Any = getattr(quant, "int_quant", None)
    if type(quant).__name__ not in classes or type(integer).__name__ != "IntQuant":
        reject(
            f"{what} is a {type(quant).__name__}, expected Brevitas' plain integer quantiser",
            "use one such as Int8ActPerTensorFloat or Int8WeightPerChannelFloat",
        )
    rounding = type(integer.float_to_int_impl).__name__
    if rounding not in _HALF_TO_EVEN:
        reject(
            f"{what} rounds with {rounding}, expected RoundSte (half to even)",
            "use float_to_int_impl_type=FloatToIntImplType.ROUND",
        )
    if type(integer.input_view_impl).__name__ != "Identity":
        reject(f"{what} quantises in groups", "quantise per tensor or per output channel")
    return integer


def calibration_state(proxy: nn.Module, peers: Iterable[nn.Module] = ()) -> tuple[bool, bool]:
    """(certainly never calibrated, suspiciously untouched threshold).

    An untouched quantiser has counted no batch and has the threshold one; but `calibration_mode` leaves the counter at
    its limit, and a loaded state has none, so that a threshold of one is only suspicious there: both can come without
    data. `peers` are the modules of the model: where one of their quantisers has seen data, this one has too.
    """
    quant = _tensor_quant(proxy)
    if not _collects(quant):
        return False, False
    counter, steps = quant.scaling_impl.counter, quant.scaling_impl.collect_stats_steps
    if counter <= steps:
        return counter == 0, False
    suspicious = _threshold_is_one(quant) and not any(
        _saw_data(peer.fused_activation_quant_proxy.tensor_quant)
        for peer in peers
        if isinstance(peer, ActQuantProxyFromInjectorBase) and is_enabled(peer)
    )
    return False, suspicious


def read_quantizer(proxy: Any, single: Any, path: str, call: int) -> Quantizer:
    """The numbers of an enabled proxy; `path` and `call` name the event. Raises Unmappable.

    `single` is the same proxy in the float32 model.
    """
    what = f"its quantiser {path}"
    quant = _tensor_quant(proxy)
    steps = _STEPS.get(type(quant).__name__)
    if steps is None:
        require_plain(_tensor_quant(single), what)
    else:
        require_settled(_tensor_quant(single), what)
    _require_constant(quant, what)
    with torch.no_grad():
        # Brevitas' own way to ask for the scale, without the proxy's caches.
        numbers = quant(torch.zeros((), dtype=torch.float64))[1:]
        trained = _tensor_quant(single)(torch.zeros(()))[1:]
    signed, lo, hi = _codes(quant, numbers[-1], what)
    scale, zero_point, scales = read_scales(numbers, trained, what)
    if not lo <= zero_point <= hi:
        reject(f"{what} has zero point {zero_point}, outside its codes {lo}..{hi}", CALIBRATE)
    function = _activation(proxy, what)
    step = IDENTITY if steps is None else steps(quant, scale)
    return Quantizer(
        scale=scale,
        zero_point=zero_point,
        lo=lo,
        hi=hi,
        dtype=DType.S8 if signed else DType.U8,
        function=function if scales else compose(function, step),
        origin=f"quantizer:{path}#{call}",
        scales=scales,
        step=step if scales else IDENTITY,
    )


def _require_constant(quant: Any, what: str) -> None:
    """Refuse a quantiser of which scale, zero point or width depends on what is quantised."""
    for part, (known, suggestion) in _CONSTANT_IN_EVALUATION.items():
        implementation = getattr(quant, part, None)
        kind = type(implementation).__name__
        if "Dynamic" in kind:
            reject(f"{what} computes its numbers anew from every input ({kind})", suggestion)
        if implementation is not None and kind not in known:
            reject(f"{what} has a {kind}, which is not known to be constant", suggestion)


def _codes(quant: Any, bit_width: torch.Tensor, what: str) -> tuple[bool, int, int]:
    """Whether a quantiser's codes are signed, and their bounds."""
    if type(quant).__name__ in _STEPS:
        return True, -1, 1
    bits, integer = float(bit_width), quant.int_quant
    if not bits.is_integer() or not 1 <= bits <= 8:
        reject(f"{what} has {bits:g} bits, expected 1 to 8", "set bit_width between 1 and 8")
    lo, hi = code_range(int(bits), bool(integer.signed), bool(integer.narrow_range))
    if lo == hi:
        reject(
            f"{what} has 1 bit of narrow range: only the code 0",
            "use 2 bits, or a binary quantiser such as SignedBinaryActPerTensorConst",
        )
    return bool(integer.signed), lo, hi


def code_range(bits: int, signed: bool, narrow: bool) -> tuple[int, int]:
    """Smallest and largest code of an integer quantiser (binary and ternary ones have none of its flags)."""
    if signed:
        return -(2 ** (bits - 1)) + int(narrow), 2 ** (bits - 1) - 1
    return 0, 2**bits - 1 - int(narrow)


def _tensor_quant(proxy: Any) -> Any:
    return proxy.fused_activation_quant_proxy.tensor_quant


def _collects(quant: Any) -> bool:
    """Whether its threshold comes from statistics that it collects and counts."""
    return hasattr(getattr(quant, "scaling_impl", None), "collect_stats_steps")


def _threshold_is_one(quant: Any) -> bool:
    """Whether its threshold is what all begin with (1, for powers of two 2**0)."""
    with torch.no_grad():
        threshold = quant.scaling_impl(torch.zeros((), dtype=quant.scaling_impl.value.dtype))
    return bool((threshold == 1.0).all())


def _saw_data(quant: Any) -> bool:
    """Whether its threshold was collected from data, beyond doubt."""
    if not _collects(quant) or not quant.scaling_impl.counter:
        return False
    scaling = quant.scaling_impl
    return scaling.counter <= scaling.collect_stats_steps or not _threshold_is_one(quant)


def _sign(_quant: Any, scale: float) -> Function:
    """Of `BinaryQuant`: zero counts as positive."""
    return sign(scale)


def _sign_or_zero(quant: Any, scale: float) -> Function:
    """Of `TernaryQuant`: zero up to the threshold and at it."""
    edge = float(quant.threshold) * scale
    return Function(
        "ternary sign",
        lambda x: np.where(np.abs(x) > edge, np.copysign(scale, x), 0.0),
        jumps=True,
    )


# Quantisers that do not round but step: the function whose values are their codes, times the scale.
_STEPS: Mapping[str, Callable[[Any, float], Function]] = {
    "BinaryQuant": _sign,
    "ClampedBinaryQuant": _sign,
    "TernaryQuant": _sign_or_zero,
}


def _activation(proxy: Any, what: str) -> Function:
    implementation = proxy.fused_activation_quant_proxy.activation_impl
    function = (
        IDENTITY if type(implementation).__name__ == "Identity" else function_of(implementation)
    )
    if function is None:
        reject(
            f"{what} applies {type(implementation).__name__} before it quantises",
            "use QuantReLU or QuantIdentity",
        )
    return function
