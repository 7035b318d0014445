"""The walk over the captured dataflow: every node to its detector, values along the edges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from brevitas.proxy.runtime_quant import ActQuantProxyFromInjectorBase
from torch import nn

from ares.capture import Node, Ref
from ares.capture.walks import all_names, first_names, of_kind
from ares.extract._alone import Arguments, StandIn, judge_alone, resolved
from ares.extract._builder import Builder
from ares.extract._call import Call, Context
from ares.extract._captured_model import (
    CapturedModel,
    capture_model,
    numbers_of,
    refuse_changed,
    type_name,
)
from ares.extract._composites import composite_roots, root_of
from ares.extract._findings import (
    NOT_JUDGED,
    TAKEN_INTO,
    ExtractionError,
    Finding,
    Status,
    Unmappable,
    Unquantised,
    reject,
)
from ares.extract._migration import advice
from ares.extract._quantizers import is_enabled
from ares.extract._registry import Detector, function_detector, module_detector
from ares.extract._results import IDS, is_ids, refuse_other
from ares.extract._values import Codes, Constant, Real, Unknown, Value
from ares.extract.quantize import input_value
from ares.ir import DType, Graph, GraphError
from ares.ir.names import ROOT, carried, own, path_of
from ares.numerics import NumericsError

# Problems of a call after which nothing has to be said of the call itself.
_SAYS_ENOUGH = (
    *("bypassed_leaf", "inplace_view", "made_in_forward", "random", "unknown_origin"),
    "unregistered",
)
_CHECK_NUMBERS = "check the weights and scales around this layer"


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
    captured = capture_model(model, inputs)
    if isinstance(captured, Finding):
        return Analysis((captured,), None)
    return _Walk(name, captured, allow_uncalibrated).run()


class _Walk:
    """State of one walk: values by node, findings in order."""

    def __init__(
        self,
        name: str,
        captured: CapturedModel,
        allow_uncalibrated: bool,
    ) -> None:
        self.dataflow = captured.dataflow
        modules = first_names(all_names(captured.double))
        self.modules = dict(modules)
        self.roots = composite_roots(self.modules)
        self.builder = Builder(name, self.roots)
        self.context = Context(
            builder=self.builder,
            # By every name: a copy of a GraphModule may come upon shared modules in another order.
            single=dict(all_names(captured.single)),
            proxy_paths={
                id(module): path for path, module in of_kind(modules, ActQuantProxyFromInjectorBase)
            },
            allow_uncalibrated=allow_uncalibrated,
            outputs={node.key: node.outputs for node in self.dataflow.nodes},
        )
        self.values: dict[str, tuple[Value, ...]] = {}
        self.layers: list[tuple[str, str]] = []
        self.errors: dict[str, list[Finding]] = {}
        self.unjudged: set[str] = set()
        self.taken: dict[str, str] = {}
        self.reported = {p.node for p in self.dataflow.problems if p.kind in _SAYS_ENOUGH}

    def run(self) -> Analysis:
        problems = [
            Finding(
                carried(p.where), p.kind.replace("_", " "), Status.ERROR, p.message, p.suggestion
            )
            for p in self.dataflow.problems
        ]
        for node in self.dataflow.nodes:
            before = dict(self.context.quantizer_calls)
            value = self._value(node)
            # A detector of one value has looked at the first output only.
            values = value if isinstance(value, tuple) else (value,)
            missing = len(node.outputs) - len(values)
            self.values[node.key] = (*values, *[Unknown()] * missing)
            self._count_quantizers(node, before)
        outputs = [self._output(ref) for ref in self.dataflow.outputs]
        graph = None
        if not problems and not self.errors:
            try:
                graph = self.builder.graph([name for name in outputs if name is not None])
            except GraphError as error:
                advice = "docs/supported_operations.md says what can be mapped"
                problems.append(Finding("", "model", Status.ERROR, str(error), advice))
        return Analysis((*problems, *self._report()), graph)

    def _value(self, node: Node) -> Value | tuple[Value, ...]:
        if node.kind == "input":
            return self._input(node)
        if node.kind == "constant":
            # A tensor of unknown origin is a problem of the capture already.
            if node.key.startswith("constant:unknown#") or node.tensor is None:
                return Unknown()
            return Constant(node.path, numbers_of(node.tensor))
        if node.kind == "function" and self._is_constant(node):
            return Constant("", numbers_of(node.tensor))
        name = self._name(node)
        layer_type = self._type(node)
        self.layers.append((name, layer_type))
        if node.key in self.reported or (
            node.kind == "function" and any(ref.node in self.reported for ref in node.refs)
        ):
            self.unjudged.add(name)
            return Unknown()
        args, kwargs = resolved(node.args, self._known), resolved(node.kwargs, self._known)
        call = Call(self.context, node, name, layer_type, args, kwargs)
        detector = (
            module_detector(node.module)
            if node.module is not None
            else function_detector(node.function)
        )
        try:
            if detector is None:
                reject(f"{layer_type} cannot be mapped", advice(layer_type))
            if node.module is not None:
                refuse_changed(node.module)
            found = detector(call)
            values = found if isinstance(found, tuple) else (found,)
            for index, value in enumerate(values):
                arguments = map(self._known, node.refs)
                refuse_other(self.builder, node.outputs[index], value, arguments)
        except Unmappable as error:
            self._error(node, name, layer_type, error)
            if isinstance(error, Unquantised):
                self._judge_alone(call, detector, (Real, Unknown))
            return Unknown()
        except (GraphError, NumericsError) as error:
            self._error(node, name, layer_type, Unmappable(str(error), _CHECK_NUMBERS))
            return Unknown()
        for index, value in enumerate(values):
            event = f"node:{node.key}@{index}" if index else f"node:{node.key}"
            if isinstance(value, Codes) and value.tensor not in self.builder.inputs:
                self.builder.add_origin(value.tensor, event)
            if isinstance(value, Real):
                values = (*values[:index], replace(value, event=event), *values[index + 1 :])
            if isinstance(value, Real) and value.layer != name:
                self.taken[name] = value.layer
            if isinstance(value, (Real, Unknown)):
                # A real value is judged when its quantiser comes, under the name of the layer that computes it.
                self.unjudged.add(name)
        if any(isinstance(value, Unknown) for value in values):
            self._judge_alone(call, detector, (Unknown,))
        return values

    def _judge_alone(
        self, call: Call, detector: Detector | None, strange: tuple[type[Value], ...]
    ) -> None:
        """Report what is wrong with a call in itself, some argument of which is of a kind in `strange`."""
        values = [self.values[ref.node][ref.index] for ref in call.node.refs]
        if detector is None or not any(isinstance(value, strange) for value in values):
            return

        def resolve(stand_in: StandIn) -> Arguments:
            def value(ref: Ref) -> Value:
                found = self.values[ref.node][ref.index]
                return stand_in(ref) if isinstance(found, strange) else found

            args, kwargs = resolved(call.node.args, value), resolved(call.node.kwargs, value)
            return args, kwargs

        alone = judge_alone(call, detector, resolve)
        known = self.context.warnings
        known += [warning for warning in alone.warnings if warning not in known]
        if alone.error is None:
            return
        if call.name in self.errors and Real in strange:
            # Both have to be changed: what comes into the layer, and the layer.
            where = (call.name, call.layer_type)
            own = Finding(*where, Status.ERROR, alone.error.reason, alone.error.suggestion)
            self.errors[call.name].append(own)
        else:
            self._error(call.node, call.name, call.layer_type, alone.error)

    def _count_quantizers(self, node: Node, before: Mapping[str, int]) -> None:
        """A call of a module calls its quantisers, whether its detector got as far as them or not."""
        if node.module is None:
            return
        counts = dict(before)
        for _, module in all_names(node.module):
            path = self.context.proxy_paths.get(id(module))
            if path is not None and is_enabled(module):
                counts[path] = counts.get(path, 0) + 1
        self.context.quantizer_calls.update(counts)

    def _is_constant(self, node: Node) -> bool:
        """Whether a function takes nothing that depends on the inputs: who uses its result says so.

        What is computed of a reported constant counts as reported with it, and so does a tensor made in forward
        when values went through Python, where they cannot be followed.
        """
        if not node.refs and any(p.kind == "data_dependent" for p in self.dataflow.problems):
            self.reported.add(node.key)
        sources = {ref.node for ref in node.refs}
        values = [value for key in sources - self.reported for value in self.values[key]]
        if not all(isinstance(value, Constant) for value in values):
            return False
        if sources & self.reported or node.key in self.reported:
            self.reported.add(node.key)
            return False
        return True

    def _error(self, node: Node, name: str, layer_type: str, error: Unmappable) -> None:
        if node.key in self.dataflow.dead:
            self.context.warnings.append(
                Finding(name, layer_type, Status.WARNING, "its result is not used", "remove it")
            )
            return
        if error.layer:
            self.unjudged.add(name)
            name, layer_type = error.layer, error.layer_type
        finding = Finding(name, layer_type, Status.ERROR, error.reason, error.suggestion)
        self.errors.setdefault(name, [finding])

    def _input(self, node: Node) -> Value:
        number = int(node.key.partition(":")[2])
        name = "input" if len(self.dataflow.inputs) == 1 else f"input{number}"
        while name in self.modules:
            name += "_"
        (output,) = node.outputs
        if output.dtype in IDS:
            # Token ids: integers that mean themselves.
            self.builder.add_input(name, output.shape, DType.S32)
            return Codes(name)
        self.builder.add_input(name, output.shape)
        if output.dtype is not torch.float64:
            found = type_name(output.dtype)
            error = Unmappable(
                f"it holds {found}, expected real numbers or token ids",
                "give a float32 or an int64 input",
            )
            self._error(node, name, "input", error)
            return Unknown()
        return input_value(self.builder, name)

    def _type(self, node: Node) -> str:
        """The layer's class; for a function its name, or the class of ares.nn that it is the work of."""
        if node.module is not None:
            return type(node.module).__name__
        owner = type(self.modules.get(node.scope, nn.Module()))
        return owner.__name__ if owner.__module__.startswith("ares.nn") else node.function

    def _name(self, node: Node) -> str:
        """The layer's name: module path, or scope and function; `#k` for the k-th repetition."""
        stem, _, count = node.key.rpartition("#")
        stem = carried(stem)
        if node.kind == "function":
            scope, _, function = stem.rpartition(":")
            owner = type(self.modules.get(own(scope), nn.Module()))
            of_ares = owner.__module__.startswith("ares.nn")
            stem = scope if of_ares else f"{scope}.{function}".lstrip(".")
        return stem if count in ("0", "") else f"{stem}#{count}"

    def _known(self, ref: Ref) -> Value:
        return self.values[ref.node][ref.index]

    def _output(self, ref: Ref) -> str | None:
        """The tensor that an output of the model is; reports a real value that cannot leave."""
        value = self.values[ref.node][ref.index]
        node = self.dataflow.node(ref.node)
        try:
            if ref.index != 0 and isinstance(value, Unknown):
                reject(
                    f"the network returns result {ref.index} of it", "return its first result only"
                )
            if is_ids(self.builder, value):
                reject(
                    "the network's output are its token ids, which no layer has computed",
                    "return what layers compute: the caller has the ids",
                )
            if isinstance(value, Codes):
                return value.tensor
            tensor = None
            if isinstance(value, Real):
                tensor = value.exposed() or self.context.rescaled(value)
            if tensor is not None:
                self.builder.add_origin(tensor, f"node:{node.key}")
                return tensor
            if isinstance(value, Real) and value.expose is not None:
                function = value.pointwise.functions[0].name
                reject(
                    f"the network's output is {function} of {value.what}",
                    "outside the network: return what it is applied to, and apply it to the outputs on the host",
                )
            if isinstance(value, Real):
                reject(
                    f"the network's output is {value.what}, which is not quantised",
                    "end the network with a QuantLinear or a QuantIdentity",
                )
            if isinstance(value, Constant):
                reject("the network's output is a constant", "return what forward computes")
        except Unmappable as error:
            called = node.kind in ("module", "function")
            name, layer_type = (self._name(node), self._type(node)) if called else ("", "output")
            self._error(node, name, layer_type, error)
        return None

    def _report(self) -> list[Finding]:
        """One finding per layer in execution order; warnings follow their layer."""
        operations = {operation.name: operation.OP_TYPE for operation in self.builder.operations}
        if not self.errors and not self.dataflow.problems:
            self.unjudged.clear()
        findings: list[Finding] = []
        warnings = list(self.context.warnings)
        shown: set[str] = set()
        for name, layer_type in self.layers:
            root = root_of(path_of(name), self.roots)
            if root is not None and root not in shown:
                shown.add(root)
                findings.append(self._composite_finding(root))
                if path_of(name) == root and name not in self.errors:
                    continue  # a module of Brevitas that is a composite has no line beside
            if name in self.errors:
                findings += self.errors.pop(name)
                continue
            mapped = operations.get(name or ROOT, "")
            reason = f"mapped to {mapped}" if mapped else "part of the operation around it"
            if not mapped and name in self.taken:
                reason = f"{TAKEN_INTO}{self.taken[name]}"
            if mapped and root is not None:
                reason = f"{mapped}, a stage of {root or 'the model'}"
            if name in self.unjudged and not mapped:
                reason = NOT_JUDGED
            own = [warning for warning in warnings if warning.layer == name]
            supported = Finding(name, layer_type, Status.SUPPORTED, reason)
            findings += [replace(finding, op_type=mapped) for finding in own or [supported]]
        findings += [finding for found in self.errors.values() for finding in found]
        return findings

    def _composite_finding(self, root: str) -> Finding:
        kind = self.roots[root]
        layer_type = type(self.modules[root]).__name__
        if any(root_of(path_of(name), (root,)) is not None for name in self.errors):
            reason = "it cannot be mapped as a whole: see its parts"
            return Finding(carried(root), layer_type, Status.WARNING, reason)
        reason = f"mapped to {kind.op_type}"
        return Finding(carried(root), layer_type, Status.SUPPORTED, reason, op_type=kind.op_type)
