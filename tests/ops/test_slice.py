"""Slice: oracle -> reference -> C."""

from __future__ import annotations

import pytest

from ares.ir import GraphError
from ares.ops.slice import Slice
from tests.ops.harness import codes
from tests.ops.strided import SHAPE, Picked, check_positions
from tests.slow import slow_but

PARTS = [(1, 0, 1, 1), (1, 2, 1, 1), (1, 0, 2, 2), (2, 1, 3, 1), (2, 1, 2, 3), (3, 1, 3, 1), (3, 0, 2, 2)]  # fmt: skip


@pytest.mark.parametrize("kind", slow_but([0], ["s8", "u8", "f32"]))
def test_parts(kind: str) -> None:
    def picks(name: str) -> list[Picked]:
        return [
            (
                Slice(f"part{i}", (name,), (f"y{i}",), axis, start, count, step),
                axis,
                [start + k * step for k in range(count)],
            )
            for i, (axis, start, count, step) in enumerate(PARTS)
        ]

    check_positions(picks, kind)


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ((0, 0, 1, 1), "axis 0 is the batch"),
        ((4, 0, 1, 1), "axis 4"),
        ((2, 3, 3, 1), "leave an axis of 5"),
        ((2, 0, 0, 1), "leave an axis of 5"),
        ((2, -1, 2, 1), "leave an axis of 5"),
        ((2, 4, 2, -1), "leave an axis of 5"),
    ],
)
def test_what_does_not_fit_is_refused(part: tuple[int, int, int, int], message: str) -> None:
    with pytest.raises(GraphError, match=message):
        Slice("part", ("x",), ("y",), *part).infer([codes("x", SHAPE)])
