"""Softmax of accumulators: oracle -> reference -> C (N2, N13). The oracle has 60 digits and is on its own."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Context, Decimal
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from ares.ir import GraphError, Tensor, frozen_array
from ares.numerics import exp_tables, plan_reciprocal
from ares.ops import Site
from ares.ops.matmul_softmax import MatmulSoftmax
from tests.ops.graphs import check_graph, graph_of
from tests.ops.harness import codes
from tests.ops.reaching import assert_reaches

Array = npt.NDArray[Any]
EXACT = Context(prec=60)
HALF = Fraction(1, 2)
U8 = ("u8", 1 / 255, 0)
SMALL, LARGE = ("s8", 0.05, 0), ("s8", 0.5, 0)


@dataclass(frozen=True)
class Case:
    """Shapes [..., i, k] and [..., k, j]; sources and target as in `codes`: dtype, scale, zero point, lo, hi.

    `factor`: what multiplies the product, 1 / sqrt(d) as a rule. `mask`: rows of 1 where a key counts, in turn.
    """

    name: str
    shapes: tuple[tuple[int, ...], tuple[int, ...]]
    sources: tuple[tuple[Any, ...], tuple[Any, ...]]
    reaches: tuple[str, ...]
    target: tuple[Any, ...] = U8
    factor: Fraction = Fraction(1, 2)
    mask: tuple[str, ...] = ()
    seed: int = 7
    equal: bool = False  # keys


CASES = (
    Case(
        "one byte of steps",
        ((1, 2, 3, 1), (1, 2, 1, 7)),
        (("s8", 0.25, 0, -1, 1), ("s8", 0.5, 0, -60, 60)),
        ("one digit", "rounded up"),
    ),
    Case(
        "two bytes",
        ((1, 3, 5, 4), (1, 3, 4, 11)),
        (SMALL, SMALL),
        ("two digits", "zero", "both signs"),
    ),
    Case(
        "three bytes, odd zero points",
        ((1, 1, 5, 13), (1, 1, 13, 11)),
        (("u8", 0.001, 129), ("s8", 0.013, -7)),
        ("three digits", "rounded up", "both signs"),
    ),
    Case(
        "steps of 25 bits: digits of nine",
        ((1, 2, 512), (1, 512, 13)),
        (("s8", 1e-3, 0), ("u8", 1e-3, 0)),
        ("three digits", "nine bits", "rounded up"),
    ),
    Case(
        "so far apart that the others are nothing",
        ((1, 7, 8), (1, 8, 5)),
        (LARGE, ("u8", 0.5, 131)),
        ("one", "zero", "too far"),
    ),
    Case(
        "512 equal keys lie at a tie",
        ((1, 3, 5), (1, 5, 512)),
        (SMALL, SMALL),
        ("tie to even",),
        ("u8", 2.0**-8, 0),
        equal=True,
    ),
    Case(
        "a tie with an odd zero point",
        ((1, 1, 1), (1, 1, 512)),
        (SMALL, SMALL),
        ("tie to odd step",),
        ("s8", 2.0**-8, -77),
        equal=True,
    ),
    Case(
        "one second factor for all",
        ((1, 3, 2, 4), (1, 1, 4, 13)),
        (SMALL, SMALL),
        ("shared", "high clip"),
        ("u8", 2.0**-16, 0),
    ),
    Case("one key", ((1, 2, 3), (1, 3, 1)), (SMALL, SMALL), ("one", "code above 127")),
    Case(
        "probabilities of 4 bits",
        ((1, 9, 6), (1, 6, 17)),
        (LARGE, ("u8", 0.8, 3)),
        ("zero", "one digit", "fewer digits than the steps have"),
        ("u8", 1 / 15, 0, 0, 15),
    ),
    Case(
        "the largest is masked",
        ((1, 2, 3, 4), (1, 2, 4, 5)),
        (SMALL, SMALL),
        ("masked", "mask turns the largest"),
        ("s8", 1 / 100, -7),
        mask=("10000", "01101", "11111"),
    ),
    Case(
        "causal, for each head",
        ((1, 2, 4, 3), (1, 2, 3, 4)),
        (SMALL, ("s8", 0.05, 5)),
        ("masked", "one"),
        mask=("1000", "1100", "1110", "1111"),
    ),
)


def _tensors(case: Case, suffix: str = "") -> tuple[list[Tensor], Tensor]:
    pairs = zip("ab", case.shapes, case.sources, strict=True)
    sources = [codes(f"{role}{suffix}", shape, *source) for role, shape, source in pairs]
    shape = (*case.shapes[0][:-1], case.shapes[1][-1])
    return sources, codes(f"y{suffix}", shape, *case.target)


def _arrays(case: Case, sources: list[Tensor]) -> list[Array]:
    draw = np.random.Generator(np.random.PCG64(case.seed))
    first, second = (draw.integers(s.lo, s.hi + 1, s.shape) for s in sources)
    return [first, np.broadcast_to(second[..., :1], second.shape) if case.equal else second]


def _step(case: Case) -> Fraction:
    """What one unit of the product is worth."""
    return Fraction(case.sources[0][1]) * Fraction(case.sources[1][1]) * case.factor


def _operation(case: Case, suffix: str = "") -> MatmulSoftmax:
    (first, second), _ = _tensors(case)
    bound = case.shapes[0][-1] * first.largest_magnitude * second.largest_magnitude
    mask = [[int(key) for key in row] for row in case.mask] or np.zeros((0, 0))
    return MatmulSoftmax(
        f"m{suffix}",
        (f"a{suffix}", f"b{suffix}"),
        (f"y{suffix}",),
        *exp_tables(_step(case), 2 * bound),
        *plan_reciprocal(case.target[1]),
        frozen_array(mask, np.uint8),
    )


def _rows(case: Case, arrays: list[Array]) -> list[list[int]]:
    """The product by hand, a list for each query of every group."""
    zeros = [source[2] for source in case.sources]
    first, second = (a.astype(object) - z for a, z in zip(arrays, zeros, strict=True))
    *groups, queries, depth = case.shapes[0]
    keys = case.shapes[1][-1]
    found = []
    for *group, i in product(*map(range, (*groups, queries))):
        own = [g if n > 1 else 0 for g, n in zip(group, case.shapes[1][:-2], strict=True)]
        row = [
            sum(first[(*group, i, k)] * second[(*own, k, j)] for k in range(depth))
            for j in range(keys)
        ]
        found.append([int(value) for value in row])
    return found


def _kept(case: Case, number: int, keys: int) -> list[int]:
    if not case.mask:
        return list(range(keys))
    mask = case.mask[number % len(case.mask)]
    return [j for j in range(keys) if mask[j] == "1"]


def _reals(case: Case, rows: list[list[int]]) -> list[Fraction]:
    """The probability of every key in output codes, of a masked one zero."""
    step = _step(case)
    worth = EXACT.divide(Decimal(step.numerator), Decimal(step.denominator))
    found = []
    for number, row in enumerate(rows):
        places = _kept(case, number, len(row))
        top = max(row[j] for j in places)
        exps = {
            value: Fraction(EXACT.exp(EXACT.multiply(Decimal(value - top), worth)))
            for value in {row[j] for j in places}
        }
        total = sum(exps[row[j]] for j in places)
        for j, value in enumerate(row):
            share = exps[value] / total if j in places else Fraction(0)
            found.append(share / Fraction(case.target[1]) + case.target[2])
    return found


def _facts(
    case: Case, operation: MatmulSoftmax, rows: list[list[int]], reals: list[Fraction]
) -> dict[str, bool]:
    target = _tensors(case)[1]
    kept = [_kept(case, number, len(row)) for number, row in enumerate(rows)]
    tops = [max(row[j] for j in places) for row, places in zip(rows, kept, strict=True)]
    steps = [
        top - row[j] for row, places, top in zip(rows, kept, tops, strict=True) for j in places
    ]
    digits = len(operation.mantissas)
    ties = [v for v in reals if v.denominator == 2 and target.lo < v < target.hi]
    odd = [(round(value) - target.zero_point) % 2 == 1 for value in ties]
    one = 1 / Fraction(case.target[1]) + target.zero_point
    names = ("one digit", "two digits", "three digits")
    return {
        **{name: digits == count for count, name in enumerate(names, 1)},
        "nine bits": operation.mantissas.shape[1] == 512,
        "fewer digits than the steps have": max(steps) >= 256**digits,
        "too far": any(step * _step(case) > 44 for step in steps),
        "both signs": any(v < 0 for row in rows for v in row) and max(map(max, rows)) > 0,
        "masked": any(len(places) < len(row) for row, places in zip(rows, kept, strict=True)),
        "mask turns the largest": any(top < max(row) for row, top in zip(rows, tops, strict=True)),
        "shared": case.shapes[0][:-2] != case.shapes[1][:-2],
        "one": any(abs(real - one) < Fraction(1, 1000) for real in reals),
        "zero": any(round(value) == target.zero_point for value in reals),
        "rounded up": any(target.hi > round(value) > value for value in reals),
        "high clip": any(value > target.hi + HALF for value in reals),
        "code above 127": any(min(target.hi, value) > 127 for value in reals),
        "tie to odd step": any(odd),
        "tie to even": bool(ties) and not all(odd),
    }


def test_all_cases_in_one_program() -> None:
    operations, tensors, arrays, expected = [], [], {}, {}
    for number, case in enumerate(CASES):
        operation = _operation(case, str(number))
        sources, target = _tensors(case, str(number))
        given = _arrays(case, sources)
        rows = _rows(case, given)
        reals = _reals(case, rows)
        assert_reaches(case.reaches, _facts(case, operation, rows, reals))
        answer = [max(target.lo, min(target.hi, round(real))) for real in reals]
        operations.append(operation)
        tensors += [*sources, target]
        arrays |= {source.name: array for source, array in zip(sources, given, strict=True)}
        expected[target.name] = np.array(answer, np.int64).reshape(target.shape)
    graph = graph_of(operations, tensors, list(arrays), list(expected))
    check_graph(graph, arrays, expected)


@pytest.mark.parametrize("scale", [1e-4, 0.003, 0.05, 0.7])
@pytest.mark.parametrize("keys", [1, 59, 257])
def test_every_value_before_rounding_is_within_eps(scale: float, keys: int) -> None:
    for probability_scale in (1 / 255, 2.0**-15 / 3):
        case = Case(
            "drawn",
            ((1, 2, 64), (1, 64, keys)),
            (("s8", scale, 3), ("u8", scale, 100)),
            (),
            ("u8", probability_scale, 0),
        )
        sources, target = _tensors(case)
        arrays = _arrays(case, sources)
        (found,) = _operation(case).reference(Site(tuple(sources), (target,)), arrays)
        for code, real in zip(found.flat, _reals(case, _rows(case, arrays)), strict=True):
            meant = min(real, Fraction(255))
            assert abs(int(code) - meant) <= HALF + Fraction(MatmulSoftmax.EPS)


def test_what_does_not_fit_is_refused() -> None:
    operation = _operation(CASES[0])
    for first, second, message in (
        ((1, 2, 3), (1, 4, 5), "do not match"),
        ((1, 2, 3), (1, 1, 3, 5), "do not match"),
        ((1, 2, 3), (1, 3, 2049), "rows of 2049 keys, expected at most 2048"),
    ):
        with pytest.raises(GraphError, match=message):
            operation.infer([codes("a", first), codes("b", second)])
    masked = _operation(CASES[-1])
    with pytest.raises(GraphError, match="a mask of shape"):
        masked.infer([codes("a", (1, 3, 3)), codes("b", (1, 3, 4))])
