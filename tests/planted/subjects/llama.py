"""A Llama block: RMSNorm, causal attention with RoPE whose heads share keys and values, SwiGLU."""

from torch import Tensor, nn

from ares.nn import (
    Linear,
    QuantIdentity,
    QuantMean,
    QuantRoPESelfAttention,
    RMSNorm,
    SwiGLU,
    TransformerBlock,
)
from ares.zoo import signals

TOKENS, DIM = 10, 24


class Llama(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.quant_in = QuantIdentity(return_quant_tensor=True)
        self.block = TransformerBlock(
            DIM,
            attention=QuantRoPESelfAttention(
                DIM,
                num_heads=4,
                num_kv_heads=2,
                seq_len=TOKENS,
                pool_sequence="none",
                causal=True,
            ),
            mlp=SwiGLU(DIM, 40),
            norm=RMSNorm,
        )
        self.norm = RMSNorm(DIM)
        self.quant_norm = QuantIdentity(return_quant_tensor=True)
        self.mean = QuantMean(dim=1)
        self.fc = Linear(DIM, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.block(self.quant_in(x))
        return self.fc(self.mean(self.quant_norm(self.norm(x))))


def create_model() -> nn.Module:
    return Llama()


def example_inputs(sample: int = 0) -> tuple[Tensor, ...]:
    return (signals.tokens(TOKENS, DIM, sample),)
