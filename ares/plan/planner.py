"""`plan`: fold padding, choose layouts, insert copies where an operand lies in another order, place every tensor.

Inputs and outputs of the network are in PyTorch's order of elements. What a kernel makes for an output of the network
lies in the caller's buffer from the start; an output that is an input, a constant or another output is copied there at
the end. Raises `PlanError` naming the layer whose accumulator could overflow.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from ares.ir import DType, Graph, Operation, Tensor
from ares.numerics import INT32_MAX
from ares.ops import Alias, Data, KernelCall, KernelOperation, Layout, Site
from ares.ops._moves import can_copy, layout_of, relayout, strides_of
from ares.ops._operation import Array, row_major
from ares.plan.arena import Buffer, live_set_bound, place, place_in_turn
from ares.plan.choices import SHIPPED, Choices, Share
from ares.plan.folding import fold_padding
from ares.plan.ordering import reordered

MAX_ARENA = 2**31 - 1


class PlanError(ValueError):
    """A Graph that cannot run as it is; the message names the layer."""


class Space(enum.Enum):
    """Where a tensor lives: the value is the C enumerator."""

    ARENA = "ARES_SPACE_ARENA"
    INPUT = "ARES_SPACE_INPUT"
    OUTPUT = "ARES_SPACE_OUTPUT"
    CONSTANT = "ARES_SPACE_CONSTANT"


@dataclass(frozen=True, slots=True, eq=False)
class PlannedTensor:
    """A tensor with its place: byte `position` in the arena, index of an input or output, or constant `data`."""

    name: str
    dtype: DType
    shape: tuple[int, ...]
    layout: Layout
    space: Space
    position: int
    data: Array | None = None

    @property
    def elements(self) -> int:
        count = 1
        for size in self.shape:
            count *= size
        return count


@dataclass(frozen=True, slots=True)
class Step:
    """One line of the layer table. `call` is None where nothing runs; `observed` is False for inserted copies.

    A padding that the layers `folded_into` do themselves has neither inputs nor outputs, and is not observed.
    """

    layer: str
    op_type: str
    call: KernelCall | None
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    observed: bool
    scratch: int = 0
    folded_into: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """What `emit` writes down. `arena_bound` is the proven lower bound of `arena_bytes` without guards."""

    graph: Graph
    steps: tuple[Step, ...]
    tensors: tuple[PlannedTensor, ...]
    outputs: tuple[str, ...]
    arena_bytes: int
    arena_bound: int

    def tensor(self, name: str) -> PlannedTensor:
        return next(tensor for tensor in self.tensors if tensor.name == name)


def plan(graph: Graph, guard: int = 0, choices: Choices = SHIPPED) -> Plan:
    """Order, layouts and places for a valid Graph.

    `guard` bytes before and behind every buffer of the arena, scratch memory too, are nobody's while it lives:
    sanitizers see a kernel that leaves its operands, and the arena grows. `choices`: other plans of the same integers.
    """
    check_accumulators(graph)
    graph = reordered(graph, choices)
    folding = fold_padding(graph, choices)
    layouts = _Layouts(graph, choices)
    for operation in graph.operations:
        if operation.name in folding.folded:
            layouts.leave_out(operation, folding.folded[operation.name])
        else:
            layouts.add(folding.operations[operation.name])
    outputs = tuple(layouts.as_output(name) for name in graph.outputs)
    return _place(graph, layouts, outputs, guard)


def check_accumulators(graph: Graph) -> None:
    """Prove from the actual weights that no accumulator can leave int32 (N2); raise PlanError otherwise."""
    for operation in graph.operations:
        assert isinstance(operation, KernelOperation)
        bound = operation.accumulator_bound(site_of(graph, operation))
        if bound > INT32_MAX:
            raise PlanError(
                f"{graph.name}: {operation.name} ({operation.OP_TYPE}): an accumulator could reach {bound}, "
                f"int32 ends at {INT32_MAX}; use fewer input channels or narrower weights"
            )


def site_of(graph: Graph, operation: Operation) -> Site:
    """The tensors around an operation, without layouts."""
    return Site(graph.tensors_of(operation.inputs), graph.tensors_of(operation.outputs))


class _Layouts:
    """Walks the operations; collects steps and the layout of every tensor."""

    def __init__(self, graph: Graph, choices: Choices) -> None:
        self.graph = graph
        self.choices = choices
        self.offers = 0
        self.steps: list[Step] = []
        self.alias_of: dict[str, str] = {}
        self.data: dict[str, Array] = {}
        self.tensors: dict[str, tuple[Tensor, Layout]] = {
            name: (graph.tensor(name), row_major(len(graph.tensor(name).shape)))
            for name in graph.inputs
        }

    def add(self, operation: KernelOperation) -> None:
        site = site_of(self.graph, operation)
        wanted, produced = operation.layouts(site, self._offered(operation))
        inputs = tuple(
            self._in_order(name, layout)
            for name, layout in zip(operation.inputs, wanted, strict=True)
        )
        call = self._call(operation, Site(site.inputs, site.outputs, wanted, produced))
        for tensor, layout in zip(site.outputs, produced, strict=True):
            self.tensors[tensor.name] = (tensor, layout)
        if isinstance(call, Alias):
            self.alias_of[operation.outputs[0]] = inputs[0]
        if isinstance(call, Data):
            self.data[operation.outputs[0]] = call.array
        self.steps.append(
            Step(
                operation.name,
                operation.OP_TYPE,
                call if isinstance(call, KernelCall) else None,
                inputs,
                operation.outputs,
                observed=True,
            )
        )

    def _offered(self, operation: KernelOperation) -> tuple[Layout, ...]:
        """How the operands lie, or could be made to lie."""
        return tuple(self._may_lie(name) for name in operation.inputs)

    def _may_lie(self, name: str) -> Layout:
        tensor, layout = self.tensors[name]
        self.offers += 1
        is_kept = not self.choices.layouts or self.choices.pick("layouts", self.offers, 2) == 0
        if is_kept or not can_copy(tensor):
            return layout
        drawn = self.choices.shuffled("layouts", self.offers, layout)
        # Named as moves name the orders that they make: kernels know no others.
        return layout_of(tensor, strides_of(tensor.shape, drawn))

    def _call(self, operation: KernelOperation, site: Site) -> KernelCall | Alias | Data:
        call, number = operation.lower(site), len(self.steps)
        if isinstance(call, Alias) and not self.choices.takes("aliases", number):
            (result,), (layout,) = site.outputs, site.output_layouts
            return relayout(result, layout, layout) if can_copy(result) else call
        if not self.choices.calls:
            return call
        calls = (call, *operation.other_calls(site))
        return calls[self.choices.pick("calls", number, len(calls))]

    def leave_out(self, operation: Operation, into: tuple[str, ...]) -> None:
        """A line for a layer whose work others do."""
        step = Step(
            operation.name, operation.OP_TYPE, None, (), (), observed=False, folded_into=into
        )
        self.steps.append(step)

    def as_output(self, name: str) -> str:
        """The network's output in PyTorch's order, wherever it lies."""
        return self._in_order(name, row_major(len(self.tensors[name][1])))

    def _is_fixed(self, root: str) -> bool:
        """Whether memory that must not be written holds the tensor."""
        return root in self.graph.inputs or root in self.data

    def _root(self, name: str) -> str:
        while name in self.alias_of:
            name = self.alias_of[name]
        return name

    def _in_order(self, name: str, wanted: Layout) -> str:
        """The name of the same tensor in layout `wanted`; inserts a copy unless it lies so already."""
        tensor, layout = self.tensors[name]
        if _memory_order(tensor, layout) == _memory_order(tensor, wanted):
            return name
        copy = f"{name}@{''.join(str(axis) for axis in wanted)}"
        if copy not in self.tensors:
            self.tensors[copy] = (tensor, wanted)
            call = relayout(tensor, layout, wanted)
            step = Step(copy, "OP_TRANSPOSE_2D", call, (name,), (copy,), observed=False)
            self.steps.append(step)
        return copy

    def memory(self, outputs: Sequence[str]) -> _Memory:
        """Every memory root: in the arena with its lifetime, or in the caller's buffer of an output."""
        last: dict[str, int] = {}
        for index, step in enumerate(self.steps):
            for name in (*step.inputs, *step.outputs):
                last[self._root(name)] = index
        for name in outputs:
            last[self._root(name)] = len(self.steps)
        self._reuse_in_place(last, {self._root(name) for name in outputs})
        roots = {name: self._root(name) for name in self.tensors}
        callers: dict[str, int] = {}
        for index, name in enumerate(outputs):
            if not self._is_fixed(roots[name]) and self.choices.takes("callers", index):
                callers.setdefault(roots[name], index)
        first: dict[str, int] = {}
        size: dict[str, int] = {}
        for index, step in enumerate(self.steps):
            for name in step.outputs:
                root = roots[name]
                if self._is_fixed(root) or root in callers:
                    continue
                first.setdefault(root, index)
                size[root] = max(size.get(root, 0), self.tensors[name][0].nbytes)
        buffers = [Buffer(root, size[root], first[root], last[root]) for root in first]
        for index, step in enumerate(self.steps):
            if step.call is not None and step.call.scratch:
                buffers.append(Buffer(f"{step.layer}@scratch", step.call.scratch, index, index))
        return _Memory(buffers, roots, callers)

    def _reuse_in_place(self, last: dict[str, int], callers: Collection[str]) -> None:
        """Let an output take over the memory of an input that dies there, where the kernel allows it.

        What lies in a `callers` buffer then has its size, and no more than its alignment.
        """
        for index, step in enumerate(self.steps):
            if step.call is None or not step.call.in_place:
                continue
            output = step.outputs[0]
            made = self.tensors[output][0]
            for position in self._in_place(index, step.call):
                root = self._root(step.inputs[position])
                held = self.tensors[root][0]
                alike = (held.nbytes, held.dtype.size) == (made.nbytes, made.dtype.size)
                if (
                    not self._is_fixed(root)
                    and last[root] == index
                    and held.nbytes >= made.nbytes
                    and (alike or output not in callers)
                ):
                    last[root] = max(last.pop(output), index)
                    self.alias_of[output] = root
                    break

    def _in_place(self, index: int, call: KernelCall) -> tuple[int, ...]:
        """The operands whose memory the result may take over, in the order in which they are asked."""
        if self.choices.in_place is Share.SOME:
            positions = self.choices.shuffled("in_place", index, call.in_place)
            return positions if self.choices.takes("in_place", index) else ()
        return call.in_place if self.choices.in_place is Share.ALL else ()


def _memory_order(tensor: Tensor, layout: Layout) -> Layout:
    """The layout without axes of one element, which take no room."""
    return tuple(axis for axis in layout if tensor.shape[axis] != 1)


@dataclass(frozen=True, slots=True)
class _Memory:
    """Buffers of the arena; the root of every tensor, whose memory it shares; roots in the buffers of outputs."""

    buffers: Sequence[Buffer]
    roots: Mapping[str, str]
    callers: Mapping[str, int]


def _offsets(
    buffers: Sequence[Buffer], guard: int, choices: Choices
) -> tuple[Mapping[str, int], int]:
    """Offset of every buffer, and the arena's size. What layers are called decides nothing: numbers break ties."""
    numbered = [replace(each, name=f"{at:09d}") for at, each in enumerate(buffers)]
    placed, size = (
        place_in_turn(choices.shuffled("places", 0, numbered), guard)
        if choices.places
        else place(numbered, guard)
    )
    pairs = zip(buffers, numbered, strict=True)
    return {each.name: placed[number.name] for each, number in pairs}, size


def _place(graph: Graph, layouts: _Layouts, outputs: tuple[str, ...], guard: int) -> Plan:
    memory = layouts.memory(outputs)
    choices = layouts.choices
    offsets, arena_bytes = _offsets(memory.buffers, guard, choices)
    if arena_bytes > MAX_ARENA:
        raise PlanError(
            f"{graph.name}: needs {arena_bytes} bytes of arena, the limit is {MAX_ARENA}"
        )
    inputs = {name: index for index, name in enumerate(graph.inputs)}
    spaces = (
        (Space.CONSTANT, dict.fromkeys(layouts.data, 0)),
        (Space.INPUT, inputs),
        (Space.OUTPUT, memory.callers),
        (Space.ARENA, offsets),
    )

    def planned(name: str, tensor: Tensor, layout: Layout) -> PlannedTensor:
        root = memory.roots[name]
        space, position = next((kind, at[root]) for kind, at in spaces if root in at)
        data = layouts.data.get(root)
        return PlannedTensor(name, tensor.dtype, tensor.shape, layout, space, position, data)

    tensors = tuple(planned(name, *held) for name, held in layouts.tensors.items())
    tensors = choices.shuffled("tables", 0, tensors) if choices.tables else tensors
    steps = tuple(
        replace(step, scratch=offsets.get(f"{step.layer}@scratch", 0)) for step in layouts.steps
    )
    bound = live_set_bound(memory.buffers)
    return Plan(graph, steps, tensors, outputs, arena_bytes, bound)
