"""Nodes and problems as they come, and the provenance of every tensor.

Provenance is by object: id of a tensor (of a QuantTensor: of its `.value`) -> the output it is. Every
tensor met is kept alive until the end, else ids would be reused. A tensor that is not found is a
parameter, buffer or QuantTensor scale, or its origin is unknown.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import FrameType
from typing import Any, Literal

import torch
from brevitas.quant_tensor import QuantTensor
from torch import nn

from ares.capture.dataflow import Dataflow, Node, Output, Problem, Ref, flatten, problem
from ares.capture.functions import SET_DATA
from ares.capture.leaves import Owned
from ares.capture.result import dataflow

_STALE = -1  # no tensor has this version


@dataclass(frozen=True, slots=True, eq=False)
class _Place:
    """A tensor, the output it is, and its version when it was recorded."""

    tensor: torch.Tensor
    ref: Ref
    version: int


@dataclass(frozen=True, slots=True, eq=False)
class PendingCall:
    """What is known of a recorded call before it runs."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    scopes: tuple[str, ...]
    refs: tuple[Ref, ...]
    stale: tuple[Ref, ...]
    tensors: tuple[tuple[torch.Tensor, int], ...]
    random_state: torch.Tensor

    @property
    def scope(self) -> str:
        return (self.scopes or ("",))[-1]


class Recorder:
    """Collects a forward pass: `begin` and `end` around each call, then `finish`."""

    def __init__(
        self,
        owned: dict[int, Owned],
        on_output: Callable[[str, int, torch.Tensor], None] | None,
    ) -> None:
        self.calling_back = False
        self._on_output = on_output
        self._owned = owned
        self._nodes: dict[str, Node] = {}
        self._places: dict[int, _Place] = {}
        self._quantized: set[Ref] = set()
        self._from_data: set[str] = set()  # keys of what depends on inputs or random numbers
        self._counts: Counter[str] = Counter()
        self._problems: list[Problem] = []
        self._problems_if_live: list[Problem] = []

    def add_input(self, tensor: torch.Tensor) -> None:
        key = f"input:{self._counts['input']}"
        self._counts["input"] += 1
        self._from_data.add(key)
        self._add(_node("input", key, ()), (tensor,))

    def begin(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], scopes: tuple[str, ...]
    ) -> PendingCall:
        """Look up the arguments before the call can change them."""
        refs: list[Ref] = []
        stale: list[Ref] = []

        def convert(value: Any) -> Any:
            if isinstance(value, torch.Tensor | QuantTensor):
                place = self._place(value, scopes)
                refs.append(place.ref)
                if _version(place.tensor) != place.version:
                    stale.append(place.ref)
                return place.ref
            if isinstance(value, slice):
                return slice(*map(convert, (value.start, value.stop, value.step)))
            if isinstance(value, Mapping):
                return {key: convert(item) for key, item in value.items()}
            if isinstance(value, list):
                return list(map(convert, value))
            if isinstance(value, tuple) and not isinstance(value, torch.Size):
                return tuple(map(convert, value))
            return value

        converted = convert(args), convert(kwargs)
        tensors = tuple(
            (value, _version(value)) for value in map(_value, tensors_in((args, kwargs)))
        )
        state = torch.get_rng_state()
        return PendingCall(*converted, scopes, tuple(refs), tuple(stale), tensors, state)

    def end(
        self,
        kind: Literal["module", "function"],
        call: PendingCall,
        name: str,
        module: nn.Module | None,
        result: object,
    ) -> str:
        """Record a call that returned; `name` is the module's path or the function's name."""
        data = any(ref.node in self._from_data for ref in call.refs)
        results = tensors_in(result)
        random = call.kwargs.get("generator") is not None or not torch.equal(
            call.random_state, torch.get_rng_state()
        )
        stem = name if kind == "module" else f"{call.scope}:{name}"
        stem += "~" if kind == "function" and not data and called_by_brevitas() else "#"
        key = f"{stem}{self._counts[stem]}"
        self._counts[stem] += 1
        if data or random:
            self._from_data.add(key)
        if random:
            # What nothing uses does no harm: a layer made in forward draws its first weights.
            message = f"{name!r} draws random numbers"
            self._problems_if_live.append(problem("random", key, call.scope, message))
        for ref in dict.fromkeys(call.stale):
            message = f"{ref.node} is used after it was changed in place through another tensor"
            self._problems_if_live.append(problem("inplace_view", key, call.scope, message))
        changed = [value for value, version in call.tensors if _version(value) != version]
        for value in changed:
            self._forget_aliases(value)
        for value in [*changed, *(value for value, _ in call.tensors[:1] if name == SET_DATA)]:
            self._report_state(value, key, call.scope)
        if data:
            self._report_precision(key, call.scope, [_value(item).dtype for item in results])
        is_constant = kind == "function" and not data and not random and len(results) == 1
        tensor = _value(results[0]).detach() if is_constant else None
        given = call.args, call.kwargs
        self._add(_node(kind, key, call.scopes, name, module, given, tensor), results)
        return key

    def report(self, kind: str, node: str | None, where: str, message: str) -> None:
        self._problems.append(problem(kind, node, where, message))

    def report_data_dependent(self, call: PendingCall, node: str | None, message: str) -> None:
        """A fault if the call's arguments depend on the inputs; `node` is the call's, if it has one."""
        sources = [ref.node for ref in call.refs if ref.node in self._from_data]
        for source in sources[:1]:
            message = f"{message} of {source}"
            self.report("data_dependent", node or source, call.scope, message)

    def finish(self, result: object) -> Dataflow:
        """The graph that computes `result`."""
        outputs: list[tuple[str, Ref]] = []
        for name, item in flatten(result):
            if isinstance(item, torch.Tensor | QuantTensor):
                place = self._place(item, ())
                outputs.append((name or "0", place.ref))
                if _version(place.tensor) != place.version:
                    message = f"output {name or '0'!r} was changed in place through another tensor"
                    self.report("inplace_view", place.ref.node, "", message)
            elif not isinstance(item, str | int | float | type(None)):
                message = f"forward returns a {type(item).__name__}"
                self.report("unsupported_output", None, "", message)
        if not outputs:
            self.report("unsupported_output", None, "", "forward returns no tensor")
        return dataflow(
            {key: self._with_quantized(node) for key, node in self._nodes.items()},
            outputs,
            {f"constant:{owned.name}": owned for owned in self._owned.values()},
            self._problems,
            self._problems_if_live,
        )

    def _add(self, node: Node, results: Sequence[Any]) -> None:
        outputs = []
        for index, result in enumerate(results):
            value = _value(result)
            ref = Ref(node.key, index)
            self._places[id(value)] = _Place(value, ref, _version(value))
            outputs.append(Output(tuple(value.shape), value.dtype, False))
            if isinstance(result, QuantTensor):
                self._quantized.add(ref)
                self._own_fields(result, ref)
            if self._on_output is not None and node.kind != "constant":
                self.calling_back = True
                self._on_output(node.key, index, value)
                self.calling_back = False
        self._nodes[node.key] = replace(node, outputs=tuple(outputs))

    def _own_fields(self, quantized: Any, ref: Ref) -> None:
        """Scale, zero point and so on of a QuantTensor are constants, named after its producer."""
        producer = ref.node if ref.index == 0 else f"{ref.node}[{ref.index}]"
        for field in quantized._fields:
            tensor = getattr(quantized, field)
            if isinstance(tensor, torch.Tensor):
                owned = Owned(tensor, f"{producer}.{field}", "", None, "")
                self._owned.setdefault(id(tensor), owned)

    def _place(self, item: Any, scopes: tuple[str, ...]) -> _Place:
        value = _value(item)
        if id(value) not in self._places:
            if id(value) not in self._owned:
                name = f"unknown#{self._counts['unknown']}"
                self._counts["unknown"] += 1
                self._from_data.add(f"constant:{name}")
                flaw = "a tensor that no recorded operation computed"
                if isinstance(value, nn.Parameter):
                    flaw = "a parameter that no module registers"
                self._owned[id(value)] = Owned(value, name, "", None, flaw)
            owned = self._owned[id(value)]
            key = f"constant:{owned.name}"
            node = _node("constant", key, scopes, owned.path, tensor=value.detach())
            self._add(node, (value,))
        place = self._places[id(value)]
        if isinstance(item, QuantTensor):
            self._quantized.add(place.ref)
        return place

    def _report_precision(self, key: str, scope: str, dtypes: Sequence[torch.dtype]) -> None:
        """What has fewer digits than float32, or may have them inside: autocast works within layers, too."""
        if torch.is_autocast_enabled("cpu"):
            kind = str(torch.get_autocast_dtype("cpu")).removeprefix("torch.")
            message = f"{key} runs under torch.autocast ({kind})"
            self._problems_if_live.append(problem("autocast", key, scope, message))
            return
        for dtype in dtypes:
            if dtype.is_floating_point and dtype.itemsize < torch.float32.itemsize:
                kind = str(dtype).removeprefix("torch.")
                message = f"{key} computes in {kind}"
                self._problems_if_live.append(problem("reduced_precision", key, scope, message))

    def _forget_aliases(self, value: torch.Tensor) -> None:
        """A call wrote into `value`: what else lies in the same memory is no longer its node."""
        for place in list(self._places.values()):
            if place.tensor is not value and _share_memory(place.tensor, value):
                self._places[id(place.tensor)] = replace(place, version=_STALE)

    def _report_state(self, value: torch.Tensor, key: str, scope: str) -> None:
        for owned in self._owned.values():
            if owned.path and (owned.tensor is value or _share_memory(owned.tensor, value)):
                self.report("inplace_state", key, scope, f"{key} writes into {owned.path!r}")

    def _with_quantized(self, node: Node) -> Node:
        # QuantTensor arithmetic makes its QuantTensor after the node: users of it told us
        outputs = list(node.outputs)
        found = [i for i in range(len(outputs)) if Ref(node.key, i) in self._quantized]
        for index in found:
            outputs[index] = replace(outputs[index], quantized=True)
        return replace(node, outputs=tuple(outputs)) if found else node


def _node(
    kind: Literal["input", "module", "function", "constant"],
    key: str,
    scopes: tuple[str, ...],
    name: str = "",
    module: nn.Module | None = None,
    given: tuple[tuple[Any, ...], dict[str, Any]] = ((), {}),
    tensor: torch.Tensor | None = None,
) -> Node:
    """`given`: positional and keyword arguments. The outputs are added later."""
    scope = name if kind == "module" else (scopes or ("",))[-1]
    path, function = ("", name) if kind == "function" else (name, "")
    return Node(key, kind, scope, scopes, module, path, function, *given, (), tensor)


def tensors_in(value: Any) -> tuple[Any, ...]:
    """The Tensors and QuantTensors of a nested value, in order."""
    return tuple(i for _, i in flatten(value) if isinstance(i, torch.Tensor | QuantTensor))


def called_by_brevitas() -> bool:
    """Whether the function being recorded was called in Brevitas' code, not the model's."""
    frame = sys._getframe(1)
    while frame.f_back and f"{_module_of(frame)}.".startswith(("torch.", "ares.capture.")):
        frame = frame.f_back
    return _module_of(frame).startswith("brevitas.")


def _module_of(frame: FrameType) -> str:
    """Where a frame's code is from, "" for what has no module: the forward that torch.fx generates."""
    return str(frame.f_globals.get("__name__", ""))


def _value(item: Any) -> torch.Tensor:
    value: torch.Tensor = item.value if isinstance(item, QuantTensor) else item
    return value


def _version(tensor: torch.Tensor) -> int:
    return 0 if tensor.is_inference() else tensor._version


def _share_memory(a: torch.Tensor, b: torch.Tensor) -> bool:
    if a.layout != torch.strided or b.layout != torch.strided:
        return False
    return a.untyped_storage().data_ptr() == b.untyped_storage().data_ptr() != 0
