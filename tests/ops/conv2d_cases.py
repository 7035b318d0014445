"""What Conv2d is tried on: a table, each case with what it must reach."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

Array = npt.NDArray[Any]
Codes = tuple[Any, ...]  # dtype, zero point, and lo, hi where they are not the type's


@dataclass(frozen=True)
class Case:
    """Channels, height, width in; output channels; what must be reached."""

    name: str
    shape: tuple[int, int, int]
    out: int
    kernel: tuple[int, int]
    reaches: tuple[str, ...]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)  # top, left, bottom, right
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    source: Codes = ("s8", 0)
    target: Codes = ("s8", 0)
    weight: tuple[int, int] = (-127, 127)
    units: str = "dyadic"
    bias: str = "none"
    function: str = "identity"
    extreme: bool = False  # inputs and weights at their ends only
    scale: float = 0.0625


TIES = ("tie to the code below", "tie to the code above", "negative tie", "positive tie")
CLIPS = ("low clip", "high clip")
SIGNS = ("negative sum", "positive sum")

CASES = (
    Case("1x1", (5, 7, 3), 11, (1, 1), (*CLIPS, *SIGNS)),
    Case("3x3, padded alike", (3, 7, 5), 5, (3, 3), ("padding", *CLIPS), padding=(1, 1, 1, 1)),
    Case(
        "ties, 2-bit weights",
        (2, 11, 7),
        7,
        (2, 2),
        (*TIES, *SIGNS),
        weight=(-1, 1),
        source=("s8", 0),
        target=("s8", 0, -128, 127),
    ),
    Case(
        "ties around an odd zero point",
        (3, 7, 11),
        5,
        (3, 2),
        (*TIES, "odd zero point"),
        weight=(-1, 1),
        source=("u8", 129),
        target=("s8", -7),
    ),
    Case(
        "ties behind an int32 bias",
        (2, 7, 9),
        5,
        (2, 3),
        (*TIES, "code above 127", "odd zero point"),
        weight=(-1, 1),
        target=("u8", 131),
        bias="int32",
    ),
    Case(
        "one-sided padding, stride 2",
        (3, 8, 6),
        4,
        (3, 3),
        ("padding", "one-sided padding"),
        stride=(2, 2),
        padding=(0, 1, 1, 0),
    ),
    Case(
        "every parameter differs between the axes",
        (4, 11, 13),
        6,
        (3, 5),
        ("padding", "one-sided padding", "dropped rest"),
        stride=(2, 3),
        padding=(2, 0, 1, 3),
        dilation=(2, 1),
        source=("u8", 3),
        units="channels",
    ),
    Case(
        "dilation 2",
        (2, 9, 8),
        3,
        (3, 3),
        ("padding", "dilation"),
        padding=(2, 2, 2, 2),
        dilation=(2, 2),
    ),
    Case(
        "dilated across the whole input",
        (3, 1, 1),
        4,
        (2, 2),
        ("no tap inside", "sum of zero", "dilation"),
        padding=(1, 1, 1, 1),
        dilation=(2, 2),
        bias="float",
    ),
    Case(
        "padding wider than the kernel",
        (3, 2, 3),
        4,
        (1, 1),
        ("no tap inside", "sum of zero", "padding"),
        padding=(2, 1, 0, 2),
        source=("u8", 7),
    ),
    Case(
        "kernel larger than the input",
        (3, 2, 3),
        5,
        (5, 4),
        ("kernel larger than the input", "padding"),
        padding=(2, 2, 2, 1),
    ),
    Case("groups", (6, 5, 7), 9, (3, 3), ("groups", *SIGNS), groups=3, padding=(1, 1, 1, 1)),
    Case(
        "depthwise, stride 2",
        (7, 9, 6),
        7,
        (3, 3),
        ("depthwise", "padding", *CLIPS),
        groups=7,
        stride=(2, 2),
        padding=(1, 1, 1, 1),
        units="channels",
    ),
    Case(
        "depthwise, two filters a channel, dilated",
        (5, 4, 11),
        10,
        (1, 3),
        ("groups", "dilation"),
        groups=5,
        dilation=(1, 2),
        source=("u8", 0),
    ),
    Case(
        "7x7, stride 3",
        (2, 17, 13),
        3,
        (7, 7),
        ("padding", "dropped rest"),
        stride=(3, 3),
        padding=(3, 3, 3, 3),
    ),
    Case(
        "6x4 of u8, far zero point",
        (3, 8, 7),
        5,
        (6, 4),
        ("input above 127", *SIGNS),
        padding=(2, 1, 3, 2),
        source=("u8", 255),
        units="tensor",
    ),
    Case("stride past the kernel", (3, 10, 8), 4, (1, 1), ("dropped rest",), stride=(3, 3)),
    Case(
        "4-bit weights and codes",
        (5, 6, 6),
        6,
        (3, 3),
        (*CLIPS, *SIGNS),
        weight=(-7, 7),
        source=("s8", 0, -8, 7),
        target=("s8", 0, -8, 7),
        units="channels",
    ),
    Case(
        "2-bit weights, 2-bit unsigned codes",
        (5, 6, 5),
        6,
        (2, 2),
        (*CLIPS, "tie to the code below", "tie to the code above"),
        weight=(-1, 1),
        source=("u8", 0, 0, 3),
        target=("u8", 1, 0, 3),
    ),
    Case(
        "float bias for each channel",
        (4, 5, 5),
        7,
        (3, 3),
        ("scale for each channel", *SIGNS),
        units="channels",
        bias="float",
        target=("s8", 9),
    ),
    Case(
        "float bias, one scale",
        (4, 5, 5),
        7,
        (3, 3),
        SIGNS,
        units="tensor",
        bias="float",
        target=("u8", 101),
    ),
    Case(
        "sums beyond binary32",
        (139, 4, 3),
        2,
        (3, 3),
        ("sum beyond binary32", "negative sum", "low clip"),
        weight=(-128, -121),
        source=("u8", 0),
    ),
    Case(
        "largest differences from the zero point",
        (31, 3, 3),
        3,
        (2, 2),
        (*SIGNS, "odd zero point"),
        weight=(-128, 127),
        extreme=True,
        source=("s8", 127),
        target=("s8", -127),
    ),
    Case(
        "relu to u8",
        (3, 6, 5),
        6,
        (3, 3),
        ("relu", "high clip", "code above 127"),
        target=("u8", 0),
        function="relu",
        units="channels",
    ),
    Case(
        "relu to s8 with a zero point",
        (3, 6, 5),
        6,
        (2, 2),
        ("relu", "high clip", "odd zero point", "tie to the code above"),
        weight=(-1, 1),
        target=("s8", -101),
        function="relu",
    ),
    Case(
        "gelu",
        (3, 7, 6),
        5,
        (3, 3),
        ("falling piece", *SIGNS),
        function="gelu",
        units="tensor",
        scale=3.5 / 127,
    ),
    Case(
        "gelu to u8 with an odd zero point, biased channels",
        (3, 7, 6),
        5,
        (3, 2),
        ("falling piece", "scale for each channel", "odd zero point"),
        function="gelu",
        units="channels",
        bias="float",
        source=("u8", 113),
        target=("u8", 17),
        scale=0.011,
    ),
    Case(
        "gelu, tanh form, 4-bit codes",
        (3, 5, 6),
        5,
        (2, 3),
        ("falling piece", *CLIPS),
        function="gelu_tanh",
        target=("s8", 1, -8, 7),
        scale=0.0166,
        units="channels",
    ),
    Case("one pixel", (31, 1, 1), 13, (1, 1), (*CLIPS, *SIGNS), units="tensor"),
    Case(
        "BatchNorm of every sign, ties",
        (2, 7, 9),
        7,
        (2, 2),
        (*TIES, *SIGNS, "negative gamma", "zero gamma", "odd zero point"),
        weight=(-1, 1),
        source=("u8", 129),
        target=("s8", -7),
        units="signed dyadic",
    ),
    Case(
        "BatchNorm of every sign, biased, depthwise",
        (7, 5, 6),
        7,
        (3, 3),
        ("depthwise", "padding", *CLIPS, "negative gamma", "zero gamma"),
        groups=7,
        padding=(1, 1, 1, 1),
        units="signed channels",
        bias="float",
        target=("u8", 101),
    ),
    Case(
        "gelu behind BatchNorm of every sign",
        (3, 5, 6),
        5,
        (3, 2),
        ("falling piece", "negative gamma", "zero gamma"),
        function="gelu",
        units="signed channels",
        bias="float",
        scale=3.5 / 127,
    ),
    Case(
        "PReLU behind BatchNorm",
        (2, 5, 7),
        6,
        (2, 3),
        (*TIES, "function for each channel", "falling piece", "negative gamma", "zero gamma"),
        weight=(-1, 1),
        function="prelu",
        units="signed dyadic",
        bias="int32",
        scale=0.125,
    ),
    # Rows of the results are narrower than those of the input, though no row of the input is left out.
    Case("1x4 in rows, not padded", (4, 5, 19), 17, (1, 4), (*CLIPS, *SIGNS)),
    Case("1x1 in rows of 16 codes, stride 2 across", (16, 5, 13), 18, (1, 1), SIGNS, stride=(1, 2)),
    Case("3x1, not padded", (16, 7, 5), 3, (3, 1), SIGNS),
)
