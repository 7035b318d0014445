"""Quantize: oracle -> reference -> C (N6). The oracle rounds Fractions to binary32 itself."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest

from ares.ir import DType, GraphError, Tensor
from ares.ops import Site
from ares.ops.quantize import Quantize
from tests.numerics import oracle
from tests.ops.graphs import check_graph, graph_of
from tests.ops.harness import check_operation, codes, real

SPECIAL = (
    *(0x00000000, 0x80000000, 0x7F800000, 0xFF800000, 0x7F7FFFFF, 0xFF7FFFFF),
    *(0x00000001, 0x80000001, 0x007FFFFF, 0x807FFFFF, 0x00800000, 0x80800000),
    *(0x7FC00000, 0xFFC00000),
)


@dataclass(frozen=True)
class Case:
    name: str
    dtype: str
    scale: float
    zero_point: int
    reaches: tuple[str, ...]
    bounds: tuple[int, int] | tuple[()] = ()


TIES = ("tie to the code below", "tie to the code above", "negative tie")
CLIPS = ("low clip", "high clip")
CASES = (
    Case("dyadic", "s8", 0.125, 0, (*TIES, *CLIPS)),
    Case("dyadic, odd zero point", "u8", 0.0625, 129, (*TIES, *CLIPS, "quotient rounded away")),
    Case("not dyadic", "s8", 0.0173, 0, CLIPS),
    Case("u8 without zero point", "u8", 1 / 255, 0, CLIPS),
    Case("u8 with zero point", "u8", 2.64 / 255, 77, (*CLIPS, "sum rounded")),
    Case("4 bits", "s8", 0.3, 1, CLIPS, (-8, 7)),
    Case("smallest scale of Brevitas", "u8", 1e-10, 3, CLIPS),
    Case("large scale", "s8", 1e30, -5, CLIPS),
    Case("quotients beyond binary32", "s8", 1e-30, -1, (*CLIPS, "quotient overflows")),
)


def _patterns(tensor: Tensor) -> list[int]:
    """Bit patterns: around every step from code to code, and what is special."""
    scale = oracle.to_binary32(Fraction(tensor.scale or 0))
    assert isinstance(scale, Fraction)
    found = list(SPECIAL)
    for code in range(tensor.lo - 3, tensor.hi + 3):
        edge = oracle.to_bits(
            oracle.to_binary32((code + Fraction(1, 2) - tensor.zero_point) * scale)
        )
        found += [edge - 1, edge, edge + 1] if edge else [edge]
    return found


def _reached(bits: int, scale: Fraction, tensor: Tensor) -> set[str]:
    x = oracle.from_bits(bits)
    if isinstance(x, float):
        return {"infinity"} if x == x else {"NaN"}
    found = set()
    quotient = oracle.to_binary32(x / scale)
    if isinstance(quotient, float):
        return {"quotient overflows"}
    exact = x / scale + tensor.zero_point
    value = oracle.to_binary32(quotient + tensor.zero_point)
    assert isinstance(value, Fraction)
    if value != quotient + tensor.zero_point:
        found.add("sum rounded")
    if not tensor.lo - 1 < value < tensor.hi + 1:
        found.add("low clip" if value < 0 else "high clip")
    if tensor.lo < value < tensor.hi and value % 1 == Fraction(1, 2):
        found.add(f"tie to the code {'below' if int(value // 1) % 2 == 0 else 'above'}")
        found |= {"negative tie"} if value < tensor.zero_point else set()
        found |= {"quotient rounded away"} if exact != value else set()
    return found


def test_all_cases_in_one_program() -> None:
    operations, tensors, arrays, expected = [], [], {}, {}
    for number, case in enumerate(CASES):
        target = codes("", (1, 1), case.dtype, case.scale, case.zero_point, *case.bounds)
        scale = oracle.to_binary32(Fraction(case.scale))
        assert isinstance(scale, Fraction)
        patterns = _patterns(target)
        reached = set().union(*(_reached(bits, scale, target) for bits in patterns))
        assert {"NaN", "infinity", *case.reaches} <= reached, (case.name, reached)
        shape = (1, len(patterns))
        source = real(f"x{number}", shape)
        target = codes(f"y{number}", shape, case.dtype, case.scale, case.zero_point, *case.bounds)
        operations.append(Quantize(f"layer{number}", (source.name,), (target.name,)))
        tensors += [source, target]
        arrays[source.name] = np.array([patterns], np.uint32).view(np.float32)
        row = [
            oracle.quantize_binary32(bits, scale, case.zero_point, target.lo, target.hi)
            for bits in patterns
        ]
        expected[target.name] = np.array([row])
    graph = graph_of(operations, tensors, list(arrays), list(expected))
    check_graph(graph, arrays, expected)


def test_an_image() -> None:
    shape = (1, 3, 7, 5)
    source, target = real("x", shape), codes("y", shape, "u8", 0.5, 3)
    x = (np.arange(105).reshape(shape) / 4 - 7).astype(np.float32)
    expected = [oracle.nearest(Fraction(float(v)) * 2 + 3) for v in x.flat]
    wanted = np.clip(np.array(expected), 0, 255).reshape(shape)
    check_operation(Quantize("layer", ("x",), ("y",)), [source], [target], [x], [wanted])


def test_what_does_not_fit_is_refused() -> None:
    layer = Quantize("layer", ("x",), ("y",))
    with pytest.raises(GraphError, match="'x' is s8, expected f32"):
        layer.infer([codes("x", (1, 3))])
    for scale in (1e-39, 1e39):
        site = Site((real("x", (1,)),), (Tensor("y", (1,), DType.S8, scale, 0, -8, 7),))
        with pytest.raises(GraphError, match="no normal binary32 number"):
            layer.lower(site)
