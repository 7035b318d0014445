"""MaxPool2d: oracle -> reference -> C, and PyTorch's own answer for sizes and values."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ares.ir import GraphError, Tensor
from ares.ops import Site
from ares.ops.max_pool2d import MaxPool2d
from tests.ops.harness import check_operation, codes
from tests.ops.reaching import assert_reaches

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Case:
    name: str
    shape: tuple[int, int, int]
    reaches: tuple[str, ...]
    kernel: tuple[int, int] = (2, 2)
    stride: tuple[int, int] = (2, 2)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)
    ceil_mode: bool = False
    dtype: str = "s8"
    zero_point: int = 0
    lo: int | None = None
    hi: int | None = None


CASES = (
    Case("2x2", (3, 7, 5), ("odd size", "dropped rest", "both signs")),
    Case(
        "u8 with an odd zero point",
        (5, 6, 6),
        ("padding", "127 and above in one window"),
        kernel=(3, 3),
        padding=(1, 1, 1, 1),
        dtype="u8",
        zero_point=129,
    ),
    Case(
        "all negative, padded",
        (2, 5, 7),
        ("padding", "negative maximum", "lowest code"),
        kernel=(3, 2),
        padding=(1, 1, 1, 1),
        zero_point=-127,
        lo=-128,
        hi=-126,
    ),
    Case(
        "last window reaches out",
        (3, 7, 5),
        ("window past the end", "odd size"),
        kernel=(2, 3),
        ceil_mode=True,
    ),
    Case(
        "last window would start in the padding",
        (1, 5, 7),
        ("padding", "window left out"),
        padding=(1, 1, 1, 1),
        stride=(3, 2),
        ceil_mode=True,
    ),
    Case(
        "every parameter differs between the axes",
        (7, 11, 13),
        ("prime size", "padding", "dilation", "one-sided padding"),
        kernel=(3, 4),
        stride=(2, 3),
        padding=(2, 1, 0, 3),
        dilation=(2, 1),
    ),
    Case("one element", (1, 1, 1), ("one element",), kernel=(1, 1), stride=(1, 1), dtype="u8"),
    Case("stride past the kernel", (2, 9, 8), ("skipped input",), kernel=(1, 2), stride=(3, 4)),
)


def _operation(case: Case) -> MaxPool2d:
    return MaxPool2d(
        "pool",
        ("x",),
        ("y",),
        case.kernel,
        case.stride,
        case.padding,
        case.dilation,
        case.ceil_mode,
    )


def _bytes(seed: int, shape: tuple[int, ...], lo: int, hi: int) -> Array:
    raw = np.random.Philox(key=seed).random_raw(int(np.prod(shape))).reshape(shape)
    return (raw % np.uint64(hi - lo + 1)).astype(np.int64) + lo


def _starts(case: Case, axis: int) -> list[int]:
    """First index of every window along an axis, from PyTorch's documentation."""
    size, before, after = case.shape[1 + axis], case.padding[axis], case.padding[axis + 2]
    reach = case.dilation[axis] * (case.kernel[axis] - 1)
    starts = []
    start = -before
    while start + reach < size + after:
        starts.append(start)
        start += case.stride[axis]
    if case.ceil_mode and start + reach - case.stride[axis] < size + after - 1:
        starts.append(start)
    if case.ceil_mode and starts and starts[-1] >= size:
        starts.pop()
    return starts


def _window(case: Case, start: int, axis: int) -> list[int]:
    taps = [start + tap * case.dilation[axis] for tap in range(case.kernel[axis])]
    return [tap for tap in taps if 0 <= tap < case.shape[1 + axis]]


def _oracle(case: Case, x: Array) -> Array:
    rows, columns = _starts(case, 0), _starts(case, 1)
    out = np.zeros((1, case.shape[0], len(rows), len(columns)), np.int64)
    for c, (i, top), (j, left) in product(
        range(case.shape[0]), enumerate(rows), enumerate(columns)
    ):
        inside = product(_window(case, top, 0), _window(case, left, 1))
        out[0, c, i, j] = max(int(x[0, c, row, column]) for row, column in inside)
    return out


def _facts(case: Case, x: Array, y: Array) -> dict[str, bool]:
    channels, height, width = case.shape
    first = x[0, 0, : case.kernel[0], : case.kernel[1]]
    axes = [_facts_of_axis(case, axis) for axis in (0, 1)]
    return {
        "odd size": height % 2 == width % 2 == 1,
        "prime size": {channels, height, width} <= {2, 3, 5, 7, 11, 13},
        "one element": x.size == y.size == 1,
        "both signs": x.min() < 0 < x.max(),
        "negative maximum": y.max() < 0,
        "lowest code": y.min() == -128,
        "dilation": case.dilation != (1, 1),
        "one-sided padding": len({*case.padding}) > 2,
        "127 and above in one window": case.dtype == "u8" and first.min() < 128 <= first.max(),
        **{name: any(facts[name] for facts in axes) for name in axes[0]},
    }


def _facts_of_axis(case: Case, axis: int) -> dict[str, bool]:
    starts, size = _starts(case, axis), case.shape[1 + axis]
    reach = case.dilation[axis] * (case.kernel[axis] - 1)
    end = size + case.padding[axis + 2]
    is_short = starts[-1] + reach < end - 1
    return {
        "padding": starts[0] < 0,
        "window past the end": starts[-1] + reach >= end,
        "dropped rest": is_short and not case.ceil_mode,
        "window left out": is_short and case.ceil_mode and starts[-1] + case.stride[axis] >= size,
        "skipped input": case.stride[axis] > reach + 1,
    }


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_oracle_reference_c(case: Case) -> None:
    shape = (1, *case.shape)
    source = codes("x", shape, case.dtype, 0.5, case.zero_point, case.lo, case.hi)
    x = _bytes(1, shape, source.lo, source.hi)
    expected = _oracle(case, x)
    assert_reaches(case.reaches, _facts(case, x, expected))
    target = Tensor(
        "y", expected.shape, source.dtype, source.scale, source.zero_point, source.lo, source.hi
    )
    check_operation(_operation(case), [source], [target], [x], [expected])


def _cases(draw: st.DrawFn) -> Case:
    pair = st.tuples(st.integers(1, 4), st.integers(1, 4))
    return Case(
        "drawn",
        draw(st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9))),
        (),
        kernel=draw(pair),
        stride=draw(pair),
        padding=draw(st.tuples(*[st.integers(0, 3)] * 4)),
        dilation=draw(st.tuples(st.integers(1, 3), st.integers(1, 3))),
        ceil_mode=draw(st.booleans()),
        dtype=draw(st.sampled_from(["s8", "u8"])),
    )


@settings(derandomize=True, deadline=None, max_examples=300)
@given(st.composite(_cases)(), st.integers(0, 2**32))
def test_reference_equals_the_oracle(case: Case, seed: int) -> None:
    source = codes("x", (1, *case.shape), case.dtype)
    starts = [_starts(case, axis) for axis in (0, 1)]
    windows = [[_window(case, s, axis) for s in starts[axis]] for axis in (0, 1)]
    if not all(starts) or not all(all(w) for w in windows):
        with pytest.raises(GraphError, match=r"larger than the padded input|lies in the padding"):
            _operation(case).infer([source])
        return
    x = _bytes(seed, source.shape, source.lo, source.hi)
    expected = _oracle(case, x)
    assert _operation(case).infer([source]) == ((expected.shape, (source.dtype,)),)
    target = codes("y", expected.shape, case.dtype)
    (found,) = _operation(case).reference(Site((source,), (target,)), [x])
    assert np.array_equal(found, expected)


def test_sizes_and_values_are_pytorchs() -> None:
    import torch

    compared = refused = 0
    for size, kernel, stride, dilation, ceil in product(
        (1, 4, 7, 8), (1, 2, 3), (1, 2, 3), (1, 2), (False, True)
    ):
        for pad in range(kernel // 2 + 1):
            case = Case(
                "torch",
                (2, size, size),
                (),
                (kernel,) * 2,
                (stride,) * 2,
                (pad,) * 4,
                (dilation,) * 2,
                ceil,
            )
            source = codes("x", (1, 2, size, size))
            x = _bytes(7, source.shape, -128, 127)
            try:
                real = torch.nn.functional.max_pool2d(
                    torch.from_numpy(x).double(), kernel, stride, pad, dilation, ceil
                ).numpy()
            except RuntimeError:
                real = np.array(-np.inf)
            if real.min() == -np.inf:  # no window, or one without an element
                refused += 1
                with pytest.raises(GraphError):
                    _operation(case).infer([source])
                continue
            compared += 1
            ((shape, _),) = _operation(case).infer([source])
            (found,) = _operation(case).reference(Site((source,), (codes("y", shape),)), [x])
            assert np.array_equal(found, real), case
    assert compared > 200
    assert refused > 5


@pytest.mark.parametrize(
    ("shape", "changes", "message"),
    [
        ((1, 2, 3), {}, "expected [1, C, H, W]"),
        ((2, 2, 3, 3), {}, "expected [1, C, H, W]"),
        ((1, 2, 1, 3), {}, "kernel is larger"),
        ((1, 2, 3, 3), {"stride": (0, 1)}, "must be positive"),
        ((1, 2, 3, 3), {"padding": (0, 0, -1, 0)}, "not negative"),
        ((1, 2, 3, 3), {"padding": (2, 0, 0, 0)}, "lies in the padding"),
    ],
)
def test_what_does_not_fit_is_refused(
    shape: tuple[int, ...], changes: dict[str, Any], message: str
) -> None:
    case = Case("wrong", (1, 1, 1), (), **changes)
    with pytest.raises(GraphError) as error:
        _operation(case).infer([codes("x", shape)])
    assert message in str(error.value)
