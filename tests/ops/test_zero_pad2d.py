"""ZeroPad2d: oracle -> reference -> C."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ares.ir import Graph, GraphError, frozen_array
from ares.ops import Layout, Site
from ares.ops.max_pool2d import MaxPool2d
from ares.ops.requantize import Requantize
from ares.ops.zero_pad2d import ZeroPad2d
from tests.ops.harness import check_graph, check_operation, codes
from tests.ops.layouts import laid, like
from tests.ops.reaching import assert_reaches

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Case:
    name: str
    shape: tuple[int, int, int]
    padding: tuple[int, int, int, int]
    reaches: tuple[str, ...]
    dtype: str = "s8"
    zero_point: int = 0


CASES = (
    Case("four different sides", (3, 5, 7), (1, 2, 3, 4), ("odd size", "four sides", "prime size")),
    Case(
        "u8 with an odd zero point above 127",
        (2, 4, 3),
        (2, 1, 0, 3),
        ("frame is not 0", "code above 127", "one-sided padding"),
        "u8",
        201,
    ),
    Case(
        "negative zero point", (5, 3, 3), (1, 1, 1, 1), ("frame is not 0", "both signs"), "s8", -77
    ),
    Case("left only", (1, 3, 2), (0, 5, 0, 0), ("one-sided padding", "past the input's size")),
    Case("bottom only", (4, 2, 3), (0, 0, 3, 0), ("one-sided padding", "past the input's size")),
    Case("no padding", (2, 3, 5), (0, 0, 0, 0), ("copy",)),
    Case("one element", (1, 1, 1), (1, 0, 0, 1), ("one element",), "u8", 1),
)


def _bytes(seed: int, shape: tuple[int, ...], lo: int) -> Array:
    raw = np.random.Philox(key=seed).random_raw(int(np.prod(shape))).reshape(shape)
    return (raw % np.uint64(256)).astype(np.int64) + lo


def _oracle(case: Case, x: Array) -> Array:
    channels, height, width = case.shape
    top, left, bottom, right = case.padding
    out = np.zeros((1, channels, top + height + bottom, left + width + right), np.int64)
    for index in product(*(range(size) for size in out.shape)):
        _, c, row, column = index
        row, column = row - top, column - left
        inside = 0 <= row < height and 0 <= column < width
        out[index] = x[0, c, row, column] if inside else case.zero_point
    return out


def _facts(case: Case, x: Array, y: Array) -> dict[str, bool]:
    sides = sum(side > 0 for side in case.padding)
    across, down = max(case.padding[::2]), max(case.padding[1::2])
    return {
        "odd size": all(size % 2 for size in case.shape),
        "prime size": {*case.shape} <= {2, 3, 5, 7},
        "one element": x.size == 1,
        "both signs": x.min() < 0 < x.max(),
        "code above 127": x.max() > 127,
        "frame is not 0": sides > 0 and case.zero_point != 0,
        "four sides": len({*case.padding}) == sides == 4,
        "one-sided padding": 0 < sides < 4,
        "past the input's size": across > case.shape[1] or down > case.shape[2],
        "copy": np.array_equal(x, y),
    }


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_oracle_reference_c(case: Case) -> None:
    source = codes("x", (1, *case.shape), case.dtype, 0.5, case.zero_point)
    x = _bytes(1, source.shape, source.lo)
    expected = _oracle(case, x)
    assert_reaches(case.reaches, _facts(case, x, expected))
    target = codes("y", expected.shape, case.dtype, 0.5, case.zero_point)
    check_operation(
        ZeroPad2d("pad", ("x",), ("y",), case.padding), [source], [target], [x], [expected]
    )


@pytest.mark.parametrize("layout", [(0, 1, 2), (0, 2, 1)])
@pytest.mark.parametrize("padding", [(0, 3, 0, 0), (1, 0, 3, 2)], ids=["causal", "both axes"])
def test_sequences_either_way_round(padding: tuple[int, int, int, int], layout: Layout) -> None:
    """As the image of one channel that they are, from PyTorch's order and from channels last."""
    source = laid("x", (1, 5, 7), layout, "u8")
    case = Case("sequence", (1, 5, 7), padding, (), "u8", source.tensor.zero_point)
    expected = _oracle(case, source.logical[None])[0]
    target = like(source.tensor, "y", expected.shape)
    operation = ZeroPad2d("pad", ("x",), ("y",), padding)
    graph = Graph(
        "sequence",
        (source.source, source.tensor, target),
        (source.operation, operation),
        ("x_in",),
        ("y",),
    ).validate()
    planned = check_graph(graph, {"x_in": source.array}, {"x": source.logical, "y": expected})
    assert planned.tensor("y").layout == layout


def test_features() -> None:
    source = codes("x", (1, 5), "u8", 0.5, 131)
    expected = np.array([[131, 131, 0, 255, 3, 4, 130, 131]])
    target = codes("y", (1, 8), "u8", 0.5, 131)
    operation = ZeroPad2d("pad", ("x",), ("y",), (0, 2, 0, 1))
    check_operation(operation, [source], [target], [expected[:, 2:7]], [expected])


def test_padding_followed_by_a_function() -> None:
    """The frame is what the function makes of zero, also where a layer that knows padding reads it besides."""
    case = Case("function", (3, 5, 4), (1, 0, 2, 3), (), "u8", 77)
    source = codes("x", (1, 3, 5, 4), "u8", 0.5, 77)
    x = _bytes(5, source.shape, 0)
    padded = _oracle(case, x)
    table = (np.arange(256) * 101 + 7) % 256
    assert int(table[77]) not in (0, 77)
    frame = codes("padded", padded.shape, "u8", 0.5, 77)
    found, larger = codes("y", padded.shape, "u8"), codes("z", (1, 3, 7, 6), "u8", 0.5, 77)
    maxima = np.max([padded[:, :, i : i + 7, j : j + 6] for i in (0, 1) for j in (0, 1)], axis=0)
    operations = (
        ZeroPad2d("pad", ("x",), ("padded",), case.padding),
        Requantize("function", ("padded",), ("y",), table=frozen_array(table, np.uint8)),
        MaxPool2d("pool", ("padded",), ("z",), (2, 2), (1, 1), (0,) * 4, (1, 1), False),
    )
    graph = Graph("net", (source, frame, found, larger), operations, ("x",), ("y", "z"))
    check_graph(graph.validate(), {"x": x}, {"padded": padded, "y": table[padded], "z": maxima})


@settings(derandomize=True, deadline=None, max_examples=100)
@given(
    st.tuples(*[st.integers(1, 4)] * 3),
    st.tuples(*[st.integers(0, 4)] * 4),
    st.sampled_from([("s8", -128), ("s8", -3), ("s8", 127), ("u8", 0), ("u8", 255)]),
    st.integers(0, 2**32),
)
def test_reference_equals_the_oracle(
    shape: tuple[int, int, int],
    padding: tuple[int, int, int, int],
    kind: tuple[str, int],
    seed: int,
) -> None:
    case = Case("drawn", shape, padding, (), *kind)
    source = codes("x", (1, *shape), kind[0], 0.5, kind[1])
    x = _bytes(seed, source.shape, source.lo)
    expected = _oracle(case, x)
    operation = ZeroPad2d("pad", ("x",), ("y",), padding)
    assert operation.infer([source]) == ((expected.shape, (source.dtype,)),)
    target = codes("y", expected.shape, *kind[:1])
    (found,) = operation.reference(Site((source,), (target,)), [x])
    assert np.array_equal(found, expected)


@pytest.mark.parametrize(
    ("shape", "padding", "message"),
    [
        ((1, 2, 3, 3, 3), (0, 0, 0, 0), "expected [1, C, H, W]"),
        ((2, 2, 3), (0, 0, 0, 0), "expected [1, C, H, W]"),
        ((1, 2), (1, 0, 0, 0), "adds to the batch"),
        ((2, 2, 3, 3), (0, 0, 0, 0), "expected [1, C, H, W]"),
        ((1, 2, 3, 3), (0, -1, 0, 0), "is negative, which crops"),
    ],
)
def test_what_does_not_fit_is_refused(
    shape: tuple[int, ...], padding: tuple[int, int, int, int], message: str
) -> None:
    with pytest.raises(GraphError) as error:
        ZeroPad2d("pad", ("x",), ("y",), padding).infer([codes("x", shape)])
    assert message in str(error.value)
