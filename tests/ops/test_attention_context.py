"""AttentionContext: oracle -> reference -> C. The oracle walks tokens, heads and groups one by one."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from ares.ir import GraphError, Tensor
from ares.numerics import plan_rescale
from ares.ops.attention_context import AttentionContext
from tests.ops.graphs import check_graph, graph_of
from tests.ops.harness import codes
from tests.ops.reaching import assert_reaches

Array = npt.NDArray[Any]
W8, S8 = ("u8", 2.0**-8, 0), ("s8", 0.5, 0)


@dataclass(frozen=True)
class Case:
    """`groups` (outer, length, inner); `queries`: None where they are the tokens, else shared by all groups."""

    name: str
    groups: tuple[int, int, int]
    queries: int | None
    heads: tuple[int, int]
    head_dim: int
    w: tuple[Any, ...]
    v: tuple[Any, ...]
    target: tuple[Any, ...]
    reaches: tuple[str, ...]


CASES = (
    Case(
        "plain",
        (1, 13, 1),
        None,
        (1, 1),
        16,
        W8,
        S8,
        ("s8", 1.0, 0),
        ("low clip", "high clip", "negative", "zero weight"),
    ),
    Case("ties", (1, 7, 1), None, (2, 2), 11, ("u8", 0.5, 0, 0, 3), S8, S8, ("tie",)),
    Case(
        "unsigned values",
        (1, 7, 1),
        None,
        (2, 2),
        5,
        W8,
        ("u8", 0.25, 117),
        ("u8", 0.5, 129),
        ("answer above 127", "zero weight"),
    ),
    Case(
        "signed weights",
        (1, 7, 1),
        None,
        (1, 1),
        5,
        ("s8", 1 / 255, -128),
        ("s8", 0.5, 3),
        ("s8", 0.75, 1),
        ("negative", "zero weight"),
    ),
    Case("signed weights in the middle", (1, 7, 1), None, (1, 1), 5, S8, S8, ("s8", 99.0, 0), ()),
    Case("shared values", (1, 5, 1), None, (8, 4), 8, W8, S8, ("s8", 0.7071, 0), ("negative",)),
    Case("one head of values", (1, 5, 1), None, (6, 1), 3, W8, S8, ("s8", 0.7071, 0), ()),
    Case("channels at each time", (1, 5, 7), None, (2, 2), 3, W8, S8, ("s8", 0.7071, 0), ()),
    Case("times of each channel", (5, 7, 1), None, (2, 2), 3, W8, S8, ("s8", 0.7071, 0), ()),
    Case("both sides", (2, 3, 5), None, (4, 2), 2, W8, S8, ("s8", 0.7071, 0), ()),
    Case("learned queries", (1, 17, 1), 3, (2, 2), 9, W8, S8, ("s8", 2.0, 0), ()),
    Case("queries of patches", (3, 5, 2), 4, (2, 1), 4, W8, S8, ("s8", 0.7071, 0), ()),
    Case("one of everything", (1, 1, 1), None, (1, 1), 1, W8, S8, ("s8", 0.25, 0), ()),
    Case("long rows", (1, 401, 1), 2, (1, 1), 2, W8, S8, ("s8", 16.0, 0), ("high clip",)),
)


def _tensors(number: int, case: Case) -> tuple[Tensor, Tensor, Tensor]:
    outer, length, inner = case.groups
    heads, kv_heads = case.heads
    asked = case.queries or length
    tokens, groups = outer * length * inner, outer * inner
    return (
        codes(f"w{number}", (1, groups * heads, asked, length), *case.w),
        codes(f"v{number}", (1, tokens, kv_heads * case.head_dim), *case.v),
        codes(f"y{number}", (1, groups * asked, heads * case.head_dim), *case.target),
    )


def _ratio(case: Case) -> Fraction:
    return Fraction(case.w[1]) * Fraction(case.v[1]) / Fraction(case.target[1])


def _operation(number: int, case: Case) -> AttentionContext:
    w, v, y = _tensors(number, case)
    bound = case.groups[1] * w.largest_magnitude * v.largest_magnitude
    rescale = plan_rescale([_ratio(case)], [Fraction(0)], y.zero_point, y.lo, y.hi, bound)
    outer, _, inner = case.groups
    return AttentionContext(
        f"layer{number}",
        (w.name, v.name),
        (y.name,),
        *case.heads,
        outer,
        inner,
        case.queries is not None,
        rescale,
    )


def _draw(seed: int, tensor: Tensor) -> Array:
    draw = np.random.Generator(np.random.PCG64(seed))
    found = draw.integers(tensor.lo, tensor.hi + 1, tensor.shape)
    # Neighbours agree in sign, so that long sums grow; some weights are zero.
    if tensor.name.startswith("v"):
        return np.where(draw.integers(0, 2, tensor.shape[-1]), np.maximum(found, 0), found)
    return np.where(draw.integers(0, 4, tensor.shape), found, tensor.zero_point)


def _sums(case: Case, w: Array, v: Array, shape: tuple[int, ...]) -> Array:
    """Exact accumulators [1, tokens, features]."""
    outer, length, inner = case.groups
    heads, kv_heads = case.heads
    found = np.full(shape, None, object)
    for o in range(outer):
        for i in range(inner):
            group = o * inner + i
            for head in range(heads):
                served = head * kv_heads // heads
                for row in range(case.queries or length):
                    token = (
                        group * case.queries + row
                        if case.queries
                        else (o * length + row) * inner + i
                    )
                    for d in range(case.head_dim):
                        found[0, token, head * case.head_dim + d] = sum(
                            (int(w[0, group * heads + head, row, j]) - case.w[2])
                            * (
                                int(v[0, (o * length + j) * inner + i, served * case.head_dim + d])
                                - case.v[2]
                            )
                            for j in range(length)
                        )
    return found


def test_all_cases_in_one_program() -> None:
    operations, tensors, arrays, expected = [], [], {}, {}
    for number, case in enumerate(CASES):
        w, v, y = _tensors(number, case)
        arrays[w.name], arrays[v.name] = _draw(2 * number, w), _draw(2 * number + 1, v)
        reals = _sums(case, arrays[w.name], arrays[v.name], y.shape) * _ratio(case) + y.zero_point
        facts = {"zero weight": (arrays[w.name] == w.zero_point).any()}
        assert_reaches(case.reaches, facts, reals.flat, y)
        answer = [max(y.lo, min(y.hi, round(real))) for real in reals.flat]
        operations.append(_operation(number, case))
        tensors += [w, v, y]
        expected[y.name] = np.array(answer, np.int64).reshape(y.shape)
    graph = graph_of(operations, tensors, list(arrays), list(expected))
    check_graph(graph, arrays, expected)


@pytest.mark.parametrize(
    ("w", "v", "change", "message"),
    [
        ((1, 2, 6, 6), (6, 4), {}, "values have shape [6, 4]"),
        ((1, 2, 6, 6), (1, 6, 5), {}, "5 features do not fall into 2 heads"),
        ((1, 2, 6, 6), (1, 6, 4), {"num_kv_heads": 3}, "2 heads cannot share 3"),
        ((1, 2, 6, 6), (1, 6, 4), {"inner": 4}, "6 tokens do not fall into 1 x 4 groups"),
        ((1, 2, 6, 6), (1, 6, 4), {"inner": 2}, "weights have shape [1, 2, 6, 6], expected [1, 4"),
        ((1, 2, 6, 5), (1, 6, 4), {}, "weights have shape [1, 2, 6, 5], expected [1, 2, 6, 6]"),
        ((2, 6, 6), (1, 6, 4), {}, "weights have shape [2, 6, 6]"),
    ],
)
def test_what_does_not_fit_is_refused(
    w: tuple[int, ...], v: tuple[int, ...], change: dict[str, int], message: str
) -> None:
    rescale = plan_rescale([Fraction(1)], [Fraction(0)], 0, -128, 127, 1)
    sizes = {"num_heads": 2, "num_kv_heads": 2, "outer": 1, "inner": 1, **change}
    operation = AttentionContext(
        "wrong", ("w", "v"), ("y",), **sizes, shared=False, rescale=rescale
    )
    with pytest.raises(GraphError) as error:
        operation.infer([codes("w", w), codes("v", v)])
    assert message in str(error.value)
