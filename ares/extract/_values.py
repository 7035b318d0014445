"""What an edge of the traced model means: codes, a real value that waits for its quantiser, or neither.

A real value is not computed until its quantiser is known, so that the sum, the activation function and the
quantiser become one operation with one rounding. Moves (flatten, permute, max pooling) that stand between an
operation and its quantiser are put off until the codes exist: they change places with the quantiser, which keeps
order and gives zero its own code. They change places with a function that comes after them only where that
function does the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import numpy.typing as npt

from ares.extract._findings import reject
from ares.extract._quantizers import Quantizer
from ares.numerics import IDENTITY, Function, compose

Finish = Callable[[Quantizer], str]


@dataclass(frozen=True, slots=True, eq=False)
class Move:
    """`emit` adds a move of the codes of a tensor, by name, and returns the result's name.

    `takes_maximum` and `adds_zeros` say what it does besides moving.
    """

    emit: Callable[[str], str]
    takes_maximum: bool = False
    adds_zeros: bool = False

    def refuse_before(self, function: Function) -> None:
        """Refuse a function behind this move that cannot come before it."""
        if self.takes_maximum and not function.is_non_decreasing:
            reject(
                f"{function.name} comes after a maximum of real values and does not keep their order",
                f"put a QuantIdentity between the two, or {function.name} before the pooling",
            )
        if self.adds_zeros and function.evaluate(np.zeros(1))[0] != 0.0:
            reject(
                f"{function.name} comes after padding with zeros, which it changes",
                f"put a QuantIdentity between the two, or {function.name} before the padding",
            )


@dataclass(frozen=True, slots=True)
class Codes:
    """A tensor of the Graph, by name."""

    tensor: str


@dataclass(frozen=True, slots=True, eq=False)
class Real:
    """`function(what the operation computes)`, then `moves`.

    `what` names it in messages, `advice` is for those who use it as it is. `finish(quantizer)` adds the
    operation with the quantiser's function and scale and returns the tensor's name. `expose` adds it with a
    binary32 result, where that exists.
    """

    what: str
    finish: Finish
    function: Function = IDENTITY
    moves: tuple[Move, ...] = ()
    expose: Callable[[], str] | None = None
    advice: str = "insert a QuantIdentity before it"

    def then(self, function: Function) -> Real:
        """The same with an elementwise function after it."""
        for move in self.moves:
            move.refuse_before(function)
        try:
            combined = compose(self.function, function)
        except ValueError as error:
            reject(str(error), "put a QuantIdentity between the two functions")
        return replace(
            self, function=combined, expose=self.expose if function is IDENTITY else None
        )

    def moved(self, move: Move) -> Real:
        """The same with a move of codes after it."""
        expose = self.expose
        return replace(
            self,
            moves=(*self.moves, move),
            expose=None if expose is None else cache(lambda: move.emit(expose())),
        )

    def quantized(self, quantizer: Quantizer) -> str:
        """The name of the tensor of codes that the quantiser makes of it."""
        combined = self.then(quantizer.function).function
        tensor = self.finish(quantizer.with_function(combined))
        for move in self.moves:
            tensor = move.emit(tensor)
        return tensor


@dataclass(frozen=True, slots=True, eq=False)
class Constant:
    """What does not depend on the inputs: a parameter or buffer, by name, or what is computed of such.

    `array` holds its values in float64, None where they were computed in forward.
    """

    name: str
    array: npt.NDArray[np.float64] | None = None


@dataclass(frozen=True, slots=True)
class Unknown:
    """The result of something that was already reported: consumers stay silent."""


Value = Codes | Real | Constant | Unknown
