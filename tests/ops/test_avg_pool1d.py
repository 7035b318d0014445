"""AvgPool1d: oracle -> reference -> C, in both memory orders, and PyTorch's own answer for windows and divisors."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch

from ares.ir import GraphError, Tensor
from ares.numerics import Rescale, plan_rescale
from ares.ops import Site
from ares.ops.avg_pool1d import AvgPool1d
from tests.ops import windows
from tests.ops.graphs import check_graph, graph_of
from tests.ops.harness import codes
from tests.ops.reaching import assert_reaches
from tests.ops.windows import Seen

LENGTH, CHANNELS = 13, 3


@dataclass(frozen=True)
class Case:
    reaches: tuple[str, ...]
    kernel: int
    stride: int = 1
    padding: tuple[int, int] = (0, 0)
    ceil_mode: bool = False
    count_include_pad: bool = True

    def seen(self, length: int) -> list[Seen]:
        return windows.sliding(
            length, self.kernel, self.stride, self.padding, self.ceil_mode, self.count_include_pad
        )

    def operation(self, name: str, constants: tuple[Rescale, ...]) -> AvgPool1d:
        return AvgPool1d(
            name,
            ("x",),
            (f"{name}_y",),
            self.kernel,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            constants,
        )


CASES = {
    "halves": Case(("tie", "dropped rest"), 2, 2),
    "sixths": Case(("negative tie", "one size"), 6, 1, (1, 0)),
    "overlapping": Case(("overlap", "low clip", "high clip"), 4, 1),
    "skipping": Case(("skipped input",), 2, 5),
    "whole": Case(("one window",), LENGTH),
    "one": Case(("one element a window",), 1),
    "counted padding": Case(("padding", "one size"), 5, 3, (2, 2)),
    "uncounted padding": Case(("padding", "sizes"), 5, 3, (2, 2), count_include_pad=False),
    "past the end": Case(("past the end", "sizes"), 4, 4, ceil_mode=True),
    "past the padding": Case(("past the end", "padding", "sizes"), 4, 3, (1, 1), ceil_mode=True),
    "past the padding, uncounted": Case(
        ("past the end", "padding", "sizes"),
        6,
        5,
        (3, 1),
        ceil_mode=True,
        count_include_pad=False,
    ),
}


def _facts(case: Case, seen: list[Seen]) -> dict[str, bool]:
    starts = [i * case.stride - case.padding[0] for i in range(len(seen))]
    end = LENGTH + case.padding[1]
    return {
        "one window": len(seen) == 1,
        "one element a window": all(len(window.places) == 1 for window in seen),
        "overlap": case.stride < case.kernel,
        "skipped input": case.stride > case.kernel,
        "dropped rest": starts[-1] + case.kernel < end,
        "past the end": starts[-1] + case.kernel > end,
        "padding": starts[0] < 0,
        "one size": len({window.divisor for window in seen}) == 1,
        "sizes": len({window.divisor for window in seen}) > 1,
    }


@pytest.mark.parametrize(("kind", "target_kind"), [("s8", "u8"), ("u8", "s8")])
@pytest.mark.parametrize("layout", [(0, 1, 2), (0, 2, 1)])
def test_oracle_reference_c(kind: str, target_kind: str, layout: tuple[int, ...]) -> None:
    source = windows.scattered("x", (1, CHANNELS, LENGTH), layout, kind)
    operations: list[Any] = [source.operation]
    tensors, expected = [source.source, source.tensor], {}
    for number, case in enumerate(CASES.values()):
        seen = [case.seen(LENGTH)]
        shape = (1, CHANNELS, len(seen[0]))
        scale, zero_point = 2.0**-8 if number == 2 else 0.5, 131 if target_kind == "u8" else 1
        target = codes(f"p{number}_y", shape, target_kind, scale, zero_point)
        answer, reals = windows.averages(source.logical, seen, source.tensor, target, None)
        assert_reaches(case.reaches, _facts(case, seen[0]), reals, target)
        constants = windows.rescales(seen, source.tensor, target)
        operations.append(case.operation(f"p{number}", constants))
        tensors.append(target)
        expected[target.name] = answer
    graph = graph_of(operations, tensors, [source.source.name], list(expected))
    check_graph(graph, {source.source.name: source.array}, expected)


def test_the_windows_are_pytorchs() -> None:
    """Of oracle and reference: sizes, and sums over divisors, to far less than a divisor would change them."""
    compared = 0
    grid = product((1, 4, 7, 8), (1, 2, 3, 5), (1, 2, 3), (0, 1, 2), (False, True), (False, True))
    for length, kernel, stride, pad, ceil_mode, counts in grid:
        if pad > kernel // 2 or length + 2 * pad < kernel:
            continue
        case = Case((), kernel, stride, (pad, pad), ceil_mode, counts)
        source, target = codes("x", (1, 2, length)), codes("y", (1,), "s8", 2.0**-12)
        x = ((np.arange(2 * length) * 37) % 11 - 5).reshape(source.shape)
        real = torch.nn.functional.avg_pool1d(
            torch.from_numpy(x).double(), kernel, stride, pad, ceil_mode, counts
        )
        seen = [case.seen(length)]
        _, found = windows.averages(x, seen, source, target, None)
        units = (real * 2**12).flatten().tolist()
        assert [round(unit) for unit in units] == [round(value) for value in found], case
        constants = windows.rescales(seen, source, codes("y", (1,), "s8", 0.125))
        operation = case.operation("p", constants)
        ((shape, _),) = operation.infer([source])
        assert shape == real.shape
        target = codes("y", shape, "s8", 0.125)
        answer, _ = windows.averages(x, seen, source, target, None)
        (codes_found,) = operation.reference(Site((source,), (target,)), [x])
        assert np.array_equal(codes_found, answer), case
        compared += 1
    assert compared > 150


def _refused(source: Tensor, **changes: Any) -> str:
    rescale = plan_rescale([Fraction(1, 5)], [Fraction(0)], 0, -128, 127, 999)
    case = Case((), **{"kernel": 2, "stride": 2, **changes})
    with pytest.raises(GraphError) as error:
        case.operation("p", (rescale, rescale)).infer([source])
    return str(error.value)


@pytest.mark.parametrize(
    ("shape", "changes", "message"),
    [
        ((1, 8), {}, "expected [1, C, L]"),
        ((2, 2, 8), {}, "expected [1, C, L]"),
        ((1, 2, 8), {}, "2 sets of constants for windows of 2 to 2 elements"),
        ((1, 2, 1), {}, "kernel is larger"),
        ((1, 2, 8), {"stride": 0}, "must be positive"),
        ((1, 2, 8), {"padding": (-1, 0)}, "not negative"),
        ((1, 2, 8), {"padding": (3, 0), "count_include_pad": False}, "not counted"),
    ],
)
def test_what_does_not_fit_is_refused(
    shape: tuple[int, ...], changes: dict[str, Any], message: str
) -> None:
    assert message in _refused(codes("x", shape), **changes)
