"""A small vision transformer as it is written with Brevitas' own layers: QuantMultiheadAttention and QuantLinear.

Sixteen patches of a picture and a class token, a table of positions, two pre-norm blocks with four heads, GELU, the
head on the class token. The first block's scores go to softmax as they are, those of the second through a quantiser.
"""

import brevitas.nn as qnn
import torch
from brevitas.quant import Int8ActPerTensorFloat
from torch import Tensor, nn

from ares.nn import QuantAdd, QuantIdentity
from ares.zoo import digits
from ares.zoo.dimensions import Dimensions
from ares.zoo.training import Recipe

PATCH, TOKENS, DIM, HEADS, HIDDEN = 7, 16, 32, 4, 64


class Table(nn.Module):
    """Trained tokens that do not depend on the picture."""

    def __init__(self, tokens: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.zeros(1, tokens, DIM))

    def forward(self) -> Tensor:
        return self.table


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x))."""

    def __init__(self, scores_quant: type | None) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(DIM)
        self.attention = qnn.QuantMultiheadAttention(
            DIM,
            HEADS,
            batch_first=True,
            softmax_input_quant=scores_quant,
            out_proj_output_quant=Int8ActPerTensorFloat,
        )
        self.add1 = QuantAdd()
        self.norm2 = nn.LayerNorm(DIM)
        self.quant2 = QuantIdentity(return_quant_tensor=True)
        self.up = qnn.QuantLinear(DIM, HIDDEN, bias=True)
        self.gelu = nn.GELU()
        self.quant_up = QuantIdentity(return_quant_tensor=True)
        self.down = qnn.QuantLinear(HIDDEN, DIM, bias=True)
        self.quant_down = QuantIdentity(return_quant_tensor=True)
        self.add2 = QuantAdd(return_quant_tensor=False)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm1(x)
        x = self.add1(x, self.attention(y, y, y, need_weights=False)[0])
        y = self.quant_up(self.gelu(self.up(self.quant2(self.norm2(x)))))
        result: Tensor = self.add2(x, self.quant_down(self.down(y)))
        return result


class ViT(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.quant_in = QuantIdentity(return_quant_tensor=True)
        self.patch = qnn.QuantConv2d(1, DIM, PATCH, stride=PATCH, bias=True)
        self.cls_token = Table(1)
        self.quant_tokens = QuantIdentity()
        self.position = Table(1 + TOKENS)
        self.quant_position = QuantIdentity()
        self.add = QuantAdd()
        self.blocks = nn.ModuleList([Block(None), Block(Int8ActPerTensorFloat)])
        self.norm = nn.LayerNorm(DIM)
        self.quant_norm = QuantIdentity(return_quant_tensor=True)
        self.head = qnn.QuantLinear(DIM, 10, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        patches = self.patch(self.quant_in(x)).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.cls_token().expand(x.shape[0], -1, -1), patches], dim=1)
        x = self.add(self.quant_tokens(tokens), self.quant_position(self.position()))
        for block in self.blocks:
            x = block(x)
        logits: Tensor = self.head(self.quant_norm(self.norm(x[:, 0])))
        return logits


def create_model() -> ViT:
    return ViT()


RECIPE = Recipe(float_epochs=120, quantised_epochs=3, float_rate=2e-3, quantised_rate=2e-4)


def example_inputs(sample: int = 0) -> tuple[Tensor, ...]:
    return (digits.example(28, sample),)


def dataset() -> digits.Dataset:
    return digits.dataset(28)


# 1,600 + 32 + 544 + 2 (64 + 3,168 + 1,056 + 64 + 2,112 + 2,080) + 64 + 330;
# 25,088 + 2 * 17 (3,072 + 1,024 + 2 * 2,048) + 320
DIMENSIONS = Dimensions(
    inputs=((1, 1, 28, 28),),
    outputs=((1, 10),),
    macs=303_936,
    parameters=19_658,
)
# Patches of 7 x 7 pixels are few and coarse for digits of 28 x 28.
ACCURACY = 0.95
