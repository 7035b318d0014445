"""Copies of a model that differ from it in nothing."""

from __future__ import annotations

import copy
from collections import OrderedDict
from typing import Any

from torch import nn

_CONTAINERS = (OrderedDict, dict, set)


def evaluated(model: nn.Module) -> nn.Module:
    """The model itself, put into evaluation mode: an `eval` that it defines may return nothing."""
    model.eval()
    return model


def faithful_copy(model: nn.Module) -> nn.Module:
    """A deep copy with every module in the mode, training or evaluation, that it had.

    Brevitas' GraphModule makes its containers anew when it is copied, in training mode. Raises whatever copying
    raises: it runs the code of what the model holds.
    """
    duplicate = copy.deepcopy(model, _empty_ones(model))
    modes = {path: module.training for path, module in model.named_modules(remove_duplicate=False)}
    for path, module in duplicate.named_modules(remove_duplicate=False):
        module.training = modes.get(path, module.training)
    return duplicate


def _empty_ones(model: nn.Module) -> dict[int, Any]:
    """What deepcopy keeps of copies made already: those of empty containers, of which every module has a dozen.

    Left to deepcopy they take a third of its time.
    """
    return {
        id(held): type(held)()
        for module in model.modules()
        for held in vars(module).values()
        if type(held) in _CONTAINERS and not held
    }
