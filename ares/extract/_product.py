"""A product of two tensors of codes that waits for its quantiser, or for softmax, which needs none before it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from fractions import Fraction
from typing import Any

from ares.extract._values import Real
from ares.numerics import IDENTITY


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Product(Real):
    """`ratio` times a sum of products of steps of the tensors `factors`, which is at most `bound`; then as a Real."""

    factors: tuple[str, str]
    ratio: Fraction
    bound: int

    def changed(self, **changes: Any) -> Real:
        return Product(
            **{field.name: getattr(self, field.name) for field in fields(Product)} | changes
        )

    @property
    def step(self) -> Fraction | None:
        """What a step of the sum is worth; None where more than a positive factor stands behind the product.

        A number that is added to all scores changes no softmax.
        """
        (factor, *more), plain = self.pointwise.factors, self.pointwise.functions == (IDENTITY,)
        if self.moves or more or not plain or factor <= 0:
            return None
        return self.ratio * factor
