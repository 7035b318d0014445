"""Outputs are made in the caller's buffers; an input, a constant, what stands twice is copied there at the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from ares.emit import emit
from ares.ir import DType, Graph, Tensor, frozen_array
from ares.ops import KernelOperation, run_reference
from ares.ops.constant import Constant
from ares.ops.requantize import Requantize
from ares.ops.reshape import Reshape
from ares.ops.zero_pad2d import ZeroPad2d
from ares.plan import Plan, Space, plan
from ares.toolchain import RunFailure, Target, build, run
from tests.plan.memory import check_memory
from tests.slow import slow_but
from tests.toolchain.tiny_network import usable

SHAPE = (1, 1, 4, 15)
TABLE = frozen_array(np.roll(np.arange(256), 5), np.uint8)


def _lookup(name: str, source: str) -> Requantize:
    return Requantize(name, (source,), (name,), table=TABLE)


def _copy(name: str, source: str) -> ZeroPad2d:
    """What does not work in place."""
    return ZeroPad2d(name, (source,), (name,), padding=(0, 0, 0, 0))


def _flat(name: str, source: str) -> Reshape:
    return Reshape(name, (source,), (name,), shape=(1, 60))


def _constant(name: str) -> Constant:
    codes = frozen_array(np.arange(60).reshape(SHAPE), np.int8)
    return Constant(name, (), (name,), codes=codes)


def _graph(
    operations: Sequence[KernelOperation],
    outputs: tuple[str, ...],
    shape: tuple[int, ...] = SHAPE,
) -> Graph:
    tensors = {"x": Tensor("x", shape, DType.S8, 0.5, 0, -128, 127)}
    for operation in operations:
        ((made, _),) = operation.infer([tensors[name] for name in operation.inputs])
        tensors[operation.name] = Tensor(operation.name, made, DType.S8, 0.5, 0, -128, 127)
    return Graph("small", tuple(tensors.values()), tuple(operations), ("x",), outputs).validate()


CALLER, ARENA = Space.OUTPUT, Space.ARENA
_CHAIN = [_copy("a", "x"), _lookup("b", "a"), _lookup("c", "b")]
_WIDE = (1, 3, 4, 5)

# Operations, outputs, shape of x; where tensors lie; bytes of the arena.
CASES: dict[str, tuple[Graph, dict[str, tuple[Space, int]], int]] = {
    "the last layer": (
        _graph([_copy("a", "x"), _copy("b", "a")], ("b",)),
        {"a": (ARENA, 0), "b": (CALLER, 0)},
        64,
    ),
    "a chain that works in place": (
        _graph(_CHAIN, ("c",)),
        {"a": (CALLER, 0), "b": (CALLER, 0), "c": (CALLER, 0)},
        0,
    ),
    "one that a later layer reads": (
        _graph([_copy("a", "x"), _copy("b", "a")], ("a", "b")),
        {"a": (CALLER, 0), "b": (CALLER, 1)},
        0,
    ),
    "one that must stay, in front of a chain": (
        _graph(_CHAIN, ("c", "b")),
        {"a": (CALLER, 1), "b": (CALLER, 1), "c": (CALLER, 0)},
        0,
    ),
    "another shape": (
        _graph([_copy("a", "x"), _flat("b", "a")], ("b",)),
        {"a": (CALLER, 0), "b": (CALLER, 0)},
        0,
    ),
    "two names of the same memory": (
        _graph([_copy("a", "x"), _flat("b", "a")], ("b", "a")),
        {"a": (CALLER, 0), "b": (CALLER, 0)},
        0,
    ),
    "twice": (_graph([_copy("a", "x")], ("a", "a")), {"a": (CALLER, 0)}, 0),
    "the input": (
        _graph([_copy("a", "x")], ("x", "a")),
        {"x": (Space.INPUT, 0), "a": (CALLER, 1)},
        0,
    ),
    "the input in another shape": (_graph([_flat("a", "x")], ("a",)), {"a": (Space.INPUT, 0)}, 0),
    "a constant": (
        _graph([_copy("a", "x"), _constant("b")], ("b", "a")),
        {"b": (Space.CONSTANT, 0), "a": (CALLER, 1)},
        0,
    ),
    "another order of elements": (
        _graph([_copy("a", "x")], ("a",), _WIDE),
        {"x@0231": (ARENA, 0), "a": (ARENA, 64), "a@0123": (CALLER, 0)},
        128,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_where_outputs_are_made(case: str) -> None:
    graph, places, arena = CASES[case]
    planned = plan(graph)
    check_memory(planned)
    found = {name: planned.tensor(name) for name in places}
    assert {name: (each.space, each.position) for name, each in found.items()} == places
    assert planned.arena_bytes == planned.arena_bound == arena


@pytest.fixture(params=slow_but([0], ["gcc-O2", "gcc-asan", "clang-msan", "s390x-gcc-O2"]))
def target(request: pytest.FixtureRequest) -> Target:
    return usable(request.param)


@pytest.mark.parametrize("case", CASES)
def test_the_caller_gets_them(case: str, target: Target) -> None:
    graph, _, _ = CASES[case]
    codes = np.arange(-30, 30, dtype=np.int8).reshape(graph.tensor("x").shape)
    project = emit(plan(graph))
    binary = build(project, target)
    expected = {**run_reference(graph, [codes, codes][:1]), "x": codes}
    for mode in ("full", "outputs"):
        (trace,) = run(binary, project, [[codes]], mode=mode, target=target)
        for name, output in zip(graph.outputs, trace.outputs, strict=True):
            assert output.tobytes() == expected[name].astype(np.int8).tobytes(), name


@pytest.mark.parametrize("name", slow_but([0], ["gcc-O2", "clang-msan"]))
def test_an_output_that_is_not_written_whole_is_seen(name: str) -> None:
    """The buffers are poison before a run, and to the sanitizer bytes that nobody wrote."""
    target, project = usable(name), emit(plan(_graph([_copy("a", "x")], ("a",))))
    path = "runtime/src/zero_pad2d.c"
    text = project.files[path].decode()
    assert text.count("memcpy(out, in, (size_t)in_row);") == 1
    broken = text.replace("(size_t)in_row);", "(size_t)in_row - 1);").encode()
    project = replace(project, files={**project.files, path: broken})
    binary, codes = build(project, target), np.zeros(SHAPE, np.int8)
    if name == "clang-msan":
        with pytest.raises(RunFailure, match="use-of-uninitialized-value") as caught:
            run(binary, project, [[codes]], target=target)
        assert caught.value.kind == "sanitizer"
        return
    (trace,) = run(binary, project, [[codes]], mode="outputs", target=target)
    assert trace.outputs[0].ravel()[14::15].tolist() == [-91] * 4  # 0xA5


def test_a_wrong_place_is_seen() -> None:
    """The checker of this folder knows the buffers: a layer that writes over what an output still needs."""
    graph, _, _ = CASES["one that must stay, in front of a chain"]
    planned = plan(graph)
    moved = _moved(planned, "c", 1)
    with pytest.raises(AssertionError, match="output: b was overwritten before it is read"):
        check_memory(moved)


def _moved(planned: Plan, name: str, position: int) -> Plan:
    tensors = tuple(
        replace(tensor, position=position) if tensor.name == name else tensor
        for tensor in planned.tensors
    )
    return replace(planned, tensors=tensors)
