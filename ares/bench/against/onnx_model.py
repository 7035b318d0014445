"""A topology as ONNX: QuantizeLinear and DequantizeLinear around every layer, as ONNX Runtime and OpenVINO want it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from ares.bench.against.topology import Node, Topology, scale_of
from ares.bench.record import BenchError
from ares.ir import Tensor

_OPSET = 17
_IR_VERSION = 8
_TYPES = {"s8": np.int8, "u8": np.uint8}


def onnx_model(topology: Topology) -> bytes:
    """The model: real numbers in, real numbers out, N C H W."""
    writer = _Writer(topology)
    for node in topology.nodes:
        writer.add(node)
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, topology.tensors[name].shape)
        for name in topology.inputs
    ]
    outputs = [
        helper.make_tensor_value_info(
            writer.real(name), TensorProto.FLOAT, topology.tensors[name].shape
        )
        for name in topology.outputs
    ]
    graph = helper.make_graph(
        writer.nodes, "network", inputs, outputs, initializer=writer.constants
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION
    )
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


class _Writer:
    """Nodes and constants, as far as they have been written."""

    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        self._reals: dict[str, str] = {}
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def add(self, node: Node) -> None:
        """The operator between the values that it reads and the quantiser that follows."""
        if node.kind == "quantize":
            self._quantise(node.inputs[0], node.output)
            return
        inputs = [self.real(name) for name in node.inputs]
        made = f"{node.output}:made"
        getattr(self, f"_{node.kind}")(node, inputs, made)
        if node.relu:
            self._node("Relu", [made], f"{made}:relu")
            made = f"{made}:relu"
        self._quantise(made, node.output)

    def real(self, name: str) -> str:
        """The real numbers that codes stand for."""
        if name not in self._reals:
            self._reals[name] = f"{name}:real"
            scale, zero = self._scale(name)
            self._node("DequantizeLinear", [name, scale, zero], self._reals[name])
        return self._reals[name]

    def _quantise(self, source: str, name: str) -> None:
        scale, zero = self._scale(name)
        self._node("QuantizeLinear", [source, scale, zero], name)

    def _scale(self, name: str) -> tuple[str, str]:
        tensor: Tensor = self._topology.tensors[name]
        if tensor.dtype.value not in _TYPES:
            raise BenchError(f"{self._topology.name}: tensor {name} is {tensor.dtype.value}")
        zero = np.array(tensor.zero_point, _TYPES[tensor.dtype.value])
        return (
            self._constant(f"{name}:scale", np.array(tensor.scale, np.float32)),
            self._constant(f"{name}:zero", zero),
        )

    def _constant(self, name: str, array: npt.NDArray[Any]) -> str:
        if all(known.name != name for known in self.constants):
            self.constants.append(numpy_helper.from_array(array, name))
        return name

    def _node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> None:
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))

    def _with_weights(self, node: Node, inputs: list[str]) -> list[str]:
        """The operands of a layer with weights: int8 a channel, and an int32 bias, dequantised."""
        assert node.weight is not None
        assert node.weight_scale is not None
        assert node.bias is not None
        source = scale_of(self._topology.tensors[node.inputs[0]])
        scales = {"weight": node.weight_scale, "bias": node.weight_scale * np.float32(source)}
        names = []
        for what, codes in (("weight", node.weight), ("bias", node.bias)):
            name = f"{node.layer}:{what}"
            operands = [
                self._constant(f"{name}:codes", codes),
                self._constant(f"{name}:scale", scales[what].astype(np.float32)),
                self._constant(f"{name}:zero", np.zeros(len(codes), codes.dtype)),
            ]
            self._node("DequantizeLinear", operands, name, axis=0)
            names.append(name)
        return [*inputs, *names]

    def _conv(self, node: Node, inputs: list[str], made: str) -> None:
        self._node(
            "Conv",
            self._with_weights(node, inputs),
            made,
            kernel_shape=node.kernel,
            strides=node.stride,
            pads=node.padding,
            dilations=node.dilation,
            group=node.groups,
        )

    def _linear(self, node: Node, inputs: list[str], made: str) -> None:
        if len(self._topology.tensors[node.output].shape) != 2:
            raise BenchError(f"{self._topology.name}: layer {node.layer}: a linear layer of tokens")
        self._node("Gemm", self._with_weights(node, inputs), made, transB=1)

    def _add(self, node: Node, inputs: list[str], made: str) -> None:
        self._node("Add", inputs, made)

    def _max_pool(self, node: Node, inputs: list[str], made: str) -> None:
        self._node(
            *("MaxPool", inputs, made),
            kernel_shape=node.kernel,
            strides=node.stride,
            pads=node.padding,
        )

    def _avg_pool(self, node: Node, inputs: list[str], made: str) -> None:
        self._node(
            *("AveragePool", inputs, made),
            kernel_shape=node.kernel,
            strides=node.stride,
            pads=node.padding,
            count_include_pad=1,
        )

    def _global_avg_pool(self, node: Node, inputs: list[str], made: str) -> None:
        self._node("GlobalAveragePool", inputs, made)

    def _pad(self, node: Node, inputs: list[str], made: str) -> None:
        top, left, bottom, right = node.padding
        sizes = np.array([0, 0, top, left, 0, 0, bottom, right], np.int64)
        self._node("Pad", [*inputs, self._constant(f"{node.layer}:pads", sizes)], made)

    def _reshape(self, node: Node, inputs: list[str], made: str) -> None:
        shape = np.array(self._topology.tensors[node.output].shape, np.int64)
        self._node("Reshape", [*inputs, self._constant(f"{node.layer}:shape", shape)], made)

    def _requantize(self, node: Node, inputs: list[str], made: str) -> None:
        self._node("Identity", inputs, made)

    def _relu(self, node: Node, inputs: list[str], made: str) -> None:
        self._node("Relu", inputs, made)
