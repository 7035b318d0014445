"""QuantCrossAttentionWithSelfRefine: its parts in order, in groups, and in C."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from ares.nn import (
    FeedForward,
    MappingError,
    QuantCrossAttention,
    QuantCrossAttentionWithSelfRefine,
    TransformerBlock,
    default_quant_identity,
)
from ares.nn.quant_tensor import value_of
from tests.extract.models import Net, checked, kinds, seeded
from tests.nn.values import calibrated, ramp

Refined = QuantCrossAttentionWithSelfRefine


def _parts(layer: Any, x: Any) -> Any:
    y = layer.cross(x)
    y = layer.add(y, layer.mlp(y))
    for block in layer.layers:
        y = block(y)
    return y


def test_it_is_its_parts() -> None:
    x = ramp(2, 6, 8)
    layer: Any = calibrated(seeded(lambda: Refined(3, 8, 2, kv_len=6)), x)
    assert isinstance(layer.cross, QuantCrossAttention)
    assert layer.cross.norm
    assert isinstance(layer.mlp, FeedForward)
    assert [type(block) for block in layer.layers] == [TransformerBlock] * 3
    assert layer.mlp.up.weight.shape == (32, 8)
    y = layer(x)
    assert y.shape == (2, 3, 8)
    assert torch.equal(y.value, _parts(layer, x).value)
    assert len(y.value.unique()) > 20


def test_sizes_of_its_parts() -> None:
    layer: Any = Refined(4, 8, 2, ff_dim=12, num_layers=2, bit_width=6)
    assert layer.mlp.up.weight.shape == (12, 8)
    assert [block.mlp.up.weight.shape for block in layer.layers] == [(12, 8)] * 2
    assert [block.attn.seq_len for block in layer.layers] == [4, 4]
    assert int(layer.layers[1].add2.quant.act_quant.bit_width()) == 6


def test_groups_are_refined_apart() -> None:
    """Two groups of three tokens, side by side: each as if it were alone."""
    alone: Any = seeded(lambda: Refined(2, 8, 2, kv_len=3, num_layers=1))
    both: Any = seeded(lambda: Refined(2, 8, 2, kv_len=3, num_layers=1, inner=2))
    x = ramp(1, 6, 8)
    calibrated(both, x)
    alone.load_state_dict(both.state_dict())
    alone.eval()
    expected = torch.cat([alone(x[:, group::2]).value for group in range(2)], dim=1)
    assert torch.equal(both(x).value, expected)


@pytest.mark.parametrize("as_quant_tensor", [True, False])
def test_options_of_the_result(as_quant_tensor: bool) -> None:
    """Positional as models have always passed them; the softmax is quantised and integer either way."""

    def result(use_integer_softmax: bool) -> Any:
        options = (3, 8, 2, 16, 6, 8, as_quant_tensor, use_integer_softmax)
        return calibrated(seeded(lambda: Refined(*options)), ramp(2, 6, 8))(ramp(2, 6, 8))

    y = result(True)
    assert isinstance(y, torch.Tensor) is not as_quant_tensor
    assert torch.equal(value_of(y), value_of(result(False)))


def test_becomes_c() -> None:
    def forward(m: Any, x: torch.Tensor) -> Any:
        return m.layer(m.first(x))

    model = seeded(
        lambda: Net(
            forward,
            first=default_quant_identity(),
            layer=Refined(3, 8, 2, 12, 5, num_layers=1, inner=2),
        )
    )
    graph = checked(model, (1, 10, 8), c=True)
    assert kinds(graph).count("softmax") == 2
    assert kinds(graph).count("add") == 3
    assert [composite.op_type for composite in graph.composites] == [
        "OP_CROSS_ATTENTION",
        "OP_MHSA",
    ]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Refined(3, 10, 3), "embed_dim 10 is not divisible by num_heads 3"),
        (lambda: Refined(3, 8, 2, num_layers=0), "use QuantCrossAttention where none does"),
        (lambda: Refined(3, 8, 2, kv_len=6)(torch.zeros(1, 5, 8)), "kv_len is 6"),
    ],
)
def test_mistakes_are_named(make: Any, words: str) -> None:
    with pytest.raises(MappingError, match=words):
        make()


def test_it_starts_with_learned_queries() -> None:
    layer: Any = Refined(3, 8, 2)
    assert isinstance(layer.cross.queries, nn.Parameter)
    assert layer.cross.queries.shape == (1, 3, 8)
