"""What an operator means, as the ONNX project's own evaluator has it: every operator of the witness, in odd forms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from ares import witness_onnx
from ares.witness_onnx import OnnxMeaningError

Array = npt.NDArray[Any]
OPSET = 17


@dataclass(frozen=True)
class Case:
    """An operator's inputs, all but the first constants, and its attributes. An int in place of an array: its shape."""

    kind: str
    shape: tuple[int, ...]
    others: Sequence[Array] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""

    def __str__(self) -> str:
        return " ".join((self.kind, self.name)).rstrip()


def _reals(*shape: int) -> Array:
    return np.random.Generator(np.random.Philox(sum(shape))).normal(size=shape).astype(np.float32)


def _ints(*values: int) -> Array:
    return np.array(values, np.int64)


IMAGE, SIGNAL = (1, 2, 7, 11), (1, 3, 13)
POOL = {"kernel_shape": [3, 2], "strides": [2, 3], "pads": [1, 0, 2, 1]}
CONV = {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 2, 1], "dilations": [1, 3]}
CASES = (
    *(
        Case(kind, (2, 5), [_reals(2, 5)])
        for kind in ("Add", "Sub", "Mul", "Div", "GreaterOrEqual")
    ),
    *(
        Case(kind, (3, 7))
        for kind in (
            *("Relu", "Sigmoid", "Tanh", "Erf", "Softplus", "Softsign", "Neg", "Identity"),
            *("HardSwish", "HardSigmoid", "Selu", "Elu", "LeakyRelu", "Celu", "Softmax"),
        )
    ),
    *(Case(kind, (3, 7), (), {"alpha": 0.3}, "alpha") for kind in ("Elu", "LeakyRelu", "Celu")),
    Case("Softmax", (2, 3, 5), (), {"axis": 1}, "of an inner axis"),
    Case("MaxPool", IMAGE, (), POOL),
    Case("MaxPool", IMAGE, (), {"kernel_shape": [2, 3], "dilations": [2, 3]}, "dilated"),
    Case("MaxPool", SIGNAL, (), {"kernel_shape": [3], "strides": [3], "ceil_mode": 1}, "ceil"),
    Case("AveragePool", IMAGE, (), POOL, "padding does not count"),
    Case("AveragePool", IMAGE, (), {**POOL, "count_include_pad": 1}, "padding counts"),
    Case("GlobalAveragePool", IMAGE),
    Case("ReduceMean", IMAGE, (), {"axes": [1, 3], "keepdims": 0}),
    Case("ReduceMax", IMAGE, (), {"axes": [2], "keepdims": 1}),
    Case("Conv", IMAGE, [_reals(3, 2, 3, 2), _reals(3)], CONV),
    Case("Conv", (1, 4, 9), [_reals(6, 2, 3)], {"group": 2, "pads": [2, 0]}, "of groups"),
    Case("ConvTranspose", IMAGE, [_reals(2, 3, 3, 2), _reals(3)], {"strides": [2, 3]}),
    Case(
        "ConvTranspose",
        SIGNAL,
        [_reals(3, 2, 4)],
        {"strides": [3], "pads": [1, 2], "output_padding": [1]},
        "padded",
    ),
    Case("Gemm", (3, 5), [_reals(7, 5), _reals(7)], {"transB": 1}),
    Case("Gemm", (5, 3), [_reals(5, 7)], {"transA": 1, "alpha": 0.5}, "turned"),
    Case("MatMul", (2, 3, 5), [_reals(5, 7)]),
    Case("LayerNormalization", (2, 3, 5), [_reals(3, 5), _reals(3, 5)], {"axis": -2}),
    Case("LayerNormalization", (2, 3, 5), [_reals(5)], {"epsilon": 0.1}, "no bias"),
    Case("InstanceNormalization", IMAGE, [_reals(2), _reals(2)], {"epsilon": 0.1}),
    Case("Slice", (3, 11), [_ints(2), _ints(9), _ints(1), _ints(3)]),
    Case("Slice", (3, 11), [_ints(-1), _ints(-12), _ints(1), _ints(-1)], {}, "backwards"),
    Case("Pad", (2, 3), [_ints(1, 0, 0, 2)]),
    Case("Pad", (2, 3), [_ints(0, 1, 2, 0), np.array(-2.0, np.float32)], {}, "with a value"),
    Case("Gather", (3, 5), [_ints(4, 0, 0)], {"axis": 1}),
    Case("Gather", (3, 5), [np.array([[2, 1], [0, 0]])], {"axis": 0}, "by a table"),
    Case("Concat", (2, 3), [_reals(2, 5)], {"axis": 1}),
    Case("Reshape", (2, 6), [_ints(0, 3, -1)]),
    Case("Transpose", (2, 3, 5), (), {"perm": [2, 0, 1]}),
    Case("Clip", (3, 5), [np.array(-0.5, np.float32), np.array(0.25, np.float32)]),
    Case("Cast", (3, 5), (), {"to": TensorProto.INT32}),
    Case("QuantizeLinear", (3, 50), [np.array(0.25, np.float32), np.array(3, np.uint8)]),
    Case(
        "QuantizeLinear",
        (5, 3),
        [np.array([0.01, 1.0, 0.5], np.float32), np.array([0, -9, 8], np.int8)],
        {"axis": 1},
        "a scale a channel",
    ),
)


def _model(case: Case) -> bytes:
    names = ["x", *(f"c{place}" for place in range(len(case.others)))]
    node = helper.make_node(case.kind, names, ["y"], **case.attributes)
    constants = [
        numpy_helper.from_array(array, name)
        for array, name in zip(case.others, names[1:], strict=True)
    ]
    port = helper.make_tensor_value_info("x", TensorProto.FLOAT, case.shape)
    graph = helper.make_graph([node], "g", [port], [onnx.ValueInfoProto(name="y")], constants)
    opset = helper.make_opsetid("", OPSET)
    made: bytes = helper.make_model(graph, opset_imports=[opset]).SerializeToString()
    return made


@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_operator(case: Case) -> None:
    x, data = _reals(*case.shape), _model(case)
    found = witness_onnx.evaluate(data, {"x": x}, {}).values["y"]
    (expected,) = ReferenceEvaluator(onnx.load_from_string(data)).run(None, {"x": x})
    assert found.shape == expected.shape
    if expected.dtype.kind == "f":
        assert np.abs(found - expected).max() <= 2.0**-18 * max(1.0, np.abs(expected).max())
    else:
        assert np.array_equal(found, expected)


@pytest.mark.parametrize("counts", [0, 1])
def test_an_average_whose_last_window_is_cut_off(counts: int) -> None:
    """As PyTorch has it; onnx 1.23's own evaluator has other numbers, even for whole windows."""
    pool = {"kernel_shape": [4], "strides": [3], "pads": [1, 1], "ceil_mode": 1}
    case = Case("AveragePool", (1, 3, 13), (), {**pool, "count_include_pad": counts})
    x = _reals(*case.shape)
    found = witness_onnx.evaluate(_model(case), {"x": x}, {}).values["y"]
    expected = F.avg_pool1d(torch.from_numpy(x).double(), 4, 3, 1, True, bool(counts))
    assert np.abs(found - expected.numpy()).max() < 2.0**-40


def test_dequantised_weights_a_channel() -> None:
    codes = np.array([[1, -2, 3], [4, 5, -128]], np.int8)
    scales = np.array([0.5, 0.25, 2.0], np.float32)
    zeros = np.array([0, 1, -1], np.int8)
    constants = {"w": codes, "s": scales, "z": zeros}
    nodes = [
        helper.make_node("DequantizeLinear", ["w", "s", "z"], ["r"], axis=1),
        helper.make_node("Add", ["x", "r"], ["y"]),
    ]
    port = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3])
    kept = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "g", [port], [onnx.ValueInfoProto(name="y")], kept)
    x = np.zeros((2, 3), np.float32)
    data = helper.make_model(graph).SerializeToString()
    found = witness_onnx.evaluate(data, {"x": x}, {}).values["y"]
    assert found.tolist() == [[0.5, -0.75, 8.0], [2.0, 1.0, -254.0]]


def test_codes_that_are_forced_and_what_stood_before() -> None:
    """A forced tensor's own value is still seen; what follows takes the forced codes."""
    constants = {"s": np.array(0.5, np.float32), "z": np.array(1, np.int8)}
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"]),
    ]
    port = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    kept = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "g", [port], [onnx.ValueInfoProto(name="y")], kept)
    data = helper.make_model(graph).SerializeToString()
    x = np.array([1.3], np.float32)
    meant = witness_onnx.evaluate(data, {"x": x}, {"q": np.array([9], np.int8)})
    assert abs(float(meant.before["q"][0]) - 3.6) < 2.0**-20
    assert meant.values["y"].tolist() == [4.0]


@pytest.mark.parametrize(
    ("case", "says"),
    [
        (Case("Ceil", (2,)), "operator  Ceil"),
        (Case("Pad", (2,), [_ints(1, 1)], {"mode": "reflect"}), "Pad with another mode"),
        (Case("MaxPool", SIGNAL, (), {"kernel_shape": [3], "auto_pad": "SAME_UPPER"}), "auto_pad"),
    ],
    ids=str,
)
def test_what_has_no_meaning_here(case: Case, says: str) -> None:
    with pytest.raises(OnnxMeaningError, match=says):
        witness_onnx.evaluate(_model(case), {"x": _reals(*case.shape)}, {})
