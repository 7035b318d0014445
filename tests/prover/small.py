"""A small network with a layer of each kind, made of operations, and its certificate without torch."""

from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ares.golden import Golden
from ares.ir import DType, Graph, Tensor, frozen_array
from ares.numerics import plan_rescale, plan_weighted_sum
from ares.numerics.functions import FUNCTIONS
from ares.numerics.tables import lookup_table, plan_function
from ares.ops.activation import Activation
from ares.ops.add import Add
from ares.ops.avg_pool2d import AvgPool2d
from ares.ops.conv2d import Conv2d
from ares.ops.linear import Linear
from ares.ops.max_pool2d import MaxPool2d
from ares.ops.permute import Permute
from ares.ops.quantize import Quantize
from ares.ops.reshape import Reshape
from ares.pipeline.front import KeptSubject


def _codes(
    name: str, shape: tuple[int, ...], kind: str = "s8", z: int = 0, scale: float = 0.25
) -> Tensor:
    dtype = DType(kind)
    return Tensor(name, shape, dtype, scale, z, dtype.lo, dtype.hi)


def _weights(*shape: int) -> Any:
    rng = np.random.default_rng(sum(shape))
    return frozen_array(rng.integers(-127, 128, shape), np.int8)


def small_graph() -> Graph:
    """Dyadic ratios, so that ties happen; zero points; padding; unsigned codes above 127; steps of GELU."""
    image = Tensor("image", (1, 3, 8, 8), DType.F32)
    x = _codes("x", (1, 3, 8, 8), z=3)
    conv = _codes("conv", (1, 6, 8, 8), "u8")
    deep = _codes("deep", (1, 6, 8, 8), "s8", z=-5)
    top = _codes("top", (1, 6, 4, 4), "u8")
    mean = _codes("mean", (1, 6, 4, 4), "s8", z=-5)
    turned = _codes("turned", (1, 6, 4, 4), "u8")
    total = _codes("total", (1, 6, 4, 4), "s8", z=1)
    tanh = _codes("tanh", (1, 6, 4, 4), "s8", scale=1 / 128)
    tokens = _codes("tokens", (1, 6, 16), "s8", scale=1 / 128)
    gelu = _codes("gelu", (1, 6, 5), "s8", scale=1 / 32)
    flat = _codes("flat", (1, 96), "s8", scale=1 / 128)
    wide = _codes("wide", (1, 2), "s8")
    bound = 2**23
    many = [Fraction(c, 2**10) for c in (3, 4, 5, 6, 7, 9)]
    biases = [Fraction(c, 4) for c in (3, -4, 5, -6, 7, 9)]
    weight = _weights(6, 3, 3, 3)
    single = plan_rescale([Fraction(1, 512)], [Fraction(0)], -5, -128, 127, bound)
    steps = plan_function(FUNCTIONS["gelu"], [Fraction(1, 2**13)], [Fraction(1, 8)], gelu, bound)
    large = plan_rescale([Fraction(1, 2**14)], [Fraction(0)], 0, -128, 127, bound)
    pair = plan_weighted_sum([Fraction(1, 2), Fraction(3, 8)], [0, -5], Fraction(1), -128, 127)
    operations = (
        Quantize("x", ("image",), ("x",)),
        Conv2d(
            *("conv", ("x",), ("conv",), weight, (1, 1), (1, 1, 1, 1), (1, 1), 1),
            plan_rescale(many, biases, 0, 0, 255, bound),
        ),
        Conv2d(
            *("deep", ("conv",), ("deep",), _weights(6, 1, 3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 6),
            single,
        ),
        MaxPool2d("top", ("conv",), ("top",), (2, 2), (2, 2), (0, 0, 0, 0), (1, 1), False),
        AvgPool2d(
            *("mean", ("deep",), ("mean",), (2, 2), (2, 2), (0, 0, 0, 0)),
            plan_rescale([Fraction(1, 4)], [Fraction(0)], -5, -128, 127, 4 * 255),
        ),
        Permute("turned", ("top",), ("turned",), (0, 1, 3, 2)),
        Add("total", ("turned", "mean"), ("total",), *pair),
        Activation("tanh", ("total",), ("tanh",), lookup_table(FUNCTIONS["tanh"], total, tanh)),
        Reshape("tokens", ("tanh",), ("tokens",), (1, 6, 16)),
        Linear("gelu", ("tokens",), ("gelu",), _weights(5, 16), steps),
        Reshape("flat", ("tanh",), ("flat",), (1, 96)),
        # Its sums reach 96 * 127 * 128, beyond 2^20.
        Linear("wide", ("flat",), ("wide",), frozen_array(np.full((2, 96), 127), np.int8), large),
    )
    tensors = (image, x, conv, deep, top, mean, turned, total, tanh, tokens, gelu, flat, wide)
    return Graph("small", tensors, operations, ("image",), ("gelu", "wide")).validate()


class SmallSubject(KeptSubject):
    """Its Graph alone: no layer of it is judged by samples."""

    def __init__(self) -> None:
        self.name = "small"

    @cached_property
    def graph(self) -> Graph:  # type: ignore[override]
        return small_graph()

    @property
    def golden(self) -> Golden:  # type: ignore[override]
        raise AssertionError("no layer of this network is judged by samples")


def folder_of(files: dict[str, bytes], folder: Path) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder
