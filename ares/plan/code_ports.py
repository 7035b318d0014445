"""A network whose inputs and outputs are codes: the first layer, a quantiser, is left to whoever calls it.

An input of integers, such as token ids, stays what it is, and so does an output that is codes already. Where something
else stands at an end of the network there is no such network: PortError, one line, says where and why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from ares.ir import DType, Graph, Operation
from ares.ops.quantize import Quantize


class PortError(ValueError):
    """An input or output that cannot be codes; one line."""


@dataclass(frozen=True, slots=True)
class CodePorts:
    """`graph` takes and gives codes; `origins`: its inputs that are -> the tensors that these were before."""

    graph: Graph
    origins: Mapping[str, str]


def code_ports(graph: Graph) -> CodePorts:
    """The same network without the quantisers of its inputs, which keep their names; raises PortError."""
    real = [name for name in graph.inputs if graph.tensor(name).dtype is DType.F32]
    refusals = [_why_not_input(graph, name) for name in real]
    refusals += [_why_not_output(graph, name) for name in graph.outputs]
    found = next((why for why in refusals if why), None)
    if found is not None:
        raise PortError(f"{graph.name}: {found}")
    gone = {_readers(graph, name)[0].name: name for name in real}
    renamed = {
        operation.outputs[0]: gone[operation.name]
        for operation in graph.operations
        if operation.name in gone
    }
    return CodePorts(_without(graph, gone, renamed), {new: old for old, new in renamed.items()})


def _readers(graph: Graph, tensor: str) -> list[Operation]:
    return [operation for operation in graph.operations if tensor in operation.inputs]


def _why_not_input(graph: Graph, name: str) -> str | None:
    readers = _readers(graph, name)
    others = [each for each in readers if not isinstance(each, Quantize)]
    if name in graph.outputs:
        return f"input {name} cannot be codes: it is an output as well"
    if others:
        what = f"{others[0].name} ({others[0].OP_TYPE})"
        return f"input {name} cannot be codes: layer {what} reads its real values"
    if len(readers) != 1:
        layers = " and ".join(each.name for each in readers) or "none"
        return f"input {name} cannot be codes: expected one quantiser that reads it, found {layers}"
    (quantiser,) = readers
    assert isinstance(quantiser, Quantize)
    if quantiser.steps:
        return (
            f"input {name} cannot be codes: layer {quantiser.name} computes with constants before it rounds; "
            "do that outside of the model, in front of its quantiser"
        )
    return None


def _why_not_output(graph: Graph, name: str) -> str | None:
    if graph.tensor(name).dtype is not DType.F32:
        return None
    made = [each for each in graph.operations if name in each.outputs]
    layer = f" of layer {made[0].name} ({made[0].OP_TYPE})" if made else ""
    return (
        f"output {name}{layer} cannot be codes: no quantiser stands behind it; end the model with a "
        "QuantIdentity, or export it with real values (--io float)"
    )


def _without(graph: Graph, gone: Mapping[str, str], renamed: Mapping[str, str]) -> Graph:
    """The Graph without these layers, with tensors of other names."""
    tensors = [tensor for tensor in graph.tensors if tensor.name not in gone.values()]
    operations = [operation for operation in graph.operations if operation.name not in gone]
    members = [
        replace(each, members=tuple(name for name in each.members if name not in gone))
        for each in graph.composites
    ]

    def new(names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(renamed.get(name, name) for name in names)

    return Graph(
        graph.name,
        tuple(replace(each, name=renamed.get(each.name, each.name)) for each in tensors),
        tuple(replace(each, inputs=new(each.inputs)) for each in operations),
        graph.inputs,
        new(graph.outputs),
        tuple(each for each in members if each.members),
    ).validate()
