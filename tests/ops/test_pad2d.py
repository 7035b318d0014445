"""Pad2d: oracle -> reference -> C, for tables that mirror, repeat and go round."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ares.ir import Graph, GraphError
from ares.ops import Layout, Site
from ares.ops.pad2d import Pad2d
from tests.ops.harness import check_graph, check_operation, codes
from tests.ops.layouts import laid, like
from tests.ops.reaching import assert_reaches

Array = npt.NDArray[Any]


def mirrored(place: int, size: int) -> int:
    """Back and forth between the first and the last, neither of them twice."""
    turn = 2 * (size - 1)
    place = place % turn if turn else 0
    return min(place, turn - place)


def repeated(place: int, size: int) -> int:
    return min(max(place, 0), size - 1)


def around(place: int, size: int) -> int:
    return place % size


Mode = Callable[[int, int], int]


def table(mode: Mode, size: int, before: int, after: int) -> Array:
    places = [mode(place, size) for place in range(-before, size + after)]
    return np.array(places if before or after else [], np.int32)


@dataclass(frozen=True)
class Case:
    name: str
    shape: tuple[int, ...]
    mode: Mode
    padding: tuple[int, int, int, int]  # top, left, bottom, right
    reaches: tuple[str, ...]
    dtype: str = "s8"
    zero_point: int = 0

    @property
    def rows(self) -> Array:
        return table(self.mode, self.shape[-2], self.padding[0], self.padding[2])

    @property
    def columns(self) -> Array:
        return table(self.mode, self.shape[-1], self.padding[1], self.padding[3])

    @property
    def operation(self) -> Pad2d:
        return Pad2d("pad", ("x",), ("y",), self.rows, self.columns)


CASES = (
    Case("mirrored", (1, 3, 5, 7), mirrored, (4, 1, 2, 6), ("whole axis mirrored", "both signs")),
    Case("repeated", (1, 2, 3, 5), repeated, (1, 7, 2, 0), ("past the size",), "u8", 201),
    Case("around", (1, 5, 2, 3), around, (2, 1, 1, 3), ("code above 127",), "u8"),
    Case("rows only", (1, 3, 4, 5), mirrored, (3, 0, 0, 0), ("one axis",)),
    Case("columns only", (1, 3, 4, 5), repeated, (0, 2, 0, 1), ("one axis",)),
    Case("one channel", (1, 1, 3, 5), mirrored, (1, 2, 2, 1), ("one channel",)),
    Case("one pixel", (1, 3, 1, 1), repeated, (1, 0, 2, 3), ("past the size",), "s8", -5),
    Case("nothing", (1, 2, 3, 4), mirrored, (0, 0, 0, 0), ("copy",)),
    Case("features", (1, 7), mirrored, (0, 6, 0, 2), ("one axis",), "u8", 3),
)


def _bytes(seed: int, shape: tuple[int, ...], lo: int) -> Array:
    raw = np.random.Philox(key=seed).random_raw(int(np.prod(shape))).reshape(shape)
    return (raw % np.uint64(256)).astype(np.int64) + lo


def _oracle(case: Case, x: Array) -> Array:
    top, left, bottom, right = case.padding
    *outer, height, width = x.shape
    if x.ndim > 2:
        height += top + bottom
    out = np.zeros((*outer, height, width + left + right), x.dtype)
    for index in product(*(range(size) for size in out.shape)):
        row = case.mode(index[-2] - top, x.shape[-2]) if x.ndim > 2 else index[-2]
        out[index] = x[(*index[:-2], row, case.mode(index[-1] - left, x.shape[-1]))]
    return out


def _facts(case: Case, x: Array, y: Array) -> dict[str, bool]:
    top, left, bottom, right = case.padding
    height, width = x.shape[-2:]
    return {
        "both signs": x.min() < 0 < x.max(),
        "code above 127": x.max() > 127,
        "whole axis mirrored": (top, right) == (height - 1, width - 1),
        "past the size": max(top, bottom) > height
        or max(left, right) > width
        or (height, width) == (1, 1),
        "one axis": bool(case.rows.size) != bool(case.columns.size),
        "one channel": x.shape[1] == 1,
        "copy": np.array_equal(x, y),
    }


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_oracle_reference_c(case: Case) -> None:
    source = codes("x", case.shape, case.dtype, 0.5, case.zero_point)
    x = _bytes(1, source.shape, source.lo)
    expected = _oracle(case, x)
    assert_reaches(case.reaches, _facts(case, x, expected))
    target = codes("y", expected.shape, case.dtype, 0.5, case.zero_point)
    check_operation(case.operation, [source], [target], [x], [expected])


@pytest.mark.parametrize(
    ("shape", "layout"), [((1, 3, 4, 5), (0, 2, 3, 1)), ((1, 3, 5), (0, 1, 2))]
)
def test_real_elements(shape: tuple[int, ...], layout: Layout) -> None:
    """Moved as they are, in four bytes: a network may end with them."""
    source = laid("x", shape, layout, "f32")
    case = Case("real", shape, mirrored, (0, 2, 0, 1) if len(shape) == 3 else (1, 2, 0, 3), ())
    expected = _oracle(case, source.logical)
    target = like(source.tensor, "y", expected.shape)
    graph = Graph(
        "real",
        (source.source, source.tensor, target),
        (source.operation, case.operation),
        ("x_in",),
        ("y",),
    ).validate()
    check_graph(graph, {"x_in": source.array}, {"x": source.logical, "y": expected})


@pytest.mark.parametrize("layout", [(0, 1, 2), (0, 2, 1)])
@pytest.mark.parametrize("padding", [(0, 3, 0, 1), (2, 0, 1, 0), (1, 2, 2, 3)], ids=str)
def test_sequences_either_way_round(padding: tuple[int, int, int, int], layout: Layout) -> None:
    """As the image of one channel that they are, from PyTorch's order and from channels last."""
    source = laid("x", (1, 5, 7), layout)
    case = Case("sequence", (1, 5, 7), mirrored, padding, ())
    expected = _oracle(case, source.logical)
    target = like(source.tensor, "y", expected.shape)
    graph = Graph(
        "sequence",
        (source.source, source.tensor, target),
        (source.operation, case.operation),
        ("x_in",),
        ("y",),
    ).validate()
    planned = check_graph(graph, {"x_in": source.array}, {"x": source.logical, "y": expected})
    assert planned.tensor("y").layout == layout


@settings(derandomize=True, deadline=None, max_examples=100)
@given(
    st.lists(st.integers(1, 5), min_size=1, max_size=3),
    st.tuples(*[st.integers(0, 4)] * 4),
    st.sampled_from([mirrored, repeated, around]),
    st.integers(0, 2**32),
)
def test_reference_equals_the_oracle(
    shape: list[int], padding: tuple[int, int, int, int], mode: Mode, seed: int
) -> None:
    if len(shape) == 1:
        padding = (0, padding[1], 0, padding[3])
    case = Case("drawn", (1, *shape), mode, padding, ())
    source = codes("x", case.shape)
    x = _bytes(seed, source.shape, source.lo)
    expected = _oracle(case, x)
    assert case.operation.infer([source]) == ((expected.shape, (source.dtype,)),)
    (found,) = case.operation.reference(Site((source,), (codes("y", expected.shape),)), [x])
    assert np.array_equal(found, expected)


@pytest.mark.parametrize(
    ("shape", "rows", "columns", "message"),
    [
        ((1, 2, 3, 4, 5), [0], [0], "expected [1, C, H, W], [1, C, T] or [1, F]"),
        ((2, 2, 3, 3), [0], [0], "expected [1, C, H, W], [1, C, T] or [1, F]"),
        ((1, 5), [0], [], "rows of the batch"),
        ((1, 2, 3, 3), [0, 3], [], "takes rows 0 to 3, the input has 3"),
        ((1, 2, 3, 3), [], [-1, 2], "takes columns -1 to 2, the input has 3"),
        ((1, 2, 3, 3), [[0]], [], "a table of rank 2"),
    ],
)
def test_what_does_not_fit_is_refused(
    shape: tuple[int, ...], rows: list[Any], columns: list[int], message: str
) -> None:
    operation = Pad2d("pad", ("x",), ("y",), np.array(rows, np.int32), np.array(columns, np.int32))
    with pytest.raises(GraphError) as error:
        operation.infer([codes("x", shape)])
    assert message in str(error.value)
