"""A case as an ONNX model of one operation: codes in, codes out, in the form that quantising tools write."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

Case = Mapping[str, Any]
Array = npt.NDArray[Any]


class Model:
    """Nodes and constants of one model, and the inputs that a case has for it."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self._nodes: list[Any] = []
        self._constants: list[Any] = []
        self._ports: list[Any] = []
        self.inputs: dict[str, Array] = {}

    def constant(self, array: Array) -> str:
        """The name of a constant."""
        name = f"constant{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(array, name))
        return name

    def node(self, kind: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """The name of a node's output."""
        output = output or f"{kind}{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, [*inputs], [output], **attributes))
        return output

    def source(self, codes: list[int], scale: float, zero: int, is_signed: bool = True) -> str:
        """An input's real values."""
        kind = np.int8 if is_signed else np.uint8
        name = f"x{len(self.inputs)}"
        self.inputs[name] = np.array([codes], kind)
        element = TensorProto.INT8 if is_signed else TensorProto.UINT8
        self._ports.append(helper.make_tensor_value_info(name, element, [1, len(codes)]))
        scale_name = self.constant(np.array(scale, np.float32))
        return self.node("DequantizeLinear", name, scale_name, self.constant(np.array(zero, kind)))

    def done(self, value: str) -> bytes:
        """The model, with its output quantised: tensor `y`."""
        case, is_signed = self._case, self._case["lo"] < 0
        kind = np.int8 if is_signed else np.uint8
        scale = self.constant(np.array(case["output_scale"], np.float32))
        zero = self.constant(np.array(case["output_zero_point"], kind))
        self.node("QuantizeLinear", value, scale, zero, output="y")
        element = TensorProto.INT8 if is_signed else TensorProto.UINT8
        port = helper.make_tensor_value_info("y", element, [1, len(case["expected"])])
        graph = helper.make_graph(
            self._nodes, "case", self._ports, [port], initializer=self._constants
        )
        opset = [helper.make_opsetid("", 17)]
        model = helper.make_model(graph, opset_imports=opset, ir_version=8)
        onnx.checker.check_model(model, full_check=True)
        return bytes(model.SerializeToString())


def _requantise(case: Case, model: Model) -> str:
    signed = case["input_signed"]
    x = model.source(case["input"], case["input_scale"], case["input_zero_point"], signed)
    weight = np.array(case["weight"], np.int8)
    scales = np.array(case["weight_scale"], np.float32)
    scales = scales.reshape(()) if scales.size == 1 else scales
    zeros = np.zeros(scales.shape, np.int8)
    axis = {"axis": 0} if scales.size > 1 else {}
    names = [model.constant(each) for each in (weight, scales, zeros)]
    operands = [x, model.node("DequantizeLinear", *names, **axis)]
    if any(case["bias"]):
        operands.append(_bias(case, model))
    return model.node("Gemm", *operands, transB=1)


def _bias(case: Case, model: Model) -> str:
    """int32 where it lies on the grid of the sum, as integer kernels want it; else real."""
    scales = np.array(case["weight_scale"], np.float32) * np.float32(case["input_scale"])
    grid = np.broadcast_to(scales, len(case["bias"])).astype(np.float64)
    steps = np.array(case["bias"]) / grid
    if not np.array_equal(steps, np.rint(steps)) or np.abs(steps).max() >= 2**31:
        return model.constant(np.array(case["bias"], np.float32))
    operands = (
        np.rint(steps).astype(np.int32),
        grid.astype(np.float32),
        np.zeros(len(grid), np.int32),
    )
    return model.node("DequantizeLinear", *map(model.constant, operands), axis=0)


def _add(case: Case, model: Model) -> str:
    fields = (case["inputs"], case["input_scales"], case["input_zero_points"])
    return model.node("Add", *(model.source(*each) for each in zip(*fields, strict=True)))


def _source(case: Case, model: Model) -> str:
    return model.source(case["input"], case["input_scale"], case.get("input_zero_point", 0))


def _average(case: Case, model: Model) -> str:
    return model.node("ReduceMean", _source(case, model), axes=[1], keepdims=1)


def _softmax(case: Case, model: Model) -> str:
    return model.node("Softmax", _source(case, model), axis=-1)


def _layer_norm(case: Case, model: Model) -> str:
    operands = [model.constant(np.array(case[name], np.float32)) for name in ("gamma", "beta")]
    return model.node(
        "LayerNormalization", _source(case, model), *operands, axis=-1, epsilon=case["epsilon"]
    )


def _table(case: Case, model: Model) -> str:
    x, function = _source(case, model), case["function"]
    if function == "silu":
        return model.node("Mul", x, model.node("Sigmoid", x))
    if function == "gelu":
        inner = model.node("Div", x, model.constant(np.array(2.0**0.5, np.float32)))
        one, half = (model.constant(np.array(each, np.float32)) for each in (1.0, 0.5))
        above = model.node("Add", model.node("Erf", inner), one)
        return model.node("Mul", model.node("Mul", x, above), half)
    kinds = {"sigmoid": "Sigmoid", "tanh": "Tanh", "hardswish": "HardSwish", "relu": "Relu"}
    return model.node(kinds[function], x)


_OPERATIONS: Mapping[str, Callable[[Case, Model], str]] = {
    "requantise": _requantise,
    "add": _add,
    "average": _average,
    "softmax": _softmax,
    "layer_norm": _layer_norm,
    "table": _table,
}


def model_of(operation: str, case: Case) -> tuple[bytes, dict[str, Array]]:
    """A case's model and inputs by name; its output is `y`."""
    model = Model(case)
    return model.done(_OPERATIONS[operation](case, model)), model.inputs
