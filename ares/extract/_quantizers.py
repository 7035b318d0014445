"""Reading Brevitas' activation quantisers: what a proxy does, in numbers, or a clear refusal.

Scales are read from the float64 copy of the model, in which Brevitas evaluates `value / 255` in float64: the
torch witness uses the same numbers (`BREVITAS.md` section 1). Nothing is taken from class names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ares.extract._findings import reject
from ares.ir import DType, Tensor
from ares.numerics import IDENTITY, RELU, Function

CALIBRATE = "calibrate it (brevitas.graph.calibrate.calibration_mode) or train it, then call model.eval()"


@dataclass(frozen=True, slots=True)
class Quantizer:
    """round(function(x) / scale + zero_point), clamped to lo..hi. `origin` is the witness event."""

    scale: float
    zero_point: int
    lo: int
    hi: int
    dtype: DType
    function: Function
    origin: str

    def tensor(self, name: str = "", shape: tuple[int, ...] = (1,)) -> Tensor:
        """A tensor of this quantiser's codes."""
        return Tensor(name, shape, self.dtype, self.scale, self.zero_point, self.lo, self.hi)

    def keeps(self, source: Tensor) -> bool:
        """Whether codes of `source` already are this quantiser's codes, so that nothing has to run."""
        return (self.dtype, self.scale, self.zero_point) == (
            source.dtype,
            source.scale,
            source.zero_point,
        ) and self.lo <= source.lo <= source.hi <= self.hi

    def with_function(self, function: Function) -> Quantizer:
        return Quantizer(
            self.scale, self.zero_point, self.lo, self.hi, self.dtype, function, self.origin
        )


def is_enabled(proxy: nn.Module) -> bool:
    """Whether the proxy quantises at all (`act_quant=None`, or switched off by a tool: no)."""
    return bool(getattr(proxy, "is_quant_enabled", False))


def calibration_state(proxy: nn.Module) -> tuple[bool, bool]:
    """(certainly never calibrated, suspiciously untouched values): see `BREVITAS.md` section 1."""
    scaling: Any = _tensor_quant(proxy).scaling_impl
    if not hasattr(scaling, "counter"):
        return False, False
    value = scaling.value if scaling.counter > scaling.collect_stats_steps else scaling.buffer
    return scaling.counter == 0, float(value.detach().flatten()[0]) in (0.0, 1.0)


def read_quantizer(proxy: nn.Module, path: str, call: int) -> Quantizer:
    """The numbers of an enabled proxy; `path` and `call` name the event. Raises Unmappable."""
    if isinstance(proxy.fused_activation_quant_proxy, torch.jit.ScriptModule):
        reject("its quantiser is compiled (BREVITAS_JIT=1)", "unset BREVITAS_JIT")
    quant = _tensor_quant(proxy)
    scale, zero_point = proxy.scale(), proxy.zero_point()  # type: ignore[operator]
    bits, signed = proxy.bit_width(), bool(proxy.is_signed)  # type: ignore[operator]
    if scale is None or zero_point is None or bits is None:
        reject(f"{path} gives no scale", "use an integer quantiser such as Int8ActPerTensorFloat")
    if scale.numel() != 1 or zero_point.numel() != 1:
        reject(
            f"{path} has {scale.numel()} scales: activations are quantised per tensor",
            "drop scaling_per_output_channel=True",
        )
    if proxy.rounding_mode != "ROUND":
        reject(
            f"{path} rounds with {proxy.rounding_mode}, expected ROUND (half to even)",
            "use float_to_int_impl_type=FloatToIntImplType.ROUND",
        )
    width = float(bits)
    if width != int(width) or not 2 <= width <= 8:
        reject(f"{path} has {width:g} bits, expected 2 to 8", "set bit_width between 2 and 8")
    _refuse_delay(quant, path)
    value, offset = float(scale.detach()), float(zero_point.detach())
    if not value > 0.0 or value == float("inf"):
        reject(f"{path} has scale {value}", CALIBRATE)
    if offset != int(offset):
        reject(f"{path} has zero point {offset}, which is no integer", "use an integer zero point")
    lo, hi = code_range(int(width), signed, bool(proxy.is_narrow_range))
    return Quantizer(
        scale=value,
        zero_point=int(offset),
        lo=lo,
        hi=hi,
        dtype=DType.S8 if signed else DType.U8,
        function=_activation(proxy, path),
        origin=f"quantizer:{path}#{call}",
    )


def code_range(bits: int, signed: bool, narrow: bool) -> tuple[int, int]:
    """Smallest and largest code of an integer quantiser."""
    if signed:
        return -(2 ** (bits - 1)) + int(narrow), 2 ** (bits - 1) - 1
    return 0, 2**bits - 1 - int(narrow)


def _tensor_quant(proxy: Any) -> Any:
    return proxy.fused_activation_quant_proxy.tensor_quant


def _refuse_delay(quant: Any, path: str) -> None:
    """A delayed quantiser lets values through unquantised until it has been trained for some steps."""
    for name, buffer in (*quant.named_buffers(), *quant.named_parameters()):
        if "quant_delay" in name and float(buffer.detach()) > 0:
            reject(f"{path} still delays quantisation", "train past quant_delay_steps or set it to 0")
    delay = getattr(getattr(quant, "int_quant", None), "delay_wrapper", None)
    steps = getattr(getattr(delay, "delay_impl", None), "quant_delay_steps", 0)
    if steps and steps > 0:
        reject(f"{path} delays quantisation by {steps} steps", "set quant_delay_steps=0")


def _activation(proxy: Any, path: str) -> Function:
    implementation = type(proxy.fused_activation_quant_proxy.activation_impl).__name__
    if implementation == "Identity":
        return IDENTITY
    if implementation == "ReLU":
        return RELU
    return reject(
        f"{path} applies {implementation} before it quantises",
        "use QuantReLU or QuantIdentity",
    )
