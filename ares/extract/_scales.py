"""Scales of activation quantisers: one for the whole tensor, or one for each channel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from ares.extract._findings import reject

Limits = tuple[Fraction | None, Fraction | None]
"""The smallest and the largest number, None: no limit on that side."""

ONE_SCALE = "drop scaling_per_output_channel=True"

CALIBRATE = (
    "calibrate it (brevitas.graph.calibrate.calibration_mode) or train it, then call model.eval()"
)


@dataclass(frozen=True, slots=True)
class ChannelScales:
    """A scale for each channel of codes; `axis` is that of the channels, negative when counted from the last."""

    values: tuple[float, ...]
    axis: int

    def along(self, rank: int) -> npt.NDArray[np.float64]:
        """float64, broadcast to a tensor of that rank."""
        shape = [1] * rank
        shape[self.axis] = -1
        return np.array(self.values).reshape(shape)

    def index(self, shape: tuple[int, ...]) -> npt.NDArray[np.int64]:
        """For each element of a tensor of that shape the number of its scale."""
        size = [1] * len(shape)
        size[self.axis] = -1
        return np.broadcast_to(np.arange(len(self.values)).reshape(size), shape)

    def moved(
        self,
        before: tuple[int, ...],
        after: tuple[int, ...],
        back: Callable[[npt.NDArray[np.int64]], npt.NDArray[np.int64] | None],
    ) -> ChannelScales | None:
        """The scales of what a move makes of a tensor of shape `before`, None where no axis has them apart.

        `back` takes an array of shape `after` to where its elements came from, -1 nowhere; None where that is mixed.
        """
        scales = np.broadcast_to(self.along(len(before)), before)
        for axis in range(1, len(after)):
            rows = ChannelScales((0.0,) * after[axis], axis)
            source = back(rows.index(after))
            if source is None:
                continue
            used = source >= 0
            lowest, highest = np.full(after[axis], np.inf), np.zeros(after[axis])
            np.minimum.at(lowest, source[used], scales[used])
            np.maximum.at(highest, source[used], scales[used])
            # A channel of padding alone holds zeros, on any scale.
            lowest[np.isinf(lowest)], highest[highest == 0.0] = 1.0, 1.0
            if (lowest == highest).all():
                return ChannelScales(tuple(map(float, lowest)), axis)
        return None

    def limits_in_codes(self, limits: Limits, codes: tuple[int, int]) -> list[Limits]:
        """For each scale what `limits` of the reals are, counted in it; None for what lies beyond `codes`."""
        found = []
        for scale in map(Fraction, self.values):
            lo, hi = (None if limit is None else limit / scale for limit in limits)
            found.append(
                (
                    None if lo is not None and lo <= codes[0] else lo,
                    None if hi is not None and hi >= codes[1] else hi,
                )
            )
        return found


def read_scales(numbers: Any, trained: Any, what: str) -> tuple[float, int, ChannelScales | None]:
    """(scale, zero point, scales) of a quantiser: scale 1 and a scale for each channel, where they differ.

    `numbers` are its scale, zero point and bit width in float64, `trained` the same in float32.
    """
    scale, *others = np.broadcast_arrays(*(n.double().numpy() for n in (*numbers, *trained)))
    rows = zip(*(number.flat for number in (scale, *others)), strict=True)
    found = {_one_of_each(what, *map(float, row)) for row in rows}
    zero_point, *more = sorted({offset for _, offset in found})
    if more:
        reject(
            f"{what} has {len(more) + 1} zero points, {zero_point} to {more[-1]}: a tensor of codes has one",
            f"use a symmetric quantiser, such as Int8ActPerTensorFloat, or {ONE_SCALE}",
        )
    if len(found) == 1:
        return next(iter(found))[0], zero_point, None
    axes = [axis - scale.ndim for axis, size in enumerate(scale.shape) if size > 1]
    if len(axes) > 1:
        reject(
            f"{what} has scales of shape {list(scale.shape)}, expected one for each channel",
            "give per_channel_broadcastable_shape ones but for the channels: (1, C, 1, 1)",
        )
    return 1.0, zero_point, ChannelScales(tuple(map(float, scale.flat)), axes[0])


def _one_of_each(
    what: str,
    value: float,
    offset: float,
    bits: float,
    single: float,
    single_offset: float,
    single_bits: float,
) -> tuple[float, int]:
    """A scale and its zero point, in float64 as in float32."""
    if value < 0.0:
        reject(
            f"{what} has scale {value}: its codes run backwards",
            "set restrict_scaling_type=RestrictValueType.FP",
        )
    if not value > 0.0 or value == float("inf"):
        reject(f"{what} has scale {value}", CALIBRATE)
    if not offset.is_integer():
        reject(f"{what} has zero point {offset}, which is no integer", "use an integer zero point")
    if agree(value, single) and offset != single_offset:
        reject(
            f"{what} has zero point {single_offset:g} in float32, {offset:g} in float64: its range is symmetric, with "
            "real zero half-way between two codes",
            "use a symmetric quantiser such as Int8ActPerTensorFloat",
        )
    if not agree(value, single) or bits != single_bits:
        reject(
            f"{what} has scale {single} and zero point {single_offset:g} in float32, "
            f"{value} and {offset:g} in float64: a rounding on the way falls differently",
            "save its state and load it: what is stored is the rounded value",
        )
    return value, int(offset)


def agree(double: float, single: float) -> bool:
    """Whether two scales are the same number, but for the roundings of binary32."""
    return abs(single / double - 1.0) < 2.0**-20
