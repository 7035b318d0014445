"""Attention through the whole path: every tensor judged by the torch witness, the C equal to the reference."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import brevitas.quant as bq
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ares.extract import Status, analyse
from ares.ir import DType, Graph
from ares.nn.attention import (
    QuantAlternatingAttention,
    QuantCrossAttention,
    QuantMHSA,
    QuantMultiHeadAttention,
    QuantRoPESelfAttention,
    QuantSelfAttention,
)
from ares.nn.leaves.attention import AttentionContext, AttentionScores, AttentionWeights, Rotary
from tests.extract.models import (
    Net,
    calibrated,
    checked,
    identity,
    kinds,
    linear,
    plain_identity,
    refused,
    relu,
    seeded,
    set_scale,
)
from tests.slow import one_in

Make = Callable[[], nn.Module]

SELF = ["linear", "linear", "attention_scores", "softmax", "linear", "attention_context", "linear"]
ROPE = ["linear", "linear", "rotary", "rotary", *SELF[2:]]
TENSORS = ["q", "k", "scores", "weights", "v", "context", "proj"]

LAYERS: dict[str, tuple[Make, int, list[str], list[str]]] = {
    "self attention": (lambda: QuantSelfAttention(8, 1, 5), 5, [*SELF, "mean"], [*TENSORS, "pool"]),
    "one token": (lambda: QuantSelfAttention(8, 2), 1, [*SELF, "mean"], [*TENSORS, "pool"]),
    "heads, flat": (
        lambda: QuantMultiHeadAttention(12, 3, 7, "flat"),
        7,
        [*SELF, "flatten"],
        [*TENSORS, "pool"],
    ),
    "causal, shared heads": (
        lambda: QuantMHSA(12, 6, 7, "none", causal=True, num_kv_heads=2),
        7,
        SELF,
        TENSORS,
    ),
    "rotary": (
        lambda: QuantRoPESelfAttention(16, 2, 7, "none", rope_base=100),
        7,
        ROPE,
        ["q", "k", "q_rotated", "k_rotated", *TENSORS[2:]],
    ),
    "rotary of halves": (
        lambda: QuantRoPESelfAttention(
            12, 2, 4, "none", rope_base=100, num_kv_heads=1, outer=2, rope_interleaved=False
        ),
        8,
        ROPE,
        ["q", "k", "q_rotated", "k_rotated", *TENSORS[2:]],
    ),
    "rotary, causal, shared heads, groups": (
        lambda: QuantRoPESelfAttention(
            12, 3, 4, "none", causal=True, num_kv_heads=1, outer=2, inner=3
        ),
        24,
        ROPE,
        ["q", "k", "q_rotated", "k_rotated", *TENSORS[2:]],
    ),
    "inside each patch": (
        lambda: QuantSelfAttention(8, 2, 5, "none", inner=3),
        15,
        SELF,
        TENSORS,
    ),
    "learned queries": (
        lambda: QuantCrossAttention(8, 2, 3, 11),
        11,
        ["constant", *SELF],
        ["queries_quant", *TENSORS],
    ),
    "learned queries in each patch": (
        lambda: QuantCrossAttention(8, 2, 3, num_kv_heads=1, outer=2, inner=2),
        20,
        ["constant", *SELF],
        ["queries_quant", *TENSORS],
    ),
    "over channels": (
        lambda: QuantAlternatingAttention(8, 2, 3, 5, 0),
        15,
        ["linear", "slice", "slice", *SELF[2:4], "slice", *SELF[5:]],
        ["qkv", *TENSORS],
    ),
    "over times": (
        lambda: QuantAlternatingAttention(8, 2, 3, 5, 1),
        15,
        ["linear", "slice", "slice", *SELF[2:4], "slice", *SELF[5:]],
        ["qkv", *TENSORS],
    ),
    "4 bits": (
        lambda: QuantRoPESelfAttention(8, 2, 5, "none", bit_width=4),
        5,
        ROPE,
        ["q", "k", "q_rotated", "k_rotated", *TENSORS[2:]],
    ),
}


@pytest.mark.parametrize("name", one_in(3, LAYERS))
def test_composites(name: str) -> None:
    make, tokens, operations, tensors = LAYERS[name]
    model = seeded(lambda: Net(lambda m, x: m.attn(m.x(x)), x=identity(), attn=make()))
    graph = checked(model, (1, tokens, model.get_submodule("attn").embed_dim), c=True)
    assert kinds(graph) == ["quantize", *operations]
    produced = [tensor.name for _, tensor in graph.produced()]
    assert produced[1:] == [f"attn.{name}" for name in tensors]
    assert graph.tensor("attn.weights").dtype is DType.U8


def test_norms_on_queries_and_input() -> None:
    model = seeded(
        lambda: Net(
            lambda m, x: m.attn(m.q(x)), q=identity(), attn=QuantCrossAttention(8, 2, 3, norm=True)
        )
    )
    graph = checked(model, (1, 11, 8), c=True)
    assert kinds(graph).count("layer_norm") == 3
    assert graph.outputs == ("attn.proj",)


def test_a_plain_tensor_of_codes_will_do() -> None:
    model = seeded(
        lambda: Net(lambda m, x: m.attn(m.q(x)), q=plain_identity(), attn=QuantMHSA(8, 2, 5))
    )
    assert kinds(checked(model, (1, 5, 8))) == ["quantize", *SELF, "mean"]


def test_a_layer_called_twice() -> None:
    model = seeded(
        lambda: Net(
            lambda m, x: m.attn(m.attn(m.q(x))), q=identity(), attn=QuantMHSA(8, 2, 5, "none")
        )
    )
    graph = checked(model, (1, 5, 8), c=True)
    assert kinds(graph) == ["quantize", *SELF, *SELF]


def test_long_rows() -> None:
    model = seeded(
        lambda: Net(
            lambda m, x: m.attn(m.q(x)),
            q=identity(),
            attn=QuantRoPESelfAttention(6, 3, 400, "none"),
        )
    )
    checked(model, (1, 400, 6), c=True)


SOFTMAXES: dict[str, Callable[..., Any]] = {
    "nn.Softmax": nn.Softmax(dim=-1),
    "nn.Softmax, axis 2": nn.Softmax(dim=2),
    "F.softmax": lambda y: F.softmax(y, dim=-1),
    "torch.softmax": lambda y: torch.softmax(y, 2),
    "method": lambda y: y.softmax(-1),
    "dropout": lambda y: F.dropout(y.softmax(-1), 0.1, False),
    "permuted": lambda y: y.softmax(-1).permute(0, 2, 1),
}
TARGETS: dict[str, Make] = {
    "s8": identity,
    "u8": lambda: identity(act_quant=bq.Uint8ActPerTensorFloat),
    "u8, power of two": lambda: identity(act_quant=bq.Uint8ActPerTensorFixedPoint),
    "u4": lambda: identity(act_quant=bq.Uint8ActPerTensorFloat, bit_width=4),
    "zero point": lambda: identity(act_quant=bq.ShiftedUint8ActPerTensorFloat),
    "QuantReLU": relu,
}


def _softmax(function: Callable[..., Any], target: Make) -> Net:
    layers = {"f": function} if isinstance(function, nn.Module) else {}
    return Net(lambda m, x: m.q2(function(m.q(x))), q=plain_identity(), q2=target(), **layers)


@pytest.mark.parametrize(
    ("spelling", "target"),
    [(spelling, "u8") for spelling in SOFTMAXES]
    + [("nn.Softmax", target) for target in TARGETS if target != "u8"],
)
def test_softmax_on_its_own(spelling: str, target: str) -> None:
    model = _softmax(SOFTMAXES[spelling], TARGETS[target])
    graph = checked(model, (1, 7, 16), c=spelling == "nn.Softmax")
    assert kinds(graph)[:2] == ["quantize", "softmax"]


def test_equal_keys_at_a_tie() -> None:
    """512 equal keys at the scale 1/256 lie at half a code: the witness takes the even one only."""
    model = _softmax(SOFTMAXES["nn.Softmax"], TARGETS["u8"])
    calibrated(model, (1, 2, 512))
    set_scale(model, "q2.act_quant", 255 / 256)
    graph = checked(model, (1, 2, 512), c=True, calibrate=False)
    assert graph.tensor(graph.outputs[0]).scale == 2.0**-8


def test_causal_weights_of_the_future_are_zero() -> None:
    model = Net(lambda m, x: m.w(m.q(x)), q=identity(), w=AttentionWeights(causal=True))
    graph: Graph = checked(model, (1, 3, 9, 9), c=True)
    assert kinds(graph) == ["quantize", "softmax"]


def test_leaves_with_other_quantisers() -> None:
    """Unsigned operands, zero points, and a ReLU in the quantiser of the product."""

    def forward(m: Any, x: Any) -> Any:
        q, k, v = m.q(x), m.k(x), m.v(x)
        return m.context(m.weights(m.scores(m.rotary(q), k)), v)

    def make() -> nn.Module:
        model = Net(
            forward,
            q=identity(act_quant=bq.ShiftedUint8ActPerTensorFloat),
            k=identity(act_quant=bq.ShiftedUint8ActPerTensorFloat),
            v=relu(),
            rotary=Rotary(4, 6),
            scores=AttentionScores(2),
            weights=AttentionWeights(),
            context=AttentionContext(2),
        )
        model.rotary.quant = relu()
        model.scores.quant = identity(act_quant=bq.ShiftedUint8ActPerTensorFloat)
        model.weights.quant = identity(act_quant=bq.ShiftedUint8ActPerTensorFloat)
        model.context.quant = relu()
        return model

    graph = checked(seeded(make), (1, 6, 8), c=True)
    assert graph.tensor("rotary").dtype is graph.tensor("scores").dtype is DType.U8


def _refused(model: nn.Module, *shape: int) -> str:
    return str(refused(calibrated(model, shape), shape))


@pytest.mark.parametrize(
    ("softmax", "shape"),
    [
        (lambda y: y.softmax(1), (1, 7, 5)),
        (lambda y: F.softmax(y, dim=-2), (1, 3, 7, 5)),
        (nn.Softmax2d(), (1, 5, 2, 3)),
        (lambda y: y.softmax(1).transpose(1, 2), (1, 7, 5)),
    ],
    ids=["steps", "rows", "Softmax2d", "turned again"],
)
def test_softmax_over_another_axis(softmax: Callable[..., Any], shape: tuple[int, ...]) -> None:
    graph = checked(_softmax(softmax, TARGETS["u8"]), shape)
    assert [kind for kind in kinds(graph) if kind != "permute"] == ["quantize", "softmax"]


def test_refusals_of_softmax() -> None:
    q, dim = plain_identity, nn.Softmax
    cases = [
        (lambda m, x: m.q2(m.q(x).softmax(0)), {}, "it runs over the batch"),
        (
            lambda m, x: m.q2(m.l(m.q(x)).softmax(1)),
            {"l": linear(16, 4)},
            "which is not quantised",
        ),
        (
            lambda m, x: m.q2((m.q(x) @ m.q(x).mT).softmax(1)),
            {},
            "it runs over dim=1 of the product matmul",
        ),
        (lambda m, x: m.q2(m.f(m.l(m.q(x)))), {"l": linear(16, 4), "f": dim(-1)}, "not quantised"),
        (lambda m, x: m.l(m.q(x).softmax(-1)), {"l": linear(16, 4)}, "put a QuantIdentity after"),
        (lambda m, x: m.q2(F.gelu(m.q(x).softmax(-1))), {}, "gelu is applied to its probabilities"),
    ]
    for forward, layers, message in cases:
        model = Net(forward, q=q(), q2=identity(), **layers)
        assert message in _refused(model, 1, 7, 16)


def test_rows_too_long_are_refused() -> None:
    model = Net(lambda m, x: m.w(m.q(x)), q=identity(), w=AttentionWeights())
    assert "rows of 2049 keys, expected at most 2048" in _refused(model, 1, 2, 2049)


def test_operands_without_codes_are_refused() -> None:
    def net(forward: Callable[..., Any], leaf: nn.Module) -> nn.Module:
        return seeded(lambda: Net(forward, q=identity(), l=linear(8, 8), f=leaf))

    product = AttentionScores(2)
    left = net(lambda m, x: m.f(m.l(m.q(x)), m.q(x)), product)
    assert "its queries is the real output of l" in _refused(left, 1, 5, 8)
    right = net(lambda m, x: m.f(m.q(x), m.l(m.q(x))), AttentionScores(2))
    assert "its keys is the real output of l" in _refused(right, 1, 5, 8)
    turned = net(lambda m, x: m.f(m.l(m.q(x))), Rotary(4, 5))
    assert "its input is the real output of l" in _refused(turned, 1, 5, 8)


def test_a_threshold_of_one_is_usual_for_probabilities() -> None:
    """The first row of causal weights is [1, 0, ...]: the scale of an untouched quantiser is the right one."""
    model = seeded(
        lambda: Net(
            lambda m, x: m.attn(m.q(x)),
            q=identity(),
            attn=QuantSelfAttention(8, 2, 5, pool_sequence="none", causal=True),
        )
    )
    calibrated(model, (1, 5, 8))
    findings = analyse(model, [torch.zeros(1, 5, 8)], "net").findings
    assert not [finding for finding in findings if finding.status is not Status.SUPPORTED]
