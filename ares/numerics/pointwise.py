"""What a model does between an accumulator and the quantiser behind it, and the one rounding that it becomes.

BatchNorm, factors, offsets and activations compose exactly: x -> f_c(x * factor_c + addend_c) for each channel c. The
factor joins the ratio of N3 and the offset its bias, so that nothing is rounded in between and no weight changes;
functions become the steps of N5, one table for all channels or one for each.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from ares.ir import Tensor, frozen_array
from ares.numerics.accumulate import INT32_MAX, NumericsError
from ares.numerics.functions import IDENTITY, Function, affine, clip, compose
from ares.numerics.rescale import Rescale, plan_multipliers, plan_weighted_sum
from ares.numerics.tables import (
    code_limits,
    common_grid,
    plan_function,
    steps_of_channel,
    steps_on_grid,
    with_steps,
)

ONE, ZERO = Fraction(1), Fraction(0)


@dataclass(frozen=True, slots=True, eq=False)
class Pointwise:
    """x -> function(x * factor + addend); each of the three has one element, or one for each channel."""

    factors: tuple[Fraction, ...] = (ONE,)
    addends: tuple[Fraction, ...] = (ZERO,)
    functions: tuple[Function, ...] = (IDENTITY,)

    @property
    def channels(self) -> int:
        """For how many channels there are constants: 1 where all channels have the same."""
        return max(len(self.factors), len(self.addends), len(self.functions))

    @property
    def function(self) -> Function | None:
        """The function that all channels share, None where they have their own."""
        return self.functions[0] if len(self.functions) == 1 else None

    @property
    def is_function(self) -> bool:
        """Whether it is one function and nothing else."""
        return self.function is not None and set(self.factors) == {ONE} and not any(self.addends)

    def evaluate(self, x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """What becomes of x, in float64; for constants that all channels share."""
        (factor,), (addend,), (function,) = self.factors, self.addends, self.functions
        return function.evaluate(x * float(factor) + float(addend))

    def then(self, functions: Sequence[Function]) -> Pointwise:
        """The same with a function after it: one, or one for each channel. ValueError: not one N7 knows."""
        pairs = _each(self.functions, functions)
        return dataclasses.replace(self, functions=tuple(compose(f, g) for f, g in pairs))

    def scaled(self, factors: Sequence[Fraction], addends: Sequence[Fraction]) -> Pointwise:
        """The same with x * factor + addend after it."""
        if self.functions == (IDENTITY,):
            own = _each(self.factors, factors), _each(self.addends, factors, addends)
            return Pointwise(
                _shortest(f * factor for f, factor in own[0]),
                _shortest(a * factor + addend for a, factor, addend in own[1]),
            )
        shared = len(factors) == len(addends) == len(self.functions) == 1
        if shared and self.functions[0].clips is not None and factors[0]:
            # What is limited and then scaled is scaled and then limited.
            scaled = dataclasses.replace(self, functions=(IDENTITY,)).scaled(factors, addends)
            ends = [
                None if end is None else end * factors[0] + addends[0]
                for end in self.functions[0].clips
            ]
            lo, hi = ends if factors[0] > 0 else ends[::-1]
            return dataclasses.replace(scaled, functions=(clip(lo, hi),))
        pairs = _each(factors, addends)
        return self.then([affine(factor, addend) for factor, addend in pairs])


PLAIN = Pointwise()
"""x itself."""


def plan_pointwise(
    pointwise: Pointwise,
    ratios: Sequence[Fraction],
    biases: Sequence[Fraction],
    target: Tensor,
    accumulator_bound: int,
) -> Rescale:
    """Constants for code = quantise(pointwise(acc * ratio + bias)); ratios and biases are REAL, one or one a channel.

    Raises NumericsError out of range.
    """
    factors = _each(ratios, pointwise.factors)
    terms = _each(biases, pointwise.factors, pointwise.addends)
    ratios = _shortest(ratio * factor for ratio, factor in factors)
    biases = _shortest(bias * factor + addend for bias, factor, addend in terms)
    if pointwise.function is not None and not (
        pointwise.function.jumps and max(len(ratios), len(biases)) > 1
    ):
        return plan_function(pointwise.function, ratios, biases, target, accumulator_bound)
    if accumulator_bound > INT32_MAX:
        raise NumericsError(f"accumulator may reach {accumulator_bound}, int32 ends at {INT32_MAX}")
    tables = [
        steps_of_channel(function, ratio, bias, target, accumulator_bound)
        for function, ratio, bias in _each(pointwise.functions, ratios, biases)
    ]
    # Tables of one length: a threshold beyond every accumulator changes nothing, nor does the last code again.
    length = max(1, *(len(thresholds) for thresholds, _ in tables))
    padding = [length - len(thresholds) for thresholds, _ in tables]
    return dataclasses.replace(
        plan_multipliers([ONE], [ZERO], 0, target.lo, target.hi, INT32_MAX),
        thresholds=frozen_array(
            [t + [INT32_MAX] * more for (t, _), more in zip(tables, padding, strict=True)], np.int32
        ),
        codes=frozen_array(
            [c + c[-1:] * more for (_, c), more in zip(tables, padding, strict=True)], np.int16
        ),
    )


def plan_sum(
    pointwise: Pointwise, ratios: Sequence[Fraction], zero_points: Sequence[int], target: Tensor
) -> tuple[tuple[int, ...], Rescale]:
    """(coefficients, constants) for code = quantise(pointwise(sum(ratio_i * (code_i - z_i)))); ratios are REAL.

    As `plan_weighted_sum` (N10); a function that does more than limit gets its steps (N5) on a grid that the sum is
    rounded to. `pointwise` has constants that all channels share. Raises NumericsError out of range.
    """
    (factor,), (addend,), (function,) = pointwise.factors, pointwise.addends, pointwise.functions
    assert target.scale is not None
    ratios = [ratio * factor for ratio in ratios]
    if function.clips is not None:
        scale = Fraction(target.scale)
        return plan_weighted_sum(
            [ratio / scale for ratio in ratios],
            zero_points,
            addend / scale + target.zero_point,
            *code_limits(function, target),
        )
    grid = common_grid(function, ratios, [addend], target, 255 * len(ratios))
    coefficients, plain = plan_weighted_sum(
        [ratio / grid.step for ratio in ratios],
        zero_points,
        (addend - grid.start) / grid.step,
        target.lo,
        target.hi,
    )
    return coefficients, with_steps(plain, *steps_on_grid(function, grid, target))


def _each(*sequences: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
    """The elements of sequences of one or n elements, channel by channel."""
    length = max(map(len, sequences))
    return zip(*(list(s) * (length if len(s) == 1 else 1) for s in sequences), strict=True)


def _shortest(values: Iterable[Fraction]) -> tuple[Fraction, ...]:
    """One value where all are the same."""
    found = tuple(values)
    return found[:1] if len(set(found)) == 1 else found
