"""GroupNorm: oracle -> reference -> C (N11), in both orders of memory, and groups as large as they come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import permutations
from math import isqrt
from typing import Any

import numpy as np
import pytest

from ares.ir import GraphError
from ares.ops import Site
from ares.ops.group_norm import GroupNorm
from ares.ops.permute import Permute
from tests.ops.graphs import check_graph, graph_of
from tests.ops.harness import codes
from tests.ops.norms import (
    Case,
    build,
    check_cases,
    expected_codes,
    patterned,
    real_codes,
    square_root,
)
from tests.ops.reaching import assert_reaches

CASES = (
    Case(
        "N C H W",
        (1, 12, 3, 5),
        6,
        ("s8", 0.05, 0),
        ("s8", 3 / 127, 0),
        tuple((-1) ** i * 0.25 * i for i in range(12)),
        tuple(0.1 * (i % 7 - 3) for i in range(12)),
        reaches=("constant group", "one code off", "full range", "negative gamma", "high clip"),
    ),
    Case(
        "N C T, odd zero points",
        (1, 6, 13),
        6,
        ("u8", 0.03, 117),
        ("u8", 8 / 255, 131),
        (1.5, -2.0, 0.5, 0.0, 1e-6, 7.0),
        reaches=("prime size", "odd zero points", "code above 127", "negative gamma"),
    ),
    Case(
        "N C: a layer norm of groups",
        (1, 33),
        3,
        ("s8", 0.25, 0),
        ("s8", 0.125, 0),
        beta=tuple(0.0625 * (2 * i - 15) for i in range(33)),
        reaches=("prime size", "tie to the code above", "tie to the code below", "constant group"),
    ),
    Case("one group", (1, 4, 4, 3), 1, ("s8", 0.1, 0), ("u8", 0.01, 100), reaches=("full range",)),
    Case("rank 5", (1, 4, 2, 3, 2), 2, ("u8", 0.1, 0), ("s8", 0.02, 0), reaches=("negative",)),
    Case(
        "GELU",
        (1, 6, 4, 2),
        3,
        ("s8", 0.05, 0),
        ("s8", 3 / 127, -3),
        (1.0, 1.5, 2.0, -1.0, 0.5, 1.0),
        function="gelu",
        reaches=("negative", "positive"),
    ),
    Case("groups of four", (1, 12, 3, 5), 3, ("s8", 0.05, 0), ("s8", 3 / 127, 0)),
    Case("groups of four, u8", (1, 8, 3, 5), 2, ("u8", 0.05, 117), ("u8", 3 / 127, 131)),
    Case("a group of four at one place", (1, 4), 1, ("s8", 0.05, 0), ("s8", 3 / 127, 0)),
    Case("groups of three", (1, 6, 3, 5), 2, ("s8", 0.05, 0), ("s8", 3 / 127, 0)),
    Case("groups of nine, u8", (1, 18, 3, 5), 2, ("u8", 0.05, 117), ("u8", 3 / 127, 131)),
)
LARGE = Case(
    "2**17 codes a group",
    (1, 2, 64, 1024),
    1,
    ("u8", 0.02, 0),
    ("s8", 0.02, 0),
    (1.0, -300.0),
    (0.25,),
)


def _layer(name: str, x: str, y: str, groups: int, constants: Any) -> GroupNorm:
    return GroupNorm(name, (x,), (y,), *constants, groups)


def test_all_cases_in_one_program() -> None:
    check_cases(CASES, _layer, is_centred=True)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["random", "one code off", "half and half"])
def test_the_largest_group(kind: str) -> None:
    """Every sum is at its bound when half of the codes are 0 and half 255."""
    source, target = codes("x", LARGE.shape, *LARGE.source), codes("y", LARGE.shape, *LARGE.target)
    operation, split = build(LARGE, _layer, source, target, True)
    x = patterned(LARGE, 1, source.size, source, 5)
    if kind == "one code off":
        x = np.full_like(x, 254)
        x[0, 1, 3, 7] = 255
    elif kind == "half and half":
        x = np.where(np.arange(source.size) % 2, 255, 0).reshape(source.shape)
    # Equal codes of a channel have equal results: the oracle works on one of each.
    reals = _reals_of_a_histogram(x)
    assert {len(set(row)) for row in reals.reshape(2, -1)} <= {1, 2, 256}
    graph = graph_of([operation], [source, target], ["x"], ["y"])
    check_graph(graph, {"x": x}, {"y": expected_codes(LARGE, target, reals)})
    assert split == (1, 1, 2, 65536)


def test_squares_past_31_bits() -> None:
    """More codes than a sum of squares has room for; an odd number of them, or what is lost is lost again mod 2**64."""
    case = Case("squares", (1, 1, 33203), 1, ("u8", 0.02, 0), ("s8", 0.25, 0), (1.0,), (0.25,))
    source, target = codes("x", case.shape, *case.source), codes("y", case.shape, *case.target)
    operation, _ = build(case, _layer, source, target, True)
    x = np.full(case.shape, 255)
    x[0, 0, ::331] = 0
    assert (x**2).sum() > 2**31
    reals = _reals_of_a_histogram(x, case)
    graph = graph_of([operation], [source, target], ["x"], ["y"])
    check_graph(graph, {"x": x}, {"y": expected_codes(case, target, reals)})


def _reals_of_a_histogram(x: Any, case: Case = LARGE) -> Any:
    """As `real_codes`, of each code of each channel once."""
    channels = case.shape[1]
    scale, out_scale = Fraction(case.source[1]), Fraction(case.target[1])
    values, places, counts = np.unique(x, return_inverse=True, return_counts=True)
    steps = [int(v) * scale for v in values]
    mean = sum(s * int(c) for s, c in zip(steps, counts, strict=True)) / x.size
    spread = sum((s - mean) ** 2 * int(c) for s, c in zip(steps, counts, strict=True)) / x.size
    root = square_root(spread + Fraction(case.epsilon))
    rows = []
    for channel in range(channels):
        gamma, beta = Fraction(case.gamma[channel]), Fraction(case.beta[0])
        table = np.array([((s - mean) / root * gamma + beta) / out_scale for s in steps], object)
        rows.append(table[places.reshape(channels, -1)[channel]])
    return np.array(rows, object)


def test_channels_last_and_row_major_give_the_same() -> None:
    """Between two permutations the same codes lie channels last, row-major, and with the positions turned."""
    _check_orders(CASES[0], ((0, 2, 3, 1), (0, 1, 2, 3), (0, 3, 2, 1)))


def test_groups_of_four_channels_last() -> None:
    """Of several positions, which lie apart, and of one."""
    for shape in ((1, 12, 3, 5), (1, 12, 1, 1)):
        _check_orders(replace(CASES[6], shape=shape), ((0, 2, 3, 1),))


def _check_orders(case: Case, orders: Sequence[tuple[int, ...]]) -> None:
    """The same codes, however the network's input lies."""
    source, target = codes("x", case.shape, *case.source), codes("y", case.shape, *case.target)
    operation, split = build(case, _layer, source, target, True)
    x = patterned(case, split[0] * split[1], split[2] * split[3], source, 3)
    expected = expected_codes(
        case, target, np.array(list(real_codes(case, x, split, True)), object)
    )
    for axes in orders:
        # The network's input is row-major: turned back, the tensor lies in memory as `axes` say.
        first = codes("first", [case.shape[axis] for axis in axes], *case.source)
        back = tuple(int(i) for i in np.argsort(axes))
        turn = Permute("turn", ("first",), ("x",), back)
        graph = graph_of([turn, operation], [first, source, target], ["first"], ["y"])
        check_graph(graph, {"first": x.transpose(axes)}, {"y": expected})


def test_the_kernel_finds_its_elements() -> None:
    """Strides of every layout that is chosen, against numpy's own transposition."""
    source, target = codes("x", (1, 6, 2, 5)), codes("y", (1, 6, 2, 5))
    operation, _ = build(Case("", source.shape, 3, (), ()), _layer, source, target, True)
    x = np.arange(60).reshape(source.shape)
    for layout in permutations(range(4)):
        site = Site((source,), (target,))
        (wanted,), produced = operation.layouts(site, (layout,))
        assert produced == (wanted,)
        assert wanted == layout or layout[0] != 0 or 1 not in (layout[1], layout[3])
        fields = dict(
            operation.lower(Site((source,), (target,), (wanted,), (wanted,))).params.fields
        )
        memory = x.transpose(wanted).reshape(-1)
        for channel in range(6):
            places = channel * fields["channel_stride"] + fields["position_stride"] * np.arange(10)
            assert set(memory[places]) == set(x[0, channel].flat), layout


@pytest.mark.parametrize(
    ("shape", "groups", "message"),
    [
        ((5,), 1, "has no channels"),
        ((1, 5, 3), 2, "no channels .axis 1. for 2 groups"),
        ((1, 5), 0, "for 0 groups"),
        ((1, 2, 256, 257), 1, "over 131584 values, at most 131072"),
    ],
)
def test_what_does_not_fit_is_refused(shape: tuple[int, ...], groups: int, message: str) -> None:
    source = codes("x", (1, 2), "s8")
    rescale = build(Case("", (1, 2), 1, (), ()), _layer, source, source, True)[0].rescale
    with pytest.raises(GraphError, match=message):
        _layer("norm", "x", "y", groups, (0, 1, rescale)).infer([codes("x", shape)])


def test_the_first_bits_of_a_root_are_one_too_many() -> None:
    """What is taken back where a root's lower half is found one too large, which shows beside a tie only.

    A root that is one too large in its sixteenth bit makes a code smaller by 2^-16 to 2^-15 of it.
    """
    shape, source_of = (1, 4, 7), ("s8", 0.05, 0)
    case = Case("", shape, 1, source_of, ("s8", 0.05, 0))
    source = codes("x", shape, *source_of)
    operation, split = build(case, _layer, source, codes("y", shape, *case.target), True)
    for seed in range(64):
        draw = np.random.Generator(np.random.Philox(key=seed))
        x = draw.integers(source.lo, source.hi + 1, shape)
        if _is_too_large_at_first(operation, x):
            break
    largest = max(real_codes(case, x, split, True)) * Fraction(case.target[1])
    # 100.5 and 2^-17 of it: the code is 101.
    scale = float(largest / (Fraction(201, 2) * (1 + Fraction(1, 2**17))))
    case = replace(case, target=("s8", scale, 0))
    target = codes("y", shape, *case.target)
    reals = np.array(list(real_codes(case, x, split, True)), object)
    root = {"root one too large": _is_too_large_at_first(operation, x)}
    assert_reaches(["beside a tie", *root], root, reals, target)
    operation, _ = build(case, _layer, source, target, True)
    graph = graph_of([operation], [source, target], ["x"], ["y"])
    expected = expected_codes(case, target, reals)
    assert expected.max() == 101
    check_graph(graph, {"x": x}, {"y": expected})


def _is_too_large_at_first(operation: Any, x: Any) -> bool:
    """Of the upper half of the radicand: whether the root's upper half and a quotient by it give too much."""
    steps = [int(code) for code in x.flat]
    variance = len(steps) * sum(step**2 for step in steps) - sum(steps) ** 2
    radicand = (variance << operation.variance_shift) + operation.variance_offset
    while radicand < 2**62:
        radicand *= 4
    upper = radicand >> 32
    half = isqrt(upper >> 16) << 8
    return half + (upper - half**2) // (2 * half) > isqrt(upper)
