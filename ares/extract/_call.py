"""One call of the traced model as a detector sees it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
from brevitas.nn.quant_layer import QuantNonLinearActLayer, QuantWeightBiasInputOutputLayer
from torch import nn

from ares.capture import Node, Output, Ref
from ares.extract._builder import Builder, check_accumulator
from ares.extract._channel_codes import move_channels, one_scale, quantize_by_channel, waiting
from ares.extract._findings import Finding, Status, Unmappable, Unquantised, reject
from ares.extract._quantizers import (
    Quantizer,
    calibration_state,
    is_enabled,
    read_quantizer,
)
from ares.extract._scales import CALIBRATE, ONE_SCALE
from ares.extract._values import (
    ChannelCodes,
    Codes,
    Constant,
    Finish,
    Index,
    Move,
    Real,
    Unknown,
    Value,
)
from ares.extract.constant import quantized_constant
from ares.ir import Tensor
from ares.numerics import (
    RELU,
    NumericsError,
    Pointwise,
    Rescale,
    lookup_table,
    plan_pointwise,
)
from ares.ops import KernelOperation, operations
from ares.ops.requantize import Requantize

# Layers of Brevitas whose quantisers go to `Call.quantize`.
_BY_CHANNEL = (QuantNonLinearActLayer, QuantWeightBiasInputOutputLayer)

# PyTorch takes these keywords for its own (python_arg_parser.cpp); `swapaxes` has the last two.
_SPELLINGS: Mapping[str, tuple[str, ...]] = {
    "input": ("x", "a", "x1"),
    "other": ("x2",),
    "dim": ("axis",),
    "keepdim": ("keepdims",),
    "dim0": ("axis0",),
    "dim1": ("axis1",),
}


@dataclass(frozen=True, slots=True, eq=False)
class Context:
    """What all calls of one extraction share.

    `single` holds the modules of the float32 model, from which weights are read; calls see the float64 copy.
    `outputs` are those of the nodes, by key. `quantizer_calls` counts the calls of every proxy, as the witness does.
    """

    builder: Builder
    single: Mapping[str, nn.Module]
    proxy_paths: Mapping[int, str]
    allow_uncalibrated: bool
    outputs: Mapping[str, tuple[Output, ...]]
    quantizer_calls: dict[str, int] = field(default_factory=dict)
    warnings: list[Finding] = field(default_factory=list)


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """A module call or function of the model, with the values of its arguments.

    `name` is the layer's name in the Graph, `layer_type` its class or the function's name. `args` and `kwargs`
    hold Values in place of tensors.
    """

    context: Context
    node: Node
    name: str
    layer_type: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]

    @property
    def builder(self) -> Builder:
        return self.context.builder

    @property
    def module(self) -> Any:
        """The module of the float64 copy (module calls only)."""
        assert self.node.module is not None
        return self.node.module

    @property
    def single(self) -> Any:
        """The same module of the float32 model."""
        return self.context.single[self.node.path]

    def shape_of(self, position: int, name: str) -> tuple[int, ...]:
        """The shape of a tensor argument."""
        given = self.node.args[position] if len(self.node.args) > position else None
        names = (name, *_SPELLINGS.get(name, ()))
        found = given or next(self.node.kwargs[key] for key in names if key in self.node.kwargs)
        assert isinstance(found, Ref)
        return self.context.outputs[found.node][found.index].shape

    @property
    def out_shape(self) -> tuple[int, ...]:
        return self.node.outputs[0].shape

    def argument(self, position: int, name: str, default: Any = None) -> Any:
        """A positional or keyword argument of the call; numpy's spelling of the keyword counts too."""
        if len(self.args) > position:
            return self.args[position]
        for spelling in (name, *_SPELLINGS.get(name, ())):
            if spelling in self.kwargs:
                return self.kwargs[spelling]
        return default

    @property
    def x(self) -> Value:
        """The first tensor argument."""
        value = self.argument(0, "input")
        if not isinstance(value, Value):
            reject("its first argument is no tensor of the model", "pass the tensor first")
        return value

    def tensor(self, value: Codes) -> Tensor:
        return self.builder.tensors[value.tensor]

    def fault(self, reason: str, suggestion: str) -> Unmappable:
        """A refusal about this layer, for use when its quantiser is met: another layer's turn by then."""
        return Unmappable(reason, suggestion).at(self.name, self.layer_type)

    def codes(self, value: Value, role: str = "its input") -> Codes:
        """`value` as codes; refuses a real value with the advice to quantise it."""
        if isinstance(value, Codes):
            return value
        if isinstance(value, ChannelCodes):
            raise one_scale(self, value, role)
        if isinstance(value, Real):
            raise Unquantised(f"{role} is {value.what}, which is not quantised", value.advice)
        return reject(
            f"{role} is a constant of the model", "quantise it with a QuantIdentity first"
        )

    def quantizer(self, proxy: nn.Module, *, one_is_usual: bool = False) -> Quantizer | None:
        """The numbers of a proxy for this call, None when it does not quantise. Counts the call.

        An untouched quantiser has the threshold 1, which earns a warning unless `one_is_usual` (probabilities).
        """
        if not is_enabled(proxy):
            return None
        if id(proxy) not in self.context.proxy_paths:
            reject(f"it is quantised by a {type(proxy).__name__}", "use Brevitas' own quantisers")
        path = self.context.proxy_paths[id(proxy)]
        call = self.context.quantizer_calls.get(path, 0)
        self.context.quantizer_calls[path] = call + 1
        quantizer = read_quantizer(proxy, self.context.single[path], path, call)
        if quantizer.scales is not None and not isinstance(self.module, _BY_CHANNEL):
            reject(
                f"its quantiser {path} has {len(quantizer.scales.values)} scales, one for each channel",
                ONE_SCALE,
            )
        never, suspicious = calibration_state(
            self.context.single[path], self.context.single.values()
        )
        if never and not self.context.allow_uncalibrated:
            reject(f"its quantiser {path} was never calibrated", CALIBRATE)
        if never or (suspicious and not one_is_usual):
            self.context.warnings.append(
                Finding(
                    self.name,
                    self.layer_type,
                    Status.WARNING,
                    f"its quantiser {path} "
                    + ("was never calibrated" if never else "has the scale of an untouched one"),
                    CALIBRATE,
                )
            )
        return quantizer

    def quantized_input(self) -> Value:
        """The first tensor argument, through the module's own input quantiser where it has one."""
        value = self.x
        if isinstance(value, Unknown):
            return value
        quantizer = self.quantizer(self.module.input_quant)
        if quantizer is None:
            return value
        shape = self.shape_of(0, "input")
        return self.quantize(value, quantizer, name=f"{self.name}.input_quant", shape=shape)

    def quantize(
        self,
        value: Value,
        quantizer: Quantizer,
        *,
        name: str | None = None,
        shape: tuple[int, ...] | None = None,
    ) -> Codes | ChannelCodes:
        """The codes that `quantizer` makes of a value. Codes on another grid go through a table.

        `shape` is the value's, where it is not the call's own.
        """
        if quantizer.scales is not None:
            return quantize_by_channel(self, value, quantizer, name, shape or self.out_shape)
        if isinstance(value, Codes):
            tensor = self._requantized(value, quantizer, name)
        elif isinstance(value, ChannelCodes):
            tensor = waiting(self, value, Requantize, name).quantized(quantizer)
        elif isinstance(value, Real):
            tensor = value.quantized(quantizer)
        elif isinstance(value, Constant):
            tensor = quantized_constant(self, value, quantizer)
        else:
            raise TypeError(f"nothing to quantise in a {type(value).__name__}")
        self.builder.add_origin(tensor, quantizer.origin)
        return Codes(tensor)

    def _requantized(self, value: Codes, quantizer: Quantizer, name: str | None) -> str:
        source = self.tensor(value)
        operation = operations()["relu" if quantizer.function is RELU else "requantize"]
        if quantizer.leaves(source) and quantizer.keeps(source):
            return value.tensor
        table = lookup_table(quantizer.function, source, quantizer.tensor())
        return self.add(operation, (value.tensor,), quantizer, name=name, table=table)

    def add(
        self,
        operation: type[KernelOperation],
        inputs: tuple[str, ...],
        like: Quantizer | Tensor | None,
        *,
        name: str | None = None,
        **parameters: Any,
    ) -> str:
        """Add an operation named after this call (or `name`); returns its output's name."""
        try:
            return self.builder.add(operation, name or self.name, inputs, like, **parameters)
        except Unmappable as error:
            raise error.at(self.name, self.layer_type) from None

    def rescale(
        self, quantizer: Quantizer, ratios: list[Fraction], biases: list[Fraction], bound: int
    ) -> Rescale:
        """Constants for quantise(pointwise(acc * ratio + bias)); ratio and bias are real values."""
        try:
            check_accumulator(bound)
            return plan_pointwise(quantizer.pointwise, ratios, biases, quantizer.tensor(), bound)
        except Unmappable as error:
            raise error.at(self.name, self.layer_type) from None
        except NumericsError as error:
            raise self.fault(str(error), "check the scales around this layer") from None

    def real(
        self,
        finish: Finish,
        *,
        what: str = "",
        shape: tuple[int, ...] | None = None,
        axes: Sequence[int] | None = None,
        expose: Callable[[Pointwise], str] | None = None,
        advice: str = "insert a QuantIdentity before it",
    ) -> Real:
        """What this call computes, waiting for its quantiser; `shape` where it is not the call's own."""
        return Real(
            what or f"the real output of {self.name} ({self.layer_type})",
            self.name,
            self.out_shape if shape is None else shape,
            finish,
            None if axes is None else tuple(axes),
            expose=expose,
            advice=advice,
        )

    def move(
        self,
        emit: Callable[[str], str],
        back: Callable[[Index], Index | None],
        *,
        takes_maximum: bool = False,
        adds_zeros: bool = False,
    ) -> Value:
        """A move of the first argument's codes: now when they exist, later when they wait for their quantiser."""
        value = self.x
        if isinstance(value, Codes):
            return Codes(emit(value.tensor))
        if isinstance(value, ChannelCodes):
            return move_channels(self, value, emit(value.tensor), back)
        if isinstance(value, Real):
            return value.moved(Move(emit, back, takes_maximum, adds_zeros))
        if isinstance(value, Unknown):
            return value
        return reject(
            "it moves a constant of the model", "store the constant in the shape you need"
        )


def fractions(values: npt.ArrayLike) -> list[Fraction]:
    """Exact rationals of float64 values."""
    return [Fraction(float(value)) for value in np.asarray(values, dtype=np.float64).reshape(-1)]
