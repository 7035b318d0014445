"""What the planner packs: weights in panels, the zero point's part and half of each divisor in the offsets."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from ares.ir import DType, GraphError, Tensor
from ares.numerics import plan_rescale
from ares.ops._operation import raw_excess, rescale_struct
from ares.ops._panels import codes_product_scratch, panels

INT8 = np.iinfo(np.int8)


def codes(dtype: DType, zero_point: int) -> Tensor:
    return Tensor("x", (1, 4), dtype, 0.1, zero_point, dtype.lo, dtype.hi)


@pytest.mark.parametrize("channels", [1, 3, 15, 16, 17, 33])
@pytest.mark.parametrize(("segments", "length"), [(1, 1), (1, 4), (2, 7), (3, 16)])
def test_every_weight_has_its_place(channels: int, segments: int, length: int) -> None:
    """Address by address, as runtime/inc/microkernels.h says it; what is filled up is zero."""
    draw = np.random.default_rng(channels * 100 + length)
    weight = draw.integers(1, INT8.max, (channels, segments, length), np.int8)
    packed = panels(weight).tolist()
    fours = -(-length // 4)
    assert len(packed) == channels * segments * fours * 4
    for channel in range(channels):
        first = channel // 16 * 16
        width = min(16, channels - first)
        for segment in range(segments):
            for k in range(fours * 4):
                panel = first * segments * fours * 4
                group = (segment * fours + k // 4) * width
                place = panel + (group + channel - first) * 4 + k % 4
                wanted = weight[channel, segment, k] if k < length else 0
                assert packed[place] == wanted, (channel, segment, k)


@pytest.mark.parametrize(("dtype", "zero_point"), [(DType.U8, 0), (DType.U8, 113), (DType.S8, -7)])
@pytest.mark.parametrize("per_channel", [False, True])
def test_offsets_take_back_what_raw_sums_have_more(
    dtype: DType, zero_point: int, per_channel: bool
) -> None:
    """The kernel's own arithmetic in Python's integers, for every channel and codes at their ends."""
    draw = np.random.default_rng(5)
    weight = draw.integers(INT8.min, INT8.max, (5, 37), np.int8, endpoint=True)
    ratios = [Fraction(channel + 1, 4096) for channel in range(5 if per_channel else 1)]
    rescale = plan_rescale(ratios, [Fraction(3, 7)], 4, -128, 127, 255 * 37 * 128)
    source = codes(dtype, zero_point)
    fields = dict(rescale_struct(rescale, raw_excess(weight, source)).fields)
    x = draw.choice([dtype.lo, dtype.hi, zero_point, 1], (200, 37))
    wanted = rescale.apply((x - zero_point) @ weight.T.astype(np.int64))
    for row, answer in zip(x.tolist(), wanted.tolist(), strict=True):
        for channel, weights in enumerate(weight.tolist()):
            c = channel * fields["channel_stride"]
            raw = sum(a * b for a, b in zip(row, weights, strict=True))
            total = raw * int(fields["multiplier"][c]) + int(fields["offset"][c])
            bits = int(fields["shift"][c])
            value = total >> bits
            if total % (1 << bits) == 0:
                value &= ~1
            assert min(max(value, -128), 127) == answer[channel]


def test_constants_for_all_channels_stay_one_without_a_zero_point() -> None:
    rescale = plan_rescale([Fraction(1, 300)], [Fraction(0)], 0, -128, 127, 10**6)
    weight = np.ones((9, 4), np.int8)
    alone = dict(rescale_struct(rescale, raw_excess(weight, codes(DType.U8, 0))).fields)
    assert (alone["channel_stride"], len(alone["offset"])) == (0, 1)
    shifted = dict(rescale_struct(rescale, raw_excess(weight, codes(DType.U8, 3))).fields)
    assert (shifted["channel_stride"], len(shifted["offset"])) == (1, 9)


def test_sums_of_raw_codes_are_proven_too() -> None:
    """A u8 code may be 255 where its distance from the zero point never passes 128."""
    most = (2**31 - 1) // (255 * 127)
    source = codes(DType.U8, 127)
    assert raw_excess(np.full((1, most), 127, np.int8), source).tolist() == [127 * 127 * most]
    with pytest.raises(GraphError, match=r"a sum of codes of 'x' could reach .* use fewer input"):
        raw_excess(np.full((1, most + 1), 127, np.int8), source)
    with pytest.raises(GraphError, match="could reach"):
        raw_excess(np.full((1, most // 3 + 1), 127, np.int8), source, times=3)


def test_an_offset_beyond_64_bits_is_refused() -> None:
    rescale = plan_rescale([Fraction(2**20)], [Fraction(0)], 0, -128, 127, 2**31 - 1)
    with pytest.raises(GraphError, match="an offset leaves 64 bits; use"):
        rescale_struct(rescale, np.array([2**40]))


@pytest.mark.parametrize(
    ("dtype", "zero_point", "sums"),
    [(DType.S8, 0, 0), (DType.U8, 128, 0), (DType.U8, 0, 4 * 7), (DType.S8, 1, 4 * 7)],
)
def test_rows_are_summed_only_for_a_zero_point(dtype: DType, zero_point: int, sums: int) -> None:
    assert codes_product_scratch(7, 36, codes(dtype, zero_point)) == sums + 16 * 36
    assert codes_product_scratch(7, 37, codes(dtype, zero_point)) == sums + 16 * 40 + 4 * 40
