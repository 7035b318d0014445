"""Add: oracle -> reference -> C. The oracle adds Fractions and rounds once."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from fractions import Fraction
from itertools import permutations, product
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ares.ir import Graph, GraphError, Tensor, frozen_array
from ares.numerics import plan_weighted_sum
from ares.ops import Site
from ares.ops.add import Add
from ares.ops.max_pool2d import MaxPool2d
from tests.ops.harness import check_graph, check_operation, codes
from tests.ops.reaching import assert_reaches

Array = npt.NDArray[Any]
Codes = tuple[Any, ...]  # dtype, scale, zero point, and lo, hi where they are not the type's


@dataclass(frozen=True)
class Case:
    name: str
    shapes: tuple[tuple[int, ...], tuple[int, ...]]
    sources: tuple[Codes, Codes]
    target: Codes
    reaches: tuple[str, ...]
    factors: tuple[int, int] = (1, 1)  # of the operands: differences, and what else multiplies
    addend: Fraction = Fraction(0)  # real, as the sum is


CASES = (
    Case(
        "s8 and s8",
        ((1, 3, 5, 7),) * 2,
        (("s8", 0.5, 0), ("s8", 0.25, 0)),
        ("s8", 0.5, 0),
        (
            "tie to the code below",
            "tie to the code above",
            "tie of negative codes",
            "low clip",
            "high clip",
        ),
    ),
    Case(
        "u8 and s8, odd zero points",
        ((1, 5, 7, 3),) * 2,
        (("u8", 0.125, 129), ("s8", 0.5, -3)),
        ("s8", 0.25, 7),
        ("code above 127", "odd zero points", "tie to the code below", "low clip", "high clip"),
    ),
    Case(
        "s8 and u8 to u8",
        ((1, 11, 13),) * 2,
        (("s8", 0.071, 0), ("u8", 0.033, 0)),
        ("u8", 0.059, 0),
        ("code above 127", "low clip", "high clip", "prime size"),
    ),
    Case(
        "very different scales",
        ((1, 257),) * 2,
        (("s8", 3.0, 0), ("u8", 0.0007, 0)),
        ("s8", 2.7, 0),
        ("prime size", "both signs"),
    ),
    Case(
        "4-bit codes",
        ((1, 64),) * 2,
        (("s8", 0.5, 0, -8, 7), ("u8", 0.25, 0, 0, 15)),
        ("s8", 0.5, 0, -7, 7),
        ("low clip", "high clip", "tie to the code below"),
    ),
    Case(
        "one element",
        ((1, 1), (1, 1)),
        (("u8", 1.0, 1), ("u8", 1.0, 3)),
        ("u8", 2.0, 1),
        ("one element",),
    ),
    Case(
        "one row for all tokens",
        ((1, 7, 5), (1, 1, 5)),
        (("s8", 0.5, 1), ("s8", 0.25, 3)),
        ("s8", 0.5, 5),
        ("repeated", "tie to the code below", "odd zero points"),
    ),
    Case(
        "one value a channel",
        ((1, 5, 3, 2), (1, 5, 1, 1)),
        (("u8", 0.5, 0), ("s8", 0.5, 0)),
        ("u8", 0.5, 0),
        ("repeated", "low clip", "high clip"),
    ),
    Case(
        "one value a row, repeated over two separate axes",
        ((1, 5, 3, 2), (1, 1, 3, 1)),
        (("u8", 0.5, 0), ("s8", 0.5, 0)),
        ("u8", 0.5, 0),
        ("repeated", "low clip", "high clip"),
    ),
    Case(
        "difference, odd zero points",
        ((1, 5, 7, 3),) * 2,
        (("u8", 0.125, 129), ("s8", 0.5, -3)),
        ("s8", 0.25, 7),
        (
            "difference",
            "odd zero points",
            "tie to the code below",
            "tie of negative codes",
            "low clip",
            "high clip",
        ),
        (1, -1),
    ),
    Case(
        "negated, one row, a constant of half a code",
        ((1, 7, 5), (1, 1, 5)),
        (("s8", 0.5, 1), ("s8", 0.25, 3)),
        ("u8", 0.5, 77),
        ("difference", "repeated", "constant", "tie to the code below", "tie to the code above"),
        (-1, -3),
        Fraction(-9, 4),
    ),
    Case(
        "one operand times zero",
        ((1, 11, 13),) * 2,
        (("s8", 0.071, 0), ("u8", 0.033, 0)),
        ("s8", 0.059, -5),
        ("difference", "constant", "low clip", "both signs"),
        (-1, 0),
        Fraction(-5),
    ),
    Case(
        "far finer output, sums past 32 bits",
        ((1, 11, 13),) * 2,
        (("s8", 0.5, 3), ("u8", 0.5, 117)),
        ("u8", 2.0**-26, 7),
        ("low clip", "high clip", "odd zero points"),
        (1, -1),
        Fraction(1, 256),
    ),
    Case(
        "coarser output, no ties",
        ((1, 97),) * 2,
        (("s8", 0.071, 0), ("u8", 0.033, 5)),
        ("s8", 0.3, 1),
        ("both signs",),
    ),
    Case(
        "coefficients just under 2^31",
        ((1, 97),) * 2,
        (("s8", 1 - 2.0**-20, 0), ("s8", 1 - 2.0**-20, 0)),
        ("s8", 1.0, 0),
        ("both signs", "low clip", "high clip"),
        (1, -1),
    ),
    *(
        Case(
            f"thousand times coarser output, zero point {zero_point}",
            ((1, 97),) * 2,
            (("s8", 2.0**-10, 0), ("s8", 2.0**-11, 0)),
            ("s8", 1.0, zero_point),
            (),
        )
        for zero_point in (100, -100)
    ),
    Case(
        "a million times coarser output",
        ((1, 97),) * 2,
        (("s8", 2.0**-20, 0), ("s8", 2.0**-21, 0)),
        ("s8", 1.0, 0),
        (),
    ),
    *(
        Case(
            f"a constant past 50 bits, {'above' if constant > 0 else 'below'} all codes",
            ((1, 97),) * 2,
            (("s8", 0.5, 0), ("u8", 0.5, 0)),
            ("s8", 0.125, 0),
            ("constant", "high clip" if constant > 0 else "low clip"),
            addend=Fraction(constant),
        )
        for constant in (2**20, -(2**20))
    ),
    # The offset holds what the zero points take away, too: with codes of any sign totals could pass 62 bits.
    Case(
        "totals just under 2^62",
        ((1, 97),) * 2,
        (("s8", 0.25, -128), ("s8", 0.25, -128)),
        ("s8", 1.0, 0),
        ("constant", "high clip"),
        addend=Fraction(2**30 - 2**7),
    ),
)


def _ratios(case: Case) -> list[Fraction]:
    scales = [Fraction(source[1]) / Fraction(case.target[1]) for source in case.sources]
    return [scale * factor for scale, factor in zip(scales, case.factors, strict=True)]


def _addend(case: Case) -> Fraction:
    """In output codes, with the zero point."""
    return case.addend / Fraction(case.target[1]) + case.target[2]


def _operation(case: Case, target: Tensor) -> Add:
    coefficients, rescale = plan_weighted_sum(
        _ratios(case),
        [source[2] for source in case.sources],
        _addend(case),
        target.lo,
        target.hi,
    )
    a0, a1 = coefficients
    return Add("sum", ("x0", "x1"), ("y",), (a0, a1), rescale)


def _tensors(case: Case) -> tuple[list[Tensor], Tensor]:
    pairs = enumerate(zip(case.shapes, case.sources, strict=True))
    sources = [codes(f"x{i}", shape, *source) for i, (shape, source) in pairs]
    return sources, codes("y", case.shapes[0], *case.target)


def _bytes(seed: int, shape: tuple[int, ...], lo: int, hi: int) -> Array:
    raw = np.random.Philox(key=seed).random_raw(prod(shape)).reshape(shape)
    return (raw % np.uint64(hi - lo + 1)).astype(np.int64) + lo


def _arrays(sources: list[Tensor], seed: int = 1) -> list[Array]:
    return [_bytes(seed + i, s.shape, s.lo, s.hi) for i, s in enumerate(sources)]


def _reals(case: Case, arrays: list[Array]) -> Array:
    """The exact value that the output's quantiser is given, in codes."""
    ratios = _ratios(case)
    out = np.zeros(case.shapes[0], object)
    for index in product(*(range(size) for size in case.shapes[0])):
        real = _addend(case)
        for array, source, ratio in zip(arrays, case.sources, ratios, strict=True):
            at = tuple(i if n > 1 else 0 for i, n in zip(index, array.shape, strict=True))
            real += (int(array[at]) - source[2]) * ratio
        out[index] = real
    return out


def _facts(case: Case, arrays: list[Array], reals: Array, target: Tensor) -> dict[str, bool]:
    return {
        "prime size": any(size in (11, 13, 257) for size in case.shapes[0]),
        "one element": reals.size == 1,
        "repeated": case.shapes[0] != case.shapes[1],
        "difference": min(case.factors) < 0,
        "constant": bool(case.addend),
        "odd zero points": all(codes[2] % 2 for codes in (*case.sources, case.target)),
        "code above 127": max(array.max() for array in arrays) > 127,
        "both signs": min(reals.flat) < target.zero_point < max(reals.flat),
    }


def _expected(case: Case, arrays: list[Array], target: Tensor) -> Array:
    """The oracle's codes, after making sure that the case reaches what it promises."""
    reals = _reals(case, arrays)
    facts = _facts(case, arrays, reals, target)
    reached = assert_reaches(case.reaches, facts, reals.flat, target)
    # Where a ratio is no binary fraction, an exact tie may go either way (N3): none may be there.
    dyadic = all(r.denominator & (r.denominator - 1) == 0 for r in _ratios(case))
    assert dyadic or not any("tie" in r for r in reached)
    rounded = [max(target.lo, min(target.hi, round(r))) for r in reals.flat]
    return np.array(rounded, np.int64).reshape(reals.shape)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_oracle_reference_c(case: Case) -> None:
    sources, target = _tensors(case)
    arrays = _arrays(sources)
    expected = _expected(case, arrays, target)
    check_operation(_operation(case, target), sources, [target], arrays, [expected])


def test_steps_of_a_function() -> None:
    """Thresholds and codes in the rescale take the clamp's place (N5)."""
    _check_steps(
        Case("steps", ((1, 97),) * 2, (("s8", 1.0, 0), ("s8", 0.5, 0)), ("s8", 1.0, 0), ())
    )


@pytest.mark.parametrize("factors", [(1, -1), (-1, 1)])
def test_steps_of_a_difference(factors: tuple[int, int]) -> None:
    """Of codes of either kind, with zero points, one row repeated."""
    shapes, sources = ((1, 7, 41), (1, 1, 41)), (("u8", 0.5, 131), ("s8", 1.0, -3))
    _check_steps(Case("difference", shapes, sources, ("s8", 1.0, 0), (), factors))


def _check_steps(case: Case) -> None:
    sources, target = _tensors(case)
    thresholds, steps = (-40, -1, 0, 3, 77), (5, -3, -128, 0, 90, 127)
    plain = _operation(case, target)
    rescale = dataclasses.replace(
        plain.rescale,
        thresholds=frozen_array(thresholds, np.int32),
        codes=frozen_array(steps, np.int16),
    )
    arrays = _arrays(sources)
    rounded = [round(real) for real in _reals(case, arrays).flat]
    expected = np.array([steps[sum(t <= value for t in thresholds)] for value in rounded])
    assert set(expected.tolist()) >= set(steps) - {-128}, "a step is not reached"
    operation = dataclasses.replace(plain, rescale=rescale)
    check_operation(operation, sources, [target], arrays, [expected.reshape(target.shape)])


@pytest.mark.parametrize("dies", [0, 1])
def test_the_sum_may_overwrite_an_input(dies: int) -> None:
    """y = pool(x) + x lies in the memory of whichever operand is not needed any more."""
    case = CASES[1] if dies == 0 else dataclasses.replace(CASES[1], sources=CASES[1].sources[::-1])
    sources, target = _tensors(case)
    arrays = _arrays(sources)
    expected = _expected(dataclasses.replace(case, reaches=()), arrays, target)
    # A 1x1 pool copies x_i into the arena; the other copy stays alive as an output.
    pooled = [dataclasses.replace(source, name=f"p{i}") for i, source in enumerate(sources)]
    pools = [
        MaxPool2d(f"pool{i}", (f"x{i}",), (f"p{i}",), (1, 1), (1, 1), (0, 0, 0, 0), (1, 1), False)
        for i in (0, 1)
    ]
    graph = Graph(
        "in_place",
        (*sources, *pooled, target),
        (*pools, dataclasses.replace(_operation(case, target), inputs=("p0", "p1"))),
        ("x0", "x1"),
        ("y", f"p{1 - dies}"),
    ).validate()
    planned = check_graph(graph, dict(zip(graph.inputs, arrays, strict=True)), {"y": expected})
    steps = [step for step in planned.steps if step.layer == "sum"]
    places = [planned.tensor(name).position for name in (*steps[0].outputs, *steps[0].inputs)]
    assert places[0] == places[1 + dies] != places[2 - dies]


@pytest.mark.parametrize("shape", [(1, 3, 2), (2, 3, 5), (1, 3, 2, 4), (2, 3, 1, 4)])
def test_the_kernel_repeats_the_second_input(shape: tuple[int, ...]) -> None:
    """[repeats][count] of the chosen layout gives NumPy's broadcasting, for every layout that is there."""
    rank = len(shape)
    x0 = np.arange(prod(shape)).reshape(shape)
    for ones in product((False, True), repeat=rank):
        smaller = tuple(1 if one else size for one, size in zip(ones, shape, strict=True))
        x1 = 1000 * np.arange(prod(smaller)).reshape(smaller)
        sources = (codes("x0", shape), codes("x1", smaller))
        target = codes("y", shape)
        case = Case("layouts", (shape, smaller), (("s8", 1.0, 0),) * 2, ("s8", 1.0, 0), ())
        operation = _operation(case, target)
        assert operation.infer(sources)[0][0] == shape
        for first, second in product(permutations(range(rank)), repeat=2):
            inputs, outputs = operation.layouts(Site(sources, (target,)), (first, second))
            call = operation.lower(Site(sources, (target,), inputs, outputs))
            fields = dict(call.params.fields)
            (order,) = {*inputs, *outputs}
            memory = x0.transpose(order).reshape(fields["repeats"], fields["count"])
            total = memory + x1.transpose(order).reshape(fields["count"])
            found = total.reshape([shape[axis] for axis in order]).transpose(np.argsort(order))
            assert np.array_equal(found, x0 + x1), (smaller, order)
            assert call.in_place == ((0, 1) if shape == smaller else (0,))


def _cases(draw: st.DrawFn) -> Case:
    tensor = st.one_of(
        st.tuples(st.just("s8"), st.floats(2.0**-8, 8.0, width=32), st.integers(-128, 127)),
        st.tuples(st.just("u8"), st.floats(2.0**-8, 8.0, width=32), st.integers(0, 255)),
    )
    sources, target = (draw(tensor), draw(tensor)), draw(tensor)
    # The bound behind EPS: no addend's scale is more than 4 times the output's.
    scale = max(target[1], *(source[1] / 4 for source in sources))
    factors = draw(st.tuples(*(st.sampled_from((1, -1)),) * 2))
    addend = Fraction(draw(st.floats(-300, 300, width=32))) * Fraction(scale)
    target = target[0], scale, target[2]
    return Case("drawn", ((1, 16),) * 2, sources, target, (), factors, addend)


@settings(derandomize=True, deadline=None, max_examples=400)
@given(st.composite(_cases)(), st.integers(0, 2**32))
def test_reference_keeps_its_eps(case: Case, seed: int) -> None:
    """|code - clamp(r)| <= 1/2 + EPS in exact rationals: equality wherever r is not at a tie."""
    sources, target = _tensors(case)
    arrays = _arrays(sources, seed)
    operation = _operation(case, target)
    assert operation.infer(sources)[0][0] == target.shape
    (found,) = operation.reference(Site(tuple(sources), (target,)), arrays)
    limit = Fraction(1, 2) + Fraction(Add.EPS)
    for code, real in zip(found.flat, _reals(case, arrays).flat, strict=True):
        assert abs(int(code) - max(target.lo, min(target.hi, real))) <= limit


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (((1, 2, 3), (1, 3, 2)), "shapes differ: [1, 2, 3] and [1, 3, 2]"),
        (((1, 1, 3), (1, 2, 3)), "shapes differ"),
        (((1, 2, 3), (2, 3)), "shapes differ"),
        (((1, 2, 3),), "1 inputs, expected 2"),
    ],
)
def test_what_does_not_fit_is_refused(shapes: tuple[tuple[int, ...], ...], message: str) -> None:
    operation = _operation(CASES[0], codes("y", (1,)))
    with pytest.raises(GraphError) as error:
        operation.infer([codes(f"x{i}", shape) for i, shape in enumerate(shapes)])
    assert message in str(error.value)


def test_coefficients_past_their_limits_are_refused() -> None:
    plain = _operation(CASES[0], codes("y", (1,)))
    rescale = dataclasses.replace(plain.rescale, offset=frozen_array([2**62 - 2**37], np.int64))
    sources = [codes("x0", (1, 2)), codes("x1", (1, 2))]
    assert dataclasses.replace(plain, coefficients=(1, 1), rescale=rescale).infer(sources)
    for coefficients in ((2**31 - 1, 0), (2**31, 0), (0, -(2**31)), (-(2**31) + 1, 0)):
        with pytest.raises(GraphError, match=r"pass 31 bits or the weighted sum may pass 62 bits"):
            dataclasses.replace(plain, coefficients=coefficients, rescale=rescale).infer(sources)
