"""Rotary: oracle -> reference -> C (N14). The oracle has cosines of 50 digits and shares no code with `ares`."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from ares.ir import GraphError, Tensor
from ares.numerics import plan_rotation, rotation_tables
from ares.ops import Site
from ares.ops.rotary import Rotary
from tests.numerics.test_rotary import turned
from tests.ops.graphs import check_graph, graph_of
from tests.ops.harness import check_operation, codes
from tests.ops.reaching import assert_reaches

Array = npt.NDArray[Any]
HALF = Fraction(1, 2)


@dataclass(frozen=True)
class Case:
    """`groups` (outer, length, inner)."""

    name: str
    groups: tuple[int, int, int]
    heads: int
    head_dim: int
    base: float
    source: tuple[Any, ...]
    target: tuple[Any, ...]
    reaches: tuple[str, ...]
    halves: bool = False


S8 = ("s8", 0.5, 0)
CASES = (
    Case("plain", (1, 13, 1), 1, 16, 10000.0, S8, S8, ("low clip", "high clip", "negative")),
    Case("heads", (1, 31, 1), 3, 4, 10000.0, S8, ("s8", 0.7, 0), ("negative",)),
    Case("one pair", (1, 5, 1), 1, 2, 10000.0, S8, S8, ("negative",)),
    Case("far positions", (1, 401, 1), 1, 6, 10000.0, S8, S8, ("low clip", "high clip")),
    Case("another base", (1, 11, 1), 2, 8, 500.0, S8, ("s8", 0.37, 0), ("high clip",)),
    Case(
        "unsigned, zero points",
        (1, 11, 1),
        2,
        8,
        100.0,
        ("u8", 0.25, 117),
        ("u8", 0.5, 129),
        ("answer above 127",),
    ),
    Case("channels at each time", (1, 5, 7), 2, 4, 10000.0, S8, ("s8", 0.75, 5), ()),
    Case("times of each channel", (5, 7, 1), 2, 4, 10000.0, S8, ("s8", 0.75, 5), ()),
    Case("both sides", (2, 3, 5), 1, 2, 10000.0, S8, ("s8", 0.75, 5), ()),
    Case("ties where nothing turns", (1, 2, 1), 3, 8, 1e4, S8, ("s8", 1.0, 0), ("tie",)),
    Case("ties, odd zero point", (1, 2, 1), 3, 8, 1e4, S8, ("s8", 1.0, -3), ("tie",)),
    Case("coarse output", (1, 7, 1), 1, 4, 1e4, S8, ("s8", 5e8, 1), ()),
    Case("fine output", (1, 7, 1), 1, 4, 1e4, S8, ("s8", 2.0**-20, 0), ("low clip", "high clip")),
    Case("4 bits", (1, 7, 1), 1, 4, 1e4, ("s8", 1.0, 0, -8, 7), ("s8", 1.0, 0, -8, 7), ()),
    Case("halves", (1, 13, 1), 3, 6, 1e4, S8, ("s8", 0.7, 0), ("negative",), halves=True),
    Case("halves, groups", (2, 3, 5), 2, 8, 50.0, S8, ("u8", 0.6, 131), (), halves=True),
    Case("halves of one pair", (1, 5, 1), 2, 2, 1e4, S8, S8, ("negative",), halves=True),
    Case("halves of u8", (1, 13, 1), 2, 18, 1e4, ("u8", 0.5, 117), S8, ("negative",), halves=True),
)


def _tensors(number: int, case: Case) -> tuple[Tensor, Tensor]:
    outer, length, inner = case.groups
    shape = (1, outer * length * inner, case.heads * case.head_dim)
    return codes(f"x{number}", shape, *case.source), codes(f"y{number}", shape, *case.target)


def _operation(number: int, case: Case) -> Rotary:
    outer, length, inner = case.groups
    return Rotary(
        f"layer{number}",
        (f"x{number}",),
        (f"y{number}",),
        outer,
        inner,
        *rotation_tables(length, case.head_dim, case.base),
        *plan_rotation(Fraction(case.source[1]) / Fraction(case.target[1])),
        halves=case.halves,
    )


def _reals(case: Case, x: Array) -> Array:
    """The rotated values in output codes."""
    _, length, inner = case.groups
    ratio = Fraction(case.source[1]) / Fraction(case.target[1])
    found = np.full(x.shape, None, object)
    turns = {
        (position, pair): turned(case.base, position, pair, case.head_dim)
        for position in range(length)
        for pair in range(case.head_dim // 2)
    }
    for token in range(x.shape[1]):
        for number in range(x.shape[2] // 2):
            pair = number % (case.head_dim // 2)
            head = (number - pair) * 2
            first, second = (head + 2 * pair, head + 2 * pair + 1)
            if case.halves:
                first, second = head + pair, head + pair + case.head_dim // 2
            cos, sin = turns[token // inner % length, pair]
            a, b = (int(x[0, token, feature]) - case.source[2] for feature in (first, second))
            found[0, token, first] = ratio * (a * cos - b * sin) + case.target[2]
            found[0, token, second] = ratio * (a * sin + b * cos) + case.target[2]
    return found


def _draw(seed: int, tensor: Tensor) -> Array:
    draw = np.random.Generator(np.random.PCG64(seed))
    return draw.integers(tensor.lo, tensor.hi + 1, tensor.shape)


def test_all_cases_in_one_program() -> None:
    operations, tensors, arrays, expected = [], [], {}, {}
    for number, case in enumerate(CASES):
        x, y = _tensors(number, case)
        arrays[x.name] = _draw(number, x)
        reals = _reals(case, arrays[x.name])
        assert_reaches(case.reaches, {}, reals.flat, y)
        answer = [max(y.lo, min(y.hi, round(real))) for real in reals.flat]
        operations.append(_operation(number, case))
        tensors += [x, y]
        expected[y.name] = np.array(answer, np.int64).reshape(y.shape)
    graph = graph_of(operations, tensors, list(arrays), list(expected))
    check_graph(graph, arrays, expected)


def test_what_looks_like_a_tie_and_is_none() -> None:
    """The lowest of 70 bits decides: 4 * 2**30 is half a code here, one more or less is not."""
    turned = np.array([[2**30]], np.int32), np.array([[1]], np.int32)
    firsts, seconds = (4, 12, -4, -12, 20), (-1, 0, 1)
    pairs = [(a, b) for a in firsts for b in seconds]
    x, y = codes("x", (1, 1, 2 * len(pairs))), codes("y", (1, 1, 2 * len(pairs)))
    reals = [Fraction(a * 2**30 - b, 2**33) for a, b in pairs]
    assert {real % 1 - HALF for real in reals} == {Fraction(b, 2**33) for b in seconds}
    # The other feature of each pair is an eighth of a code.
    expected = np.array([[[code for real in reals for code in (round(real), 0)]]])
    operation = Rotary("wide", ("x",), ("y",), 1, 1, *turned, multiplier=1, shift=1)
    check_operation(operation, [x], [y], [np.array(pairs).reshape(x.shape)], [expected])


@pytest.mark.parametrize("output_scale", [0.5, 0.7, 0.143, 11.0])
def test_every_code_is_within_eps(output_scale: float) -> None:
    case = Case("drawn", (1, 211, 1), 1, 8, 1e4, S8, ("s8", output_scale, 0), ())
    x, y = _tensors(0, case)
    drawn = _draw(5, x)
    (found,) = _operation(0, case).reference(Site((x,), (y,)), [drawn])
    for code, real in zip(found.flat, _reals(case, drawn).flat, strict=True):
        meant = max(y.lo, min(y.hi, real))
        assert abs(int(code) - meant) <= HALF + Fraction(Rotary.EPS)


@pytest.mark.parametrize(
    ("shape", "outer", "message"),
    [
        ((12, 8), 1, "tokens have shape [12, 8]"),
        ((1, 12, 8), 5, "12 tokens do not fall into 5 x 1 groups"),
        ((1, 12, 8), 2, "do not fit groups of 6 tokens with 8 features"),
        ((1, 12, 6), 1, "do not fit groups of 12 tokens with 6 features"),
    ],
)
def test_what_does_not_fit_is_refused(shape: tuple[int, ...], outer: int, message: str) -> None:
    operation = Rotary(
        "wrong", ("x",), ("y",), outer, 1, *rotation_tables(12, 4, 1e4), *plan_rotation(Fraction(1))
    )
    with pytest.raises(GraphError) as error:
        operation.infer([codes("x", shape)])
    assert message in str(error.value)
