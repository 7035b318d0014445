"""LinearFp32: oracle -> reference -> C, bit for bit (N9). The oracle rounds Fractions to binary32 itself."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from ares.ir import GraphError, frozen_array
from ares.ops import Site
from ares.ops.linear_fp32 import LinearFp32
from tests.numerics import oracle
from tests.ops.convolving import draw_codes
from tests.ops.harness import check_operation, codes, real
from tests.ops.reaching import assert_reaches
from tests.ops.real_outputs import exact, roundings, uniform

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Case:
    """Shape of the input, output features; what must be reached."""

    name: str
    shape: tuple[int, ...]
    out: int
    reaches: tuple[str, ...]
    source: tuple[str, int] = ("s8", 0)
    weight: tuple[int, int] = (-127, 127)
    scales: tuple[float, float] = (0.001, 0.01)  # of the outputs, from and to
    bias_codes: int = 0  # largest magnitude
    bias: float = 0.0  # largest magnitude


SIGNS = ("negative sum", "positive sum")
CASES = (
    Case("no bias", (1, 31), 13, (*SIGNS, "product rounded")),
    Case("float bias", (1, 31), 13, (*SIGNS, "sum rounded"), bias=3.0),
    Case("int32 bias", (1, 7, 11), 5, ("tokens", *SIGNS), bias_codes=2**20, source=("u8", 129)),
    Case("both", (1, 3, 2, 11), 5, ("tokens", *SIGNS), bias_codes=1000, bias=0.5),
    Case(
        "sums that binary32 rounds",
        (1, 5, 17),
        7,
        ("conversion rounded", "product rounded", "sum rounded"),
        bias_codes=2**30,
        bias=70000.0,
    ),
    Case(
        "ties of the conversion",
        (1, 64, 1),
        3,
        ("conversion rounded", "tie of the conversion"),
        weight=(1, 1),
        bias_codes=2**25,
        scales=(1.0, 1.0),
    ),
    Case("dyadic scales are exact", (1, 9), 11, ("exact",), scales=(0.25, 0.25), weight=(-7, 7)),
    Case("all zeros", (1, 5), 3, ("sum of zero",), weight=(0, 0)),
    Case("2-bit weights", (1, 4, 13), 6, SIGNS, weight=(-1, 1), source=("u8", 255), bias=0.01),
    Case(
        "negative scales",
        (1, 5, 17),
        9,
        ("negative scale", "positive scale", *SIGNS, "product rounded", "sum rounded"),
        scales=(-0.01, 0.01),
        bias=0.5,
    ),
    Case("a scale of zero", (1, 5), 3, ("product of zero",), scales=(0.0, 0.0), bias=1.0),
    Case("more than a panel", (1, 3, 11), 37, ("tokens", *SIGNS), bias=3.0),
    Case("more than a panel, no bias", (1, 3, 11), 19, ("tokens", *SIGNS)),
)


@pytest.mark.parametrize("number", range(len(CASES)), ids=lambda number: CASES[number].name)
def test_case(number: int) -> None:
    case = CASES[number]
    kind, zero_point = case.source
    source = codes("x", case.shape, kind, 0.5, zero_point)
    target = real("y", (*case.shape[:-1], case.out))
    features, seed = case.shape[-1], 2000 + 10 * number
    x = draw_codes(seed, source.shape, source.lo, source.hi, False)
    weight = draw_codes(seed + 1, (case.out, features), *case.weight, False)
    scale = uniform(seed + 2, case.out, *case.scales)
    bias_codes = draw_codes(seed + 3, (case.out,), -case.bias_codes, case.bias_codes, False)
    bias = uniform(seed + 4, case.out, -case.bias, case.bias)

    tokens, rows = x.reshape(-1, features).tolist(), weight.tolist()
    expected = np.zeros((len(tokens), case.out), np.uint32)
    reached = set[str]()
    worst, largest = Fraction(0), Fraction(0)
    for t, o in product(range(len(tokens)), range(case.out)):
        acc = sum((tokens[t][i] - zero_point) * rows[o][i] for i in range(features))
        acc += int(bias_codes[o])
        addend = exact(bias[o]) if case.bias else None
        result = oracle.real_output(acc, exact(scale[o]), addend)
        assert isinstance(result, Fraction)
        expected[t, o] = oracle.to_bits(result)
        reached |= roundings(acc, exact(scale[o]), addend)
        meant = acc * exact(scale[o]) + (addend or 0)
        worst, largest = max(worst, abs(result - meant)), max(largest, abs(meant))
    assert_reaches({*case.reaches} - reached, {"tokens": len(tokens) > 1})
    assert worst <= LinearFp32.EPS * largest

    operation = LinearFp32(
        "fc",
        ("x",),
        ("y",),
        weight=frozen_array(weight, np.int8),
        scale=frozen_array(scale, np.float32),
        bias_codes=frozen_array(bias_codes if case.bias_codes else [], np.int32),
        bias=frozen_array(bias if case.bias else [], np.float32),
    )
    site = Site((source,), (target,))
    bound = int(np.abs(weight).sum(axis=1).max()) * source.largest_magnitude
    bound += int(np.abs(bias_codes).max())
    assert operation.accumulator_bound(site) == bound
    check_operation(
        operation, [source], [target], [x], [expected.view(np.float32).reshape(target.shape)]
    )


def _plain(out: int, features: int, constants: int) -> LinearFp32:
    return LinearFp32(
        "fc",
        ("x",),
        ("y",),
        weight=frozen_array(np.ones((out, features)), np.int8),
        scale=frozen_array([1.0] * out, np.float32),
        bias_codes=frozen_array([], np.int32),
        bias=frozen_array([0.5] * constants, np.float32),
    )


@pytest.mark.parametrize(
    ("operation", "shape", "message"),
    [
        (_plain(2, 3, 2), (1, 4), "does not end with 3 features"),
        (_plain(3, 4, 2), (1, 4), "2 constants for 3 features"),
    ],
)
def test_what_does_not_fit_is_refused(
    operation: LinearFp32, shape: tuple[int, ...], message: str
) -> None:
    with pytest.raises(GraphError, match=message):
        operation.infer([codes("x", shape)])
