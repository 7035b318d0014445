"""Mamba: QuantSSM, QuantMambaBlock and the bidirectional QuantMambaWrapper.

The state space is the published one: A = -exp(A_log) per channel and state, from -1 to -d_state at the start;
A-bar = exp(dt A), B-bar = dt B; dt = softplus(W (x W_low) + bias). Quantisers sit on dt_low, dt, B, C, x, z and y.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from brevitas.nn import QuantIdentity, QuantLinear
from brevitas.quant import Int8ActPerTensorFloat, Int8WeightPerChannelFloat, Uint8ActPerTensorFloat
from torch import nn

from ares.nn.activations import QuantSiLU
from ares.nn.joins import QuantAdd, QuantConcatenate, QuantMul
from ares.nn.layers import Linear
from ares.nn.leaves.conv1d import QuantConv1dDepthwise
from ares.nn.leaves.scan import SelectiveScan
from ares.nn.quant_tensor import AnyTensor, value_of
from ares.nn.quantizers import DEFAULT_BIT_WIDTH
from ares.nn.shapes import Permute
from ares.nn.slices import Flip, Slice

DT_RANGE = (1e-3, 0.1)
"""softplus(bias of dt) at the start: log-uniform between these."""


def _projection(
    in_features: int, out_features: int, bit_width: int, return_quant_tensor: bool = False
) -> QuantLinear:
    """A linear layer without bias that quantises its output."""
    return QuantLinear(
        in_features,
        out_features,
        bias=False,
        weight_quant=Int8WeightPerChannelFloat,
        weight_bit_width=bit_width,
        output_quant=Int8ActPerTensorFloat,
        output_bit_width=bit_width,
        return_quant_tensor=return_quant_tensor,
    )


class QuantSSM(nn.Module):
    """Selective state space: [B, T, d_inner] codes -> [B, T, d_inner] codes.

    `dt_rank` is by default ceil(d_inner / 32): ceil(d_model / 16) of a block with d_inner = 2 d_model. Members bear
    the names of the tensors: `dt_low`, `dt` (d_inner, after its softplus, unsigned), `B`, `C` (d_state), `y`.
    Each ends with a quantiser; that of x is the caller's.

    >>> ssm = QuantSSM(d_inner=12, d_state=4)
    >>> ssm(default_quant_identity()(torch.randn(1, 16, 12))).shape
    torch.Size([1, 16, 12])
    """

    def __init__(
        self,
        d_inner: int,
        d_state: int = 16,
        dt_rank: int | None = None,
        bit_width: int = DEFAULT_BIT_WIDTH,
        return_quant_tensor: bool = True,
    ) -> None:
        super().__init__()
        rank = math.ceil(d_inner / 32) if dt_rank is None else dt_rank
        self.dt_low = _projection(d_inner, rank, bit_width)
        self.dt = Linear(rank, d_inner, bit_width=bit_width)
        self.softplus = nn.Softplus()
        self.dt_quant = QuantIdentity(act_quant=Uint8ActPerTensorFloat, bit_width=bit_width)
        self.B = _projection(d_inner, d_state, bit_width)
        self.C = _projection(d_inner, d_state, bit_width)
        self.y = SelectiveScan(d_inner, d_state, bit_width, return_quant_tensor)
        self._reset_dt(rank)

    def _reset_dt(self, rank: int) -> None:
        """Weights uniform in +-rank^-0.5; the bias makes softplus(bias) log-uniform in DT_RANGE."""
        nn.init.uniform_(self.dt.weight, -(rank**-0.5), rank**-0.5)
        low, high = (math.log(edge) for edge in DT_RANGE)
        with torch.no_grad():
            dt = torch.exp(torch.empty_like(self.dt.bias).uniform_(low, high))
            # The inverse of softplus: log(exp(dt) - 1), without cancellation.
            self.dt.bias.copy_(dt + torch.log(-torch.expm1(-dt)))

    def forward(self, x: AnyTensor) -> AnyTensor:
        """y of x"""
        u = value_of(x)
        dt = self.dt_quant(self.softplus(self.dt(self.dt_low(u))))
        return self.y(u, dt, self.B(u), self.C(u))


class QuantMambaBlock(nn.Module):
    """out_proj(ssm(silu(conv(x))) * silu(z)) with x, z = in_proj(input): [B, T, d_model] -> [B, T, d_model].

    Defaults: d_inner = 2 * d_model, dt_rank = ceil(d_model / 16). The convolution is causal, depthwise, along T. No
    residual and no norm: those are the model's. Members bear the names of the tensors: `in_proj`, `conv` (after its
    SiLU), `ssm`, `z` (after its SiLU), `gate`, `out_proj`. Each ends with a quantiser; that of `conv` is `silu.quant`.

    >>> block = QuantMambaBlock(d_model=12, d_state=4)
    >>> block(default_quant_identity()(torch.randn(1, 16, 12))).shape
    torch.Size([1, 16, 12])
    """

    def __init__(
        self,
        d_model: int,
        d_inner: int | None = None,
        d_state: int = 16,
        conv_kernel: int = 4,
        dt_rank: int | None = None,
        bit_width: int = DEFAULT_BIT_WIDTH,
        return_quant_tensor: bool = True,
    ) -> None:
        super().__init__()
        inner = 2 * d_model if d_inner is None else d_inner
        rank = math.ceil(d_model / 16) if dt_rank is None else dt_rank
        self.in_proj = _projection(d_model, 2 * inner, bit_width)
        # Moves are modules so that each has a name of its own.
        self.x = Slice(2, 0, inner)
        self.gate_input = Slice(2, inner, 2 * inner)
        self.to_channels = Permute(0, 2, 1)
        self.conv = QuantConv1dDepthwise(
            inner, conv_kernel, bit_width=bit_width, quantize_output=False
        )
        self.silu = QuantSiLU(bit_width, return_quant_tensor=False)
        self.to_tokens = Permute(0, 2, 1)
        self.ssm = QuantSSM(inner, d_state, rank, bit_width, return_quant_tensor=False)
        self.z = QuantSiLU(bit_width, return_quant_tensor=False)
        self.gate = QuantMul(bit_width, return_quant_tensor=False)
        self.out_proj = _projection(inner, d_model, bit_width, return_quant_tensor)

    def forward(self, x: AnyTensor) -> AnyTensor:
        """The block's codes"""
        both = self.in_proj(value_of(x))
        u = self.to_tokens(self.silu(self.conv(self.to_channels(self.x(both)))))
        return self.out_proj(self.gate(self.ssm(u), self.z(self.gate_input(both))))


class QuantMambaWrapper(nn.Module):
    """join(block(x), flip(block'(flip(x)))), flipped along T: [B, T, d_model] -> [B, T, d_model].

    `bidirectional_strategy` "add" sums both directions, "concat" puts them side by side ([B, T, 2 * d_model]).
    The other arguments are those of QuantMambaBlock; the two blocks share nothing. Quantisers: the
    blocks' and `join.quant`. Raises ValueError for another strategy.

    >>> both = QuantMambaWrapper(d_model=12, d_state=4, bidirectional_strategy="concat")
    >>> both(default_quant_identity()(torch.randn(1, 16, 12))).shape
    torch.Size([1, 16, 24])
    """

    def __init__(
        self,
        d_model: int,
        d_inner: int | None = None,
        d_state: int = 16,
        conv_kernel: int = 4,
        dt_rank: int | None = None,
        bidirectional_strategy: Literal["add", "concat"] = "add",
        bit_width: int = DEFAULT_BIT_WIDTH,
        return_quant_tensor: bool = True,
    ) -> None:
        super().__init__()
        if bidirectional_strategy not in ("add", "concat"):
            raise ValueError(
                f"QuantMambaWrapper: bidirectional_strategy={bidirectional_strategy!r}, expected 'add' or "
                "'concat'"
            )
        options = (d_model, d_inner, d_state, conv_kernel, dt_rank, bit_width, False)
        self.forward_block = QuantMambaBlock(*options)
        self.flip = Flip(1)
        self.backward_block = QuantMambaBlock(*options)
        self.unflip = Flip(1)
        self.join: QuantAdd | QuantConcatenate
        if bidirectional_strategy == "add":
            self.join = QuantAdd(bit_width, return_quant_tensor)
        else:
            self.join = QuantConcatenate(-1, bit_width, return_quant_tensor)

    def forward(self, x: AnyTensor) -> AnyTensor:
        """Both directions, joined"""
        ahead = self.forward_block(x)
        back = self.unflip(self.backward_block(self.flip(x)))
        if isinstance(self.join, QuantAdd):
            return self.join(ahead, back)
        return self.join([ahead, back])
