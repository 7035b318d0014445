"""Clause N7: the unary functions that ARES can tabulate, evaluated in float64 at extraction.

A function is data about f: R -> R, with the points where it changes direction, so that tables can be built
piece by piece. To add one, add a row; what takes parameters has a maker, and its defaults are the row.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772, 1.0507009873554805
_FAR = 2.0**100  # further out than any argument


@dataclass(frozen=True, slots=True)
class Function:
    """f: R -> R. `turning_points` ascend; between them f is monotone.

    Where f jumps at a turning point, the point belongs to the piece on its left. A function that only limits its
    argument has the limits as `clips` (None: no limit on that side); as rounding keeps order, it costs no table.
    `jumps`: next to some argument its value changes at once, so that a grid has to be exact there.
    """

    name: str
    evaluate: Callable[[FloatArray], FloatArray]
    turning_points: tuple[float, ...] = ()
    clips: tuple[Fraction | None, Fraction | None] | None = None
    jumps: bool = False

    @property
    def is_non_decreasing(self) -> bool:
        """Whether f keeps order, so that it may change places with a maximum."""
        low, high = self.evaluate(np.array([-_FAR, _FAR]))
        return not self.turning_points and bool(low <= high)


def _gelu_erf(x: FloatArray) -> FloatArray:
    # erfc keeps its digits in the left tail, where 1 + erf cancels.
    tail = np.fromiter((math.erfc(-v * math.sqrt(0.5)) for v in x.flat), np.float64, x.size)
    return 0.5 * x * tail.reshape(x.shape)


def _gelu_tanh(x: FloatArray) -> FloatArray:
    return 0.5 * x * (1.0 + np.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3)))


def _sigmoid(x: FloatArray) -> FloatArray:
    # The power of e is at most one: nothing overflows, and the left tail keeps its digits.
    power = np.exp(-np.abs(x))
    return np.where(x >= 0.0, 1.0, power) / (1.0 + power)


def elu(alpha: float = 1.0) -> Function:
    """x for x > 0, else alpha * (e**x - 1)."""
    return Function(
        "elu" if alpha == 1.0 else f"elu(alpha={alpha:g})",
        lambda x: np.where(x > 0.0, x, alpha * np.expm1(np.minimum(x, 0.0))),
        (0.0,) if alpha < 0.0 else (),
    )


def celu(alpha: float = 1.0) -> Function:
    """x for x > 0, else alpha * (e**(x / alpha) - 1); alpha > 0."""
    return Function(
        f"celu(alpha={alpha:g})",
        lambda x: np.where(x > 0.0, x, alpha * np.expm1(np.minimum(x, 0.0) / alpha)),
    )


def leaky_relu(slope: float = 0.01) -> Function:
    """x for x > 0, else slope * x."""
    return Function(
        "leaky_relu" if slope == 0.01 else f"leaky_relu({slope:g})",
        lambda x: np.where(x > 0.0, x, slope * x),
        (0.0,) if slope < 0.0 else (),
    )


def softplus(beta: float = 1.0, threshold: float = 20.0) -> Function:
    """log(1 + e**(beta * x)) / beta, and x itself where beta * x > threshold, as PyTorch has it.

    There the value falls by log(1 + e**-threshold) / |beta|: a turning point.
    Raises ValueError where PyTorch's own evaluation divides by zero or overflows.
    """
    if beta == 0.0 or not math.isfinite(beta) or not threshold <= 700.0:
        raise ValueError(f"softplus with beta {beta:g} and threshold {threshold:g}")
    point = threshold / beta
    return Function(
        "softplus" if (beta, threshold) == (1.0, 20.0) else f"softplus({beta:g}, {threshold:g})",
        lambda x: np.where(beta * x > threshold, x, np.logaddexp(0.0, beta * x) / beta),
        (point if beta > 0.0 else math.nextafter(point, -math.inf),),
    )


def affine(factor: Fraction, addend: Fraction) -> Function:
    """factor * x + addend."""
    return Function(
        f"{float(factor):g} * x + {float(addend):g}",
        lambda x: float(factor) * x + float(addend),
    )


def clip(lo: Fraction | None, hi: Fraction | None) -> Function:
    """The nearest number to x in [lo, hi], lo <= hi; None: no limit on that side."""
    if lo is None and hi is None:
        return IDENTITY
    if lo == 0 and hi is None:
        return RELU
    left, right = -math.inf if lo is None else float(lo), math.inf if hi is None else float(hi)
    return Function(f"clip({left:g}, {right:g})", lambda x: np.clip(x, left, right), clips=(lo, hi))


def sign(size: float) -> Function:
    """size for x >= 0, else -size: what a binary quantiser of that scale means."""
    return Function(SIGN, lambda x: np.where(x >= 0.0, size, -size), jumps=True)


SIGN = "sign"
IDENTITY = Function("identity", lambda x: x, clips=(None, None))
RELU = Function("relu", lambda x: np.maximum(x, 0.0), clips=(Fraction(0), None))

FUNCTIONS: dict[str, Function] = {
    function.name: function
    for function in (
        IDENTITY,
        RELU,
        Function("gelu", _gelu_erf, (-0.7517915246935645,)),
        Function("gelu_tanh", _gelu_tanh, (-0.7524614220710135,)),
        Function("silu", lambda x: x * _sigmoid(x), (-1.2784645427610738,)),
        Function("sigmoid", _sigmoid),
        Function("tanh", np.tanh),
        Function("hardswish", lambda x: x * np.clip(x + 3.0, 0.0, 6.0) / 6.0, (-1.5,)),
        Function("hardsigmoid", lambda x: np.clip(x + 3.0, 0.0, 6.0) / 6.0),
        Function("mish", lambda x: x * np.tanh(np.logaddexp(0.0, x)), (-1.1924312145154952,)),
        Function(
            "selu",
            lambda x: (
                _SELU_SCALE * np.where(x > 0.0, x, _SELU_ALPHA * np.expm1(np.minimum(x, 0.0)))
            ),
        ),
        Function("softsign", lambda x: x / (1.0 + np.abs(x))),
        Function("log_sigmoid", lambda x: -np.logaddexp(0.0, -x)),
        elu(),
        leaky_relu(),
        softplus(),
    )
}


def compose(inner: Function, outer: Function) -> Function:
    """x -> outer(inner(x)): it turns where `inner` does and where `inner` crosses a turning point of `outer`."""
    if inner is IDENTITY:
        return outer
    if outer is IDENTITY:
        return inner
    if inner.clips is not None and outer.clips is not None:
        lo, hi = (_limited(limit, side, outer.clips) for side, limit in enumerate(inner.clips))
        return clip(lo, hi)
    points = set(inner.turning_points)
    edges = [-_FAR, *inner.turning_points, _FAR]
    for level in outer.turning_points:
        for start, end in itertools.pairwise(edges):
            # After a jump the piece begins right of the turning point.
            left = start if start == -_FAR else math.nextafter(start, math.inf)
            crossing = _crossing(inner, level, left, end)
            if crossing is not None:
                points.add(crossing)
    return Function(
        f"{outer.name}({inner.name})",
        lambda x: outer.evaluate(inner.evaluate(x)),
        tuple(sorted(points)),
        jumps=inner.jumps or outer.jumps,
    )


def _limited(
    limit: Fraction | None, side: int, clips: tuple[Fraction | None, Fraction | None]
) -> Fraction | None:
    """One limit of `x -> clip(clip(x, ...), *clips)`; None is infinity on that side."""
    if limit is None:
        return clips[side]
    lo, hi = clips
    limit = limit if lo is None else max(limit, lo)
    return limit if hi is None else min(limit, hi)


def _crossing(function: Function, level: float, left: float, right: float) -> float | None:
    """The last argument of a monotone piece on the same side of `level` as `left`; None if it stays there."""

    def is_above(x: float) -> bool:
        with np.errstate(over="ignore"):
            return bool(function.evaluate(np.array([x]))[0] > level)

    side = is_above(left)
    if is_above(right) == side:
        return None
    while (middle := (left + right) / 2) not in (left, right):
        left, right = (middle, right) if is_above(middle) == side else (left, middle)
    return left
