"""Small cases of operations, and a suite made of them: out = -1 - in, twice."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ares.golden.operations import (
    OperationCase,
    OperationSuite,
    make_suites,
    operation_suites,
    pack_suite,
)
from ares.ir import DType, Graph, Tensor, frozen_array
from ares.ops.requantize import Requantize

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "golden"
STORED = operation_suites(GOLDEN)
SHAPE = (1, 2, 3)


def negated_twice(name: str = "net", shape: tuple[int, ...] = SHAPE, scale: float = 0.5) -> Graph:
    table = frozen_array((-1 - np.arange(256)) % 256, np.uint8)
    return Graph(
        name,
        tuple(Tensor(t, shape, DType.S8, scale, 0, -128, 127) for t in ("x", "a", "y")),
        (
            Requantize("first", ("x",), ("a",), table=table),
            Requantize("second", ("a",), ("y",), table=table),
        ),
        ("x",),
        ("y",),
    ).validate()


def a_case(
    operation: str, label: str = "", seed: int = 0, graph: Graph | None = None
) -> OperationCase:
    made = graph or negated_twice()
    shape = made.tensors[0].shape
    x = np.random.Generator(np.random.Philox(seed)).integers(-128, 128, shape, np.int8)
    return OperationCase(
        operation, "test_it", label, made, (x,), {"a": -1 - x, "y": x}, judged=("y",)
    )


def three_cases() -> list[OperationCase]:
    return [a_case("linear", "odd size", 1), a_case("linear", "a tie", 2), a_case("flip", "", 3)]


def a_suite() -> OperationSuite:
    (suite,) = make_suites(three_cases())
    return suite


def write_suite(root: Path, suite: OperationSuite) -> Path:
    folder = root / suite.name
    folder.mkdir()
    for name, data in pack_suite(suite).items():
        (folder / name).write_bytes(data)
    return folder
