"""Relu: oracle -> reference -> C (N8). All codes of every case."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from ares.numerics import RELU, lookup_table
from ares.ops.relu import Relu
from tests.numerics import oracle
from tests.ops.graphs import check_graph, graph_of
from tests.ops.harness import codes

HALF = Fraction(1, 2)


@dataclass(frozen=True)
class Case:
    """Source and target: dtype, scale, zero point, and lo, hi where they are not the type's."""

    name: str
    source: tuple[str, float, int]
    target: tuple[str, float, int] | tuple[str, float, int, int, int]
    reaches: tuple[str, ...]


CASES = (
    Case("to u8", ("s8", 0.1, 0), ("u8", 0.05, 0), ("relu", "code above 127")),
    Case("to u8, clipped", ("s8", 0.1, 0), ("u8", 0.03, 0), ("relu", "high clip")),
    Case(
        "to u8 at half the resolution",
        ("s8", 0.5, 0),
        ("u8", 1.0, 0),
        ("relu", "tie to the code below", "tie to the code above"),
    ),
    Case(
        "to s8",
        ("s8", 0.25, -3),
        ("s8", 0.5, 0),
        ("relu", "tie to the code below", "tie to the code above"),
    ),
    Case(
        "from u8 with a zero point",
        ("u8", 0.25, 131),
        ("s8", 0.125, -101),
        ("relu", "high clip", "odd zero points", "zero is the zero point"),
    ),
    Case("same scale", ("s8", 0.3, 0), ("s8", 0.3, 0), ("relu",)),
    Case("to 4 bits", ("s8", 0.1, 0), ("u8", 0.5, 0, 0, 15), ("relu", "high clip")),
    Case("nothing negative", ("u8", 0.1, 0), ("u8", 0.1, 0), ("code above 127",)),
)


def test_all_cases_in_one_program() -> None:
    operations, tensors, arrays, expected = [], [], {}, {}
    for number, case in enumerate(CASES):
        kind, scale, zero_point, *bounds = case.source
        source = codes(f"x{number}", (1, 256), kind, scale, zero_point, *bounds)
        kind, scale, zero_point, *bounds = case.target
        target = codes(f"y{number}", (1, 256), kind, scale, zero_point, *bounds)
        ratio = Fraction(case.source[1]) / Fraction(scale)
        row, reached = [], set()
        for code in range(source.lo, source.hi + 1):
            step = code - source.zero_point
            if step < 0:
                reached.add("relu")
                step = 0
            value = step * ratio + zero_point
            if value > target.hi + HALF:
                reached.add("high clip")
            elif value % 1 == HALF:
                reached.add(f"tie to the code {'below' if int(value // 1) % 2 == 0 else 'above'}")
            row.append(oracle.clamp(oracle.nearest(value), target.lo, target.hi))
        reached |= {"code above 127"} if max(row) > 127 else set()
        reached |= {"odd zero points"} if source.zero_point % 2 and zero_point % 2 else set()
        reached |= {"zero is the zero point"} if min(row) == zero_point != target.lo else set()
        assert set(case.reaches) <= reached, case.name
        table = lookup_table(RELU, source, target)
        operations.append(Relu(f"layer{number}", (source.name,), (target.name,), table))
        tensors += [source, target]
        arrays[source.name] = np.arange(source.lo, source.hi + 1)[None]
        expected[target.name] = np.array([row])
    graph = graph_of(operations, tensors, list(arrays), list(expected))
    check_graph(graph, arrays, expected)
