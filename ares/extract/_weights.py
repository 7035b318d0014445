"""Quantised weights as integers: codes and scales of the float32 model, which is what the user trained.

A scale recomputed in float64 can differ (`BREVITAS.md` section 5).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ares.extract._findings import reject
from ares.extract._quantizers import code_range, require_plain
from ares.ir import constant

# Codes times a binary32 scale, divided by it again, are off by 2**-17 at most.
_OFF_GRID = 2.0**-12


@dataclass(frozen=True, slots=True, eq=False)
class Weights:
    """Codes int8 in the shape of the layer's weight, scales float64 [1 or more], bounds of the codes."""

    codes: npt.NDArray[Any]
    scale: npt.NDArray[np.float64]
    lo: int
    hi: int


def require_trained(layer: Any, *names: str) -> None:
    """Refuse parameters of these names that are computed anew at every call, and a weight that is no number."""
    for name in names:
        value = getattr(layer, name)
        if value is not None and not isinstance(value, torch.nn.Parameter):
            reject(
                f"its {name} is computed anew at every call (pruning, weight normalisation)",
                f"make that permanent, for example torch.nn.utils.prune.remove(layer, {name!r})",
            )
    if not bool(torch.isfinite(layer.weight).all()):
        reject("its weights contain NaN or infinity", "train or load the model again")


def read_weights(layer: Any) -> Weights:
    """The integers of a layer of the float32 model with an enabled weight quantiser; refuses what has none."""
    integer = require_plain(layer.weight_quant.tensor_quant, "its weight quantiser")
    if not integer.signed:
        reject("its weights are unsigned, with a zero point", "use a symmetric weight quantiser")
    if len(layer.weight_quant.tracked_module_list) != 1:
        reject(
            "its weight quantiser serves several layers",
            "give each layer a weight_quant of its own",
        )
    with torch.no_grad():
        quantized = layer.quant_weight()
        exact = quantized.value.double() / quantized.scale.double()
        codes = torch.round(exact)
    bits = float(quantized.bit_width)
    if not 2 <= bits <= 8:
        reject(f"its weights have {bits:g} bits", "use 2 to 8 bits")
    if not float((exact - codes).abs().max()) < _OFF_GRID:
        reject("its weights are not multiples of their scale", "use an integer weight quantiser")
    return Weights(
        constant(codes.numpy(), np.int8),
        quantized.scale.detach().double().numpy().reshape(-1),
        *code_range(int(bits), True, bool(integer.narrow_range)),
    )
