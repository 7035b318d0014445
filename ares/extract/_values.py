"""What an edge of the captured model means: codes, a real value that waits for its quantiser, or neither.

A real value is not computed until its quantiser is known, so that the sum, BatchNorm, the activation function and the
quantiser become one operation with one rounding. Moves (flatten, permute, max pooling) that stand between an
operation and its quantiser are put off until the codes exist: they change places with the quantiser, which keeps
order and gives zero its own code. They change places with what comes after them only where that does the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ares.extract._findings import Unmappable, reject
from ares.extract._quantizers import Quantizer
from ares.extract._scales import ChannelScales
from ares.numerics import IDENTITY, PLAIN, SIGN, Function, Pointwise, clip
from ares.ops._window import Windows

Finish = Callable[[Quantizer], str]
Index = npt.NDArray[np.int64]
Summed = Callable[[Windows], "Real"]


@dataclass(frozen=True, slots=True, eq=False)
class Move:
    """`add` adds a move of the codes of a tensor, by name, and returns the result's name.

    `back` takes an array of the result's shape to where its elements came from (-1: nowhere); None where elements that
    differ in it are mixed. `takes_maximum` and `adds_zeros` say what the move does besides moving.
    """

    add: Callable[[str], str]
    back: Callable[[Index], Index | None]
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

    def refuse_before_scaling(
        self, factors: Sequence[Fraction], addends: Sequence[Fraction]
    ) -> None:
        """Refuse x * factor + addend behind this move where it cannot come before it."""
        if self.takes_maximum and min(factors) < 0:
            reject(
                f"a maximum of real values is multiplied by {float(min(factors)):.3g} (a negative gamma, if it is "
                "BatchNorm's): what was largest becomes smallest",
                "put a QuantIdentity between the two, or the factor before the pooling",
            )
        if self.adds_zeros and any(addends):
            reject(
                "a number is added after padding with zeros, which it changes",
                "put a QuantIdentity between the two, or the padding behind the sum",
            )


@dataclass(frozen=True, slots=True)
class Codes:
    """A tensor of the Graph, by name."""

    tensor: str


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """Arithmetic with a constant: `kind` is add, sub, rsub, mul or div, `values` float64 broadcast to the tensor."""

    kind: str
    values: npt.NDArray[np.float64]

    def terms(self) -> tuple[list[Fraction], list[Fraction]]:
        """(factors, addends) with which it is x * factor + addend, for every element of `values`."""
        numbers = [Fraction(float(value)) for value in self.values.reshape(-1)]
        ones, zeros = [Fraction(1)] * len(numbers), [Fraction(0)] * len(numbers)
        match self.kind:
            case "add":
                return ones, numbers
            case "sub":
                return ones, [-number for number in numbers]
            case "rsub":
                return [-one for one in ones], numbers
            case "mul":
                return numbers, zeros
        return [1 / number for number in numbers], zeros


@dataclass(frozen=True, slots=True, eq=False)
class Real:
    """`pointwise(what the operation computes)`, then `moves`.

    `what` names it in messages, `layer` is the layer that computes it, `advice` is for those who use it as it is.
    `shape` is the operation's own; `axes` those along which it can take constants of their own, () where it can take
    one for all, None where it takes functions only; `axis` is the one that `pointwise` has them along.
    `finish(quantizer)` adds the operation with all that stands before the rounding and returns the tensor's name.
    `expose` adds it with a binary32 result, where that exists. `summed(windows)` is the average of what the operation
    computes in windows along axes of its own shape, without `pointwise`, where that is exact. `arithmetic` replaces
    `pointwise` where arithmetic with constants is done as the model does it, in binary32: at an input of the network.
    `regrid(factor)` adds codes that mean what the operation computes times the factor, where that is codes already;
    `unit` is then the real value of one code.
    `event` is the one at which the model shows this very value, "" where there is none.
    """

    what: str
    layer: str
    shape: tuple[int, ...]
    finish: Finish
    axes: tuple[int, ...] | None = None
    pointwise: Pointwise = PLAIN
    axis: int | None = None
    moves: tuple[Move, ...] = ()
    expose: Callable[[Pointwise], str] | None = None
    summed: Summed | None = None
    arithmetic: Callable[[Step], Real] | None = None
    advice: str = "insert a QuantIdentity before it"
    regrid: Callable[[Fraction], str] | None = None
    unit: Fraction | None = None
    event: str = ""

    def then(self, function: Function) -> Real:
        """The same with an elementwise function after it."""
        if function is IDENTITY:
            return self
        for move in self.moves:
            move.refuse_before(function)
        return self._followed_by((function,), None)

    def then_each(self, functions: Sequence[Function], index: Index) -> Real:
        """The same with functions[index] after each element; `index` has the value's shape."""
        places, axis = self._channels(index)
        chosen = [functions[place] for place in places]
        for move in self.moves:
            for function in set(chosen):
                move.refuse_before(function)
        return self._followed_by(chosen, axis)

    def scaled(self, step: Step, shape: tuple[int, ...]) -> Real:
        """The same with arithmetic with a constant after it; `shape` is the value's own, behind its moves."""
        factors, addends = step.terms()
        for move in self.moves:
            move.refuse_before_scaling(factors, addends)
        index = np.broadcast_to(np.arange(len(factors)).reshape(step.values.shape), shape)
        if self.arithmetic is not None and self._is_plain:
            return self._scaled_in_place(step, index)
        if self.arithmetic is not None:
            reject(
                f"it comes behind {self.pointwise.functions[0].name} of {self.what}",
                "insert a QuantIdentity between the two",
            )
        if self.axes is None:
            reject(
                f"it is applied to {self.what}, which takes no factor and no addend", self.advice
            )
        axis = self.axis
        if len(factors) > 1:
            places, axis = self._channels(index)
            factors, addends = ([terms[place] for place in places] for terms in (factors, addends))
        return self.changed(pointwise=self.pointwise.scaled(factors, addends), axis=axis)

    def behind(self, pointwise: Pointwise, index: Index) -> Real:
        """The same with all of `pointwise` after it; `index`, of the value's shape, says which constants it meets."""
        places, axis = self._channels(index) if pointwise.channels > 1 else ([0], self.axis)

        def chosen(terms: Sequence[Any]) -> list[Any]:
            return [terms[place] for place in places] if len(terms) > 1 else list(terms)

        factors, addends = chosen(pointwise.factors), chosen(pointwise.addends)
        functions = chosen(pointwise.functions)
        for move in self.moves:
            move.refuse_before_scaling(factors, addends)
            for function in set(functions):
                move.refuse_before(function)
        try:
            whole = self.pointwise.scaled(factors, addends).then(functions)
        except ValueError as error:
            reject(str(error), _BETWEEN)
        return self.changed(pointwise=whole, axis=axis)

    def in_codes(self, quantizer: Quantizer, shape: tuple[int, ...]) -> Real:
        """What a quantiser with a scale for each channel rounds, in units of them; `shape` is the value's own."""
        assert quantizer.scales is not None
        real = self.then(quantizer.function)
        function = real.pointwise.function
        rounds = quantizer.step is IDENTITY
        if rounds and function is not None and function.clips is not None:
            # What is limited and then divided is divided and then limited: codes end at one for all, as a rule.
            ends = (quantizer.lo - quantizer.zero_point, quantizer.hi - quantizer.zero_point)
            limits = quantizer.scales.limits_in_codes(function.clips, ends)
            bare = self.changed(pointwise=replace(real.pointwise, functions=(IDENTITY,)))
            real = bare._divided(quantizer, shape)
            if len(set(limits)) == 1:
                real = real.then(clip(*limits[0]))
            elif self.arithmetic is not None:
                reject(
                    f"{function.name} of {self.what} is another limit in the codes of every channel",
                    "insert a QuantIdentity between the two",
                )
            else:
                index = quantizer.scales.index(shape)
                real = real.then_each([clip(*limit) for limit in limits], index)
        else:
            real = real._divided(quantizer, shape)
        return real.then(quantizer.step)

    def _divided(self, quantizer: Quantizer, shape: tuple[int, ...]) -> Real:
        assert quantizer.scales is not None
        if quantizer.step.name == SIGN:
            return self
        try:
            return self.scaled(Step("div", quantizer.scales.along(len(shape))), shape)
        except Unmappable:
            if self.arithmetic is not None:
                raise
            reject(
                f"its quantiser has a scale for each channel, and {self.what} takes one for all",
                "put a QuantIdentity with one scale before it",
            )

    def moved(self, move: Move) -> Real:
        """The same with a move of codes after it."""
        return self.changed(moves=(*self.moves, move))

    def quantized(self, quantizer: Quantizer) -> str:
        """The name of the tensor of codes that the quantiser makes of it."""
        for move in self.moves:
            move.refuse_before(quantizer.function)
        try:
            whole = quantizer.behind(self.pointwise, self.axis)
        except ValueError as error:
            return reject(str(error), _BETWEEN)
        return self._moved(self.finish(whole))

    def exposed(self) -> str | None:
        """The name of the binary32 tensor that it is as an output of the network, None where there is none."""
        if self.expose is None or self.pointwise.function is not IDENTITY:
            return None
        if any(move.takes_maximum or move.adds_zeros for move in self.moves):
            reject(
                f"the network's output is pooled or padded from {self.what}, which is not quantised",
                "end the network with a QuantIdentity",
            )
        return self._moved(self.expose(self.pointwise))

    def rescaled(self) -> str | None:
        """The name of the tensor of codes that it is without a quantiser, None where there is none.

        Codes times one number are codes: their scale has the factor. So are they behind moves.
        """
        whole = self.pointwise
        if self.regrid is None or whole.function is not IDENTITY or whole.channels > 1:
            return None
        if whole.addends[0] or not whole.factors[0] or any(type(m) is not Move for m in self.moves):
            return None
        return self._moved(self.regrid(whole.factors[0]))

    @property
    def is_whole(self) -> bool:
        """Whether nothing but whole numbers can be here."""
        whole = self.pointwise
        return (
            self.unit is not None
            and whole.function is IDENTITY
            and all((self.unit * factor).denominator == 1 for factor in whole.factors)
            and all(addend.denominator == 1 for addend in whole.addends)
        )

    @property
    def _is_plain(self) -> bool:
        return self.pointwise.is_function and self.pointwise.function is IDENTITY

    def changed(self, **changes: Any) -> Real:
        """The same with other fields, and no more than a Real."""
        own = {field.name: getattr(self, field.name) for field in fields(Real)}
        return Real(**own | {"event": ""} | changes)

    def _moved(self, tensor: str) -> str:
        for move in self.moves:
            tensor = move.add(tensor)
        return tensor

    def _followed_by(self, functions: Sequence[Function], axis: int | None) -> Real:
        try:
            pointwise = self.pointwise.then(functions)
        except ValueError as error:
            reject(str(error), _BETWEEN)
        return self.changed(pointwise=pointwise, axis=self.axis if axis is None else axis)

    def _scaled_in_place(self, step: Step, index: Index) -> Real:
        assert self.arithmetic is not None
        values = step.values.reshape(-1)[np.maximum(self.source_of(index), 0)]
        return self.arithmetic(replace(step, values=values)).changed(moves=self.moves)

    def source_of(self, index: Index) -> Index:
        """`index`, of the value's shape, by element of the operation's own result, -1 where an element is not used."""
        found: Index | None = np.asarray(index)
        for move in reversed(self.moves):
            found = None if found is None else move.back(found)
        if found is None:
            reject(f"its constants differ within what {self.what} mixes", QUANTISE_BOTH)
        return found

    def _channels(self, index: Index) -> tuple[list[int], int]:
        """For each channel of the operation the one place of `index` that it meets, and the axis of the channels."""
        source = self.source_of(index)
        candidates = self.axes if self.axis is None else (self.axis,)
        for axis in candidates or ():
            rows = np.moveaxis(source, axis, 0).reshape(source.shape[axis], -1)
            places = rows.max(axis=1)
            if ((rows == places[:, None]) | (rows == -1)).all():
                return [max(int(place), 0) for place in places], axis
        return reject(
            f"its constants are not one for each channel of {self.what}, nor one for all",
            QUANTISE_BOTH,
        )


QUANTISE_BOTH = "quantise both, each with a QuantIdentity of its own: quant(x) + quant_table(table)"
_BETWEEN = "put a QuantIdentity between the two functions"


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ChannelCodes(Real):
    """Codes that have a scale for each channel: their tensor in the Graph, which has one for all, has the scale 1.

    To most they are a real value that waits for its quantiser. What treats channels apart, and moves that keep them
    apart, take the codes. `scales` count their axis from the first; `quantizer` is the call of it whose scales they
    are, in its order, "" where a move made another.
    """

    tensor: str
    scales: ChannelScales
    quantizer: str


@dataclass(frozen=True, slots=True, eq=False)
class Constant:
    """What does not depend on the inputs: a parameter or buffer, by name, or what is computed of such ("").

    `array` holds its values in float64, None where they are no real numbers.
    """

    name: str
    array: npt.NDArray[np.float64] | None = None


@dataclass(frozen=True, slots=True)
class Unknown:
    """The result of something that was already reported: consumers stay silent."""


Value = Codes | Real | Constant | Unknown


def array_of(value: Any) -> npt.NDArray[np.float64] | None:
    """The numbers of a parameter or buffer of the float64 model, or of the constant that a function got; else None."""
    if isinstance(value, torch.Tensor):
        return np.asarray(value.detach().double().numpy())
    return value.array if isinstance(value, Constant) else None


def as_constant(value: Any) -> npt.NDArray[np.float64] | None:
    """The numbers of a constant operand: a Python number or a constant of the model; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float, Constant)):
        return None
    return value.array if isinstance(value, Constant) else np.array(float(value))
