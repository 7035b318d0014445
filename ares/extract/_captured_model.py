"""From a model to what it does: its dataflow, and the copy of it in float64 that ran."""

from __future__ import annotations

import pickle
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from brevitas.proxy.quant_proxy import QuantProxyFromInjector
from torch import nn

from ares.capture import (
    CaptureError,
    Dataflow,
    capture,
    faithful_copy,
    structural_changes,
    type_changes,
)
from ares.capture.compiled import in_training
from ares.capture.dataflow import Problem, Ref
from ares.capture.leaves import is_library_leaf, members
from ares.capture.walks import Named, all_names, first_names, of_kind
from ares.extract._findings import Finding, Status, reject
from ares.extract._quantizers import is_switched_off
from ares.extract._truncation import observe_truncations
from ares.extract._weights import observe_inputs
from ares.ir.names import LONGEST, carried, refusal

_WORDS = re.compile(r"[\w.]*", re.ASCII)
_GIVES_INDICES = ("max", "adaptive_max_pool1d", "adaptive_max_pool2d")


@dataclass(frozen=True, slots=True, eq=False)
class CapturedModel:
    """A model that ran.

    `single` is the model as it was handed in, float32: weights are read from it. `double` is its copy in float64, which
    ran, and whose modules the nodes of `dataflow` hold.
    """

    single: nn.Module
    double: nn.Module
    dataflow: Dataflow


def capture_model(model: nn.Module, inputs: Sequence[torch.Tensor]) -> CapturedModel | Finding:
    """Run a copy of the model on the first sample of `inputs`, in float32 as it is, then in float64.

    The Finding says why that cannot be done.
    """
    refusal = _refuse_model(model) or _refuse_inputs(model, inputs)
    if refusal is not None:
        return refusal
    model_type = type(model).__name__
    try:
        copied = faithful_copy(model)
    except (AttributeError, RuntimeError, TypeError, pickle.PicklingError) as error:
        return Finding(
            "",
            model_type,
            Status.ERROR,
            f"it cannot be copied: {' '.join(str(error).split())}",
            "hold tensors as parameters or buffers, and no files, locks or generators",
        )
    samples = [_first_sample(x) for x in inputs]
    suggestion = "make model(*inputs) work in PyTorch first"
    try:
        single = capture(copied, [x.float() if x.is_floating_point() else x for x in samples])
        suggestion = (
            "it works in float32 but is run in float64: remove conversions such as x.float(), and "
            "register every layer (nn.ModuleList)"
        )
        double = copied.double()
        dataflow = capture(double, samples)
        changes = type_changes(single, dataflow)
        if changes:
            # What one run cannot show: forward that counts its calls, or draws numbers unseen by torch.
            changes = structural_changes(dataflow, capture(double, samples)) or changes
        observe_inputs(double, samples)
        observe_truncations(double, samples)
    except CaptureError as error:
        return Finding("", model_type, Status.ERROR, f"forward failed: {error}", suggestion)
    problems = (
        *dict.fromkeys((*single.problems, *dataflow.problems)),
        *changes,
        *_used_indices(dataflow),
    )
    return CapturedModel(model, double, replace(dataflow, problems=problems))


def _used_indices(dataflow: Dataflow) -> Iterator[Problem]:
    """Where forward computes with the places of the largest values, which no layer hands on."""
    used = {ref for node in dataflow.nodes for ref in node.refs}
    for node in dataflow.nodes:
        if node.function in _GIVES_INDICES and Ref(node.key, 1) in used:
            message = f"forward computes with the indices that {node.function} gives"
            yield Problem(node.key, node.scope, "indices", message, "use its values only")


def type_name(dtype: torch.dtype) -> str:
    """`float32` for torch.float32."""
    return str(dtype).removeprefix("torch.")


def numbers_of(tensor: torch.Tensor | None) -> npt.NDArray[np.float64] | None:
    """The values of a constant, None where they are no real numbers."""
    if tensor is None or tensor.is_complex():
        return None
    values = tensor.detach().double().numpy()
    # torch computes with integers as with real numbers; those beyond float32 it would round.
    exact = tensor.is_floating_point() or bool((np.abs(values) <= 2**24).all())
    return values if exact else None


def refuse_changed(module: nn.Module) -> None:
    """Refuse a layer that does something else than its class says."""
    if "forward" in vars(module):
        reject("its forward was replaced", "write a class of your own that calls the layer")
    for path, inner in first_names(all_names(module)):
        if path and (inner._forward_hooks or inner._forward_pre_hooks):
            reject(f"{path} inside it has hooks", "remove them, or hook the layer itself")


def _refuse_model(model: nn.Module) -> Finding | None:
    everything = all_names(model)
    modules = first_names(everything)
    for path in _strange_names(everything):
        why = refusal(path)
        if why is not None:
            named = ascii(path if len(path) <= 60 else f"{path[:60]}...")
            return Finding("", f"module {named}", Status.ERROR, why, "give it another name")
    training = list(in_training(modules))
    if training:
        # Brevitas' quantisers share inner modules: a layer whose own flag is set says more than those.
        own = (path for path in training if _layer_of(model, path)[0] == carried(path))
        return Finding(
            *_layer_of(model, next(own, training[0])),
            Status.ERROR,
            "the model is in training mode",
            "call model.eval() before extraction",
        )
    for path, proxy in of_kind(modules, QuantProxyFromInjector):
        if is_switched_off(proxy):
            return Finding(
                *_layer_of(model, path),
                Status.ERROR,
                f"its quantiser {path} is switched off",
                f"set {path}.disable_quant = False",
            )
    for name, parameter in members(modules, "_parameters"):
        if parameter.is_floating_point() and parameter.dtype != torch.float32:
            return Finding(
                *_layer_of(model, name.rpartition(".")[0]),
                Status.ERROR,
                f"parameter {name} is {type_name(parameter.dtype)}, expected float32",
                "call model.float() and load the float32 state",
            )
    return None


def _refuse_inputs(model: nn.Module, inputs: Sequence[torch.Tensor]) -> Finding | None:
    for index, x in enumerate(inputs):
        if x.dim() == 0 or x.numel() == 0:
            return Finding(
                "",
                type(model).__name__,
                Status.ERROR,
                f"example input {index} has shape {list(x.shape)}, expected a batch of at least one",
                "give inputs such as torch.zeros(1, 1, 28, 28)",
            )
    return None


def _layer_of(model: nn.Module, path: str) -> tuple[str, str]:
    """Path and class of the layer that a module is part of: the outermost leaf, else the module itself."""
    parts = path.split(".")
    prefixes = (".".join(parts[:length]) for length in range(1, len(parts) + 1))
    layer = next((p for p in prefixes if is_library_leaf(model.get_submodule(p))), path)
    return carried(layer), type(model.get_submodule(layer)).__name__


def _strange_names(modules: Named) -> Iterator[str]:
    """Paths of modules, parameters and buffers, each once, of which it has to be asked whether they can be carried."""
    paths = [path for path, _ in modules]
    for path, module in modules:
        for name, tensor in (*module._parameters.items(), *module._buffers.items()):
            if tensor is not None:
                paths.append(f"{path}.{name}" if path else name)
    for path in dict.fromkeys(paths):
        if len(path) > LONGEST or not _WORDS.fullmatch(path):
            yield path


def _first_sample(x: torch.Tensor) -> torch.Tensor:
    sample = x[:1].detach().clone()
    return sample.double() if sample.is_floating_point() else sample
