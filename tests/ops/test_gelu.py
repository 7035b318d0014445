"""Gelu: oracle -> reference -> C (N7, N8). All codes of every case; the oracle has 100 digits."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from ares.numerics import FUNCTIONS, lookup_table
from ares.ops.gelu import Gelu
from tests.numerics import oracle
from tests.ops.graphs import check_graph, graph_of
from tests.ops.harness import codes

HALF = Fraction(1, 2)


@dataclass(frozen=True)
class Case:
    """Source and target: dtype, scale, zero point, and lo, hi where they are not the type's."""

    name: str
    function: str
    source: tuple[str, float, int]
    target: tuple[str, float, int] | tuple[str, float, int, int, int]
    reaches: tuple[str, ...]


CASES = (
    Case("erf", "gelu", ("s8", 1 / 32, 0), ("s8", 1 / 32, 0), ("falling", "rising")),
    Case(
        "erf, fine output",
        "gelu",
        ("s8", 4 / 127, 3),
        ("s8", 0.13 / 127, 0),
        ("falling", "rising", "low clip", "high clip"),
    ),
    Case(
        "erf, u8 with zero points",
        "gelu",
        ("u8", 8 / 255, 117),
        ("u8", 4 / 255, 11),
        ("falling", "rising", "code above 127"),
    ),
    Case(
        "erf, unsigned without zero point",
        "gelu",
        ("s8", 1 / 32, 0),
        ("u8", 1 / 64, 0),
        ("falling", "rising", "low clip"),
    ),
    Case("erf, 4 bits", "gelu", ("s8", 0.1, 0), ("s8", 0.2, 0, -8, 7), ("rising", "high clip")),
    Case("erf, far tails", "gelu", ("s8", 2.0, 0), ("s8", 0.5, 0), ("rising", "high clip")),
    Case("tanh", "gelu_tanh", ("s8", 1 / 32, 0), ("s8", 1 / 64, 1), ("falling", "rising")),
    Case(
        "tanh, fine output",
        "gelu_tanh",
        ("u8", 8 / 255, 128),
        ("s8", 0.13 / 127, -1),
        ("falling", "rising", "low clip", "high clip"),
    ),
)


def test_all_cases_in_one_program() -> None:
    operations, tensors, arrays, expected, answers = [], [], {}, {}, {}
    for number, case in enumerate(CASES):
        kind, scale, zero_point, *bounds = case.source
        source = codes(f"x{number}", (1, 256), kind, scale, zero_point, *bounds)
        kind, out_scale, out_zero_point, *bounds = case.target
        target = codes(f"y{number}", (1, 256), kind, out_scale, out_zero_point, *bounds)
        row, reached = [], set()
        for code in range(source.lo, source.hi + 1):
            real = oracle.FUNCTIONS[case.function]((code - zero_point) * Fraction(scale))
            value = real / Fraction(out_scale) + out_zero_point
            if value < target.lo - HALF:
                reached.add("low clip")
            elif value > target.hi + HALF:
                reached.add("high clip")
            row.append(oracle.clamp(oracle.nearest(value), target.lo, target.hi))
        steps = np.diff(row)
        reached |= {"falling"} if (steps < 0).any() or reached & {"low clip"} else set()
        reached |= {"rising"} if (steps > 0).any() else set()
        reached |= {"code above 127"} if max(row) > 127 else set()
        assert set(case.reaches) <= reached, case.name
        table = lookup_table(FUNCTIONS[case.function], source, target)
        operations.append(Gelu(f"layer{number}", (source.name,), (target.name,), table))
        tensors += [source, target]
        arrays[source.name] = np.arange(source.lo, source.hi + 1)[None]
        expected[target.name] = answers[case.name] = np.array([row])
    assert (answers["erf"] != answers["tanh"]).any()
    graph = graph_of(operations, tensors, list(arrays), list(expected))
    check_graph(graph, arrays, expected)
