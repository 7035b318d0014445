"""Choices from a counter-based generator: what a seed draws is the same on every machine and in every version."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from ares.zoo.philox import bits

T = TypeVar("T")

_BLOCK = 256


class Draws:
    """The choices of one key, one after the other."""

    def __init__(self, key: str) -> None:
        self._key = key
        self._block = 0
        self._words: list[int] = []

    def _word(self) -> int:
        if not self._words:
            words = bits(f"{self._key}/{self._block}", _BLOCK) >> np.uint64(11)
            self._words = words.tolist()
            self._block += 1
        return self._words.pop()

    def below(self, count: int) -> int:
        """0 .. count - 1."""
        return self._word() % count

    def between(self, low: int, high: int) -> int:
        """low .. high, both included."""
        return low + self.below(high - low + 1)

    def chance(self, percent: float) -> bool:
        return self.unit() * 100.0 < percent

    def unit(self) -> float:
        """0 .. 1, without 1, exact."""
        return self._word() / 2.0**53

    def choice(self, items: Sequence[T]) -> T:
        return items[self.below(len(items))]

    def weighted(self, rows: Sequence[tuple[T, int]]) -> T:
        """An item by its weight."""
        place = self.below(sum(weight for _, weight in rows))
        for item, weight in rows:
            place -= weight
            if place < 0:
                return item
        raise AssertionError

    def sample(self, items: Sequence[T], count: int) -> tuple[T, ...]:
        """`count` of the items, none twice, in any order."""
        left = list(items)
        return tuple(left.pop(self.below(len(left))) for _ in range(count))

    def power(self, low: int, high: int) -> float:
        """A power of two."""
        return math.ldexp(1.0, self.between(low, high))

    def mantissa(self) -> float:
        """1 .. 2, of 12 bits."""
        return 1.0 + self.below(4096) / 4096.0


def nearest_power(value: float) -> float:
    """The power of two at or below a positive number."""
    return math.ldexp(1.0, math.frexp(value)[1] - 1)
