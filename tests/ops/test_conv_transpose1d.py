"""ConvTranspose1d: oracle -> reference -> C, by the kernel of two axes."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from ares.ir import GraphError
from ares.numerics import plan_rescale
from ares.ops.conv_transpose1d import ConvTranspose1d
from tests.ops.harness import codes
from tests.ops.transposed import Case, check

CASES = (
    Case("4, stride 2", (3, 7), 5, (4,), (2,), ("cut", "overlap", "low clip", "high clip"), (1,)),
    Case(
        "16, stride 8, as in vocoders",
        (5, 3),
        3,
        (16,),
        (8,),
        ("cut", "overlap", "negative sum", "positive sum"),
        (4,),
        source=("u8", 131),
        units="channels",
        bias="float",
    ),
    Case(
        "depthwise, dilated, output padding",
        (5, 4),
        5,
        (3,),
        (3,),
        ("depthwise", "dilation", "output padding", "odd zero point", "tie to the code above"),
        (2,),
        (2,),
        (2,),
        groups=5,
        target=("u8", 7),
        weight=(-1, 1),
    ),
)


@pytest.mark.parametrize("number", range(len(CASES)), ids=lambda number: CASES[number].name)
def test_oracle_reference_c(number: int) -> None:
    check(CASES[number], ConvTranspose1d, number)


def test_an_image_is_refused() -> None:
    rescale = plan_rescale([Fraction(1)], [Fraction(0)], 0, -128, 127, 99)
    operation = CASES[0].operation(ConvTranspose1d, np.ones((3, 5, 4)), rescale)
    with pytest.raises(GraphError, match="expected rank 3"):
        operation.infer([codes("x", (1, 3, 4, 5))])
