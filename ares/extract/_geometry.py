"""PyTorch's ways to write sizes."""

from __future__ import annotations

from typing import Any

from ares.extract._findings import reject


def pair(value: Any) -> tuple[int, int]:
    """(height, width) from a number or a sequence of one or two."""
    if isinstance(value, int):
        return (value, value)
    numbers = tuple(int(number) for number in value)
    if len(numbers) == 1:
        return (numbers[0], numbers[0])
    if len(numbers) != 2:
        reject(f"expected a number or a pair, found {value!r}")
    return numbers


def axis_of(value: int, rank: int) -> int:
    """A dimension counted from the front."""
    if not -rank <= value < rank:
        reject(f"it names dimension {value} of a tensor of rank {rank}")
    return value % rank


def flat_arguments(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """`(2, 3)` from both spellings `f(2, 3)` and `f((2, 3))`."""
    if len(values) == 1 and isinstance(values[0], (tuple, list)):
        return tuple(values[0])
    return values
