"""SelectiveScan: the recurrence of a state space layer (Mamba)."""

from __future__ import annotations

import torch
from brevitas.nn.quant_layer import ActQuantType
from brevitas.quant import Int8ActPerTensorFloat
from torch import Tensor, nn

from ares.nn.quant_tensor import AnyTensor, value_of
from ares.nn.quantizers import DEFAULT_BIT_WIDTH, default_quant_identity


class SelectiveScan(nn.Module):
    """y = quant(scan): h_t = exp(dt_t A) h_(t-1) + dt_t B_t x_t, y_t = C_t . h_t + D x_t, A = -exp(A_log).

    Shapes: x, dt [B, T, d_inner], B and C [B, T, d_state]; y as x. All four are codes, dt of an unsigned
    quantiser. Parameters A_log [d_inner, d_state], at the start log(n + 1), and D [d_inner], at the start 1.
    A is discretised exactly (exp(dt A)), B in first order (dt B), as published.
    """

    def __init__(
        self,
        d_inner: int,
        d_state: int = 16,
        bit_width: int = DEFAULT_BIT_WIDTH,
        return_quant_tensor: bool = True,
        act_quant: ActQuantType = Int8ActPerTensorFloat,
    ) -> None:
        super().__init__()
        if d_inner < 1 or d_state < 1:
            raise ValueError(
                f"SelectiveScan: d_inner={d_inner} and d_state={d_state} must be positive"
            )
        numbers = torch.arange(1, d_state + 1, dtype=torch.float32)
        self.A_log = nn.Parameter(torch.log(numbers).repeat(d_inner, 1))
        self.D = nn.Parameter(torch.ones(d_inner))
        self.quant = default_quant_identity(bit_width, return_quant_tensor, act_quant=act_quant)

    def forward(self, x: AnyTensor, dt: AnyTensor, B: AnyTensor, C: AnyTensor) -> AnyTensor:
        """quant(y)"""
        u, step, enter, leave = (value_of(item) for item in (x, dt, B, C))
        rate = -torch.exp(self.A_log)
        h = torch.zeros((), dtype=u.dtype, device=u.device)
        rows: list[Tensor] = []
        for t in range(u.shape[1]):
            drive = (step[:, t] * u[:, t]).unsqueeze(-1) * enter[:, t].unsqueeze(1)
            h = torch.exp(step[:, t].unsqueeze(-1) * rate) * h + drive
            rows.append((h * leave[:, t].unsqueeze(1)).sum(dim=-1) + self.D * u[:, t])
        return self.quant(torch.stack(rows, dim=1))

    def extra_repr(self) -> str:
        return f"d_inner={self.A_log.shape[0]}, d_state={self.A_log.shape[1]}"
