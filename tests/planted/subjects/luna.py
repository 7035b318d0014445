"""Spectra of patches, GELU, GroupNorm over channels that come first, learned queries that attend to the patches."""

from torch import Tensor, nn

from ares.nn import (
    GroupNorm,
    LayerNorm,
    Linear,
    Permute,
    QuantCrossAttention,
    QuantIdentity,
    Reshape,
    RFFTFeatures,
    Squeeze,
)
from ares.zoo import signals

PATCHES, PATCH, DIM = 16, 14, 16


class Luna(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.quant_in = QuantIdentity(return_quant_tensor=True)
        self.patches = Reshape(PATCHES, PATCH)
        self.spectrum = RFFTFeatures(PATCH)
        self.up = Linear(2 * (PATCH // 2 + 1), DIM)
        self.gelu = nn.GELU()
        self.quant_up = QuantIdentity(return_quant_tensor=True)
        self.channels_first = Permute(0, 2, 1)
        self.norm = GroupNorm(4, DIM)
        self.quant_norm = QuantIdentity(return_quant_tensor=True)
        self.channels_last = Permute(0, 2, 1)
        self.cross = QuantCrossAttention(DIM, num_heads=2, num_queries=3, kv_len=PATCHES)
        self.last_norm = LayerNorm(DIM)
        self.quant_last = QuantIdentity(return_quant_tensor=True)
        self.readout = QuantCrossAttention(DIM, num_heads=4, num_queries=1, kv_len=3)
        self.squeeze = Squeeze(1)
        self.fc = Linear(DIM, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.spectrum(self.patches(self.quant_in(x)))
        x = self.channels_first(self.quant_up(self.gelu(self.up(x))))
        x = self.cross(self.channels_last(self.quant_norm(self.norm(x))))
        x = self.readout(self.quant_last(self.last_norm(x)))
        return self.fc(self.squeeze(x))


def create_model() -> nn.Module:
    return Luna()


def example_inputs(sample: int = 0) -> tuple[Tensor, ...]:
    return (signals.eeg(4, PATCHES * PATCH // 4, sample)[:, 0],)
