"""AttentionScores: oracle -> reference -> C. The oracle walks tokens, heads and groups one by one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import isqrt, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from ares.ir import GraphError, Tensor
from ares.numerics import plan_rescale
from ares.ops.attention_scores import AttentionScores
from tests.ops.graphs import check_graph, graph_of
from tests.ops.harness import codes
from tests.ops.reaching import assert_reaches

Array = npt.NDArray[Any]
S8, U8 = ("s8", 0.5, 0), ("u8", 0.25, 131)


@dataclass(frozen=True)
class Case:
    """`groups` (outer, length, inner); `queries`: None where they are the tokens, else shared by all groups."""

    name: str
    groups: tuple[int, int, int]
    queries: int | None
    heads: tuple[int, int]
    head_dim: int
    q: tuple[Any, ...]
    k: tuple[Any, ...]
    target: tuple[Any, ...]
    reaches: tuple[str, ...]


CASES = (
    Case("plain", (1, 29, 1), None, (1, 1), 16, S8, S8, ("s8", 16.0, 0), ("tie", "negative")),
    Case("heads", (1, 7, 1), None, (3, 3), 5, S8, U8, ("s8", 8.0, 0), ("low clip", "high clip")),
    Case(
        "unsigned both",
        (1, 11, 1),
        None,
        (2, 2),
        4,
        U8,
        ("u8", 0.5, 7),
        ("u8", 4.0, 129),
        ("low clip", "high clip", "tie", "answer above 127"),
    ),
    Case("signed with zero point", (1, 5, 1), None, (2, 2), 36, U8, ("s8", 0.5, -77), S8, ()),
    Case("shared keys", (1, 5, 1), None, (8, 4), 8, S8, S8, ("s8", 23.0, 3), ("negative",)),
    Case("one head of keys", (1, 5, 1), None, (6, 1), 3, S8, S8, ("s8", 23.0, 3), ("negative",)),
    Case("channels at each time", (1, 5, 7), None, (2, 2), 3, S8, S8, ("s8", 23.0, 0), ()),
    Case("times of each channel", (5, 7, 1), None, (2, 2), 3, S8, S8, ("s8", 23.0, 0), ()),
    Case("both sides", (2, 3, 5), None, (4, 2), 2, S8, U8, ("s8", 9.0, 0), ("low clip",)),
    Case("learned queries", (1, 17, 1), 3, (2, 2), 9, S8, S8, ("s8", 23.0, 0), ("negative",)),
    Case("queries of patches", (3, 5, 2), 4, (2, 1), 4, S8, U8, ("s8", 23.0, 0), ("negative",)),
    Case("one of everything", (1, 1, 1), None, (1, 1), 1, S8, S8, ("s8", 23.0, 0), ()),
    Case(
        "4 bits",
        (1, 5, 1),
        None,
        (1, 1),
        7,
        ("s8", 1.0, 0, -8, 7),
        ("s8", 1.0, 0, -7, 7),
        ("s8", 2.0, 0, -8, 7),
        ("low clip", "high clip"),
    ),
)


def _tensors(number: int, case: Case) -> tuple[Tensor, Tensor, Tensor]:
    outer, length, inner = case.groups
    heads, kv_heads = case.heads
    asked = length if case.queries is None else case.queries
    tokens = outer * length * inner
    queries = tokens if case.queries is None else case.queries
    return (
        codes(f"q{number}", (1, queries, heads * case.head_dim), *case.q),
        codes(f"k{number}", (1, tokens, kv_heads * case.head_dim), *case.k),
        codes(f"y{number}", (1, outer * inner * heads, asked, length), *case.target),
    )


def _ratio(case: Case) -> Fraction:
    return (
        Fraction(case.q[1])
        * Fraction(case.k[1])
        / Fraction(case.target[1])
        / Fraction(sqrt(case.head_dim))
    )


def _operation(number: int, case: Case) -> AttentionScores:
    q, k, y = _tensors(number, case)
    bound = case.head_dim * q.largest_magnitude * k.largest_magnitude
    rescale = plan_rescale([_ratio(case)], [Fraction(0)], y.zero_point, y.lo, y.hi, bound)
    outer, _, inner = case.groups
    return AttentionScores(
        f"layer{number}",
        (q.name, k.name),
        (y.name,),
        *case.heads,
        outer,
        inner,
        case.queries is not None,
        rescale,
    )


def _draw(seed: int, tensor: Tensor) -> Array:
    draw = np.random.Generator(np.random.PCG64(seed))
    return draw.integers(tensor.lo, tensor.hi + 1, tensor.shape)


def _sums(case: Case, q: Array, k: Array) -> Iterator[int]:
    """Exact accumulators in the output's order."""
    outer, length, inner = case.groups
    heads, kv_heads = case.heads
    for o in range(outer):
        for i in range(inner):
            for head in range(heads):
                served = head * kv_heads // heads
                for row in range(case.queries or length):
                    token = row if case.queries else (o * length + row) * inner + i
                    for column in range(length):
                        key = (o * length + column) * inner + i
                        yield sum(
                            (int(q[0, token, head * case.head_dim + d]) - case.q[2])
                            * (int(k[0, key, served * case.head_dim + d]) - case.k[2])
                            for d in range(case.head_dim)
                        )


def test_all_cases_in_one_program() -> None:
    operations, tensors, arrays, expected = [], [], {}, {}
    for number, case in enumerate(CASES):
        q, k, y = _tensors(number, case)
        arrays[q.name], arrays[k.name] = _draw(2 * number, q), _draw(2 * number + 1, k)
        sums = _sums(case, arrays[q.name], arrays[k.name])
        reals = [acc * _ratio(case) + y.zero_point for acc in sums]
        # Where the root of the size is no integer, the ratio is cut: what looks like a tie is none.
        exact = isqrt(case.head_dim) ** 2 == case.head_dim
        assert exact or "tie" not in case.reaches
        assert_reaches(case.reaches, {}, reals, y)
        answer = [max(y.lo, min(y.hi, round(real))) for real in reals]
        operations.append(_operation(number, case))
        tensors += [q, k, y]
        expected[y.name] = np.array(answer, np.int64).reshape(y.shape)
    graph = graph_of(operations, tensors, list(arrays), list(expected))
    check_graph(graph, arrays, expected)


@pytest.mark.parametrize(
    ("q", "k", "change", "message"),
    [
        ((1, 6, 4), (1, 6, 4, 1), {}, "keys have shape [1, 6, 4, 1]"),
        ((6, 4), (1, 6, 4), {}, "queries have shape [6, 4]"),
        ((1, 6, 5), (1, 6, 4), {}, "queries of 5 features in 2 heads"),
        ((1, 6, 4), (1, 6, 6), {}, "do not match keys of 6 in 2"),
        ((1, 6, 4), (1, 6, 4), {"num_kv_heads": 3}, "2 heads cannot share 3"),
        ((1, 6, 4), (1, 6, 4), {"num_kv_heads": 0}, "2 heads cannot share 0"),
        ((1, 6, 4), (1, 6, 4), {"outer": 4}, "6 tokens do not fall into 4 x 1 groups"),
        ((1, 5, 4), (1, 6, 4), {}, "5 queries for 6 keys"),
    ],
)
def test_what_does_not_fit_is_refused(
    q: tuple[int, ...], k: tuple[int, ...], change: dict[str, int], message: str
) -> None:
    rescale = plan_rescale([Fraction(1)], [Fraction(0)], 0, -128, 127, 1)
    sizes = {"num_heads": 2, "num_kv_heads": 2, "outer": 1, "inner": 1, **change}
    operation = AttentionScores("wrong", ("q", "k"), ("y",), **sizes, shared=False, rescale=rescale)
    with pytest.raises(GraphError) as error:
        operation.infer([codes("q", q), codes("k", k)])
    assert message in str(error.value)
