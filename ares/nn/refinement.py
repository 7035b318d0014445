"""Learned queries that gather the input and then attend to one another: QuantCrossAttentionWithSelfRefine."""

from __future__ import annotations

from typing import Any

from brevitas.nn.quant_layer import ActQuantType, WeightQuantType
from brevitas.quant import Int8ActPerTensorFloat, Int8WeightPerChannelFloat
from torch import nn

from ares.nn.attention import QuantCrossAttention, QuantSelfAttention
from ares.nn.errors import MappingError
from ares.nn.joins import QuantAdd
from ares.nn.quant_tensor import AnyTensor
from ares.nn.quantizers import DEFAULT_BIT_WIDTH
from ares.nn.transformer import FeedForward, TransformerBlock


class QuantCrossAttentionWithSelfRefine(nn.Module):
    """Cross-attention of learned queries, refined: y = cross(x); y = add(y, mlp(y)); y = layer(y) for each layer.

    Shapes: x [B, N, D] gives [B, num_queries, D], or [B, outer * inner * num_queries, D] group by group, N =
    outer * kv_len * inner, as `QuantCrossAttention`; `kv_len` None: any N that the groups divide. `cross` has norms of
    queries, keys and values, `mlp` is a `FeedForward` with `ff_dim` (default 4 D) hidden features, `layers` are
    `num_layers` `TransformerBlock`s over the queries of a group. Quantisers: those of the parts, and `add.quant`:
    `act_quant`, all of them. `use_integer_softmax` is accepted and changes nothing, as in all attention here. Raises
    MappingError for sizes that do not fit each other.

    >>> unify = QuantCrossAttentionWithSelfRefine(num_queries=3, embed_dim=32, num_heads=4, kv_len=8)
    >>> unify(default_quant_identity()(torch.randn(1, 8, 32))).shape
    torch.Size([1, 3, 32])
    """

    def __init__(
        self,
        num_queries: int,
        embed_dim: int,
        num_heads: int,
        ff_dim: int | None = None,
        kv_len: int | None = None,
        bit_width: int = DEFAULT_BIT_WIDTH,
        return_quant_tensor: bool = True,
        use_integer_softmax: bool = False,
        *,
        num_layers: int = 3,
        outer: int = 1,
        inner: int = 1,
        act_quant: ActQuantType = Int8ActPerTensorFloat,
        weight_quant: WeightQuantType | None = Int8WeightPerChannelFloat,
    ) -> None:
        super().__init__()
        if num_layers < 1:
            raise MappingError(
                "QuantCrossAttentionWithSelfRefine",
                f"num_layers={num_layers}, expected at least one that refines",
                "use QuantCrossAttention where none does",
            )
        self.use_integer_softmax = use_integer_softmax
        steps: dict[str, Any] = {"bit_width": bit_width, "act_quant": act_quant}
        parts: dict[str, Any] = {**steps, "weight_quant": weight_quant}
        hidden = 4 * embed_dim if ff_dim is None else ff_dim
        self.cross = QuantCrossAttention(
            embed_dim, num_heads, num_queries, kv_len, outer=outer, inner=inner, norm=True, **parts
        )
        self.mlp = FeedForward(embed_dim, hidden, **parts)
        self.add = QuantAdd(**steps)
        self.layers = nn.ModuleList(
            TransformerBlock(
                embed_dim,
                mlp_dim=hidden,
                attention=QuantSelfAttention(
                    embed_dim,
                    num_heads,
                    seq_len=num_queries,
                    pool_sequence="none",
                    outer=outer * inner,
                    **parts,
                ),
                return_quant_tensor=return_quant_tensor or number < num_layers - 1,
                **parts,
            )
            for number in range(num_layers)
        )

    def forward(self, x: AnyTensor) -> AnyTensor:
        """The refined queries."""
        y: AnyTensor = self.cross(x)
        y = self.add(y, self.mlp(y))
        for layer in self.layers:
            y = layer(y)
        return y
