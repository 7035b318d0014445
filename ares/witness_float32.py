"""The float32 model as people run it against the exact integers: every code that differs is followed to where it began.

Nothing is corrected in that run, so a code on the other side of a tie in one layer changes others behind it. A *first
cause* is an element that differs although all that reaches it agrees. Which elements differing codes reach is asked of
the model itself: a second float32 pass is given the exact codes at every quantiser, and not-a-number where the run
differs; what arrives as a number was computed from codes that agree, and is to the bit what the run computed. There

    distance = |code - clamp(r)| - 0.5, the larger one of float32's code and the exact code

says how far the float64 model's value r, on the same exact codes, lies from the tie between the two. It must be within
what float32 may round on the way from those codes (`ares.witness_rounding`) and what the witness allows the integers;
else the difference is unexplained: the integers, or the run, are not what the model means. By induction over the layers
every other difference is a consequence of explained ones. Real outputs are judged likewise, where no difference reaches
them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from ares.capture import CaptureError, capture, faithful_copy
from ares.capture.walks import all_names, first_names
from ares.ir import Graph, Tensor
from ares.witness import Witness, WitnessError, as_real, by_origin, tensor_codes, unit_of
from ares.witness_bounds import CONSTANT, UNIT
from ares.witness_partings import Float32Run, Parting, merged
from ares.witness_quantizers import BatchOrder, code_range, hook_quantizers, outside, step_edges
from ares.witness_rounding import Rounding

Array = npt.NDArray[Any]


AtQuantizer = Callable[[str, Any, tuple[torch.Tensor, ...], tuple[torch.Tensor, ...]], Any]
"""Of `path#call`, the quantiser, its arguments and its output; what it returns is used in place of the output."""
AtNode = Callable[[str, torch.Tensor], None]
"""Of a tensor of the Graph, and the value that the model shows for it."""


def watch(
    model: nn.Module,
    graph: Graph,
    inputs: Sequence[Array],
    quantizer: AtQuantizer,
    node: AtNode,
    before: Callable[[], None] = lambda: None,
) -> None:
    """One forward pass in the type of the model; raises WitnessError where it fails.

    `before` is called when a quantiser begins, which `quantizer` is told of at its end.
    """
    nodes = by_origin(graph, "node:")
    calls: dict[str, int] = {}

    def at_quantizer(path: str, module: Any, arguments: Any, output: Any) -> Any:
        if arguments[0].dim() == 0:
            return None  # `proxy.scale()` runs the quantiser on a scalar zero
        number = calls.get(path, 0)
        calls[path] = number + 1
        return quantizer(f"{path}#{number}", module, arguments, output)

    def at_begin(_module: Any, arguments: Any) -> None:
        if arguments[0].dim():
            before()

    def at_node(key: str, index: int, value: torch.Tensor) -> None:
        for name in nodes.get(f"{key}@{index}" if index else key, ()):
            node(name, value.detach())

    # It is of one type.
    real = (x.dtype for x in model.parameters() if x.is_floating_point())
    dtype = next(real, torch.float32)
    handles = hook_quantizers(first_names(all_names(model)), at_quantizer, at_begin)
    try:
        given = [as_real(array, dtype) for array in inputs]
        capture(model, given, on_output=at_node)
    except CaptureError as error:
        # What a hook raises comes back as the forward pass having failed.
        if isinstance(error.__cause__, WitnessError):
            raise error.__cause__ from None
        raise WitnessError(f"{graph.name}: {error}") from error
    finally:
        for handle in handles:
            handle.remove()


def free_running(
    model: nn.Module, graph: Graph, inputs: Sequence[Array], names: Sequence[str]
) -> Mapping[str, Array]:
    """What the float64 copy of a model computes for some tensors, as `run_alone`; raises WitnessError for others."""
    found = run_alone(faithful_copy(model).double(), graph, inputs)
    missing = [name for name in names if name not in found]
    if missing:
        raise WitnessError(f"{graph.name}: nothing in the model shows {missing[0]}")
    return {name: found[name] for name in names}


def run_alone(model: nn.Module, graph: Graph, inputs: Sequence[Array]) -> Mapping[str, Array]:
    """What the model itself computes, in its own type, with no golden code handed to it: every tensor that it shows.

    Codes (float64 integers) of tensors of codes, real values of others. Several cases may be stacked along the batch
    axis.
    """
    quantizers = by_origin(graph, "quantizer:")
    found: dict[str, Array] = {}
    scales: dict[str, Array] = {}

    def at_quantizer(key: str, _module: Any, _arguments: Any, output: Any) -> None:
        value, scale, zero_point, _ = output
        scales[key] = scale.double().numpy()
        codes = torch.round(value / scale + zero_point).double()
        for name in quantizers.get(key, ()):
            order = BatchOrder.of(graph.tensor(name), f"quantizer:{key}")
            found[name] = order.to_graph(codes).numpy()

    def at_node(name: str, value: torch.Tensor) -> None:
        if name not in found:
            found[name] = _shown(graph.tensor(name), value.double().numpy(), scales)

    watch(model, graph, inputs, at_quantizer, at_node)
    return found


def explain(
    witness: Witness,
    model: nn.Module,
    inputs: Sequence[Array],
    tensors: Mapping[str, Array],
    last: Sequence[str],
) -> Float32Run:
    """The float32 `model` against the exact `tensors`, of which `last` are the last codes before the outputs.

    Several cases may be stacked along the batch axis. Raises WitnessError where the model cannot be run.
    """
    return _Explaining(witness, model, inputs, tensors).run(last)


@dataclass(frozen=True, slots=True, eq=False)
class _Places:
    """Elements of one tensor at an event of the forced float32 pass, where no difference reaches them but they differ.

    `bound`: what float32 may be off there, in codes (absolute for real outputs). `own`: what float32 makes of exact
    codes.
    """

    tensor: str
    key: str
    places: tuple[Array, ...]
    own: Array
    bound: Array


class _Unnamed(TorchFunctionMode):
    """Dimensions get no names, as Brevitas gives them where torch knows some: no dispatch mode takes those tensors."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if getattr(func, "__name__", None) in ("rename", "rename_"):
            return args[0]
        return func(*args, **(kwargs or {}))


class _Explaining:
    """One model on some cases; see the module."""

    def __init__(
        self,
        witness: Witness,
        model: nn.Module,
        inputs: Sequence[Array],
        tensors: Mapping[str, Array],
    ) -> None:
        self._witness = witness
        self._graph = witness.graph
        self._model = model
        self._inputs = inputs
        self._tensors = tensors
        self._quantizers = by_origin(self._graph, "quantizer:")
        self._rounding = Rounding()
        self._scales: dict[str, Array] = {}
        self._double_scales: dict[str, torch.Tensor] = {}
        self._reals: dict[str, Array] = {}
        self._first: list[_Places] = []

    def run(self, last: Sequence[str]) -> Float32Run:
        self._free = run_alone(self._model, self._graph, self._inputs)
        self._differs = {
            name: values != self._exact(name, values)
            for name, values in self._free.items()
            if self._graph.tensor(name).scale is not None
        }
        codes = sum(self._differs[name].size for name in last)
        differing = sum(int(self._differs[name].sum()) for name in last)
        real = any(self._graph.tensor(name).scale is None for name in self._free)
        if real or any(differs.any() for differs in self._differs.values()):
            self._in_float64()
            self._in_float32()
        partings: dict[str, Parting] = {}
        for places in self._first:
            partings[places.tensor] = merged(partings.get(places.tensor), self._judge(places))
        return Float32Run(codes, differing, tuple(partings.values()))

    def _exact(self, name: str, like: Array) -> Array:
        return tensor_codes(self._graph, self._tensors, name, like)

    # The float64 pass, with the exact codes at every quantiser.

    def _in_float64(self) -> None:
        def at_quantizer(key: str, module: Any, arguments: Any, output: Any) -> Any:
            _, scale, zero_point, bits = output
            self._double_scales[key] = scale
            names = self._quantizers.get(key)
            if names is None:
                return None
            order = BatchOrder.of(self._graph.tensor(names[0]), f"quantizer:{key}")
            real = order.to_graph(arguments[0] / scale + zero_point).numpy()
            if step_edges(module) is None:
                real = np.clip(real, *code_range(module, int(bits)))
            for name in names:
                self._reals[name] = real
            codes = order.to_model(torch.from_numpy(self._exact(names[0], real)))
            return ((codes - zero_point) * scale, scale, zero_point, bits)

        scales: dict[str, Array] = {}

        def at_node(name: str, value: torch.Tensor) -> None:
            if name not in self._reals:
                scales.update({key: scale.numpy() for key, scale in self._double_scales.items()})
                self._reals[name] = _shown(self._graph.tensor(name), value.numpy(), scales)

        watch(self._witness.double, self._graph, self._inputs, at_quantizer, at_node)

    # The float32 pass, with exact codes, and not-a-number where the run differs.

    def _in_float32(self) -> None:
        """What a quantiser makes is bound to what `_forced` says of it, whatever its own arithmetic rounds."""
        with self._rounding, _Unnamed():
            seen = self._at_quantizer, self._at_node, self._at_begin
            watch(self._model, self._graph, self._inputs, *seen)

    def _at_begin(self) -> None:
        self._rounding.resting = True

    def _at_quantizer(self, key: str, module: Any, arguments: Any, output: Any) -> Any:
        self._rounding.resting = False
        self._rounding.paused = True
        try:
            return self._forced(key, module, arguments[0], output)
        finally:
            self._rounding.paused = False

    def _forced(self, key: str, module: Any, argument: torch.Tensor, output: Any) -> Any:
        value, scale, zero_point, bits = output
        self._scales[key] = scale.double().numpy()
        other = self._scale_error(key, scale)
        names = self._quantizers.get(key)
        if names is None:
            self._rounding.bind(value, value.double().abs() * (other + UNIT))
            return None
        order = BatchOrder.of(self._graph.tensor(names[0]), f"quantizer:{key}")
        own = torch.round(value / scale + zero_point).double()
        codes = torch.from_numpy(self._exact(names[0], order.to_graph(own).numpy()))
        differs = torch.zeros(codes.shape, dtype=torch.bool)
        for name in names:
            self._note(key, name, order, argument, own, self._code_bound(argument, output, other))
            differs |= torch.from_numpy(self._differs[name])
        poison = order.to_model(codes.masked_fill(differs, torch.nan)).to(value.dtype)
        forced = (poison - zero_point) * scale
        self._rounding.bind(forced, forced.double().abs() * (other + UNIT))
        return (forced, scale, zero_point, bits)

    def _scale_error(self, key: str, scale: torch.Tensor) -> torch.Tensor:
        """How far the scale in float32 is from that in float64; more than rounding explains nothing."""
        relative = (scale.double() / self._double_scales[key] - 1.0).abs()
        return torch.where(relative <= CONSTANT, relative, 0.0)

    def _code_bound(self, argument: torch.Tensor, output: Any, other: torch.Tensor) -> torch.Tensor:
        """What argument / scale + zero point may be off in float32, in codes."""
        scale, zero_point = output[1].double().abs(), output[2].double().abs()
        quotient = argument.double().abs() / scale
        rounded = quotient * (2 * UNIT + other) + UNIT * (quotient + zero_point)
        bound: torch.Tensor = self._rounding.bound(argument) / scale + rounded
        return bound

    def _note(
        self,
        key: str,
        name: str,
        order: BatchOrder,
        argument: torch.Tensor,
        own: torch.Tensor,
        bound: torch.Tensor,
    ) -> None:
        """Remember the elements that differ in the run, and here are computed from codes that agree."""
        agrees = ~order.to_graph(argument).isnan().numpy()
        places = np.nonzero(self._differs[name] & agrees)
        if len(places[0]):
            at_places = [order.to_graph(x).numpy()[places] for x in (own, bound)]
            self._first.append(
                _Places(name, f"quantizer:{key}", places, at_places[0], at_places[1])
            )

    def _at_node(self, name: str, value: torch.Tensor) -> None:
        self._rounding.paused = True
        try:
            self._shown_at_node(name, value)
        finally:
            self._rounding.paused = False

    def _shown_at_node(self, name: str, value: torch.Tensor) -> None:
        tensor = self._graph.tensor(name)
        if not value.is_floating_point():
            return  # ids, which nothing rounds
        bound = self._rounding.bound(value).numpy()
        agrees = ~value.isnan().numpy()
        if tensor.scale is not None:
            if any(origin.startswith("quantizer:") for origin in tensor.origins):
                return  # judged there
            unit = unit_of(tensor, self._scales)
            differs = self._differs[name] & agrees
            own = np.rint(_shown(tensor, value.double().numpy(), self._scales))
            bound = np.broadcast_to(bound / unit, own.shape)
        else:
            own = value.double().numpy()
            exact = self._exact(name, own)
            eps = self._witness.eps(name) * self._witness.sizes(name, self._reals[name])
            bound = bound + eps + UNIT * np.abs(exact)
            differs = agrees & ~(np.abs(self._free[name] - exact) <= bound)
        places = np.nonzero(differs)
        if len(places[0]):
            self._first.append(_Places(name, "node", places, own[places], bound[places]))

    # The verdict on each.

    def _judge(self, places: _Places) -> Parting:
        tensor, at = self._graph.tensor(places.tensor), places.places
        free, real = self._free[places.tensor][at], self._reals[places.tensor][at]
        exact = self._exact(places.tensor, self._free[places.tensor])[at]
        if tensor.scale is None:
            distance = np.abs(free - exact)
        elif places.key == "node":
            distance = np.maximum(np.abs(free - real), np.abs(exact - real))
        else:
            sides = (self._beyond_tie(places, codes, real) for codes in (free, exact))
            distance = np.maximum(*sides)
        # The run, on codes that agree, is the forced pass to the bit: else it is not what the model computes.
        other = free != places.own
        distance = np.where(other, np.inf, distance)
        allowed = places.bound + (0.0 if tensor.scale is None else self._witness.eps(places.tensor))
        unexplained = ~(distance <= allowed)
        worst = int(np.argmax(np.where(np.isfinite(distance), distance - allowed, np.inf)))
        return Parting(
            places.tensor,
            int((~unexplained).sum()),
            int(unexplained.sum()),
            tuple(int(axis[worst]) for axis in at),
            float(exact[worst]),
            float(free[worst]),
            float(real[worst]),
            float(distance[worst]),
            float(allowed[worst]),
            self._why(bool(other[worst]), float(allowed[worst])),
        )

    def _beyond_tie(self, places: _Places, codes: Array, real: Array) -> Array:
        proxy = places.key.removeprefix("quantizer:").rpartition("#")[0]
        module: Any = self._model.get_submodule(proxy)
        edges = step_edges(module.fused_activation_quant_proxy.tensor_quant)
        if edges is None:
            return np.asarray(np.abs(codes - real) - 0.5)
        return outside(codes, real, edges)

    def _why(self, other: bool, bound: float) -> str:
        if other:
            return "the run differs from what the same layer makes of the same codes"
        if not np.isfinite(bound):
            return f"no bound is known for {', '.join(sorted(self._rounding.unknown)) or 'it'}"
        return ""


def _shown(tensor: Tensor, value: Array, scales: Mapping[str, Array]) -> Array:
    """Codes of a tensor of codes that a call shows as reals; the reals of another."""
    if tensor.scale is None:
        return value
    codes: Array = np.rint(value / unit_of(tensor, scales) + tensor.zero_point)
    return codes
