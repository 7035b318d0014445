"""What is recorded of a call: its arguments, outputs, names, constants; and which modules are leaves."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import brevitas.nn as qnn
import pytest
import torch
from torch import nn

from ares.capture import Ref, capture
from tests.capture.models import (
    MODELS,
    Applies,
    Composite,
    InPlace,
    Keywords,
    Pieces,
    Positions,
    TwoInputs,
    calibrated,
    linear,
    noise,
    quantize,
)
from tests.capture.replaying import replay


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
