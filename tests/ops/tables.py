"""All 256 codes of an operation that is a table: oracle with 384 bits -> reference -> C."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from ares.numerics import FUNCTIONS, lookup_table
from ares.ops._lookup import LookupOperation
from tests.numerics import oracle
from tests.ops.graphs import check_graph, graph_of
from tests.ops.harness import codes
from tests.ops.reaching import assert_reaches


@dataclass(frozen=True)
class Case:
    """Source and target: dtype, scale, zero point, and lo, hi where they are not the type's."""

    function: str
    source: tuple[str, float, int]
    target: tuple[str, float, int] | tuple[str, float, int, int, int]
    reaches: tuple[str, ...]


def check_tables(operation: type[LookupOperation], cases: Sequence[Case]) -> None:
    """Every code of every case in one program; each case must reach what it names."""
    operations, tensors, arrays, expected = [], [], {}, {}
    for number, case in enumerate(cases):
        kind, scale, zero_point = case.source
        source = codes(f"x{number}", (1, 256), kind, scale, zero_point)
        kind, out_scale, out_zero_point, *bounds = case.target
        target = codes(f"y{number}", (1, 256), kind, out_scale, out_zero_point, *bounds)
        row, reals = [], []
        for code in range(source.lo, source.hi + 1):
            real = oracle.FUNCTIONS[case.function]((code - zero_point) * Fraction(scale))
            value = real / Fraction(out_scale) + out_zero_point
            reals.append(value)
            row.append(oracle.clamp(oracle.nearest(value), target.lo, target.hi))
        steps = np.diff(row)
        facts = {
            "falling": (steps < 0).any(),
            "rising": (steps > 0).any(),
            "code above 127": max(row) > 127,
        }
        assert_reaches(case.reaches, facts, reals, target)
        table = lookup_table(FUNCTIONS[case.function], source, target)
        operations.append(operation(f"layer{number}", (source.name,), (target.name,), table))
        tensors += [source, target]
        arrays[source.name] = np.arange(source.lo, source.hi + 1)[None]
        expected[target.name] = np.array([row])
    check_graph(graph_of(operations, tensors, list(arrays), list(expected)), arrays, expected)
