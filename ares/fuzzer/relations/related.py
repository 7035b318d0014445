"""What a relation hands over: models, and how the inputs and outputs of each follow from those of the first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt
from torch import Tensor, nn

Array = npt.NDArray[Any]
Arrays = Sequence[Array]
Turn = Callable[[Arrays], Arrays]


def same(arrays: Arrays) -> Arrays:
    """As they are."""
    return arrays


@dataclass(frozen=True, slots=True)
class Side:
    """`models` run one after the other, the codes of one being what the next quantises: mostly it is one.

    `turn`: inputs of the first side -> its own. `outputs`: which of its outputs are the first side's, in their order;
    None: all. `back`: those -> what the first side's must be, integer by integer. `factor`: what a step of its output
    codes is worth, in steps of the first side's.
    """

    models: tuple[nn.Module, ...]
    turn: Turn = same
    outputs: tuple[int, ...] | None = None
    back: Turn = same
    factor: float = 1.0


@dataclass(frozen=True, slots=True)
class Related:
    """A relation between models: the outputs of every side, turned back, are those of the first: one model as it is."""

    name: str
    example: tuple[Tensor, ...]
    sides: tuple[Side, ...]
