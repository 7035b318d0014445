"""AverageFp32: oracle -> reference -> C, bit for bit (N9). The oracle sums Python integers and rounds Fractions."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import pytest

from ares.ir import GraphError, frozen_array
from ares.ops import Site
from ares.ops.average_fp32 import AverageFp32
from tests.numerics import oracle
from tests.ops.averaging import sums_over
from tests.ops.convolving import draw_codes
from tests.ops.harness import check_operation, codes, real
from tests.ops.reaching import assert_reaches
from tests.ops.real_outputs import exact, roundings, uniform


@dataclass(frozen=True)
class Case:
    """Shape of the input, channels first; window, stride and padding along the axes behind them; what it reaches."""

    name: str
    shape: tuple[int, ...]
    window: tuple[int, ...]
    reaches: tuple[str, ...]
    stride: tuple[int, ...] = (1, 1)
    padding: tuple[int, ...] = (0, 0, 0, 0)
    axis: int = 1
    source: tuple[str, int] = ("s8", 0)
    scales: tuple[float, float] = (0.001, 0.01)
    bias: float = 0.0


SIGNS = ("negative sum", "positive sum")
CASES = (
    Case("all positions", (1, 7, 5, 3), (5, 3), (*SIGNS, "product rounded", "one window")),
    Case(
        "padding on one side, a bias",
        (1, 5, 4, 7),
        (2, 3),
        (*SIGNS, "sum rounded", "padding", "overlapping windows"),
        stride=(2, 1),
        padding=(1, 0, 0, 2),
        source=("u8", 129),
        bias=3.0,
    ),
    Case(
        "negative scales, odd zero point",
        (1, 11, 2, 2),
        (2, 2),
        ("negative scale", "positive scale", *SIGNS),
        source=("s8", -3),
        scales=(-0.01, 0.01),
        bias=0.5,
    ),
    Case("rows", (1, 3, 5, 7), (5, 1), (*SIGNS,), scales=(0.25, 0.25)),
    Case("signal", (1, 5, 13), (4,), SIGNS, stride=(3,), padding=(1, 0)),
    Case("tokens", (1, 6, 11), (11,), (*SIGNS, "one window"), stride=(1,), padding=(0, 0), axis=-1),
    Case("tokens of an image", (1, 6, 3, 5), (3, 5), (*SIGNS, "one window"), axis=-1),
    Case("zeros", (1, 3, 2), (2,), ("sum of zero",), (1,), (0, 0), source=("u8", 0)),
    Case("more than a tile", (1, 83, 3, 2), (3, 2), SIGNS, bias=3.0),
    Case(
        "windows in the padding alone",
        (1, 5, 2, 3),
        (1, 2),
        (*SIGNS, "sum of zero", "padding"),
        padding=(2, 2, 1, 2),
    ),
)


def _places(case: Case) -> list[list[range]]:
    """What every window sees of each axis behind the channels."""
    found = []
    count = len(case.window)
    for axis, (taps, step) in enumerate(zip(case.window, case.stride, strict=False)):
        size, before, after = case.shape[2 + axis], case.padding[axis], case.padding[axis + count]
        starts = range(-before, size + after - taps + 1, step)
        found.append([range(max(start, 0), min(start + taps, size)) for start in starts])
    return found


@pytest.mark.parametrize("number", range(len(CASES)), ids=lambda number: CASES[number].name)
def test_case(number: int) -> None:
    case, seed = CASES[number], 7300 + 10 * number
    axes, channels = len(case.window), case.shape[1]
    kind, zero_point = case.source
    source = codes("x", case.shape, kind, 0.5, zero_point)
    x = draw_codes(seed, case.shape, source.lo, source.hi, False)
    x = np.zeros_like(x) if case.name == "zeros" else x
    places = _places(case)
    sums: Any = sums_over(x, places, zero_point)
    scale = uniform(seed + 1, channels, *case.scales)
    bias = uniform(seed + 2, channels, -case.bias, case.bias)

    answers = np.zeros(sums.shape, np.uint32)
    reached = set[str]()
    worst, largest = Fraction(0), Fraction(0)
    for at in product(*map(range, sums.shape)):
        total, c = sums[at], at[1]
        addend = exact(bias[c]) if case.bias else None
        result = oracle.real_output(total, exact(scale[c]), addend)
        assert isinstance(result, Fraction)
        answers[at] = oracle.to_bits(result)
        reached |= roundings(total, exact(scale[c]), addend)
        meant = total * exact(scale[c]) + (addend or 0)
        worst, largest = max(worst, abs(result - meant)), max(largest, abs(meant))
    seen = [len(window) for windows in places for window in windows]
    facts = {
        "one window": sums[0, 0].size == 1,
        "padding": min(seen) < min(case.window),
        "overlapping windows": any(
            step < taps for step, taps in zip(case.stride, case.window, strict=False)
        ),
    }
    assert_reaches({*case.reaches} - reached, facts)
    assert worst <= AverageFp32.EPS * largest

    x = np.moveaxis(x, 1, case.axis)
    expected = np.moveaxis(answers.view(np.float32), 1, case.axis)
    source, target = codes("x", x.shape, kind, 0.5, zero_point), real("y", expected.shape)
    operation = AverageFp32(
        "average",
        ("x",),
        ("y",),
        case.window,
        case.stride[:axes],
        case.padding[: 2 * axes],
        case.axis % x.ndim,
        frozen_array(scale, np.float32),
        frozen_array(bias if case.bias else [], np.float32),
    )
    bound = int(np.prod(case.window)) * source.largest_magnitude
    assert operation.accumulator_bound(Site((source,), (target,))) == bound
    check_operation(operation, [source], [target], [x], [expected])


@pytest.mark.parametrize(
    ("fields", "shape", "message"),
    [
        ({}, (1, 3, 4), "rank 3, expected 4"),
        ({}, (1, 3, 1, 4), "larger than the padded input"),
        ({"axis": 2}, (1, 3, 4, 4), r"channels along axis 2 of \[1, 3, 4, 4\]"),
        ({"axis": 3}, (1, 4, 4, 2), "3 constants for 2 features"),
        ({"stride": (0, 1)}, (1, 3, 4, 4), r"strides \(0, 1\)"),
        ({"padding": (0, 0)}, (1, 3, 4, 4), r"padding \(0, 0\) of 2 axes"),
    ],
)
def test_what_does_not_fit_is_refused(
    fields: dict[str, Any], shape: tuple[int, ...], message: str
) -> None:
    defaults: dict[str, Any] = {
        "window": (2, 2),
        "stride": (1, 1),
        "padding": (0, 0, 0, 0),
        "axis": 1,
        "scale": frozen_array([1.0] * 3, np.float32),
        "bias": frozen_array([], np.float32),
    }
    operation = AverageFp32("average", ("x",), ("y",), **(defaults | fields))
    with pytest.raises(GraphError, match=message):
        operation.infer([codes("x", shape)])
