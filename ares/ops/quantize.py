"""QuantIdentity on real values: the quantiser of a float input of the network (N6).

eps: the kernel computes t = fl(fl(x / s) + z) in binary32, with s the scale rounded to binary32; the
witness computes x / scale + z in float64. Inside the code range |x / s| < 256 and |t| < 256, so that the
rounded scale costs at most 255.5 * 2**-24 < 2**-16 codes, the division half a unit in the last place of a
number below 256, 2**-17, and the sum as much: together less than 2**-15, the witness' own 2**-44 included.
Without a zero point the sum is exact, and s8 codes (|x / s| < 129) stay under 2**-16.

Steps before it add to that what `tolerance` derives: going back from the codes, every step's result lies within a reach
in which it still decides the code, is rounded by 2**-24 of that, and so is its constant, whose real value the witness
has; the steps behind it multiply the error by their factors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ares.ir import CODES, DType, OutputRule, Tensor
from ares.numerics import FloatStep, FloatStepKind, quantize_f32
from ares.ops._operation import (
    Array,
    KernelCall,
    KernelOperation,
    Layout,
    Site,
    Struct,
    keep_layout,
    require,
    row_major,
)


@dataclass(frozen=True, slots=True, eq=False)
class Quantize(KernelOperation):
    """`out = clamp(round(steps(in) / scale + z))` in binary32, each operation rounded once, half to even

    Any shape, binary32 to codes; scale, z and the bounds are the output's. NaN becomes z, infinities clamp. `steps`:
    arithmetic with constants that the model does before (normalising an image), in its order.
    """

    OP_TYPE = "OP_REQUANTIZE"
    LAYER_TYPE = "QuantIdentity"
    PYTHON_CLASS = "brevitas.nn.QuantIdentity"
    EPS = 2.0**-15
    KERNEL = "quantize_f32"

    steps: tuple[FloatStep, ...] = ()

    def infer(self, inputs: Sequence[Tensor]) -> tuple[OutputRule, ...]:
        (source,) = inputs
        require(
            source.dtype is DType.F32,
            f"{self.name}: input {source.name!r} is {source.dtype.value}, expected f32",
        )
        for step in self.steps:
            require(
                type(step.kind) is int
                and step.kind in set(FloatStepKind)
                and bool(np.isfinite(step.values).all())
                and (step.kind != FloatStepKind.DIV or bool(step.values.all()))
                and step.values.ndim == 1
                and step.values.size * step.inner >= 1
                and source.size % (step.values.size * step.inner) == 0,
                f"{self.name}: constants {list(step.values.shape)} of {step.inner} elements each do not fit "
                f"{list(source.shape)}",
            )
        return ((source.shape, CODES),)

    def tolerance(self, tensor: Tensor) -> float:
        """EPS, and the roundings of the steps in codes of `tensor`."""
        assert tensor.scale is not None
        reach = np.full(tensor.size, (tensor.largest_magnitude + 1) * tensor.scale)
        codes_per_unit = np.full(tensor.size, 1.0 / tensor.scale)
        error = np.zeros(tensor.size)
        for step in reversed(self.steps):
            constants = np.abs(step.constants(tensor.size).astype(np.float64))
            if step.kind == FloatStepKind.SIGN:
                # Exact, and only an argument next to zero is in doubt.
                reach = np.zeros(tensor.size)
            elif step.kind in (FloatStepKind.MUL, FloatStepKind.DIV):
                error += 2 * 2.0**-24 * reach * codes_per_unit
                gain = constants if step.kind == FloatStepKind.MUL else 1.0 / constants
                # Behind a factor of zero nothing is left of an error.
                reach = np.divide(reach, gain, out=np.zeros_like(reach), where=gain > 0.0)
                codes_per_unit = codes_per_unit * gain
            else:
                error += 2.0**-24 * (reach + constants) * codes_per_unit
                reach = reach + constants
        return self.EPS + float(error.max())

    def layouts(
        self, site: Site, given: tuple[Layout, ...]
    ) -> tuple[tuple[Layout, ...], tuple[Layout, ...]]:
        # Constants are in PyTorch's order of elements, and so are the network's inputs.
        if self.steps:
            order = row_major(len(site.inputs[0].shape))
            return (order,), (order,)
        return keep_layout(site, given)

    def reference(self, site: Site, arrays: Sequence[Array]) -> tuple[Array, ...]:
        (result,) = site.outputs
        scale = float(self._scale(result))
        x = arrays[0]
        for step in self.steps:
            x = step.apply(x)
        return (quantize_f32(x, scale, result.zero_point, result.lo, result.hi),)

    def lower(self, site: Site) -> KernelCall:
        (result,) = site.outputs
        fields = (
            ("elements", result.size),
            ("scale", self._scale(result)),
            ("zero_point", result.zero_point),
            ("lo", result.lo),
            ("hi", result.hi),
            ("num_steps", len(self.steps)),
            ("steps", tuple(_struct(step) for step in self.steps)),
        )
        return KernelCall(
            "ares_quantize_f32", "quantize_f32.h", Struct("ares_quantize_f32_params", fields)
        )

    def _scale(self, result: Tensor) -> np.float32:
        scale, limits = result.scale or 0.0, np.finfo(np.float32)
        require(
            float(limits.tiny) <= scale <= float(limits.max),
            f"{self.name}: scale {result.scale} is no normal binary32 number",
        )
        return np.float32(scale)


def _struct(step: FloatStep) -> Struct:
    fields = (
        ("kind", step.kind),
        ("count", step.values.size),
        ("inner", step.inner),
        ("values", step.values),
    )
    return Struct("ares_float_step", fields)
