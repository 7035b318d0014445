"""Linear: oracle -> reference -> C. The oracle is three loops over Python integers and one Fraction an output."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from ares.ir import GraphError, frozen_array
from ares.numerics import plan_rescale
from ares.ops import Site
from ares.ops.linear import Linear
from tests.ops.finishing import finish_for
from tests.ops.harness import check_operation, codes
from tests.ops.reaching import assert_reaches

Array = npt.NDArray[Any]
Codes = tuple[Any, ...]  # dtype, zero point, and lo, hi where they are not the type's


@dataclass(frozen=True)
class Case:
    """Shape of the input, output features; what must be reached."""

    name: str
    shape: tuple[int, ...]
    out: int
    reaches: tuple[str, ...]
    source: Codes = ("s8", 0)
    target: Codes = ("s8", 0)
    weight: tuple[int, int] = (-127, 127)
    units: str = "dyadic"
    bias: str = "none"
    function: str = "identity"
    scale: float = 0.0625


TIES = ("tie to the code below", "tie to the code above", "negative tie", "positive tie")
CLIPS = ("low clip", "high clip")
SIGNS = ("negative sum", "positive sum")

CASES = (
    Case("one vector", (1, 31), 97, (*CLIPS, *SIGNS)),
    Case("tokens", (1, 13, 17), 11, ("tokens", *CLIPS, *SIGNS), units="channels"),
    Case("tokens of two axes", (1, 3, 5, 7), 4, ("tokens", *SIGNS), units="tensor"),
    Case("one feature to one", (1, 11, 1), 1, ("one feature", *SIGNS), units="tensor"),
    Case("ties, 2-bit weights", (1, 7, 11), 13, (*TIES, *SIGNS), weight=(-1, 1)),
    Case(
        "ties around an odd zero point",
        (1, 7, 11),
        13,
        (*TIES, "odd zero point"),
        weight=(-1, 1),
        source=("u8", 77),
        target=("s8", 13),
    ),
    Case(
        "ties behind an int32 bias",
        (1, 7, 11),
        13,
        (*TIES, "odd zero point"),
        weight=(-1, 1),
        source=("s8", -31),
        target=("u8", 99),
        bias="int32",
    ),
    Case(
        "u8, far zero point",
        (1, 3, 29),
        7,
        ("input above 127", *SIGNS),
        source=("u8", 255),
        target=("u8", 128),
        units="tensor",
    ),
    Case(
        "4-bit weights and codes",
        (1, 5, 19),
        11,
        (*CLIPS, *SIGNS),
        weight=(-7, 7),
        source=("s8", 0, -8, 7),
        target=("s8", 0, -8, 7),
        units="channels",
    ),
    Case(
        "float bias for each feature",
        (1, 5, 23),
        19,
        ("scale for each channel", *SIGNS),
        units="channels",
        bias="float",
        target=("s8", -3),
    ),
    Case(
        "sums beyond binary32",
        (1, 2, 1301),
        3,
        ("sum beyond binary32", "negative sum"),
        weight=(-128, -121),
        source=("u8", 0),
    ),
    Case(
        "relu",
        (1, 5, 23),
        11,
        ("relu", "high clip", "code above 127"),
        target=("u8", 0),
        function="relu",
        units="channels",
        bias="float",
    ),
    Case(
        "gelu for each token",
        (1, 7, 12),
        9,
        ("falling piece", "tokens", *SIGNS),
        function="gelu",
        units="channels",
        bias="float",
        scale=3.0 / 127,
    ),
    Case(
        "gelu to a dyadic scale with an odd zero point",
        (1, 3, 12),
        9,
        ("falling piece", "odd zero point", "high clip"),
        function="gelu",
        source=("u8", 128),
        target=("u8", 11),
        scale=2.0**-7,
    ),
    Case(
        "BatchNorm of every sign, ties",
        (1, 7, 11),
        13,
        (*TIES, *SIGNS, "tokens", "negative gamma", "zero gamma"),
        weight=(-1, 1),
        source=("s8", -31),
        target=("u8", 99),
        units="signed dyadic",
        bias="int32",
    ),
    Case(
        "BatchNorm of every sign, to 4-bit codes",
        (1, 31),
        97,
        (*CLIPS, *SIGNS, "negative gamma", "zero gamma", "scale for each channel"),
        target=("s8", 1, -8, 7),
        units="signed channels",
        bias="float",
    ),
    Case(
        "PReLU for each feature",
        (1, 5, 12),
        7,
        ("function for each channel", "falling piece", "tokens", "positive tie"),
        weight=(-1, 1),
        function="prelu",
        target=("s8", -5),
        scale=0.125,
    ),
    Case(
        "mish, negated",
        (1, 3, 12),
        9,
        ("falling piece", "negative gamma"),
        function="mish",
        units="signed channels",
        bias="float",
        scale=3.0 / 127,
    ),
)


def _draw(seed: int, shape: Sequence[int], lo: int, hi: int) -> Array:
    raw = np.random.Philox(key=seed).random_raw(int(np.prod(shape))).reshape(shape)
    return (raw % np.uint64(hi - lo + 1)).astype(np.int64) + lo


@pytest.mark.parametrize("number", range(len(CASES)), ids=lambda number: CASES[number].name)
def test_case(number: int) -> None:
    case = CASES[number]
    kind, zero_point, *bounds = case.source
    source = codes("x", case.shape, kind, 0.5, zero_point, *bounds)
    features = case.shape[-1]
    x = _draw(1000 + 2 * number, source.shape, source.lo, source.hi)
    weight = _draw(1001 + 2 * number, (case.out, features), *case.weight)
    tokens, rows = x.reshape(-1, features).tolist(), weight.tolist()
    sums = {
        (t, o): sum((tokens[t][i] - zero_point) * rows[o][i] for i in range(features))
        for t, o in product(range(len(tokens)), range(case.out))
    }
    by_feature = {o: [sums[t, o] for t in range(len(tokens))] for o in range(case.out)}

    kind, zero_point, *bounds = case.target
    target = codes("y", (*case.shape[:-1], case.out), kind, case.scale, zero_point, *bounds)
    finish = finish_for(by_feature, target, case.units, case.function, case.bias, seed=number)
    expected = np.zeros((len(tokens), case.out), np.int64)
    for (t, o), acc in sums.items():
        expected[t, o] = finish.code(acc, o)
    facts = {
        "tokens": len(tokens) > 1,
        "one feature": (features, case.out) == (1, 1),
        "input above 127": x.max() > 127,
    }
    assert_reaches({*case.reaches} - finish.reached(by_feature), facts)

    bound = int(np.abs(weight).sum(axis=1).max()) * source.largest_magnitude
    operation = Linear("fc", ("x",), ("y",), frozen_array(weight, np.int8), finish.plan(bound))
    site = Site((source,), (target,))
    assert operation.accumulator_bound(site) == bound >= max(abs(acc) for acc in sums.values())
    assert operation.macs(site) == len(sums) * features
    check_operation(operation, [source], [target], [x], [expected.reshape(target.shape)])


def test_sums_at_thresholds_that_lie_far_apart() -> None:
    """In units of 2^18: what so many results are looked up by cannot tell a threshold from half above it."""
    thresholds, steps = (-60, -40, -20, 0, 12, 50), (5, -3, 7, -128, 90, 127, -7)
    worth = 2**18
    source, target = codes("x", (1, 36, 8), lo=-32, hi=31), codes("y", (1, 36, 19))
    x = _draw(77, source.shape, source.lo, source.hi)
    weight = _draw(78, (19, 8), -1, 1)
    bound = int(np.abs(weight).sum(axis=1).max()) * source.largest_magnitude
    plain = plan_rescale([Fraction(worth)], [Fraction(0)], 0, -128, 127, bound)
    rescale = replace(
        plain,
        thresholds=frozen_array([worth * t for t in thresholds], np.int32),
        codes=frozen_array(steps, np.int16),
    )
    sums = [
        [sum(a * b for a, b in zip(t, row, strict=True)) for row in weight.tolist()]
        for t in x[0].tolist()
    ]
    expected = np.array([[steps[sum(t <= acc for t in thresholds)] for acc in row] for row in sums])
    assert {-20, 0} < {acc for row in sums for acc in row}, "no sum at a threshold"
    assert {*expected.flat} == {*steps}, "a step is not reached"
    operation = Linear("fc", ("x",), ("y",), frozen_array(weight, np.int8), rescale)
    check_operation(operation, [source], [target], [x], [expected[None]])


def _plain(out: int, features: int, channels: int = 1) -> Linear:
    rescale = plan_rescale(
        [Fraction(1, 2**n) for n in range(channels)], [Fraction(0)], 0, -128, 127, 100
    )
    return Linear("fc", ("x",), ("y",), frozen_array(np.ones((out, features)), np.int8), rescale)


@pytest.mark.parametrize(
    ("operation", "shape", "message"),
    [
        (_plain(2, 3), (1, 4), r"input \[1, 4\] does not end with 3 features"),
        (_plain(2, 3), (3,), "does not end with 3 features"),
        (_plain(3, 3, channels=2), (1, 3), "2 multipliers for 3 features"),
    ],
)
def test_what_does_not_fit_is_refused(
    operation: Linear, shape: tuple[int, ...], message: str
) -> None:
    with pytest.raises(GraphError, match=message):
        operation.infer([codes("x", shape)])
