"""The attention layers of `ares.nn`: shapes, refusals, and what they compute, against torch in float64."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from brevitas.nn import QuantIdentity
from brevitas.quant_tensor import QuantTensor
from torch import Tensor, nn

from ares.nn.attention import (
    QuantAlternatingAttention,
    QuantCrossAttention,
    QuantMHSA,
    QuantMultiHeadAttention,
    QuantRoPESelfAttention,
    QuantSelfAttention,
)
from ares.nn.leaves.attention import AttentionContext, AttentionScores, AttentionWeights, Rotary
from tests.extract.models import seeded
from tests.nn.values import calibrated

Make = Callable[[], nn.Module]


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
            plain = nn.Linear(child.in_features, child.out_features)
            plain.load_state_dict({"weight": child.weight, "bias": child.bias})
            setattr(module, name, plain)
        else:
            unquantised(child)
    return module.double().eval()


def tokens(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def close(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and float((a - b).detach().abs().max()) < 1e-12


def _heads(x: Tensor, heads: int) -> Tensor:
    return x.reshape(*x.shape[:-1], heads, -1).transpose(-2, -3)


def _plain(m: Any, x: Tensor, q: Tensor | None = None, causal: bool = False) -> Tensor:
    """Attention over the tokens of x [B, T, D] by torch's own function, before any pooling."""
    served = m.num_heads // m.num_kv_heads
    query = _heads(m.q(x if q is None else q), m.num_heads)
    key, value = (
        _heads(layer(x), m.num_kv_heads).repeat_interleave(served, dim=-3) for layer in (m.k, m.v)
    )
    context = F.scaled_dot_product_attention(query, key, value, is_causal=causal)
    return m.proj(context.transpose(-2, -3).flatten(-2))


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(("heads", "kv_heads"), [(1, None), (3, None), (4, 2), (6, 1)])
def test_self_attention_is_torchs(heads: int, kv_heads: int | None, causal: bool) -> None:
    m = unquantised(QuantSelfAttention(12, heads, 7, "none", causal=causal, num_kv_heads=kv_heads))
    x = tokens(3, 7, 12)
    assert close(m(x), _plain(m, x, causal=causal))


@pytest.mark.parametrize("pool", ["mean", "flat", "none"])
def test_pooling(pool: str) -> None:
    m = unquantised(QuantMHSA(12, 3, 7, pool))
    x = tokens(2, 7, 12)
    whole = _plain(m, x)
    expected = {"mean": whole.mean(1), "flat": whole.reshape(2, 84), "none": whole}
    assert close(m(x), expected[pool])


def test_groups_attend_inside_themselves() -> None:
    outer, length, inner = 2, 5, 3
    m = unquantised(QuantSelfAttention(8, 2, length, "none", outer=outer, inner=inner))
    x = tokens(2, outer * length * inner, 8)
    expected = torch.empty_like(x)
    for o in range(outer):
        for i in range(inner):
            group = [(o * length + place) * inner + i for place in range(length)]
            expected[:, group] = _plain(m, x[:, group])
    assert close(m(x), expected)


@pytest.mark.parametrize("block", [0, 1, 2, 3])
def test_alternating_attention(block: int) -> None:
    channels, times = 3, 5
    m = unquantised(QuantAlternatingAttention(8, 2, channels, times, block))
    x = tokens(2, channels * times, 8)
    grid = x.reshape(2, channels, times, 8)
    grid = grid if block % 2 else grid.transpose(1, 2)
    q, k, v = (_heads(part, 2) for part in m.qkv(grid).chunk(3, dim=-1))
    mixed = F.scaled_dot_product_attention(q, k, v).transpose(-2, -3).flatten(-2)
    expected = m.proj(mixed if block % 2 else mixed.transpose(1, 2)).reshape(2, -1, 8)
    assert close(m(x), expected)


@pytest.mark.parametrize(("outer", "inner"), [(1, 1), (1, 3), (2, 1), (2, 3)])
def test_cross_attention(outer: int, inner: int) -> None:
    m = unquantised(QuantCrossAttention(8, 2, 4, 5, outer=outer, inner=inner))
    x = tokens(2, outer * 5 * inner, 8)
    groups = x.reshape(2, outer, 5, inner, 8).transpose(2, 3).reshape(-1, 5, 8)
    expected = _plain(m, groups, m.queries.expand(len(groups), -1, -1))
    assert close(m(x), expected.reshape(2, outer * inner * 4, 8))


def test_cross_attention_with_norms() -> None:
    m = unquantised(QuantCrossAttention(8, 2, 4, norm=True))
    x = tokens(2, 11, 8)
    with torch.no_grad():
        m.keys_norm.weight.mul_(0.5)  # keys and values have norms of their own
    queries, keys, values = m.queries_norm(m.queries), m.keys_norm(x), m.values_norm(x)
    q, k, v = (
        part(y).reshape(len(y), -1, 2, 4).transpose(1, 2)
        for part, y in ((m.q, queries.expand(2, -1, -1)), (m.k, keys), (m.v, values))
    )
    mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
    expected = m.proj(mixed)
    assert close(m(x), expected)


def test_rotary_turns_pairs_as_complex_numbers() -> None:
    m = unquantised(Rotary(6, 9, 500.0, outer=2, inner=3))
    x = tokens(2, 2 * 9 * 3, 12)
    pairs = torch.view_as_complex(x.reshape(2, 2, 9, 3, 2, 3, 2))
    angles = torch.arange(9.0).double()[:, None] * 500.0 ** (-torch.arange(3.0).double() / 3)
    turned = pairs * torch.polar(torch.ones_like(angles), angles)[:, None, None, :]
    assert close(m(x), torch.view_as_real(turned).reshape(x.shape))


def test_rotated_scores_depend_on_distances_and_others_do_not() -> None:
    """Tokens in another order: without positions the scores move with them, with positions they change."""
    order = torch.tensor([3, 0, 4, 1, 2])
    x = tokens(1, 5, 8)

    def scores(m: Any, x: Tensor) -> Tensor:
        return m.scores(*m.positioned(m.q(x), m.k(x)))

    plain = unquantised(QuantSelfAttention(8, 2, 5))
    moved = scores(plain, x)[:, :, order][..., order]
    assert close(scores(plain, x[:, order]), moved)
    rope = unquantised(QuantRoPESelfAttention(8, 2, 5))
    moved = scores(rope, x)[:, :, order][..., order]
    assert float((scores(rope, x[:, order]) - moved).detach().abs().max()) > 0.1
    # The same token everywhere: what is left is the distance, along every diagonal.
    same = scores(rope, x[:, :1].expand(-1, 5, -1))
    assert close(same[..., 1:, 1:], same[..., :-1, :-1])
    assert float((same[..., 0, 0] - same[..., 0, 1]).detach().abs().max()) > 1e-3


def test_the_past_does_not_see_the_future() -> None:
    m = unquantised(QuantRoPESelfAttention(8, 2, 5, "none", causal=True))
    x, y = tokens(1, 5, 8), tokens(1, 5, 8)
    y[:, 3:] += 1.0
    assert torch.equal(m(x)[:, :3], m(y)[:, :3])
    assert not torch.equal(m(x)[:, 3], m(y)[:, 3])


LAYERS: dict[str, tuple[Make, int, tuple[int, ...]]] = {
    "QuantSelfAttention": (lambda: QuantSelfAttention(8), 1, (8,)),
    "QuantMultiHeadAttention": (
        lambda: QuantMultiHeadAttention(8, 2, 5, pool_sequence="flat"),
        5,
        (40,),
    ),
    "QuantRoPESelfAttention": (
        lambda: QuantRoPESelfAttention(8, 2, 5, "none", True, rope_base=500),
        5,
        (5, 8),
    ),
    "QuantMHSA": (lambda: QuantMHSA(8, 2, 5), 5, (8,)),
    "QuantCrossAttention": (lambda: QuantCrossAttention(8, 2, 3, norm=True), 5, (3, 8)),
    "QuantAlternatingAttention": (lambda: QuantAlternatingAttention(8, 2, 3, 4, 1), 12, (12, 8)),
}


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("name", LAYERS)
def test_shapes_and_quantisers(name: str, batch: int) -> None:
    make, length, shape = LAYERS[name]
    m, q = make(), QuantIdentity(return_quant_tensor=True)
    x = torch.randn(batch, length, 8)
    y = m(q(x))
    assert isinstance(y, QuantTensor)
    assert y.shape == (batch, *shape)
    assert torch.equal(m.eval()(q.eval()(x)).value, m(q(x).value).value)
    assert isinstance(m.q, nn.Module)
    for member in ("k", "v", "scores", "weights", "context", "proj"):
        assert hasattr(m, member)
    assert "QuantLinear" in repr(m)


@pytest.mark.parametrize("name", LAYERS)
def test_a_plain_tensor_is_returned_when_asked(name: str) -> None:
    make, length, _ = LAYERS[name]
    m = make()
    kwargs = {"return_quant_tensor": False}
    if isinstance(m, QuantCrossAttention):
        m = QuantCrossAttention(8, 2, 3, **kwargs)
    elif isinstance(m, QuantAlternatingAttention):
        m = QuantAlternatingAttention(8, 2, 3, 4, 1, **kwargs)
    else:
        m = type(m)(8, 2, length, m.pool_sequence, **kwargs)
    y = m(QuantIdentity(return_quant_tensor=True)(torch.randn(2, length, 8)))
    assert type(y) is Tensor


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: QuantSelfAttention(10, 3), "embed_dim 10 is not divisible by num_heads 3"),
        (lambda: QuantCrossAttention(10, 3, 1), "embed_dim 10 is not divisible by num_heads 3"),
        (
            lambda: QuantAlternatingAttention(10, 3, 1, 1),
            "embed_dim 10 is not divisible by num_heads 3",
        ),
        (lambda: QuantSelfAttention(8, 0), "not divisible by num_heads 0"),
        (lambda: QuantRoPESelfAttention(9, 3, 4), "head_dim 3 is odd"),
        (lambda: QuantSelfAttention(8, 4, num_kv_heads=3), "4 heads cannot share 3 heads"),
        (lambda: QuantSelfAttention(8, 4, pool_sequence="max"), "pool_sequence 'max'"),
        (lambda: AttentionScores(2, 0), "2 heads cannot share 0"),
    ],
)
def test_the_constructor_refuses(make: Make, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        make()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("make", "shapes", "message"),
    [
        (
            lambda: QuantSelfAttention(8, 2, 5),
            [(1, 6, 8)],
            "input [1, 6, 8], expected [batch, 5, features]: seq_len is 5",
        ),
        (lambda: QuantSelfAttention(8, 2, 5), [(6, 8)], "input [6, 8]"),
        (
            lambda: QuantCrossAttention(8, 2, 3, 7, inner=2),
            [(1, 7, 8)],
            "input [1, 7, 8], expected [batch, 14, features]: kv_len is 7",
        ),
        (lambda: QuantAlternatingAttention(8, 2, 3, 4), [(1, 11, 8)], "expected [batch, 12"),
        (lambda: Rotary(4, 5), [(1, 6, 8)], "6 positions, the rotary embedding was made for 5"),
        (lambda: Rotary(4, 5, inner=2), [(1, 5, 8)], "tokens in 1 x 2 groups"),
        (lambda: AttentionScores(3), [(1, 5, 8), (1, 5, 8)], "8 features do not fall into 3"),
        (lambda: AttentionWeights(causal=True), [(1, 1, 4, 5)], "4 queries over 5 keys"),
        (lambda: AttentionContext(3), [(1, 3, 5, 5), (1, 5, 8)], "8 features do not fall into 3"),
    ],
)
def test_forward_refuses(make: Make, shapes: list[tuple[int, ...]], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        make()(*(torch.zeros(shape) for shape in shapes))


@pytest.mark.parametrize(
    "make",
    [
        lambda **options: QuantSelfAttention(8, 2, 6, **options),
        lambda **options: QuantRoPESelfAttention(8, 2, 6, **options),
        lambda **options: QuantCrossAttention(8, 2, 3, 6, **options),
        lambda **options: QuantAlternatingAttention(8, 2, 2, 3, **options),
    ],
)
def test_the_softmax_is_integer_either_way(make: Callable[..., nn.Module]) -> None:
    """`use_integer_softmax` is accepted by all, kept as an attribute, and changes nothing."""
    x = tokens(2, 6, 8).float()
    results = []
    for flag in (False, True):
        layer: Any = calibrated(seeded(lambda flag=flag: make(use_integer_softmax=flag)), x)
        assert layer.use_integer_softmax is flag
        results.append(layer(x).value)
    assert torch.equal(*results)
