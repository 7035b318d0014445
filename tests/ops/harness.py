"""One operation through reference and C, against an oracle: used by every `tests/ops/test_<op>.py`.

A test gives the operation, its tensors, input arrays and the oracle's answer (computed in the test with Python
integers or Fractions, sharing no code with ares). `check_operation` then demands that the integer reference and
the compiled C on every default target that is installed give exactly that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ares.emit import emit
from ares.ir import DType, Graph, Tensor
from ares.ops import KernelOperation, Site
from ares.plan import plan
from ares.toolchain import build, default_targets, run

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
    site = Site(tuple(inputs), tuple(outputs))
    found = operation.reference(site, arrays)
    for tensor, array, oracle in zip(outputs, found, expected, strict=True):
        _assert_equal(f"reference {tensor.name}", array, oracle)
    graph = Graph(
        name=operation.name,
        tensors=(*inputs, *outputs),
        operations=(operation,),
        inputs=operation.inputs,
        outputs=operation.outputs,
    ).validate()
    project = emit(plan(graph))
    targets = [target for target in default_targets() if target.missing() is None]
    assert targets, "no C compiler is installed, not even ziglang"
    for target in targets:
        (trace,) = run(build(project, target), project, [arrays])
        for tensor, oracle in zip(outputs, expected, strict=True):
            _assert_equal(f"C {target.name} {tensor.name}", trace.tensors[tensor.name], oracle)


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
