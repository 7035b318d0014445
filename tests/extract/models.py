"""Real Brevitas models through the whole path: extract, reference, torch witness, plan, C.

`checked(model, *shapes)` is what most tests here are made of. It calibrates the model on seeded random data,
extracts its Graph, lets the torch witness judge every code of the integer reference, plans, and with `c=True`
also builds and runs the C and compares every tensor. `refused(model, *shapes)` is the counterpart for what
must not be mapped: the one finding, checked to be one clear line.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from brevitas import nn as qnn
from torch import Tensor, nn

from ares.emit import emit
from ares.extract import Finding, analyse, extract
from ares.ir import Graph, Operation, save_graph
from ares.ops import read_graph, run_reference
from ares.plan import Plan, plan
from ares.toolchain import Target, build, default_targets, run
from ares.witness import Witness
from ares.witness_float32 import explain

Array = npt.NDArray[Any]
Shape = tuple[int, ...]

IMAGE = (1, 2, 6, 5)
TOKENS = (1, 4, 6)

MOVES = {
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "concat",
    "flatten",
    "flip",
    "max_pool1d",
    "max_pool2d",
    "pad2d",
    "permute",
    "reshape",
    "slice",
    "squeeze",
    "upsample_nearest2d",
    "zero_pad2d",
}
"""Operations whose results show whether the codes that they were given are right."""


class Net(nn.Module):
    """A model whose forward is a function of the model and its inputs, so that a table can hold it."""

    def __init__(self, forward: Callable[..., Any], **layers: nn.Module) -> None:
        super().__init__()
        self.body = forward
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, *inputs: Tensor) -> Any:
        return self.body(self, *inputs)


def identity(**options: Any) -> qnn.QuantIdentity:
    """A QuantIdentity that hands on a QuantTensor."""
    return qnn.QuantIdentity(return_quant_tensor=True, **options)


def plain_identity(**options: Any) -> qnn.QuantIdentity:
    """A QuantIdentity that hands on a Tensor, which all of torch can take."""
    return qnn.QuantIdentity(return_quant_tensor=False, **options)


def relu(**options: Any) -> qnn.QuantReLU:
    """A QuantReLU that hands on a QuantTensor."""
    return qnn.QuantReLU(return_quant_tensor=True, **options)


def conv(inputs: int, outputs: int, kernel: Any = 3, **options: Any) -> qnn.QuantConv2d:
    """A QuantConv2d, without bias unless asked."""
    return qnn.QuantConv2d(inputs, outputs, kernel, **{"bias": False, **options})


def linear(inputs: int, outputs: int, **options: Any) -> qnn.QuantLinear:
    """A QuantLinear, with a float bias unless asked otherwise."""
    return qnn.QuantLinear(inputs, outputs, **{"bias": True, **options})


def tensor_quant(model: nn.Module, path: str) -> Any:
    """The inner quantiser of the proxy at `path`."""
    proxy: Any = model.get_submodule(path)
    return proxy.fused_activation_quant_proxy.tensor_quant


def set_scale(model: nn.Module, path: str, value: float) -> None:
    """Give a calibrated quantiser another threshold (scale times the number of positive codes)."""
    scaling = tensor_quant(model, path).scaling_impl
    scaling.buffer.fill_(value)
    scaling.value.data.fill_(value)


def calibrated(model: nn.Module, *shapes: Shape, spread: float = 1.0) -> nn.Module:
    """The model after three training forwards on normally distributed inputs, in evaluation mode."""
    generator = torch.Generator().manual_seed(20261)
    with torch.no_grad():
        model.train()
        for _ in range(3):
            model(*(spread * torch.randn(shape, generator=generator) for shape in shapes))
    return model.eval()


def seeded(make: Callable[[], nn.Module], seed: int = 1) -> nn.Module:
    """The model that `make` builds, with the same weights whatever ran before."""
    state = torch.get_rng_state()
    torch.manual_seed(seed)
    try:
        return make()
    finally:
        torch.set_rng_state(state)


def checked(
    model: nn.Module,
    *shapes: Shape,
    c: bool = False,
    name: str = "model",
    calibrate: bool = True,
    fixed_batch: bool = False,
) -> Graph:
    """The model's Graph, after every witness has agreed on several inputs.

    `shapes` are those of the inputs, batch of one; `fixed_batch` is for a forward that takes no other. Only a
    tensor whose codes are moved before the model's quantiser sees them, or that moves codes that were judged, may go
    without an event that judges it.
    """
    __tracebackhide__ = True
    if calibrate:
        calibrated(model, *shapes)
    examples = [(1 if fixed_batch else 2, *shape[1:]) for shape in shapes]
    graph = extract(model, [_normal(shape, 3, 1) for shape in examples], name)
    _assert_same_shapes(model, graph, shapes)
    assert save_graph(read_graph(save_graph(graph))) == save_graph(graph)
    cases = _cases(graph, shapes)
    references = [run_reference(graph, case) for case in cases]
    for batch in [[number] for number in range(len(cases))] if fixed_batch else [range(len(cases))]:
        _assert_accepted(model, graph, [cases[i] for i in batch], [references[i] for i in batch])
    planned = plan(graph)
    if c:
        _assert_c(planned, cases, references)
    return graph


def refused(model: nn.Module, *shapes: Shape) -> Finding:
    """The only error of a model, in evaluation mode, that cannot be mapped."""
    __tracebackhide__ = True
    found = errors(model, *shapes)
    assert len(found) == 1, "\n".join(map(str, found)) or "no error was found"
    return found[0]


def errors(model: nn.Module, *shapes: Shape) -> tuple[Finding, ...]:
    """All errors of a model, each checked to be one line with an advice."""
    __tracebackhide__ = True
    analysis = analyse(
        model, [_normal(shape, 3, 1) for shape in shapes], "net", allow_uncalibrated=False
    )
    assert (analysis.graph is None) == bool(analysis.errors)
    for finding in analysis.errors:
        assert "\n" not in str(finding)
        assert finding.reason
        assert finding.suggestion, f"{finding} gives no advice"
    return analysis.errors


def kinds(graph: Graph) -> list[str]:
    """The stems of the Graph's operations, in order of execution."""
    return [operation.stem() for operation in graph.operations]


def copies(planned: Plan) -> list[str]:
    """Layers of a Plan that move bytes: strided copies, inserted ones included."""
    return [
        step.layer
        for step in planned.steps
        if step.call is not None and step.call.function == "ares_permute"
    ]


def fast_target() -> Target:
    """One compiler: gcc where it is installed, else zig."""
    usable = [target for target in default_targets() if target.missing() is None]
    assert usable, "no C compiler is installed, not even ziglang"
    return next((target for target in usable if target.name == "gcc-O2"), usable[-1])


def _normal(shape: Shape, seed: int, spread: float) -> Tensor:
    return spread * torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def _cases(graph: Graph, shapes: Sequence[Shape]) -> list[list[Array]]:
    """Inputs: realistic, saturating, exactly on the ties of the input's quantiser, and zero."""
    draw = np.random.Generator(np.random.PCG64(5))

    def ties(name: str, shape: Shape) -> Array:
        scales = [
            tensor.scale
            for operation, tensor in graph.produced()
            if operation.inputs == (name,) and tensor.scale is not None
        ]
        steps = draw.integers(-140, 140, shape) + 0.5
        return (steps * (scales[0] if scales else 1.0)).astype(np.float32)

    return [
        [draw.normal(0.0, 1.0, shape).astype(np.float32) for shape in shapes],
        [draw.normal(0.0, 4.0, shape).astype(np.float32) for shape in shapes],
        [ties(name, shape) for name, shape in zip(graph.inputs, shapes, strict=True)],
        [np.zeros(shape, np.float32) for shape in shapes],
    ]


def _assert_same_shapes(model: nn.Module, graph: Graph, shapes: Sequence[Shape]) -> None:
    __tracebackhide__ = True
    with torch.no_grad():
        result = model(*(torch.zeros(shape) for shape in shapes))
    found = [tuple(value.shape) for value in _tensors(result)]
    assert [graph.tensor(name).shape for name in graph.outputs] == found


def _tensors(result: Any) -> list[Any]:
    if isinstance(result, Mapping):
        return [tensor for item in result.values() for tensor in _tensors(item)]
    if type(result) in (tuple, list):  # a QuantTensor is a tuple of another type
        return [tensor for item in result for tensor in _tensors(item)]
    return [result]


def _assert_accepted(
    model: nn.Module,
    graph: Graph,
    cases: Sequence[Sequence[Array]],
    references: Sequence[Mapping[str, Array]],
) -> None:
    __tracebackhide__ = True
    witness = Witness(model, graph)
    shown = {tensor.name for _, tensor in graph.produced()} - {*witness.unjudged()}
    for operation, tensor in graph.produced():
        is_move = operation.stem() in MOVES and tensor.name not in graph.outputs
        if is_move and shown.issuperset(operation.inputs):
            shown.add(tensor.name)  # judged codes, moved: what computes with them shows how
    for name in {*witness.unjudged()} - shown:
        users = {_role(operation) for operation in graph.operations if name in operation.inputs}
        assert users, f"nothing judges {name}, which is an output"
        assert users <= MOVES, f"nothing judges {name}, which {users} compute with"
    stacked = [np.concatenate(parts) for parts in zip(*cases, strict=True)]
    tensors = {
        tensor.name: np.concatenate([reference[tensor.name] for reference in references])
        for _, tensor in graph.produced()
    }
    judgements = witness.judge(stacked, tensors)
    rejected = [judgement for judgement in judgements if not judgement.accepted]
    assert not rejected, f"the torch witness does not accept {rejected[0]}"
    wrong = [p for p in explain(witness, model, stacked, tensors, ()).partings if p.unexplained]
    assert not wrong, f"no tie explains what float32 makes of {wrong[0].tensor}: {wrong[0]}"


def _role(operation: Operation) -> str:
    """The operation's stem; the sum that puts the smallest code where scores are masked moves the others."""
    masks = any(source.partition("#")[0].endswith(".mask") for source in operation.inputs)
    return "concat" if operation.stem() == "add" and masks else operation.stem()


def _assert_c(
    planned: Plan, cases: Sequence[Sequence[Array]], references: Sequence[Mapping[str, Array]]
) -> None:
    __tracebackhide__ = True
    target = fast_target()
    project = emit(planned)
    traces = run(build(project, target), project, cases)
    folded = {step.layer for step in planned.steps if step.folded_into}
    stems = {operation.stem() for operation in planned.graph.operations if operation.name in folded}
    assert stems <= {"zero_pad2d"}
    made = [(operation.name, tensor.name) for operation, tensor in planned.graph.produced()]
    names = [name for layer, name in made if layer not in folded]
    for number, (reference, trace) in enumerate(zip(references, traces, strict=True)):
        assert trace.tensors.keys() == {
            *names
        }  # all but those that other layers' kernels make on the way
        outputs = zip(planned.graph.outputs, trace.outputs, strict=True)
        found = [(name, trace.tensors[name]) for name in names] + list(outputs)
        for name, array in found:
            assert array.shape == reference[name].shape
            wrong = np.argwhere(array.view(np.uint8) != reference[name].view(np.uint8))
            assert not wrong.size, f"case {number}: C differs in {name} at {wrong[0]}"
