"""Mul: oracle -> reference -> C (N12). The oracle multiplies Python integers and rounds a Fraction once."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import pytest

from ares.ir import GraphError
from ares.numerics import plan_rescale
from ares.ops.mul import Mul
from tests.numerics import oracle
from tests.ops.harness import check_operation, codes


@dataclass(frozen=True)
class Case:
    name: str
    shapes: tuple[tuple[int, ...], tuple[int, ...]]
    sources: tuple[tuple[Any, ...], tuple[Any, ...]]
    target: tuple[Any, ...]
    reaches: tuple[str, ...]


ALL = ("tie", "low clip", "high clip", "negative")
CASES = (
    Case("s8", ((1, 3, 5, 7),) * 2, (("s8", 0.25, 0), ("s8", 0.25, 0)), ("s8", 2.0, 0), ALL),
    Case("u8 and s8", ((1, 11, 13),) * 2, (("u8", 0.5, 129), ("s8", 0.5, -3)), ("u8", 8.0, 101), ALL),
    Case("plain scales", ((1, 257),) * 2, (("u8", 0.071, 0), ("s8", 0.033, 5)), ("s8", 0.2, 1), ()),
    Case("4 bits", ((1, 64),) * 2, (("s8", 0.5, 0, -8, 7), ("u8", 0.5, 0, 0, 15)), ("s8", 2.0, 0, -7, 7), ALL),
    Case("largest", ((1, 4),) * 2, (("u8", 1.0, 0), ("u8", 1.0, 255)), ("s8", 512.0, 0), ("negative",)),
    Case("one element", ((1, 1),) * 2, (("u8", 1.0, 1), ("s8", 1.0, 3)), ("u8", 256.0, 100), ()),
    Case("one row", ((1, 7, 5), (1, 1, 5)), (("s8", 0.5, 1), ("s8", 0.25, 3)), ("s8", 4.0, 5), ("tie",)),
    Case("a channel", ((1, 5, 3, 2), (1, 5, 1, 1)), (("u8", 0.5, 0), ("s8", 0.5, 0)), ("s8", 16.0, 0), ("negative",)),
    Case("past 15 bits", ((1, 3, 41),) * 2, (("u8", 1.0, 0), ("u8", 1.0, 0)), ("u8", 256.0, 0), ("above 32,767",)),
    Case("below 15 bits", ((1, 131),) * 2, (("s8", 1.0, -128), ("u8", 1.0, 255)), ("s8", 512.0, 0), ("below -32,768",)),
    Case("codes past 32 bits", ((1, 67),) * 2, (("s8", 1.0, 3), ("s8", 1.0, 1)), ("s8", 2.0**-20, 0), ("past int32",)),
)  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_oracle_reference_c(case: Case) -> None:
    pairs = enumerate(zip(case.shapes, case.sources, strict=True))
    sources = [codes(f"x{i}", shape, *source) for i, (shape, source) in pairs]
    target = codes("y", case.shapes[0], *case.target)
    draw = np.random.Generator(np.random.PCG64(3))
    arrays = [draw.integers(s.lo, s.hi + 1, s.shape) for s in sources]
    for array, source in zip(arrays, sources, strict=True):
        array.flat[0], array.flat[-1] = source.hi, source.lo
    ratio = Fraction(case.sources[0][1]) * Fraction(case.sources[1][1]) / Fraction(case.target[1])
    expected, reached = np.zeros(case.shapes[0], np.int64), set()
    for index in product(*(range(size) for size in case.shapes[0])):
        real = ratio
        for array, source in zip(arrays, sources, strict=True):
            at = tuple(i if n > 1 else 0 for i, n in zip(index, array.shape, strict=True))
            real *= int(array[at]) - source.zero_point
        reached |= {"past int32"} if abs(real) > 2**32 else set()
        reached |= {"above 32,767"} if real / ratio > 32767 else set()
        reached |= {"below -32,768"} if real / ratio < -32768 else set()
        reached |= {"negative"} if real < 0 else set()
        real += target.zero_point
        reached |= {"tie"} if real.denominator == 2 else set()
        reached |= {"low clip"} if real < target.lo - 1 else set()
        reached |= {"high clip"} if real > target.hi + 1 else set()
        expected[index] = oracle.clamp(oracle.nearest(real), target.lo, target.hi)
    assert set(case.reaches) <= reached
    bound = sources[0].largest_magnitude * sources[1].largest_magnitude
    rescale = plan_rescale([ratio], [Fraction(0)], target.zero_point, target.lo, target.hi, bound)
    operation = Mul("gate", ("x0", "x1"), ("y",), rescale)
    check_operation(operation, sources, [target], arrays, [expected])


def test_shapes_that_do_not_fit_are_refused() -> None:
    rescale = plan_rescale([Fraction(1)], [Fraction(0)], 0, -128, 127, 100)
    with pytest.raises(GraphError, match="shapes differ"):
        Mul("gate", ("a", "b"), ("y",), rescale).infer([codes("a", (1, 3)), codes("b", (1, 2))])
