"""A small Graph in which each of the planner's choices has something to choose."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from ares.ir import Composite, DType, Graph, Tensor, frozen_array
from ares.numerics import plan_rescale, plan_weighted_sum
from ares.ops import KernelOperation
from ares.ops.add import Add
from ares.ops.conv2d import Conv2d
from ares.ops.flatten import Flatten
from ares.ops.requantize import Requantize
from ares.ops.zero_pad2d import ZeroPad2d

SHAPE = (1, 2, 4, 4)


def tensor(name: str, shape: Sequence[int]) -> Tensor:
    return Tensor(name, tuple(shape), DType.S8, 0.5, 3, -128, 127)


def lookup(name: str, source: str) -> Requantize:
    table = frozen_array(np.roll(np.arange(256), len(name)), np.uint8)
    return Requantize(name, (source,), (name,), table=table)


def add(name: str, first: str, second: str) -> Add:
    coefficients, rescale = plan_weighted_sum([1, 1], [0, 0], 0, -128, 127)
    return Add(name, (first, second), (name,), coefficients=tuple(coefficients), rescale=rescale)


def _conv(name: str, source: str) -> Conv2d:
    """Patches of four codes: read where they lie or copied."""
    return Conv2d(
        *(name, (source,), (name,)),
        weight=frozen_array(np.arange(16).reshape(2, 2, 1, 4) - 7, np.int8),
        stride=(1, 1),
        padding=(0, 0, 0, 0),
        dilation=(1, 1),
        groups=1,
        rescale=plan_rescale([Fraction(1, 64)] * 2, [Fraction(0)] * 2, 0, -128, 127, 2**30),
    )


def every_choice() -> Graph:
    """Each field has something to choose: two branches, a composite, a pad, a sum, a flat view, two outputs."""
    operations: list[KernelOperation] = [
        lookup("a", "x"),
        lookup("b", "x"),
        lookup("c", "b"),
        ZeroPad2d("pad", ("a",), ("pad",), padding=(1, 0, 1, 3)),
        _conv("conv", "pad"),
        add("sum", "a", "c"),
        Flatten("flat", ("sum",), ("flat",), shape=(1, 32)),
        lookup("end", "flat"),
    ]
    tensors = {"x": tensor("x", SHAPE)}
    for operation in operations:
        ((shape, _),) = operation.infer([tensors[name] for name in operation.inputs])
        tensors[operation.name] = tensor(operation.name, shape)
    parts = Composite("part", "OP_MHSA", "Part", ("b", "c"))
    ends = ("conv", "end")
    return Graph(
        "net", tuple(tensors.values()), tuple(operations), ("x",), ends, (parts,)
    ).validate()
