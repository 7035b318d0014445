"""Functions of one code: the operators of the function that a table holds, or the table itself where none does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ares.interchange.onnx_functions import SAID
from ares.interchange.onnx_writer import OnnxWriter, writes
from ares.ir import Tensor
from ares.numerics import FUNCTIONS, NumericsError, lookup_table
from ares.ops.activation import Activation
from ares.ops.gelu import Gelu
from ares.ops.relu import Relu
from ares.ops.requantize import Requantize
from ares.ops.silu import Silu

Table = npt.NDArray[np.uint8]
Lookup = Activation | Gelu | Relu | Requantize | Silu


@writes(Activation, Gelu, Relu, Requantize, Silu)
def _lookup(writer: OnnxWriter, layer: Lookup, inputs: Sequence[Tensor], output: Tensor) -> None:
    function = _function_of(layer.table, inputs[0], output)
    if function is not None:
        writer.codes(SAID[function](writer, writer.real(inputs[0])), output)
    else:
        _code_by_code(writer, layer.table, inputs[0], output, output.name)


def looked_up(writer: OnnxWriter, table: Table, source: Tensor, output: Tensor) -> str:
    """What a table of codes makes of a tensor, in reals: those of the function, or those of its codes."""
    function = _function_of(table, source, output)
    if function is not None:
        return SAID[function](writer, writer.real(source))
    return writer.real(replace(output, name=_code_by_code(writer, table, source, output)))


def _code_by_code(
    writer: OnnxWriter, table: Table, source: Tensor, target: Tensor, output: str = ""
) -> str:
    """All other functions as what they are here: the code at the place of the code."""
    first = writer.node("Cast", [source.name], to=6)
    place = writer.node("Sub", [first, writer.constant(np.array(source.dtype.lo, np.int32))])
    codes = table.view(target.dtype.numpy)
    in_order = codes[np.arange(source.dtype.lo, source.dtype.hi + 1) & 0xFF]
    return writer.node("Gather", [writer.constant(in_order), place], output=output)


def _function_of(table: Table, source: Tensor, target: Tensor) -> str | None:
    """The name of a function that ONNX has, and whose table it is."""
    return next((name for name in SAID if _holds(table, name, source, target)), None)


def _holds(table: Table, name: str, source: Tensor, target: Tensor) -> bool:
    """Whether the table is that of a function, for the codes that come in."""
    try:
        meant = lookup_table(FUNCTIONS[name], source, target)
    except NumericsError:
        return False
    places = np.arange(source.lo, source.hi + 1) & 0xFF
    return np.array_equal(meant[places], table[places])
