"""FeedForward, SwiGLU and TransformerBlock: what they mean without quantisers, and that they are mapped."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from brevitas.nn import QuantIdentity
from brevitas.quant_tensor import QuantTensor
from torch import Tensor, nn

from ares.nn import QuantCrossAttention, QuantMHSA, QuantRoPESelfAttention, RMSNorm
from ares.nn.transformer import FeedForward, SwiGLU, TransformerBlock
from tests.extract.models import Net, checked, identity, kinds, seeded

DIM, LENGTH = 8, 5

SELF = [
    *("linear", "linear", "linear"),
    *("attention_scores", "softmax", "attention_context", "linear"),
]


class Passing(nn.Module):
    """In a quantiser's place: lets everything through."""

    def forward(self, x: Any) -> Any:
        return getattr(x, "value", x)


def unquantised(module: nn.Module) -> nn.Module:
    """The module in float64 with no quantiser in it: linear layers plain, too."""
    for name, child in list(module.named_children()):
        if isinstance(child, QuantIdentity):
            setattr(module, name, Passing())
        elif isinstance(child, nn.Linear):
            plain = nn.Linear(child.in_features, child.out_features, child.bias is not None)
            plain.load_state_dict(dict(child.named_parameters(recurse=False)))
            setattr(module, name, plain)
        else:
            unquantised(child)
    return module.double().eval()


def tokens(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def close(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and float((a - b).detach().abs().max()) < 1e-12


def attention(m: Any, x: Tensor) -> Tensor:
    q, k, v = (
        part(x).reshape(len(x), -1, m.num_heads, m.head_dim).transpose(1, 2)
        for part in (m.q, m.k, m.v)
    )
    return m.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


# --- what they mean


@pytest.mark.parametrize("shape", [(3, DIM), (2, LENGTH, DIM)])
def test_feed_forward(shape: tuple[int, ...]) -> None:
    m: Any = unquantised(FeedForward(DIM, 20))
    x = tokens(*shape)
    assert close(m(x), m.down(F.gelu(m.up(x))))


def test_feed_forward_with_a_norm_behind_the_gelu() -> None:
    m: Any = FeedForward(DIM, 20, norm=True)
    with torch.no_grad():
        m.norm.weight.uniform_(0.5, 1.5)
        m.norm.bias.uniform_(-0.5, 0.5)
    m = unquantised(m)
    x = tokens(2, LENGTH, DIM)
    normed = F.layer_norm(F.gelu(m.up(x)), (20,), m.norm.weight, m.norm.bias)
    assert close(m(x), m.down(normed))


def test_swiglu() -> None:
    m: Any = unquantised(SwiGLU(DIM, 20))
    x = tokens(2, LENGTH, DIM)
    # Gate and up are not the same matrix: exchanged, the result is another.
    assert close(m(x), m.down(F.silu(m.gate(x)) * m.up(x)))
    assert not close(m(x), m.down(F.silu(m.up(x)) * m.gate(x)))
    assert all(layer.bias is None for layer in (m.gate, m.up, m.down))


@pytest.mark.parametrize("norm", [nn.LayerNorm, RMSNorm])
def test_block(norm: Callable[[int], nn.Module]) -> None:
    m: Any = TransformerBlock(DIM, 2, LENGTH, norm=norm)
    with torch.no_grad():
        m.norm1.weight.uniform_(0.5, 1.5)
        m.norm2.weight.uniform_(0.5, 1.5)
    m = unquantised(m)
    assert isinstance(m.norm1, norm)
    assert m.mlp.up.out_features == 4 * DIM
    x = tokens(2, LENGTH, DIM)

    def plain(layer: Any, y: Tensor) -> Tensor:
        if norm is nn.LayerNorm:
            return F.layer_norm(y, (DIM,), layer.weight, layer.bias)
        return y / torch.sqrt((y * y).mean(-1, keepdim=True) + 1e-5) * layer.weight

    first = x + attention(m.attn, plain(m.norm1, x))
    second = plain(m.norm2, first)
    assert close(m(x), first + m.mlp.down(F.gelu(m.mlp.up(second))))


def test_parts_of_ones_own() -> None:
    attn, mlp = QuantMHSA(DIM, 4, LENGTH, "none"), SwiGLU(DIM, 20)
    m = TransformerBlock(DIM, attention=attn, mlp=mlp)
    assert m.attn is attn
    assert m.mlp is mlp
    assert TransformerBlock(DIM, 2, LENGTH, mlp_dim=7).mlp.up.out_features == 7


MAKERS: dict[str, Callable[..., nn.Module]] = {
    "FeedForward": lambda **options: FeedForward(DIM, 20, **options),
    "SwiGLU": lambda **options: SwiGLU(DIM, 20, **options),
    "TransformerBlock": lambda **options: TransformerBlock(DIM, 2, LENGTH, **options),
}


@pytest.mark.parametrize("name", MAKERS)
def test_codes_in_and_out(name: str) -> None:
    x = QuantIdentity(return_quant_tensor=True)(torch.randn(2, LENGTH, DIM))
    y = MAKERS[name]()(x)
    assert isinstance(y, QuantTensor)
    assert y.shape == (2, LENGTH, DIM)
    assert type(MAKERS[name](return_quant_tensor=False)(x)) is Tensor
    narrow = MAKERS[name](bit_width=4)(x)
    assert int(narrow.bit_width) == 4


# --- mapped


def mapped(make: Callable[[], nn.Module], c: bool = True) -> list[str]:
    model = seeded(lambda: Net(lambda m, x: m.layer(m.x(x)), x=identity(), layer=make()))
    graph = checked(model, (1, LENGTH, DIM), c=c)
    return kinds(graph)


MLP = ["linear", "linear"]
"""GELU and quantiser are the end of the first."""

LAYERS: dict[str, tuple[Callable[[], nn.Module], list[str]]] = {
    "mlp": (lambda: FeedForward(DIM, 20), MLP),
    "mlp with norm": (
        lambda: FeedForward(DIM, 20, norm=True),
        ["linear", "layer_norm", "linear"],
    ),
    "swiglu": (lambda: SwiGLU(DIM, 20), ["linear", "linear", "mul", "linear"]),
    "block": (
        lambda: TransformerBlock(DIM, 2, LENGTH),
        ["layer_norm", *SELF, "add", "layer_norm", *MLP, "add"],
    ),
    "block, mlp with norm": (
        lambda: TransformerBlock(DIM, 2, LENGTH, mlp=FeedForward(DIM, 12, norm=True)),
        ["layer_norm", *SELF, "add", "layer_norm", "linear", "layer_norm", "linear", "add"],
    ),
    "llama": (
        lambda: TransformerBlock(
            DIM,
            attention=QuantRoPESelfAttention(DIM, 2, LENGTH, "none", causal=True),
            mlp=SwiGLU(DIM, 12),
            norm=RMSNorm,
        ),
        [
            *("rms_norm", "linear", "linear", "rotary", "rotary"),
            *("attention_scores", "softmax", "linear", "attention_context", "linear"),
            *("add", "rms_norm", "linear", "linear", "mul", "linear", "add"),
        ],
    ),
    "block with queries as many as tokens": (
        lambda: TransformerBlock(DIM, attention=QuantCrossAttention(DIM, 2, LENGTH)),
        ["layer_norm", "constant", *SELF, "add", "layer_norm", *MLP, "add"],
    ),
}


@pytest.mark.parametrize("name", LAYERS)
def test_mapped(name: str) -> None:
    make, operations = LAYERS[name]
    assert sorted(mapped(make)) == sorted(["quantize", *operations])
