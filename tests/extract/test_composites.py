"""Constants that meet a quantiser, calls with several outputs, and composites as one layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ares.extract import Finding, analyse
from ares.ir import Composite, Graph, GraphError, GraphFileError, save_graph
from ares.nn import QuantAdd, QuantMambaWrapper, QuantMultiHeadAttention
from ares.ops import read_graph
from tests.extract.models import (
    Net,
    calibrated,
    checked,
    identity,
    kinds,
    linear,
    refused,
    seeded,
)

TOKENS = (1, 5, 6)


class Positions(nn.Module):
    """x + table, as a learned position table is."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.linspace(-1.0, 2.0, torch.Size(shape).numel()).view(shape))
        self.table_quant = identity()
        self.quant_in = identity()
        self.quant = identity()

    def forward(self, x: Tensor) -> Tensor:
        x = self.quant_in(x).value
        result: Tensor = self.quant(x + self.table_quant(self.table).value)
        return result


def test_a_quantised_parameter_is_a_constant() -> None:
    graph = checked(Positions(1, 5, 6), TOKENS, c=True)
    assert kinds(graph) == ["quantize", "constant", "add"]
    assert graph.tensor("table_quant").shape == (1, 5, 6)


def test_a_constant_may_be_smaller_than_what_it_is_added_to() -> None:
    checked(Positions(1, 1, 6), TOKENS, c=True)


def test_a_constant_may_be_an_output_and_an_operand_of_a_linear_layer() -> None:
    def forward(m: nn.Module, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        table = m.table_quant(m.positions.table)
        return m.quant(x), table, m.after(m.fc(table))

    model = Net(
        forward,
        positions=Positions(1, 3, 6),
        table_quant=identity(),
        quant=identity(),
        fc=linear(6, 4),
        after=identity(),
    )
    graph = checked(model, TOKENS, c=True)
    assert kinds(graph) == ["constant", "quantize", "linear"]


def test_a_constant_without_batch_axis_is_refused() -> None:
    finding = refused(calibrated(Positions(6), TOKENS), TOKENS)
    assert "the constant 'table' of shape [6]" in finding.reason
    assert "[1, ...]" in finding.suggestion


# --- composites


def attention(**options: Any) -> QuantMultiHeadAttention:
    return QuantMultiHeadAttention(6, 2, 5, "none", **options)


def lines(model: nn.Module, *shapes: tuple[int, ...]) -> list[Finding]:
    """The findings on a calibrated model, none of them an error."""
    analysis = analyse(calibrated(model, *shapes), [torch.ones(shape) for shape in shapes], "net")
    assert not analysis.errors
    return list(analysis.findings)


def test_a_composite_is_one_line_before_its_stages() -> None:
    model = Net(lambda m, x: m.fc(m.attn(m.x(x))), x=identity(), attn=attention(), fc=linear(6, 2))
    found = lines(model, TOKENS)
    assert [finding.layer for finding in found][:3] == ["x", "attn", "attn.q"]
    (own,) = (finding for finding in found if finding.layer == "attn")
    assert (own.layer_type, own.op_type) == ("QuantMultiHeadAttention", "OP_MHSA")
    assert own.reason == "mapped to OP_MHSA"
    stages = [finding for finding in found if finding.layer.startswith("attn.") and finding.op_type]
    assert all(stage.reason == f"{stage.op_type}, a stage of attn" for stage in stages)
    assert len(stages) == 7
    assert found[-1].layer == "fc"
    graph = checked(model, TOKENS)
    (composite,) = graph.composites
    assert composite == Composite(
        "attn", "OP_MHSA", "MultiheadSelfAttention", tuple(stage.layer for stage in stages)
    )


def test_a_composite_called_twice_is_two_layers() -> None:
    model = Net(lambda m, x: m.attn(m.attn(m.x(x))), x=identity(), attn=attention())
    graph = checked(seeded(lambda: model), TOKENS, c=True)
    first, second = graph.composites
    assert (first.name, second.name) == ("attn", "attn#1")
    assert second.members == tuple(f"{name}#1" for name in first.members)


def test_composites_do_not_nest() -> None:
    model = Net(lambda m, x: m.mamba(m.x(x)), x=identity(), mamba=QuantMambaWrapper(6, 8, 2))
    graph = checked(seeded(lambda: model), TOKENS, c=True)
    (composite,) = graph.composites
    assert (composite.name, composite.op_type) == ("mamba", "OP_MAMBA_WRAPPER")
    assert composite.members == tuple(op.name for op in graph.operations[1:])


class Chunked(QuantMultiHeadAttention):
    """One call with two outputs and bare functions, where its base has modules."""

    def __init__(self) -> None:
        super().__init__(6, 2, 5, "none")
        self.both = linear(6, 12)
        self.both_quant = identity()
        self.one = identity()
        self.two = identity()

    def forward(self, x: Any) -> Any:
        a, b = self.both_quant(self.both(x)).value.chunk(2, dim=-1)
        a = self.one(F.relu(a)).value
        b = self.two(F.relu(b)).value
        y = self.context(self.weights(self.scores(self.q(a), self.k(b))), self.v(a))
        return self.proj(y)


def test_functions_in_a_subclass_are_part_of_one_layer() -> None:
    """A function called twice in one call of the composite does not make two of it."""
    model = seeded(
        lambda: Net(
            lambda m, x: m.fc(m.attn(m.x(x))), x=identity(), attn=Chunked(), fc=linear(6, 2)
        )
    )
    graph = checked(model, TOKENS, c=True)
    (composite,) = graph.composites
    assert composite.name == "attn"
    assert composite.op_type == "OP_MHSA"
    inside = [op.name for op in graph.operations if op.name.startswith("attn")]
    assert tuple(inside) == composite.members
    assert kinds(graph).count("slice") == 2
    assert kinds(graph).count("relu") == 2


def test_an_operation_that_waits_outside_moves_before_the_composite() -> None:
    """The sum's terms are computed before attention, its quantiser comes while attention is under way."""

    class Late(QuantMultiHeadAttention):
        def forward(self, x: Any, outside: Any) -> Any:
            q = self.q(x)
            late = outside()
            y = self.proj(self.context(self.weights(self.scores(q, self.k(x))), self.v(x)))
            return y, late

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.x = identity()
            self.fc = linear(6, 6)
            self.quant = identity()
            self.attn = Late(6, 2, 5, "none")
            self.add = QuantAdd()

        def forward(self, x: Tensor) -> Any:
            x = self.x(x)
            pending = self.fc(x)
            y, late = self.attn(x, lambda: self.quant(pending))
            return self.add(y, late)

    graph = checked(seeded(Model), TOKENS, c=True)
    (composite,) = graph.composites
    order = [operation.name for operation in graph.operations]
    assert order[:2] == ["x", "fc"]
    assert tuple(order[2:-1]) == composite.members
    assert order[-1] == "add"


def test_an_operation_that_needs_the_inside_before_it_ends_is_refused() -> None:
    class Leaking(QuantMultiHeadAttention):
        def forward(self, x: Any, outside: Any) -> Any:
            q = self.q(x)
            late = outside(q)
            return self.proj(self.context(self.weights(self.scores(late, self.k(x))), self.v(x)))

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.x = identity()
            self.fc = linear(6, 6)
            self.quant = identity()
            self.attn = Leaking(6, 2, 5, "none")

        def forward(self, x: Tensor) -> Any:
            return self.attn(self.x(x), lambda q: self.quant(self.fc(q)))

    analysis = analyse(calibrated(seeded(Model), TOKENS), [torch.ones(TOKENS)], "net")
    assert analysis.graph is None
    (finding,) = analysis.errors
    assert "attn: fc uses a value inside it before it has ended" in finding.reason


@pytest.fixture(scope="module")
def two() -> Graph:
    model = Net(lambda m, x: m.attn(m.attn(m.x(x))), x=identity(), attn=attention())
    return checked(seeded(lambda: model), TOKENS)


DAMAGED: dict[str, tuple[Callable[[tuple[str, ...]], tuple[str, ...]], str]] = {
    "none": (lambda names: (), "has no operations of its own"),
    "unknown": (lambda names: ("attn.nothing", *names[1:]), "has no operations of its own"),
    "unknown later": (lambda names: (*names[:-1], "attn.nothing"), "do not follow one another"),
    "other order": (lambda names: names[::-1], "do not follow one another"),
    "a gap": (lambda names: (names[0], *names[2:]), "do not follow one another"),
    "twice": (lambda names: (names[0], names[0]), "do not follow one another"),
    "past the end": (lambda names: (*names, names[0]), "do not follow one another"),
    "another's": (lambda names: (*names, f"{names[0]}#1"), "has no operations of its own"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_wrong_members_are_refused(two: Graph, name: str) -> None:
    """In memory and in a Graph file, with one line that names the composite."""
    change, says = DAMAGED[name]
    first, second = two.composites
    damaged = replace(two, composites=(replace(first, members=change(first.members)), second))
    with pytest.raises(GraphError, match=says) as caught:
        damaged.validate()
    assert "attn" in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises((GraphError, GraphFileError), match=says):
        read_graph(save_graph(damaged))
    assert two.validate() is two
