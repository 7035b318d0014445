"""A topology as TensorFlow Lite's flatbuffer, all int8, for LiteRT, whose CPU kernels are XNNPACK's.

Channels last. Codes of u8 are moved by 128; a padding that is neither VALID nor SAME becomes a layer of its own.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import flatbuffers
import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as tfl

from ares.bench.against.topology import Node, Padding, Topology, memory_order, scale_of
from ares.bench.record import BenchError
from ares.ir import DType, Tensor

_VERSIONS = {"CONV_2D": 3, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 4, "RESHAPE": 1}
_VERSION = 2
_MOST_DEPRECATED = 127


def litert_model(topology: Topology) -> bytes:
    """The model: real numbers in, real numbers out, N H W C."""
    writer = _Writer(topology)
    for node in topology.nodes:
        writer.add(node)
    return writer.finish()


class _Writer:
    """Tensors, buffers and operators, as far as they have been written."""

    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        self._codes: list[str] = []
        self._places: dict[str, int] = {}
        self._order: dict[str, npt.NDArray[Any]] = {}
        self._model = tfl.ModelT()
        self._model.version = 3
        self._model.buffers = [tfl.BufferT()]
        self._model.operatorCodes = []
        self._graph = tfl.SubGraphT()
        self._graph.tensors, self._graph.operators = [], []
        for name in topology.inputs:
            tensor = topology.tensors[name]
            self._tensor(name, tfl.TensorType.FLOAT32, _last(tensor.shape))

    def add(self, node: Node) -> None:
        """One layer."""
        getattr(self, f"_{node.kind}")(node)

    def finish(self) -> bytes:
        """The file's content."""
        outputs = []
        for name in self._topology.outputs:
            shape = _last(self._topology.tensors[name].shape)
            outputs.append(self._tensor(f"{name}:real", tfl.TensorType.FLOAT32, shape))
            self._operator("DEQUANTIZE", [self._activation(name)], outputs[-1])
        self._graph.inputs = [self._places[name] for name in self._topology.inputs]
        self._graph.outputs = outputs
        self._model.subgraphs = [self._graph]
        builder = flatbuffers.Builder(1024)
        builder.Finish(self._model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    # Tensors.

    def _tensor(
        self,
        name: str,
        kind: int,
        shape: tuple[int, ...],
        data: npt.NDArray[Any] | None = None,
        scale: npt.NDArray[Any] | None = None,
        zero_point: int = 0,
        axis: int = 0,
    ) -> int:
        tensor = tfl.TensorT()
        tensor.name, tensor.type, tensor.shape, tensor.buffer = name, kind, list(shape), 0
        if data is not None:
            buffer = tfl.BufferT()
            buffer.data = np.frombuffer(data.tobytes(), np.uint8)
            tensor.buffer = len(self._model.buffers)
            self._model.buffers.append(buffer)
        if scale is not None:
            quantization = tfl.QuantizationParametersT()
            quantization.scale = [float(each) for each in scale]
            quantization.zeroPoint = [zero_point] * len(scale)
            quantization.quantizedDimension = axis
            tensor.quantization = quantization
        self._graph.tensors.append(tensor)
        self._places[name] = len(self._graph.tensors) - 1
        return self._places[name]

    def _activation(self, name: str, shape: tuple[int, ...] | None = None) -> int:
        """The codes of the topology's tensor, made when first asked for."""
        if name in self._places:
            return self._places[name]
        tensor = self._topology.tensors[name]
        return self._like(name, tensor, _last(tensor.shape) if shape is None else shape)

    def _like(self, name: str, tensor: Tensor, shape: tuple[int, ...]) -> int:
        if tensor.dtype not in (DType.S8, DType.U8):
            raise BenchError(f"{self._topology.name}: tensor {tensor.name} is {tensor.dtype.value}")
        zero = tensor.zero_point - (128 if tensor.dtype is DType.U8 else 0)
        scale = np.array([tensor.scale], np.float32)
        return self._tensor(name, tfl.TensorType.INT8, shape, scale=scale, zero_point=zero)

    def _numbers(self, name: str, values: Any) -> int:
        array = np.array(values, np.int32)
        return self._tensor(name, tfl.TensorType.INT32, array.shape, array)

    def _constants(self, node: Node, weight: npt.NDArray[Any], axis: int) -> list[int]:
        """Weights, already in their order, and biases."""
        assert node.weight_scale is not None
        assert node.bias is not None
        source = scale_of(self._topology.tensors[node.inputs[0]])
        both = node.weight_scale * np.float32(source)
        int8, int32 = tfl.TensorType.INT8, tfl.TensorType.INT32
        name, bias = node.layer, node.bias
        return [
            self._tensor(f"{name}:w", int8, weight.shape, weight, node.weight_scale, axis=axis),
            self._tensor(f"{name}:b", int32, bias.shape, bias, both),
        ]

    # Operators.

    def _operator(self, kind: str, inputs: list[int], output: int, options: Any = None) -> None:
        if kind not in self._codes:
            code, number = tfl.OperatorCodeT(), getattr(tfl.BuiltinOperator, kind)
            code.builtinCode = number
            code.deprecatedBuiltinCode = min(number, _MOST_DEPRECATED)
            code.version = _VERSIONS.get(kind, _VERSION)
            self._codes.append(kind)
            self._model.operatorCodes.append(code)
        operator = tfl.OperatorT()
        operator.opcodeIndex = self._codes.index(kind)
        operator.inputs, operator.outputs = inputs, [output]
        if options is not None:
            operator.builtinOptions = options
            name = type(options).__name__.removesuffix("T")
            operator.builtinOptionsType = getattr(tfl.BuiltinOptions, name)
        self._graph.operators.append(operator)

    def _quantize(self, node: Node) -> None:
        self._operator("QUANTIZE", [self._places[node.inputs[0]]], self._activation(node.output))

    def _conv(self, node: Node) -> None:
        assert node.weight is not None
        source, padding = self._space_around(node)
        channels = self._topology.tensors[node.inputs[0]].shape[1]
        depthwise = node.groups == channels and node.groups > 1
        options = tfl.DepthwiseConv2DOptionsT() if depthwise else tfl.Conv2DOptionsT()
        options.padding = padding
        options.strideH, options.strideW = node.stride
        options.dilationHFactor, options.dilationWFactor = node.dilation
        options.fusedActivationFunction = _activation_of(node)
        if depthwise:
            options.depthMultiplier = node.weight.shape[0] // channels
            weight, axis = node.weight.transpose(1, 2, 3, 0), 3
        else:
            weight, axis = node.weight.transpose(0, 2, 3, 1), 0
        operands = [source, *self._constants(node, np.ascontiguousarray(weight), axis)]
        kind = "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D"
        self._operator(kind, operands, self._activation(node.output), options)

    def _linear(self, node: Node) -> None:
        assert node.weight is not None
        order = self._order.get(node.inputs[0])
        weight = node.weight if order is None else np.ascontiguousarray(node.weight[:, order])
        options = tfl.FullyConnectedOptionsT()
        options.fusedActivationFunction = _activation_of(node)
        operands = [self._activation(node.inputs[0]), *self._constants(node, weight, 0)]
        self._operator("FULLY_CONNECTED", operands, self._activation(node.output), options)

    def _add(self, node: Node) -> None:
        options = tfl.AddOptionsT()
        options.fusedActivationFunction = _activation_of(node)
        operands = [self._activation(name) for name in node.inputs]
        self._operator("ADD", operands, self._activation(node.output), options)

    def _max_pool(self, node: Node) -> None:
        self._slide("MAX_POOL_2D", node, self._activation(node.output))

    def _avg_pool(self, node: Node) -> None:
        """One over all of an image is a mean; another one keeps its scale, which is then changed."""
        tensor = self._topology.tensors[node.inputs[0]]
        if node.kernel == tensor.shape[2:] and not any(node.padding):
            self._global_avg_pool(node)
            return
        if any(node.padding):
            raise BenchError(
                f"{self._topology.name}: layer {node.layer}: zeros around an average cannot be expressed for litert"
            )
        shape = _last(self._topology.tensors[node.output].shape)
        between = self._like(f"{node.output}:pooled", tensor, shape)
        self._slide("AVERAGE_POOL_2D", node, between)
        self._operator("QUANTIZE", [between], self._activation(node.output))

    def _slide(self, kind: str, node: Node, output: int) -> None:
        source, padding = self._space_around(node)
        options = tfl.Pool2DOptionsT()
        options.padding = padding
        options.strideH, options.strideW = node.stride
        options.filterHeight, options.filterWidth = node.kernel
        options.fusedActivationFunction = tfl.ActivationFunctionType.NONE
        self._operator(kind, [source], output, options)

    def _global_avg_pool(self, node: Node) -> None:
        options = tfl.ReducerOptionsT()
        options.keepDims = True
        operands = [
            self._activation(node.inputs[0]),
            self._numbers(f"{node.layer}:axes", [1, 2]),
        ]
        self._operator("MEAN", operands, self._activation(node.output), options)

    def _pad(self, node: Node) -> None:
        self._zeros(node, node.padding, self._activation(node.output))

    def _reshape(self, node: Node) -> None:
        source = self._topology.tensors[node.inputs[0]].shape
        shape = self._topology.tensors[node.output].shape
        if len(shape) == 4 or (len(source) == 4 and len(shape) != 2):
            raise BenchError(
                f"{self._topology.name}: layer {node.layer}: shape {list(shape)} cannot be expressed for litert"
            )
        if len(source) == 4:
            self._order[node.output] = memory_order(source[1:])
        options = tfl.ReshapeOptionsT()
        options.newShape = list(shape)
        operands = [
            self._activation(node.inputs[0]),
            self._numbers(f"{node.layer}:shape", list(shape)),
        ]
        self._operator("RESHAPE", operands, self._activation(node.output), options)

    def _requantize(self, node: Node) -> None:
        self._operator(
            "QUANTIZE", [self._activation(node.inputs[0])], self._activation(node.output)
        )

    def _relu(self, node: Node) -> None:
        """Where the lowest code is zero, just other codes: XNNPACK has a kernel for that, and none for RELU."""
        tensor = self._topology.tensors[node.output]
        kind = "QUANTIZE" if tensor.zero_point == tensor.dtype.lo else "RELU"
        self._operator(kind, [self._activation(node.inputs[0])], self._activation(node.output))

    # Padding.

    def _space_around(self, node: Node) -> tuple[int, int]:
        """The tensor that a sliding window reads, and the padding that is left to say."""
        source = self._topology.tensors[node.inputs[0]]
        if not any(node.padding):
            return self._activation(node.inputs[0]), tfl.Padding.VALID
        if node.padding == _same(node, source.shape):
            return self._activation(node.inputs[0]), tfl.Padding.SAME
        if node.kind != "conv":
            raise BenchError(
                f"{self._topology.name}: layer {node.layer}: its padding cannot be expressed for litert"
            )
        top, left, bottom, right = node.padding
        batch, channels, height, width = source.shape
        larger = replace(
            source, shape=(batch, channels, top + height + bottom, left + width + right)
        )
        output = self._like(f"{node.layer}:padded", larger, _last(larger.shape))
        self._zeros(node, node.padding, output)
        return output, tfl.Padding.VALID

    def _zeros(self, node: Node, padding: Padding, output: int) -> None:
        top, left, bottom, right = padding
        sizes = [[0, 0], [top, bottom], [left, right], [0, 0]]
        operands = [
            self._activation(node.inputs[0]),
            self._numbers(f"{node.layer}:pads", sizes),
        ]
        self._operator("PAD", operands, output, tfl.PadOptionsT())


def _activation_of(node: Node) -> int:
    kinds = tfl.ActivationFunctionType
    return int(kinds.RELU if node.relu else kinds.NONE)


def _same(node: Node, shape: tuple[int, ...]) -> Padding:
    """What TensorFlow's SAME puts around, the larger half behind."""
    total = []
    axes = zip(shape[2:], node.kernel, node.stride, node.dilation, strict=True)
    for size, kernel, stride, dilation in axes:
        span = (kernel - 1) * dilation + 1
        total.append(max(0, (-(-size // stride) - 1) * stride + span - size))
    (down, across) = total
    return down // 2, across // 2, down - down // 2, across - across // 2


def _last(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Channels last where there is an image."""
    return (shape[0], *shape[2:], shape[1]) if len(shape) == 4 else shape
