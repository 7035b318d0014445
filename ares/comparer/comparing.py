"""Both views of one network in one runtime: as deployed, its outputs alone; and layer by layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from ares.comparer.judging import FAILED, UNSAID, Judged, Row
from ares.comparer.layers import Layer, Parts
from ares.interchange import Departure, UnsaidError, write_onnx
from ares.ir import Operation
from ares.runtimes import Failed, Ran, Request, Runtime, run_models

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Comparison:
    """One network in one runtime. `departures`: where the file itself means something else."""

    network: str
    runtime: str
    version: str
    layers: tuple[Row, ...]
    deployed: tuple[Row, ...]
    departures: tuple[Departure, ...]

    @property
    def is_equal(self) -> bool:
        """Whether every layer and output that the runtime gave is the golden one, and none failed."""
        return all(row.verdict in ("equal", UNSAID) for row in (*self.layers, *self.deployed))


def compare(parts: Parts, runtime: Runtime, tell: Callable[[str], None]) -> Comparison:
    """Run a network's golden cases through a runtime."""
    tell(f"{runtime.name}: {len(parts.layers)} layers, one by one")
    rows = _by_layer(parts, runtime)
    tell(f"{runtime.name}: the whole network")
    return Comparison(
        network=parts.graph.name,
        runtime=runtime.name,
        version=runtime.version,
        layers=tuple(rows),
        deployed=tuple(_deployed(parts, runtime)),
        departures=tuple(
            each for layer in parts.layers if layer.model for each in layer.model.departures
        ),
    )


def _by_layer(parts: Parts, runtime: Runtime) -> list[Row]:
    said = [layer for layer in parts.layers if layer.model is not None]
    requests = [Request(each.model.data, parts.typed(each.graph)) for each in said if each.model]
    found = dict(zip(map(id, said), run_models(runtime, requests), strict=True))
    rows = []
    for layer in parts.layers:
        result = found.get(id(layer))
        if isinstance(result, Ran):
            rows.append(_judged(parts, layer, result, parts.before(layer)).row())
        elif result is None:
            rows.append(_row(layer.operation, layer.output.name, UNSAID, layer.words))
        else:
            rows.append(_row(layer.operation, layer.output.name, FAILED, result.words))
    return rows


def _row(operation: Operation, tensor: str, verdict: str, words: str) -> Row:
    return Row(operation.path, operation.OP_TYPE, tensor, verdict, words)


def _judged(parts: Parts, layer: Layer, ran: Ran, before: Sequence[Array] | None) -> Judged:
    name, read = layer.output.name, layer.operation.inputs
    return Judged(
        operation=layer.operation,
        tensor=layer.output,
        inputs=layer.graph.tensors_of(read),
        given=[[case[each] for each in read] for case in parts.cases],
        golden=[case[name] for case in parts.cases],
        found=[case[name] for case in ran.cases],
        before=before,
    )


def _deployed(parts: Parts, runtime: Runtime) -> list[Row]:
    """The outputs of the whole network: what travels through all layers."""
    makers = {layer.output.name: layer for layer in parts.layers}
    ends = [makers[name] for name in parts.graph.outputs if name in makers]
    try:
        model = write_onnx(parts.graph)
    except UnsaidError as error:
        return [_row(end.operation, end.output.name, UNSAID, str(error)) for end in ends]
    (result,) = run_models(runtime, [Request(model.data, parts.typed(parts.graph))])
    if isinstance(result, Failed):
        return [_row(end.operation, end.output.name, FAILED, result.words) for end in ends]
    return [_judged(parts, end, result, None).row() for end in ends]
