"""Data, BatchNorm and quantisers for networks that nobody has trained; everything from fixed seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from brevitas.graph.calibrate import calibration_mode
from torch import Tensor, nn

_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


def pictures(count: int, shape: Sequence[int], seed: int) -> Tensor:
    """Random pictures, float32 [count, *shape] in 0 to 1: blobs and noise, so that pooling leaves differences.

    `shape` is [channels, height, width].
    """
    generator = torch.Generator().manual_seed(1000 + seed)
    channels, height, width = shape
    coarse = torch.randn(
        count, channels, max(1, height // 8), max(1, width // 8), generator=generator
    )
    blobs = nn.functional.interpolate(coarse, (height, width), mode="bilinear", align_corners=False)
    noise = torch.randn(count, channels, height, width, generator=generator)
    return (0.5 + 0.2 * blobs + 0.1 * noise).clamp(0.0, 1.0)


def samples(count: int, shape: Sequence[int], seed: int) -> Tensor:
    """What a network of that input is judged on: pictures, or rows of numbers [count, rows, columns] about zero."""
    if len(shape) == 3:
        return pictures(count, shape, seed)
    generator = torch.Generator().manual_seed(1000 + seed)
    noise = torch.randn(count, *shape, generator=generator)
    # What is beside is alike, as in a signal.
    return noise + torch.roll(noise, 1, -1) + torch.roll(noise, 2, -1)


def draw_batch_norms(model: nn.Module, seed: int, least: float = -math.inf) -> None:
    """Affine parameters as training leaves them: gamma about 1, one in sixteen negative, beta about 0.

    `least`: of the absolute values of gamma, unless it is infinite. Behind a small one every value may be negative, and
    then a QuantReLU with a scale for each channel learns the smallest scale that there is.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, _BATCH_NORMS):
                size = module.num_features
                gamma = (1.0 + 0.25 * torch.randn(size, generator=generator)).clamp(min=least)
                negative = torch.rand(size, generator=generator) < 1 / 16
                module.weight.copy_(torch.where(negative, -gamma, gamma))
                module.bias.copy_(0.25 * torch.randn(size, generator=generator))


def run_in_training_mode(model: nn.Module, batches: Sequence[Tensor]) -> None:
    """Forward passes without gradients; the model is left in evaluation mode.

    BatchNorm's statistics become the mean over the batches, quantisers that learn their scale collect theirs.
    """
    norms = [module for module in model.modules() if isinstance(module, _BATCH_NORMS)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    model.train()
    with torch.no_grad():
        for batch in batches:
            model(batch)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    model.eval()


def calibrate(model: nn.Module, batches: Sequence[Tensor]) -> None:
    """Collect the ranges of all activations, as Brevitas' users do after its PTQ."""
    with torch.no_grad(), calibration_mode(model):
        for batch in batches:
            model(batch)
    model.eval()


def end_observation(model: nn.Module) -> None:
    """Clear what Brevitas' `calibration_mode` leaves behind on quantisers that a concatenation shares.

    Such a quantiser is visited once for each of its users, and the second visit remembers `observer_only=True`.
    """
    for module in model.modules():
        if hasattr(module, "observer_only"):
            module.observer_only = False
