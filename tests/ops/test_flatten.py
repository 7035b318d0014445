"""Flatten: oracle -> reference -> C. The oracle moves one element at a time."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from ares.ir import GraphError
from ares.ops import Site
from ares.ops.flatten import Flatten
from tests.ops.graphs import check_graph, graph_of
from tests.ops.harness import codes
from tests.ops.layouts import is_free, laid, like, reshaped

CHANNELS_LAST = (0, 2, 3, 1)


@dataclass(frozen=True)
class Case:
    """`layout`: how the input lies."""

    name: str
    shape: tuple[int, ...]
    layout: tuple[int, ...]
    result: tuple[int, ...]
    free: bool
    kind: str = "s8"


CASES = (
    Case("all, channels last", (1, 3, 5, 7), CHANNELS_LAST, (1, 105), False),
    Case("all, PyTorch's order", (1, 3, 5, 7), (0, 1, 2, 3), (1, 105), True, "u8"),
    Case("from axis 2, channels last", (1, 3, 5, 7), CHANNELS_LAST, (1, 3, 35), True),
    Case("axes 1 and 2, channels last", (1, 3, 5, 7), CHANNELS_LAST, (1, 15, 7), False, "f32"),
    Case("one pixel", (1, 31, 1, 1), CHANNELS_LAST, (1, 31), True),
    Case("one channel", (1, 1, 5, 7), CHANNELS_LAST, (1, 35), True),
    Case("one row", (1, 4, 1, 7), CHANNELS_LAST, (1, 28), False),
    Case("tokens", (1, 5, 7), (0, 2, 1), (1, 35), False, "u8"),
    Case("nothing to do", (1, 13), (0, 1), (1, 13), True, "f32"),
)


def test_all_cases_in_one_program() -> None:
    operations, tensors, arrays, expected = [], [], {}, {}
    for number, case in enumerate(CASES):
        subject = laid(f"x{number}", case.shape, case.layout, case.kind)
        target = like(subject.tensor, f"y{number}", case.result)
        layer = Flatten(f"layer{number}", (subject.tensor.name,), (target.name,), case.result)
        operations += [subject.operation, layer]
        tensors += [subject.source, subject.tensor, target]
        arrays[subject.source.name] = subject.array
        expected[target.name] = reshaped(subject.logical, case.result)
    plan = check_graph(
        graph_of(operations, tensors, list(arrays), list(expected)), arrays, expected
    )
    assert {case.free for case in CASES} == {True, False}
    for number, case in enumerate(CASES):
        assert is_free(plan, f"layer{number}") == case.free, case.name


def test_the_layout_of_a_map_of_pixels() -> None:
    site = Site((codes("x", (1, 3, 5, 7)),), (codes("y", (1, 3, 35)),))
    layer = Flatten("layer", ("x",), ("y",), (1, 3, 35))
    assert layer.layouts(site, (CHANNELS_LAST,)) == ((CHANNELS_LAST,), ((0, 2, 1),))


@pytest.mark.parametrize("result", [(1, 7, 15), (3, 35), (1, 104), (105, 1)])
def test_what_joins_no_neighbours_is_refused(result: tuple[int, ...]) -> None:
    with pytest.raises(GraphError, match=r"Flatten does not lead from \[1, 3, 5, 7\]"):
        Flatten("layer", ("x",), ("y",), result).infer([codes("x", (1, 3, 5, 7))])
