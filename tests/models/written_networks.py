"""Networks written for the purpose, in the idiom of what people publish: one class each, found by their names.

`WRITTEN` says what each is judged on. Weights are random with a fixed seed, and forward passes in training mode set
BatchNorm's statistics and the scales.
"""

from __future__ import annotations

import torch
from torch import nn

from tests.models.preparation import run_in_training_mode, samples
from tests.models.written import images, maps, sequences, signals

WRITTEN = images.NETWORKS | maps.NETWORKS | signals.NETWORKS | sequences.NETWORKS

_BATCHES = 4
_BATCH = 2


def build(name: str) -> nn.Module:
    """A network of `WRITTEN`, in evaluation mode."""
    torch.manual_seed(0)
    network, shape = WRITTEN[name]
    model = network()
    run_in_training_mode(model, [samples(_BATCH, shape, seed) for seed in range(_BATCHES)])
    return model
