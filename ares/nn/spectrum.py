"""Features of the real DFT: RFFTFeatures, also called RFFT and RFFTFeature."""

from __future__ import annotations

from brevitas.nn.quant_layer import ActQuantType
from brevitas.quant import Int8ActPerTensorFloat
from brevitas.quant_tensor import QuantTensor
from torch import nn

from ares.nn.leaves.spectrum import JoinSpectrum, RfftMagnitude, RfftPhase
from ares.nn.quant_tensor import AnyTensor
from ares.nn.quantizers import DEFAULT_BIT_WIDTH, default_quant_identity, require_class


class RFFTFeatures(nn.Module):
    """Magnitudes, then phases, of the real DFT of every row: [..., N] to [..., 2 * (N // 2 + 1)], 2 <= N <= 1024.

    Magnitudes and phases have a quantiser each (`magnitude.quant`, `phase.quant`) and keep all of its codes. The
    layers after them see one tensor with one scale, that of the phases: phases in radians, magnitudes divided by
    `gain`, a constant of the calibrated model that the next layer's weights absorb. In one unit either part would
    have lost its resolution: magnitudes reach hundreds, phases pi.

    A QuantTensor is transformed code by code; a plain tensor goes through the quantiser `input` first. Phases of bins
    that are zero are 0, phases of negative real bins +pi: see `ares.nn.leaves.spectrum.RfftPhase`.

    >>> features = RFFTFeatures(patch_size=20)
    >>> features(default_quant_identity()(torch.randn(1, 6, 20))).shape
    torch.Size([1, 6, 22])
    """

    def __init__(
        self,
        patch_size: int,
        bit_width: int = DEFAULT_BIT_WIDTH,
        return_quant_tensor: bool = True,
        *,
        act_quant: ActQuantType = Int8ActPerTensorFloat,
    ) -> None:
        super().__init__()
        require_class(self, act_quant)
        self.patch_size = patch_size
        self.input = default_quant_identity(act_quant=act_quant)
        self.magnitude = RfftMagnitude(patch_size, bit_width, act_quant)
        self.phase = RfftPhase(patch_size, bit_width, act_quant)
        self.join = JoinSpectrum(return_quant_tensor)

    @property
    def gain(self) -> float:
        """What the magnitudes are divided by: scale of the magnitudes / scale of the phases."""
        scales = [
            float(part.quant.act_quant.scale().detach()) for part in (self.magnitude, self.phase)
        ]
        return scales[0] / scales[1]

    def forward(self, x: AnyTensor) -> AnyTensor:
        """cat(magnitudes / gain, phases)"""
        rows = x
        if self.training or not isinstance(x, QuantTensor):
            # In training for its statistics alone: no quantiser of a trained model is without a scale.
            quantized = self.input(x)
            rows = x if isinstance(x, QuantTensor) else quantized
        return self.join(self.magnitude(rows), self.phase(rows))

    def extra_repr(self) -> str:
        return f"patch_size={self.patch_size}"


class RFFT(RFFTFeatures):
    """`RFFTFeatures` by another name: [..., N] to [..., 2 * (N // 2 + 1)]; quantisers of its parts.

    >>> features = RFFT(20)
    >>> features(default_quant_identity()(torch.randn(1, 20))).shape
    torch.Size([1, 22])
    """


class RFFTFeature(RFFTFeatures):
    """`RFFTFeatures` by another name: [..., N] to [..., 2 * (N // 2 + 1)]; quantisers of its parts.

    >>> features = RFFTFeature(20)
    >>> features(default_quant_identity()(torch.randn(1, 20))).shape
    torch.Size([1, 22])
    """
