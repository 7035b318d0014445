"""Mamba: QuantSSM, QuantMambaBlock and the bidirectional QuantMambaWrapper.

The state space is the published one: A = -exp(A_log) per channel and state, from -1 to -d_state at the start;
A-bar = exp(dt A), B-bar = dt B; dt = softplus(W (x W_low) + bias). Quantisers sit on dt_low, dt, B, C, x, z and y:
`act_quant`, and its unsigned form on dt. `weight_quant` is that of all weights.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import torch
from brevitas.nn import QuantLinear
from brevitas.nn.quant_layer import ActQuantType, WeightQuantType
from brevitas.quant import Int8ActPerTensorFloat, Int8WeightPerChannelFloat
from torch import Tensor, nn

from ares.nn.activations import QuantSiLU
from ares.nn.errors import MappingError
from ares.nn.joins import QuantAdd, QuantConcatenate, QuantMul
from ares.nn.layers import Linear
from ares.nn.leaves.conv1d import QuantConv1dDepthwise
from ares.nn.leaves.scan import SelectiveScan
from ares.nn.quant_tensor import AnyTensor, value_of
from ares.nn.quantizers import (
    DEFAULT_BIT_WIDTH,
    default_quant_identity,
    output_options,
    require_class,
    unsigned,
    weight_options,
)
from ares.nn.shapes import Permute
from ares.nn.slices import Flip, Slice

DT_RANGE = (1e-3, 0.1)
"""softplus(bias of dt) at the start: log-uniform between these."""


def _projection(
    in_features: int,
    out_features: int,
    return_quant_tensor: bool = False,
    *,
    bit_width: int,
    act_quant: ActQuantType,
    weight_quant: WeightQuantType | None,
) -> QuantLinear:
    """A linear layer without bias that quantises its output."""
    return QuantLinear(
        in_features,
        out_features,
        bias=False,
        **weight_options(weight_quant, bit_width),
        **output_options(act_quant, bit_width),
        return_quant_tensor=return_quant_tensor,
    )


class QuantSSM(nn.Module):
    """Selective state space: [B, T, d_inner] codes -> [B, T, d_inner] codes.

    `dt_rank` is by default ceil(d_inner / 32): ceil(d_model / 16) of a block with d_inner = 2 d_model. Members bear
    the names of the tensors: `dt_low`, `dt` (d_inner, after its softplus, unsigned), `B`, `C` (d_state), `y`.
    Each ends with a quantiser; that of x is the caller's.

    forward(x, z) is gated: y * silu(z), z as x, codes or real. Then `z` (after its SiLU) and `gate` have quantisers
    too, and the scales of both are part of the state. A state without them is complete, for a layer that is never
    given z. `gate=False` leaves both out; z then raises MappingError.

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
        *,
        gate: bool = True,
        act_quant: ActQuantType = Int8ActPerTensorFloat,
        weight_quant: WeightQuantType | None = Int8WeightPerChannelFloat,
    ) -> None:
        super().__init__()
        require_class(self, act_quant)
        steps: dict[str, Any] = {"bit_width": bit_width, "act_quant": act_quant}
        linear: dict[str, Any] = {**steps, "weight_quant": weight_quant}
        rank = math.ceil(d_inner / 32) if dt_rank is None else dt_rank
        self.dt_low = _projection(d_inner, rank, **linear)
        self.dt = Linear(rank, d_inner, bit_width=bit_width, weight_quant=weight_quant)
        self.softplus = nn.Softplus()
        self.dt_quant = default_quant_identity(bit_width, False, act_quant=unsigned(act_quant))
        self.B = _projection(d_inner, d_state, **linear)
        self.C = _projection(d_inner, d_state, **linear)
        self.y = SelectiveScan(d_inner, d_state, bit_width, return_quant_tensor, act_quant)
        self.z = QuantSiLU(return_quant_tensor=False, **steps) if gate else None
        self.gate = QuantMul(return_quant_tensor=return_quant_tensor, **steps) if gate else None
        self._reset_dt(rank)
        self.register_load_state_dict_post_hook(_without_a_gate)  # type: ignore[no-untyped-call]  # torch leaves it untyped

    def _reset_dt(self, rank: int) -> None:
        """Weights uniform in +-rank^-0.5; the bias makes softplus(bias) log-uniform in DT_RANGE."""
        nn.init.uniform_(self.dt.weight, -(rank**-0.5), rank**-0.5)
        low, high = (math.log(edge) for edge in DT_RANGE)
        with torch.no_grad():
            dt = torch.exp(torch.empty_like(self.dt.bias).uniform_(low, high))
            # The inverse of softplus: log(exp(dt) - 1), without cancellation.
            self.dt.bias.copy_(dt + torch.log(-torch.expm1(-dt)))

    def forward(self, x: AnyTensor, z: AnyTensor | None = None) -> AnyTensor:
        """y of x, times silu(z) where there is z"""
        u = value_of(x)
        dt = self.dt_quant(self.softplus(self.dt(self.dt_low(u))))
        y: AnyTensor = self.y(u, dt, self.B(u), self.C(u))
        if z is None:
            return y
        if self.z is None or self.gate is None:
            raise MappingError(
                "QuantSSM", "it is given z but has no gate", "construct it with gate=True"
            )
        return self.gate(y, self.z(z))

    def _load_from_state_dict(
        self, state_dict: Mapping[str, Tensor], prefix: str, *rest: Any
    ) -> None:
        self._gate_scales = (f"{prefix}z.", f"{prefix}gate.")
        self._gate_is_stored = any(key.startswith(self._gate_scales) for key in state_dict)
        super()._load_from_state_dict(state_dict, prefix, *rest)


def _without_a_gate(ssm: QuantSSM, incompatible: Any) -> None:
    """The state of a layer that was never given z has no scales for it, and lacks nothing."""
    if not ssm._gate_is_stored:
        missing = incompatible.missing_keys
        missing[:] = [key for key in missing if not key.startswith(ssm._gate_scales)]


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
        *,
        act_quant: ActQuantType = Int8ActPerTensorFloat,
        weight_quant: WeightQuantType | None = Int8WeightPerChannelFloat,
    ) -> None:
        super().__init__()
        require_class(self, act_quant)
        steps: dict[str, Any] = {"bit_width": bit_width, "act_quant": act_quant}
        linear: dict[str, Any] = {**steps, "weight_quant": weight_quant}
        inner = 2 * d_model if d_inner is None else d_inner
        rank = math.ceil(d_model / 16) if dt_rank is None else dt_rank
        self.in_proj = _projection(d_model, 2 * inner, **linear)
        # Moves are modules so that each has a name of its own.
        self.x = Slice(2, 0, inner)
        self.gate_input = Slice(2, inner, 2 * inner)
        self.to_channels = Permute(0, 2, 1)
        self.conv = QuantConv1dDepthwise(inner, conv_kernel, quantize_output=False, **linear)
        self.silu = QuantSiLU(return_quant_tensor=False, **steps)
        self.to_tokens = Permute(0, 2, 1)
        self.ssm = QuantSSM(inner, d_state, rank, return_quant_tensor=False, gate=False, **linear)
        self.z = QuantSiLU(return_quant_tensor=False, **steps)
        self.gate = QuantMul(return_quant_tensor=False, **steps)
        self.out_proj = _projection(inner, d_model, return_quant_tensor, **linear)

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
        *,
        act_quant: ActQuantType = Int8ActPerTensorFloat,
        weight_quant: WeightQuantType | None = Int8WeightPerChannelFloat,
    ) -> None:
        super().__init__()
        if bidirectional_strategy not in ("add", "concat"):
            raise ValueError(
                f"QuantMambaWrapper: bidirectional_strategy={bidirectional_strategy!r}, expected 'add' or "
                "'concat'"
            )
        require_class(self, act_quant)
        sizes = (d_model, d_inner, d_state, conv_kernel, dt_rank, bit_width, False)
        quants: dict[str, Any] = {"act_quant": act_quant, "weight_quant": weight_quant}
        self.forward_block = QuantMambaBlock(*sizes, **quants)
        self.flip = Flip(1)
        self.backward_block = QuantMambaBlock(*sizes, **quants)
        self.unflip = Flip(1)
        self.join: QuantAdd | QuantConcatenate
        if bidirectional_strategy == "add":
            self.join = QuantAdd(bit_width, return_quant_tensor, act_quant=act_quant)
        else:
            self.join = QuantConcatenate(-1, bit_width, return_quant_tensor, act_quant=act_quant)

    def forward(self, x: AnyTensor) -> AnyTensor:
        """Both directions, joined"""
        ahead = self.forward_block(x)
        back = self.unflip(self.backward_block(self.flip(x)))
        if isinstance(self.join, QuantAdd):
            return self.join(ahead, back)
        return self.join([ahead, back])
