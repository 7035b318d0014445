"""Frames of zeros that the layers behind read as their own padding: such a `ZeroPad2d` gets no kernel and no memory.

What a convolution or an average finds outside its input is the real value zero and adds nothing; what a maximum finds
there never wins, and the code of zero does not either where no code lies below it. So reading the pad's input with a
larger padding gives the same integers. A pad stays where anything else reads it, or where it is an output.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from ares.ir import Graph, GraphError, Tensor
from ares.ops import KernelOperation
from ares.ops._averages import SlidingAverage
from ares.ops._convolution import Convolution, SummedConvolution
from ares.ops.max_pool2d import MaxPool2d
from ares.ops.zero_pad2d import ZeroPad2d
from ares.plan.choices import SHIPPED, Choices

_Windowed = Convolution | SlidingAverage | MaxPool2d


@dataclass(frozen=True, slots=True)
class Folding:
    """What is left of a Graph's operations: `operations` by name, and for each folded pad the layers that do its work.

    The keys of both are the Graph's operations, and no name is in both.
    """

    operations: Mapping[str, KernelOperation]
    folded: Mapping[str, tuple[str, ...]]


def fold_padding(graph: Graph, choices: Choices = SHIPPED) -> Folding:
    """Every pad that can be folded into all who read it, and may be; pads in a row go one into the other."""
    left = {operation.name: cast(KernelOperation, operation) for operation in graph.operations}
    folded: dict[str, tuple[str, ...]] = {}
    for number, pad in enumerate(reversed(graph.operations)):
        if not isinstance(pad, ZeroPad2d) or pad.outputs[0] in graph.outputs:
            continue
        if not choices.takes("folded", number):
            continue
        readers = [each for each in left.values() if pad.outputs[0] in each.inputs]
        widened = [_widened(graph, reader, pad) for reader in readers]
        found = [reader for reader in widened if reader is not None]
        if found and len(found) == len(readers):
            del left[pad.name]
            left.update((reader.name, reader) for reader in found)
            folded[pad.name] = tuple(reader.name for reader in found)
    return Folding(left, folded)


def _widened(graph: Graph, reader: KernelOperation, pad: ZeroPad2d) -> KernelOperation | None:
    """The same layer reading what the pad reads; None where that is another function."""
    source = graph.tensor(pad.inputs[0])
    if not isinstance(reader, _Windowed):
        return None
    if isinstance(reader, SummedConvolution) and reader.axis != 1:
        return None  # what the frame lies around are channels
    if isinstance(reader, MaxPool2d) and source.lo < source.zero_point:
        return None
    frame = _along_windows(pad, source)
    if frame is None:
        return None
    # As many numbers as the reader has, which is what its type says.
    padding: Any = tuple(own + more for own, more in zip(reader.padding, frame, strict=True))
    wide = replace(reader, inputs=pad.inputs, padding=padding)
    return wide if _makes(wide, source, graph.tensor(reader.outputs[0])) else None


def _along_windows(pad: ZeroPad2d, source: Tensor) -> tuple[int, ...] | None:
    """The frame as windows have their padding: before each axis behind the channels, then behind each."""
    top, left, bottom, right = pad.padding
    if len(source.shape) == 4:
        return pad.padding
    is_signal = len(source.shape) == 3 and top == bottom == 0
    return (left, right) if is_signal else None


def _makes(wide: KernelOperation, source: Tensor, result: Tensor) -> bool:
    """Whether the windows are as many as before (rounding up counts another way), each of them a legal one."""
    try:
        ((shape, _),) = wide.infer((source,))
    except GraphError:
        return False
    return shape == result.shape
