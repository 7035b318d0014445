"""Conv2d: oracle -> reference -> C. The oracle is six loops over Python integers and one Fraction an output."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from ares.ir import Graph, GraphError, Tensor, constant
from ares.numerics import plan_rescale
from ares.ops import Site
from ares.ops.conv2d import Conv2d
from ares.plan import PlanError, plan
from tests.ops.finishing import Finish, finish_for
from tests.ops.harness import check_operation, codes

Array = npt.NDArray[Any]
Codes = tuple[Any, ...]  # dtype, zero point, and lo, hi where they are not the type's


@dataclass(frozen=True)
class Case:
    """Channels, height, width in; output channels; what must be reached."""

    name: str
    shape: tuple[int, int, int]
    out: int
    kernel: tuple[int, int]
    reaches: tuple[str, ...]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)  # top, left, bottom, right
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    source: Codes = ("s8", 0)
    target: Codes = ("s8", 0)
    weight: tuple[int, int] = (-127, 127)
    units: str = "dyadic"
    bias: str = "none"
    function: str = "identity"
    extreme: bool = False  # inputs and weights at their ends only
    scale: float = 0.0625


TIES = ("tie to the code below", "tie to the code above", "negative tie", "positive tie")
CLIPS = ("low clip", "high clip")
SIGNS = ("negative sum", "positive sum")

CASES = (
    Case("1x1", (5, 7, 3), 11, (1, 1), (*CLIPS, *SIGNS)),
    Case("3x3, padded alike", (3, 7, 5), 5, (3, 3), ("padding", *CLIPS), padding=(1, 1, 1, 1)),
    Case(
        "ties, 2-bit weights",
        (2, 11, 7),
        7,
        (2, 2),
        (*TIES, *SIGNS),
        weight=(-1, 1),
        source=("s8", 0),
        target=("s8", 0, -128, 127),
    ),
    Case(
        "ties around an odd zero point",
        (3, 7, 11),
        5,
        (3, 2),
        (*TIES, "odd zero point"),
        weight=(-1, 1),
        source=("u8", 129),
        target=("s8", -7),
    ),
    Case(
        "ties behind an int32 bias",
        (2, 7, 9),
        5,
        (2, 3),
        (*TIES, "code above 127", "odd zero point"),
        weight=(-1, 1),
        target=("u8", 131),
        bias="int32",
    ),
    Case(
        "one-sided padding, stride 2",
        (3, 8, 6),
        4,
        (3, 3),
        ("padding", "one-sided padding"),
        stride=(2, 2),
        padding=(0, 1, 1, 0),
    ),
    Case(
        "every parameter differs between the axes",
        (4, 11, 13),
        6,
        (3, 5),
        ("padding", "one-sided padding", "dropped rest"),
        stride=(2, 3),
        padding=(2, 0, 1, 3),
        dilation=(2, 1),
        source=("u8", 3),
        units="channels",
    ),
    Case(
        "dilation 2",
        (2, 9, 8),
        3,
        (3, 3),
        ("padding", "dilation"),
        padding=(2, 2, 2, 2),
        dilation=(2, 2),
    ),
    Case(
        "dilated across the whole input",
        (3, 1, 1),
        4,
        (2, 2),
        ("no tap inside", "sum of zero", "dilation"),
        padding=(1, 1, 1, 1),
        dilation=(2, 2),
        bias="float",
    ),
    Case(
        "padding wider than the kernel",
        (3, 2, 3),
        4,
        (1, 1),
        ("no tap inside", "sum of zero", "padding"),
        padding=(2, 1, 0, 2),
        source=("u8", 7),
    ),
    Case(
        "kernel larger than the input",
        (3, 2, 3),
        5,
        (5, 4),
        ("kernel larger than the input", "padding"),
        padding=(2, 2, 2, 1),
    ),
    Case("groups", (6, 5, 7), 9, (3, 3), ("groups", *SIGNS), groups=3, padding=(1, 1, 1, 1)),
    Case(
        "depthwise, stride 2",
        (7, 9, 6),
        7,
        (3, 3),
        ("depthwise", "padding", *CLIPS),
        groups=7,
        stride=(2, 2),
        padding=(1, 1, 1, 1),
        units="channels",
    ),
    Case(
        "depthwise, two filters a channel, dilated",
        (5, 4, 11),
        10,
        (1, 3),
        ("groups", "dilation"),
        groups=5,
        dilation=(1, 2),
        source=("u8", 0),
    ),
    Case(
        "7x7, stride 3",
        (2, 17, 13),
        3,
        (7, 7),
        ("padding", "dropped rest"),
        stride=(3, 3),
        padding=(3, 3, 3, 3),
    ),
    Case(
        "6x4 of u8, far zero point",
        (3, 8, 7),
        5,
        (6, 4),
        ("input above 127", *SIGNS),
        padding=(2, 1, 3, 2),
        source=("u8", 255),
        units="tensor",
    ),
    Case("stride past the kernel", (3, 10, 8), 4, (1, 1), ("dropped rest",), stride=(3, 3)),
    Case(
        "4-bit weights and codes",
        (5, 6, 6),
        6,
        (3, 3),
        (*CLIPS, *SIGNS),
        weight=(-7, 7),
        source=("s8", 0, -8, 7),
        target=("s8", 0, -8, 7),
        units="channels",
    ),
    Case(
        "2-bit weights, 2-bit unsigned codes",
        (5, 6, 5),
        6,
        (2, 2),
        (*CLIPS, "tie to the code below", "tie to the code above"),
        weight=(-1, 1),
        source=("u8", 0, 0, 3),
        target=("u8", 1, 0, 3),
    ),
    Case(
        "float bias for each channel",
        (4, 5, 5),
        7,
        (3, 3),
        ("scale for each channel", *SIGNS),
        units="channels",
        bias="float",
        target=("s8", 9),
    ),
    Case(
        "float bias, one scale",
        (4, 5, 5),
        7,
        (3, 3),
        SIGNS,
        units="tensor",
        bias="float",
        target=("u8", 101),
    ),
    Case(
        "sums beyond binary32",
        (139, 4, 3),
        2,
        (3, 3),
        ("sum beyond binary32", "negative sum", "low clip"),
        weight=(-128, -121),
        source=("u8", 0),
    ),
    Case(
        "largest differences from the zero point",
        (31, 3, 3),
        3,
        (2, 2),
        (*SIGNS, "odd zero point"),
        weight=(-128, 127),
        extreme=True,
        source=("s8", 127),
        target=("s8", -127),
    ),
    Case(
        "relu to u8",
        (3, 6, 5),
        6,
        (3, 3),
        ("relu", "high clip", "code above 127"),
        target=("u8", 0),
        function="relu",
        units="channels",
    ),
    Case(
        "relu to s8 with a zero point",
        (3, 6, 5),
        6,
        (2, 2),
        ("relu", "high clip", "odd zero point", "tie to the code above"),
        weight=(-1, 1),
        target=("s8", -101),
        function="relu",
    ),
    Case(
        "gelu",
        (3, 7, 6),
        5,
        (3, 3),
        ("falling piece", *SIGNS),
        function="gelu",
        units="tensor",
        scale=3.5 / 127,
    ),
    Case(
        "gelu to u8 with an odd zero point, biased channels",
        (3, 7, 6),
        5,
        (3, 2),
        ("falling piece", "scale for each channel", "odd zero point"),
        function="gelu",
        units="channels",
        bias="float",
        source=("u8", 113),
        target=("u8", 17),
        scale=0.011,
    ),
    Case(
        "gelu, tanh form, 4-bit codes",
        (3, 5, 6),
        5,
        (2, 3),
        ("falling piece", *CLIPS),
        function="gelu_tanh",
        target=("s8", 1, -8, 7),
        scale=0.0166,
        units="channels",
    ),
    Case("one pixel", (31, 1, 1), 13, (1, 1), (*CLIPS, *SIGNS), units="tensor"),
    Case(
        "BatchNorm of every sign, ties",
        (2, 7, 9),
        7,
        (2, 2),
        (*TIES, *SIGNS, "negative gamma", "zero gamma", "odd zero point"),
        weight=(-1, 1),
        source=("u8", 129),
        target=("s8", -7),
        units="signed dyadic",
    ),
    Case(
        "BatchNorm of every sign, biased, depthwise",
        (7, 5, 6),
        7,
        (3, 3),
        ("depthwise", "padding", *CLIPS, "negative gamma", "zero gamma"),
        groups=7,
        padding=(1, 1, 1, 1),
        units="signed channels",
        bias="float",
        target=("u8", 101),
    ),
    Case(
        "gelu behind BatchNorm of every sign",
        (3, 5, 6),
        5,
        (3, 2),
        ("falling piece", "negative gamma", "zero gamma"),
        function="gelu",
        units="signed channels",
        bias="float",
        scale=3.5 / 127,
    ),
    Case(
        "PReLU behind BatchNorm",
        (2, 5, 7),
        6,
        (2, 3),
        (*TIES, "function for each channel", "falling piece", "negative gamma", "zero gamma"),
        weight=(-1, 1),
        function="prelu",
        units="signed dyadic",
        bias="int32",
        scale=0.125,
    ),
)


def _draw(seed: int, shape: Sequence[int], lo: int, hi: int, extreme: bool) -> Array:
    raw = np.random.Philox(key=seed).random_raw(int(np.prod(shape))).reshape(shape)
    drawn = (raw % np.uint64(hi - lo + 1)).astype(np.int64) + lo
    return np.where(drawn > (lo + hi) / 2, hi, lo) if extreme else drawn


def _taps(case: Case, y: int, x: int) -> list[tuple[int, int, int, int]]:
    """(i, j, row, column) of the taps of an output that fall inside the input."""
    _, height, width = case.shape
    found = []
    for i, j in product(range(case.kernel[0]), range(case.kernel[1])):
        row = y * case.stride[0] - case.padding[0] + i * case.dilation[0]
        column = x * case.stride[1] - case.padding[1] + j * case.dilation[1]
        if 0 <= row < height and 0 <= column < width:
            found.append((i, j, row, column))
    return found


def _out_sizes(case: Case) -> tuple[int, int]:
    sizes = []
    for axis in (0, 1):
        padded = case.padding[axis] + case.shape[1 + axis] + case.padding[axis + 2]
        starts = range(0, padded - case.dilation[axis] * (case.kernel[axis] - 1), case.stride[axis])
        sizes.append(len(starts))
    return sizes[0], sizes[1]


def _sums(case: Case, x: Array, weight: Array, zero_point: int) -> dict[tuple[int, int, int], int]:
    """The accumulator of every output (channel, y, x)."""
    depth, size = case.shape[0] // case.groups, case.out // case.groups
    pixels, weights = x.tolist(), weight.tolist()
    sums = {}
    height, width = _out_sizes(case)
    for y, column in product(range(height), range(width)):
        taps = _taps(case, y, column)
        for o in range(case.out):
            total = 0
            for c, (i, j, row, col) in product(range(depth), taps):
                code = pixels[0][o // size * depth + c][row][col]
                total += (code - zero_point) * weights[o][c][i][j]
            sums[o, y, column] = total
    return sums


def _reached(
    case: Case, x: Array, finish: Finish, sums: dict[tuple[int, int, int], int]
) -> set[str]:
    rows = {o: [s for (c, _, _), s in sums.items() if c == o] for o in range(case.out)}
    found = finish.reached(rows)
    height, width = _out_sizes(case)
    counts = {len(_taps(case, y, x)) for y, x in product(range(height), range(width))}
    kernel = case.kernel[0] * case.kernel[1]
    if min(counts) < kernel:
        found.add("padding")
    if 0 in counts:
        found.add("no tap inside")
    if case.padding[:2] != case.padding[2:]:
        found.add("one-sided padding")
    if max(case.dilation) > 1:
        found.add("dilation")
    if case.kernel[0] > case.shape[1] and case.kernel[1] > case.shape[2]:
        found.add("kernel larger than the input")
    if case.groups > 1:
        found.add("depthwise" if case.groups == case.out == case.shape[0] else "groups")
    if int(x.max()) > 127:
        found.add("input above 127")
    for axis in (0, 1):
        padded = case.padding[axis] + case.shape[1 + axis] + case.padding[axis + 2]
        reach = case.dilation[axis] * (case.kernel[axis] - 1) + 1
        if (padded - reach) % case.stride[axis]:
            found.add("dropped rest")
    return found


@pytest.mark.parametrize("number", range(len(CASES)), ids=lambda number: CASES[number].name)
def test_case(number: int) -> None:
    case = CASES[number]
    kind, zero_point, *bounds = case.source
    source = codes("x", (1, *case.shape), kind, 0.5, zero_point, *bounds)
    x = _draw(2 * number, source.shape, source.lo, source.hi, case.extreme)
    shape = (case.out, case.shape[0] // case.groups, *case.kernel)
    weight = _draw(2 * number + 1, shape, *case.weight, case.extreme)
    sums = _sums(case, x, weight, zero_point)

    kind, zero_point, *bounds = case.target
    target = codes("y", (1, case.out, *_out_sizes(case)), kind, case.scale, zero_point, *bounds)
    rows = {o: [s for (c, _, _), s in sums.items() if c == o] for o in range(case.out)}
    finish = finish_for(rows, target, case.units, case.function, case.bias, seed=number)
    expected = np.zeros(target.shape, np.int64)
    for (o, y, column), acc in sums.items():
        expected[0, o, y, column] = finish.code(acc, o)
    assert set(case.reaches) <= _reached(case, x, finish, sums)

    operation = _operation(case, weight, source, finish)
    site = Site((source,), (target,))
    bound = operation.accumulator_bound(site)
    assert max(abs(acc) for acc in sums.values()) <= bound
    assert operation.macs(site) == len(sums) * int(np.prod(shape[1:]))
    check_operation(operation, [source], [target], [x], [expected])


def _operation(case: Case, weight: Array, source: Tensor, finish: Finish) -> Conv2d:
    bound = int(np.abs(weight).reshape(case.out, -1).sum(axis=1).max()) * source.largest_magnitude
    return Conv2d(
        "conv",
        ("x",),
        ("y",),
        constant(weight, np.int8),
        case.stride,
        case.padding,
        case.dilation,
        case.groups,
        finish.plan(bound),
    )


def _plain(weight: Array, channels: int = 1, **fields: Any) -> Conv2d:
    """A convolution with nothing special about it."""
    rescale = plan_rescale(
        [Fraction(1, 2**n) for n in range(channels)], [Fraction(0)], 0, -128, 127, 100
    )
    defaults = {"stride": (1, 1), "padding": (0,) * 4, "dilation": (1, 1), "groups": 1}
    return Conv2d(
        "conv",
        ("x",),
        ("y",),
        weight=constant(weight, np.int8),
        rescale=rescale,
        **(defaults | fields),
    )


@pytest.mark.parametrize(
    ("operation", "shape", "message"),
    [
        (_plain(np.ones((2, 3, 1, 1))), (1, 4, 5, 5), "does not fit 4 input channels"),
        (_plain(np.ones((3, 2, 1, 1)), groups=2), (1, 4, 5, 5), "with 2 groups does not fit"),
        (_plain(np.ones((2, 3, 3, 3))), (1, 3, 2, 5), "larger than the padded input"),
        (_plain(np.ones((2, 3, 1, 1))), (1, 3, 5), "rank 3, expected 4"),
        (_plain(np.ones((3, 3, 1, 1)), channels=2), (1, 3, 5, 5), "2 multipliers for 3 channels"),
    ],
)
def test_what_does_not_fit_is_refused(
    operation: Conv2d, shape: tuple[int, ...], message: str
) -> None:
    with pytest.raises(GraphError, match=message):
        operation.infer([codes("x", shape)])


def test_the_accumulator_bound_is_reached_and_checked() -> None:
    """N2: the worst input reaches the bound; one more channel of it would pass int32."""
    weight = np.full((1, 66311, 1, 1), -127)
    source, target = codes("x", (1, 66311, 1, 1), "u8"), codes("y", (1, 1, 1, 1))
    operation = _plain(weight)
    bound = 66311 * 127 * 255
    assert operation.accumulator_bound(Site((source,), (target,))) == bound < 2**31
    rescale = plan_rescale([Fraction(1, 2**24)], [Fraction(0)], 0, -128, 127, bound)
    fits = Conv2d("conv", ("x",), ("y",), operation.weight, (1, 1), (0,) * 4, (1, 1), 1, rescale)
    worst = np.full(source.shape, 255)
    expected = np.full(target.shape, -128)
    check_operation(fits, [source], [target], [worst], [expected])

    wider = _plain(np.full((1, 66312, 1, 1), -127))
    source = codes("x", (1, 66312, 1, 1), "u8")
    graph = Graph("net", (source, target), (wider,), ("x",), ("y",))
    with pytest.raises(
        PlanError, match=r"conv \(OP_CONV2D\): an accumulator could reach 2147514120"
    ):
        plan(graph)
