"""Permute: oracle -> reference -> C. The oracle moves one element at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from ares.ir import DType, GraphError, Tensor, frozen_array
from ares.numerics import plan_rescale
from ares.ops import Alias, KernelCall, Site
from ares.ops.flatten import Flatten
from ares.ops.linear import Linear
from ares.ops.permute import Permute
from ares.plan import Space
from tests.ops.graphs import check_graph, graph_of
from tests.ops.harness import codes, real
from tests.ops.layouts import is_free, laid, like, permuted


@dataclass(frozen=True)
class Case:
    name: str
    shape: tuple[int, ...]
    axes: tuple[int, ...]
    kind: str = "s8"


CASES = (
    Case("transpose", (7, 5), (1, 0)),
    Case("tokens", (1, 5, 7), (0, 2, 1), "u8"),
    Case("channels last", (1, 3, 5, 7), (0, 2, 3, 1)),
    Case("channels first", (1, 3, 5, 7), (0, 3, 1, 2), "f32"),
    Case("reversed", (2, 3, 5, 7), (3, 2, 1, 0)),
    Case("heads", (1, 11, 3, 4), (0, 2, 1, 3)),
    Case("rank 5", (2, 3, 1, 5, 4), (3, 0, 4, 1, 2), "f32"),
    Case("six axes that cannot be joined", (2, 3, 2, 3, 2, 3), (5, 4, 3, 2, 1, 0)),
    Case("six axes, binary32", (2, 3, 2, 1, 2, 3), (1, 0, 5, 2, 4, 3), "f32"),
    Case("identity", (1, 3, 5), (0, 1, 2)),
    Case("axes of one element", (1, 1, 5, 1), (2, 0, 3, 1)),
    Case("one element", (1, 1), (1, 0)),
    Case("eight axes that cannot be joined", (1, *(2,) * 7, 3), (0, 8, 6, 4, 2, 1, 7, 5, 3)),
    Case("seven axes, binary32", (2,) * 7, (6, 5, 4, 3, 2, 1, 0), "f32"),
)


def test_all_cases_in_one_program() -> None:
    operations, tensors, arrays, expected = [], [], {}, {}
    for number, case in enumerate(CASES):
        subject = laid(f"x{number}", case.shape, tuple(range(len(case.shape))), case.kind)
        result = permuted(subject.logical, case.axes)
        target = like(subject.tensor, f"y{number}", result.shape)
        operations += [
            subject.operation,
            Permute(f"layer{number}", (subject.tensor.name,), (target.name,), case.axes),
        ]
        tensors += [subject.source, subject.tensor, target]
        arrays[subject.source.name] = subject.array
        expected[target.name] = result
    plan = check_graph(
        graph_of(operations, tensors, list(arrays), list(expected)), arrays, expected
    )
    for number, case in enumerate(CASES):
        assert is_free(plan, f"layer{number}"), case.name
        # A network's output lies in PyTorch's order and in the caller's buffer: the one copy, of the kernel where
        # elements move, else of the executor.
        copies = [step for step in plan.steps if step.inputs == (f"y{number}",)]
        moved = [axis for axis in case.axes if case.shape[axis] > 1]
        functions = [] if moved == sorted(moved) else ["ares_permute"]
        assert [step.call.function for step in copies if step.call] == functions, case.name
        assert not any(step.observed for step in copies)
        given = plan.tensor(plan.outputs[number])
        place = (Space.OUTPUT if functions else Space.INPUT, number)
        assert (given.space, given.position) == place, case.name


def test_two_permutes_undo_each_other_without_a_copy() -> None:
    x = codes("x", (1, 3, 5, 7))
    a, b = codes("a", (7, 3, 1, 5)), codes("b", (1, 3, 5, 7))
    there = Permute("there", ("x",), ("a",), (3, 1, 0, 2))
    back = Permute("back", ("a",), ("b",), (2, 1, 3, 0))
    order = (0, 1, 2, 3)
    _, (layout,) = there.layouts(Site((x,), (a,)), (order,))
    assert layout == (2, 1, 3, 0)
    _, (layout,) = back.layouts(Site((a,), (b,)), (layout,))
    assert layout == order


def test_patches_become_tokens_without_a_copy() -> None:
    """N C H W stored channels last -> flatten(2) -> permute(0, 2, 1) -> Linear: what every ViT does."""
    subject = laid("image", (1, 3, 5, 7), (0, 2, 3, 1))
    rows, tokens = (
        like(subject.tensor, "rows", (1, 3, 35)),
        like(subject.tensor, "tokens", (1, 35, 3)),
    )
    target = codes("y", (1, 35, 2))
    weight = frozen_array([[1, 2, 3], [-1, 0, 1]], np.int8)
    rescale = plan_rescale([1], [0], 0, -128, 127, 6 * 131)
    operations = (
        subject.operation,
        Flatten("flatten", ("image",), ("rows",), (1, 3, 35)),
        Permute("permute", ("rows",), ("tokens",), (0, 2, 1)),
        Linear("fc", ("tokens",), ("y",), weight, rescale),
    )
    tensors = (subject.source, subject.tensor, rows, tokens, target)
    graph = graph_of(operations, tensors, [subject.source.name], ["y"])
    expected = permuted(subject.logical.reshape(1, 3, 35), (0, 2, 1))
    sums = (expected - 3) @ np.array([[1, -1], [2, 0], [3, 1]])
    plan = check_graph(
        graph,
        {subject.source.name: subject.array},
        {"tokens": expected, "y": np.clip(sums, -128, 127)},
    )
    assert [step.call.function for step in plan.steps if step.call] == ["ares_linear"]


def test_another_order_of_the_output_is_a_copy() -> None:
    x, y = codes("x", (1, 3, 5)), codes("y", (1, 5, 3))
    layer, given = Permute("layer", ("x",), ("y",), (0, 2, 1)), ((0, 1, 2),)
    assert isinstance(layer.lower(Site((x,), (y,), given, ((0, 2, 1),))), Alias)
    assert isinstance(layer.lower(Site((x,), (y,), given, ((2, 0, 1),))), Alias)
    call = layer.lower(Site((x,), (y,), given, ((0, 1, 2),)))
    assert isinstance(call, KernelCall)
    assert dict(call.params.fields)["dims"].tolist() == [5, 3]


def test_what_does_not_fit_is_refused() -> None:
    layer = Permute("layer", ("x",), ("y",), (0, 2, 1))
    with pytest.raises(GraphError, match="do not permute 4 axes"):
        layer.infer([codes("x", (1, 2, 3, 4))])
    with pytest.raises(GraphError, match="do not permute 3 axes"):
        Permute("layer", ("x",), ("y",), (0, 2, 2)).infer([codes("x", (1, 2, 3))])
    with pytest.raises(GraphError, match="s16, expected elements of 1 or 4 bytes"):
        layer.infer([Tensor("x", (1, 2, 3), DType.S16, 1.0, 0, -9, 9)])
    site = Site((codes("x", (1, 2, 3), scale=0.5),), (codes("y", (1, 3, 2)),))
    with pytest.raises(GraphError, match=r"scale 1\.0 and zero point 0 after a move that had 0\.5"):
        layer.reference(site, [np.zeros((1, 2, 3))])
    assert layer.infer([real("x", (1, 2, 3))]) == (((1, 3, 2), (DType.F32,)),)


LONG = (
    Case("four bytes of rows", (17, 1031), (1, 0), "f32"),
    Case("codes of far planes", (3, 11, 1031), (1, 0, 2)),
    Case("codes of far columns", (11, 3, 1031), (2, 1, 0), "u8"),
)


@pytest.mark.parametrize("case", LONG, ids=lambda case: case.name)
def test_distances_past_15_bits(case: Case) -> None:
    """In bytes; those of four-byte elements past 16 bits."""
    subject = laid("x", case.shape, tuple(range(len(case.shape))), case.kind)
    assert subject.array.nbytes > (2**16 if case.kind == "f32" else 2**15)
    result = permuted(subject.logical, case.axes)
    target = like(subject.tensor, "y", result.shape)
    operation = Permute("layer", ("x",), ("y",), case.axes)
    tensors = [subject.source, subject.tensor, target]
    graph = graph_of([subject.operation, operation], tensors, [subject.source.name], ["y"])
    check_graph(graph, {subject.source.name: subject.array}, {"y": result})
