"""Softmax over one axis (`AttentionWeights`, nn.Softmax, softmax): codes to codes of its quantiser.

Masks of the scores (masked_fill, where, the sum with a constant) are part of it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

from ares.extract._call import Call
from ares.extract._codes import codes_of, quantize, quantizer_of
from ares.extract._findings import Unquantised, reject
from ares.extract._geometry import axis_of
from ares.extract._masks import Masked, is_cut, replaced
from ares.extract._product import Product
from ares.extract._quantizers import Quantizer
from ares.extract._registry import on_function, on_module
from ares.extract._rescaling import real_value
from ares.extract._values import (
    ChannelCodes,
    Codes,
    Constant,
    Move,
    Real,
    Unknown,
    Value,
    as_constant,
)
from ares.extract.matmul_softmax import softmax_of_product
from ares.ir import frozen_array
from ares.nn.leaves.attention import AttentionWeights
from ares.numerics import NumericsError, exp_table, plan_reciprocal
from ares.ops.permute import Permute
from ares.ops.softmax import Softmax

_QUANTISE = "put a QuantIdentity after it, unsigned (act_quant=Uint8ActPerTensorFloat)"


@on_module(AttentionWeights)
def attention_weights(call: Call) -> Value:
    value = _softmax(call, -1, call.module.causal)
    quantizer = quantizer_of(call, call.module.quant.act_quant, one_is_usual=True)
    if quantizer is None or isinstance(value, Unknown):
        return value
    return quantize(call, value, quantizer)


@on_module(nn.Softmax)
@on_function("softmax")
def softmax(call: Call) -> Value:
    return _softmax(call, call.setting("dim", 1))


@on_function("masked_fill")
def masked_fill(call: Call) -> Value:
    return replaced(call, call.x, call.argument("mask", 1), call.argument("value", 2))


@on_function("where")
def where(call: Call) -> Value:
    """`torch.where(keep, scores, -inf)`, or the other way round: a mask."""
    condition, first, second = (
        call.argument(name, place) for place, name in enumerate(("condition", "input", "other"))
    )
    if as_constant(first) is not None:
        return replaced(call, second, condition, first)
    chosen = as_constant(condition)
    if chosen is None:
        return replaced(call, first, condition, second)
    return replaced(call, first, Constant("", np.where(chosen, 0.0, 1.0)), second)


def _scores(call: Call) -> tuple[Codes, npt.NDArray[np.bool_] | None]:
    """The codes of the scores, and which of them count; None where all do."""
    value = call.x
    if isinstance(value, Masked) and value.codes:
        return Codes(value.codes), value.kept
    if isinstance(value, Masked):
        reject(
            f"it masks {value.what}, which is not quantised, or with a number that is not below all scores",
            "put a QuantIdentity before the mask, and mask with float('-inf')",
        )
    if is_cut(value):
        reject(
            "its scores are cut or repeated behind their mask",
            "take the parts of the scores, and of the mask, before they are masked",
        )
    if isinstance(value, Real) and not isinstance(value, ChannelCodes):
        rescaled = call.context.rescaled(value)
        if rescaled is not None:
            return Codes(rescaled), None
        raise Unquantised(
            f"its input is {value.what}, which is not quantised",
            f"put a QuantIdentity before softmax; and {_QUANTISE}; at the network's end leave softmax to the host",
        )
    return codes_of(call, value), None


def _softmax(call: Call, dim: Any, causal: bool = False) -> Value:
    value = call.x
    if isinstance(value, Unknown):
        return value
    axis, last = axis_of(dim, len(call.out_shape)), len(call.out_shape) - 1
    _require_axis(value, axis, last, dim)
    product = value.product if isinstance(value, Masked) else value
    step = product.step if isinstance(product, Product) else None
    if isinstance(product, Product) and step is not None:
        kept = value.kept if isinstance(value, Masked) else None
        if causal:
            future = np.broadcast_to(np.tri(call.out_shape[-1], dtype=bool), call.out_shape)
            kept = future if kept is None else kept & future
        return softmax_of_product(call, product, step, _rows(kept), _QUANTISE)
    source, kept = _scores(call)
    if kept is not None and _is_causal(kept):
        causal, kept = True, None
    if axis == last:
        return _of_codes(call, source, causal, _rows(kept))
    order = (*(place for place in range(last + 1) if place != axis), axis)
    name, scores = f"{call.name}.scores", call.tensor(source)
    turned = Codes(call.add(Permute, (source.tensor,), scores, name=name, axes=order))
    return _of_codes(call, turned, causal, _rows(kept)).moved(_back(call, order))


def _require_axis(value: Value, axis: int, last: int, dim: Any) -> None:
    """Refuse an axis over which softmax of such scores does not run, and rows in which nothing counts."""
    if axis == 0:
        reject("it runs over the batch", "say which of the other dimensions: dim=-1")
    if axis != last and isinstance(value, Product | Masked):
        more = ", and permute the axis to the end before the mask"
        reject(
            f"it runs over dim={dim} of {value.what}",
            f"put a QuantIdentity before it{more if isinstance(value, Masked) else ''}",
        )
    if isinstance(value, Masked) and not value.kept.any(axis=-1).all():
        reject("its mask leaves a row without any key", "let every query see one key at least")


def _of_codes(call: Call, source: Codes, causal: bool, kept: npt.NDArray[np.uint8]) -> Real:
    scores = call.tensor(source)

    def finish(quantizer: Quantizer) -> str:
        if not quantizer.only_limits:
            raise call.fault(
                f"{quantizer.function.name} is applied to its probabilities", _QUANTISE
            )
        try:
            mantissas, exponents = exp_table(scores.scale or 0.0)
            numerator, exponent = plan_reciprocal(quantizer.scale)
        except NumericsError as error:
            raise call.fault(str(error), "check the scales before and after it") from None
        return call.add(
            Softmax,
            (source.tensor,),
            quantizer,
            causal=causal,
            mantissas=mantissas,
            exponents=exponents,
            numerator=numerator,
            exponent=exponent,
            kept=kept,
        )

    what = f"the probabilities of {call.name}"
    return real_value(call, finish, what=what, shape=scores.shape, advice=_QUANTISE)


def _back(call: Call, order: tuple[int, ...]) -> Move:
    """From the order in which softmax runs over the last axis to that of the call."""
    axes = tuple(int(place) for place in np.argsort(order))

    def add(tensor: str) -> str:
        probabilities = call.builder.tensors[tensor]
        return call.add(Permute, (tensor,), probabilities, name=f"{call.name}.weights", axes=axes)

    return Move(add, lambda index: index.transpose(order))


def _is_causal(kept: npt.NDArray[np.bool_]) -> bool:
    queries, keys = kept.shape[-2:]
    return kept.ndim >= 3 and queries == keys and bool((kept == np.tri(keys, dtype=bool)).all())


def _rows(kept: npt.NDArray[np.bool_] | None) -> npt.NDArray[np.uint8]:
    """The mask as the operation has it: the rows that repeat, empty where every key counts."""
    if kept is None or kept.all():
        return frozen_array(np.zeros((0, 0)), np.uint8)
    while kept.ndim > 2 and (kept == kept[:1]).all():
        kept = kept[0]
    rows = kept.reshape(-1, kept.shape[-1])
    return frozen_array(rows[:1] if (rows == rows[0]).all() else rows, np.uint8)
