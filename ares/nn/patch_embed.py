"""QuantPatchEmbed: an image of channels by time becomes tokens along time."""

from __future__ import annotations

from brevitas.nn import QuantConv2d
from brevitas.nn.quant_layer import ActQuantType, WeightQuantType
from brevitas.quant import Int8ActPerTensorFloat, Int8WeightPerChannelFloat
from torch import nn

from ares.nn.errors import MappingError
from ares.nn.quant_tensor import AnyTensor, value_of
from ares.nn.quantizers import DEFAULT_BIT_WIDTH, output_options, weight_options
from ares.nn.shapes import Permute, Reshape

Pair = int | tuple[int, int]


def _pair(size: Pair) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else size


class QuantPatchEmbed(nn.Module):
    """Patches of [B, in_chans, H, W] codes to tokens [B, gw, embed_dim * gh], gh = (H - ph) / sh + 1, gw alike.

    One convolution, `proj`, with kernel `patch_size` and `stride` and an output quantiser; what it gives for one
    place in W, all rows of it, is one token; `act_quant=None` leaves tokens real. Sizes are numbers or (H, W) pairs.
    Raises ValueError where patches do not cover the input exactly, or the input has another size.

    >>> embed = QuantPatchEmbed(inp_size=(4, 20), patch_size=(2, 5), stride=(2, 5), embed_dim=6)
    >>> embed(default_quant_identity()(torch.randn(1, 1, 4, 20))).shape
    torch.Size([1, 4, 12])
    """

    def __init__(
        self,
        inp_size: Pair,
        patch_size: Pair,
        stride: Pair,
        in_chans: int = 1,
        embed_dim: int = 35,
        bit_width: int = DEFAULT_BIT_WIDTH,
        return_quant_tensor: bool = True,
        *,
        act_quant: ActQuantType | None = Int8ActPerTensorFloat,
        weight_quant: WeightQuantType | None = Int8WeightPerChannelFloat,
    ) -> None:
        super().__init__()
        self.inp_size, patch, step = _pair(inp_size), _pair(patch_size), _pair(stride)
        for axis, size, part, move in zip("HW", self.inp_size, patch, step, strict=True):
            if part < 1 or move < 1 or size < part or (size - part) % move:
                raise MappingError(
                    "QuantPatchEmbed",
                    f"patches of {part} every {move} do not divide {axis} = {size}",
                    "choose patch_size and stride that cover inp_size exactly",
                )
        self.proj = QuantConv2d(
            in_chans,
            embed_dim,
            patch,
            stride=step,
            **weight_options(weight_quant, bit_width),
            **output_options(act_quant, bit_width),
            return_quant_tensor=return_quant_tensor and act_quant is not None,
        )
        rows, columns = (
            (size - part) // move + 1
            for size, part, move in zip(self.inp_size, patch, step, strict=True)
        )
        self.permute = Permute(0, 3, 1, 2)
        self.reshape = Reshape(columns, embed_dim * rows)

    def forward(self, x: AnyTensor) -> AnyTensor:
        """The tokens of x"""
        if tuple(x.shape[2:]) != self.inp_size:
            raise MappingError(
                "QuantPatchEmbed",
                f"input is {list(x.shape)}, expected [B, C, {self.inp_size[0]}, {self.inp_size[1]}]",
                "give it pictures of inp_size",
            )
        return self.reshape(self.permute(self.proj(value_of(x))))
