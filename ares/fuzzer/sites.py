"""Where a node stands when its module is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ares.fuzzer.recipe import InputSpec, Option, RecipeError
from ares.fuzzer.shapes import Shape
from ares.fuzzer.weights import Source


@dataclass(frozen=True, slots=True)
class Site:
    """Where a node stands: its options, the shapes of its operands, its numbers, the inputs of the recipe."""

    options: Mapping[str, Option]
    shapes: Sequence[Shape]
    source: Source
    inputs: Sequence[InputSpec]

    def real(self, word: str, default: float = 0.0) -> float:
        value = self.options.get(word, default)
        if not isinstance(value, int | float):
            raise RecipeError(f"{word} {value!r}, expected a number")
        return float(value)

    def word(self, word: str, default: str = "") -> str:
        return str(self.options.get(word, default))

    def constants(self, parameter: str, count: int) -> Tensor:
        """Numbers in (-1, 1), float32."""
        return torch.from_numpy(self.source.units(parameter, count).astype(np.float32))
