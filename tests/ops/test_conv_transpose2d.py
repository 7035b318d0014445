"""ConvTranspose2d: oracle -> reference -> C, and PyTorch's own sums for many geometries."""

from __future__ import annotations

from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import pytest

from ares.ir import GraphError
from ares.numerics import plan_rescale
from ares.ops import Site
from ares.ops.conv_transpose2d import ConvTranspose2d
from tests.ops.harness import codes
from tests.ops.transposed import Case, check, draw, out_sizes

TIES = ("tie to the code below", "tie to the code above", "negative tie", "positive tie")
CLIPS = ("low clip", "high clip")
SIGNS = ("negative sum", "positive sum")

CASES = (
    Case("twice", (5, 3, 7), 3, (2, 2), (2, 2), ("one product each", *CLIPS, *SIGNS)),
    Case("4, stride 2", (3, 5, 3), 5, (4, 4), (2, 2), ("cut", "overlap", *CLIPS), (1, 1)),
    Case(
        "3, stride 2, output padding, ties",
        (3, 5, 4),
        2,
        (3, 3),
        (2, 2),
        ("cut", "output padding", "kernel no multiple of the stride", *TIES, "odd zero point"),
        (1, 1),
        (1, 1),
        source=("u8", 129),
        target=("s8", -7),
        weight=(-1, 1),
    ),
    Case(
        "every parameter differs between the axes",
        (4, 5, 3),
        6,
        (3, 5),
        (2, 3),
        ("cut", "output padding", "dilation", "overlap"),
        (2, 1),
        (1, 2),
        (2, 1),
        source=("u8", 3),
        units="channels",
    ),
    Case(
        "dilation that shares a factor with the stride",
        (2, 4, 5),
        3,
        (3, 2),
        (4, 6),
        ("nothing arrives", "dilation and stride share a factor", "sum of zero"),
        (1, 0),
        (0, 3),
        (2, 4),
        target=("u8", 101),
        bias="float",
    ),
    Case(
        "stride past the kernel",
        (3, 4, 3),
        5,
        (1, 2),
        (3, 3),
        ("stride past the kernel", "nothing arrives", "code above 127", "odd zero point"),
        (0, 0),
        (2, 1),
        target=("u8", 131),
        bias="int32",
    ),
    Case("stride 1", (3, 4, 5), 4, (3, 3), (1, 1), ("cut", "overlap"), (2, 2), source=("u8", 255)),
    Case("groups", (6, 3, 4), 9, (3, 3), (2, 2), ("groups", *SIGNS), (1, 1), groups=3),
    Case(
        "depthwise, as bilinear upsampling",
        (7, 3, 4),
        7,
        (4, 4),
        (2, 2),
        ("depthwise", "overlap", *CLIPS),
        (1, 1),
        groups=7,
        units="channels",
    ),
    Case("one pixel", (31, 1, 1), 5, (4, 3), (1, 1), ("one pixel", *CLIPS, *SIGNS), units="tensor"),
    Case(
        "4-bit weights and codes, relu",
        (5, 3, 3),
        4,
        (2, 3),
        (2, 2),
        ("relu", "high clip"),
        weight=(-7, 7),
        source=("s8", 0, -8, 7),
        target=("u8", 0, 0, 15),
        function="relu",
        units="channels",
    ),
    Case(
        "gelu behind BatchNorm of every sign",
        (3, 3, 4),
        5,
        (3, 2),
        (2, 2),
        ("falling piece", "negative gamma", "zero gamma"),
        function="gelu",
        units="signed channels",
        bias="float",
    ),
    Case(
        "kernel wider than the image",
        (2, 2, 2),
        3,
        (3, 7),
        (2, 2),
        ("overlap", "cut", "input above 127"),
        (1, 4),
        source=("u8", 0),
    ),
    Case(
        "dilation and stride without a common factor, nothing cut",
        (3, 4, 5),
        5,
        (4, 3),
        (2, 3),
        ("dilation", "overlap", "nothing arrives", "odd zero point"),
        dilation=(3, 2),
        target=("s8", 3),
        units="channels",
    ),
    Case(
        "PReLU behind BatchNorm",
        (2, 4, 5),
        6,
        (2, 3),
        (2, 2),
        ("function for each channel", "falling piece", "negative gamma", "zero gamma"),
        (1, 0),
        weight=(-1, 1),
        function="prelu",
        units="signed dyadic",
        bias="int32",
    ),
    Case("deep", (35, 2, 3), 3, (3, 2), (2, 2), ("overlap", *SIGNS), source=("s8", -3)),
    Case("deep, u8", (35, 2, 3), 3, (3, 2), (2, 2), ("overlap", *SIGNS), source=("u8", 129)),
)


@pytest.mark.parametrize("number", range(len(CASES)), ids=lambda number: CASES[number].name)
def test_oracle_reference_c(number: int) -> None:
    check(CASES[number], ConvTranspose2d, number)


UNIT = plan_rescale([Fraction(1)], [Fraction(0)], 0, -128, 127, 2**20)


def test_sums_are_pytorchs() -> None:
    import torch

    compared = 0
    for kernel, stride, dilation, groups in product((1, 2, 3), (1, 2, 3), (1, 2), (1, 2)):
        for pad, more in product(range(kernel), range(max(stride, dilation))):
            case = Case(
                *("torch", (4, 3, 2), 2, (kernel,) * 2, (stride,) * 2, ()),
                *((pad,) * 2, (more,) * 2, (dilation,) * 2, groups),
            )
            if min(out_sizes(case)) < 1:
                continue
            compared += 1
            source = codes("x", (1, *case.shape), lo=-2, hi=2)
            x = draw(compared, source.shape, -2, 2)
            weight = draw(compared + 1, (4, 2 // groups, kernel, kernel), -1, 1)
            real = torch.nn.functional.conv_transpose2d(
                *(torch.from_numpy(x).double(), torch.from_numpy(weight).double(), None),
                *(stride, pad, more, groups, dilation),
            ).numpy()
            operation = case.operation(ConvTranspose2d, weight, UNIT)
            ((shape, _),) = operation.infer([source])
            assert shape == real.shape
            (found,) = operation.reference(Site((source,), (codes("y", shape),)), [x])
            assert np.array_equal(found, real), case
    assert compared > 100


@pytest.mark.parametrize(
    ("shape", "changes", "message"),
    [
        ((1, 4, 3), {}, "expected rank 4"),
        ((2, 4, 3, 3), {}, "a batch of one"),
        ((1, 3, 3, 3), {}, "does not fit 3 input channels"),
        ((1, 4, 3, 3), {"stride": (0, 1)}, "must be positive"),
        ((1, 4, 3, 3), {"padding": (0, -1)}, "not negative"),
        ((1, 4, 3, 3), {"output_padding": (-1, 0)}, "not negative"),
        ((1, 4, 1, 1), {"padding": (1, 1)}, "leaves nothing"),
        ((1, 4, 3, 3), {"dilation": (1,)}, "for 2 axes"),
    ],
)
def test_what_does_not_fit_is_refused(
    shape: tuple[int, ...], changes: dict[str, Any], message: str
) -> None:
    settings = {"stride": (1, 1), **changes}
    case = Case("wrong", (4, 3, 3), 2, (2, 2), reaches=(), **settings)
    operation = case.operation(ConvTranspose2d, np.ones((4, 2, 2, 2)), UNIT)
    with pytest.raises(GraphError) as error:
        operation.infer([codes("x", shape)])
    assert message in str(error.value)


def test_constants_of_another_number_of_channels_are_refused() -> None:
    rescale = plan_rescale([Fraction(1), Fraction(2), Fraction(3)], [Fraction(0)], 0, -128, 127, 99)
    case = Case("wrong", (4, 3, 3), 2, (2, 2), (1, 1), ())
    operation = case.operation(ConvTranspose2d, np.ones((4, 2, 2, 2)), rescale)
    with pytest.raises(GraphError, match="3 multipliers for 2 channels"):
        operation.infer([codes("x", (1, 4, 3, 3))])
