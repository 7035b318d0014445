"""Matmul: oracle -> reference -> C. The oracle walks the products one by one; inputs lie in every order that occurs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from ares.ir import GraphError, Tensor
from ares.numerics import plan_rescale
from ares.ops.matmul import Matmul
from ares.ops.permute import Permute
from tests.ops.graphs import check_graph, graph_of
from tests.ops.harness import codes
from tests.ops.reaching import assert_reaches

Array = npt.NDArray[Any]
S8, U8 = ("s8", 0.5, 0), ("u8", 0.25, 131)


@dataclass(frozen=True)
class Case:
    """`orders`: the axes of each factor as they lie in memory, () for PyTorch's order; `kernel` is what then runs."""

    name: str
    a: tuple[int, ...]
    b: tuple[int, ...]
    orders: tuple[tuple[int, ...], tuple[int, ...]]
    kernel: str
    sources: tuple[tuple[Any, ...], tuple[Any, ...]]
    target: tuple[Any, ...]
    reaches: tuple[str, ...] = ()
    copies: int = 0


TOKENS, TURNED = (0, 2, 1, 3), (0, 3, 1, 2)
SCORES, CONTEXT = "attention_scores", "attention_context"
CASES = (
    Case(
        "plain",
        (1, 7, 5),
        (1, 5, 11),
        ((), ()),
        CONTEXT,
        (S8, S8),
        ("s8", 16.0, 0),
        ("tie", "negative"),
    ),
    Case(
        "turned",
        (1, 7, 13),
        (1, 13, 3),
        ((), (0, 2, 1)),
        SCORES,
        (S8, U8),
        ("s8", 8.0, 0),
        ("low clip", "high clip"),
    ),
    Case(
        "heads of tokens, turned",
        (1, 3, 7, 5),
        (1, 3, 5, 11),
        (TOKENS, TURNED),
        SCORES,
        (S8, S8),
        ("s8", 8.0, 3),
        ("negative",),
    ),
    Case(
        "heads of tokens",
        (1, 3, 7, 5),
        (1, 3, 5, 11),
        ((), TOKENS),
        CONTEXT,
        (U8, S8),
        ("u8", 8.0, 129),
        ("low clip", "high clip", "answer above 127"),
    ),
    Case(
        "heads apart",
        (1, 3, 7, 5),
        (1, 3, 5, 11),
        ((), ()),
        CONTEXT,
        (U8, ("s8", 0.5, -77)),
        ("s8", 29.0, 1),
        ("negative",),
    ),
    Case(
        "heads apart, turned",
        (1, 2, 5, 3),
        (1, 2, 3, 7),
        ((), (0, 1, 3, 2)),
        SCORES,
        (S8, S8),
        ("s8", 3.0, 0),
    ),
    Case(
        "a copy of the first",
        (1, 2, 5, 3),
        (1, 2, 3, 7),
        ((), TURNED),
        SCORES,
        (S8, S8),
        ("s8", 3.0, 0),
        copies=1,
    ),
    Case(
        "windows",
        (1, 2, 3, 5, 7),
        (1, 2, 3, 7, 5),
        ((), (0, 1, 2, 4, 3)),
        SCORES,
        (S8, U8),
        ("s8", 9.0, 0),
    ),
    Case(
        "one second for all",
        (1, 5, 3, 7),
        (1, 1, 7, 2),
        ((), ()),
        CONTEXT,
        (S8, S8),
        ("s8", 9.0, 0),
        ("negative",),
    ),
    Case(
        "one second for all, turned",
        (1, 5, 3, 7),
        (1, 1, 7, 2),
        ((), (0, 1, 3, 2)),
        SCORES,
        (S8, S8),
        ("s8", 9.0, 0),
    ),
    Case(
        "one row",
        (1, 3, 1, 5),
        (1, 3, 5, 7),
        ((), TOKENS),
        CONTEXT,
        (S8, S8),
        ("s8", 3.0, 0),
    ),
    Case("one of everything", (1, 1, 1), (1, 1, 1), ((), ()), CONTEXT, (S8, S8), ("s8", 23.0, 0)),
    Case(
        "4 bits",
        (1, 2, 5, 7),
        (1, 2, 7, 3),
        (TOKENS, TURNED),
        SCORES,
        (("s8", 1.0, 0, -8, 7), ("s8", 1.0, 0, -7, 7)),
        ("s8", 2.0, 0, -8, 7),
        ("low clip", "high clip"),
    ),
)


def _tensors(number: int, case: Case) -> tuple[Tensor, Tensor, Tensor]:
    shape = (*case.a[:-1], case.b[-1])
    return (
        codes(f"a{number}", case.a, *case.sources[0]),
        codes(f"b{number}", case.b, *case.sources[1]),
        codes(f"y{number}", shape, *case.target),
    )


def _ratio(case: Case) -> Fraction:
    return Fraction(case.sources[0][1]) * Fraction(case.sources[1][1]) / Fraction(case.target[1])


def _operation(number: int, case: Case) -> Matmul:
    a, b, y = _tensors(number, case)
    bound = case.a[-1] * a.largest_magnitude * b.largest_magnitude
    rescale = plan_rescale([_ratio(case)], [Fraction(0)], y.zero_point, y.lo, y.hi, bound)
    return Matmul(f"layer{number}", (a.name, b.name), (y.name,), rescale)


def _draw(seed: int, tensor: Tensor) -> Array:
    draw = np.random.Generator(np.random.PCG64(seed))
    return draw.integers(tensor.lo, tensor.hi + 1, tensor.shape)


def _sums(case: Case, a: Array, b: Array) -> Iterator[int]:
    """Exact accumulators in the output's order."""
    for *group, row in product(*map(range, case.a[:-1])):
        own = [g if size > 1 else 0 for g, size in zip(group, case.b[:-2], strict=True)]
        for column in range(case.b[-1]):
            yield sum(
                (int(a[(*group, row, k)]) - case.sources[0][2])
                * (int(b[(*own, k, column)]) - case.sources[1][2])
                for k in range(case.a[-1])
            )


def test_all_cases_in_one_program() -> None:
    operations: list[Any] = []
    tensors, arrays, expected = [], {}, {}
    for number, case in enumerate(CASES):
        a, b, y = _tensors(number, case)
        drawn = [_draw(2 * number, a), _draw(2 * number + 1, b)]
        reals = [acc * _ratio(case) + y.zero_point for acc in _sums(case, *drawn)]
        assert_reaches(case.reaches, {}, reals, y)
        for tensor, array, order in zip((a, b), drawn, case.orders, strict=True):
            tensors.append(tensor)
            if not order:
                arrays[tensor.name] = array
                continue
            # As it lies in memory; what the layer sees is a view of it.
            lying = array.transpose(order)
            source = codes(
                f"{tensor.name}_lying",
                lying.shape,
                tensor.dtype.value,
                tensor.scale or 0,
                tensor.zero_point,
                tensor.lo,
                tensor.hi,
            )
            axes = tuple(int(axis) for axis in np.argsort(order))
            operations.append(Permute(f"see_{tensor.name}", (source.name,), (tensor.name,), axes))
            tensors.append(source)
            arrays[source.name] = np.ascontiguousarray(lying)
        answer = [max(y.lo, min(y.hi, round(real))) for real in reals]
        operations.append(_operation(number, case))
        tensors.append(y)
        expected[y.name] = np.array(answer, np.int64).reshape(y.shape)
    graph = graph_of(operations, tensors, list(arrays), list(expected))
    planned = check_graph(graph, arrays, expected)
    for number, case in enumerate(CASES):
        (step,) = (step for step in planned.steps if step.layer == f"layer{number}")
        assert step.call is not None
        assert step.call.function == f"ares_{case.kernel}", case.name
        own = [
            s.call
            for s in planned.steps
            if s.inputs[0].partition("@")[0] in (f"a{number}", f"b{number}")
        ]
        copied = [call for call in own if call is not None and call.function == "ares_permute"]
        assert len(copied) == case.copies, case.name


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((6, 4), (4, 6)),
        ((1, 6, 4), (1, 5, 6)),
        ((1, 6, 4), (1, 1, 4, 6)),
        ((1, 2, 6, 4), (1, 3, 4, 6)),
        ((1, 2, 3, 6, 4), (1, 1, 3, 4, 6)),
    ],
)
def test_what_does_not_fit_is_refused(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    rescale = plan_rescale([Fraction(1)], [Fraction(0)], 0, -128, 127, 1)
    operation = Matmul("wrong", ("a", "b"), ("y",), rescale)
    with pytest.raises(GraphError) as error:
        operation.infer([codes("a", a), codes("b", b)])
    assert f"factors of shapes {list(a)} and {list(b)} do not match" in str(error.value)
