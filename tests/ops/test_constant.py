"""Constant: codes among the weights, read like any tensor. The oracle is the codes themselves."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from ares.emit import emit
from ares.ir import GraphError, frozen_array
from ares.numerics import plan_weighted_sum
from ares.ops import Site
from ares.ops.add import Add
from ares.ops.constant import Constant
from ares.ops.linear import Linear
from ares.ops.permute import Permute
from ares.plan import Space
from tests.numerics import oracle
from tests.ops.finishing import Finish
from tests.ops.graphs import check_graph, graph_of
from tests.ops.harness import codes

Array = np.ndarray

KINDS: dict[str, tuple[Any, ...]] = {
    "s8": ("s8", 0, -128, 127),
    "s8, odd zero point": ("s8", -37, -128, 127),
    "u8": ("u8", 0, 0, 255),
    "u8, zero point": ("u8", 77, 0, 255),
    "4 bits": ("s8", 0, -8, 7),
}

# A network has an input, whatever becomes of it.
INPUT = np.array([[1, -2, 3]])
X, Z = codes("x", (1, 3), "s8", 1.0), codes("z", (1, 3), "s8", 1.0)
MOVE = Permute("move", ("x",), ("z",), (0, 1))


def table(kind: str, shape: tuple[int, ...]) -> Array:
    """All codes from the lowest to the highest, in no simple order."""
    _, _, lo, hi = KINDS[kind]
    count = int(np.prod(shape))
    found = (lo + (np.arange(count) * 101) % (hi - lo + 1)).reshape(shape)
    assert (found.min(), found.max()) == (lo, hi), "both ends are to be reached"
    return found


def tensor(name: str, kind: str, shape: tuple[int, ...]) -> Any:
    dtype, zero_point, lo, hi = KINDS[kind]
    return codes(name, shape, dtype, 0.5, zero_point, lo, hi)


def record(name: str, values: Array) -> Constant:
    return Constant(name, (), (name,), codes=frozen_array(values, np.int16))


@pytest.mark.parametrize("kind", KINDS)
def test_as_output_and_permuted(kind: str) -> None:
    shape, turned = (1, 17, 19), (1, 19, 17)
    values = table(kind, shape)
    graph = graph_of(
        [record("t", values), Permute("p", ("t",), ("p",), (0, 2, 1)), MOVE],
        [X, Z, tensor("t", kind, shape), tensor("p", kind, turned)],
        ["x"],
        ["t", "p", "z"],
    )
    planned = check_graph(graph, {"x": INPUT}, {"t": values, "p": values.transpose(0, 2, 1)})
    assert planned.tensor("t").space is Space.CONSTANT
    files = emit(planned).files
    assert any(b"OP_CONSTANT" in data for data in files.values())


HALF = Fraction(1, 2)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(1, 17, 19), (1, 1, 19), (1, 17, 1)])
def test_as_an_operand_of_a_sum(kind: str, shape: tuple[int, ...]) -> None:
    """y = (x + t) / 2 in codes, the table repeated where it is smaller; ties and both ends are reached."""
    large = (1, 17, 19)
    x, t = table("s8", large), _some_codes(kind, shape)
    zero_point = KINDS[kind][1]
    coefficients, rescale = plan_weighted_sum([HALF, HALF], [0, zero_point], 3, -100, 100)
    y = codes("y", large, "s8", 1.0, 3, -100, 100)
    graph = graph_of(
        [record("t", t), Add("sum", ("x", "t"), ("y",), coefficients, rescale)],
        [codes("x", large, "s8", 0.5), tensor("t", kind, shape), y],
        ["x"],
        ["y"],
    )
    halves = [
        Fraction(int(a) + int(b) - zero_point, 2) + 3
        for a, b in zip(x.ravel(), np.broadcast_to(t, large).ravel(), strict=True)
    ]
    assert any(half % 1 == HALF for half in halves)
    expected = [oracle.clamp(oracle.nearest(half), -100, 100) for half in halves]
    check_graph(graph, {"x": x}, {"t": t, "y": np.array(expected).reshape(large)})


def _some_codes(kind: str, shape: tuple[int, ...]) -> Array:
    """Codes spread over the range, however few."""
    _, _, lo, hi = KINDS[kind]
    return np.linspace(hi, lo, int(np.prod(shape))).round().astype(int).reshape(shape)


@pytest.mark.parametrize("kind", KINDS)
def test_as_the_operand_of_a_linear_layer(kind: str) -> None:
    """Learned queries are: nothing but the table goes in."""
    shape, zero_point = (1, 13, 23), KINDS[kind][1]
    values = table(kind, shape)
    weight = (np.arange(7 * 23) * 29 % 31 - 15).reshape(7, 23)
    target = codes("y", (1, 13, 7), "s8", 1.0, -5)
    finish = Finish("identity", (Fraction(1, 16),), (Fraction(0),), target)
    linear = Linear("fc", ("t",), ("y",), frozen_array(weight, np.int8), finish.plan(255 * 15 * 23))
    graph = graph_of(
        [record("t", values), linear, MOVE],
        [X, Z, tensor("t", kind, shape), target],
        ["x"],
        ["y", "z"],
    )
    rows = [[int(v) - zero_point for v in row] for row in values[0]]
    sums = [
        [sum(int(w) * v for w, v in zip(w_row, row, strict=True)) for w_row in weight]
        for row in rows
    ]
    expected = np.array([[[finish.code(total, 0) for total in row] for row in sums]])
    check_graph(graph, {"x": INPUT}, {"t": values, "y": expected, "z": INPUT})


def test_refuses_another_shape_and_inputs() -> None:
    for shape in ((3,), (2, 3)):
        with pytest.raises(GraphError, match=r"expected a first axis of 1 \(the batch\)"):
            record("t", np.zeros(shape, int)).infer(())
    with pytest.raises(GraphError, match="1 inputs, expected none"):
        record("t", np.zeros((1, 3), int)).infer((tensor("x", "s8", (1, 3)),))
    with pytest.raises(GraphError, match="do not fit int16"):
        record("t", np.full((1, 3), 40_000))


def test_the_reference_is_the_codes() -> None:
    values = table("s8", (1, 300))
    (found,) = record("t", values).reference(Site((), (tensor("t", "s8", (1, 300)),)), ())
    assert np.array_equal(found, values)
