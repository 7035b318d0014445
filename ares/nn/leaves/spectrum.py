"""The parts of `ares.nn.RFFTFeatures`: magnitudes, phases, and both side by side.

The DFT is that of the input's codes, with cosines rounded to 30 bits: in float64 its sums are then exact integers over
2**30, in every order, and within N * 2**-24 input codes of the ideal ones. The integer kernel has the same sums.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from brevitas.nn.quant_layer import ActQuantType
from brevitas.quant import Int8ActPerTensorFloat
from brevitas.quant_tensor import IntQuantTensor, QuantTensor
from torch import Tensor, nn

from ares.nn.errors import MappingError
from ares.nn.quant_tensor import AnyTensor, value_of
from ares.nn.quantizers import DEFAULT_BIT_WIDTH, default_quant_identity

SHORTEST, LONGEST = 2, 1024
SNAP = 2.0**-10
"""Real and imaginary parts of at most this, in input codes, count as zero in the phase."""

_TABLE_SCALE = 2.0**30


def _cosine_table(length: int) -> Tensor:
    """cos(2 pi j / N) in steps of 2**-30, float64 [N]; the symmetries of the circle hold exactly."""
    table = []
    for j in range(length):
        away = min(j, length - j)
        folded = min(
            2 * away, length - 2 * away
        )  # steps of pi / N from the nearer end of the real axis
        value = 0.0
        if 2 * folded != length:
            value = round(math.cos(math.pi * folded / length) * _TABLE_SCALE) / _TABLE_SCALE
        table.append(-value if 4 * away > length else value)
    return torch.tensor(table, dtype=torch.float64)


def _sine_table(length: int) -> Tensor:
    """sin(2 pi j / N), as the cosines."""
    table = []
    for j in range(length):
        away = min(j, length - j)
        folded = min(2 * away, length - 2 * away)
        value = round(math.sin(math.pi * folded / length) * _TABLE_SCALE) / _TABLE_SCALE
        table.append(-value if 2 * j > length else value)
    return torch.tensor(table, dtype=torch.float64)


class _Rfft(nn.Module):
    """What both parts share: the sums over a row, and the quantiser `quant`.

    Input [..., N] with N = patch_size, output a QuantTensor [..., N // 2 + 1].
    """

    def __init__(
        self,
        patch_size: int,
        bit_width: int = DEFAULT_BIT_WIDTH,
        act_quant: ActQuantType = Int8ActPerTensorFloat,
    ) -> None:
        super().__init__()
        if not SHORTEST <= patch_size <= LONGEST:
            raise MappingError(
                "RFFTFeatures",
                f"patch_size={patch_size}, expected {SHORTEST} to {LONGEST}",
                "choose a length within these bounds",
            )
        self.patch_size = patch_size
        self.quant = default_quant_identity(bit_width, act_quant=act_quant)

    def _sums(self, x: AnyTensor) -> tuple[Tensor, Tensor, Tensor]:
        """Real and imaginary parts in input codes, float64, and what an input code is worth.

        A plain tensor has no codes: that is so only while Brevitas calibrates with quantisation switched off. It is
        taken as it is, in units of 1/127 of its largest magnitude.
        """
        value = value_of(x)
        if value.shape[-1] != self.patch_size:
            raise ValueError(
                f"input {list(value.shape)}, expected {self.patch_size} elements in the last axis"
            )
        exact = value.double()
        if isinstance(x, QuantTensor):
            scale = x.scale.double()
            real = exact / scale
            codes = real + (torch.round(real) - real).detach()
        else:
            scale = exact.detach().abs().amax().clamp_min(1e-30) / 127.0
            codes = exact / scale
        n, k = torch.arange(self.patch_size), torch.arange(self.patch_size // 2 + 1)
        turns = (torch.outer(n, k) % self.patch_size).to(value.device)
        cosine = _cosine_table(self.patch_size).to(value.device)[turns]
        sine = _sine_table(self.patch_size).to(value.device)[turns]
        return codes @ cosine, -(codes @ sine), scale

    def _quantized(self, value: Tensor, x: AnyTensor) -> AnyTensor:
        """Through the quantiser's proxy: it keeps the scale where Brevitas' calibration hides QuantTensors."""
        result: AnyTensor = self.quant.act_quant(value.to(value_of(x).dtype))
        return result

    def extra_repr(self) -> str:
        return f"patch_size={self.patch_size}"


class RfftMagnitude(_Rfft):
    """quant(|X[k]|), X the DFT of every row."""

    def forward(self, x: AnyTensor) -> AnyTensor:
        """Magnitudes in the unit of x."""
        re, im, scale = self._sums(x)
        # The norm has a gradient of zero at zero, where a square root has none.
        magnitude = torch.linalg.vector_norm(torch.stack((re, im)), dim=0)
        return self._quantized(magnitude * scale, x)


class RfftPhase(_Rfft):
    """quant(arg X[k]) in radians, in (-pi, pi]; real and imaginary parts within `SNAP` of zero are zero first.

    Without that, bins that are zero but for rounding would have any phase, and real negative ones either sign of pi.
    """

    def forward(self, x: AnyTensor) -> AnyTensor:
        """Phases in radians; 0 for a bin of zero."""
        re, im, _ = self._sums(x)
        zero = torch.zeros_like(re)
        re = torch.where(re.abs() <= SNAP, zero, re)
        im = torch.where(im.abs() <= SNAP, zero, im)
        # Phase 0 for a bin of zero, by way of 1 + 0i: atan2 has no gradient at the origin.
        re = torch.where((re == 0) & (im == 0), torch.ones_like(re), re)
        return self._quantized(torch.atan2(im, re), x)


class JoinSpectrum(nn.Module):
    """Magnitudes and phases side by side, without loss: codes of both, with the scale of the phases.

    Shapes: [..., K] twice, [..., 2 K]. The magnitudes are divided by their gain, magnitude scale / phase scale.
    """

    def __init__(self, return_quant_tensor: bool = True) -> None:
        super().__init__()
        self.return_quant_tensor = return_quant_tensor

    def forward(self, magnitude: AnyTensor, phase: AnyTensor) -> AnyTensor:
        """cat(magnitude / gain, phase); raises TypeError where a quantiser is switched off."""
        for part in (magnitude, phase):
            if not isinstance(part, QuantTensor):
                raise TypeError("magnitude and phase must be quantised: their scales make the gain")
        first: Any = magnitude
        second: Any = phase
        value = torch.cat([first.value / first.scale * second.scale, second.value], dim=-1)
        if not self.return_quant_tensor:
            return value
        return IntQuantTensor(
            value,
            second.scale,
            second.zero_point,
            second.bit_width,
            second.signed,
            second.training,
        )
