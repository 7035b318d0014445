"""The walk over the captured dataflow: every node to its detector, values along the edges."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from brevitas.proxy.runtime_quant import ActQuantProxyFromInjectorBase
from torch import nn

from ares.capture import CaptureError, Dataflow, Node, Ref, capture
from ares.extract import _passthrough  # noqa: F401 - registers its detectors
from ares.extract._builder import Builder
from ares.extract._call import Call, Context
from ares.extract._findings import ExtractionError, Finding, Status, Unmappable, reject
from ares.extract._migration import advice
from ares.extract._registry import function_detector, module_detector
from ares.extract._values import Codes, Constant, Real, Unknown, Value
from ares.extract.quantize import input_value
from ares.ir import Graph, GraphError


@dataclass(frozen=True, slots=True)
class Analysis:
    """All findings in execution order, and the Graph when none of them is an error."""

    findings: tuple[Finding, ...]
    graph: Graph | None

    @property
    def errors(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.status is Status.ERROR)


def extract(model: nn.Module, inputs: Sequence[torch.Tensor], name: str) -> Graph:
    """The Graph of a calibrated Brevitas model in evaluation mode.

    `inputs`: one example per input of `forward`, any batch size (the first sample is used). Raises
    ExtractionError naming the first layer that cannot be mapped.
    """
    analysis = analyse(model, inputs, name, allow_uncalibrated=False)
    for finding in analysis.errors:
        raise ExtractionError(name, finding)
    assert analysis.graph is not None
    return analysis.graph


def analyse(
    model: nn.Module, inputs: Sequence[torch.Tensor], name: str, *, allow_uncalibrated: bool = True
) -> Analysis:
    """As `extract`, but goes on after an error and lists every finding."""
    refusal = _refuse_model(model)
    if refusal is not None:
        return Analysis((refusal,), None)
    single = copy.deepcopy(model)
    double = copy.deepcopy(model).double()
    try:
        dataflow = capture(double, [_first_sample(x) for x in inputs])
    except CaptureError as error:
        finding = Finding("", type(model).__name__, Status.ERROR, f"forward failed: {error}")
        return Analysis((finding,), None)
    return _Walk(name, single, double, dataflow, allow_uncalibrated).run()


def _refuse_model(model: nn.Module) -> Finding | None:
    training = [path for path, module in model.named_modules() if module.training]
    if training:
        return Finding(
            training[0],
            type(model).__name__,
            Status.ERROR,
            "the model is in training mode",
            "call model.eval() before extraction",
        )
    for name, parameter in model.named_parameters():
        if parameter.is_floating_point() and parameter.dtype != torch.float32:
            return Finding(
                name.rpartition(".")[0],
                type(model).__name__,
                Status.ERROR,
                f"parameter {name} is {str(parameter.dtype).removeprefix('torch.')}, expected float32",
                "call model.float() and load the float32 state",
            )
    return None


def _first_sample(x: torch.Tensor) -> torch.Tensor:
    sample = x[:1].detach().clone()
    return sample.double() if sample.is_floating_point() else sample


class _Walk:
    """State of one walk: values by node, findings in order."""

    def __init__(
        self,
        name: str,
        single: nn.Module,
        double: nn.Module,
        dataflow: Dataflow,
        allow_uncalibrated: bool,
    ) -> None:
        self.dataflow = dataflow
        self.modules = dict(double.named_modules())
        self.builder = Builder(name)
        self.context = Context(
            builder=self.builder,
            single=dict(single.named_modules()),
            proxy_paths={
                id(module): path
                for path, module in self.modules.items()
                if isinstance(module, ActQuantProxyFromInjectorBase)
            },
            allow_uncalibrated=allow_uncalibrated,
        )
        self.values: dict[str, Value] = {}
        self.layers: list[tuple[str, str]] = []
        self.errors: dict[str, Finding] = {}

    def run(self) -> Analysis:
        problems = [
            Finding(p.where, p.kind.replace("_", " "), Status.ERROR, p.message, p.suggestion)
            for p in self.dataflow.problems
        ]
        for node in self.dataflow.nodes:
            self.values[node.key] = self._value(node)
        outputs = [self._output(ref) for ref in self.dataflow.outputs]
        graph = None
        if not problems and not self.errors:
            try:
                graph = self.builder.graph([name for name in outputs if name is not None])
            except GraphError as error:
                problems.append(Finding("", "model", Status.ERROR, str(error)))
        return Analysis((*problems, *self._report()), graph)

    def _value(self, node: Node) -> Value:
        if node.kind == "input":
            return self._input(node)
        if node.kind == "constant":
            assert node.tensor is not None
            return Constant(node.path, node.tensor)
        name = self._name(node)
        layer_type = type(node.module).__name__ if node.module is not None else node.function
        self.layers.append((name, layer_type))
        call = Call(self.context, node, name, self._resolve(node.args), self._resolve(node.kwargs))
        detector = (
            module_detector(node.module)
            if node.module is not None
            else function_detector(node.function)
        )
        try:
            if detector is None:
                if any(isinstance(self.values.get(ref.node), Unknown) for ref in node.refs):
                    return Unknown()
                reject(f"{layer_type} cannot be mapped", advice(layer_type))
            value = detector(call)
        except Unmappable as error:
            self._error(node, name, layer_type, error)
            return Unknown()
        if isinstance(value, Codes):
            self.builder.add_origin(value.tensor, f"node:{node.key}")
        return value

    def _error(self, node: Node, name: str, layer_type: str, error: Unmappable) -> None:
        if node.key in self.dataflow.dead:
            self.context.warnings.append(
                Finding(name, layer_type, Status.WARNING, "its result is not used", "remove it")
            )
        elif name not in self.errors:
            self.errors[name] = Finding(
                name, layer_type, Status.ERROR, error.reason, error.suggestion
            )

    def _input(self, node: Node) -> Value:
        number = int(node.key.partition(":")[2])
        name = "input" if len(self.dataflow.inputs) == 1 else f"input{number}"
        (output,) = node.outputs
        self.builder.add_input(name, output.shape)
        return input_value(self.builder, name)

    def _name(self, node: Node) -> str:
        """The layer's name: module path, or scope and function; `#k` for the k-th repetition."""
        stem, _, count = node.key.rpartition("#")
        if node.kind == "function":
            scope, _, function = stem.rpartition(":")
            owner = type(self.modules.get(scope, nn.Module()))
            of_ares = owner.__module__.startswith("ares.nn")
            stem = scope if of_ares else f"{scope}.{function}".lstrip(".")
        return stem if count in ("0", "") else f"{stem}#{count}"

    def _resolve(self, value: Any) -> Any:
        """The node's arguments with Values in place of Refs."""
        if isinstance(value, Ref):
            if value.index != 0:
                return Unknown()
            return self.values[value.node]
        if isinstance(value, torch.Size):
            return tuple(value)
        if isinstance(value, (tuple, list)) and type(value) in (tuple, list):
            return type(value)(self._resolve(item) for item in value)
        if isinstance(value, Mapping):
            return {key: self._resolve(item) for key, item in value.items()}
        return value

    def _output(self, ref: Ref) -> str | None:
        """The tensor that an output of the model is; reports a real value that cannot leave."""
        value = self.values[ref.node]
        node = self.dataflow.node(ref.node)
        try:
            if isinstance(value, Codes):
                return value.tensor
            if isinstance(value, Real) and value.expose is not None:
                tensor = value.expose()
                self.builder.add_origin(tensor, f"node:{node.key}")
                return tensor
            if isinstance(value, Real):
                reject(
                    f"the network's output is {value.what}, which is not quantised",
                    "end the network with a QuantLinear or a QuantIdentity",
                )
            if isinstance(value, Constant):
                reject("the network's output is a constant", "return what forward computes")
        except Unmappable as error:
            name = self._name(node) if node.kind in ("module", "function") else node.key
            self._error(node, name, "output", error)
        return None

    def _report(self) -> list[Finding]:
        """One finding per layer in execution order; warnings follow their layer."""
        operations = {operation.name: operation.OP_TYPE for operation in self.builder.operations}
        findings: list[Finding] = []
        warnings = list(self.context.warnings)
        for name, layer_type in self.layers:
            if name in self.errors:
                findings.append(self.errors.pop(name))
                continue
            mapped = operations.get(name)
            reason = f"mapped to {mapped}" if mapped else "part of the operation around it"
            if not any(warning.layer == name for warning in warnings):
                findings.append(Finding(name, layer_type, Status.SUPPORTED, reason))
            findings += [warning for warning in warnings if warning.layer == name]
        findings += self.errors.values()
        return findings


