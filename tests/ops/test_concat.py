"""Concat: oracle -> reference -> C. The oracle rescales every code as a Fraction."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from itertools import permutations, product
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ares.ir import DType, GraphError, Tensor, frozen_array
from ares.numerics import IDENTITY, lookup_table
from ares.ops import Site
from ares.ops.concat import Concat
from ares.resources import runtime_dir
from tests.ops.harness import check_operation, codes, real
from tests.ops.reaching import assert_reaches

Array = npt.NDArray[Any]
Codes = tuple[Any, ...]  # dtype, scale, zero point, and lo, hi where they are not the type's
COPY = frozen_array([], np.uint8)


@dataclass(frozen=True)
class Case:
    name: str
    shape: tuple[int, ...]
    axis: int
    sizes: tuple[int, ...]
    sources: tuple[Codes, ...]
    target: Codes
    reaches: tuple[str, ...]


CASES = (
    Case(
        "channels of two scales",
        (1, 0, 5, 7),
        1,
        (3, 8),
        (("s8", 0.5, 0), ("s8", 0.25, 0)),
        ("s8", 0.5, 0),
        (
            "copy",
            "tie to the code below",
            "tie to the code above",
            "tie of negative codes",
            "both signs",
        ),
    ),
    Case(
        "three types of part",
        (1, 0, 4, 3),
        1,
        (5, 1, 7),
        (("u8", 0.125, 129), ("s8", 1.0, -3), ("u8", 0.25, 7)),
        ("u8", 0.25, 7),
        ("copy", "code above 127", "low clip", "high clip", "odd zero points", "one channel"),
    ),
    Case(
        "width",
        (1, 3, 2, 0),
        3,
        (1, 4, 2),
        (("s8", 0.3, 0), ("s8", 0.17, 0), ("s8", 0.2, 0)),
        ("s8", 0.19, 0),
        ("both signs",),
    ),
    Case(
        "tokens",
        (1, 0, 11),
        1,
        (1, 13),
        (("u8", 0.5, 0), ("s8", 0.5, 0)),
        ("s8", 0.5, 0),
        ("copy", "high clip", "prime size"),
    ),
    Case(
        "features, 4 bit",
        (1, 0),
        1,
        (31, 37),
        (("s8", 0.5, 0, -8, 7), ("u8", 1.0, 0, 0, 15)),
        ("s8", 0.25, 0, -8, 7),
        ("low clip", "high clip", "prime size"),
    ),
    Case(
        "one part", (1, 0, 3), 1, (2,), (("s8", 0.5, 0),), ("u8", 0.25, 3), ("low clip", "one part")
    ),
    Case(
        "32 parts of one element",
        (1, 0),
        1,
        (1,) * 32,
        (("u8", 0.5, 3), ("u8", 0.5, 5)) * 16,
        ("u8", 0.5, 5),
        ("copy", "as many parts as there may be"),
    ),
)


def _tensors(case: Case) -> tuple[list[Tensor], Tensor]:
    shapes = [
        (*case.shape[: case.axis], size, *case.shape[case.axis + 1 :])
        for size in (*case.sizes, sum(case.sizes))
    ]
    pairs = enumerate(zip(shapes, case.sources, strict=False))
    sources = [codes(f"x{i}", shape, *source) for i, (shape, source) in pairs]
    return sources, codes("y", shapes[-1], *case.target)


def _operation(case: Case, sources: list[Tensor], target: Tensor) -> Concat:
    tables = tuple(
        COPY if of == case.target else lookup_table(IDENTITY, source, target)
        for source, of in zip(sources, case.sources, strict=True)
    )
    names = tuple(source.name for source in sources)
    return Concat("cat", names, ("y",), case.axis, tables)


def _arrays(sources: list[Tensor], seed: int = 1) -> list[Array]:
    arrays = []
    for i, source in enumerate(sources):
        raw = np.random.Philox(key=seed + i).random_raw(source.size).reshape(source.shape)
        arrays.append((raw % np.uint64(source.hi - source.lo + 1)).astype(np.int64) + source.lo)
    return arrays


def _reals(case: Case, arrays: list[Array], target: Tensor) -> Array:
    """The exact value that the output's quantiser is given, in codes."""
    out = np.zeros(target.shape, object)
    start = 0
    for array, source in zip(arrays, case.sources, strict=True):
        ratio = Fraction(source[1]) / Fraction(case.target[1])
        for index in product(*(range(size) for size in array.shape)):
            at = list(index)
            at[case.axis] += start
            out[tuple(at)] = (int(array[index]) - source[2]) * ratio + case.target[2]
        start += array.shape[case.axis]
    return out


def _rounded(reals: Array, target: Tensor) -> Array:
    values = [max(target.lo, min(target.hi, round(real))) for real in reals.flat]
    return np.array(values, np.int64).reshape(reals.shape)


def _facts(case: Case, arrays: list[Array], reals: Array, target: Tensor) -> dict[str, bool]:
    return {
        "copy": case.target in case.sources,
        "one part": len(case.sources) == 1,
        "as many parts as there may be": len(case.sources) == 32,
        "one channel": 1 in case.sizes,
        "prime size": bool({*case.sizes, *case.shape} & {11, 13, 31, 37}),
        "odd zero points": all(codes[2] % 2 for codes in (*case.sources, case.target)),
        "code above 127": max(array.max() for array in arrays) > 127,
        "both signs": min(reals.flat) < target.zero_point < max(reals.flat),
    }


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_oracle_reference_c(case: Case) -> None:
    sources, target = _tensors(case)
    arrays = _arrays(sources)
    reals = _reals(case, arrays, target)
    assert_reaches(case.reaches, _facts(case, arrays, reals, target), reals.flat, target)
    operation = _operation(case, sources, target)
    check_operation(operation, sources, [target], arrays, [_rounded(reals, target)])


@pytest.mark.parametrize("shape", [(1, 0, 2), (1, 0, 2, 3), (1, 2, 0, 3), (1, 2, 3, 0)])
def test_the_kernel_joins_from_the_axis_inwards(shape: tuple[int, ...]) -> None:
    """[outer][length_k] of the chosen layout gives the reference, for every layout that is there."""
    axis = shape.index(0, 1)
    plain = ("s8", 1.0, 0)
    case = Case("layouts", shape, axis, (2, 1, 3), (plain,) * 3, plain, ())
    sources, target = _tensors(case)
    operation = _operation(case, sources, target)
    arrays = [100 * i + np.arange(s.size).reshape(s.shape) for i, s in enumerate(sources)]
    for first, other in product(permutations(range(len(shape))), repeat=2):
        inputs, outputs = operation.layouts(Site(tuple(sources), (target,)), (first, other, other))
        assert inputs == (other,) * 3, "two of three lie this way already"
        call = operation.lower(Site(tuple(sources), (target,), inputs, outputs))
        fields = dict(call.params.fields)
        rows = [
            array.transpose(other).reshape(fields["outer"], dict(part.fields)["length"])
            for array, part in zip(arrays, fields["parts"], strict=True)
        ]
        lies = [target.shape[i] for i in other]
        found = np.concatenate(rows, axis=1).reshape(lies).transpose(np.argsort(other))
        assert np.array_equal(found, np.concatenate(arrays, axis=axis))


def _cases(draw: st.DrawFn) -> Case:
    tensor = st.one_of(
        st.tuples(st.just("s8"), st.floats(2.0**-8, 8.0, width=32), st.integers(-128, 127)),
        st.tuples(st.just("u8"), st.floats(2.0**-8, 8.0, width=32), st.integers(0, 255)),
    )
    sizes = draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    shape = draw(st.lists(st.integers(1, 3), min_size=1, max_size=4))
    axis = draw(st.integers(0, len(shape) - 1))
    target = draw(tensor)
    sources = tuple(draw(st.one_of(tensor, st.just(target))) for _ in sizes)
    return Case("drawn", tuple(shape), axis, tuple(sizes), sources, target, ())


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.composite(_cases)(), st.integers(0, 2**32))
def test_reference_equals_the_oracle(case: Case, seed: int) -> None:
    sources, target = _tensors(case)
    arrays = _arrays(sources, seed)
    operation = _operation(case, sources, target)
    ((shape, dtypes),) = operation.infer(sources)
    assert shape == target.shape
    assert target.dtype in dtypes
    (found,) = operation.reference(Site(tuple(sources), (target,)), arrays)
    assert np.array_equal(found, _rounded(_reals(case, arrays, target), target))


def test_a_copied_part_gives_the_type() -> None:
    sources = [codes("x0", (1, 2), "u8", 0.5), codes("x1", (1, 2), "s8", 0.5)]
    table = frozen_array(np.arange(256), np.uint8)
    operation = Concat("cat", ("x0", "x1"), ("y",), 1, (COPY, table))
    assert operation.infer(sources) == (((1, 4), (DType.U8,)),)


@pytest.mark.parametrize(
    ("shapes", "axis", "tables", "message"),
    [
        ((), 1, 0, "0 inputs, expected 1 to 32"),
        (((1, 2),) * 33, 1, 33, "33 inputs, expected 1 to 32"),
        (((1, 2),) * 2, 1, 1, "expected 2 tables"),
        (((1, 2),) * 2, 2, 2, "axis 2, expected 0..1"),
        (((1, 2),) * 2, -1, 2, "axis -1, expected 0..1"),
        (((1, 2, 3), (1, 2, 4)), 1, 2, "differ in another axis than 1"),
        (((1, 2), (1, 2, 1)), 1, 2, "differ in another axis than 1"),
    ],
)
def test_what_does_not_fit_is_refused(
    shapes: tuple[tuple[int, ...], ...], axis: int, tables: int, message: str
) -> None:
    operation = Concat("cat", ("x",) * len(shapes), ("y",), axis, (COPY,) * tables)
    with pytest.raises(GraphError) as error:
        operation.infer([codes("x", shape) for shape in shapes])
    assert message in str(error.value)


@pytest.mark.parametrize("other", [("u8", 0.5, 0), ("s8", 0.25, 0), ("s8", 0.5, 1)])
def test_different_codes_are_never_copied(other: Codes) -> None:
    operation = Concat("cat", ("x0", "x1"), ("y",), 1, (COPY, COPY))
    with pytest.raises(GraphError, match="parts with different codes need tables"):
        operation.infer([codes("x0", (1, 2), "s8", 0.5, 0), codes("x1", (1, 2), *other)])


@pytest.mark.parametrize(
    "target", [("u8", 0.5, 0), ("s8", 0.25, 0), ("s8", 0.5, 1), ("s8", 0.5, 0, -127, 127)]
)
def test_a_copy_must_be_codes_of_the_output(target: Codes) -> None:
    """4-bit codes fit among 8-bit codes of the same scale; what the output has not is never copied."""
    layouts = ((0, 1),)
    operation = Concat("cat", ("x",), ("y",), 1, (COPY,))
    narrow, wide = codes("x", (1, 2), "s8", 0.5, 0, -8, 7), codes("x", (1, 2), "s8", 0.5, 0)
    assert operation.lower(Site((narrow,), (wide,), layouts, layouts))
    with pytest.raises(GraphError, match="has other codes than the output"):
        operation.lower(Site((wide,), (codes("y", (1, 2), *target),), layouts, layouts))


def test_the_limit_of_parts_is_the_runtimes() -> None:
    header = (runtime_dir() / "inc" / "layer_descriptors.h").read_text()
    (limit,) = re.findall(r"#define ARES_MAX_OPERANDS (\d+)", header)
    plain = codes("x", (1, 1))
    count = int(limit)
    tables = (COPY,) * (count + 1)
    assert Concat("cat", ("x",) * count, ("y",), 1, tables[:-1]).infer([plain] * count)
    with pytest.raises(GraphError, match=f"expected 1 to {limit}"):
        Concat("cat", ("x",) * (count + 1), ("y",), 1, tables).infer([plain] * (count + 1))


def test_binary32_parts_are_copied() -> None:
    """Along the channels of images and along a middle axis: bit patterns, a negative zero among them."""
    for shapes, axis in (([(1, 3, 5, 2), (1, 2, 5, 2)], 1), ([(1, 3, 2), (1, 3, 1), (1, 3, 4)], 2)):
        names = tuple(f"x{number}" for number in range(len(shapes)))
        arrays = [
            (np.arange(np.prod(shape)).reshape(shape) / 7 - number).astype(np.float32)
            for number, shape in enumerate(shapes)
        ]
        arrays[0].flat[0] = -0.0
        expected = np.concatenate(arrays, axis)
        check_operation(
            Concat("cat", names, ("y",), axis, (COPY,) * len(names)),
            [real(name, shape) for name, shape in zip(names, shapes, strict=True)],
            [real("y", expected.shape)],
            arrays,
            [expected],
        )


def test_binary32_parts_do_not_mix() -> None:
    parts = [real("x", (1, 2)), codes("z", (1, 2))]
    with pytest.raises(GraphError, match="part 'z' is s8, expected f32 as the first"):
        Concat("cat", ("x", "z"), ("y",), 1, (COPY, COPY)).infer(parts)
    table = frozen_array(np.zeros(256), np.uint8)
    with pytest.raises(GraphError, match="f32 parts have no tables"):
        Concat("cat", ("x",), ("y",), 1, (table,)).infer(parts[:1])


def test_ids_are_copied() -> None:
    """Along the last axis and a middle one: every byte of an id counts."""
    for shapes, axis in (([(1, 3), (1, 1), (1, 4)], 1), ([(1, 2, 3), (1, 3, 3)], 1)):
        names = tuple(f"x{number}" for number in range(len(shapes)))
        arrays = [
            (np.arange(np.prod(shape)).reshape(shape) * 16_843_009 - number).astype(np.int32)
            for number, shape in enumerate(shapes)
        ]
        expected = np.concatenate(arrays, axis)
        check_operation(
            Concat("cat", names, ("y",), axis, (COPY,) * len(names)),
            [codes(name, shape, "s32") for name, shape in zip(names, shapes, strict=True)],
            [codes("y", expected.shape, "s32")],
            arrays,
            [expected],
        )
    parts = [codes("x", (1, 2), "s32"), real("z", (1, 2))]
    with pytest.raises(GraphError, match="part 'z' is f32, expected s32 as the first"):
        Concat("cat", ("x", "z"), ("y",), 1, (COPY, COPY)).infer(parts)
    table = frozen_array(np.zeros(256), np.uint8)
    with pytest.raises(GraphError, match="s32 parts have no tables"):
        Concat("cat", ("x",), ("y",), 1, (table,)).infer(parts[:1])
