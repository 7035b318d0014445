"""Two inputs, the second repeated where its size is 1: shapes and memory orders.

The kernels see memory as [repeats][count]: the axes along which the second input is repeated are the outermost.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from ares.ir import Tensor
from ares.ops._operation import Layout, Site, channels_last, require, require_codes, row_major


def require_broadcast(name: str, inputs: Sequence[Tensor]) -> None:
    """Raise GraphError unless these are two tensors of codes, the second smaller by sizes of 1 at most."""
    require(len(inputs) == 2, f"{name}: {len(inputs)} inputs, expected 2")
    first, second = inputs
    require_codes(first)
    require_codes(second)
    require(
        len(first.shape) == len(second.shape)
        and all(b in (1, a) for a, b in zip(first.shape, second.shape, strict=True)),
        f"{name}: shapes differ: {list(first.shape)} and {list(second.shape)}; the second may "
        "be smaller only by sizes of 1",
    )


def repeated_axes(site: Site) -> tuple[int, ...]:
    """Axes along which the second input is repeated."""
    first, second = site.inputs
    pairs = enumerate(zip(first.shape, second.shape, strict=True))
    return tuple(axis for axis, (a, b) in pairs if a != b)


def split(site: Site, layout: Layout) -> tuple[int, int] | None:
    """Memory as [repeats][count]; None unless the axes of repetition are the outermost."""
    (first, second), repeated = site.inputs, repeated_axes(site)
    sizes = [first.shape[axis] for axis in layout]
    end = max((layout.index(axis) + 1 for axis in repeated), default=0)
    # Axes of size 1 may lie anywhere.
    if prod(sizes[:end]) != prod(first.shape[axis] for axis in repeated):
        return None
    return prod(sizes[:end]), second.size


def common_order(site: Site, given: tuple[Layout, ...]) -> Layout:
    """The order for both inputs and the output: the first input's where it will do."""
    rank, repeated = len(given[0]), repeated_axes(site)
    outermost = (*repeated, *(axis for axis in range(rank) if axis not in repeated))
    candidates = (*given, channels_last(rank), row_major(rank), outermost)
    return next(layout for layout in candidates if split(site, layout) is not None)
