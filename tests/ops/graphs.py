"""Several operations in one program: for what depends on the layer before, and where one build can serve many cases.

As `harness.check_operation`, for a Graph: every tensor that the test gives an answer for is compared in the
reference and in the C of every default target that is installed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ares.emit import emit
from ares.ir import Graph, Tensor
from ares.ops import KernelOperation, Site
from ares.plan import Plan, plan
from ares.toolchain import build, default_targets, run
from tests.ops.harness import Array, _assert_equal


def graph_of(
    operations: Sequence[KernelOperation],
    tensors: Sequence[Tensor],
    inputs: Sequence[str],
    outputs: Sequence[str],
) -> Graph:
    """A validated Graph."""
    return Graph("net", tuple(tensors), tuple(operations), tuple(inputs), tuple(outputs)).validate()


def check_graph(graph: Graph, arrays: Mapping[str, Array], expected: Mapping[str, Array]) -> Plan:
    """Reference and C of all operations must equal `expected` exactly; returns the plan for a closer look."""
    values = dict(arrays)
    for operation in graph.operations:
        assert isinstance(operation, KernelOperation)
        site = Site(graph.tensors_of(operation.inputs), graph.tensors_of(operation.outputs))
        found = operation.reference(site, [values[name] for name in operation.inputs])
        values.update(zip(operation.outputs, found, strict=True))
    for name, oracle in expected.items():
        _assert_equal(f"reference {name}", values[name], oracle)
    planned = plan(graph)
    project = emit(planned)
    targets = [target for target in default_targets() if target.missing() is None]
    assert targets, "no C compiler is installed, not even ziglang"
    for target in targets:
        case = [arrays[name] for name in graph.inputs]
        (trace,) = run(build(project, target), project, [case])
        for name, oracle in expected.items():
            _assert_equal(f"C {target.name} {name}", trace.tensors[name], oracle)
        for name, shown in zip(graph.outputs, trace.outputs, strict=True):
            _assert_equal(f"C {target.name} output {name}", shown, values[name])
    return planned
