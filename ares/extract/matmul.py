"""Products of two tensors of codes along their last axes: matmul, `@`, bmm, baddbmm, einsum of two tensors.

Also Brevitas' QuantMultiheadAttention, which is made of them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import fields
from fractions import Fraction
from typing import Any

import brevitas.nn as qnn
import numpy as np

from ares.extract._call import Call
from ares.extract._codes import codes_of
from ares.extract._elementwise import apply_arithmetic
from ares.extract._findings import reject
from ares.extract._multihead import multihead_attention
from ares.extract._product import Product
from ares.extract._quantizers import Quantizer
from ares.extract._registry import on_function, on_module
from ares.extract._rescaling import real_value, rescale_for
from ares.extract._values import Codes, Move, Real, Step, Unknown, Value, as_constant
from ares.ops.matmul import Matmul
from ares.ops.permute import Permute

_ROLES = ("its first factor", "its second factor")
_ADVICE = "put a QuantIdentity after the product"
_CONSTANT = (
    "with weights use a QuantLinear; a constant factor gets a QuantIdentity, as the other one has"
)


@on_module(qnn.QuantMultiheadAttention)
def quant_multihead_attention(call: Call) -> Value:
    return multihead_attention(call)


@on_function("matmul", "bmm")
def matmul(call: Call) -> Value:
    return _product(call, (call.argument("input", 0), _second(call, 1)))


@on_function("rmatmul")
def rmatmul(call: Call) -> Value:
    return _product(call, (_second(call, 1), call.argument("input", 0)))


@on_function("baddbmm")
def baddbmm(call: Call) -> Value:
    """The product and a constant: the mask of Brevitas' and torch's attention."""
    added, beta, alpha = (
        call.argument("input", 0),
        call.argument("beta", 3, call.kwargs.get("beta", 1)),
        call.kwargs.get("alpha", 1),
    )
    value = _product(call, (call.argument("batch1", 1), call.argument("batch2", 2)))
    if isinstance(value, Unknown) or isinstance(added, Unknown):
        return Unknown()
    constant = as_constant(added)
    if constant is None:
        reject(
            "it adds a tensor of the network to a product",
            "write torch.bmm, a QuantIdentity behind it, and the sum with a quantiser of its own",
        )
    if alpha != 1:
        value = apply_arithmetic(call, value, call.out_shape, Step("mul", np.array(float(alpha))))
    if beta == 0 or not constant.any():
        return value
    return apply_arithmetic(call, value, call.out_shape, Step("add", constant * beta))


@on_function("einsum")
def einsum(call: Call) -> Value:
    """A product of two tensors, written with letters: brought to the order of matmul, and back."""
    equation, *operands = call.args
    if len(operands) == 1 and isinstance(operands[0], (tuple, list)):
        operands = list(operands[0])
    found = re.fullmatch(r"([A-Za-z]+),([A-Za-z]+)->([A-Za-z]+)", re.sub(r"\s", "", str(equation)))
    if found is None or len(operands) != 2:
        reject(
            f"it computes {equation!r}",
            "write it as products of two tensors with all letters and an arrow: 'bhqd,bhkd->bhqk'",
        )
    first, second, result = found.groups()
    groups = [c for c in result if c in first and c in second]
    rows = [c for c in first if c not in second]
    summed = [c for c in first if c in second and c not in result]
    columns = [c for c in second if c not in first]
    order = [*groups, *rows, *columns]
    if (
        not len(rows) == len(summed) == len(columns) == 1
        or len({*first}) < len(first)
        or len({*second}) < len(second)
        or sorted(order) != sorted(result)
        or not groups
        or not first[0] == second[0] == result[0] == groups[0]
    ):
        reject(
            f"it computes {equation!r}",
            "sum over one letter, with one letter that only the first and one that only the second tensor has; "
            "the batch comes first",
        )
    pairs = zip(
        operands,
        (
            tuple(first.index(c) for c in (*groups, *rows, *summed)),
            tuple(second.index(c) for c in (*groups, *summed, *columns)),
        ),
        strict=True,
    )
    ordered = tuple(
        _permuted(call, value, axes, _ROLES[i]) for i, (value, axes) in enumerate(pairs)
    )
    return _product(call, ordered, tuple(order.index(c) for c in result))


def _second(call: Call, position: int) -> Any:
    """The second factor, by any of its names."""
    return call.argument("other", position, call.kwargs.get("mat2"))


def _permuted(call: Call, value: Any, axes: tuple[int, ...], role: str) -> Any:
    if isinstance(value, Unknown):
        return value
    codes = _factor(call, value, role)
    if axes == tuple(range(len(axes))):
        return codes
    source = call.tensor(codes)
    return Codes(call.add(Permute, (codes.tensor,), source, name=f"{call.name}.ordered", axes=axes))


def _factor(call: Call, value: Any, role: str) -> Codes:
    if as_constant(value) is not None:
        reject(f"{role} is a constant of the model", _CONSTANT)
    if not isinstance(value, Value):
        reject(f"{role} is no tensor of the model", "give it two tensors")
    return codes_of(call, value, role)


def _product(call: Call, factors: Sequence[Any], order: tuple[int, ...] = ()) -> Value:
    """The product of two values; `order`: of the product's axes in the call's own result, () where they are these."""
    if any(isinstance(factor, Unknown) for factor in factors):
        return Unknown()
    codes = [_factor(call, value, role) for value, role in zip(factors, _ROLES, strict=True)]
    left, right = (call.tensor(factor) for factor in codes)
    if (
        left.shape[:1] != (1,)
        or right.shape[:1] != (1,)
        or min(map(len, (left.shape, right.shape))) < 3
    ):
        reject(
            f"its factors have shapes {list(left.shape)} and {list(right.shape)}",
            "give it tensors [batch, ..., rows, columns]",
        )
    ratio = Fraction(left.scale or 0) * Fraction(right.scale or 0)
    bound = left.shape[-1] * left.largest_magnitude * right.largest_magnitude

    def finish(quantizer: Quantizer) -> str:
        return call.add(
            Matmul,
            tuple(factor.tensor for factor in codes),
            quantizer,
            rescale=rescale_for(call, quantizer, [ratio], [Fraction(0)], bound),
        )

    shape = (*left.shape[:-1], right.shape[-1])
    plain = real_value(
        call, finish, what=f"the product {call.name}", shape=shape, axes=(), advice=_ADVICE
    )
    own = {field.name: getattr(plain, field.name) for field in fields(Real)}
    names = (codes[0].tensor, codes[1].tensor)
    value = Product(**own, factors=names, ratio=ratio, bound=bound)
    return value if order in ((), tuple(range(len(shape)))) else _ordered(call, value, order)


def _ordered(call: Call, value: Real, order: tuple[int, ...]) -> Real:
    def add(tensor: str) -> str:
        return call.add(Permute, (tensor,), call.builder.tensors[tensor], axes=order)

    return value.moved(Move(add, lambda index: index.transpose(np.argsort(order))))
