"""Models of one shape, codes -> what is tried -> quantiser, and BatchNorms to put into them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import brevitas.nn as qnn
import brevitas.quant as bq
import torch
from brevitas.quant.shifted_scaled_int import ShiftedUint8ActPerTensorFloat
from torch import nn

from ares.ir import Graph
from tests.extract.models import (
    IMAGE,
    Net,
    Shape,
    calibrated,
    checked,
    identity,
    kinds,
    plain_identity,
    relu,
    seeded,
)

GAMMAS = (0.7, -1.3, 0.0, 2.1, -0.2, 1.0)
POSITIVE = (0.7, 1.3, 0.0, 2.1, 0.2, 1.0)
POWER_OF_TWO = bq.Int8ActPerTensorFixedPoint
VECTOR: Shape = (1, 6)
SIGNAL: Shape = (1, 4, 7)
NORMS: dict[int, type[nn.Module]] = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d}


def norm(channels: int, dims: int = 2, gammas: Any = GAMMAS, **options: Any) -> nn.Module:
    """A BatchNorm with these factors in turn and random offsets; its statistics come with calibration."""
    layer: Any = NORMS[dims](channels, **options)
    if layer.affine:
        with torch.no_grad():
            layer.weight.copy_(torch.tensor([gammas[c % len(gammas)] for c in range(channels)]))
            layer.bias.normal_()
    made: nn.Module = layer
    return made


def trained(make: Callable[[], nn.Module], shape: Shape = IMAGE) -> nn.Module:
    """Calibrated on batches of eight, which BatchNorm needs."""
    return calibrated(seeded(make), (8, *shape[1:]))


def exact(
    make: Callable[[], nn.Module], *stems: str, shape: Shape = IMAGE, c: bool = False
) -> Graph:
    """The model's Graph, which has these operations behind the first quantiser."""
    graph = checked(trained(make, shape), shape, c=c, calibrate=False)
    assert kinds(graph) == ["quantize", *stems]
    return graph


def behind(function: Callable[..., Any], **layers: Any) -> Callable[[], nn.Module]:
    """`function(model, y)` of the codes y of the input, then a quantiser; `layers` are made when the model is."""

    def make() -> nn.Module:
        own = {"q": plain_identity, "q2": identity} | layers
        return Net(lambda m, x: m.q2(function(m, m.q(x))), **{k: f() for k, f in own.items()})

    return make


QUANTIZERS: dict[str, Callable[[], nn.Module]] = {
    "s8": identity,
    "s3": lambda: identity(bit_width=3),
    "u8": lambda: identity(act_quant=bq.Uint8ActPerTensorFloat),
    "zero point": lambda: identity(act_quant=ShiftedUint8ActPerTensorFloat),
    "power of two": lambda: identity(act_quant=POWER_OF_TWO),
    "binary": lambda: identity(act_quant=bq.SignedBinaryActPerTensorConst),
    "ternary": lambda: identity(act_quant=bq.SignedTernaryActPerTensorConst),
    "QuantReLU, 2 bits": lambda: relu(bit_width=2),
    "QuantHardTanh": lambda: qnn.QuantHardTanh(min_val=-2.0, max_val=2.0),
}
