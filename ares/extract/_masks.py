"""Constant masks of attention: positions that count nowhere, written as minus infinity or a number as good as that.

In front of the quantiser a masked score becomes its smallest code. Behind it, on codes, softmax gives it exactly zero.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from fractions import Fraction
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from ares.extract._call import Call
from ares.extract._channel_codes import waiting
from ares.extract._findings import reject
from ares.extract._product import Product
from ares.extract._values import ChannelCodes, Codes, Index, Move, Real, Unknown, Value, as_constant
from ares.ir import DType, Tensor, frozen_array
from ares.numerics import IDENTITY, Function, plan_weighted_sum
from ares.ops import Site
from ares.ops.add import Add
from ares.ops.constant import Constant
from ares.ops.requantize import Requantize

_LARGE = -50.0
"""What is added to scores to mask them is no larger than this, in models that do not use minus infinity."""

_VANISHES = 44.0
"""exp(-44) is below 2^-63, which softmax leaves out (`ares.ops.softmax`)."""

_USE_INFINITY = "mask with float('-inf')"

Kept = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class _Mask(Move):
    """The move that puts the smallest code where scores are masked."""

    def refuse_before(self, function: Function) -> None:
        if function is not IDENTITY:
            reject(
                f"{function.name} is applied to masked scores",
                "mask the scores last, in front of softmax or of the quantiser before it",
            )

    def refuse_before_scaling(self, factors: Any, addends: Any) -> None:
        if min(factors) <= 0 or any(addends):
            reject(
                "arithmetic follows the mask of scores",
                "mask the scores last, in front of softmax or of the quantiser before it",
            )


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Masked(Real):
    """Scores of which only those in `kept` count: codes of the tensor `codes`, a product, or other real values."""

    codes: str
    product: Product | None
    kept: Kept


def is_cut(value: Value) -> bool:
    """Whether masked codes lost their mask to a move that does more than order elements."""
    moves = value.moves if isinstance(value, Real) else ()
    return any(isinstance(move, _Mask) for move in moves) and not isinstance(value, Masked)


def mask_of(values: npt.NDArray[np.float64]) -> Kept | None:
    """Which positions an added constant leaves as they are, where it masks the others; None where it does not mask."""
    masks = values <= _LARGE
    if not masks.any() or (values[~masks] != 0).any():
        return None
    # Finite numbers for each channel, or one for all, are arithmetic.
    table = values.ndim > 1 and values.shape[-1] > 1 and not masks.all()
    return np.asarray(~masks) if table or np.isneginf(values[masks]).all() else None


def masked(call: Call, value: Value, kept: Kept, ceiling: float, added: bool) -> Value:
    """`value` where it is masked: no number above `ceiling` is added to it there, or stands in its place."""
    if isinstance(value, Unknown):
        return value
    if isinstance(value, ChannelCodes) or not isinstance(value, Codes | Real):
        reject("it masks what is neither codes nor a real value", "mask the scores of attention")
    shape = call.out_shape
    whole = np.broadcast_to(kept, shape)
    if isinstance(value, Masked) and (value.codes or value.product is not None):
        whole = value.kept & whole
        value = value.product or Codes(value.codes)
    codes = value.tensor if isinstance(value, Codes) else ""
    real = waiting(call, value, Requantize) if isinstance(value, Codes) else value
    product = value if isinstance(value, Product) else None
    if codes and ceiling > -np.inf:
        _require_far(call.builder.tensors[codes], ceiling, added)

    def add(tensor: str) -> str:
        return _smallest_codes(call, tensor, whole, ceiling, added)

    def back(index: Index) -> Index:
        return np.where(whole, index, -1)

    moved = real.moved(_Mask(add, back))
    own = {field.name: getattr(moved, field.name) for field in fields(Real)}
    if product is not None and ceiling > -np.inf and not _is_far(product, ceiling, added):
        product = None
    return Masked(**own, codes=codes, product=product, kept=whole)


def moved_mask(
    call: Call,
    value: Masked,
    add: Callable[[str], str],
    back: Callable[[Index], Index | None],
) -> Masked | None:
    """Masked codes and their mask behind a move that only orders elements, None where it does more."""
    shape = call.out_shape
    if not value.codes or value.kept.size != prod(shape):
        return None
    places = back(np.arange(value.kept.size).reshape(shape))
    if places is None or not np.array_equal(np.sort(places, axis=None), np.arange(places.size)):
        return None
    kept = np.zeros(places.size, np.bool_)
    kept[places.reshape(-1)] = np.broadcast_to(value.kept, places.shape).reshape(-1)
    found = masked(call, Codes(add(value.codes)), kept.reshape(shape), -np.inf, added=True)
    assert isinstance(found, Masked)
    return found


def replaced(call: Call, value: Value, chosen: Any, filled: Any) -> Value:
    """`value` with the constant `filled` where the constant `chosen` says so."""
    places, number = as_constant(chosen), as_constant(filled)
    if isinstance(value, Unknown) or isinstance(chosen, Unknown) or isinstance(filled, Unknown):
        return Unknown()
    if places is None or number is None:
        reject(
            "it chooses by a tensor of the network",
            "write it with clamp, F.relu, F.leaky_relu or the product with a constant mask",
        )
    filled_in: Kept = np.broadcast_to(places != 0, call.out_shape)
    if not filled_in.any():
        return value
    largest = float(np.broadcast_to(number, call.out_shape)[filled_in].max())
    if largest > _LARGE:
        reject(
            f"it fills in {largest:.6g}",
            "multiply by a constant mask to make values zero; to mask scores of attention fill in float('-inf')",
        )
    return masked(call, value, ~filled_in, largest, added=False)


def _is_far(scores: Product, ceiling: float, added: bool) -> bool:
    """Whether masked scores of a product count nowhere in softmax, whatever the others are."""
    (addend,) = scores.pointwise.addends if len(scores.pointwise.addends) == 1 else (Fraction(0),)
    step = scores.step
    if step is None:
        return False
    largest = float(step * scores.bound + abs(addend))
    return -largest - (ceiling + (largest if added else 0.0)) >= _VANISHES


def _require_far(scores: Tensor, ceiling: float, added: bool) -> None:
    """Refuse a number with which masked codes would still count in softmax."""
    scale = scores.scale or 0.0
    low, high = ((end - scores.zero_point) * scale for end in (scores.lo, scores.hi))
    if low - (ceiling + (high if added else 0.0)) < _VANISHES:
        reject(f"its mask of {ceiling:.6g} is not far from scores of {low:.6g}", _USE_INFINITY)


def _smallest_codes(call: Call, tensor: str, kept: Kept, ceiling: float, added: bool) -> str:
    """`tensor` with its smallest code where it is masked: what its quantiser makes of so small a number."""
    scores = call.builder.tensors[tensor]
    if ceiling > -np.inf:
        largest = ceiling + (_largest(call, tensor) if added else 0.0)
        if largest / (scores.scale or 1.0) + scores.zero_point > scores.lo:
            raise call.fault(
                f"its mask of {ceiling:.6g} is not below all codes of {tensor}", _USE_INFINITY
            )
    mask = _smallest_shape(np.where(kept, 0, -128))
    # Twice -128 steps and the clamp: the smallest code, whatever the score was.
    like = Tensor("", (1,), DType.S8, 2 * (scores.scale or 0.0), 0, -128, 127)
    masks = call.add(
        Constant, (), like, name=f"{call.name}.mask", codes=frozen_array(mask, np.int16)
    )
    coefficients, rescale = plan_weighted_sum(
        [Fraction(1), Fraction(2)],
        [scores.zero_point, 0],
        Fraction(scores.zero_point),
        scores.lo,
        scores.hi,
    )
    return call.add(Add, (tensor, masks), scores, coefficients=coefficients, rescale=rescale)


def _largest(call: Call, tensor: str) -> float:
    """No smaller than any real value that the operation which made `tensor` can round."""
    (maker,) = (op for op in call.builder.operations if tensor in op.outputs)
    rescale: Any = getattr(maker, "rescale", None)
    sources = [call.builder.tensors[name] for name in maker.inputs]
    made = call.builder.tensors[tensor]
    if rescale is None or rescale.thresholds.size:
        raise call.fault("a mask is added to what is no plain product", _USE_INFINITY)
    bound = maker.accumulator_bound(Site(tuple(sources), (made,)))
    total = bound * abs(int(rescale.multiplier[0])) + abs(int(rescale.offset[0]))
    codes = total / 2 ** int(rescale.shift[0]) + abs(made.zero_point) + 1
    return float(codes * (made.scale or 0.0))


def _smallest_shape(mask: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The mask with size 1 along axes on which it does not depend."""
    for axis in range(mask.ndim):
        first = mask.take([0], axis)
        if (mask == first).all():
            mask = first
    return mask
