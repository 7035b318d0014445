"""A Graph as ONNX: each layer in reals, from the DequantizeLinear of its inputs to the QuantizeLinear of its output.

Names are ours: a tensor of codes is called as in the Graph, a node begins with its layer's name, and the file's
metadata say which tensors belong to which layer. A Graph with codes as inputs or outputs gives a file with codes there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from ares.interchange.meaning import NOTHING, Departure, UnsaidError, nearest, relative, scale_of
from ares.ir import DType, Graph, Operation, Tensor

OPSET, IR_VERSION = 17, 8
_ELEMENTS = {
    DType.S8: TensorProto.INT8,
    DType.U8: TensorProto.UINT8,
    DType.S32: TensorProto.INT32,
    DType.F32: TensorProto.FLOAT,
}
_WORDLESS = {
    "rfft": "lengths and angles of a spectrum, quantised by thresholds of their own",
    "selective_scan": "a recurrence over the steps of a sequence, with exact state",
}
_LAYERS = "ares.interchange.onnx_layers"


@dataclass(frozen=True, slots=True)
class OnnxModel:
    """A file's bytes, and where it means something else than the Graph.

    `odd`: layers whose zero point is odd. ONNX adds it after rounding, so that their exact ties go to the other code.
    """

    data: bytes
    departures: tuple[Departure, ...]
    odd: tuple[str, ...] = ()


class OnnxWriter:
    """Nodes and constants, as far as they have been written. What writes a layer names none of them."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._layer = ""
        self._count = 0
        self._reals: dict[str, str] = {}
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._taken = {tensor.name for tensor in graph.tensors}
        self._departures: dict[tuple[str, str], Fraction] = {}
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
        self.odd: list[str] = []

    def begin(self, operation: Operation) -> None:
        """What follows belongs to this layer."""
        self._layer, self._count = operation.name, 0

    def node(self, kind: str, inputs: Sequence[str], /, output: str = "", **attributes: Any) -> str:
        """Append a node; the name of its output."""
        name = f"{self._layer}/{kind}{self._count or ''}"
        self._count += 1
        output = output or self._fresh(name)
        self.nodes.append(helper.make_node(kind, list(inputs), [output], name=name, **attributes))
        return output

    def constant(self, array: npt.NDArray[Any]) -> str:
        """The name of a constant, the same one for the same content."""
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            self._constants[key] = self._fresh(f"constant{len(self._constants)}")
            self.initializers.append(numpy_helper.from_array(array, self._constants[key]))
        return self._constants[key]

    def numbers(self, *values: int) -> str:
        """int64, as shapes and axes are."""
        return self.constant(np.array(values, np.int64))

    def real(self, tensor: Tensor) -> str:
        """The real values of a tensor: dequantised where it holds codes."""
        if tensor.scale is None:
            return tensor.name
        if tensor.name not in self._reals:
            made = self._fresh(f"{tensor.name}/real")
            self.node("DequantizeLinear", [tensor.name, *self._grid(tensor)], output=made)
            self._reals[tensor.name] = made
        return self._reals[tensor.name]

    def codes(
        self,
        value: str,
        target: Tensor,
        lo: int | None = None,
        hi: int | None = None,
        *,
        is_moved: bool = False,
    ) -> None:
        """Quantise a real value: the output of a layer whose codes are lo..hi. `is_moved`: it lies on their grid."""
        if target.zero_point % 2 and not is_moved:
            self.odd.append(self._layer)
        lo, hi = target.lo if lo is None else lo, target.hi if hi is None else hi
        if lo == target.zero_point > target.lo:
            value, lo = self.node("Relu", [value]), target.dtype.lo
        is_narrow = (lo, hi) != (target.dtype.lo, target.dtype.hi)
        made = self._fresh(f"{target.name}/unclipped") if is_narrow else target.name
        self.node("QuantizeLinear", [value, *self._grid(target)], output=made)
        if is_narrow:
            ends = [self.constant(np.array(end, target.dtype.numpy)) for end in (lo, hi)]
            self.node("Clip", [made, *ends], output=target.name)

    def _grid(self, tensor: Tensor) -> tuple[str, str]:
        """Scale and zero point of a tensor of codes, as constants."""
        if tensor.dtype not in (DType.S8, DType.U8):
            raise UnsaidError(f"tensor {tensor.name}: {tensor.dtype.value} codes")
        meant = scale_of(tensor)
        scale = nearest(meant)
        self.depart("the scale of its codes in binary32", relative(Fraction(float(scale)), meant))
        zero = np.array(tensor.zero_point, tensor.dtype.numpy)
        return self.constant(np.array(scale)), self.constant(zero)

    def depart(self, what: str, codes: Fraction) -> None:
        """Say where the layer means something else, if it is more than nothing."""
        if codes > max(NOTHING, self._departures.get((self._layer, what), Fraction(0))):
            self._departures[self._layer, what] = codes

    @property
    def departures(self) -> tuple[Departure, ...]:
        """The largest of each kind in each layer."""
        return tuple(Departure(*key, float(codes)) for key, codes in self._departures.items())

    def _fresh(self, name: str) -> str:
        """A name that nothing has: a user's tensor may be called as one of ours."""
        while name in self._taken:
            name += "'"
        self._taken.add(name)
        return name


Writer = Callable[[OnnxWriter, Any, Sequence[Tensor], Tensor], None]
_WRITERS: dict[type[Operation], Writer] = {}


def writes(*operations: type[Operation]) -> Callable[[Writer], Writer]:
    """Registers what writes the layers of some operations: from their records, inputs and output."""

    def register(writer: Writer) -> Writer:
        _WRITERS.update(dict.fromkeys(operations, writer))
        return writer

    return register


def sayable_in_onnx() -> frozenset[type[Operation]]:
    """The operations that ONNX has words for."""
    package = import_module(_LAYERS)
    for module in iter_modules(package.__path__):
        import_module(f"{_LAYERS}.{module.name}")
    return frozenset(_WRITERS)


def write_onnx(graph: Graph) -> OnnxModel:
    """The whole Graph as one file that `onnx.checker` accepts; raises UnsaidError where a layer cannot be said."""
    known = sayable_in_onnx()
    writer = OnnxWriter(graph)
    for operation in graph.operations:
        if type(operation) not in known:
            raise UnsaidError(f"layer {operation.name}: {_why_unsaid(operation)}")
        writer.begin(operation)
        (output,) = graph.tensors_of(operation.outputs)
        _WRITERS[type(operation)](writer, operation, graph.tensors_of(operation.inputs), output)
    made = helper.make_graph(
        writer.nodes,
        graph.name,
        [_port(tensor) for tensor in graph.tensors_of(graph.inputs)],
        [_port(tensor) for tensor in graph.tensors_of(graph.outputs)],
        initializer=writer.initializers,
    )
    model = helper.make_model(
        made,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="ares",
    )
    layers = {operation.name: list(operation.outputs) for operation in graph.operations}
    helper.set_model_props(model, {"ares.layers": json.dumps(layers)})
    onnx.checker.check_model(model, full_check=True)
    return OnnxModel(
        model.SerializeToString(deterministic=True), writer.departures, tuple(writer.odd)
    )


def _why_unsaid(operation: Operation) -> str:
    reason = _WORDLESS.get(operation.stem(), "nobody has written what it means")
    return f"ONNX has no words for {operation.LAYER_TYPE}: {reason}"


def _port(tensor: Tensor) -> Any:
    if tensor.dtype not in _ELEMENTS:
        raise UnsaidError(f"tensor {tensor.name}: {tensor.dtype.value}")
    return helper.make_tensor_value_info(tensor.name, _ELEMENTS[tensor.dtype], tensor.shape)
