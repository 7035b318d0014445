"""The quantiser of a real input, with the arithmetic before it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ares.interchange.onnx_writer import OnnxWriter, writes
from ares.ir import Tensor
from ares.numerics import FloatStepKind
from ares.numerics.quantize import Float32Array
from ares.ops.quantize import Quantize

_KINDS = {
    FloatStepKind.ADD: "Add",
    FloatStepKind.SUB: "Sub",
    FloatStepKind.RSUB: "Sub",
    FloatStepKind.MUL: "Mul",
    FloatStepKind.DIV: "Div",
}


@writes(Quantize)
def _quantize(
    writer: OnnxWriter, layer: Quantize, inputs: Sequence[Tensor], output: Tensor
) -> None:
    value = inputs[0].name
    for step in layer.steps:
        kind, (source,) = FloatStepKind(step.kind), inputs
        repeated = step.constants(source.size).reshape(source.shape)
        constant = writer.constant(_unrepeated(repeated))
        if kind is FloatStepKind.SIGN:
            zero = writer.constant(np.array(0, np.float32))
            is_positive = writer.node("GreaterOrEqual", [value, zero])
            value = writer.node("Where", [is_positive, constant, writer.node("Neg", [constant])])
        else:
            operands = [constant, value] if kind is FloatStepKind.RSUB else [value, constant]
            value = writer.node(_KINDS[kind], operands)
    writer.codes(value, output)


def _unrepeated(array: Float32Array) -> Float32Array:
    """With one place along every axis on which nothing changes."""
    for axis in range(array.ndim):
        first = array.take([0], axis=axis)
        if (array == first).all():
            array = first
    return np.ascontiguousarray(array)
