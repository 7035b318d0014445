"""What can be said of a model whose forward was not seen: the classes of its layers, nothing else."""

from __future__ import annotations

from torch import nn

from ares.capture.leaves import hooked_modules, is_library_leaf
from ares.capture.walks import all_names, first_names
from ares.extract._findings import Finding, Status
from ares.extract._migration import advice
from ares.extract._registry import module_detector


def module_findings(model: nn.Module) -> tuple[Finding, ...]:
    """One finding for every layer of torch.nn and brevitas.nn, in order of registration.

    A class without a detector is an error with its advice. Containers and the model's own modules are descended
    into and give no finding of their own: what their `forward` does is not known here.
    """
    modules = all_names(model)
    hooked = hooked_modules(modules, is_library_leaf)
    leaves = {path: module for path, module, leaf in hooked if leaf}
    return tuple(_finding(path, leaves[path]) for path, _ in first_names(modules) if path in leaves)


def _finding(path: str, module: nn.Module) -> Finding:
    name = type(module).__name__
    if module_detector(module) is None:
        return Finding(path, name, Status.ERROR, f"{name} cannot be mapped", advice(name))
    return Finding(path, name, Status.SUPPORTED, "its class can be mapped; its use was not seen")
