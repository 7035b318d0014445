"""Reading Brevitas' activation quantisers: what a proxy does, in numbers, or a clear refusal.

Scales are read from the float64 copy of the model, in which Brevitas evaluates `value / 255` in float64: the
torch witness uses the same numbers (`BREVITAS.md` section 1). Nothing is taken from class names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from brevitas.proxy.quant_proxy import QuantProxyFromInjector
from torch import nn

from ares.extract._findings import reject
from ares.extract._functions import function_of
from ares.ir import DType, Tensor
from ares.numerics import IDENTITY, PLAIN, Function, Pointwise, code_limits

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
        ("BitWidthConst", "BitWidthStatefulConst"),
        "use bit_width_impl_type=BitWidthImplType.CONST",
    ),
}

CALIBRATE = (
    "calibrate it (brevitas.graph.calibrate.calibration_mode) or train it, then call model.eval()"
)


@dataclass(frozen=True, slots=True)
class Quantizer:
    """round(function(x) / scale + zero_point), clamped to lo..hi. `origin` is the witness event.

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

    def with_function(self, function: Function) -> Quantizer:
        return replace(self, function=function)

    def behind(self, pointwise: Pointwise, axis: int | None) -> Quantizer:
        """As an operation gets it that `pointwise` follows."""
        whole = pointwise.then((self.function,))
        return replace(self, function=whole.function or IDENTITY, pointwise=whole, axis=axis)


def is_enabled(proxy: Any) -> bool:
    """Whether the proxy quantises (`act_quant=None`: no)."""
    return bool(getattr(proxy, "is_quant_enabled", False))


def is_switched_off(module: nn.Module) -> bool:
    """Whether it is the proxy of a quantiser that a tool left switched off."""
    if not isinstance(module, QuantProxyFromInjector) or not module.disable_quant:
        return False
    # Proxies of activations keep a flag, those of weights and biases the quantiser itself.
    return bool(getattr(module, "_is_quant_enabled", module.tensor_quant is not None))


def require_plain(quant: Any, what: str, classes: tuple[str, ...] = (PLAIN_QUANTIZER,)) -> Any:
    """The `IntQuant` inside a quantiser that only scales, rounds half to even and clamps; refuses others.

    `quant` belongs to the float32 model, which never ran: a delay counts its calls.
    """
    if isinstance(quant, torch.jit.ScriptModule):
        reject(f"{what} is compiled (BREVITAS_JIT=1)", "unset BREVITAS_JIT")
    integer: Any = getattr(quant, "int_quant", None)
    if type(quant).__name__ not in classes or type(integer).__name__ != "IntQuant":
        reject(
            f"{what} is a {type(quant).__name__}, expected Brevitas' plain integer quantiser",
            "use one such as Int8ActPerTensorFloat or Int8WeightPerChannelFloat",
        )
    rounding = type(integer.float_to_int_impl).__name__
    if rounding != "RoundSte":
        reject(
            f"{what} rounds with {rounding}, expected RoundSte (half to even)",
            "use float_to_int_impl_type=FloatToIntImplType.ROUND",
        )
    if type(integer.input_view_impl).__name__ != "Identity":
        reject(f"{what} quantises in groups", "quantise per tensor or per output channel")
    steps = getattr(integer.delay_wrapper.delay_impl, "quant_delay_steps", 0)
    if steps > 0:
        reject(f"{what} delays quantisation by {steps} steps", "set quant_delay_steps=0")
    if getattr(quant, "observer_only", False):
        reject(f"{what} only observes", "set observer_only=False")
    return integer


def calibration_state(proxy: nn.Module) -> tuple[bool, bool]:
    """(certainly never calibrated, suspiciously untouched values): see `BREVITAS.md` section 1."""
    scaling: Any = _tensor_quant(proxy).scaling_impl
    if not hasattr(scaling, "counter"):
        return False, False
    value = scaling.value if scaling.counter > scaling.collect_stats_steps else scaling.buffer
    return scaling.counter == 0, float(value.detach().flatten()[0]) in (0.0, 1.0)


def read_quantizer(proxy: Any, single: Any, path: str, call: int) -> Quantizer:
    """The numbers of an enabled proxy; `path` and `call` name the event. Raises Unmappable.

    `single` is the same proxy in the float32 model.
    """
    what = f"its quantiser {path}"
    require_plain(_tensor_quant(single), what)
    quant = _tensor_quant(proxy)
    for part, (known, suggestion) in _CONSTANT_IN_EVALUATION.items():
        kind = type(getattr(quant, part)).__name__
        if kind not in known:
            reject(f"{what} has a {kind}, which is not known to be constant", suggestion)
    with torch.no_grad():
        # Brevitas' own way to ask for the scale, without the proxy's caches.
        _, scale, zero_point, bits = quant(torch.zeros((), dtype=torch.float64))
        _, *trained, _ = _tensor_quant(single)(torch.zeros(()))
    if scale.numel() != 1 or zero_point.numel() != 1:
        reject(
            f"{what} has {scale.numel()} scales: activations are quantised per tensor",
            "drop scaling_per_output_channel=True",
        )
    width = float(bits)
    if not width.is_integer() or not 2 <= width <= 8:
        reject(f"{what} has {width:g} bits, expected 2 to 8", "set bit_width between 2 and 8")
    value, offset = float(scale), float(zero_point)
    if not value > 0.0 or value == float("inf"):
        reject(f"{what} has scale {value}", CALIBRATE)
    if not offset.is_integer():
        reject(f"{what} has zero point {offset}, which is no integer", "use an integer zero point")
    if not agree(value, float(trained[0])) or offset != float(trained[1]):
        reject(
            f"{what} has scale {float(trained[0])} and zero point {float(trained[1]):g} in float32, "
            f"{value} and {offset:g} in float64: a rounding on the way falls differently",
            "save its state and load it: what is stored is the rounded value",
        )
    signed, narrow = bool(quant.int_quant.signed), bool(quant.int_quant.narrow_range)
    lo, hi = code_range(int(width), signed, narrow)
    if not lo <= offset <= hi:
        reject(f"{what} has zero point {offset}, outside its codes {lo}..{hi}", CALIBRATE)
    return Quantizer(
        scale=value,
        zero_point=int(offset),
        lo=lo,
        hi=hi,
        dtype=DType.S8 if signed else DType.U8,
        function=_activation(proxy, what),
        origin=f"quantizer:{path}#{call}",
    )


def agree(double: float, single: float) -> bool:
    """Whether two scales are the same number, but for the roundings of binary32."""
    return abs(single / double - 1.0) < 2.0**-20


def code_range(bits: int, signed: bool, narrow: bool) -> tuple[int, int]:
    """Smallest and largest code of an integer quantiser."""
    if signed:
        return -(2 ** (bits - 1)) + int(narrow), 2 ** (bits - 1) - 1
    return 0, 2**bits - 1 - int(narrow)


def _tensor_quant(proxy: Any) -> Any:
    return proxy.fused_activation_quant_proxy.tensor_quant


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
