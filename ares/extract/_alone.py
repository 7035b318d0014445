"""What is wrong with a call in itself, where nothing is known of what comes into it.

The call's detector is tried on stand-ins for its unknown arguments, once on codes and once on real values: what is
refused either way is refused whatever the neighbours become. Nothing of a trial reaches the Graph.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from ares.capture import Output, Ref
from ares.extract._builder import Builder
from ares.extract._call import Call
from ares.extract._findings import Finding, Unmappable, Unquantised
from ares.extract._quantizers import Quantizer
from ares.extract._registry import Detector
from ares.extract._values import Codes, Real, Value
from ares.ir import DType, GraphError, Tensor
from ares.numerics import NumericsError

Arguments = tuple[tuple[Any, ...], Mapping[str, Any]]
StandIn = Callable[[Ref], Value]
Resolve = Callable[[StandIn], Arguments]
"""The arguments of the call, with what a function makes of the reference in place of each that is unknown."""


@dataclass(frozen=True, slots=True)
class Alone:
    """`error`: what has to be changed at the layer itself, None where nothing can be said.

    `warnings` are those of its quantisers.
    """

    error: Unmappable | None
    warnings: tuple[Finding, ...]


def judge_alone(call: Call, detector: Detector, resolve: Resolve) -> Alone:
    """Try the call on codes and on real values; see the module."""
    of_codes, warnings = _try(call, detector, resolve, _codes)
    of_reals, more = _try(call, detector, resolve, _real)
    found = tuple(dict.fromkeys((*warnings, *more)))
    if of_codes is None or of_reals is None or of_codes.layer:
        return Alone(None, found)
    # Where real values are refused as such, codes have to come, and what is said about those holds.
    holds = isinstance(of_reals, Unquantised) or of_reals.reason == of_codes.reason
    return Alone(of_codes if holds else None, found)


def resolved(value: Any, known: Callable[[Ref], Value]) -> Any:
    """A node's arguments with Values in place of Refs."""
    if isinstance(value, Ref):
        return known(value)
    if isinstance(value, torch.Size):
        return tuple(value)
    if isinstance(value, (tuple, list)) and type(value) in (tuple, list):
        return type(value)(resolved(item, known) for item in value)
    if isinstance(value, Mapping):
        return {key: resolved(item, known) for key, item in value.items()}
    return value


def _try(
    call: Call,
    detector: Detector,
    resolve: Resolve,
    stand_in: Callable[[Builder, Ref, Output], Value],
) -> tuple[Unmappable | None, list[Finding]]:
    """What the detector refuses, and the warnings that it gave by then."""
    builder = copy.copy(call.builder)
    builder.tensors, builder.operations = dict(builder.tensors), []
    context = replace(
        call.context,
        builder=builder,
        quantizer_calls=dict(call.context.quantizer_calls),
        warnings=[],
    )
    args, kwargs = resolve(lambda ref: stand_in(builder, ref, context.outputs[ref.node][ref.index]))
    try:
        detector(replace(call, context=context, args=args, kwargs=kwargs))
    except Unmappable as error:
        return error, context.warnings
    except (GraphError, NumericsError):
        pass  # about numbers, which are not those of the model
    return None, context.warnings


def _codes(builder: Builder, ref: Ref, output: Output) -> Value:
    """Codes too small for any sum to overflow; ids where the model has integers."""
    name = builder.unique(f"{ref.node}@{ref.index}")
    dtype = DType.S8 if output.dtype.is_floating_point else DType.S32
    builder.tensors[name] = Tensor(name, output.shape, dtype, 1.0, 0, 0, 1)
    return Codes(name)


def _real(builder: Builder, ref: Ref, output: Output) -> Value:
    if not output.dtype.is_floating_point:
        return _codes(builder, ref, output)

    def finish(quantizer: Quantizer) -> str:
        name = builder.unique(f"{ref.node}@{ref.index}")
        builder.tensors[name] = quantizer.tensor(name, output.shape)
        return name

    axes = tuple(range(len(output.shape)))
    return Real("a value", ref.node, output.shape, finish, axes)
