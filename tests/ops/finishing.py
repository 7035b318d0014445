"""From accumulators to codes as the model means it, in Fractions: what the oracles of conv2d and linear share.

`finish_for` chooses scales that make given accumulators reach all of the output's codes; a `Finish` then is
both what the operation is planned from and the oracle.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from ares.ir import Tensor
from ares.numerics import FUNCTIONS, Function, Pointwise, Rescale, leaky_relu, plan_pointwise
from tests.numerics import oracle
from tests.ops.reaching import of_answers

Accumulators = Mapping[int, Sequence[int]]  # channel -> its accumulators
# PReLU: a leaky ReLU of its own for each channel, in turn.
SLOPES = (Fraction(1, 4), Fraction(-1, 2), Fraction(0), Fraction(1))
# What BatchNorm does to the sign of a channel's unit, in turn.
SIGNS = (1, -1, 0, -1)


@dataclass(frozen=True)
class Finish:
    """code = quantise(function(acc * unit + bias)); one unit or one a channel, real biases.

    `function` is a name of FUNCTIONS, or "prelu", which has a slope for each unit.
    """

    function: str
    units: tuple[Fraction, ...]
    biases: tuple[Fraction, ...]
    target: Tensor

    def plan(self, bound: int) -> Rescale:
        functions = [self._function(c) for c in range(len(self.units) if self.is_prelu else 1)]
        pointwise = Pointwise(functions=tuple(functions))
        return plan_pointwise(pointwise, self.units, self.biases, self.target, bound)

    @property
    def is_prelu(self) -> bool:
        return self.function == "prelu"

    def _function(self, channel: int) -> Function:
        if self.is_prelu:
            return leaky_relu(float(SLOPES[channel % len(SLOPES)]))
        return FUNCTIONS[self.function]

    def argument(self, acc: int, channel: int) -> Fraction:
        """What the function is given."""
        unit = self.units[channel % len(self.units)]
        return acc * unit + self.biases[channel % len(self.biases)]

    def unrounded(self, acc: int, channel: int) -> Fraction:
        """In codes, before rounding and clamp."""
        assert self.target.scale is not None
        value = self.argument(acc, channel)
        if self.is_prelu:
            value = oracle.leaky_relu(value, SLOPES[channel % len(SLOPES)])
        else:
            value = oracle.FUNCTIONS[self.function](value)
        return value / Fraction(self.target.scale) + self.target.zero_point

    def code(self, acc: int, channel: int) -> int:
        return oracle.clamp(
            oracle.nearest(self.unrounded(acc, channel)), self.target.lo, self.target.hi
        )

    def reached(self, accumulators: Accumulators) -> set[str]:
        """Names of what these accumulators put to the test."""
        found = set()
        for channel, acc in ((c, acc) for c, row in accumulators.items() for acc in row):
            found |= of_answers([self.unrounded(acc, channel)], self.target)
            found.add("negative sum" if acc < 0 else "positive sum" if acc else "sum of zero")
            if self.code(acc, channel) > 127:
                found.add("code above 127")
            if abs(acc) > 2**24:
                found.add("sum beyond binary32")
            point = self._function(channel).turning_points
            if point and -4 < self.argument(acc, channel) < point[0]:
                found.add("falling piece")
            if self.function == "relu" and self.argument(acc, channel) < 0:
                found.add("relu")
        if self.target.zero_point % 2:
            found.add("odd zero point")
        if len(set(self.units)) > 1:
            found.add("scale for each channel")
        if self.is_prelu:
            found.add("function for each channel")
        found |= {"negative gamma"} if min(self.units) < 0 else set()
        found |= {"zero gamma"} if 0 in self.units else set()
        return found


def finish_for(
    accumulators: Accumulators, target: Tensor, units: str, function: str, bias: str, seed: int
) -> Finish:
    """`units`: dyadic (a power of two), tensor or channels; signed channels, signed dyadic, as BatchNorm makes them.
    nearly dyadic: 2^-16 more than a power of two, so that sums which would be ties lie beside them.

    `bias`: none, int32 (whole units) or float.
    """
    assert target.scale is not None
    draw = random.Random(seed)
    largest = max((abs(acc) for row in accumulators.values() for acc in row), default=0) or 1
    # The largest sum lies well outside the codes, on the side of its sign. A GELU is looked at from -4 to 4.
    span = 1.5 * (target.hi - target.lo) * target.scale
    wanted = 4.0 if function.startswith("gelu") else span
    base = wanted / largest
    if units.endswith("dyadic"):
        # At most half a code, so that there are ties.
        chosen = [Fraction(2) ** round(math.log2(min(base, target.scale / 2)))]
        if units == "nearly dyadic":
            chosen = [chosen[0] * (1 + Fraction(1, 2**16))]
    else:
        count = len(accumulators) if units.endswith("channels") else 1
        chosen = [_binary32(base * draw.uniform(0.6, 1.4)) for _ in range(count)]
    if units.startswith("signed"):
        chosen = [chosen[c % len(chosen)] * SIGNS[c % len(SIGNS)] for c in accumulators]
    if function == "prelu":
        chosen = [chosen[c % len(chosen)] for c in accumulators]
    if bias == "none":
        biases = [Fraction(0)]
    elif bias == "int32":
        biases = [
            chosen[c % len(chosen)] * draw.randrange(-largest // 2, largest // 2 + 1)
            for c in accumulators
        ]
    else:
        assert bias == "float"
        biases = [_binary32(wanted * draw.uniform(-0.5, 0.5)) for _ in accumulators]
    return Finish(function, tuple(chosen), tuple(biases), target)


def _binary32(value: float) -> Fraction:
    rounded = oracle.to_binary32(Fraction(value))
    assert isinstance(rounded, Fraction)
    return rounded
