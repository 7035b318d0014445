"""One operation through reference and C, against an oracle: used by every `tests/ops/test_<op>.py`.

A test gives the operation, its tensors, input arrays and the oracle's answer (computed in the test with Python
integers or Fractions, sharing no code with ares). `check_operation` then demands that the integer reference and
the compiled C give exactly that, on one default target of the host, and with --slow on all that are installed.
`check_graph` does so for several operations in one program: for what depends on the layer before, and where one build
can serve many cases.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ares.emit import emit
from ares.ir import DType, Graph, Tensor
from ares.ops import KernelOperation, Site
from ares.plan import Plan, plan
from ares.toolchain import Target, build, default_targets, run
from tests.ops.recording import hand_over, is_recording, with_slow

Array = npt.NDArray[Any]


def codes(
    name: str,
    shape: Sequence[int],
    dtype: str = "s8",
    scale: float = 1.0,
    zero_point: int = 0,
    lo: int | None = None,
    hi: int | None = None,
) -> Tensor:
    """A tensor of codes; bounds default to the whole type."""
    kind = DType(dtype)
    return Tensor(
        name,
        tuple(shape),
        kind,
        scale,
        zero_point,
        kind.lo if lo is None else lo,
        kind.hi if hi is None else hi,
    )


def real(name: str, shape: Sequence[int]) -> Tensor:
    """A binary32 tensor."""
    return Tensor(name, tuple(shape), DType.F32)


def check_operation(
    operation: KernelOperation,
    inputs: Sequence[Tensor],
    outputs: Sequence[Tensor],
    arrays: Sequence[Array],
    expected: Sequence[Array],
) -> None:
    """Reference and C of one operation must equal `expected` exactly."""
    graph = Graph(
        name=operation.name,
        tensors=(*inputs, *outputs),
        operations=(operation,),
        inputs=operation.inputs,
        outputs=operation.outputs,
    ).validate()
    check_graph(
        graph,
        dict(zip(operation.inputs, arrays, strict=True)),
        dict(zip(operation.outputs, expected, strict=True)),
    )


def check_graph(graph: Graph, arrays: Mapping[str, Array], expected: Mapping[str, Array]) -> Plan:
    """Reference and C of all operations must equal `expected` exactly; returns the plan for a closer look.

    Every tensor that the test gives an answer for is compared, and every output of the network. The case must be
    one of those that are stored (`recording`); while cases are recorded, no C is built.
    """
    values = dict(arrays)
    for operation in graph.operations:
        assert isinstance(operation, KernelOperation)
        site = Site(graph.tensors_of(operation.inputs), graph.tensors_of(operation.outputs))
        found = operation.reference(site, [values[name] for name in operation.inputs])
        values.update(zip(operation.outputs, found, strict=True))
    for name, oracle in expected.items():
        _assert_equal(f"reference {name}", values[name], oracle)
    planned = plan(graph)
    case = [arrays[name] for name in graph.inputs]
    if not is_recording():
        _check_c(planned, case, expected, [values[name] for name in graph.outputs])
    hand_over(graph, case, values, list(expected))
    return planned


def _check_c(
    planned: Plan, case: Sequence[Array], expected: Mapping[str, Array], outputs: Sequence[Array]
) -> None:
    project = emit(planned)
    for target in _targets():
        (trace,) = run(build(project, target), project, [case])
        for name, oracle in expected.items():
            _assert_equal(f"C {target.name} {name}", trace.tensors[name], oracle)
        for name, shown, value in zip(planned.graph.outputs, trace.outputs, outputs, strict=True):
            _assert_equal(f"C {target.name} output {name}", shown, value)


def _targets() -> list[Target]:
    """Of the host; with --slow all of them, else one, with sanitizers if it can. The stored suites run everywhere."""
    hosted = [target for target in default_targets() if not target.machine.runner]
    targets = [target for target in hosted if target.missing() is None]
    assert targets, "no C compiler is installed, not even ziglang"
    sanitized = [target for target in targets if any("sanitize" in flag for flag in target.flags)]
    return targets if with_slow() else [*sanitized, *targets][:1]


def _assert_equal(what: str, found: Array, expected: Array) -> None:
    __tracebackhide__ = True
    assert found.shape == expected.shape, f"{what}: shape {found.shape}, expected {expected.shape}"
    if expected.dtype.kind == "f":
        # Bit patterns: -0.0 differs from 0.0, and every NaN would show.
        found, expected = (a.astype(np.float32).view(np.uint32) for a in (found, expected))
    wrong = np.argwhere(found.astype(np.int64) != expected.astype(np.int64))
    if wrong.size:
        at = tuple(int(i) for i in wrong[0])
        raise AssertionError(
            f"{what}: {len(wrong)} of {expected.size} elements differ; first at {at}: "
            f"expected {expected[at]}, found {found[at]}"
        )
