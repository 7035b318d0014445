"""What an edge of the traced model means: codes, a real value that waits for its quantiser, or neither.

A real value is not computed until its quantiser is known, so that the sum, the activation function and the
quantiser become one operation with one rounding. Moves (flatten, permute, max pooling) that stand between an
operation and its quantiser are put off until the codes exist: they commute with an elementwise, per-tensor
quantiser (max pooling where the function keeps order).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from ares.extract._findings import reject
from ares.extract._quantizers import Quantizer
from ares.numerics import IDENTITY, Function, compose

Finish = Callable[[Quantizer], str]


@dataclass(frozen=True, slots=True)
class Codes:
    """A tensor of the Graph, by name."""

    tensor: str


@dataclass(frozen=True, slots=True, eq=False)
class Real:
    """`function(what the operation computes)`, then `moves`.

    `what` names it in messages. `finish(quantizer)` adds the operation with the quantiser's function and
    scale and returns the tensor's name. `expose` adds it with a binary32 result, where that exists.
    """

    what: str
    finish: Finish
    function: Function = IDENTITY
    moves: tuple[Callable[[str], str], ...] = ()
    expose: Callable[[], str] | None = None

    def then(self, function: Function) -> Real:
        """The same with an elementwise function after it."""
        try:
            combined = compose(self.function, function)
        except ValueError as error:
            reject(str(error), "put a QuantIdentity between the two functions")
        return replace(self, function=combined, expose=self.expose if function is IDENTITY else None)

    def moved(self, move: Callable[[str], str]) -> Real:
        """The same with a move of codes after it."""
        expose = self.expose
        return replace(
            self,
            moves=(*self.moves, move),
            expose=None if expose is None else lambda: move(expose()),
        )

    def quantized(self, quantizer: Quantizer) -> str:
        """The name of the tensor of codes that the quantiser makes of it."""
        combined = self.then(quantizer.function).function
        tensor = self.finish(quantizer.with_function(combined))
        for move in self.moves:
            tensor = move(tensor)
        return tensor


@dataclass(frozen=True, slots=True, eq=False)
class Constant:
    """A parameter or buffer that the model uses in a function."""

    name: str
    tensor: torch.Tensor


@dataclass(frozen=True, slots=True)
class Unknown:
    """The result of something that was already reported: consumers stay silent."""


Value = Codes | Real | Constant | Unknown
