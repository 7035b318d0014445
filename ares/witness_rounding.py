"""How far float32 may be from what a model means: a bound for every element of every tensor of a forward pass.

A running error analysis. Each function that the model dispatches gets, beside its result, a bound on |float32 - exact|
of every element, float64 and absolute, from the bounds of its arguments: what float32 rounds itself (relative 2^-24
each; a sum of n terms in whatever order at most n times that of the sum of magnitudes) and what the arguments were off.
Nothing is fitted. Where a function jumps (floor, a sign), the bound has the height of the jump if the argument is that
near. A function without a rule has no bound: infinity, and its name is in `Rounding.unknown`. Tensors that nothing was
said of are constants (weights, biases, tables), computed in at most eight roundings.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map
from torch.utils.weak import WeakTensorKeyDictionary

from ares.witness_bounds import CONSTANT, FUNCTION, UNIT, interpolation_weights, normalised

Tensor = torch.Tensor

_FACTORIES = {
    "empty", "empty_like", "full", "full_like", "new_empty", "new_full", "new_ones", "new_zeros", "ones",
    "ones_like", "scalar_tensor", "zeros", "zeros_like"
}  # fmt: skip
_MOVES = {
    "_adaptive_max_pool2d", "_reshape_alias", "_unsafe_view", "adaptive_max_pool2d", "alias", "as_strided", "cat",
    "clone", "constant_pad_nd", "detach", "diagonal", "expand", "flip", "gather", "im2col", "index",
    "index_select", "lift_fresh", "masked_fill", "max_pool2d_with_indices", "movedim", "narrow", "permute",
    "pixel_shuffle", "pixel_unshuffle", "reflection_pad1d", "reflection_pad2d", "repeat", "replication_pad1d",
    "replication_pad2d", "roll", "select", "slice", "split", "split_with_sizes", "squeeze", "stack", "t",
    "transpose", "tril", "triu", "unbind", "unfold", "unsqueeze", "upsample_nearest1d", "upsample_nearest2d",
    "view", "where"
}  # fmt: skip
_AVERAGES = {"_adaptive_avg_pool2d", "avg_pool2d", "mean", "sum"}
_MONOTONE = {
    "ceil", "celu", "clamp", "clamp_max", "clamp_min", "elu", "erf", "exp", "exp2", "expm1", "floor",
    "hardsigmoid", "hardtanh", "leaky_relu", "log", "log1p", "log2", "log_sigmoid_forward", "reciprocal", "relu",
    "round", "rsqrt", "selu", "sigmoid", "sign", "softplus", "sqrt", "tanh", "trunc"
}  # fmt: skip
_CANCELLING = {"celu", "elu", "log_sigmoid_forward", "selu", "softplus"}
_STEEPEST = {
    "abs": 1.0, "atan": 1.0, "cos": 1.0, "gelu": 1.13, "hardswish": 1.5, "mish": 1.09, "neg": 1.0, "silu": 1.1,
    "sin": 1.0
}  # fmt: skip
"""Functions that rise and fall: the largest slope."""


class Rounding(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch leaves it untyped
    """Within, bounds are kept for all that depends on tensors which `bind` was told of."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        self.paused = False
        # Within what gets its bound from outside: what is made of nothing and what is written over is followed only.
        self.resting = False
        self.unknown: set[str] = set()
        self._bounds: Any = WeakTensorKeyDictionary()

    def bind(self, tensor: Tensor, bound: Tensor) -> None:
        """From now on the elements of `tensor` are at most `bound` off."""
        if bound.stride() != tensor.stride():
            like = torch.empty_strided(tensor.shape, tensor.stride(), dtype=torch.float64)
            bound = like.copy_(bound)
        self._bounds[tensor] = bound

    def bound(self, value: Any) -> Tensor:
        """Of a tensor or a number of Python, what float32 may be off."""
        if not isinstance(value, torch.Tensor):
            number = torch.tensor(value, dtype=torch.float64)
            return (number.float().double() - number).abs().nan_to_num()
        found: Tensor | None = self._bounds.get(value)
        # Infinity, as masks have it, is exact.
        constant = _size(value).nan_to_num(nan=math.nan, posinf=0.0) * CONSTANT
        return constant if found is None else found

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        name = func.overloadpacket.__name__
        stem = name if name.startswith("__") else name.rstrip("_")
        rests = self.resting and not func._schema.is_mutable
        concerned = stem in _FACTORIES or (not rests and self._has_bounds(args, kwargs))
        if self.paused or not concerned:
            return func(*args, **kwargs)
        writes = func._schema.is_mutable and stem != "as_strided"
        # What is written over is needed as it was.
        before = [args[0].clone(), *args[1:]] if writes else list(args)
        if writes and args[0] in self._bounds:
            self._bounds[before[0]] = self._bounds[args[0]].clone()
        result = func(*args, **kwargs)
        real = [x for x in tree_flatten(result)[0] if isinstance(x, torch.Tensor)]
        if any(x.is_floating_point() for x in real):
            self._follow(_Call(self, stem, func, before, kwargs, real), writes)
        return result

    def _has_bounds(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
        """Whether a bound is known of something that a call is given."""
        for value in (*args, *kwargs.values()):
            # Of containers there are lists of tensors and of numbers.
            for x in value if isinstance(value, list | tuple) else (value,):
                if isinstance(x, torch.Tensor) and x in self._bounds:
                    return True
        return False

    def _follow(self, call: _Call, writes: bool) -> None:
        for tensor, bound in zip(call.results, call.bounds(), strict=False):
            if not tensor.is_floating_point():
                continue
            if writes and tensor in self._bounds:
                self._bounds[tensor].copy_(bound)  # and so in all that share its memory
            elif call.stem in _MOVES and bound.shape == tensor.shape:
                self._bounds[tensor] = bound  # a view of the bounds where it is one of the values
            else:
                self.bind(tensor, bound.expand(tensor.shape))


class _Call:
    """One dispatched call and the rules for it."""

    def __init__(
        self,
        rounding: Rounding,
        stem: str,
        func: Any,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        results: Sequence[Tensor],
    ) -> None:
        self._rounding = rounding
        self.stem = stem
        self._func = func
        self._args = args
        self._kwargs = kwargs
        self.results = results

    def bounds(self) -> Sequence[Tensor]:
        """One for each result."""
        stem = self.stem
        if stem in _FACTORIES:
            return [torch.zeros(x.shape, dtype=torch.float64) for x in self.results]
        if stem in _MOVES:
            return self._moved()
        if stem in _AVERAGES:
            return [self._averaged()]
        if stem in _MONOTONE:
            return [self._monotone()]
        if stem in _STEEPEST:
            # Those that cancel, as x * (1 + erf(x)), are as exact as their argument.
            rounded = FUNCTION * (_size(self._args[0]) + self._result.abs())
            return [_STEEPEST[stem] * self._error(0) + rounded]
        rule: Callable[[], Tensor] | None = getattr(self, f"_{stem.strip('_')}", None)
        if rule is None:
            self._rounding.unknown.add(stem)
            return [torch.full(x.shape, math.inf, dtype=torch.float64) for x in self.results]
        bound = rule()
        if any(_size(x).isinf().any() for x in self._args if isinstance(x, torch.Tensor)):
            bound = bound.masked_fill(self._result.isinf(), 0.0)  # as masks add it: exact
        return [bound]

    def _error(self, index: int) -> Tensor:
        return self._rounding.bound(self._args[index])

    def _value(self, index: int) -> Any:
        value = self._args[index]
        return value.double() if isinstance(value, torch.Tensor) else value

    @property
    def _result(self) -> Tensor:
        return self.results[0].double()

    def _dimension(self, index: int = 1) -> Any:
        return self._args[index] if len(self._args) > index else None

    # Rules for many functions.

    def _moved(self) -> Sequence[Tensor]:
        args = list(self._args)
        if self.stem in ("masked_fill", "constant_pad_nd") and len(args) > 2:
            args[2] = 0.0  # the number that is filled in is exact

        def bound(value: Any) -> Any:
            real = isinstance(value, torch.Tensor) and value.is_floating_point()
            return self._rounding.bound(value) if real else value

        kwargs = {key: bound(value) for key, value in self._kwargs.items()}
        found = tree_flatten(self._func(*tree_map(bound, args), **kwargs))[0]
        return [x for x in found if isinstance(x, torch.Tensor)]

    def _averaged(self) -> Tensor:
        size = _size(self._args[0])
        terms = math.ceil(size.numel() / max(1, self.results[0].numel())) + 16
        if self.stem == "avg_pool2d":
            terms = math.prod(self._args[1]) ** (3 - len(self._args[1])) + 2
        rest = self._args[1:]
        kwargs = {key: value for key, value in self._kwargs.items() if key != "dtype"}
        averaged: Tensor = self._func(self._error(0) + terms * UNIT * size, *rest, **kwargs)
        return averaged

    def _upsample_bilinear2d(self) -> Tensor:
        interpolated: Tensor = self._func(self._error(0), *self._args[1:], **self._kwargs)
        return interpolated + interpolation_weights(_size(self._args[0]))

    def _monotone(self) -> Tensor:
        """As far as the function goes within the bound of its argument."""
        value, error = self._value(0), self._error(0)
        ends = [
            self._func(x, *self._args[1:], **self._kwargs) for x in (value - error, value + error)
        ]
        ends = [end[0] if isinstance(end, tuple) else end for end in ends]
        middle = self._result
        # Of what has no value there (log, 1/x near zero) there is no bound.
        far = torch.maximum(*((end - middle).abs().nan_to_num(math.inf) for end in ends))
        if self.stem in ("reciprocal", "rsqrt"):
            far = torch.where(value.abs() > error, far, math.inf)
        # exp(x) - 1 near zero is as exact as its argument.
        size = _size(self._args[0]).clamp(max=1.0) if self.stem in _CANCELLING else 0.0
        return torch.where(middle.isnan(), math.nan, far) + FUNCTION * (size + middle.abs())

    def _product(
        self, function: Callable[[Tensor, Tensor], Tensor], first: int, terms: int
    ) -> Tensor:
        """Of a function that is linear in two arguments and sums so many products."""
        one, other = _size(self._args[first]), _size(self._args[first + 1])
        error, more = self._error(first), self._error(first + 1)
        return function(one, more + terms * UNIT * other) + function(error, other + more)

    # Rules for one function each.

    def _add(self) -> Tensor:
        factor = abs(self._kwargs.get("alpha", 1))
        bound: Tensor = self._error(0) + factor * self._error(1) + 2 * UNIT * self._result.abs()
        return bound

    _sub = _rsub = _add

    def _copy(self) -> Tensor:
        return self._error(1)

    def _to_copy(self) -> Tensor:
        return self._error(0) + UNIT * self._result.abs()

    def _mul(self) -> Tensor:
        return self._product(torch.mul, 0, 1)

    def _div(self) -> Tensor:
        divisor, error = _size(self._args[1]), self._error(1)
        left = (divisor - error).clamp(min=0.0)
        size = self._result.abs()
        off = self._error(0) + torch.where(size > 0.0, size * error, 0.0)
        # An exact zero is one, whatever it is divided by: weights of nothing but zeros have no scale.
        return torch.where(off > 0.0, off / left, off) + UNIT * size

    def _mm(self) -> Tensor:
        return self._product(torch.matmul, 0, self._args[0].shape[-1] + 1)

    _bmm = _mv = _dot = _mm

    def _addmm(self) -> Tensor:
        terms = self._args[1].shape[-1] + 2
        bound: Tensor = (
            self._product(torch.matmul, 1, terms)
            + self._error(0)
            + terms * UNIT * _size(self._args[0])
        )
        return bound

    _baddbmm = _addmm

    def _convolution(self) -> Tensor:
        values, weight, bias, *settings = self._args
        transposed, groups = settings[3], settings[5]
        channels = weight.shape[0] // groups if transposed else weight.shape[1]
        terms = channels * math.prod(weight.shape[2:]) + 2

        def convolve(a: Tensor, b: Tensor) -> Tensor:
            sums: Tensor = torch.ops.aten.convolution(a, b, None, *settings)
            return sums

        off = self._product(convolve, 0, terms)
        if bias is not None:
            more = self._error(2) + terms * UNIT * _size(bias)
            off = off + more.reshape(-1, *[1] * (values.dim() - 2))
        return off

    def _softmax(self) -> Tensor:
        dim, value = self._args[1], self._value(0)
        below = (value - value.amax(dim, keepdim=True)).abs()
        error = self._error(0) + 2 * UNIT * below.nan_to_num(nan=math.nan, posinf=0.0)
        most = torch.exp(value + error - torch.logsumexp(value - error, dim, keepdim=True))
        least = torch.exp(value - error - torch.logsumexp(value + error, dim, keepdim=True))
        terms = value.shape[dim] + 8
        bound: Tensor = (
            torch.maximum(most - self._result, self._result - least) + terms * UNIT * most
        )
        return bound

    def _pow(self) -> Tensor:
        if not isinstance(self._args[0], torch.Tensor):  # 2 ** x
            slope = abs(math.log(self._args[0]))
            return self._result.abs() * (torch.expm1(slope * self._error(1)) + FUNCTION)
        base, error, power = _size(self._args[0]), self._error(0), self._args[1]
        ends = [(base + error) ** power, (base - error).clamp(min=0.0) ** power]
        far = torch.maximum(*((end - base**power).abs() for end in ends))
        return far + FUNCTION * self._result.abs()

    def _prelu_kernel(self) -> Tensor:
        slope = self._value(1).abs()
        bound: Tensor = self._error(0) * slope.clamp(min=1.0) + CONSTANT * slope * _size(
            self._args[0]
        )
        return bound

    def _maximum(self) -> Tensor:
        return torch.maximum(self._error(0), self._error(1))

    _minimum = _maximum

    def _amax(self) -> Tensor:
        dim = self._dimension()
        keep = bool(self._dimension(2)) or bool(self._kwargs.get("keepdim"))
        axes = tuple(range(self._args[0].dim())) if dim is None or dim == [] else dim
        return self._error(0).amax(axes, keepdim=keep)

    _amin = _max = _min = _amax

    def _linalg_vector_norm(self) -> Tensor:
        dim, keep = self._dimension(2), bool(self._dimension(3))
        terms = math.ceil(self._args[0].numel() / max(1, self.results[0].numel())) + 4
        norm = torch.linalg.vector_norm(self._error(0), dim=dim, keepdim=keep)
        bound: Tensor = norm + terms * UNIT * self._result
        return bound

    def _atan2(self) -> Tensor:
        """An angle jumps by a whole turn at the negative axis, and is anything at the origin."""
        up, right = self._value(0), self._value(1)
        error, more = self._error(0), self._error(1)
        radius = torch.hypot(up, right)
        off = torch.hypot(error, more) / (radius - torch.hypot(error, more)).clamp(min=0.0)
        jumps = (up.abs() <= error) & (right - more <= 0)
        return torch.where(jumps, 2 * math.pi, off) + FUNCTION * math.pi

    def _native_batch_norm(self) -> Tensor:
        values, weight, bias, mean, variance = self._args[:5]
        eps = self._args[7] if len(self._args) > 7 else self._args[6]
        shape = (-1, *[1] * (values.dim() - 2))
        scale = 1.0 if weight is None else weight.double()
        factor = (scale * (variance.double() + eps) ** -0.5).abs().reshape(shape)
        sizes = factor * (_size(values) + mean.double().abs().reshape(shape))
        added = 0.0 if bias is None else bias.double().abs().reshape(shape)
        bound: Tensor = factor * self._error(0) + CONSTANT * (sizes + added)
        return bound

    _native_batch_norm_legit_no_training = _native_batch_norm

    def _native_layer_norm(self) -> Tensor:
        _, shape, weight, bias, eps = self._args
        axes = tuple(range(-len(shape), 0))
        size = 1.0 if weight is None else weight.double().abs()
        added = 0.0 if bias is None else CONSTANT * bias.double().abs()
        return size * normalised(self._value(0), self._error(0), axes, eps) + added

    def _native_group_norm(self) -> Tensor:
        values, weight, bias, batch, channels, _, groups, eps = self._args
        grouped = (batch, groups, -1)
        each = (channels, *[1] * (values.dim() - 2))
        found = normalised(
            self._value(0).reshape(grouped),
            self._error(0).reshape(grouped),
            (-1,),
            eps,
            # torch sums them so where channels lie together.
            by_squares=not values.is_contiguous(),
        ).reshape(values.shape)
        scale = 1.0 if weight is None else weight.double().abs().reshape(each)
        return (
            found * scale
            + CONSTANT * self._result.abs()
            + (0.0 if bias is None else CONSTANT * bias.double().abs().reshape(each))
        )


def _size(value: Any) -> Tensor:
    return value.double().abs() if isinstance(value, torch.Tensor) else torch.tensor(abs(value))
