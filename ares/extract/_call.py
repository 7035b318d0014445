"""One call that the model made, as a detector sees it: what was called, with what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from ares.capture import Node, Output, Ref
from ares.extract._builder import Builder
from ares.extract._findings import Finding, Unmappable, reject
from ares.extract._quantizers import Quantizer
from ares.extract._values import Codes, Real, Value
from ares.ir import Tensor
from ares.ops import KernelOperation

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
    _rescaled: dict[str, str] = field(default_factory=dict)

    def rescaled(self, value: Real) -> str | None:
        """The tensor of the codes that a real value is as it stands, None where it is none; made once an event."""
        if value.event in self._rescaled:
            return self._rescaled[value.event]
        tensor = value.rescaled()
        if tensor is not None and value.event:
            self.builder.add_origin(tensor, value.event)
            self._rescaled[value.event] = tensor
        return tensor


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

    @property
    def out_shape(self) -> tuple[int, ...]:
        return self.node.outputs[0].shape

    def shape_of(self, name: str, position: int) -> tuple[int, ...]:
        """The shape of a tensor argument."""
        given = self.node.args[position] if len(self.node.args) > position else None
        names = (name, *_SPELLINGS.get(name, ()))
        found = given or next(self.node.kwargs[key] for key in names if key in self.node.kwargs)
        assert isinstance(found, Ref)
        return self.context.outputs[found.node][found.index].shape

    def argument(self, name: str, position: int, default: Any = None) -> Any:
        """A positional or keyword argument of the call; numpy's spelling of the keyword counts too."""
        if len(self.args) > position:
            return self.args[position]
        for spelling in (name, *_SPELLINGS.get(name, ())):
            if spelling in self.kwargs:
                return self.kwargs[spelling]
        return default

    def setting(self, name: str, position: int, default: Any = None) -> Any:
        """What a module holds as attribute `name` and its function takes as an argument; the function's default."""
        if self.node.module is not None:
            return getattr(self.module, name)
        return self.argument(name, position, default)

    @property
    def x(self) -> Value:
        """The first tensor argument."""
        value = self.argument("input", 0)
        if not isinstance(value, Value):
            reject("its first argument is no tensor of the model", "pass the tensor first")
        return value

    def tensor(self, value: Codes) -> Tensor:
        return self.builder.tensors[value.tensor]

    def add(
        self,
        operation: type[KernelOperation],
        inputs: tuple[str, ...],
        like: Quantizer | Tensor | None,
        *,
        name: str | None = None,
        **parameters: Any,
    ) -> str:
        """Add an operation named after this call (or `name`) to the Graph; returns its output's name."""
        try:
            return self.builder.add(operation, name or self.name, inputs, like, **parameters)
        except Unmappable as error:
            raise error.at(self.name, self.layer_type) from None

    def fault(self, reason: str, suggestion: str) -> Unmappable:
        """A refusal about this layer, for use when its quantiser is met: another layer's turn by then."""
        return Unmappable(reason, suggestion).at(self.name, self.layer_type)
