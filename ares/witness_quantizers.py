"""What a Brevitas quantiser means, read from the model itself for the torch witness.

Which codes it has, and of which reals; what the weights of a layer are, in codes. Shares no code with the extractor,
which reads the same quantisers in its own way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from brevitas.proxy.runtime_quant import ActQuantProxyFromInjectorBase
from torch import nn
from torch.utils.hooks import RemovableHandle

from ares.ir import Graph, Tensor

Array = npt.NDArray[Any]


def hook_quantizers(
    modules: Iterable[tuple[str, nn.Module]],
    at_call: Callable[[str, Any, Any, Any], Any],
    before: Callable[[Any, Any], None] | None = None,
) -> list[RemovableHandle]:
    """Have `at_call(path of the proxy, quantiser, arguments, output)` called, and its result used, at every quantiser.

    `before(quantiser, arguments)` is called before each of them. `modules`: all of a model, each by one path.

    Several proxies may share one quantiser (Brevitas' graph mode, in front of a concatenation): the proxy that is
    running says whose call it is.
    """
    running: list[str] = []
    handles: list[RemovableHandle] = []
    hooked: set[int] = set()

    def enter(path: str, *_: Any) -> None:
        running.append(path)

    def leave(*_: Any) -> None:
        running.pop()

    def at_quantizer(module: Any, arguments: Any, output: Any) -> Any:
        return at_call(running[-1], module, arguments, output)

    for path, proxy in modules:
        # What it has first: of what is none of Brevitas' proxies their classes take long to say so.
        if "fused_activation_quant_proxy" not in proxy._modules:
            continue
        if not isinstance(proxy, ActQuantProxyFromInjectorBase) or not proxy.is_quant_enabled:
            continue
        handles.append(proxy.register_forward_pre_hook(partial(enter, path)))
        handles.append(proxy.register_forward_hook(leave, always_call=True))
        quant: Any = proxy.fused_activation_quant_proxy.tensor_quant
        if id(quant) not in hooked:
            hooked.add(id(quant))
            if before is not None:
                handles.append(quant.register_forward_pre_hook(before))
            handles.append(quant.register_forward_hook(at_quantizer))
    return handles


def step_edges(tensor_quant: Any) -> tuple[float, ...] | None:
    """Where a quantiser that steps goes from one code to the next, in codes; None for one that rounds."""
    kind = type(tensor_quant).__name__
    if kind in ("BinaryQuant", "ClampedBinaryQuant"):
        return (0.0,)
    if kind == "TernaryQuant":
        return (-float(tensor_quant.threshold), float(tensor_quant.threshold))
    return None


def outside(golden: Array, real: Array, edges: tuple[float, ...]) -> Array:
    """How far `real` lies outside of the interval that its code stands for, in codes; infinite for no code."""
    codes = (-1.0, 1.0) if len(edges) == 1 else (-1.0, 0.0, 1.0)
    limits = np.array([-np.inf, *edges, np.inf])
    place = np.searchsorted(codes, golden).clip(0, len(codes) - 1)
    distance = np.maximum(limits[place] - real, real - limits[place + 1])
    return np.where(np.isin(golden, codes), distance, np.inf)


def code_range(tensor_quant: Any, bits: int) -> tuple[int, int]:
    """Smallest and largest code, from the quantiser's own flags."""
    integer = getattr(tensor_quant, "int_quant", None) or tensor_quant.decoupled_int_quant
    signed, narrow = bool(integer.signed), bool(integer.narrow_range)
    if signed:
        return -(1 << (bits - 1)) + narrow, (1 << (bits - 1)) - 1
    return 0, (1 << bits) - 1 - narrow


@dataclass(frozen=True, slots=True, eq=False)
class QuantizedWeight:
    """What a weight quantiser of the float32 model returns for one layer, and what it rounds.

    The weight is `codes` * |`scale`|: a zero point is taken off. `exact` is the same before it was made whole, `real`
    what the codes were rounded from, which they may be `width` away from.
    """

    codes: torch.Tensor
    scale: torch.Tensor
    exact: Array
    real: Array
    width: float

    def distance(self, golden: Array) -> Array:
        """How far codes are from what the weight means; infinite for others than those that the layer computes with."""
        rounded = np.abs(golden - self.real) - self.width
        multiple = np.abs(golden - self.exact)
        return np.where(golden == self.codes.numpy(), np.maximum(rounded, multiple), np.inf)


def quantized_weight(layer: Any, given: tuple[Any, ...]) -> QuantizedWeight:
    """The weight of a layer of the float32 model; `given` is what its quantiser is handed besides the weight."""
    quant = layer.weight_quant.tensor_quant
    with torch.no_grad():
        value, scale, zero_point, bits, *decoupled = quant(layer.weight, *given)
        value, weight = value.double(), layer.weight.detach().double()
        scale, zero_point = scale.double(), zero_point.double()
        exact = value / scale.abs()
        integer = getattr(quant, "int_quant", None) or getattr(quant, "decoupled_int_quant", None)
        if integer is not None:
            step, start = (part.double() for part in decoupled or (scale, zero_point))
            lo, hi = code_range(quant, int(bits))
            real = (torch.clamp(weight / step + start, lo, hi) - zero_point) * scale.sign()
            width = 0.5 if type(integer.float_to_int_impl).__name__ == "RoundSte" else 1.0
        elif step_edges(quant) is not None:
            real, width = torch.clamp(weight / scale, -1.0, 1.0), 1.0
        else:
            real, width = exact, 0.0
    return QuantizedWeight(torch.round(exact), scale, exact.numpy(), real.numpy(), width)


def replace_weight(substitutes: Mapping[int, QuantizedWeight]) -> Callable[..., Any]:
    """A hook for a weight quantiser of the float64 copy: the weights that stand in, by where the copy's own lie."""

    def hook(_module: nn.Module, arguments: Any, output: Any) -> Any:
        weight = substitutes.get(arguments[0].data_ptr())
        if weight is None:
            return None
        value = weight.codes * weight.scale.abs()
        return (value, weight.scale.reshape(output[1].shape), *output[2:])

    return hook


def given_besides_weights(
    model: nn.Module, graph: Graph, layers: Mapping[str, Any]
) -> Mapping[str, tuple[Any, ...]]:
    """What quantisers that depend on their layer's input (A2Q: its bit width and sign) are handed, by path.

    Seen in a forward pass of zeros: neither depends on the values. Of several calls the last is remembered: codes that
    are not those of the others are not accepted there.
    """
    found: dict[str, tuple[Any, ...]] = {}
    handles = []
    for path, layer in layers.items():
        if layer.weight_quant.requires_quant_input:
            hook = partial(_note_arguments, found, path)
            handles.append(layer.weight_quant.tensor_quant.register_forward_pre_hook(hook))
    if not handles:
        return {}
    zeros = [
        torch.zeros(tensor.shape, dtype=torch.int64 if tensor.dtype.is_integer else torch.float32)
        for tensor in map(graph.tensor, graph.inputs)
    ]
    try:
        with torch.no_grad():
            model(*zeros)
    finally:
        for handle in handles:
            handle.remove()
    return found


def _note_arguments(
    found: dict[str, tuple[Any, ...]], path: str, _module: nn.Module, arguments: tuple[Any, ...]
) -> None:
    found[path] = arguments[1:]


@dataclass(frozen=True, slots=True)
class BatchOrder:
    """The order in which the model has the axes of a tensor at an event, () where it is the Graph's.

    Without 0 the batch is one axis there with axis 1, which has the size `following`.
    """

    order: tuple[int, ...] = ()
    following: int = 1

    @staticmethod
    def of(tensor: Tensor, event: str) -> BatchOrder:
        for origin in tensor.origins:
            if origin.startswith("axes ") and origin.endswith(f":{event}"):
                numbers = origin.removeprefix("axes ").removesuffix(f":{event}")
                return BatchOrder(tuple(map(int, numbers.split(","))), tensor.shape[1])
        return BatchOrder()

    def to_graph(self, value: torch.Tensor) -> torch.Tensor:
        if any(getattr(value, "names", ())):
            named: Any = value  # Brevitas 0.12 names the axes of what its attention quantises
            value = named.rename(None)
        if not self.order:
            return value
        sorted_axes = value.permute([self.order.index(axis) for axis in sorted(self.order)])
        if 0 in self.order:
            return sorted_axes
        return sorted_axes.reshape(-1, self.following, *sorted_axes.shape[1:])

    def to_model(self, value: torch.Tensor) -> torch.Tensor:
        if not self.order:
            return value
        if 0 in self.order:
            return value.permute(self.order)
        return value.flatten(0, 1).permute([axis - 1 for axis in self.order])


def graph_weights(
    graph: Graph, layers: Mapping[str, Any]
) -> Mapping[str, Sequence[tuple[str, Array]]]:
    """Path of a layer of the model -> (tensor, weight codes) of the operations that have weights, parts of them too.

    An operation with some of a layer's rows is named after the layer and the part: `attention.in_proj.q`.
    """
    table: dict[str, list[tuple[str, Array]]] = {}
    for operation in graph.operations:
        weight = getattr(operation, "weight", None)
        if weight is not None:
            whole = operation.path.rpartition(".")[0]
            path = whole if operation.path not in layers and whole in layers else operation.path
            table.setdefault(path, []).append((operation.outputs[0], weight))
    return table


def whole_weights(found: Sequence[tuple[str, Array]], size: int) -> Iterator[tuple[str, Array]]:
    """The weights of a layer, each put together of its rows; `size` is a whole one's."""
    rows: list[tuple[str, Array]] = []
    for name, codes in found:
        rows.append((name, codes))
        if sum(part.size for _, part in rows) >= size:
            yield (
                rows[0][0],
                codes if len(rows) == 1 else np.concatenate([part for _, part in rows]),
            )
            rows = []
    if rows:
        yield rows[0][0], rows[0][1]  # which has another shape than the layer's weight
