"""Every code that the float32 model has otherwise is followed to a tie, and what no tie explains is named."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import ares.witness_float32
from ares.extract import extract
from ares.ir import Graph
from ares.ops import run_reference
from ares.witness import Witness
from ares.witness_float32 import explain, run_alone
from ares.witness_partings import Float32Run, together
from tests.extract.models import Net, calibrated, conv, plain_identity, relu, seeded

Array = np.ndarray
SHAPE = (1, 8, 16, 16)
SAMPLES = 6


@dataclass(frozen=True)
class Judged:
    """A network of three layers in a row, and its exact tensors for some samples."""

    model: Any
    graph: Graph
    inputs: Sequence[Array]
    tensors: Mapping[str, Array]

    def run(self, **other: Any) -> Float32Run:
        """What is said of it, or with another model, Graph or tensors."""
        case = replace(self, **other)
        witness = Witness(self.model, case.graph)
        return explain(witness, case.model, case.inputs, case.tensors, [case.graph.outputs[0]])


def _coarse(x: torch.Tensor) -> torch.Tensor:
    """What means the same, and float32 rounds to 2^-14: many values lie on ties to that."""
    return x + 1000.0 - 1000.0


@cache
def judged() -> Judged:
    layers = {"q": plain_identity, "c": lambda: conv(8, 8), "r": relu, "d": lambda: conv(8, 8)}
    model = calibrated(
        seeded(
            lambda: Net(
                lambda m, x: m.s(_coarse(m.d(m.r(m.c(m.q(x)))))),
                **{name: make() for name, make in layers.items()},
                s=relu(),
            )
        ),
        SHAPE,
    )
    graph = extract(model, [torch.zeros(SHAPE)], "net")
    draw = np.random.Generator(np.random.PCG64(3))
    inputs = [draw.normal(0.0, 1.0, (SAMPLES, *SHAPE[1:])).astype(np.float32)]
    return Judged(model, graph, inputs, _reference(graph, inputs))


@cache
def unaltered() -> Float32Run:
    return judged().run()


def _reference(graph: Graph, inputs: Sequence[Array]) -> Mapping[str, Array]:
    found = [run_reference(graph, [x[k : k + 1] for x in inputs]) for k in range(len(inputs[0]))]
    return {
        tensor.name: np.concatenate([arrays[tensor.name] for arrays in found])
        for _, tensor in graph.produced()
    }


def test_differences_stem_from_ties() -> None:
    """Counted on the model's own output, which nothing of the witness has seen."""
    case = judged()
    found = unaltered()
    output = case.graph.tensor(case.graph.outputs[0])
    with torch.no_grad():
        result = case.model(torch.from_numpy(case.inputs[0]))
    value = getattr(result, "value", result).double().numpy()
    codes = np.rint(value / output.scale) + output.zero_point
    assert found.differing == np.count_nonzero(codes != case.tensors[output.name]) > 0
    assert found.codes == codes.size
    assert found.unexplained == 0
    assert found.ties > 3
    assert all(0 < parting.distance <= parting.allowed < 0.1 for parting in found.partings)
    assert str(found).endswith("none unexplained")
    assert f"all stem from {found.ties} tie" in str(found)


def test_every_tie_is_one() -> None:
    """The float64 value of each first cause is half a code away from a code, to what float32 rounds."""
    for parting in unaltered().partings:
        assert abs(parting.real % 1.0 - 0.5) <= parting.allowed
        assert abs(parting.float32 - parting.exact) == 1.0


def _middle(tensor: str) -> tuple[int, ...]:
    """An element far from both ends."""
    found = judged().tensors[tensor]
    return tuple(int(i) for i in np.argwhere((found > 20) & (found < 100))[7])


def _altered(tensor: str, place: tuple[int, ...]) -> Callable[..., Mapping[str, Array]]:
    def run(*args: Any) -> Mapping[str, Array]:
        found = dict(run_alone(*args))
        found[tensor] = found[tensor].copy()
        found[tensor][place] += 1
        return found

    return run


def test_one_code_of_the_run_altered(monkeypatch: pytest.MonkeyPatch) -> None:
    last = judged().graph.outputs[0]
    place = _middle(last)
    monkeypatch.setattr(ares.witness_float32, "run_alone", _altered(last, place))
    found = judged().run()
    (wrong,) = [parting for parting in found.partings if parting.unexplained]
    assert (wrong.tensor, wrong.index, wrong.unexplained) == (last, place, 1)
    assert wrong.float32 == wrong.exact + 1
    assert wrong.why == "the run differs from what the same layer makes of the same codes"
    assert str(found).endswith("; 1 unexplained")


def test_one_code_of_a_layer_altered_in_the_model() -> None:
    """Float32 alone computes three codes more in one element; what follows from it is a consequence."""
    case = judged()
    first = next(tensor.name for op, tensor in case.graph.produced() if op.name == "c")
    place = _middle(first)
    step = 3 * case.graph.tensor(first).scale

    class Off(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if x.dtype == torch.float64:
                return x
            off = torch.zeros_like(x)
            off[place] = step
            return x + off

    def forward(m: Any, x: torch.Tensor) -> Any:
        return m.s(_coarse(m.d(m.r(m.off(m.c(m.q(x)))))))

    model = Net(forward, **dict(case.model.named_children()), off=Off()).eval()
    found = case.run(model=model)
    (wrong,) = [parting for parting in found.partings if parting.unexplained]
    assert (wrong.tensor, wrong.index, wrong.unexplained) == (first, place, 1)
    assert wrong.float32 == wrong.exact + 3
    assert 2 < wrong.distance < 3
    assert wrong.why == ""
    assert found.differing > unaltered().differing


@pytest.mark.parametrize("layer", ["c", "d"])
def test_a_wrong_scale_in_the_graph(layer: str) -> None:
    """A layer that scales by 0.99 of what it should: it is named, and none before it."""
    case = judged()

    def changed(operation: Any) -> Any:
        if operation.name != layer:
            return operation
        multiplier = np.rint(0.99 * operation.rescale.multiplier).astype(np.int64)
        return replace(operation, rescale=replace(operation.rescale, multiplier=multiplier))

    graph = replace(case.graph, operations=tuple(map(changed, case.graph.operations)))
    found = case.run(graph=graph, tensors=_reference(graph, case.inputs))
    wrong = [parting for parting in found.partings if parting.unexplained]
    producers = {tensor.name: op.name for op, tensor in graph.produced()}
    assert [producers[parting.tensor] for parting in wrong] == [layer]
    assert wrong[0].distance > 10 * wrong[0].allowed


def test_cases_are_put_together() -> None:
    case = judged()
    whole = unaltered()
    single = [
        case.run(
            inputs=[x[k : k + 1] for x in case.inputs],
            tensors={name: array[k : k + 1] for name, array in case.tensors.items()},
        )
        for k in range(4)
    ]
    found = together(single)
    assert found.codes == 4 * whole.codes // SAMPLES
    assert found.differing == sum(run.differing for run in single)
    assert found.ties == sum(run.ties for run in single)
    assert all(parting.index[0] < 4 for parting in found.partings)


def test_nothing_is_left_on_the_model() -> None:
    model = judged().model
    judged().run()
    assert not any(module._forward_hooks for module in model.modules())
    assert next(model.parameters()).dtype == torch.float32
