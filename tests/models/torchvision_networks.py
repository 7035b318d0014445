"""torchvision's classification networks, quantised as Brevitas' users do it: graph mode, then calibration.

Weights are random with a fixed seed, none are downloaded. What `by_graph` does is Brevitas' recipe and nothing else;
the other recipes follow the advice that `ares check` gives on its result.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import torch
from brevitas.graph.base import InsertModuleCallAfter
from brevitas.graph.quantize import preprocess_for_quantize, quantize
from brevitas.nn import QuantIdentity
from torch import nn

from tests.models.preparation import (
    calibrate,
    draw_batch_norms,
    end_observation,
    pictures,
    run_in_training_mode,
)

CLASSES = 10
_BATCHES = 4
_BATCH = 8
_UNQUANTISED = (nn.Hardsigmoid, nn.Hardswish, nn.SiLU)

Recipe = Callable[[nn.Module], nn.Module]

# Kept for as long as the process: a library takes its declarations along.
_declared: Any = None


def torchvision_models() -> ModuleType:
    """`torchvision.models`, also beside a torch that the wheel was not built for.

    The wheel from the package index loads its compiled operators only beside a torch with CUDA. Without them its import
    stops where it registers Python implementations of operators that nobody has declared. Declaring them is enough: no
    network of classification uses one.
    """
    global _declared
    try:
        return importlib.import_module("torchvision.models")
    except RuntimeError as error:
        if _declared is not None or "torchvision::" not in str(error):
            raise
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]
    _declared = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        _declared.define(f"{name}(Tensor boxes, Tensor scores, float threshold) -> Tensor")
    return importlib.import_module("torchvision.models")


def build(name: str, size: int, recipe: Recipe, observed: bool, **options: Any) -> nn.Module:
    """A network quantised by `recipe` and calibrated on pictures of `size` x `size`, in evaluation mode.

    `observed`: leave quantisers that only observe as `calibration_mode` leaves them.
    """
    torch.manual_seed(0)
    model = getattr(torchvision_models(), name)(weights=None, num_classes=CLASSES, **options)
    draw_batch_norms(model, seed=1)
    batches = [pictures(_BATCH, (3, size, size), seed) for seed in range(_BATCHES)]
    run_in_training_mode(model, batches)
    quantised = recipe(model)
    calibrate(quantised, batches)
    if not observed:
        end_observation(quantised)
    return quantised


def by_graph(model: nn.Module) -> nn.Module:
    """Brevitas' graph mode: BatchNorm merged, residuals aligned, quantisers between the layers."""
    found: nn.Module = quantize(preprocess_for_quantize(model))
    return found


def with_quantised_activations(model: nn.Module) -> nn.Module:
    """Graph mode, and a QuantIdentity behind every activation that it knows no quantiser for.

    Left as they are: those whose only users are quantisers.
    """
    quantised: Any = by_graph(model)
    modules = dict(quantised.named_modules())
    for node in list(quantised.graph.nodes):
        users = [modules.get(user.target) for user in node.users]
        if isinstance(modules.get(node.target), _UNQUANTISED) and not all(
            isinstance(user, QuantIdentity) for user in users
        ):
            quantised.add_module(f"{node.name}_quant", QuantIdentity(return_quant_tensor=True))
            quantised = InsertModuleCallAfter(f"{node.name}_quant", node).apply(quantised)
    found: nn.Module = quantised.eval()
    return found


def with_quantised_output(model: nn.Module) -> nn.Module:
    """Graph mode, and a quantiser on the network's result."""
    return nn.Sequential(by_graph(model), QuantIdentity()).eval()


def with_plain_concatenations(model: nn.Module) -> nn.Module:
    """Graph mode, and plain tensors into every `cat`: Brevitas' QuantTensor has no `chunk`, which follows."""
    quantised: Any = by_graph(model)
    modules = dict(quantised.named_modules())
    for node in quantised.graph.nodes:
        if node.target is torch.cat:
            for part in node.all_input_nodes:
                modules[part.target].return_quant_tensor = False
    found: nn.Module = quantised
    return found
