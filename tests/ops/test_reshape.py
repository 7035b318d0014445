"""Reshape: oracle -> reference -> C. The oracle moves one element at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from ares.ir import DType, GraphError, Tensor
from ares.ops import Site
from ares.ops.reshape import Reshape
from tests.ops.graphs import check_graph, graph_of
from tests.ops.harness import codes
from tests.ops.layouts import is_free, laid, like, reshaped


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
    Case("split, PyTorch's order", (1, 12, 5), (0, 1, 2), (1, 3, 4, 5), True),
    Case("split the outer axis in memory", (1, 12, 5), (0, 2, 1), (1, 3, 4, 5), True, "u8"),
    Case("split the inner axis in memory", (1, 5, 12), (0, 2, 1), (1, 5, 4, 3), True, "f32"),
    Case("join what does not lie together", (1, 3, 4, 5), (0, 2, 3, 1), (1, 60), False),
    Case("join what lies together", (1, 3, 4, 5), (0, 2, 3, 1), (1, 3, 20), True),
    Case("across axes, PyTorch's order", (1, 4, 6), (0, 1, 2), (1, 8, 3), True),
    Case("across axes, another order", (1, 4, 6), (0, 2, 1), (1, 8, 3), False, "u8"),
    Case("across axes, binary32", (1, 6, 5, 7), (0, 2, 3, 1), (1, 3, 10, 7), False, "f32"),
    Case("heads", (1, 11, 12), (0, 1, 2), (1, 11, 3, 4), True),
    Case("axes of one element come", (1, 7, 5), (0, 2, 1), (1, 7, 1, 1, 5, 1), True),
    Case("reversed, rank 6", (2, 3, 2, 3, 2, 3), (5, 4, 3, 2, 1, 0), (6, 36), False),
    Case("one pixel", (1, 31, 1, 1), (0, 2, 3, 1), (31,), True),
    Case("one channel", (1, 1, 5, 7), (0, 2, 3, 1), (5, 7), True),
)


def test_all_cases_in_one_program() -> None:
    operations, tensors, arrays, expected = [], [], {}, {}
    for number, case in enumerate(CASES):
        subject = laid(f"x{number}", case.shape, case.layout, case.kind)
        target = like(subject.tensor, f"y{number}", case.result)
        layer = Reshape(f"layer{number}", (subject.tensor.name,), (target.name,), case.result)
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


def test_what_does_not_fit_is_refused() -> None:
    layer = Reshape("layer", ("x",), ("y",), (1, 12))
    with pytest.raises(GraphError, match=r"Reshape does not lead from \[1, 3, 5\] to \[1, 12\]"):
        layer.infer([codes("x", (1, 3, 5))])
    with pytest.raises(GraphError, match="s16, expected elements of 1 or 4 bytes"):
        layer.infer([Tensor("x", (1, 3, 4), DType.S16, 1.0, 0, -9, 9)])
    site = Site((codes("x", (1, 3, 4)),), (codes("y", (1, 12), zero_point=1),))
    with pytest.raises(GraphError, match="zero point 1 after a move"):
        layer.reference(site, [np.zeros((1, 3, 4))])
    site = Site((codes("x", (1, 3, 4)),), (codes("y", (4, 3)),), ((0, 2, 1),), ((1, 0),))
    with pytest.raises(GraphError, match=r"a reshape that copies cannot write layout \(1, 0\)"):
        Reshape("layer", ("x",), ("y",), (4, 3)).lower(site)
