"""Where a file's binary32 constants move codes: said, with the layer, what, and a bound that the codes keep."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from ares import witness_onnx
from ares.interchange import Departure, UnsaidError, write_onnx
from ares.interchange.meaning import NOTHING
from ares.ir import DType, Graph, Operation, Tensor, frozen_array
from ares.numerics import plan_function, plan_rescale
from ares.numerics.functions import leaky_relu
from ares.ops.linear import Linear
from ares.ops.mul import Mul
from ares.ops.permute import Permute
from tests.interchange.one_layer import layers
from tests.prover.small import small_graph

# What the stored suites have beyond all measure.
KNOWN = {
    "layer_norm.beside_a_tie::layer_x": "a bias in binary32",
    "rotary.all_cases_in_one_program::layer12": "its angles in binary32",
}


def _tensor(name: str, shape: tuple[int, ...], scale: float) -> Tensor:
    return Tensor(name, shape, DType.S8, scale, 0, -128, 127)


def _graph(operation: Operation, *tensors: Tensor) -> Graph:
    names = tuple(tensor.name for tensor in tensors)
    return Graph("net", tensors, (operation,), names[:-1], names[-1:]).validate()


def _linear(bias: Fraction) -> Graph:
    """A sum of three codes, some 30000 codes of which are left over when the bias is taken away."""
    rescale = plan_rescale([Fraction(82, 1)], [bias], 0, -128, 127, 3 * 127 * 128)
    weight = frozen_array([[127, 127, 127], [127, -1, 0]], np.int8)
    layer = Linear("fc", ("x",), ("y",), weight=weight, rescale=rescale)
    return _graph(layer, _tensor("x", (1, 3), 0.5), _tensor("y", (1, 2), 0.1))


def _mul(factor: Fraction, addend: int) -> Graph:
    rescale = plan_rescale([factor], [Fraction(addend)], 0, -128, 127, 2**14)
    layer = Mul("mul", ("a", "b"), ("y",), rescale=rescale)
    shape = (1, 5)
    return _graph(
        layer, _tensor("a", shape, 0.25), _tensor("b", shape, 0.5), _tensor("y", shape, 0.125)
    )


def _moved(scale: float) -> Graph:
    layer = Permute("move", ("x",), ("y",), axes=(0, 2, 1))
    return _graph(layer, _tensor("x", (1, 2, 3), scale), _tensor("y", (1, 3, 2), scale))


def _only(graph: Graph) -> Departure:
    (departure,) = write_onnx(graph).departures
    return departure


def test_nothing_is_said_of_ordinary_layers() -> None:
    for graph in (_linear(Fraction(7, 3)), _mul(Fraction(13, 10), 3), _moved(0.1)):
        assert write_onnx(graph).departures == ()


def test_a_bias_far_off_binary32() -> None:
    """30000001 / 7 codes of 0.1 each: binary32 has steps of 2**-5 there, that is 0.3 codes."""
    graph = _linear(Fraction(30000001, 7))
    departures = {each.what: each for each in write_onnx(graph).departures}
    bias = departures["a bias in binary32"]
    meant = Fraction(30000001, 7) * Fraction(0.1)
    off = abs(Fraction(float(np.float32(float(meant)))) - meant) / Fraction(0.1)
    assert bias.layer == "fc"
    assert abs(bias.codes - float(off)) < 2.0**-20
    assert NOTHING < bias.codes < 0.2
    assert str(bias) == (
        f"layer fc: a bias in binary32, which moves its codes by up to {bias.codes:.3g}"
    )


def test_a_weight_scale_beside_a_large_bias() -> None:
    """What the sums have in common is off as much as they are, and is taken away again."""
    graph = _linear(Fraction(-30000001, 7))
    departures = {each.what: each.codes for each in write_onnx(graph).departures}
    scale = departures["a weight scale in binary32"]
    assert NOTHING < scale < 0.3
    x = np.array([[127, 127, 127]], np.int8)
    data = write_onnx(graph).data
    before = witness_onnx.evaluate(data, {"x": x}, {}).before["y"]
    meant = np.array([[3 * 127 * 127, 127 * 126]]) * 82.0 - 30000001 / 7
    off = np.abs(before - meant).max()
    assert NOTHING < off <= sum(departures.values())


def test_a_factor() -> None:
    """1.3 is off by 2**-26 of itself; of 5000 codes that is more than 2**-14."""
    departure = _only(_mul(Fraction(13, 10), -5000))
    off = abs(Fraction(float(np.float32(1.3))) / Fraction(13, 10) - 1)
    assert (departure.layer, departure.what) == ("mul", "a factor in binary32")
    assert abs(departure.codes - float(off) * 5256) < 2.0**-20


@pytest.mark.parametrize(("scale", "codes"), [(3e-45, 256.0), (1e-44, 20.0), (1e-42, 0.2)])
def test_a_scale_that_binary32_hardly_has(scale: float, codes: float) -> None:
    departure = _only(_moved(scale))
    assert (departure.layer, departure.what) == ("move", "the scale of its codes in binary32")
    assert NOTHING < departure.codes <= codes


def test_the_suites_have_no_others() -> None:
    found = {}
    for stem in ("add", "layer_norm", "linear", "rotary"):
        for layer in layers()[stem]:
            try:
                departures = write_onnx(layer.graph).departures
            except UnsaidError:
                continue
            found.update({each.layer: each.what for each in departures})
    assert found == KNOWN


@pytest.mark.parametrize(("slope", "is_said"), [(0.2, True), (0.125, True), (1 / 3, False)])
def test_a_slope_is_said_whole_or_not_at_all(slope: float, is_said: bool) -> None:
    """A third has no name of six digits: a file with 0.333333 would mean another function, and say nothing of it."""
    source = Tensor("x", (1, 4), DType.S8, 0.25, 0, -128, 127)
    target = Tensor("y", (1, 2), DType.S8, 0.5, 0, -128, 127)
    ratios = [Fraction(1, 2**6), Fraction(3, 2**8)]
    rescale = plan_function(leaky_relu(slope), ratios, [Fraction(0)] * 2, target, 4 * 127 * 128)
    layer = Linear("y", ("x",), ("y",), frozen_array([[127] * 4, [-127] * 4], np.int8), rescale)
    graph = Graph("one", (source, target), (layer,), ("x",), ("y",)).validate()
    if is_said:
        assert b"LeakyRelu" in write_onnx(graph).data
    else:
        with pytest.raises(UnsaidError, match="layer y: an unknown function is merged"):
            write_onnx(graph)


def test_odd_zero_points_are_said() -> None:
    """Of layers that round; what is only moved lies on the grid."""
    model = write_onnx(small_graph())
    assert model.odd == ("x", "deep", "mean", "total")
    assert model.departures == ()
