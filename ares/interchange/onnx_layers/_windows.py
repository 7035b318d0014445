"""Windows along the axes behind the channels: the pooling operators where these can say them, else what they mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from ares.interchange.onnx_writer import OnnxWriter
from ares.ops._spans import Span


@dataclass(frozen=True, slots=True)
class Sliding:
    """A window as pooling operators have it; no `ceil_mode`, which runtimes count differently: `after` is enough."""

    kernel: int
    stride: int
    before: int
    after: int
    dilation: int

    @classmethod
    def of(cls, span: Span) -> Sliding | None:
        """None where windows differ in size, or where padding is as large as the kernel, which runtimes refuse."""
        if span.step % span.share or span.reach % span.share:
            return None
        step, reach = span.step // span.share, span.reach // span.share
        kernel = (reach - 1) // span.dilation + 1
        after = max(0, (span.out - 1) * step + reach - span.before - span.size)
        count = (span.size + span.before + after - reach) // step + 1
        if count != span.out or max(span.before, after) >= kernel:
            return None
        return cls(kernel, step, span.before, after, span.dilation)


def sliding_attributes(spans: Sequence[Span]) -> dict[str, Any] | None:
    """What MaxPool and AveragePool are told, dilations apart; None where they cannot say it."""
    windows = [Sliding.of(span) for span in spans]
    known = [window for window in windows if window is not None]
    if len(known) < len(windows):
        return None
    return {
        "kernel_shape": [window.kernel for window in known],
        "strides": [window.stride for window in known],
        "pads": [*(window.before for window in known), *(window.after for window in known)],
    }


def average(writer: OnnxWriter, value: str, spans: Sequence[Span]) -> str:
    """Means over windows without dilation and of one size, of which padding is part and adds nothing."""
    attributes = sliding_attributes(spans)
    if attributes is not None:
        return writer.node("AveragePool", [value], count_include_pad=1, **attributes)
    count = np.array(prod(window_sizes(spans)), np.float32)
    return writer.node("Div", [sums(writer, value, spans), writer.constant(count)])


def window_sizes(spans: Sequence[Span]) -> tuple[int, ...]:
    """Positions of the first window of each axis, padding included."""
    return tuple(len(span.positions[0]) for span in spans)


def sums(writer: OnnxWriter, value: str, spans: Sequence[Span]) -> str:
    """Sums over windows of one axis or two: products with matrices of ones."""
    value = writer.node("MatMul", [value, writer.constant(_members(spans[-1]))])
    if len(spans) == 2:
        members = np.ascontiguousarray(_members(spans[0]).T)
        value = writer.node("MatMul", [writer.constant(members), value])
    return value


def _members(span: Span) -> npt.NDArray[np.float32]:
    """[position, window]: how often a window sees a position."""
    found = np.zeros((span.size, span.out), np.float32)
    for window, places in enumerate(span.positions):
        for place in places:
            if 0 <= place < span.size:
                found[place, window] += 1
    return found


def maximum(writer: OnnxWriter, value: str, spans: Sequence[Span]) -> str:
    """Maxima over windows, one axis after the other: what they see is gathered, the first again where one sees less."""
    attributes = sliding_attributes(spans)
    if attributes is not None:
        dilations = [span.dilation for span in spans]
        return writer.node("MaxPool", [value], dilations=dilations, **attributes)
    for axis, span in enumerate(spans, start=2):
        inside = [[p for p in places if 0 <= p < span.size] for places in span.positions]
        longest = max(map(len, inside))
        places = np.array([row + row[:1] * (longest - len(row)) for row in inside], np.int64)
        value = writer.node("Gather", [value, writer.constant(places)], axis=axis)
        value = writer.node("ReduceMax", [value], axes=[axis + 1], keepdims=0)
    return value
