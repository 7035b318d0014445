"""Permute: the axes in another order.

eps: 0, elements only move (`ares.ops._moves`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ares.ir import OutputRule, Tensor
from ares.ops._moves import layout_of, move, require_movable, require_unchanged, strides_of
from ares.ops._operation import Alias, Array, KernelCall, KernelOperation, Layout, Site, require


@dataclass(frozen=True, slots=True, eq=False)
class Permute(KernelOperation):
    """`out = in.permute(axes)`: axis i of the output is axis `axes[i]` of the input

    Codes or binary32. Always free: the bytes stay and the layout changes; a later layer that needs another
    order gets one strided copy.
    """

    OP_TYPE = "OP_TRANSPOSE_2D"
    LAYER_TYPE = "Permute"
    PYTHON_CLASS = "ares.nn.Permute"
    EPS = 0.0
    KERNEL = "permute"

    axes: tuple[int, ...]

    def infer(self, inputs: Sequence[Tensor]) -> tuple[OutputRule, ...]:
        (source,) = inputs
        require_movable(source)
        require(
            sorted(self.axes) == list(range(len(source.shape))),
            f"{self.name}: axes {list(self.axes)} do not permute {len(source.shape)} axes",
        )
        return ((tuple(source.shape[axis] for axis in self.axes), (source.dtype,)),)

    def reference(self, site: Site, arrays: Sequence[Array]) -> tuple[Array, ...]:
        require_unchanged(self.name, site)
        return (arrays[0].transpose(self.axes),)

    def layouts(
        self, site: Site, given: tuple[Layout, ...]
    ) -> tuple[tuple[Layout, ...], tuple[Layout, ...]]:
        return given, (layout_of(site.outputs[0], self._seen(site, given[0])),)

    def lower(self, site: Site) -> KernelCall | Alias:
        require_unchanged(self.name, site)
        return move(
            site.outputs[0], self._seen(site, site.input_layouts[0]), site.output_layouts[0]
        )

    def _seen(self, site: Site, layout: Layout) -> tuple[int, ...]:
        """Strides of the output's axes in the input's memory."""
        strides = strides_of(site.inputs[0].shape, layout)
        return tuple(strides[axis] for axis in self.axes)
