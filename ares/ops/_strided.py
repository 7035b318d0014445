"""What Slice and Flip share: a selection of positions along one axis.

eps: 0, elements only move.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from ares.ir import Tensor
from ares.ops._moves import require_movable, require_unchanged
from ares.ops._operation import KernelCall, Site, Struct, require


def require_axis(name: str, source: Tensor, axis: int) -> None:
    """Raise GraphError unless `axis` is one of the tensor's, the batch excluded, and elements can move."""
    require_movable(source)
    rank = len(source.shape)
    require(
        1 <= axis < rank,
        f"{name}: axis {axis} of {list(source.shape)}, expected 1..{rank - 1} (axis 0 is the batch)",
    )


def shape_with(shape: Sequence[int], axis: int, size: int) -> tuple[int, ...]:
    """`shape` with another size along `axis`."""
    return (*shape[:axis], size, *shape[axis + 1 :])


def select(name: str, site: Site, axis: int, start: int, step: int) -> KernelCall:
    """The call that copies positions start, start + step, ... along `axis`, in one memory order."""
    require_unchanged(name, site)
    (source,), (result,), (layout,) = site.inputs, site.outputs, site.input_layouts
    require(
        site.output_layouts == (layout,),
        f"{name}: layouts {layout} and {site.output_layouts}, expected one order",
    )
    shape, place = site.input_memory_shape(), layout.index(axis)
    fields = (
        ("outer", prod(shape[:place])),
        ("length", shape[place]),
        ("inner", prod(shape[place + 1 :])),
        ("start", start),
        ("step", step),
        ("count", result.shape[axis]),
        ("element_size", source.dtype.size),
    )
    return KernelCall("ares_slice", "slice.h", Struct("ares_slice_params", fields))
