"""`ares.capture`: adversarial models are replayed bit-exactly, everything else is a named problem.

The replay uses a node's name and arguments only, so it also holds the normalised names to their
meaning. Every entry of `MODELS` says which nodes it must record.
"""

import copy
import functools
import random
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import brevitas.nn as qnn
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from brevitas.quant import Int8ActPerTensorFloat, Int32Bias
from brevitas.quant_tensor import QuantTensor
from torch import nn

from ares.capture import (
    PROBLEM_KINDS,
    CaptureError,
    Dataflow,
    Node,
    Ref,
    capture,
    structural_changes,
)

PROPERTIES = {"T", "mT", "data"}
REFLECTED = {
    "rdiv": "__rdiv__",
    "rfloor_divide": "__rfloordiv__",
    "rmatmul": "__rmatmul__",
    "rpow": "__rpow__",
    "rremainder": "__rmod__",
    "rsub": "__rsub__",
}


def quantize() -> qnn.QuantIdentity:
    return qnn.QuantIdentity(return_quant_tensor=True)


def conv(inputs: int, outputs: int, size: int = 3) -> qnn.QuantConv2d:
    return qnn.QuantConv2d(inputs, outputs, size, padding=size // 2, bias_quant=Int32Bias)


def linear(inputs: int, outputs: int) -> qnn.QuantLinear:
    return qnn.QuantLinear(inputs, outputs, input_quant=Int8ActPerTensorFloat, bias_quant=Int32Bias)


def calibrated(model: nn.Module, *shapes: tuple[int, ...]) -> nn.Module:
    """The model with all activation scales and batch statistics observed, in evaluation mode."""
    generator = torch.Generator().manual_seed(11)
    model.train()
    with torch.no_grad():
        for _ in range(3):
            model(*(torch.randn(shape, generator=generator) for shape in shapes))
    return model.eval()


def noise(shapes: Sequence[tuple[int, ...]], seed: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator) for shape in shapes]


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


# ---- the adversarial models --------------------------------------------------------------------


class Shared(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inp, self.conv, self.act = (
            quantize(),
            conv(4, 4),
            qnn.QuantReLU(return_quant_tensor=True),
        )

    def forward(self, x: torch.Tensor) -> Any:
        return self.act(self.conv(self.act(self.conv(self.inp(x)))))


class Reversed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.third, self.second, self.first = linear(5, 3), qnn.QuantReLU(), linear(6, 5)

    def forward(self, x: torch.Tensor) -> Any:
        return self.third(self.second(self.first(x)))


class Listed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(linear(6, 6) for _ in range(3))
        self.gates = nn.ModuleDict({"a": qnn.QuantReLU(), "b": qnn.QuantIdentity()})

    def forward(self, x: torch.Tensor) -> Any:
        for block, gate in zip(reversed(self.blocks), ("a", "b", "a"), strict=True):
            x = self.gates[gate](block(x))
        return x


def nested() -> nn.Module:
    body = nn.Sequential(quantize(), nn.Sequential(conv(3, 5), nn.Sequential(qnn.QuantReLU())))
    return nn.Sequential(body, nn.Dropout(0.3), nn.Flatten(), nn.Identity(), linear(80, 4))


class Functional(nn.Module):
    """q + q and torch.cat on QuantTensors of one scale, subtraction both ways, a mean."""

    def __init__(self) -> None:
        super().__init__()
        self.inp, self.conv, self.act, self.fc = quantize(), conv(2, 2), quantize(), linear(4, 3)

    def forward(self, x: torch.Tensor) -> Any:
        x = self.inp(x)
        y = self.inp(self.conv(x))
        z = torch.cat([self.act(x + y), self.act(1 - y.value * x.value)], dim=1)
        return self.fc(2 / (z.value.abs() + 3) - F.relu(z).value).mean((2,)), 2 ** x[0].mean(dim=-1)


class Asks(nn.Module):
    """The wrong branch would be taken by a tracer whose proxies have every attribute."""

    def __init__(self) -> None:
        super().__init__()
        self.inp, self.fc = quantize(), linear(6, 4)

    def forward(self, x: torch.Tensor) -> Any:
        y = self.inp(x)
        if hasattr(x, "value") or not isinstance(y, QuantTensor):
            return self.fc(x * 2)
        return self.fc(y.value if hasattr(y, "value") else y) + y.scale


class TwoInputs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = linear(6, 4), linear(5, 4)

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> dict[str, Any]:
        a, b = self.a(x), self.b(y)
        return {"sum": a + b, "none": None, "parts": [b, {"a": a}], "width": 4}


class Gate(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc, self.act = linear(6, 6), qnn.QuantSigmoid()

    def forward(self, x: torch.Tensor, *, gate: torch.Tensor, options: dict[str, Any]) -> Any:
        return self.act(input=self.fc(x)) * gate + options["bias"]


class Keywords(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gate = Gate()
        self.attend = nn.MultiheadAttention(6, 2, batch_first=True)

    def forward(self, x: torch.Tensor) -> Any:
        y = self.gate(gate=x, x=x, options={"bias": x})
        return self.attend(query=y, key=x, value=x, need_weights=False)[0]


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inp, self.conv = quantize(), conv(3, 3)

    def forward(self, x: torch.Tensor) -> Any:
        x = self.inp(x)
        return x + self.inp(self.conv(x))


class Composite(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(quantize(), nn.MaxPool2d(2))
        self.blocks = nn.Sequential(Residual(), Residual())

    def forward(self, x: torch.Tensor) -> Any:
        return self.blocks(self.stem(x))


class Table(nn.Module):
    def __init__(self, weight: nn.Parameter) -> None:
        super().__init__()
        self.table = weight

    def forward(self, x: torch.Tensor) -> Any:
        return F.linear(x, self.table)


class Tied(nn.Module):
    """The float weight under a second name is a constant of the model, not the layer bypassed."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = linear(6, 6), linear(6, 6)
        self.second.weight = self.first.weight
        self.head = Table(self.first.weight)

    def forward(self, x: torch.Tensor) -> Any:
        return self.head(self.second(self.first(x)))


class Shapes(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inp, self.fc = quantize(), linear(12, 4)

    def forward(self, x: torch.Tensor) -> Any:
        assert x.dim() == 4
        assert x.shape[1:] == torch.Size([3, 4, 4]), "shape"
        batch, channels, height, width = x.size()
        if width > 2 and x.dtype == torch.float32 and not x.is_complex() and len(x) == batch:
            x = self.inp(x).view(batch, channels, -1)
        y = x.permute(0, 2, 1).reshape(batch, height, -1)
        return self.fc(y.value).transpose(1, 2).flatten(1) * (1.0 / width)


class Pieces(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inp, self.fc = qnn.QuantIdentity(), linear(4, 4)

    def forward(self, x: torch.Tensor) -> Any:
        a, b, c = self.inp(x).chunk(3, dim=1)
        d, e = torch.split(b, [1, 3], dim=1)
        low, high = self.fc(a).T.tensor_split(2)
        top = (x.max(dim=1).values - torch.stack(c.unbind(1)).sum(0)).unsqueeze(-1)
        return self.fc(c)[:, 1:3] + d - e[..., ::2] + top, low * high


class Positions(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.pos_embed = nn.Parameter(torch.linspace(-1, 1, 20).reshape(1, 4, 5))
        self.register_buffer("token", torch.linspace(0, 1, 5).reshape(1, 1, 5))
        self.quant, self.fc = qnn.QuantIdentity(), linear(5, 3)

    def forward(self, x: torch.Tensor) -> Any:
        x = torch.cat((self.token.expand(x.shape[0], -1, -1), x), 1) + self.quant(self.pos_embed)
        steps = torch.arange(x.shape[1], dtype=x.dtype)[None, :, None]
        return self.fc(x.detach() * steps + torch.zeros(5))


class Branches(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = linear(6, 4), linear(6, 4)

    def forward(self, x: torch.Tensor) -> Any:
        return self.a(x) if x.sum() > 0 else self.b(x)


class InPlace(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.relu, self.fc = conv(2, 2), nn.ReLU(inplace=True), linear(4, 4)
        self.inp = quantize()

    def forward(self, x: torch.Tensor) -> Any:
        x += 1
        y = self.relu(self.conv(self.inp(x)))
        y.mul_(x).clamp_(min=-2)
        y[:, 0] = 0
        y[..., -1:] = x[..., :1]
        z = torch.zeros_like(y)
        torch.add(y, x, out=z)
        return F.relu(self.fc(z), inplace=True)


class Starred(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = linear(6, 4)

    def forward(self, *args: torch.Tensor, **kwargs: Any) -> Any:
        return tuple(sum((self.fc(t) for t in args), start=kwargs.get("start", 1.0)) for _ in args)


FUNCTIONAL_NODES = """input:0 inp#0 conv#0 inp#1 :add#0 act#0 :mul#0 :rsub#0 act#1 :cat#0 :abs#0 :add#1 :rdiv#0
    :relu#0 :sub#0 fc#0 :mean#0 :mean#1 :rpow#0"""

# name: model, shapes of its inputs, the nodes it must record in this order
MODELS: dict[str, tuple[Callable[[], nn.Module], list[tuple[int, ...]], str]] = {
    "shared module": (Shared, [(2, 4, 5, 5)], "input:0 inp#0 conv#0 act#0 conv#1 act#1"),
    "reversed registration": (Reversed, [(2, 6)], "input:0 first#0 second#0 third#0"),
    "ModuleList": (
        Listed,
        [(2, 6)],
        "input:0 blocks.2#0 gates.a#0 blocks.1#0 gates.b#0 blocks.0#0 gates.a#1",
    ),
    "nested Sequential": (
        nested,
        [(2, 3, 4, 4)],
        "input:0 0.0#0 0.1.0#0 0.1.1.0#0 1#0 2#0 3#0 4#0",
    ),
    "functional": (Functional, [(3, 2, 4, 4)], FUNCTIONAL_NODES),
    "hasattr": (Asks, [(2, 6)], "input:0 inp#0 fc#0 constant:inp#0.scale :add#0"),
    "two inputs, dict output": (TwoInputs, [(2, 6), (2, 5)], "input:0 input:1 a#0 b#0 :add#0"),
    "keywords": (
        Keywords,
        [(2, 3, 6)],
        "input:0 gate.fc#0 gate.act#0 gate:mul#0 gate:add#0 attend#0",
    ),
    "composite": (
        Composite,
        [(2, 3, 6, 6)],
        "input:0 stem.0#0 stem.1#0 blocks.0.inp#0 blocks.0.conv#0 blocks.0.inp#1 blocks.0:add#0 "
        "blocks.1.inp#0 blocks.1.conv#0 blocks.1.inp#1 blocks.1:add#0",
    ),
    "tied weight": (Tied, [(2, 6)], "input:0 first#0 second#0 constant:head.table head:linear#0"),
    "size, shape, assert": (
        Shapes,
        [(2, 3, 4, 4)],
        "input:0 inp#0 :view#0 :permute#0 :reshape#0 fc#0 :transpose#0 :flatten#0 :mul#0",
    ),
    "chunk, split, slice": (
        Pieces,
        [(2, 12)],
        "input:0 inp#0 :chunk#0 :split#0 fc#0 :T#0 :tensor_split#0 :max#0 :unbind#0 :stack#0 :sum#0 :sub#0 "
        ":unsqueeze#0 fc#1 :__getitem__#0 :add#0 :__getitem__#1 :sub#1 :add#1 :mul#0",
    ),
    "pos_embed, expanded buffer": (
        Positions,
        [(2, 3, 5)],
        "input:0 constant:token :expand#0 :cat#0 constant:pos_embed quant#0 :add#0 :arange#0 "
        ":__getitem__#0 :detach#0 :mul#0 :zeros#0 :add#1 fc#0",
    ),
    "data-dependent if": (Branches, [(2, 6)], "input:0 a#0"),
    "in-place": (
        InPlace,
        [(3, 2, 4, 4)],
        "input:0 :add#0 inp#0 conv#0 relu#0 :mul#0 :clamp#0 :__setitem__#0 :__getitem__#0 "
        ":__setitem__#1 :zeros_like#0 :add#1 fc#0 :relu#0",
    ),
    "*args, **kwargs": (
        Starred,
        [(2, 6), (2, 6)],
        "input:0 input:1 fc#0 :add#0 fc#1 :add#1 fc#2 :add#2 fc#3 :add#3",
    ),
}


@pytest.mark.parametrize("name", [name for name in MODELS if name != "data-dependent if"])
def test_replays_bit_exactly(name: str) -> None:
    build, shapes, keys = MODELS[name]
    torch.manual_seed(5)
    model = calibrated(build(), *shapes)
    flow = capture(model, noise(shapes, 1))
    assert flow.problems == ()
    assert [node.key for node in flow.nodes] == keys.split()
    assert flow.dead == ()
    for seed in (2, 3):
        inputs = noise(shapes, seed)
        with torch.no_grad():
            expected = [value_of(t) for t in tensors_of(model(*(t.clone() for t in inputs)))]
        got = replay(flow, inputs)
        assert len(got) == len(expected) == len(flow.output_names)
        for ours, theirs in zip(got, expected, strict=True):
            assert torch.equal(ours, theirs)
            assert ours.unique().numel() > 2, "a constant output shows nothing"


# ---- the records -------------------------------------------------------------------------------


def test_node_records_what_was_called() -> None:
    model = calibrated(Composite(), (1, 3, 6, 6))
    flow = capture(model, noise([(1, 3, 6, 6)], 1))
    node = flow.node("blocks.1.conv#0")
    assert (node.kind, node.path, node.scope) == ("module", "blocks.1.conv", "blocks.1.conv")
    assert node.scopes == ("", "blocks", "blocks.1")
    assert node.module is model.get_submodule("blocks.1.conv")
    assert node.args == (Ref("blocks.1.inp#0"),)
    assert node.outputs[0].shape == (1, 3, 3, 3)
    assert node.outputs[0].dtype == torch.float32
    assert not node.outputs[0].quantized
    add = flow.node("blocks.1:add#0")
    assert (add.kind, add.function, add.scope, add.path) == ("function", "add", "blocks.1", "")
    assert add.args == add.refs == (Ref("blocks.1.inp#0"), Ref("blocks.1.inp#1"))
    assert add.outputs[0].quantized
    assert flow.node("stem.1#0").outputs[0].quantized
    assert flow.outputs == (Ref("blocks.1:add#0"),)
    assert flow.inputs == (Ref("input:0"),)
    with pytest.raises(KeyError, match=r"blocks\.1\.conv#0"):
        flow.node("block.1.conv#0")


def test_constants_and_nested_arguments() -> None:
    model = calibrated(Positions(), (2, 3, 5))
    flow = capture(model, noise([(2, 3, 5)], 1))
    constant = flow.node("constant:pos_embed")
    assert constant.path == "pos_embed"
    assert constant.tensor is not None
    assert constant.tensor.data_ptr() == model.get_parameter("pos_embed").data_ptr()
    assert flow.node(":cat#0").args == ((Ref(":expand#0"), Ref("input:0")), 1)
    assert flow.node(":arange#0").kwargs == {"dtype": torch.float32}
    flow = capture(Applies(lambda x, n: x[..., :n]).eval(), [torch.ones(2, 3), torch.tensor(2)])
    assert flow.node(":__getitem__#0").args[1] == (..., slice(None, Ref("input:1"), None))
    assert flow.node(":__getitem__#0").refs == (Ref("input:0"), Ref("input:1"))
    keywords = capture(calibrated(Keywords(), (1, 2, 6)), noise([(1, 2, 6)], 1))
    assert keywords.node("gate.act#0").kwargs == {"input": Ref("gate.fc#0")}


class Computes(nn.Module):
    """What is computed of constants alone, of inputs, and of random numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.tensor([[1.0, 2.0]]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scaled = self.token.expand(x.shape[0], -1) * 2
        noise = torch.rand(1, 2) + 1
        return x + scaled + noise


def test_functions_of_constants_keep_their_value() -> None:
    flow = capture(Computes().eval(), [torch.zeros(1, 2)])
    values = {node.function: node.tensor for node in flow.nodes if node.kind == "function"}
    assert values["mul"] is not None
    assert values["mul"].tolist() == [[2.0, 4.0]]
    assert values["rand"] is None
    assert values["add"] is None


def test_outputs_are_named_and_indexed() -> None:
    flow = capture(calibrated(TwoInputs(), (1, 6), (1, 5)), noise([(1, 6), (1, 5)], 1))
    assert flow.output_names == ("sum", "parts.0", "parts.1.a")
    assert flow.outputs == (Ref(":add#0"), Ref("b#0"), Ref("a#0"))
    flow = capture(calibrated(Pieces(), (1, 12)), noise([(1, 12)], 1))
    assert flow.output_names == ("0", "1")
    assert flow.node(":split#0").args == (Ref(":chunk#0", 1), [1, 3])
    assert flow.node(":sub#0").args == (Ref(":max#0"), Ref(":sum#0"))
    assert [output.shape for output in flow.node(":split#0").outputs] == [(1, 1), (1, 3)]


@pytest.mark.parametrize("name", MODELS)
def test_keys_and_structure_are_stable(name: str) -> None:
    build, shapes, _ = MODELS[name]
    model = calibrated(build(), *shapes)
    first, second = (capture(model, [t.abs() for t in noise(shapes, seed)]) for seed in (1, 2))
    assert [node.key for node in first.nodes] == [node.key for node in second.nodes]
    assert len({node.key for node in first.nodes}) == len(first.nodes)
    assert structural_changes(first, second) == ()


def test_on_output_sees_every_value_as_it_was() -> None:
    model = calibrated(InPlace(), (1, 2, 4, 4))
    seen: dict[Ref, torch.Tensor] = {}

    def keep(key: str, index: int, value: torch.Tensor) -> None:
        seen[Ref(key, index)] = torch.mul(value, 1)  # a function, so that it would be recorded

    inputs = noise([(1, 2, 4, 4)], 1)
    flow = capture(model, inputs, on_output=keep)
    produced = [node for node in flow.nodes if node.kind != "constant"]
    assert {Ref(n.key, i) for n in produced for i in range(len(n.outputs))} <= set(seen)
    assert torch.equal(seen[Ref("input:0")], inputs[0])
    assert torch.equal(seen[Ref(":add#0")], inputs[0] + 1)
    relu = seen[Ref("relu#0")]
    assert torch.equal(seen[Ref(":mul#0")], relu * (inputs[0] + 1))
    assert not torch.equal(seen[Ref(":mul#0")], relu)
    assert [node.key for node in flow.nodes] == MODELS["in-place"][2].split()


def test_dead_modules_stay_and_are_listed() -> None:
    class Unused(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.unused = linear(4, 4), linear(4, 4)

        def forward(self, x: torch.Tensor, y: torch.Tensor) -> Any:
            self.unused(x + 1)
            torch.sqrt(x)
            return self.used(x)

    flow = capture(calibrated(Unused(), (1, 4), (1, 4)), noise([(1, 4), (1, 4)], 1))
    assert [node.key for node in flow.nodes] == [
        "input:0",
        "input:1",
        ":add#0",
        "unused#0",
        "used#0",
    ]
    assert flow.dead == (":add#0", "unused#0")
    assert flow.problems == ()


def test_identity_like_calls_hand_provenance_on() -> None:
    class Identities(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inp, self.drop, self.same = quantize(), nn.Dropout(0.5), nn.Identity()

        def forward(self, x: torch.Tensor) -> Any:
            q = self.same(self.drop(self.inp(x)))
            return q.contiguous().detach().value.to(torch.float32)

    flow = capture(calibrated(Identities(), (1, 4)), noise([(1, 4)], 1))
    chain = ["input:0", "inp#0", "drop#0", "same#0", ":contiguous#0", ":detach#0", ":to#0"]
    assert [node.key for node in flow.nodes] == chain
    assert [node.refs[0].node for node in flow.nodes[1:]] == chain[:-1]
    assert [node.outputs[0].quantized for node in flow.nodes[1:]] == [True] * 3 + [False] * 3


def test_quant_tensor_access_and_subtraction() -> None:
    class Accesses(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inp = quantize()

        def forward(self, x: torch.Tensor) -> Any:
            q = self.inp(x)
            value, scale, *_ = q
            return q[0] + value, q.tensor * scale, q.set(value=q.value[1:]), (q + q) - q

    shapes = [(3, 4)]
    flow = capture(calibrated(Accesses(), *shapes), noise(shapes, 1))
    assert flow.problems == ()
    assert flow.node(":add#0").args == (Ref("inp#0"), Ref("inp#0"))
    assert flow.node(":mul#0").args == (Ref("inp#0"), Ref("constant:inp#0.scale"))
    assert flow.node(":__getitem__#0").outputs[0].quantized
    inputs = noise(shapes, 2)
    codes, *_ = calibrated(Accesses(), *shapes)(*inputs)
    assert torch.equal(replay(flow, inputs)[0], codes)


def test_user_hooks_on_a_leaf_are_part_of_the_graph() -> None:
    model = calibrated(nn.Sequential(linear(4, 4), nn.Flatten()), (2, 4))
    model[0].register_forward_hook(lambda module, args, output: output * 2)
    flow = capture(model, noise([(2, 4)], 1))
    assert [node.key for node in flow.nodes] == ["input:0", "0#0", ":mul#0", "1#0"]


class Defaults(qnn.QuantLinear):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, weight_bit_width=4)


class Doubled(qnn.QuantLinear):
    def forward(self, input: Any) -> Any:
        return super().forward(input) * 2


def test_leaf_rule() -> None:
    def keys(model: nn.Module, **options: Any) -> list[str]:
        return [n.key for n in capture(model.eval(), noise([(2, 4)], 1), **options).nodes]

    assert keys(Defaults(4, 4)) == ["input:0", "#0"]
    assert keys(nn.Sequential(Defaults(4, 4))) == ["input:0", "0#0"]
    assert keys(nn.Sequential(Gated()), is_leaf=lambda m: isinstance(m, Gated)) == [
        "input:0",
        "0#0",
    ]
    assert keys(nn.Sequential(Gated())) == ["input:0", "0.fc#0", "0:sigmoid#0", "0:mul#0"]
    assert keys(Gated(), is_leaf=lambda m: isinstance(m, Gated)) == ["input:0", "#0"]


class Takes(nn.Module):
    def forward(self, options: Mapping[str, torch.Tensor]) -> Any:
        return options["x"] + 1


def test_any_mapping_is_an_argument() -> None:
    flow = capture(Passes().eval(), noise([(2,)], 1), is_leaf=lambda m: isinstance(m, Takes))
    assert flow.node("takes#0").args == ({"x": Ref("input:0")},)


class Passes(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.takes = Takes()

    def forward(self, x: torch.Tensor) -> Any:
        return self.takes(MappingProxyType({"x": x}))


class Gated(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> Any:
        return self.fc(x).sigmoid() * x


# ---- names -------------------------------------------------------------------------------------

# what is written: the function it is recorded as
SPELLINGS: list[tuple[Callable[[torch.Tensor], Any], str]] = [
    (lambda x: x + 1, "add"),
    (lambda x: 1 + x, "add"),
    (lambda x: torch.add(x, 1), "add"),
    (lambda x: x.add_(1), "add"),
    (lambda x: x.__iadd__(1), "add"),
    (lambda x: torch.ops.aten.add(x, 1), "add"),
    (lambda x: torch.ops.aten.add.Tensor(x, x), "add"),
    (lambda x: x - 1, "sub"),
    (lambda x: 1 - x, "rsub"),
    (lambda x: torch.subtract(x, 1), "sub"),
    (lambda x: 3 * x, "mul"),
    (lambda x: x.multiply_(3), "mul"),
    (lambda x: x / 3, "div"),
    (lambda x: 3 / x, "rdiv"),
    (lambda x: x.true_divide(3), "div"),
    (lambda x: x // 3, "floor_divide"),
    (lambda x: 3 // x, "rfloor_divide"),
    (lambda x: x % 3, "remainder"),
    (lambda x: 3 % x, "rremainder"),
    (lambda x: x**2, "pow"),
    (lambda x: 2**x, "rpow"),
    (lambda x: x @ x.T, "matmul"),
    (lambda x: x.__rmatmul__(x.T), "rmatmul"),
    (lambda x: -x, "neg"),
    (lambda x: abs(x), "abs"),
    (lambda x: (x > 0) & (x < 1), "bitwise_and"),
    (lambda x: ~(x > 0), "bitwise_not"),
    (lambda x: x >= 0, "ge"),
    (lambda x: torch.concat([x, x]), "cat"),
    (lambda x: x.swapaxes(0, 1), "transpose"),
    (lambda x: x.clip(0, 1), "clamp"),
    (lambda x: x.mT, "mT"),
    (lambda x: x.data, "data"),
    (lambda x: x.relu_(), "relu"),
    (lambda x: F.relu(x), "relu"),
    (lambda x: F.gelu(x), "gelu"),
    (lambda x: F.softmax(x, dim=-1), "softmax"),
    (lambda x: x[:, 1], "__getitem__"),
    (lambda x: x.mean(1), "mean"),
]


class Applies(nn.Module):
    """A function as a model."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *args: torch.Tensor) -> Any:
        return self.function(*args)


@pytest.mark.parametrize(("function", "name"), SPELLINGS)
def test_names(function: Callable[[torch.Tensor], Any], name: str) -> None:
    model = Applies(function).eval()
    flow = capture(model, noise([(2, 3)], 1))
    assert flow.problems == ()
    assert flow.nodes[-1].function == name
    (inputs,) = noise([(2, 3)], 2)
    (got,) = replay(flow, [inputs])
    assert torch.equal(got, model(inputs.clone()))


# ---- problems ----------------------------------------------------------------------------------


@functools.cache
def scripted_tanh() -> Any:
    return torch.jit.trace(nn.Tanh(), torch.zeros(2, 4))


class Holder(nn.Module):
    """Layers, a buffer and a plain attribute for the functions of `FAULTS`."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function
        self.inp, self.fc, self.drop = quantize(), linear(4, 4), nn.Dropout(0.5)
        self.doubled, self.relu = Doubled(4, 4), nn.ReLU(inplace=True)
        self.listed = [nn.Linear(4, 4)]
        self.register_buffer("count", torch.zeros(4))
        self.plain = torch.full((4,), 2.0)
        self.scripted = scripted_tanh()

    def forward(self, x: torch.Tensor) -> Any:
        return self.function(self, x)


class Opaque:
    def __init__(self, tensor: torch.Tensor) -> None:
        self.tensor = tensor


class Rounds(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return x.round()


def through_a_view(m: Any, x: torch.Tensor) -> Any:
    y = m.fc(x)
    y[:, 0].zero_()
    return y


def through_data(m: Any, x: torch.Tensor) -> Any:
    y = m.fc(x)
    y.data.mul_(2)
    return y


def after_a_view(m: Any, x: torch.Tensor) -> Any:
    y = m.fc(x)
    z = y.view(-1)
    y += 1
    return z * 2


def leaf_writes(m: Any, x: torch.Tensor) -> Any:
    y = m.fc(x)
    rows = y.unbind(0)
    m.relu(y)
    return rows[0] - 1


def assigns(m: Any, x: torch.Tensor) -> Any:
    m.count = m.count + 1
    return x * 2


def sets_data(m: Any, x: torch.Tensor) -> Any:
    y, z = m.fc(x), x * 2
    y.data = z
    return y + z


def sets_weight(m: Any, x: torch.Tensor) -> Any:
    m.count.data = torch.ones(4)
    return x * 2


def to_generator(m: Any, x: torch.Tensor) -> Any:
    return x + torch.rand(4, generator=torch.Generator().manual_seed(1))


# function of Holder and x, kind, part of the message
FAULTS: list[tuple[Callable[[Any, torch.Tensor], Any], str, str]] = [
    (lambda m, x: m.fc(x) if x.mean() > 0 else x, "data_dependent", "'__bool__' hands to Python"),
    (lambda m, x: x * m.fc(x).max().item(), "data_dependent", "'item'"),
    (lambda m, x: x * float(x.sum()), "data_dependent", "'__float__'"),
    (lambda m, x: x * int(x.sum()), "data_dependent", "'__int__'"),
    (lambda m, x: x[[1, 0][x.argmax() % 2]], "data_dependent", "'__index__'"),
    (lambda m, x: x * x.tolist()[0][0], "data_dependent", "'tolist'"),
    (lambda m, x: x * torch.from_numpy(x.numpy()), "data_dependent", "'numpy'"),
    (lambda m, x: x * torch.tensor(np.asarray(x)), "data_dependent", "'__array__'"),
    (lambda m, x: x * 2 if 3.0 in x else x, "data_dependent", "'__contains__'"),
    (lambda m, x: x if torch.equal(x, -x) else x + 1, "data_dependent", "'equal'"),
    (lambda m, x: x if m.inp(x).value.sum().is_nonzero() else -x, "data_dependent", "'is_nonzero'"),
    (lambda m, x: x * m.scripted(x).sum().item(), "data_dependent", "values of :sum#0"),
    (lambda m, x: x * x[x > 0].shape[0], "data_dependent", "shape of :__getitem__#0"),
    (lambda m, x: x * x.nonzero().shape[0], "data_dependent", "shape of :nonzero#0"),
    (lambda m, x: x[: x.argmax() % 2 + 1], "data_dependent", "shape of :__getitem__#0"),
    (lambda m, x: x + 1 if torch.rand(1) > 2 else x, "data_dependent", "'__bool__'"),
    (lambda m, x: x + torch.randn(4), "random", "'randn' draws"),
    (lambda m, x: x + torch.rand_like(x), "random", "'rand_like' draws"),
    (lambda m, x: x + torch.empty(4).uniform_(), "random", "'uniform' draws"),
    (lambda m, x: F.dropout(x, 0.5), "random", "'dropout' draws"),
    (lambda m, x: torch.bernoulli(x.sigmoid()), "random", "'bernoulli' draws"),
    (to_generator, "random", "'rand' draws"),
    (through_a_view, "inplace_view", "output '0' was changed in place through another"),
    (through_data, "inplace_view", "output '0' was changed in place through another"),
    (after_a_view, "inplace_view", ":view#0 is used after it was changed in place"),
    (leaf_writes, "inplace_view", ":unbind#0 is used after it was changed in place"),
    (lambda m, x: x + m.count.add_(1), "inplace_state", ":add#0 writes into 'count'"),
    (lambda m, x: x + m.count[1:].fill_(1)[0], "inplace_state", ":fill#0 writes into 'count'"),
    (sets_weight, "inplace_state", ":set_data#0 writes into 'count'"),
    (assigns, "inplace_state", "forward assigned 'count' anew"),
    (lambda m, x: x * m.plain, "unknown_origin", "plain is a plain tensor attribute"),
    (lambda m, x: x + torch.Tensor([1.0]), "unknown_origin", "no recorded operation computed"),
    (lambda m, x: x + m.scripted(x), "unknown_origin", "no recorded operation computed"),
    (lambda m, x: m.scripted(x), "unknown_origin", "the output uses a tensor that no recorded"),
    (
        lambda m, x: F.linear(x, m.listed[0].weight),
        "unknown_origin",
        "a parameter that no module registers",
    ),
    (
        lambda m, x: m.listed[0](x),
        "unregistered",
        "a Linear is held in the plain container listed",
    ),
    (lambda m, x: m.listed[0](input=x), "unregistered", "in the plain container listed"),
    (lambda m, x: nn.Linear(4, 4)(x), "made_in_forward", "a Linear is made anew in forward"),
    (
        lambda m, x: nn.Sequential(nn.GELU(), linear(4, 4))(x),
        "made_in_forward",
        "a Sequential is made",
    ),
    (lambda m, x: m.fc.forward(x), "bypassed_leaf", "uses 'fc.input_quant."),
    (lambda m, x: F.linear(x, m.fc.weight), "bypassed_leaf", "'fc.weight' of a layer"),
    (
        lambda m, x: F.linear(x, m.fc.quant_weight().value),
        "bypassed_leaf",
        "'fc.weight' of a layer",
    ),
    (lambda m, x: m.doubled(x), "bypassed_leaf", "'doubled.weight' of a layer"),
    (lambda m, x: (x + 1, Opaque(x)), "unsupported_output", "forward returns a Opaque"),
    (lambda m, x: None, "unsupported_output", "forward returns no tensor"),
]


@pytest.mark.parametrize(("function", "kind", "message"), FAULTS)
def test_problems(function: Callable[[Any, torch.Tensor], Any], kind: str, message: str) -> None:
    model = calibrated(Holder(lambda m, x: m.fc(m.inp(x).value) + m.doubled(x)), (3, 4))
    model.function = function
    flow = capture(model, noise([(3, 4)], 1))
    (found,) = {(p.kind, p.message) for p in flow.problems if message in p.message}
    assert found[0] == kind
    for problem in flow.problems:
        assert problem.suggestion == PROBLEM_KINDS[problem.kind]
        assert problem.where in dict(model.named_modules())


HARMLESS: list[Callable[[Any, torch.Tensor], Any]] = [
    lambda m, x: x * m.inp(x).scale.item(),
    lambda m, x: m.inp(x).value if m.inp(x).signed else x,
    lambda m, x: m.inp(x).value if m.inp(x).is_valid else x,
    lambda m, x: x * 2 if m.count.sum() == 0 and torch.zeros(2).tolist() else x,
    lambda m, x: (m.inp(x) - m.inp(x), f"{x}", repr(x), x.type(), torch.is_tensor(x)),
    lambda m, x: x * len(x) * x.element_size() * x.stride(0) * (x.is_contiguous() + x.ndim),
    lambda m, x: m.inp(x).int().float() * 2,
    lambda m, x: x.view(-1).mul_(2).relu_(),
    lambda m, x: Rounds.apply(x) * 2,
    sets_data,
    lambda m, x: m.drop(x).requires_grad_(False) * 2,
    lambda m, x: (torch.randn(1) if m.training else x) * 2,
    lambda m, x: [m.fc(row[None]) for row in x],
    lambda m, x: F.linear(x, m.count.expand(4, 4)),
]


@pytest.mark.parametrize("function", HARMLESS)
def test_harmless_code_is_no_problem(function: Callable[[Any, torch.Tensor], Any]) -> None:
    model = calibrated(Holder(lambda m, x: m.fc(m.inp(x).value) + m.doubled(x)), (3, 4))
    model.function = function
    flow = capture(model, noise([(3, 4)], 1))
    assert flow.problems == ()
    (inputs,) = noise([(3, 4)], 2)
    expected = [value_of(t) for t in tensors_of(model(inputs.clone()))]
    assert all(torch.equal(*pair) for pair in zip(replay(flow, [inputs]), expected, strict=True))


def test_training_mode_is_a_problem_and_changes_nothing() -> None:
    model = calibrated(nn.Sequential(linear(4, 4), nn.Dropout(0.5)), (2, 4))
    model[1].train()
    state = copy.deepcopy(model.state_dict())
    flow = capture(model, noise([(2, 4)], 1))
    assert [(p.kind, p.where) for p in flow.problems] == [("training", "1")]
    assert [module.training for module in model] == [False, True]
    assert not model.training
    model.train()
    capture(model, noise([(2, 4)], 1))
    assert all(module.training for module in model.modules())
    assert all(torch.equal(state[name], value) for name, value in model.state_dict().items())


@pytest.mark.parametrize(
    "change",
    [
        lambda m, x: (x + 1) * random.random(),
        lambda m, x: x if random.random() < 0.5 else x + 1,
        lambda m, x: (x, x + 1)[:: random.choice([1, -1])],
    ],
)
def test_changed_structure(change: Callable[..., Any]) -> None:
    model = Holder(change).eval()
    seen = set()
    for seed in range(8):
        random.seed(seed)
        first = capture(model, noise([(3, 4)], 1))
        random.seed(seed + 1)
        second = capture(model, noise([(3, 4)], 2))
        seen |= {problem.kind for problem in structural_changes(first, second)}
        assert structural_changes(first, first) == ()
    assert seen == {"changed_structure"}


def test_every_kind_is_tested() -> None:
    assert {kind for _, kind, _ in FAULTS} | {"training", "changed_structure"} == set(PROBLEM_KINDS)


def test_branch_is_flagged_and_named() -> None:
    model = calibrated(Branches(), (2, 6))
    flow = capture(nn.Sequential(model).eval(), noise([(2, 6)], 1))
    (problem,) = flow.problems
    assert (problem.kind, problem.node, problem.where) == ("data_dependent", "0:gt#0", "0")


# ---- the model is left alone -------------------------------------------------------------------


def hooks_of(model: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


@pytest.mark.parametrize("name", MODELS)
def test_model_and_inputs_are_unchanged(name: str) -> None:
    build, shapes, _ = MODELS[name]
    model = calibrated(build(), *shapes)
    model.register_forward_hook(lambda *_: None)
    state = copy.deepcopy(model.state_dict())
    names = {id(module): sorted(vars(module)) for module in model.modules()}
    inputs = noise(shapes, 1)
    capture(model, inputs)
    assert hooks_of(model) == 1
    assert names == {id(module): sorted(vars(module)) for module in model.modules()}
    assert all(torch.equal(state[key], value) for key, value in model.state_dict().items())
    assert all(torch.equal(*pair) for pair in zip(inputs, noise(shapes, 1), strict=True))


def test_error_names_the_innermost_module() -> None:
    model = calibrated(nn.Sequential(nn.Sequential(linear(4, 4)), nn.Flatten()), (2, 4))
    with pytest.raises(
        CaptureError, match=r"module '0\.0' \(QuantLinear\): RuntimeError: "
    ) as caught:
        capture(model, noise([(2, 5)], 1))
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value.__cause__, RuntimeError)
    assert hooks_of(model) == 0
    with pytest.raises(CaptureError, match=r"the model \(Sequential\): TypeError: "):
        capture(model, noise([(2, 4), (2, 4)], 1))
    assert capture(model, noise([(2, 4)], 1)).problems == ()


def test_errors_of_the_callback_pass() -> None:
    model = calibrated(nn.Sequential(linear(4, 4)), (2, 4))

    def refuse(key: str, index: int, value: torch.Tensor) -> None:
        if key == "0#0":
            raise LookupError(key)

    with pytest.raises(LookupError, match="0#0"):
        capture(model, noise([(2, 4)], 1), on_output=refuse)
    assert hooks_of(model) == 0


def test_error_that_forward_handles() -> None:
    def fallback(m: Any, x: torch.Tensor) -> Any:
        try:
            return m.fc(x[:, :3])
        except RuntimeError:
            return m.fc(x) + 1

    model = calibrated(Holder(fallback), (2, 4))
    flow = capture(model, noise([(2, 4)], 1))
    assert [node.key for node in flow.nodes] == ["input:0", "fc#0", ":add#0"]
    assert flow.problems == ()


def test_runs_in_any_gradient_mode() -> None:
    model = calibrated(Composite(), (1, 3, 6, 6))
    inputs = noise([(1, 3, 6, 6)], 1)
    plain_keys = [node.key for node in capture(model, inputs).nodes]
    with torch.inference_mode():
        assert [node.key for node in capture(model, noise([(1, 3, 6, 6)], 1)).nodes] == plain_keys
        (problem,) = capture(Applies(lambda x: [x.view(-1), x.add_(1)][0]).eval(), inputs).problems
        assert problem.kind == "inplace_view"
    inputs[0].requires_grad_()
    flow = capture(model, inputs)
    assert [node.key for node in flow.nodes] == plain_keys
