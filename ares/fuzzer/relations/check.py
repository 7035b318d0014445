"""All sides of a relation through ARES: extracted, computed by the reference, compiled, run, and compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from ares.emit import emit
from ares.extract import ExtractionError, extract
from ares.fuzzer.inputs import cases_of
from ares.fuzzer.relations.related import Array, Arrays, Related, Side
from ares.ir import Graph, Tensor, Trace
from ares.ops import run_reference
from ares.plan import plan
from ares.toolchain import Target
from ares.toolchain.library import Ran, Work, run_batch
from ares.verdict import first_difference
from ares.witness import as_real

CASES = ("random", "extremes", "ties", "one hot")


@dataclass(frozen=True, slots=True)
class Checked:
    """`difference`: what is not as the relation says, "" where all is. `refused`: why a side cannot be compiled.

    `compared` counts elements of outputs, over cases and sides.
    """

    relation: str
    difference: str = ""
    refused: str = ""
    compared: int = 0


@dataclass(frozen=True, slots=True)
class _Stage:
    """One model of a side: its Graph, its inputs of every case, and what the reference makes of them."""

    graph: Graph
    cases: Sequence[Arrays]
    expected: Sequence[dict[str, Array]]

    def outputs(self, case: int) -> list[Array]:
        return [self.expected[case][name] for name in self.graph.outputs]

    def values(self, case: int) -> list[Array]:
        """What the output codes mean: what a model behind this one is given."""
        tensors = self.graph.tensors_of(self.graph.outputs)
        return [_decoded(t, a) for t, a in zip(tensors, self.outputs(case), strict=True)]


def check(related: Related, seed: int, targets: Sequence[Target]) -> Checked:
    """Whether the relation holds, on inputs that `seed` draws; on every target the C must equal the reference, too."""
    example = [tensor.numpy() for tensor in related.example]
    try:
        first, *others = related.sides
        base = extract(first.models[0], related.example, related.name)
        given = [example, *(case.inputs for case in cases_of(base, seed, CASES))]
        sides = [[_stage(base, given)], *(_stages(related.name, side, given) for side in others)]
    except ExtractionError as error:
        return Checked(related.name, refused=str(error))
    wrong = _c_differs([stage for side in sides for stage in side], targets)
    if wrong:
        return Checked(related.name, difference=wrong)
    shown, compared = sides[0][-1], 0
    for number, (side, stages) in enumerate(
        zip(related.sides[1:], sides[1:], strict=True), start=1
    ):
        wrong = _meaning(shown.graph, stages[-1].graph, side)
        if wrong:
            return Checked(related.name, difference=f"side {number}: {wrong}")
        for case in range(len(shown.cases)):
            outputs = stages[-1].outputs(case)
            found = side.back([outputs[at] for at in _chosen(side, stages[-1].graph)])
            for name, one, other in zip(
                shown.graph.outputs, shown.outputs(case), found, strict=True
            ):
                difference = first_difference(name, one, np.ascontiguousarray(other, one.dtype))
                compared += one.size
                if difference is not None:
                    lines = "\n".join(difference.lines())
                    where = "the example" if case == 0 else f"case {CASES[case - 1]}"
                    text = f"side {number}, {where}: output {name} is not what the relation says\n{lines}"
                    return Checked(related.name, difference=text, compared=compared)
    return Checked(related.name, compared=compared)


def _stages(name: str, side: Side, given: Sequence[Arrays]) -> list[_Stage]:
    """The models of a side, each on what the one before it put out. Raises ExtractionError."""
    cases = [list(side.turn(arrays)) for arrays in given]
    stages: list[_Stage] = []
    for model in side.models:
        example = tuple(as_real(array, torch.float32) for array in cases[0])
        graph = extract(model, example, name)
        stages.append(_stage(graph, cases))
        cases = [stages[-1].values(number) for number in range(len(given))]
    return stages


def _stage(graph: Graph, given: Sequence[Arrays]) -> _Stage:
    """A Graph on cases, in the types of its inputs."""
    types = [graph.tensor(name).dtype.numpy for name in graph.inputs]
    cases = [
        [np.ascontiguousarray(array, dtype) for array, dtype in zip(case, types, strict=True)]
        for case in given
    ]
    return _Stage(graph, cases, [dict(run_reference(graph, case)) for case in cases])


def _decoded(tensor: Tensor, codes: Array) -> Array:
    if tensor.scale is None:
        return codes
    steps = codes.astype(np.int64) - tensor.zero_point
    return (steps * tensor.scale).astype(np.float32)


def _c_differs(stages: Sequence[_Stage], targets: Sequence[Target]) -> str:
    """Where the C of a model differs from the reference, "" where it does not."""
    works = [Work(emit(plan(stage.graph)), stage.cases) for stage in stages]
    for target in targets:
        for stage, ran in zip(stages, run_batch(works, target), strict=True):
            wrong = _differs(stage, ran)
            if wrong:
                return f"{target.name}: {wrong}"
    return ""


def _differs(stage: _Stage, ran: Ran) -> str:
    if ran.refused is not None:
        return str(ran.refused)
    for trace, expected in zip(ran.traces, stage.expected, strict=True):
        if not isinstance(trace, Trace):
            return str(trace)
        named = zip(stage.graph.outputs, trace.outputs, strict=True)
        for name, found in (*trace.tensors.items(), *named):
            difference = first_difference(name, expected[name].astype(found.dtype), found)
            if difference is not None:
                return "\n".join(
                    (f"the C differs from the reference in {name}", *difference.lines())
                )
    return ""


def _chosen(side: Side, graph: Graph) -> tuple[int, ...]:
    return tuple(range(len(graph.outputs))) if side.outputs is None else side.outputs


def _meaning(first: Graph, second: Graph, side: Side) -> str:
    """Whether the outputs' codes mean the same, but for the factor."""
    outputs = second.tensors_of([second.outputs[at] for at in _chosen(side, second)])
    for one, other in zip(first.tensors_of(first.outputs), outputs, strict=True):
        scaled = one if one.scale is None else replace(one, scale=one.scale * side.factor)
        facts = [(t.dtype, t.scale, t.zero_point, t.lo, t.hi) for t in (scaled, other)]
        if facts[0] != facts[1]:
            return f"output {other.name} has (type, scale, zero point, codes) {facts[1]}, expected {facts[0]}"
    return ""
