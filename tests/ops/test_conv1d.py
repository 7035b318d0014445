"""Conv1d: oracle -> reference -> C. The oracle is that of conv2d, on an image of one row."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from ares.ir import GraphError, frozen_array
from ares.numerics import plan_rescale
from ares.ops import Site
from ares.ops.conv1d import Conv1d
from tests.ops.conv2d_cases import CLIPS, SIGNS, TIES, Case, Codes
from tests.ops.convolving import draw_codes, facts_of, out_sizes, sums_of
from tests.ops.finishing import finish_for
from tests.ops.harness import check_operation, codes
from tests.ops.reaching import assert_reaches


def _signal(
    name: str,
    shape: tuple[int, int],
    out: int,
    kernel: int,
    reaches: tuple[str, ...],
    *,
    stride: int = 1,
    padding: tuple[int, int] = (0, 0),
    dilation: int = 1,
    groups: int = 1,
    weight: tuple[int, int] = (-127, 127),
    source: Codes = ("s8", 0),
    target: Codes = ("s8", 0),
    units: str = "dyadic",
    bias: str = "none",
    function: str = "identity",
) -> Case:
    """Channels and steps in; padding before and after."""
    return Case(
        name,
        (shape[0], 1, shape[1]),
        out,
        (1, kernel),
        reaches,
        (1, stride),
        (0, padding[0], 0, padding[1]),
        (1, dilation),
        groups,
        source,
        target,
        weight,
        units,
        bias,
        function,
    )


CASES = (
    _signal("kernel 1", (7, 13), 5, 1, (*CLIPS, *SIGNS)),
    _signal("kernel 3, padded alike", (3, 17), 5, 3, ("padding", *CLIPS), padding=(1, 1)),
    _signal(
        "ties around an odd zero point",
        (3, 23),
        7,
        5,
        (*TIES, "odd zero point"),
        weight=(-1, 1),
        source=("u8", 129),
        target=("s8", -7),
    ),
    _signal(
        "causal, dilation 4",
        (5, 19),
        3,
        3,
        ("padding", "one-sided padding", "dilation", *SIGNS),
        padding=(8, 0),
        dilation=4,
        units="channels",
        bias="float",
    ),
    _signal(
        "stride 3 drops a rest",
        (4, 18),
        6,
        7,
        ("padding", "one-sided padding", "dropped rest"),
        stride=3,
        padding=(2, 3),
        source=("u8", 3),
    ),
    _signal(
        "padding wider than the kernel",
        (2, 3),
        3,
        1,
        ("no tap inside", "sum of zero", "one-sided padding"),
        padding=(2, 5),
        source=("u8", 7),
        bias="float",
    ),
    _signal("groups", (6, 11), 9, 3, ("groups", *SIGNS), groups=3, padding=(1, 1)),
    _signal(
        "depthwise, stride 2, dilation 2",
        (7, 16),
        7,
        3,
        ("depthwise", "padding", "dilation", "relu", "code above 127"),
        groups=7,
        stride=2,
        padding=(2, 2),
        dilation=2,
        units="channels",
        function="relu",
        target=("u8", 0),
    ),
    _signal(
        "BatchNorm of every sign, ties",
        (2, 31),
        7,
        3,
        (*TIES, *SIGNS, "negative gamma", "zero gamma", "odd zero point"),
        weight=(-1, 1),
        source=("u8", 129),
        target=("s8", -7),
        units="signed dyadic",
        bias="int32",
    ),
    _signal("one step", (31, 1), 5, 1, (*CLIPS, *SIGNS), units="tensor"),
)


@pytest.mark.parametrize("number", range(len(CASES)), ids=lambda number: CASES[number].name)
def test_case(number: int) -> None:
    case, seed = CASES[number], 7000 + 2 * number
    kind, zero_point = case.source
    source = codes("x", (1, case.shape[0], case.shape[2]), kind, 0.5, zero_point)
    x = draw_codes(seed, source.shape, source.lo, source.hi, case.extreme)
    shape = (case.out, case.shape[0] // case.groups, case.kernel[1])
    weight = draw_codes(seed + 1, shape, *case.weight, case.extreme)
    sums = sums_of(case, x[:, :, None], weight[:, :, None], zero_point)

    kind, zero_point = case.target
    _, steps = out_sizes(case)
    target = codes("y", (1, case.out, steps), kind, case.scale, zero_point)
    rows = {o: [s for (c, _, _), s in sums.items() if c == o] for o in range(case.out)}
    finish = finish_for(rows, target, case.units, case.function, case.bias, seed=number)
    expected = np.zeros(target.shape, np.int64)
    for (o, _, t), acc in sums.items():
        expected[0, o, t] = finish.code(acc, o)
    assert_reaches({*case.reaches} - finish.reached(rows), facts_of(case, x))

    bound = int(np.abs(weight).reshape(case.out, -1).sum(axis=1).max()) * source.largest_magnitude
    operation = Conv1d(
        "conv",
        ("x",),
        ("y",),
        frozen_array(weight, np.int8),
        case.stride[1:],
        (case.padding[1], case.padding[3]),
        case.dilation[1:],
        case.groups,
        finish.plan(bound),
    )
    site = Site((source,), (target,))
    assert operation.accumulator_bound(site) == bound >= max(map(abs, sums.values()))
    assert operation.macs(site) == len(sums) * int(np.prod(shape[1:]))
    check_operation(operation, [source], [target], [x], [expected])


@pytest.mark.parametrize(
    ("weight", "fields", "shape", "message"),
    [
        ((2, 3, 1), {}, (1, 4, 5), "does not fit 4 input channels"),
        ((2, 3, 3), {}, (1, 3, 2), "larger than the padded input"),
        ((2, 3, 1), {}, (1, 3, 1, 5), "rank 4, expected 3"),
        ((2, 3, 1, 1), {}, (1, 3, 1, 5), r"strides, dilations and paddings \[1, 1, 2\] for 2 axes"),
        ((2, 3, 1), {"padding": (0, 0, 1, 1)}, (1, 3, 5), r"\[1, 1, 4\] for 1 axes"),
    ],
)
def test_what_does_not_fit_is_refused(
    weight: tuple[int, ...],
    fields: dict[str, tuple[int, ...]],
    shape: tuple[int, ...],
    message: str,
) -> None:
    rescale = plan_rescale([Fraction(1)], [Fraction(0)], 0, -128, 127, 100)
    defaults = {"stride": (1,), "padding": (0, 0), "dilation": (1,)}
    operation = Conv1d(
        "conv",
        ("x",),
        ("y",),
        weight=frozen_array(np.ones(weight), np.int8),
        groups=1,
        rescale=rescale,
        **(defaults | fields),
    )
    with pytest.raises(GraphError, match=message):
        operation.infer([codes("x", shape)])
