"""AdaptiveAvgPool2d: oracle -> reference -> C, for output sizes that divide the input's and such that do not."""

from __future__ import annotations

from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch

from ares.ir import GraphError
from ares.numerics import plan_rescale
from ares.ops import Site
from ares.ops.adaptive_avg_pool2d import AdaptiveAvgPool2d
from tests.ops import windows
from tests.ops.graphs import check_graph, graph_of
from tests.ops.harness import codes
from tests.ops.reaching import assert_reaches

SHAPE = (1, 3, 7, 5)
SIZES = ((1, 1), (2, 2), (3, 4), (5, 3), (7, 2), (4, 5), (7, 5), (9, 11), (1, 3))


@pytest.mark.parametrize(("kind", "target_kind"), [("s8", "u8"), ("u8", "s8")])
def test_oracle_reference_c(kind: str, target_kind: str) -> None:
    source = windows.scattered("x", SHAPE, (0, 2, 3, 1), kind)
    operations: list[Any] = [source.operation]
    tensors, expected, every, found = [source.source, source.tensor], {}, [], set()
    for number, size in enumerate(SIZES):
        axes = [windows.adaptive(*ends) for ends in zip(SHAPE[2:], size, strict=True)]
        scale, zero_point = 2.0**-8 if number == 2 else 0.5, 131 if target_kind == "u8" else 1
        target = codes(f"y{number}", (*SHAPE[:2], *size), target_kind, scale, zero_point)
        answer, reals = windows.averages(source.logical, axes, source.tensor, target, None)
        constants = windows.rescales(axes, source.tensor, target)
        found |= assert_reaches((), {f"{len(constants)} sizes": True}, reals, target)
        every += [len({window.divisor for window in axis}) for axis in axes]
        operations.append(AdaptiveAvgPool2d(f"p{number}", ("x",), (target.name,), size, constants))
        tensors.append(target)
        expected[target.name] = answer
    wanted = {"tie", "negative tie", "low clip", "high clip", "1 sizes", "2 sizes", "4 sizes"}
    assert wanted <= found
    assert {1, 2} == set(every)
    graph = graph_of(operations, tensors, [source.source.name], list(expected))
    check_graph(graph, {source.source.name: source.array}, expected)


def test_the_windows_are_pytorchs() -> None:
    for height, width, rows, columns in product((1, 6, 7), (5, 8), (1, 2, 4, 7, 9), (3, 5)):
        source = codes("x", (1, 2, height, width))
        x = ((np.arange(2 * height * width) * 37) % 11 - 5).reshape(source.shape)
        real = torch.nn.functional.adaptive_avg_pool2d(
            torch.from_numpy(x).double(), (rows, columns)
        )
        axes = [windows.adaptive(height, rows), windows.adaptive(width, columns)]
        target = codes("y", (1, 2, rows, columns), "s8", 0.125)
        answer, found = windows.averages(x, axes, source, target, None)
        # A ratio of small integers is known by far fewer bits than these.
        units = (real * 2**20).flatten().tolist()
        assert [round(unit) for unit in units] == [round(value * 2**17) for value in found]
        operation = AdaptiveAvgPool2d(
            "p", ("x",), ("y",), (rows, columns), windows.rescales(axes, source, target)
        )
        assert operation.infer([source])[0][0] == target.shape
        (codes_found,) = operation.reference(Site((source,), (target,)), [x])
        assert np.array_equal(codes_found, answer)


@pytest.mark.parametrize(
    ("shape", "size", "message"),
    [
        ((1, 2, 8), (2, 2), "expected [1, C, H, W]"),
        ((2, 2, 8, 8), (2, 2), "expected [1, C, H, W]"),
        ((1, 2, 8, 7), (3, 2), "1 sets of constants for windows of 3 to 4 x 4 to 4 elements"),
        ((1, 2, 8, 8), (0, 2), "expected 1 or more"),
    ],
)
def test_what_does_not_fit_is_refused(
    shape: tuple[int, ...], size: tuple[int, int], message: str
) -> None:
    rescale = plan_rescale([Fraction(1, 5)], [Fraction(0)], 0, -128, 127, 999)
    with pytest.raises(GraphError) as error:
        AdaptiveAvgPool2d("p", ("x",), ("y",), size, (rescale,)).infer([codes("x", shape)])
    assert message in str(error.value)
