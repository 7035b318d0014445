"""A Llama block in small: RMSNorm, attention with four heads, residuals, GELU, mean over the tokens.

Quantised tensors between the layers. Not trained.
"""

from torch import Tensor, nn

from ares.nn import Linear, QuantIdentity, QuantMean, RMSNorm, TransformerBlock
from ares.zoo import signals
from ares.zoo.dimensions import Dimensions

TOKENS, DIM = 32, 64


class MinimalLlama(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.quant_in = QuantIdentity(return_quant_tensor=True)
        self.block0 = TransformerBlock(DIM, num_heads=4, seq_len=TOKENS, mlp_dim=256, norm=RMSNorm)
        self.norm = RMSNorm(DIM)
        self.quant_norm = QuantIdentity(return_quant_tensor=True)
        self.mean = QuantMean(dim=1)
        self.fc = Linear(DIM, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.block0(self.quant_in(x))
        return self.fc(self.mean(self.quant_norm(self.norm(x))))


def example_inputs(sample: int = 0) -> tuple[Tensor, ...]:
    return (signals.tokens(TOKENS, DIM, sample),)


# 16,640 + 33,088 + 3 * 64 + 260
DIMENSIONS = Dimensions(
    inputs=((1, 32, 64),),
    outputs=((1, 4),),
    macs=1_573_120,
    parameters=50_180,
)
