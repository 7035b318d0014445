"""Four transformer blocks on pictures: depth, 532 thousand parameters, 142 million multiplications.

The picture is read as 196 tokens of four pixels, which carry no position: the network sees which strokes
there are, not where. Weights per channel, float biases, quantised tensors between the layers.
"""

from torch import Tensor, nn

from ares.nn import (
    AdaptiveAvgPool1d,
    Conv2d,
    LayerNorm,
    Linear,
    Permute,
    QuantIdentity,
    Reshape,
    Squeeze,
    TransformerBlock,
)
from ares.zoo import digits
from ares.zoo.dimensions import Dimensions
from ares.zoo.training import Recipe

TOKENS, DIM = 196, 128


class MultiBlockTransformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.quant_in = QuantIdentity(return_quant_tensor=True)
        self.rows = Reshape(1, 4, TOKENS)
        self.patch = Conv2d(1, DIM, (1, 4), stride=(1, 4))
        self.quant_patch = QuantIdentity(return_quant_tensor=True)
        self.tokens = Reshape(DIM, TOKENS)
        self.tokens_last = Permute(0, 2, 1)
        self.block0 = TransformerBlock(DIM, num_heads=4, seq_len=TOKENS, mlp_dim=256)
        self.block1 = TransformerBlock(DIM, num_heads=4, seq_len=TOKENS, mlp_dim=256)
        self.block2 = TransformerBlock(DIM, num_heads=4, seq_len=TOKENS, mlp_dim=256)
        self.block3 = TransformerBlock(DIM, num_heads=4, seq_len=TOKENS, mlp_dim=256)
        self.norm = LayerNorm(DIM)
        self.quant_norm = QuantIdentity(return_quant_tensor=True)
        self.channels_first = Permute(0, 2, 1)
        self.pool = AdaptiveAvgPool1d(1)
        self.squeeze = Squeeze(-1)
        self.quant_pool = QuantIdentity(return_quant_tensor=True)
        self.fc = Linear(DIM, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.quant_patch(self.patch(self.rows(self.quant_in(x))))
        x = self.tokens_last(self.tokens(x))
        x = self.block3(self.block2(self.block1(self.block0(x))))
        x = self.channels_first(self.quant_norm(self.norm(x)))
        return self.fc(self.quant_pool(self.squeeze(self.pool(x))))


RECIPE = Recipe(float_epochs=12, quantised_epochs=1, float_rate=1e-3, quantised_rate=1e-4)


def example_inputs(sample: int = 0) -> tuple[Tensor, ...]:
    return (digits.example(28, sample),)


def dataset() -> digits.Dataset:
    return digits.dataset(28)


# 640 + 4 (512 + 66,048 + 65,920) + 256 + 1,290; 196 (512 + 4 * 131,072) + 1,280
DIMENSIONS = Dimensions(
    inputs=((1, 1, 28, 28),),
    outputs=((1, 10),),
    macs=102_862_080,
    parameters=532_106,
)
# It sees which strokes there are, not where.
ACCURACY = 0.58
