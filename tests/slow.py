"""A small sample of a parametrised test is ordinary; the others are marked slow."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def slow_but(kept: Iterable[int], parameters: Iterable[Any]) -> list[Any]:
    """The parameters of a test or of a fixture, in their order: slow but for the ones at these places.

    A row for several arguments is a tuple. (A tuple for one argument stands in a tuple.)
    """
    rows, places = [row if type(row) is tuple else (row,) for row in parameters], {*kept}
    assert places < {*range(len(rows))}, "something stays ordinary, and something is slow"
    return [
        pytest.param(*row, marks=() if at in places else pytest.mark.slow)
        for at, row in enumerate(rows)
    ]


def one_in(count: int, parameters: Iterable[Any]) -> list[Any]:
    """The same: one of so many is ordinary, the first among them."""
    values = list(parameters)
    return slow_but(range(0, len(values), count), values)
