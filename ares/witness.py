"""The torch witness: the Brevitas model in float64 judges every code on its own.

One forward pass in which a hook on every activation quantiser captures the real value it is given, compares the
golden code with it and hands on the golden code in its place (teacher forcing), so that an error in one layer does
not travel to the next. At a quantiser a code is accepted when

    |code - clamp(x / scale + zero_point)| <= 0.5 + eps

(a tie, where the arithmetic up to it was exact, only with the even code), and where codes only move (pooling by
maximum, flatten, ...) when they are exactly the values that left the module.
A quantiser that does not round but steps (binary, ternary) means a code for an interval of reals, and the code is
accepted up to eps outside of it.

Weights: codes are what the float32 model's own quantiser returns, value / scale, must be whole numbers and those in the
Graph, and stand in the weight's place as code * scale. Where the quantiser rounds w / scale (or, decoupled from its
scale, w / pre_scale), every code is judged against that by the same rule; where it rounds towards zero or takes the
sign, the code is a neighbour of it.

This module reads the model itself: it shares no code with `ares.ops`, `ares.numerics` or the extractor, only the
recorder that names the calls.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from ares.capture import CaptureError, capture, faithful_copy
from ares.capture.walks import all_names, child, first_names
from ares.ir import Graph, Tensor
from ares.witness_quantizers import (
    BatchOrder,
    QuantizedWeight,
    code_range,
    given_besides_weights,
    graph_weights,
    hook_quantizers,
    outside,
    quantized_weight,
    replace_weight,
    step_edges,
    whole_weights,
)

Array = npt.NDArray[Any]

EXACT_EPS = 2.0**-20
"""For codes that only move: float64 arithmetic on a code is exact to far less than this."""

WEIGHT_EPS = 2.0**-17
"""For weights, whose codes come from one float32 division: half a unit in the last place of 127.5."""

SMALLEST_NORMAL = 2.0**-126
"""Below it binary32 has fewer digits."""

EXACT_BITS = 40
"""Values of no more significant bits have not been rounded: sums of products of codes have at most 32."""


class WitnessError(Exception):
    """The witness could not do its work: an event that the Graph names did not happen."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the witness says of one tensor at one event.

    `deviation`: largest |code - clamp(r)| - 0.5 at a quantiser, largest |code - value| elsewhere, in codes; for
    binary32 outputs the largest error relative to an element's own |value| + |addend|, between which its sum may have
    cancelled. `index`, `code` and `real`
    are those of the worst element.
    """

    tensor: str
    event: str
    elements: int
    deviation: float
    eps: float
    index: tuple[int, ...]
    code: float
    real: float

    @property
    def accepted(self) -> bool:
        # A deviation that is not a number is not accepted either.
        return self.deviation <= self.eps

    @property
    def of_weights(self) -> bool:
        """Whether it judges the Graph's weights, which no golden holds, and not the tensor made with them."""
        return self.event.endswith(".weight")


class Witness:
    """Judges tensors of `graph` against `model` (float32, evaluation mode, calibrated).

    `double`: its float64 copy, with codes * scale for weights.
    """

    def __init__(self, model: nn.Module, graph: Graph) -> None:
        self.graph = graph
        self._addends = _addends(graph)
        self._eps = _tolerances(graph)
        self._sources = {tensor.name: operation.inputs for operation, tensor in graph.produced()}
        self._quantizer_tensors = by_origin(graph, "quantizer:")
        self._node_tensors = by_origin(graph, "node:")
        self.weight_judgements, self.double = _substitute_weights(model, graph)

    def judge(self, inputs: Sequence[Array], tensors: Mapping[str, Array]) -> tuple[Judgement, ...]:
        """Judgements in order of execution, weights first.

        `tensors`: golden arrays by tensor name. Several cases may be stacked along the batch axis, in
        inputs and tensors alike: one forward pass judges them all, and `index[0]` names the case.
        """
        found: list[Judgement] = list(self.weight_judgements)
        seen: set[str] = set()
        calls: dict[str, int] = {}
        scales: dict[str, Array] = {}

        def at_quantizer(path: str, module: Any, arguments: Any, output: Any) -> Any:
            return self._at_quantizer(
                path, calls, tensors, found, seen, scales, module, arguments, output
            )

        handles = hook_quantizers(first_names(all_names(self.double)), at_quantizer)
        try:
            capture(
                self.double,
                [as_real(array, torch.float64) for array in inputs],
                on_output=partial(self._at_node, tensors, found, seen, scales),
            )
        except CaptureError as error:
            # What a hook raises comes back as the forward pass having failed.
            if isinstance(error.__cause__, WitnessError):
                raise error.__cause__ from None
            raise WitnessError(f"{self.graph.name}: {error}") from error
        finally:
            for handle in handles:
                handle.remove()
        expected = {f"quantizer:{key}" for key in self._quantizer_tensors}
        expected |= {f"node:{key}" for key in self._node_tensors}
        if expected - seen:
            raise WitnessError(
                f"{self.graph.name}: {min(expected - seen)} did not happen in the forward pass"
            )
        return tuple(found)

    def eps(self, name: str) -> float:
        """The largest deviation of a tensor that is accepted."""
        return self._eps[name]

    def sizes(self, name: str, real: Array) -> Array:
        """What the error of each element of a binary32 tensor is relative to."""
        sizes: Array = np.maximum(np.abs(real) + self._addends[name], SMALLEST_NORMAL)
        return sizes

    def unjudged(self) -> tuple[str, ...]:
        """Tensors without an event of their own: judged only through the tensors made of them."""
        return tuple(tensor.name for _, tensor in self.graph.produced() if not tensor.origins)

    def _at_quantizer(
        self,
        path: str,
        calls: dict[str, int],
        tensors: Mapping[str, Array],
        found: list[Judgement],
        seen: set[str],
        scales: dict[str, Array],
        module: nn.Module,
        arguments: tuple[torch.Tensor, ...],
        output: tuple[torch.Tensor, ...],
    ) -> tuple[torch.Tensor, ...] | None:
        if arguments[0].dim() == 0:
            return None  # `proxy.scale()` runs the quantiser on a scalar zero
        number = calls.get(path, 0)
        calls[path] = number + 1
        key = f"{path}#{number}"
        seen.add(f"quantizer:{key}")
        scales[key] = output[1].numpy()
        names = self._quantizer_tensors.get(key)
        if names is None:
            return None
        value, scale, zero_point, bits = output
        order = BatchOrder.of(self.graph.tensor(names[0]), f"quantizer:{key}")
        argument, value = order.to_graph(arguments[0]), order.to_graph(value)
        exact = self._is_of_powers(names[0], scales)
        real = (argument / scale + zero_point).numpy()
        own = torch.round(value / scale + zero_point).numpy()
        edges = step_edges(module)
        if edges is None:
            lo, hi = code_range(module, int(bits))
            meant = np.clip(real, lo, hi)
            ties = exact & _true_ties(argument.numpy(), scale.numpy(), meant)
        else:
            ties = exact & np.isin(real, edges) & _unrounded(argument.numpy(), scale.numpy())
        for name in names:
            golden = tensor_codes(self.graph, tensors, name, real)
            distance = (
                np.abs(golden - meant) - 0.5 if edges is None else outside(golden, real, edges)
            )
            # Both neighbours of a tie are at its edge: only one of them is what the quantiser gives.
            distance = np.where(ties & (golden != own), 0.5, distance)
            found.append(_judgement(name, key, distance, golden, real, self._eps[name]))
        codes = order.to_model(torch.from_numpy(tensor_codes(self.graph, tensors, names[0], real)))
        return ((codes - zero_point) * scale, scale, zero_point, bits)

    def _is_of_powers(self, name: str, scales: Mapping[str, Array]) -> bool:
        """Whether the codes that a tensor is made of are worth powers of two.

        Else what float64 has rounded can look like a tie: 1/1360 * 5/2048 * 17 has few bits, and 1/1360 has not.
        """
        return all(
            np.all(np.frexp(unit_of(source, scales))[0] == 0.5)
            and (not _is_unjudged(source) or self._is_of_powers(source.name, scales))
            for source in self.graph.tensors_of(self._sources.get(name, ()))
            if source.scale is not None
        )

    def _at_node(
        self,
        tensors: Mapping[str, Array],
        found: list[Judgement],
        seen: set[str],
        scales: Mapping[str, Array],
        key: str,
        index: int,
        value: torch.Tensor,
    ) -> None:
        key = f"{key}@{index}" if index else key
        if key not in self._node_tensors:
            return
        seen.add(f"node:{key}")
        for name in self._node_tensors[key]:
            tensor = self.graph.tensor(name)
            real = value.detach().numpy()
            golden = tensor_codes(self.graph, tensors, name, real)
            if tensor.scale is None:
                error = np.abs(golden - real) / self.sizes(name, real)
                found.append(_judgement(name, key, error, golden, real, self._eps[name]))
            else:
                real = real / unit_of(tensor, scales) + tensor.zero_point
                error = np.abs(golden - real)
                found.append(_judgement(name, key, error, golden, real, EXACT_EPS))


def tensor_codes(graph: Graph, tensors: Mapping[str, Array], name: str, like: Array) -> Array:
    """The golden of a tensor, which must have the shape that it has in the model: `like`'s."""
    golden = tensors[name]
    if len(golden) > len(like) == 1 and (golden == golden[:1]).all():
        golden = golden[:1]  # a constant: the same in every case, once in the model
    if golden.shape != like.shape:
        raise WitnessError(
            f"{graph.name}: {name} is {list(golden.shape)} in the golden, "
            f"{list(like.shape)} in the model"
        )
    return golden.astype(np.float64)


def unit_of(tensor: Tensor, scales: Mapping[str, Array]) -> Array:
    """The scale of a tensor's codes, or the scales of its channels: those of the quantiser that its origins name."""
    for origin in tensor.origins:
        if origin.startswith("scales:"):
            quantizer, _, axis = origin.removeprefix("scales:").rpartition("@")
            shape = [1] * len(tensor.shape)
            shape[int(axis)] = -1
            return scales[quantizer].reshape(shape)
    return np.asarray(tensor.scale)


def _true_ties(argument: Array, scale: Array, meant: Array) -> Array:
    """Where `meant` lies halfway between two codes and float64 has rounded nothing on the way there.

    That is certain for a scale that is a power of two and arguments of few significant bits: networks whose scales
    are all powers of two (`_is_of_powers`), and their inputs, which are binary32.
    """
    return np.asarray(_unrounded(argument, scale) & (np.abs(meant - np.trunc(meant)) == 0.5))


def _unrounded(argument: Array, scale: Array) -> Array:
    """Whether argument / scale is exact: for all, or for each channel where each has a scale."""
    mantissas = np.ldexp(np.frexp(argument)[0], EXACT_BITS)
    few_bits = np.array_equal(mantissas, np.trunc(mantissas))
    return np.asarray((np.frexp(scale)[0] == 0.5) & few_bits)


def _judgement(
    tensor: str, event: str, deviation: Array, golden: Array, real: Array, eps: float
) -> Judgement:
    # A NaN anywhere must be the worst element, not be passed over.
    position = int(np.argmax(np.where(np.isnan(deviation), np.inf, deviation)))
    index = tuple(int(i) for i in np.unravel_index(position, deviation.shape))
    return Judgement(
        tensor,
        event,
        deviation.size,
        float(deviation[index]),
        eps,
        index,
        float(golden[index]),
        float(real[index]),
    )


def _tolerances(graph: Graph) -> dict[str, float]:
    """eps of every tensor: its operation's, or that of what it moves where the moved codes had no event before.

    A convolution before a queued max pooling, or the parts of a concatenation that a single quantiser follows, are
    judged where the moved codes meet their quantiser.
    """
    eps: dict[str, float] = {}
    for operation, tensor in graph.produced():
        unjudged = [
            source.name for source in graph.tensors_of(operation.inputs) if _is_unjudged(source)
        ]
        inherited = max((eps.get(name, 0.0) for name in unjudged), default=0.0)
        eps[tensor.name] = max(operation.tolerance(tensor), inherited)
    return eps


def _is_unjudged(tensor: Tensor) -> bool:
    """Whether its codes meet their quantiser further on."""
    return not any(origin.startswith("quantizer:") for origin in tensor.origins)


def _addends(graph: Graph) -> Mapping[str, Array]:
    """|what is added last| by element of every binary32 tensor, whose rounding is no smaller than that of the result.

    And one unit of the exact sum: where that is zero, the model's own, in float64, is next to it.
    """
    found: dict[str, Array] = {}
    for operation, tensor in graph.produced():
        if tensor.scale is None:
            given = [found.get(name) for name in operation.inputs]
            sources = graph.tensors_of(operation.inputs)
            found[tensor.name] = np.abs(operation.at_zero(sources, tensor, given)) + operation.unit(
                tensor
            )
    return found


def by_origin(graph: Graph, prefix: str) -> dict[str, list[str]]:
    """Event -> the tensors that are shown there, of events of one kind: `quantizer:` or `node:`."""
    table: dict[str, list[str]] = {}
    for tensor in graph.tensors:
        for origin in tensor.origins:
            if origin.startswith(prefix):
                table.setdefault(origin.removeprefix(prefix), []).append(tensor.name)
    return table


def as_real(array: Array, dtype: torch.dtype) -> torch.Tensor:
    """An input as the model takes it: real values in its type, integers as they are."""
    # Copied: what is turned round in an axis of one is contiguous to numpy, and nothing that torch takes.
    tensor = torch.from_numpy(np.array(array, order="C"))
    return tensor.to(dtype) if tensor.is_floating_point() else tensor


def _substitute_weights(model: nn.Module, graph: Graph) -> tuple[tuple[Judgement, ...], nn.Module]:
    """Judge the weights of the float32 model; return its float64 copy with codes * scale for weights."""
    layers: dict[str, Any] = {
        path: layer
        for path, layer in all_names(model)
        if (proxy := child(layer, "weight_quant")) is not None
        and getattr(proxy, "is_quant_enabled", False)
        and not proxy.is_groupwise
    }
    in_graph = graph_weights(graph, layers)
    given = given_besides_weights(model, graph, layers)
    unseen = set(in_graph)
    judgements: list[Judgement] = []
    double = faithful_copy(model).double()
    # A quantiser may serve several layers: what it is handed tells whose weight it is.
    substitutes: dict[int, dict[int, QuantizedWeight]] = {}
    for path, layer in layers.items():
        if layer.weight_quant.requires_quant_input and path not in given:
            continue  # the model never calls it
        unseen.discard(path)
        weight = quantized_weight(layer, given.get(path, ()))
        for name, graph_codes in whole_weights(in_graph.get(path, ()), weight.real.size):
            golden = graph_codes.astype(np.float64).reshape(weight.real.shape)
            distance = weight.distance(golden)
            judgements.append(
                _judgement(name, f"{path}.weight", distance, golden, weight.real, WEIGHT_EPS)
            )
        copied: Any = double.get_submodule(path)
        quant = copied.weight_quant.tensor_quant
        if id(quant) not in substitutes:
            substitutes[id(quant)] = {}
            quant.register_forward_hook(replace_weight(substitutes[id(quant)]))
        substitutes[id(quant)][copied.weight.data_ptr()] = weight
    if unseen:
        raise WitnessError(f"{graph.name}: the model has no quantised weights at {min(unseen)!r}")
    return tuple(judgements), double
