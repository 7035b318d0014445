"""Softmax: oracle -> reference -> C (N13). The oracle has 60 digits and shares nothing with `ares.numerics`."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Context, Decimal
from fractions import Fraction
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from ares.ir import GraphError, Tensor
from ares.numerics import exp_table, plan_reciprocal
from ares.ops import Site
from ares.ops.softmax import Softmax
from tests.ops.graphs import check_graph, graph_of
from tests.ops.harness import codes
from tests.ops.reaching import assert_reaches

Array = npt.NDArray[Any]
EXACT = Context(prec=60)
HALF = Fraction(1, 2)


@dataclass(frozen=True)
class Case:
    """`rows`: how the scores are drawn; source and target as in `codes`: dtype, scale, zero point, lo, hi.

    `mask`: rows of 1 where a key counts, in turn; none where all do.
    """

    name: str
    shape: tuple[int, ...]
    rows: str
    source: tuple[Any, ...]
    target: tuple[Any, ...]
    causal: bool
    reaches: frozenset[str]
    mask: tuple[str, ...] = ()


def _case(
    name: str,
    shape: tuple[int, ...],
    rows: str,
    source: tuple[Any, ...],
    target: tuple[Any, ...],
    *reaches: str,
    causal: bool = False,
    mask: tuple[str, ...] = (),
) -> Case:
    return Case(name, shape, rows, source, target, causal, frozenset(reaches), mask)


U8 = ("u8", 1 / 255, 0)
CASES = (
    _case("one key", (1, 1, 7, 1), "bytes", ("s8", 0.1, 3), U8, "one", "code above 127"),
    _case("one key clips", (1, 5, 1), "bytes", ("s8", 0.1, 0), ("u8", 2.0**-8, 0), "high clip"),
    _case("256 equal keys", (1, 3, 2, 256), "flat", ("s8", 1 / 16, 0), U8, "rounded up"),
    _case(
        "512 equal keys lie at a tie",
        (1, 2, 512),
        "flat",
        ("s8", 1 / 16, 0),
        ("u8", 2.0**-8, 0),
        "tie to even",
    ),
    _case(
        "a tie with an odd zero point",
        (1, 2, 512),
        "flat",
        ("s8", 1 / 16, 0),
        ("s8", 2.0**-8, -77),
        "tie to odd step",
    ),
    _case("196 keys", (1, 11, 196), "normal", ("s8", 1 / 16, 0), U8, "zero", "rounded up"),
    _case("2048 keys", (1, 3, 2048), "normal", ("s8", 0.043, 0), ("u8", 2.0**-16, 0), "high clip"),
    _case("2048 equal keys", (1, 2, 2048), "flat", ("u8", 0.043, 9), ("u8", 2.0**-17 / 3, 0)),
    _case("2048 bytes", (1, 3, 2048), "bytes", ("u8", 3e-4, 128), ("u8", 1e-5, 0)),
    _case("one hot", (1, 5, 31), "one hot", ("s8", 1.0, 0), U8, "one", "zero"),
    _case("wide scores", (1, 5, 31), "bytes", ("s8", 40.0, 0), U8, "one", "zero"),
    _case("narrow scores", (1, 4, 37), "bytes", ("s8", 1e-9, 0), U8, "rounded up"),
    _case(
        "signed probabilities",
        (1, 9, 17),
        "normal",
        ("s8", 0.05, 0),
        ("s8", 1 / 300, -128),
        "zero",
    ),
    _case(
        "signed, no zero point", (1, 9, 17), "normal", ("s8", 0.3, 0), ("s8", 1 / 127, 0), "zero"
    ),
    _case("4 bits", (1, 9, 17), "normal", ("s8", 0.3, 0, -8, 7), ("u8", 1 / 15, 0, 0, 15), "zero"),
    _case("finest scale", (1, 3, 700), "normal", ("s8", 0.2, 0), ("u8", 2.0**-30, 0), "high clip"),
    _case("coarsest scale", (1, 3, 5), "normal", ("s8", 0.2, 0), ("u8", 2.0**30, 255), "zero"),
    _case("scale above one", (1, 3, 1), "bytes", ("s8", 0.2, 0), ("u8", 2.0, 3), "tie to odd step"),
    _case("causal", (1, 4, 19, 19), "normal", ("s8", 0.1, 0), U8, "one", "masked", causal=True),
    _case(
        "causal, future is largest",
        (1, 23, 23),
        "rising",
        ("u8", 0.1, 7),
        ("s8", 1 / 100, 5),
        "masked",
        causal=True,
    ),
    _case(
        "keys masked, the largest among them",
        (1, 3, 5, 9),
        "rising",
        ("s8", 0.7, 0),
        U8,
        "masked",
        "zero",
        mask=("111101000",),
    ),
    _case(
        "a mask for each row",
        (1, 2, 3, 5),
        "bytes",
        ("u8", 0.02, 131),
        ("s8", 1 / 100, -7),
        "masked",
        "one",
        mask=("10000", "01101", "11111"),
    ),
    _case(
        "a mask for each head",
        (1, 2, 2, 3),
        "normal",
        ("s8", 0.05, 0),
        U8,
        "masked",
        mask=("100", "011", "111", "110"),
    ),
    _case(
        "a mask over a long row",
        (1, 2, 3, 300),
        "normal",
        ("s8", 0.05, 0),
        ("u8", 1 / 2000, 0),
        "masked",
        mask=("110" * 100, "1" * 299 + "0", "01" * 150),
    ),
    _case("32 keys", (1, 3, 32), "normal", ("s8", 0.05, 0), ("u8", 1 / 500, 0)),
    _case("32 keys of many rows", (1, 33, 32), "normal", ("s8", 0.05, 0), ("u8", 1 / 500, 0)),
)


def _scores(case: Case, tensor: Tensor) -> Array:
    draw = np.random.Generator(np.random.PCG64(7))
    middle = (tensor.lo + tensor.hi) // 2
    if case.rows == "flat":
        levels = draw.integers(tensor.lo, tensor.hi + 1, (*case.shape[:-1], 1))
        return np.broadcast_to(levels, case.shape).astype(np.int64)
    if case.rows == "one hot":
        rows = np.full((prod(case.shape[:-1]), case.shape[-1]), tensor.lo)
        rows[np.arange(len(rows)), draw.integers(0, case.shape[-1], len(rows))] = tensor.hi
        return rows.reshape(case.shape).astype(np.int64)
    if case.rows == "normal":
        spread = (tensor.hi - tensor.lo) / 8
        drawn = np.rint(draw.normal(middle, spread, case.shape))
        return np.clip(drawn, tensor.lo, tensor.hi).astype(np.int64)
    if case.rows == "rising":
        return np.broadcast_to(np.arange(case.shape[-1]) * 9, case.shape).astype(np.int64)
    return draw.integers(tensor.lo, tensor.hi + 1, case.shape)


def _reals(case: Case, x: Array) -> Array:
    """The real probability of every key as a Fraction, None where it is masked."""
    scale = Decimal(case.source[1])
    rows = x.reshape(-1, x.shape[-1])
    found = np.full(rows.shape, None, object)
    exps: dict[int, Fraction] = {}
    for number, row in enumerate(rows):
        places = list(range(number % len(row) + 1 if case.causal else len(row)))
        if case.mask:
            places = [j for j in places if case.mask[number % len(case.mask)][j] == "1"]
        kept = [int(row[j]) for j in places]
        for q in set(kept):
            step = max(kept) - q
            exps.setdefault(step, Fraction(EXACT.exp(EXACT.multiply(-step, scale))))
        total = sum(exps[max(kept) - q] * kept.count(q) for q in set(kept))
        found[number, places] = [exps[max(kept) - q] / total for q in kept]
    return found.reshape(x.shape)


def _in_codes(case: Case, real: Fraction | None) -> Fraction:
    _, scale, zero_point, *_ = case.target
    return (real or 0) / Fraction(scale) + zero_point


def _facts(case: Case, reals: Array, target: Tensor) -> dict[str, bool]:
    shares = [real for real in reals.flat if real is not None]
    values = [_in_codes(case, real) for real in shares]
    ties = [v for v in values if v.denominator == 2 and target.lo < v < target.hi]
    odd = [(round(value) - target.zero_point) % 2 == 1 for value in ties]
    return {
        "masked": len(shares) < reals.size,
        "one": any(real > 1 - Fraction(1, 10**6) for real in shares),
        "zero": any(round(value) == target.zero_point for value in values),
        "rounded up": any(target.hi > round(value) > value for value in values),
        "high clip": any(value > target.hi + HALF for value in values),
        "code above 127": any(min(target.hi, value) > 127 for value in values),
        "tie to odd step": any(odd),
        "tie to even": not all(odd),
    }


def _operation(name: str, case: Case) -> Softmax:
    return Softmax(
        name,
        (f"x{name}",),
        (f"y{name}",),
        case.causal,
        *exp_table(case.source[1]),
        *plan_reciprocal(case.target[1]),
        **({"kept": _kept(case.mask)} if case.mask else {}),
    )


def _kept(mask: tuple[str, ...]) -> npt.NDArray[np.uint8]:
    return np.array([[int(key) for key in row] for row in mask], np.uint8)


def test_all_cases_in_one_program() -> None:
    operations, tensors, arrays, expected = [], [], {}, {}
    for number, case in enumerate(CASES):
        operation = _operation(str(number), case)
        source = codes(f"x{number}", case.shape, *case.source)
        target = codes(f"y{number}", case.shape, *case.target)
        x = _scores(case, source)
        reals = _reals(case, x)
        assert_reaches(case.reaches, _facts(case, reals, target))
        answer = [
            max(target.lo, min(target.hi, round(_in_codes(case, real)))) for real in reals.flat
        ]
        operations.append(operation)
        tensors += [source, target]
        arrays[source.name] = x
        expected[target.name] = np.array(answer, np.int64).reshape(case.shape)
    graph = graph_of(operations, tensors, list(arrays), list(expected))
    check_graph(graph, arrays, expected)


@pytest.mark.parametrize("probability_scale", [1 / 255, 2.0**-8, 1e-3, 2.0**-15 / 3, 1.3e-7])
@pytest.mark.parametrize("score_scale", [1e-4, 0.0437, 1 / 16, 0.7])
def test_every_value_before_rounding_is_within_eps(
    score_scale: float, probability_scale: float
) -> None:
    """Where codes change, shifted by EPS either way: the code lies between those of r - EPS and r + EPS."""
    target = ("u8", probability_scale, 0)
    for keys in (1, 2, 59, 257, 2048):
        case = _case("drawn", (1, 2, keys), "normal", ("s8", score_scale, 0), target)
        source, output = codes("x0", case.shape, *case.source), codes("y0", case.shape, *target)
        x = _scores(case, source)
        site = Site((source,), (output,))
        (found,) = _operation("0", case).reference(site, [x])
        for code, real in zip(found.flat, _reals(case, x).flat, strict=True):
            meant = min(_in_codes(case, real), Fraction(255))
            assert abs(int(code) - meant) <= HALF + Fraction(Softmax.EPS)


@pytest.mark.parametrize(
    ("shape", "causal", "message"),
    [
        ((1, 2049), False, "rows of 2049 keys, expected at most 2048"),
        ((5,), False, "no axis beside the batch"),
        ((1, 3, 4), True, "no square of queries and keys"),
        ((4, 4), True, "no square of queries and keys"),
    ],
)
def test_what_does_not_fit_is_refused(shape: tuple[int, ...], causal: bool, message: str) -> None:
    case = _case("wrong", shape, "flat", ("s8", 1.0, 0), U8, causal=causal)
    with pytest.raises(GraphError) as error:
        _operation("0", case).infer([codes("x0", shape)])
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("shape", "causal", "mask"),
    [
        ((1, 3, 4), False, ("111",)),
        ((1, 3, 4), False, ("1111", "1111")),
        ((1, 3, 4), False, ("1111", "0000", "1111")),
        ((1, 3, 3), True, ("111",)),
    ],
)
def test_a_mask_that_does_not_fit_is_refused(
    shape: tuple[int, ...], causal: bool, mask: tuple[str, ...]
) -> None:
    case = _case("wrong", shape, "flat", ("s8", 1.0, 0), U8, causal=causal, mask=mask)
    with pytest.raises(GraphError) as error:
        _operation("0", case).infer([codes("x0", shape)])
    assert "a mask of shape" in str(error.value)
