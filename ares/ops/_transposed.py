"""What transposed convolutions share: geometry along one or two axes, exact sums, the fields of their kernel.

One along one axis is that of an image of one row.
eps: as `ares.ops.conv2d`: an exact sum and one rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import gcd, prod
from typing import Any

import numpy as np
import numpy.typing as npt

from ares.ir import CODES, OutputRule, Tensor
from ares.numerics import Rescale, exact_matmul
from ares.ops._operation import (
    Array,
    KernelCall,
    KernelOperation,
    Layout,
    Site,
    Struct,
    channels_last,
    require,
    require_codes,
    rescale_struct,
    weight_bound,
)

_ONE_ROW = {"in": 1, "out": 1, "kernel": 1, "stride": 1, "pad": 0, "dilation": 1}


def outputs_first(weight: npt.NDArray[Any], groups: int) -> npt.NDArray[Any]:
    """[in, out / groups, kernel...], as PyTorch has it, as [out, in / groups, kernel...]."""
    inputs, outputs, *kernel = weight.shape
    grouped = weight.reshape(groups, inputs // groups, outputs, *kernel).swapaxes(1, 2)
    return grouped.reshape(groups * outputs, inputs // groups, *kernel)


@dataclass(frozen=True, slots=True, eq=False)
class TransposedConvolution(KernelOperation):
    """Input [1, C, T] or [1, C, H, W] codes; weight s8 [in, out / groups, kernel...].

    `padding` is taken off both ends of each axis, `output_padding` is added behind, as in PyTorch.
    """

    weight: npt.NDArray[np.int8]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    output_padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int

    def out_shape(self, inputs: Sequence[Tensor], constants: int) -> tuple[int, ...]:
        """The shape of the sums; raises GraphError where something does not fit. `constants`: channels of those."""
        (source,) = inputs
        require_codes(source)
        rank, axes = self.weight.ndim, self.weight.ndim - 2
        require(
            len(source.shape) == rank and source.shape[0] == 1,
            f"{self.name}: input is {list(source.shape)}, expected rank {rank} and a batch of one",
        )
        settings = (self.stride, self.padding, self.output_padding, self.dilation)
        require(
            axes in (1, 2) and all(len(setting) == axes for setting in settings),
            f"{self.name}: stride, padding, output_padding and dilation {list(settings)} for {axes} axes",
        )
        require(
            min(*self.stride, *self.dilation) >= 1
            and min(*self.padding, *self.output_padding) >= 0,
            f"{self.name}: stride {self.stride} and dilation {self.dilation} must be positive, padding "
            f"{self.padding} and output_padding {self.output_padding} not negative",
        )
        require(
            source.shape[1] == len(self.weight) and source.shape[1] % self.groups == 0,
            f"{self.name}: weight {list(self.weight.shape)} with {self.groups} groups does not fit "
            f"{source.shape[1]} input channels",
        )
        channels = self.weight.shape[1] * self.groups
        require(
            constants in (1, channels),
            f"{self.name}: {constants} multipliers for {channels} channels",
        )
        sizes = self._sizes(source.shape)
        require(
            min(sizes) >= 1, f"{self.name}: padding {self.padding} leaves nothing of the output"
        )
        return (1, channels, *sizes)

    def _sizes(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        ends = zip(self._whole(shape), self.padding, self.output_padding, strict=True)
        return tuple(whole - 2 * pad + more for whole, pad, more in ends)

    def _whole(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Sizes of what all products reach, before padding is taken off."""
        axes = zip(shape[2:], self.stride, self.dilation, self.weight.shape[2:], strict=True)
        return tuple(
            (size - 1) * step + spread * (kernel - 1) + 1 for size, step, spread, kernel in axes
        )

    def accumulator_bound(self, site: Site) -> int:
        return weight_bound(outputs_first(self.weight, self.groups), site.inputs[0])

    def macs(self, site: Site) -> int:
        return int(prod(site.inputs[0].shape[2:]) * self.weight.size)

    def layouts(
        self, site: Site, given: tuple[Layout, ...]
    ) -> tuple[tuple[Layout, ...], tuple[Layout, ...]]:
        del site, given
        order = channels_last(self.weight.ndim)
        return (order,), (order,)

    def sums(self, site: Site, codes: Array) -> Array:
        """Accumulators int64 [1, out, ...]: every input adds its products to the outputs that it reaches."""
        (source,), (result,) = site.inputs, site.outputs
        sizes, kernel = source.shape[2:], self.weight.shape[2:]
        steps = codes.astype(np.int64) - source.zero_point
        columns = steps.reshape(self.groups, -1, prod(sizes))
        weight = self.weight.reshape(self.groups, -1, *self.weight.shape[1:])
        whole = [
            size + more
            for size, more in zip(self._whole(source.shape), self.output_padding, strict=True)
        ]
        acc = np.zeros((result.shape[1], *whole), np.int64)
        for tap in product(*map(range, kernel)):
            products = exact_matmul(weight[(slice(None),) * 3 + tap].transpose(0, 2, 1), columns)
            ranges = zip(tap, self.dilation, sizes, self.stride, strict=True)
            places = [
                slice(j * spread, j * spread + (size - 1) * step + 1, step)
                for j, spread, size, step in ranges
            ]
            acc[(slice(None), *places)] += products.reshape(-1, *sizes)
        ends = zip(self.padding, result.shape[2:], strict=True)
        kept = acc[(slice(None), *(slice(pad, pad + size) for pad, size in ends))]
        return kept[None]

    def struct(self, site: Site) -> Struct:
        """The initialiser of `ares_transposed` (runtime/inc/transposed.h)."""
        (source,), (result,) = site.inputs, site.outputs
        order = (0, *range(2, self.weight.ndim), 1)
        fields = (
            *self._axes(source.shape[2:], result.shape[2:]),
            ("in_c", source.shape[1]),
            ("out_c", result.shape[1]),
            ("groups", self.groups),
            ("input_zero_point", source.zero_point),
            ("input_signed", source.dtype.lo < 0),
            ("weight", outputs_first(self.weight, self.groups).transpose(order)),
        )
        return Struct("ares_transposed", fields)

    def _axes(
        self, sizes: tuple[int, ...], results: tuple[int, ...]
    ) -> tuple[tuple[str, Struct], ...]:
        """The fields `down` and `across`; where there is one axis, the first has one row."""
        settings = zip(
            *(sizes, results, self.weight.shape[2:], self.stride, self.padding, self.dilation),
            strict=True,
        )
        found = [dict(zip(_ONE_ROW, values, strict=True)) for values in settings]
        names = ("down", "across")
        return tuple(
            (name, _spread(axis)) for name, axis in zip(names, [_ONE_ROW, *found][-2:], strict=True)
        )


@dataclass(frozen=True, slots=True, eq=False)
class QuantizedTransposedConvolution(TransposedConvolution):
    """One with everything up to the next quantiser, by the kernel of two axes."""

    KERNEL = "conv_transpose2d"
    EPS = 2.0**-20

    rescale: Rescale

    def infer(self, inputs: Sequence[Tensor]) -> tuple[OutputRule, ...]:
        return ((self.out_shape(inputs, self.rescale.channels), CODES),)

    def reference(self, site: Site, arrays: Sequence[Array]) -> tuple[Array, ...]:
        return (self.rescale.apply(self.sums(site, arrays[0]), axis=1),)

    def lower(self, site: Site) -> KernelCall:
        fields = (("conv", self.struct(site)), ("rescale", rescale_struct(self.rescale)))
        return KernelCall(
            "ares_conv_transpose2d",
            "conv_transpose2d.h",
            Struct("ares_conv_transpose2d_params", fields),
        )


def _spread(axis: dict[str, int]) -> Struct:
    """The initialiser of `ares_spread` (runtime/inc/transposed.h)."""
    common = gcd(axis["stride"], axis["dilation"])
    steps = (("tap_step", axis["stride"] // common), ("in_step", axis["dilation"] // common))
    return Struct("ares_spread", (*axis.items(), *steps))
