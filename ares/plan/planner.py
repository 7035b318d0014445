"""`plan`: choose layouts, insert copies where an operand lies in another order, place every tensor.

Inputs and outputs of the network are in PyTorch's order of elements. Raises `PlanError` naming the layer whose
accumulator could overflow.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ares.ir import DType, Graph, Operation, Tensor
from ares.numerics import INT32_MAX
from ares.ops import Alias, Data, KernelCall, KernelOperation, Layout, Site
from ares.ops._moves import relayout
from ares.ops._operation import Array, row_major
from ares.plan.arena import Buffer, live_set_bound, place

MAX_ARENA = 2**31 - 1


class PlanError(ValueError):
    """A Graph that cannot run as it is; the message names the layer."""


class Space(enum.Enum):
    """Where a tensor lives: the value is the C enumerator."""

    ARENA = "ARES_SPACE_ARENA"
    INPUT = "ARES_SPACE_INPUT"
    CONSTANT = "ARES_SPACE_CONSTANT"


@dataclass(frozen=True, slots=True, eq=False)
class PlannedTensor:
    """A tensor with its place: byte `position` in the arena, index of the network's input, or constant `data`."""

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
    """One line of the layer table. `call` is None where nothing runs; `observed` is False for inserted copies."""

    layer: str
    op_type: str
    call: KernelCall | None
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    observed: bool
    scratch: int = 0


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


def plan(graph: Graph, guard: int = 0) -> Plan:
    """Order, layouts and places for a valid Graph.

    `guard` bytes before and behind every buffer of the arena, scratch memory too, are nobody's while it lives:
    sanitizers see a kernel that leaves its operands, and the arena grows.
    """
    check_accumulators(graph)
    layouts = _Layouts(graph)
    for operation in graph.operations:
        assert isinstance(operation, KernelOperation)
        layouts.add(operation)
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

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.steps: list[Step] = []
        self.alias_of: dict[str, str] = {}
        self.data: dict[str, Array] = {}
        self.tensors: dict[str, tuple[Tensor, Layout]] = {
            name: (graph.tensor(name), row_major(len(graph.tensor(name).shape)))
            for name in graph.inputs
        }

    def add(self, operation: KernelOperation) -> None:
        site = site_of(self.graph, operation)
        given = tuple(self.tensors[name][1] for name in operation.inputs)
        wanted, produced = operation.layouts(site, given)
        inputs = tuple(
            self._in_order(name, layout)
            for name, layout in zip(operation.inputs, wanted, strict=True)
        )
        call = operation.lower(Site(site.inputs, site.outputs, wanted, produced))
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

    def as_output(self, name: str) -> str:
        """The network's output in PyTorch's order, in the arena."""
        tensor, layout = self.tensors[name]
        ordered = self._in_order(name, row_major(len(layout)))
        root = self._root(ordered)
        if self._is_fixed(root):
            return self._copy(tensor, ordered, layout, layout)
        return ordered

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
        if copy in self.tensors:
            return copy
        return self._copy(tensor, name, layout, wanted, copy)

    def _copy(
        self, tensor: Tensor, source: str, layout: Layout, wanted: Layout, name: str | None = None
    ) -> str:
        name = name or f"{source}@copy"
        self.tensors[name] = (tensor, wanted)
        self.steps.append(
            Step(
                name,
                "OP_TRANSPOSE_2D",
                relayout(tensor, layout, wanted),
                (source,),
                (name,),
                observed=False,
            )
        )
        return name

    def buffers(self, outputs: Sequence[str]) -> tuple[list[Buffer], Mapping[str, str]]:
        """One buffer per memory root, with lifetimes; and the root of every tensor."""
        last: dict[str, int] = {}
        for index, step in enumerate(self.steps):
            for name in (*step.inputs, *step.outputs):
                last[self._root(name)] = index
        for name in outputs:
            last[self._root(name)] = len(self.steps)
        self._reuse_in_place(last)
        roots = {name: self._root(name) for name in self.tensors}
        first: dict[str, int] = {}
        size: dict[str, int] = {}
        for index, step in enumerate(self.steps):
            for name in step.outputs:
                root = roots[name]
                if self._is_fixed(root):
                    continue
                first.setdefault(root, index)
                size[root] = max(size.get(root, 0), self.tensors[name][0].nbytes)
        buffers = [Buffer(root, size[root], first[root], last[root]) for root in first]
        for index, step in enumerate(self.steps):
            if step.call is not None and step.call.scratch:
                buffers.append(Buffer(f"{step.layer}@scratch", step.call.scratch, index, index))
        return buffers, roots

    def _reuse_in_place(self, last: dict[str, int]) -> None:
        """Let an output take over the memory of an input that dies there, where the kernel allows it."""
        for index, step in enumerate(self.steps):
            if step.call is None or not step.call.in_place:
                continue
            output = step.outputs[0]
            for position in step.call.in_place:
                root = self._root(step.inputs[position])
                if (
                    not self._is_fixed(root)
                    and last[root] == index
                    and self.tensors[root][0].nbytes >= self.tensors[output][0].nbytes
                ):
                    last[root] = max(last.pop(output), index)
                    self.alias_of[output] = root
                    break


def _memory_order(tensor: Tensor, layout: Layout) -> Layout:
    """The layout without axes of one element, which take no room."""
    return tuple(axis for axis in layout if tensor.shape[axis] != 1)


def _space(root: str, inputs: Mapping[str, int], data: Mapping[str, Array]) -> Space:
    if root in data:
        return Space.CONSTANT
    return Space.INPUT if root in inputs else Space.ARENA


def _place(graph: Graph, layouts: _Layouts, outputs: tuple[str, ...], guard: int) -> Plan:
    buffers, roots = layouts.buffers(outputs)
    offsets, arena_bytes = place(buffers, guard)
    if arena_bytes > MAX_ARENA:
        raise PlanError(
            f"{graph.name}: needs {arena_bytes} bytes of arena, the limit is {MAX_ARENA}"
        )
    inputs = {name: index for index, name in enumerate(graph.inputs)}
    tensors = tuple(
        PlannedTensor(
            name,
            tensor.dtype,
            tensor.shape,
            layout,
            _space(roots[name], inputs, layouts.data),
            position=inputs.get(roots[name], offsets.get(roots[name], 0)),
            data=layouts.data.get(roots[name]),
        )
        for name, (tensor, layout) in layouts.tensors.items()
    )
    steps = tuple(
        Step(
            step.layer,
            step.op_type,
            step.call,
            step.inputs,
            step.outputs,
            step.observed,
            offsets.get(f"{step.layer}@scratch", 0),
        )
        for step in layouts.steps
    )
    return Plan(graph, steps, tensors, outputs, arena_bytes, live_set_bound(buffers))
