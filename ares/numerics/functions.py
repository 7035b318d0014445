"""Clause N7: the unary functions that ARES can tabulate, evaluated in float64 at extraction.

A function is data about f: R -> R, with the points where it changes direction, so that tables can be built
piece by piece. To add one, add a row.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Function:
    """f: R -> R. `turning_points` ascend; between them f is monotone."""

    name: str
    evaluate: Callable[[FloatArray], FloatArray]
    turning_points: tuple[float, ...] = ()

    @property
    def is_non_decreasing(self) -> bool:
        """Whether f keeps order, so that it may change places with a maximum."""
        return not self.turning_points and bool(
            self.evaluate(np.array([-1e3]))[0] <= self.evaluate(np.array([1e3]))[0]
        )


def _gelu_erf(x: FloatArray) -> FloatArray:
    # erfc keeps its digits in the left tail, where 1 + erf cancels.
    tail = np.fromiter((math.erfc(-v * math.sqrt(0.5)) for v in x.flat), np.float64, x.size)
    return 0.5 * x * tail.reshape(x.shape)


def _gelu_tanh(x: FloatArray) -> FloatArray:
    return 0.5 * x * (1.0 + np.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3)))


IDENTITY = Function("identity", lambda x: x)
RELU = Function("relu", lambda x: np.maximum(x, 0.0))

FUNCTIONS: dict[str, Function] = {
    function.name: function
    for function in (
        IDENTITY,
        RELU,
        Function("gelu", _gelu_erf, (-0.7517915246935645,)),
        Function("gelu_tanh", _gelu_tanh, (-0.7524614220710135,)),
    )
}


def compose(inner: Function, outer: Function) -> Function:
    """x -> outer(inner(x)). `outer` must keep order; raises ValueError otherwise."""
    if inner is IDENTITY:
        return outer
    if outer is IDENTITY or (inner is RELU and outer is RELU):
        return inner
    if not outer.is_non_decreasing:
        raise ValueError(
            f"{outer.name} after {inner.name} is not monotone in pieces that are known"
        )
    return Function(
        f"{outer.name}({inner.name})",
        lambda x: outer.evaluate(inner.evaluate(x)),
        inner.turning_points,
    )
