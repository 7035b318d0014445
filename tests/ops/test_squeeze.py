"""Squeeze, and unsqueeze: oracle -> reference -> C. Never a copy."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from ares.ir import GraphError
from ares.ops.squeeze import Squeeze
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
    kind: str = "s8"


CASES = (
    Case("last axis", (1, 5, 7, 1), (0, 2, 3, 1), (1, 5, 7)),
    Case("a middle axis", (1, 5, 1, 7), (0, 2, 3, 1), (1, 5, 7), "u8"),
    Case("the batch", (1, 5, 7), (0, 2, 1), (5, 7), "f32"),
    Case("all", (1, 13, 1, 1), (0, 2, 3, 1), (13,)),
    Case("unsqueeze", (1, 5, 7), (0, 2, 1), (1, 1, 5, 7)),
    Case("unsqueeze at the end", (1, 5, 7), (0, 2, 1), (1, 5, 7, 1), "f32"),
    Case("nothing to do", (1, 5, 7), (0, 2, 1), (1, 5, 7), "u8"),
)


def test_all_cases_in_one_program() -> None:
    operations, tensors, arrays, expected = [], [], {}, {}
    for number, case in enumerate(CASES):
        subject = laid(f"x{number}", case.shape, case.layout, case.kind)
        target = like(subject.tensor, f"y{number}", case.result)
        layer = Squeeze(f"layer{number}", (subject.tensor.name,), (target.name,), case.result)
        operations += [subject.operation, layer]
        tensors += [subject.source, subject.tensor, target]
        arrays[subject.source.name] = subject.array
        expected[target.name] = reshaped(subject.logical, case.result)
    plan = check_graph(
        graph_of(operations, tensors, list(arrays), list(expected)), arrays, expected
    )
    for number, case in enumerate(CASES):
        assert is_free(plan, f"layer{number}"), case.name


@pytest.mark.parametrize("result", [(5, 3), (15,), (1, 3, 5, 2)])
def test_what_drops_more_than_ones_is_refused(result: tuple[int, ...]) -> None:
    with pytest.raises(GraphError, match=r"Squeeze does not lead from \[1, 3, 5\]"):
        Squeeze("layer", ("x",), ("y",), result).infer([codes("x", (1, 3, 5))])
