"""A Llama block as it is: RMSNorm, causal attention with RoPE and four heads, SwiGLU of width 172.

Quantised tensors between the layers. Not trained.
"""

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
from ares.zoo.dimensions import Dimensions

TOKENS, DIM = 16, 64


class LlamaSwiGLU(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.quant_in = QuantIdentity(return_quant_tensor=True)
        self.block0 = TransformerBlock(
            DIM,
            attention=QuantRoPESelfAttention(
                DIM, num_heads=4, seq_len=TOKENS, pool_sequence="none", causal=True
            ),
            mlp=SwiGLU(DIM, 172),
            norm=RMSNorm,
        )
        self.norm = RMSNorm(DIM)
        self.quant_norm = QuantIdentity(return_quant_tensor=True)
        self.mean = QuantMean(dim=1)
        self.fc = Linear(DIM, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.block0(self.quant_in(x))
        return self.fc(self.mean(self.quant_norm(self.norm(x))))


def example_inputs(sample: int = 0) -> tuple[Tensor, ...]:
    return (signals.tokens(TOKENS, DIM, sample),)


# 16,640 + 3 * 64 * 172 + 3 * 64 + 260
DIMENSIONS = Dimensions(
    inputs=((1, 16, 64),),
    outputs=((1, 4),),
    macs=790_784,
    parameters=50_116,
)
