"""Run the recorded nodes, and nothing else, by their names and arguments only: normalised names are held to mean it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from brevitas.quant_tensor import QuantTensor

from ares.capture import Dataflow, Node, Ref

PROPERTIES = {"T", "mT", "data"}
REFLECTED = {
    "rdiv": "__rdiv__",
    "rfloor_divide": "__rfloordiv__",
    "rmatmul": "__rmatmul__",
    "rpow": "__rpow__",
    "rremainder": "__rmod__",
    "rsub": "__rsub__",
}


def replay(flow: Dataflow, inputs: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Run the recorded nodes, nothing else, on other inputs."""
    results: dict[Ref, Any] = {}

    def resolve(value: Any) -> Any:
        if isinstance(value, Ref):
            return results[value]
        if isinstance(value, slice):
            return slice(*map(resolve, (value.start, value.stop, value.step)))
        if isinstance(value, list | tuple) and not isinstance(value, torch.Size):
            return type(value)(map(resolve, value))
        return {k: resolve(v) for k, v in value.items()} if isinstance(value, dict) else value

    with torch.no_grad():
        for node in flow.nodes:
            args, kwargs = resolve(node.args), resolve(node.kwargs)
            if node.kind == "input":
                result = inputs[int(node.key.removeprefix("input:"))].clone()
            elif node.module is not None:
                result = node.module(*args, **kwargs)
            else:
                result = node.tensor if node.kind == "constant" else apply(node, args, kwargs)
            results |= {Ref(node.key, i): item for i, item in enumerate(tensors_of(result))}
    return [value_of(results[ref]) for ref in flow.outputs]


def apply(node: Node, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What a function node means, out of place, from its name."""
    if not node.outputs[0].quantized:
        args, kwargs = plain(args), plain(kwargs)
    if node.function in PROPERTIES:
        return getattr(args[0], node.function)
    if node.function == "__setitem__":
        result = args[0].clone()
        result[args[1]] = args[2]
        return result
    if node.function == "set_data":
        return args[1]
    name = REFLECTED.get(node.function, node.function)
    homes = [torch, F, torch._C._nn]
    if args and isinstance(args[0], torch.Tensor | QuantTensor):
        homes = [type(args[0]), torch.Tensor, *homes]
        args = (args[0].clone() if isinstance(args[0], torch.Tensor) else args[0], *args[1:])
    for home in homes:
        try:
            return getattr(home, name)(*args, **kwargs)
        except (AttributeError, TypeError):  # not a function of this home, or with other arguments
            continue
    raise AssertionError(f"cannot replay {node.key}")


def plain(value: Any) -> Any:
    if isinstance(value, list | tuple) and not isinstance(value, QuantTensor | torch.Size):
        return type(value)(map(plain, value))
    return {k: plain(v) for k, v in value.items()} if isinstance(value, dict) else value_of(value)


def value_of(item: Any) -> Any:
    return item.value if isinstance(item, QuantTensor) else item


def tensors_of(value: Any) -> list[Any]:
    if isinstance(value, torch.Tensor | QuantTensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [t for v in value for t in tensors_of(v)] if isinstance(value, list | tuple) else []
