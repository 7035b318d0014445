"""The networks of Brevitas' own examples, from the installed `brevitas_examples`; random weights, none downloaded.

Each is built by the example's own function from the example's own configuration, then a few forward passes in training
mode set BatchNorm's statistics and the scales that would be learned.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any

import torch
from brevitas.nn import QuantIdentity
from torch import Tensor, nn

from tests.models.preparation import draw_batch_norms, run_in_training_mode, samples

_BATCHES = 4
_BATCH = 4
_LEAST_GAMMA = 0.5

Family = Callable[[str], nn.Module]


def bnn_pynq(name: str) -> nn.Module:
    """TFC, SFC, LFC, CNV and resnet18 of `brevitas_examples.bnn_pynq`."""
    examples = importlib.import_module("brevitas_examples.bnn_pynq.models")
    found: nn.Module = getattr(examples, name)(pretrained=False)
    return found


def imagenet(name: str) -> nn.Module:
    """MobileNetV1, ProxylessNAS and VGG of `brevitas_examples.imagenet_classification`."""
    examples = importlib.import_module("brevitas_examples.imagenet_classification.models")
    options: dict[str, Any] = {"pretrained": False}
    if name == "quant_mobilenet_v1":
        options = {"float_pretrained": False}
    elif name.startswith("quant_vgg"):
        options = {}
    found: nn.Module = getattr(examples, name)(**options)
    return found


def super_resolution(name: str) -> nn.Module:
    """ESPCN of `brevitas_examples.super_resolution`."""
    examples = importlib.import_module("brevitas_examples.super_resolution.models")
    found: nn.Module = examples.get_model_by_name(name)
    return found


def text_to_speech(name: str) -> nn.Module:
    """MelGAN of `brevitas_examples.text_to_speech`, its weight normalisation made permanent.

    Its own `remove_weight_norm` stops at the layers that have none.
    """
    assert name == "quant_melgan_8b"
    examples = importlib.import_module("brevitas_examples.text_to_speech.melgan.generator_brevitas")
    found: nn.Module = examples.Generator(80, 8, 8)
    for module in found.modules():
        if hasattr(module, "weight_g"):
            nn.utils.remove_weight_norm(module)
    return found


def build(family: Family, name: str, shape: Sequence[int], advised: bool) -> nn.Module:
    """A network prepared with samples of `shape`, in evaluation mode."""
    torch.manual_seed(0)  # the examples draw their weights from torch's global generator
    model = family(name)
    if advised and family is text_to_speech:
        model.generator.insert(0, QuantIdentity(return_quant_tensor=True))  # behind the arithmetic
    elif advised:
        model = Advised(model)
    draw_batch_norms(model, seed=1, least=_LEAST_GAMMA)
    run_in_training_mode(model, [samples(_BATCH, shape, seed) for seed in range(_BATCHES)])
    return model


class Advised(nn.Module):
    """A network with what `ares check` advises for it: its input quantised."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.input_quant = QuantIdentity(return_quant_tensor=True)
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.network(self.input_quant(x))
        return found
