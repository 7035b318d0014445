"""One finding for one cause, where extraction reports every consequence of it.

A class of the user's that has the name of a layer of `ares.nn` and is another one: what is wrong inside it is not what
its author wants to read, for the layer that was meant is there to be imported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache

import torch
from torch import nn

import ares.nn
from ares.capture.leaves import library_class
from ares.capture.walks import all_names, first_names
from ares.extract import Analysis, Finding, Status, analyse
from ares.ir.names import carried

_OURS = f"{ares.nn.__name__}."


def judge(
    model: nn.Module, inputs: Sequence[torch.Tensor], name: str, *, allow_uncalibrated: bool = True
) -> Analysis:
    """`ares.extract.analyse`, its findings put together by their causes."""
    analysis = analyse(model, inputs, name, allow_uncalibrated=allow_uncalibrated)
    return replace(analysis, findings=by_cause(model, analysis.findings))


def by_cause(model: nn.Module, findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """The findings about a double of a layer of `ares.nn` become one, where one of them is an error.

    A double that maps exactly as it stands keeps its findings.
    """
    kinds = _doubles(model)
    doubles = [_root(finding.layer, kinds) for finding in findings]
    refused = {
        double: finding
        for double, finding in reversed(list(zip(doubles, findings, strict=True)))
        if double is not None and finding.status is Status.ERROR
    }
    found: dict[str, Finding] = {}
    kept: list[Finding] = []
    for double, finding in zip(doubles, findings, strict=True):
        if double is None or double not in refused:
            kept.append(finding)
        elif double not in found:
            found[double] = _import_it(double, kinds[double], refused[double])
            kept.append(found[double])
    return tuple(kept)


def _import_it(path: str, name: str, first: Finding) -> Finding:
    inside = first.layer.removeprefix(path).lstrip(".")
    where = f"{inside} ({first.layer_type}): " if inside else ""
    return Finding(
        path,
        name,
        Status.ERROR,
        f"a {name} of its own, which is not ares.nn's and cannot be mapped: {where}{first.reason}",
        f"import that one: from ares.nn import {name}",
    )


def _doubles(model: nn.Module) -> dict[str, str]:
    """Path -> class of the user's modules with the name of a layer of `ares.nn`; the network itself is none."""
    return {
        carried(path): type(module).__name__
        for path, module in first_names(all_names(model))
        if path and type(module).__name__ in _layers_of_ares() and _is_foreign(module)
    }


@cache
def _layers_of_ares() -> frozenset[str]:
    """Names of the layers that `ares.nn` hands out."""
    public = ((name, getattr(ares.nn, name)) for name in ares.nn.__all__)
    return frozenset(
        name for name, found in public if isinstance(found, type) and issubclass(found, nn.Module)
    )


def _is_foreign(module: nn.Module) -> bool:
    """Whether neither ARES nor a layer library made its class or a base of it."""
    ours = any(f"{cls.__module__}.".startswith(_OURS) for cls in type(module).__mro__)
    return not ours and library_class(module) is None


def _root(layer: str, kinds: Mapping[str, str]) -> str | None:
    """The outermost double that a layer, or a function called in its forward, is part of."""
    path = layer.partition("#")[0]
    return next((root for root in kinds if f"{path}.".startswith(f"{root}.")), None)
