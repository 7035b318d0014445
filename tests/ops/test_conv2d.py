"""Conv2d: oracle -> reference -> C. The oracle is six loops over Python integers and one Fraction an output."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from ares.ir import Graph, GraphError, Tensor, frozen_array
from ares.numerics import plan_rescale
from ares.ops import Site
from ares.ops.conv2d import Conv2d
from ares.plan import PlanError, plan
from tests.ops.conv2d_cases import CASES, Array, Case
from tests.ops.convolving import draw_codes, facts_of, out_sizes, sums_of
from tests.ops.finishing import Finish, finish_for
from tests.ops.harness import check_operation, codes
from tests.ops.reaching import assert_reaches


@pytest.mark.parametrize("number", range(len(CASES)), ids=lambda number: CASES[number].name)
def test_case(number: int) -> None:
    case = CASES[number]
    kind, zero_point, *bounds = case.source
    source = codes("x", (1, *case.shape), kind, 0.5, zero_point, *bounds)
    x = draw_codes(2 * number, source.shape, source.lo, source.hi, case.extreme)
    shape = (case.out, case.shape[0] // case.groups, *case.kernel)
    weight = draw_codes(2 * number + 1, shape, *case.weight, case.extreme)
    sums = sums_of(case, x, weight, zero_point)

    kind, zero_point, *bounds = case.target
    target = codes("y", (1, case.out, *out_sizes(case)), kind, case.scale, zero_point, *bounds)
    rows = {o: [s for (c, _, _), s in sums.items() if c == o] for o in range(case.out)}
    finish = finish_for(rows, target, case.units, case.function, case.bias, seed=number)
    expected = np.zeros(target.shape, np.int64)
    for (o, y, column), acc in sums.items():
        expected[0, o, y, column] = finish.code(acc, o)
    assert_reaches({*case.reaches} - finish.reached(rows), facts_of(case, x))

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
        frozen_array(weight, np.int8),
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
    defaults: dict[str, Any] = {
        "stride": (1, 1),
        "padding": (0,) * 4,
        "dilation": (1, 1),
        "groups": 1,
    }
    return Conv2d(
        "conv",
        ("x",),
        ("y",),
        weight=frozen_array(weight, np.int8),
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
