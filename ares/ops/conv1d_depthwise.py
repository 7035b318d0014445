"""QuantConv1dDepthwise with everything up to the next quantiser: one exact sum, one rounding.

eps: as `ares.ops.conv2d`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ares.ir import CODES, OutputRule, Tensor
from ares.numerics import Rescale
from ares.ops._convolution import depthwise_call
from ares.ops._operation import (
    Array,
    KernelCall,
    KernelOperation,
    Layout,
    Site,
    channels_last,
    raw_excess,
    require,
    require_codes,
    rescale_struct,
    weight_bound,
)
from ares.ops._window import Window, taps


@dataclass(frozen=True, slots=True, eq=False)
class Conv1dDepthwise(KernelOperation):
    """`out[c,t] = rescale(sum over j of (in[c, t + j - left] - z) * w[c,j])`

    Input and output [1, C, T]; weight s8 [C, kernel]; positions outside are the real value zero.
    `left` = kernel - 1 is a causal convolution.
    """

    OP_TYPE = "OP_CONV1D_DEPTHWISE"
    LAYER_TYPE = "Conv1dDepthwise"
    PYTHON_CLASS = "ares.nn.QuantConv1dDepthwise"
    EPS = 2.0**-20
    KERNEL = "depthwise"

    weight: npt.NDArray[np.int8]
    left: int
    rescale: Rescale

    def infer(self, inputs: Sequence[Tensor]) -> tuple[OutputRule, ...]:
        (source,) = inputs
        require_codes(source)
        require(
            len(source.shape) == 3, f"{self.name}: input has rank {len(source.shape)}, expected 3"
        )
        channels, kernel = self.weight.shape
        require(
            source.shape[1] == channels,
            f"{self.name}: input has {source.shape[1]} channels, its weights {channels}",
        )
        require(
            0 <= self.left < kernel,
            f"{self.name}: {self.left} steps of padding before a kernel of {kernel}",
        )
        require(
            self.rescale.channels in (1, channels),
            f"{self.name}: {self.rescale.channels} multipliers for {channels} channels",
        )
        return ((source.shape, CODES),)

    def accumulator_bound(self, site: Site) -> int:
        return weight_bound(self.weight, site.inputs[0])

    @property
    def _window(self) -> Window:
        kernel = self.weight.shape[1]
        return Window(kernel, before=self.left, after=kernel - 1 - self.left)

    def macs(self, site: Site) -> int:
        return int(site.outputs[0].size * self.weight.shape[1])

    def layouts(
        self, site: Site, given: tuple[Layout, ...]
    ) -> tuple[tuple[Layout, ...], tuple[Layout, ...]]:
        # Time outermost: the transposes around it in a Mamba block then move nothing.
        del site, given
        return (channels_last(3),), (channels_last(3),)

    def reference(self, site: Site, arrays: Sequence[Array]) -> tuple[Array, ...]:
        (source,) = site.inputs
        seen = taps(arrays[0].astype(np.int64) - source.zero_point, {2: self._window})
        acc = (seen * self.weight.astype(np.int64)[:, None, :]).sum(axis=3)
        return (self.rescale.apply(acc, axis=1),)

    def lower(self, site: Site) -> KernelCall:
        (source,) = site.inputs
        rescale = rescale_struct(self.rescale, raw_excess(self.weight, source))
        return depthwise_call(source, {2: self._window}, self.weight, rescale)
