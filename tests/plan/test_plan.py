"""Places and layouts: nothing that is still needed is written over, and the arena's size stands beside its bound."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice, permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ares.emit import emit
from ares.ir import DType, Graph, Tensor, frozen_array
from ares.numerics import plan_weighted_sum
from ares.ops import KernelOperation, run_reference
from ares.ops.add import Add
from ares.ops.linear import Linear
from ares.ops.requantize import Requantize
from ares.ops.reshape import Reshape
from ares.ops.slice import Slice
from ares.ops.zero_pad2d import ZeroPad2d
from ares.pipeline.network import NetworkSubject
from ares.plan import Buffer, Plan, PlanError, Space, arena, live_set_bound, place, plan
from ares.plan.arena import ALIGNMENT
from ares.toolchain import build, run
from tests.checkout import ZOO
from tests.plan.memory import check_memory
from tests.slow import one_in
from tests.toolchain.tiny_network import any_target

SHAPE = (1, 3, 4, 5)
IMAGE = (1, 1, 4, 15)
"""One channel: no copies for the sake of layout."""
CALLER = "the caller's buffer"
ROW_MAJOR, CHANNELS_LAST = (0, 1, 2, 3), (0, 2, 3, 1)
DETERMINED = settings(derandomize=True, deadline=None, max_examples=300, database=None)

# --- place: offsets for lifetimes


def _buffers(rows: list[tuple[int, int, int]]) -> list[Buffer]:
    return [
        Buffer(f"b{index}", size, first, first + length)
        for index, (size, first, length) in enumerate(rows)
    ]


LIFETIMES = st.lists(
    st.tuples(st.integers(1, 200), st.integers(0, 12), st.integers(0, 6)), max_size=14
).map(_buffers)


@DETERMINED
@given(LIFETIMES)
def test_live_buffers_never_overlap(buffers: list[Buffer]) -> None:
    offsets, size = place(buffers)
    assert set(offsets) == {buffer.name for buffer in buffers}
    for buffer in buffers:
        assert offsets[buffer.name] % ALIGNMENT == 0
        assert 0 <= offsets[buffer.name] <= size - buffer.size
    for step in range(20):
        alive = [b for b in buffers if b.first <= step <= b.last]
        taken: set[int] = set()
        for buffer in alive:
            own = set(range(offsets[buffer.name], offsets[buffer.name] + buffer.size))
            assert not own & taken, f"step {step}: {buffer.name}"
            taken |= own
    assert size >= live_set_bound(buffers)
    assert live_set_bound(buffers) >= max((b.size for b in buffers), default=0)


@DETERMINED
@given(LIFETIMES, st.randoms(use_true_random=False))
def test_places_do_not_depend_on_the_order_given(buffers: list[Buffer], random: Any) -> None:
    shuffled = list(buffers)
    random.shuffle(shuffled)
    assert place(shuffled) == place(buffers)


def test_bound_is_reached_where_lifetimes_are_a_chain() -> None:
    """Each layer's output lives until the next has run: two at a time."""
    sizes = [784, 12544, 3136, 6272, 1568, 40]
    chain = [Buffer(f"b{i}", size, i, i + 1) for i, size in enumerate(sizes)]
    _, size = place(chain)
    assert size == live_set_bound(chain) == 12544 + 3136


def test_bound_counts_both_ends_of_a_lifetime() -> None:
    touching = [Buffer("a", 16, 0, 3), Buffer("b", 16, 3, 5)]
    assert live_set_bound(touching) == 32
    apart = [Buffer("a", 16, 0, 3), Buffer("b", 16, 4, 5)]
    assert live_set_bound(apart) == place(apart)[1] == 16
    assert live_set_bound([]) == place([])[1] == 0


# --- guards: memory that is nobody's


@DETERMINED
@given(LIFETIMES, st.sampled_from([1, 16, 40, 64]))
def test_a_guard_parts_live_buffers(buffers: list[Buffer], guard: int) -> None:
    offsets, size = place(buffers, guard)
    for buffer in buffers:
        assert offsets[buffer.name] % ALIGNMENT == 0
        assert guard <= offsets[buffer.name] <= size - buffer.size - guard
    for one in buffers:
        for other in buffers:
            if one is not other and one.meets(other):
                first, second = sorted((one, other), key=lambda b: offsets[b.name])
                gap = offsets[second.name] - offsets[first.name] - first.size
                assert gap >= guard, f"{first.name}, {second.name}"
    assert size >= live_set_bound(buffers) + (2 * guard if buffers else 0)


def test_no_guard_changes_nothing() -> None:
    buffers = [Buffer("a", 16, 0, 3), Buffer("b", 40, 3, 5), Buffer("c", 1, 4, 9)]
    assert place(buffers, 0) == place(buffers)


def test_a_guarded_plan_keeps_its_bound() -> None:
    operations = [_lookup("a", "x"), _lookup("b", "a"), _add("c", "a", "b"), _pad("d", "c")]
    graph = _graph(operations, ("d",), IMAGE)
    bare, guarded = plan(graph), plan(graph, guard=64)
    check_memory(guarded)
    assert guarded.arena_bound == bare.arena_bound == bare.arena_bytes == 128
    assert guarded.arena_bytes == 64 + 64 + 64 + 64 + 64
    assert _places(guarded) == {"a": 64, "b": 192, "c": 64, "d": CALLER}


# --- the zoo


@pytest.mark.parametrize("name", one_in(20, ZOO.networks))
def test_networks_of_the_zoo(name: str, record_property: Callable[[str, object], None]) -> None:
    planned = plan(NetworkSubject(ZOO.paths(name)).graph)
    check_memory(planned)
    record_property("arena", planned.arena_bytes)
    assert planned.arena_bytes == planned.arena_bound


# --- the search for places


def _least(buffers: list[Buffer]) -> int:
    """Lowest fit in every order there is: among them the order of the offsets of a best placement."""
    best = 2**31
    for order in permutations(buffers):
        placed: list[tuple[int, Buffer]] = []
        for buffer in order:
            beside = [(at, at + b.aligned) for at, b in placed if b.meets(buffer)]
            ends = [0, *(end for _, end in beside)]
            fits = (
                at
                for at in sorted(ends)
                if all(at + buffer.aligned <= lo or hi <= at for lo, hi in beside)
            )
            placed.append((next(fits), buffer))
        best = min(best, max(at + b.aligned for at, b in placed))
    return best


FEW = st.lists(
    st.tuples(st.integers(1, 100), st.integers(0, 6), st.integers(0, 4)), min_size=1, max_size=5
).map(_buffers)


@settings(DETERMINED, max_examples=200)
@given(FEW)
def test_no_order_takes_less(buffers: list[Buffer]) -> None:
    assert place(buffers)[1] == _least(buffers)


def test_the_search_reaches_the_bound_where_greedy_does_not() -> None:
    found = next(rows for rows in _hard_rows() if _greedy_size(_buffers(rows)) > _bound(rows))
    assert place(_buffers(found))[1] == _bound(found)


def test_the_search_ends_and_repeats_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without steps it is greedy; with them it never takes more."""
    rows = [row for rows in islice(_hard_rows(), 12) for row in rows]
    searched = place(_buffers(rows))
    assert place(_buffers(rows)) == searched
    monkeypatch.setattr(arena, "_STEPS", 0)
    assert place(_buffers(rows))[1] == _greedy_size(_buffers(rows)) >= searched[1]


def _hard_rows() -> Iterator[list[tuple[int, int, int]]]:
    for seed in range(1000):
        raw = np.random.Philox(key=seed).random_raw((14, 3))
        numbers = (raw % np.array([200, 12, 6], np.uint64)).astype(int)
        yield [(size + 1, first, length) for size, first, length in numbers.tolist()]


def _bound(rows: list[tuple[int, int, int]]) -> int:
    return live_set_bound(_buffers(rows))


def _greedy_size(buffers: list[Buffer]) -> int:
    return min(arena._greedy(sorted(buffers, key=order), 0)[1] for order in arena._ORDERS)


# --- small Graphs


def _tensor(name: str, shape: tuple[int, ...] = SHAPE) -> Tensor:
    return Tensor(name, shape, DType.S8, 0.5, 0, -128, 127)


def _lookup(name: str, source: str) -> Requantize:
    table = frozen_array(np.roll(np.arange(256), len(name)), np.uint8)
    return Requantize(name, (source,), (name,), table=table)


def _add(name: str, first: str, second: str) -> Add:
    coefficients, rescale = plan_weighted_sum([1, 1], [0, 0], 0, -128, 127)
    return Add(name, (first, second), (name,), coefficients=tuple(coefficients), rescale=rescale)


def _pad(name: str, source: str) -> ZeroPad2d:
    """A copy that wants its operand channels last."""
    return ZeroPad2d(name, (source,), (name,), padding=(0, 0, 0, 0))


def _slice(name: str, source: str) -> Slice:
    """The last column."""
    return Slice(name, (source,), (name,), axis=3, start=14, count=1)


def _reshape(name: str, source: str, shape: tuple[int, ...]) -> Reshape:
    return Reshape(name, (source,), (name,), shape=shape)


def _graph(
    operations: Sequence[KernelOperation], outputs: tuple[str, ...], shape: tuple[int, ...] = SHAPE
) -> Graph:
    """One input `x` of codes; every tensor is `shape` unless a Reshape says otherwise."""
    tensors = [_tensor("x", shape)]
    for operation in operations:
        ((made, _),) = operation.infer([_find(tensors, name) for name in operation.inputs])
        tensors.append(_tensor(operation.name, made))
    return Graph("small", tuple(tensors), tuple(operations), ("x",), outputs).validate()


def _find(tensors: list[Tensor], name: str) -> Tensor:
    return next(tensor for tensor in tensors if tensor.name == name)


def _planned(operations: Sequence[KernelOperation], *outputs: str) -> Plan:
    planned = plan(_graph(operations, outputs, IMAGE))
    check_memory(planned)
    return planned


def _places(planned: Plan) -> dict[str, int | str]:
    """Of what layers make: the offset in the arena, or CALLER with the number of the output (none for the first)."""
    return {
        tensor.name: tensor.position
        if tensor.space is Space.ARENA
        else f"{CALLER}{tensor.position or ''}"
        for tensor in planned.tensors
        if tensor.space in (Space.ARENA, Space.OUTPUT)
    }


def test_elementwise_layers_work_in_place() -> None:
    operations = [_lookup("a", "x"), _lookup("b", "a"), _lookup("c", "b"), _pad("d", "c")]
    planned = _planned(operations, "d")
    assert _places(planned) == {"a": 0, "b": 0, "c": 0, "d": CALLER}
    assert planned.arena_bytes == planned.arena_bound == 64


def test_not_in_place_of_the_networks_input() -> None:
    planned = _planned([_lookup("a", "x"), _pad("b", "a")], "b")
    assert planned.tensor("x").space is Space.INPUT
    assert planned.tensor("a").space is Space.ARENA


def test_not_in_place_of_what_is_needed_later() -> None:
    operations = [_lookup("a", "x"), _lookup("b", "a"), _add("c", "a", "b"), _pad("d", "c")]
    planned = _planned(operations, "d")
    places = _places(planned)
    assert places["b"] != places["a"]
    assert places["c"] == places["a"]
    assert planned.arena_bytes == 128


def test_in_place_of_the_second_operand_where_the_first_lives_on() -> None:
    operations = [_lookup("a", "x"), _lookup("b", "a"), _add("c", "a", "b"), _add("d", "c", "a")]
    places = _places(_planned([*operations, _pad("e", "d")], "e"))
    assert places["c"] == places["b"] != places["a"]


def test_one_operand_twice() -> None:
    places = _places(_planned([_lookup("a", "x"), _add("b", "a", "a"), _pad("c", "b")], "c"))
    assert places["a"] == places["b"] == 0


def test_a_reshape_shares_its_operands_memory() -> None:
    operations = [_lookup("a", "x"), _reshape("b", "a", (1, 60)), _lookup("c", "a")]
    operations += [_reshape("d", "c", (1, 60)), _add("e", "b", "d"), _reshape("f", "e", IMAGE)]
    planned = _planned([*operations, _pad("g", "f")], "g")
    places = _places(planned)
    assert places["b"] == places["a"] != places["c"]
    (step,) = (step for step in planned.steps if step.layer == "b")
    assert step.call is None
    assert step.observed


def test_memory_lives_as_long_as_any_name_of_it() -> None:
    """`a` is last named before `c` runs, but `b` is another name of its memory."""
    operations = [_lookup("a", "x"), _reshape("b", "a", (1, 60)), _lookup("c", "x")]
    operations += [_reshape("d", "c", (1, 60)), _lookup("e", "d"), _add("f", "e", "b")]
    operations += [_reshape("g", "f", IMAGE), _pad("h", "g")]
    places = _places(_planned(operations, "h"))
    assert places["c"] != places["a"]


def test_relayout_once_for_all_consumers() -> None:
    """`a` lies as the input does; both copies want it channels last."""
    operations = [_lookup("a", "x"), _pad("b", "a"), _pad("c", "a"), _add("d", "b", "c")]
    planned = plan(_graph(operations, ("d",)))
    check_memory(planned)
    layouts = {tensor.name: tensor.layout for tensor in planned.tensors}
    assert layouts["a"] == ROW_MAJOR
    assert layouts["b"] == layouts["c"] == layouts["d"] == CHANNELS_LAST
    copies = [step for step in planned.steps if not step.observed]
    assert [step.inputs for step in copies] == [("a",), ("d",)]
    assert layouts[planned.outputs[0]] == ROW_MAJOR


def test_axes_of_one_element_need_no_relayout() -> None:
    graph = _graph([_lookup("a", "x"), _pad("b", "a")], ("b",), shape=(1, 1, 4, 5))
    assert [step.layer for step in plan(graph).steps] == ["a", "b"]


def test_overflow_names_the_layer_and_the_bound() -> None:
    weight = frozen_array(np.full((2, 200_000), -128), np.int8)
    graph = Graph(
        "deep",
        (_tensor("x", (1, 200_000)), _tensor("fc", (1, 2))),
        (Linear("fc", ("x",), ("fc",), weight=weight, rescale=_add("a", "x", "x").rescale),),
        ("x",),
        ("fc",),
    ).validate()
    bound = 200_000 * 128 * 128
    with pytest.raises(PlanError, match=rf"deep: fc \(OP_LINEAR_INT8\): .* reach {bound}"):
        plan(graph)


def test_an_arena_of_more_than_31_bits_is_refused() -> None:
    shape = (1, 1, 2**15, 2**15)
    operations = [_lookup("a", "x"), _lookup("b", "a"), _add("c", "a", "b"), _pad("d", "c")]
    with pytest.raises(PlanError, match=f"needs {2**31} bytes of arena"):
        plan(_graph(operations, ("d",), shape=shape))


# --- any Graph


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Lookups, additions, copies that want channels last, and reshapes back and forth, in any order."""
    operations: list[KernelOperation] = []
    wide, flat = ["x"], list[str]()
    for index in range(draw(st.integers(1, 10))):
        name = f"t{index}"
        kind = draw(st.sampled_from(["lookup", "add", "pad", "flatten", "unflatten"]))
        among = flat if kind == "unflatten" else wide
        if not among:
            kind, among = "lookup", wide
        source = draw(st.sampled_from(among))
        if kind == "flatten":
            operations.append(_reshape(name, source, (1, 60)))
            flat.append(name)
            continue
        if kind == "unflatten":
            operations.append(_reshape(name, source, SHAPE))
        elif kind == "add":
            operations.append(_add(name, source, draw(st.sampled_from(wide))))
        elif kind == "pad":
            operations.append(_pad(name, source))
        else:
            operations.append(_lookup(name, source))
        wide.append(name)
    made = [operation.name for operation in operations]
    outputs = draw(st.lists(st.sampled_from(made), min_size=1, max_size=3, unique=True))
    return _graph(operations, tuple(outputs))


@DETERMINED
@given(graphs())
def test_nothing_needed_is_overwritten(graph: Graph) -> None:
    planned = plan(graph)
    check_memory(planned)
    assert planned.arena_bytes >= planned.arena_bound
    for name, output in zip(graph.outputs, planned.outputs, strict=True):
        assert planned.tensor(output).layout == tuple(range(len(graph.tensor(name).shape)))


@settings(DETERMINED, max_examples=3)
@given(graphs())
def test_the_c_agrees_with_the_reference(graph: Graph) -> None:
    codes = np.arange(60, dtype=np.int8).reshape(SHAPE) * np.int8(4) - np.int8(100)
    project, target = emit(plan(graph)), any_target()
    (trace,) = run(build(project, target), project, [[codes]])
    expected = run_reference(graph, [codes])
    for operation in graph.operations:
        for name in operation.outputs:
            assert trace.tensors[name].tobytes() == expected[name].tobytes(), name
    for name, output in zip(graph.outputs, trace.outputs, strict=True):
        assert output.tobytes() == expected[name].tobytes(), name


# --- the checker itself


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"b": 16}, "b: b overlaps its operand a"),
        ({"b": 0}, "b: b overlaps its operand a"),
        ({"c": 32}, "c: c would take over a in part"),
        ({"b": 8}, "b: b is not aligned"),
        ({"d": 80}, "d: d ends behind the arena"),
        ({"e": 1}, "e: e ends behind a buffer"),
    ],
)
def test_the_memory_checker_sees_overlaps(changes: dict[str, int], found: str) -> None:
    """In place: c over a. Not in place: b beside a, d beside c."""
    operations = [_lookup("a", "x"), _pad("b", "a"), _add("c", "a", "b"), _pad("d", "c")]
    planned = _planned([*operations, _pad("e", "d"), _slice("f", "d")], "e", "f")
    assert _places(planned) == {"a": 0, "b": 64, "c": 0, "d": 64, "e": CALLER, "f": f"{CALLER}1"}
    moved = tuple(
        replace(tensor, position=changes.get(tensor.name, tensor.position))
        for tensor in planned.tensors
    )
    with pytest.raises(AssertionError, match=found):
        check_memory(replace(planned, tensors=moved))


def test_the_memory_checker_sees_what_is_lost() -> None:
    operations = [_lookup("a", "x"), _lookup("b", "x"), _add("c", "a", "b"), _pad("d", "c")]
    planned = _planned(operations, "d")
    moved = tuple(replace(tensor, position=0) for tensor in planned.tensors)
    with pytest.raises(AssertionError, match="c: a was overwritten before it is read"):
        check_memory(replace(planned, tensors=moved))
