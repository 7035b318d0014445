"""The network's binary32 input, which waits for the first quantiser; arithmetic with constants joins that."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ares.extract._builder import Builder
from ares.extract._findings import reject
from ares.extract._quantizers import Quantizer
from ares.extract._values import Real, Step
from ares.ir import frozen_array
from ares.ir.names import carried
from ares.numerics import IDENTITY, SIGN, FloatStep, FloatStepKind
from ares.ops.quantize import Quantize

_LARGEST_ERROR = 2.0**-8


def input_value(builder: Builder, name: str, steps: tuple[FloatStep, ...] = ()) -> Real:
    """The value of input `name` behind `steps`: codes as soon as a quantiser receives it."""
    shape = builder.tensors[name].shape

    def finish(quantizer: Quantizer) -> str:
        if quantizer.function.name == SIGN:
            size = frozen_array([quantizer.scale], np.float32)
            last = FloatStep(int(FloatStepKind.SIGN), size, builder.tensors[name].size)
            return quantized(quantizer.with_function(IDENTITY), (*steps, last))
        return quantized(quantizer, steps)

    def quantized(quantizer: Quantizer, steps: tuple[FloatStep, ...]) -> str:
        if not quantizer.only_limits:
            reject(
                f"{quantizer.function.name} is applied to the network's float input",
                "insert a QuantIdentity before it",
            )
        layer = carried(quantizer.origin.removeprefix("quantizer:").rpartition("#")[0])
        wanted = layer.removesuffix(".act_quant")
        error = Quantize(wanted, (name,), (wanted,), steps).tolerance(quantizer.tensor("", shape))
        if not error < _LARGEST_ERROR:
            reject(
                f"its arithmetic on the network's input would be off by {error:.2g} codes in binary32",
                "do it before the network, in float64, or with smaller numbers",
            )
        return builder.add(Quantize, wanted, (name,), quantizer, steps=steps)

    def arithmetic(step: Step) -> Real:
        values, inner = _shortest(step.values)
        more = FloatStep(
            int(FloatStepKind[step.kind.upper()]), frozen_array(values, np.float32), inner
        )
        return input_value(builder, name, (*steps, more))

    what = f"the network's input {name!r}"
    return Real(what, name, shape, finish, arithmetic=arithmetic)


def _shortest(values: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float32], int]:
    """(values, inner) of a constant for every element: one for all, one along an axis, else all of them."""
    single = values.astype(np.float32)
    if (single == single.flat[0]).all():
        return single.reshape(-1)[:1], single.size
    for axis, size in enumerate(single.shape):
        rows = np.moveaxis(single, axis, 0).reshape(size, -1)
        if (rows == rows[:, :1]).all():
            return rows[:, 0], int(np.prod(single.shape[axis + 1 :]))
    return single.reshape(-1), 1
