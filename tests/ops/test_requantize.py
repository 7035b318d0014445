"""Requantize: oracle -> reference -> C (N8). All codes of every case; the oracle is one Fraction a code."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest

from ares.ir import DType, GraphError, Tensor, frozen_array
from ares.numerics import IDENTITY, lookup_table
from ares.ops.requantize import Requantize
from ares.plan import Space
from tests.numerics import oracle
from tests.ops.graphs import check_graph, graph_of
from tests.ops.harness import check_operation, codes, real
from tests.ops.reaching import assert_reaches

Codes = tuple[str, float, int] | tuple[str, float, int, int, int]


@dataclass(frozen=True)
class Case:
    name: str
    source: Codes
    target: Codes
    reaches: tuple[str, ...]


CASES = (
    Case(
        "half the resolution",
        ("s8", 0.25, 0),
        ("s8", 0.5, 0),
        ("tie to the code below", "tie to the code above", "negative tie", "both signs"),
    ),
    Case(
        "ties around odd zero points",
        ("u8", 0.25, 129),
        ("s8", 1.0, 7),
        ("tie to the code below", "tie to the code above", "code above 127", "odd zero points"),
    ),
    Case("finer", ("s8", 0.7, 3), ("s8", 0.1, -5), ("low clip", "high clip", "both signs")),
    Case("s8 to u8", ("s8", 0.1, 0), ("u8", 0.07, 0), ("low clip", "both signs")),
    Case("u8 to s8", ("u8", 0.02, 0), ("s8", 0.01, 0), ("high clip", "code above 127")),
    Case("shifted", ("u8", 0.1, 0), ("u8", 0.1, 201), ("high clip", "code above 127")),
    Case("to 4 bits", ("s8", 0.1, 0), ("s8", 1.3, 0, -8, 7), ("low clip", "high clip")),
    Case("from 4 bits", ("s8", 1.3, 0, -8, 7), ("u8", 0.1, 128), ("both signs",)),
    Case("to one code", ("s8", 0.001, 0), ("u8", 1.0, 3, 3, 3), ("constant",)),
)


def _tensor(name: str, spec: Codes, size: int) -> Tensor:
    kind, scale, zero_point, *bounds = spec
    return codes(name, (1, size), kind, scale, zero_point, *bounds)


def _all_codes(spec: Codes) -> range:
    tensor = _tensor("x", spec, 1)
    return range(tensor.lo, tensor.hi + 1)


def _real(code: int, source: Tensor, target: Tensor) -> Fraction:
    """In codes of the target, before rounding."""
    assert source.scale is not None
    assert target.scale is not None
    value = (code - source.zero_point) * Fraction(source.scale)
    return value / Fraction(target.scale) + target.zero_point


def _facts(every: range, source: Tensor, target: Tensor) -> dict[str, bool]:
    return {
        "code above 127": every[-1] > 127,
        "both signs": every[0] < source.zero_point < every[-1],
        "odd zero points": source.zero_point % 2 == target.zero_point % 2 == 1,
        "constant": target.lo == target.hi,
    }


def test_all_cases_in_one_program() -> None:
    operations, tensors, arrays, expected = [], [], {}, {}
    for number, case in enumerate(CASES):
        every = _all_codes(case.source)
        source = _tensor(f"x{number}", case.source, len(every))
        target = _tensor(f"y{number}", case.target, len(every))
        reals = [_real(code, source, target) for code in every]
        assert_reaches(case.reaches, _facts(every, source, target), reals, target)
        table = lookup_table(IDENTITY, source, target)
        operations.append(Requantize(f"layer{number}", (source.name,), (target.name,), table))
        tensors += [source, target]
        arrays[source.name] = np.array([every])
        expected[target.name] = np.array(
            [
                [
                    oracle.clamp(oracle.nearest(_real(code, source, target)), target.lo, target.hi)
                    for code in every
                ]
            ]
        )
    graph = graph_of(operations, tensors, list(arrays), list(expected))
    check_graph(graph, arrays, expected)


@pytest.mark.parametrize("shape", [(1, 7, 5, 3), (1, 13, 11), (1, 1)])
def test_any_shape(shape: tuple[int, ...]) -> None:
    source, target = codes("x", shape, "u8", 0.5, 3), codes("y", shape, "s8", 0.25, 0)
    x = np.arange(int(np.prod(shape))).reshape(shape) % 256
    expected = np.clip(2 * (x - 3), -128, 127)
    operation = Requantize("layer", ("x",), ("y",), lookup_table(IDENTITY, source, target))
    check_operation(operation, [source], [target], [x], [expected])


def test_the_second_of_two_works_in_place() -> None:
    shape = (1, 256)
    x, a, b = codes("x", shape), codes("a", shape, "u8", 1.0, 128), codes("b", shape, "s8", 2.0)
    operations = (
        Requantize("first", ("x",), ("a",), lookup_table(IDENTITY, x, a)),
        Requantize("second", ("a",), ("b",), lookup_table(IDENTITY, a, b)),
    )
    graph = graph_of(operations, (x, a, b), ["x"], ["b"])
    every = np.arange(-128, 128)[None]
    halves = np.array([[oracle.half_even(int(code), 2) for code in every[0]]])
    plan = check_graph(graph, {"x": every}, {"a": every + 128, "b": halves})
    places = [(plan.tensor(name).space, plan.tensor(name).position) for name in "ab"]
    assert places == [(Space.OUTPUT, 0)] * 2
    assert plan.arena_bytes == 0


def _with(table: object) -> Requantize:
    return Requantize("layer", ("x",), ("y",), frozen_array(table, np.uint8))


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(GraphError, match=r"table is uint8\[255\]"):
        _with(range(255)).infer([codes("x", (1, 3))])
    with pytest.raises(GraphError, match="'x' is f32, expected s8 or u8"):
        _with(range(256)).infer([real("x", (1, 3))])
    with pytest.raises(GraphError, match="'x' is s16, expected s8 or u8"):
        _with(range(256)).infer([Tensor("x", (1, 3), DType.S16, 1.0, 0, -9, 9)])
