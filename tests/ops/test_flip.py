"""Flip: oracle -> reference -> C."""

from __future__ import annotations

import pytest

from ares.ir import GraphError
from ares.ops.flip import Flip
from tests.ops.harness import codes
from tests.ops.strided import SHAPE, Picked, check_positions
from tests.slow import slow_but


@pytest.mark.parametrize("kind", slow_but([0], ["s8", "u8", "f32"]))
def test_each_axis(kind: str) -> None:
    def picks(name: str) -> list[Picked]:
        return [
            (Flip(f"flip{axis}", (name,), (f"y{axis}",), axis), axis, range(SHAPE[axis])[::-1])
            for axis in (1, 2, 3)
        ]

    check_positions(picks, kind)


def test_the_batch_stays() -> None:
    with pytest.raises(GraphError, match="axis 0 is the batch"):
        Flip("flip", ("x",), ("y",), 0).infer([codes("x", SHAPE)])
