"""MaxPool1d: oracle -> reference -> C, in both memory orders, and PyTorch's own answer for sizes and values."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch

from ares.ir import GraphError, Tensor
from ares.ops import Site
from ares.ops.max_pool1d import MaxPool1d
from tests.ops import windows
from tests.ops.graphs import check_graph, graph_of
from tests.ops.harness import codes
from tests.ops.layouts import laid, like
from tests.ops.reaching import assert_reaches
from tests.ops.windows import Seen

LENGTH, CHANNELS = 13, 3


@dataclass(frozen=True)
class Case:
    reaches: tuple[str, ...]
    kernel: int
    stride: int = 1
    padding: tuple[int, int] = (0, 0)
    dilation: int = 1
    ceil_mode: bool = False

    def seen(self, length: int) -> list[Seen]:
        return windows.sliding(
            length,
            self.kernel,
            self.stride,
            self.padding,
            self.ceil_mode,
            dilation=self.dilation,
        )

    def operation(self, name: str) -> MaxPool1d:
        return MaxPool1d(
            name,
            ("x",),
            (f"{name}_y",),
            self.kernel,
            self.stride,
            self.padding,
            self.dilation,
            self.ceil_mode,
        )


CASES = {
    "halves": Case(("dropped rest",), 2, 2),
    "overlapping": Case(("overlap", "padding"), 3, 2, (1, 1)),
    "skipping": Case(("skipped input",), 2, 5),
    "whole": Case(("one window",), LENGTH),
    "one": Case(("one element a window",), 1),
    "dilated": Case(("dilation", "padding", "tap in front"), 3, 2, (3, 1), 2),
    "past the end": Case(("past the end",), 4, 4, ceil_mode=True),
    "left out": Case(("window left out", "padding"), 2, 3, (1, 1), ceil_mode=True),
}


def _facts(case: Case, seen: list[Seen]) -> dict[str, bool]:
    starts = [i * case.stride - case.padding[0] for i in range(len(seen))]
    reach = case.dilation * (case.kernel - 1) + 1
    end = LENGTH + case.padding[1]
    rest = starts[-1] + reach < end
    return {
        "one window": len(seen) == 1,
        "one element a window": all(len(window.places) == 1 for window in seen),
        "overlap": case.stride < reach,
        "skipped input": case.stride > reach,
        "dropped rest": rest and not case.ceil_mode,
        "window left out": rest and case.ceil_mode,
        "past the end": starts[-1] + reach > end,
        "padding": starts[0] < 0,
        "dilation": case.dilation > 1,
        "tap in front": starts[0] < 0 < seen[0].places[0],
    }


@pytest.mark.parametrize("kind", ["s8", "u8"])
@pytest.mark.parametrize("layout", [(0, 1, 2), (0, 2, 1)])
def test_oracle_reference_c(kind: str, layout: tuple[int, ...]) -> None:
    source = laid("x", (1, CHANNELS, LENGTH), layout, kind)
    whole = np.arange(source.array.size).reshape(source.array.shape) * 97 % 256
    source = windows.holding(source, whole + source.tensor.dtype.lo)
    operations: list[Any] = [source.operation]
    tensors, expected, signs = [source.source, source.tensor], {}, set()
    for number, case in enumerate(CASES.values()):
        seen = [case.seen(LENGTH)]
        assert_reaches(case.reaches, _facts(case, seen[0]))
        answer = windows.maxima(source.logical, seen)
        target = like(source.tensor, f"p{number}_y", answer.shape)
        signs |= {*np.sign(answer.ravel())}
        operations.append(case.operation(f"p{number}"))
        tensors.append(target)
        expected[target.name] = answer
    assert signs >= ({-1, 1} if kind == "s8" else {1})
    graph = graph_of(operations, tensors, [source.source.name], list(expected))
    check_graph(graph, {source.source.name: source.array}, expected)


def test_sizes_and_values_are_pytorchs() -> None:
    compared = 0
    grid = product((1, 4, 7, 8), (1, 2, 3, 5), (1, 2, 3), (0, 1, 2), (1, 2), (False, True))
    for length, kernel, stride, pad, dilation, ceil_mode in grid:
        if pad > kernel // 2 or length + 2 * pad < dilation * (kernel - 1) + 1:
            continue
        case = Case((), kernel, stride, (pad, pad), dilation, ceil_mode)
        source = codes("x", (1, 2, length))
        x = ((np.arange(2 * length) * 37) % 11 - 5).reshape(source.shape)
        real = torch.nn.functional.max_pool1d(
            torch.from_numpy(x).double(), kernel, stride, pad, dilation, ceil_mode
        ).numpy()
        if real.min() == -np.inf:
            with pytest.raises(GraphError, match="lies in the padding"):
                case.operation("p").infer([source])
            continue
        assert np.array_equal(windows.maxima(x, [case.seen(length)]), real), case
        ((shape, _),) = case.operation("p").infer([source])
        site = Site((source,), (codes("y", shape),))
        (found,) = case.operation("p").reference(site, [x])
        assert np.array_equal(found, real), case
        compared += 1
    assert compared > 150


def _refused(source: Tensor, **changes: Any) -> str:
    with pytest.raises(GraphError) as error:
        Case((), **{"kernel": 2, "stride": 2, **changes}).operation("p").infer([source])
    return str(error.value)


@pytest.mark.parametrize(
    ("shape", "changes", "message"),
    [
        ((1, 8), {}, "expected [1, C, L]"),
        ((2, 2, 8), {}, "expected [1, C, L]"),
        ((1, 2, 1), {}, "kernel is larger"),
        ((1, 2, 8), {"stride": 0}, "must be positive"),
        ((1, 2, 8), {"padding": (-1, 0)}, "not negative"),
        ((1, 2, 8), {"padding": (2, 0)}, "lies in the padding"),
    ],
)
def test_what_does_not_fit_is_refused(
    shape: tuple[int, ...], changes: dict[str, Any], message: str
) -> None:
    assert message in _refused(codes("x", shape), **changes)
