"""Brevitas' QuantMultiheadAttention through the whole path; what its quantisers do not allow is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import brevitas.nn as qnn
import brevitas.quant as bq
import pytest
import torch
from brevitas.graph.quantize import layerwise_quantize, preprocess_for_quantize
from torch import nn

from ares.extract import Status, analyse
from ares.ir import Graph
from ares.plan import plan
from tests.extract.models import (
    Net,
    calibrated,
    checked,
    copies,
    identity,
    kinds,
    plain_identity,
    refused,
    seeded,
)

WIDTH, HEADS, LENGTH = 12, 3, 7
TOKENS = (1, LENGTH, WIDTH)
INF = float("inf")
S8, U8 = bq.Int8ActPerTensorFloat, bq.Uint8ActPerTensorFloat
STAGES = {"linear": 4, "matmul": 2, "softmax": 1}


def attention(heads: int = HEADS, **options: Any) -> nn.Module:
    made: nn.Module = qnn.QuantMultiheadAttention(
        WIDTH, heads, **{"batch_first": True, "softmax_input_quant": S8, **options}
    )
    return made


def net(
    forward: Callable[..., Any] | None = None, buffers: dict[str, Any] | None = None, **options: Any
) -> nn.Module:
    """Tokens through a quantiser, self-attention unless `forward(module, tokens)` says otherwise, and a quantiser."""
    own = forward or (lambda m, y: m.attn(y, y, y)[0])

    def make() -> nn.Module:
        model = Net(
            lambda m, x: m.out(own(m, m.x(x))),
            x=plain_identity(),
            attn=attention(**options),
            out=identity(),
        )
        for name, buffer in (buffers or {}).items():
            model.register_buffer(name, buffer)
        return model

    return seeded(make)


def stages(graph: Graph) -> dict[str, int]:
    return {stem: kinds(graph).count(stem) for stem in STAGES}


FIXED = {  # a scale that does not follow a mask of minus infinity
    "softmax_input_scaling_impl_type": "const",
    "softmax_input_scaling_stats_op": None,
    "softmax_input_min_val": -4.0,
    "softmax_input_max_val": 4.0,
}
CAUSAL = torch.ones(LENGTH, LENGTH).triu(1).bool()
BAND = torch.where((torch.arange(7)[:, None] - torch.arange(7)).abs() > 2, -INF, 0.0)
OPTIONS: dict[str, dict[str, Any]] = {
    "as Brevitas makes it": {"softmax_input_quant": None},
    "packed": {},
    "separate": {"packed_in_proj": False},
    "no bias": {"bias": False},
    "float bias": {"in_proj_bias_quant": None, "out_proj_bias_quant": None},
    "weights per channel": {
        "in_proj_weight_quant": bq.Int8WeightPerChannelFloat,
        "out_proj_weight_quant": bq.Int8WeightPerChannelFloat,
    },
    "no input quantiser": {"in_proj_input_quant": None, "in_proj_bias_quant": None},
    "a quantiser behind the projection": {"in_proj_output_quant": S8},
    "codes of the values": {"in_proj_output_quant": S8, "v_quant": None},
    "a quantiser at the end": {"out_proj_output_quant": S8},
    "a QuantTensor at the end": {"out_proj_output_quant": S8, "return_quant_tensor": True},
    "few bits": {
        "q_scaled_bit_width": 4,
        "k_transposed_bit_width": 3,
        "v_bit_width": 5,
        "softmax_input_bit_width": 6,
        "attn_output_weights_bit_width": 4,
        "in_proj_weight_bit_width": 3,
    },
    "zero points": {
        "q_scaled_quant": bq.ShiftedUint8ActPerTensorFloat,
        "v_quant": bq.ShiftedUint8ActPerTensorFloat,
    },
    "dropout": {"dropout": 0.5},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_self_attention(name: str) -> None:
    graph = checked(net(**OPTIONS[name]), TOKENS, c=True)
    if name == "as Brevitas makes it":
        assert stages(graph) == {"linear": 4, "matmul": 1, "softmax": 0}
        assert kinds(graph).count("matmul_softmax") == 1
    elif "in_proj_output_quant" not in OPTIONS[name]:
        assert stages(graph) == STAGES
    (composite,) = graph.composites
    assert (composite.name, composite.op_type) == ("attn", "OP_MULTIHEAD_ATTENTION")
    assert {"attn.weights", "attn.context", "attn.out_proj"} <= {*composite.members}


def test_nothing_is_copied() -> None:
    assert copies(plan(checked(net(), TOKENS))) == []


def test_its_weights_count() -> None:
    """The torch witness judges the packed weights, which three operations hold a third of each."""
    model = calibrated(net(), TOKENS)
    graph = checked(model, TOKENS, calibrate=False)
    with torch.no_grad():
        model.get_submodule("attn.in_proj").weight[WIDTH + 1] *= -1
    with pytest.raises(
        AssertionError, match=r"tensor='attn.in_proj.q', event='attn.in_proj.weight'"
    ):
        _assert_judged(model, graph)


def _assert_judged(model: nn.Module, graph: Graph) -> None:
    from ares.ops import run_reference
    from ares.witness import Witness

    inputs = [torch.randn(TOKENS, generator=torch.Generator().manual_seed(1)).numpy()]
    judged = Witness(model, graph).judge(inputs, run_reference(graph, inputs))
    rejected = [judgement for judgement in judged if not judgement.accepted]
    assert not rejected, rejected[0]


FORWARDS: dict[str, Callable[..., Any]] = {
    "no weights wanted": lambda m, y: m.attn(y, y, y, need_weights=False)[0],
    "weights by head": lambda m, y: m.attn(y, y, y, average_attn_weights=False)[0],
    "keywords": lambda m, y: m.attn(query=y, key=y, value=y, key_padding_mask=None)[0],
    "twice": lambda m, y: m.attn(*[m.mid(m.attn(y, y, y)[0])] * 3)[0],
}


@pytest.mark.parametrize("name", FORWARDS)
def test_forwards(name: str) -> None:
    model = net(FORWARDS[name])
    model.add_module("mid", plain_identity())
    graph = checked(model, TOKENS, c=True)
    calls = 2 if name == "twice" else 1
    assert stages(graph) == {stem: calls * count for stem, count in STAGES.items()}
    assert [composite.name for composite in graph.composites] == ["attn", "attn#1"][:calls]


MASKS: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "causal": (lambda m, y: m.attn(y, y, y, attn_mask=m.mask)[0], {"mask": CAUSAL}),
    "causal, added": (
        lambda m, y: m.attn(
            y,
            y,
            y,
            attn_mask=torch.full((7, 7), -INF, dtype=y.dtype).triu(1),
            need_weights=False,
        )[0],
        {},
    ),
    "a band": (lambda m, y: m.attn(y, y, y, attn_mask=m.mask)[0], {"mask": BAND}),
    "a mask for each head": (
        lambda m, y: m.attn(y, y, y, attn_mask=m.mask.repeat(len(y), 1, 1))[0],
        {"mask": torch.stack([CAUSAL, BAND < 0, CAUSAL.T])},
    ),
    "padding": (
        lambda m, y: m.attn(y, y, y, m.mask.expand(len(y), -1))[0],
        {"mask": torch.arange(7)[None] > 4},
    ),
    "padding and causal": (
        lambda m, y: m.attn(y, y, y, m.pads.expand(len(y), -1), attn_mask=m.mask)[0],
        {"mask": CAUSAL, "pads": torch.arange(7)[None] > 4},
    ),
    "nothing masked": (
        lambda m, y: m.attn(y, y, y, attn_mask=m.mask)[0],
        {"mask": torch.zeros(7, 7)},
    ),
}


@pytest.mark.parametrize("name", MASKS)
def test_masks(name: str) -> None:
    """In front of a quantiser of the scores a masked one is its smallest code; without one it weighs nothing."""
    forward, buffers = MASKS[name]
    graph = checked(net(forward, buffers, **FIXED), TOKENS, c=True)
    assert stages(graph) == STAGES
    graph = checked(net(forward, buffers, softmax_input_quant=None), TOKENS, c=True)
    assert kinds(graph).count("matmul_softmax") == 1


def test_cross_attention() -> None:
    def forward(m: Any, x: Any, y: Any) -> Any:
        return m.out(m.attn(m.x(x), m.y(y), m.z(y), need_weights=False)[0])

    model = seeded(
        lambda: Net(
            forward,
            x=plain_identity(),
            y=plain_identity(),
            z=identity(),
            attn=attention(packed_in_proj=False, kdim=8, vdim=8),
            out=identity(),
        )
    )
    graph = checked(model, TOKENS, (1, 5, 8), c=True)
    assert stages(graph) == STAGES


def test_the_batch_second() -> None:
    def forward(m: Any, y: Any) -> Any:
        y = y.transpose(0, 1)
        return m.attn(y, y, y)[0].permute(1, 0, 2)

    assert stages(checked(net(forward, batch_first=False), TOKENS, c=True)) == STAGES


@pytest.mark.parametrize("options", [{}, {"in_proj_input_quant": None}])
def test_quant_tensors_come_in(options: dict[str, Any]) -> None:
    def make() -> nn.Module:
        layers = {"x": identity(), "attn": attention(**options), "out": identity()}
        return Net(lambda m, x: m.out(m.attn(*[m.x(x)] * 3)[0]), **layers)

    assert stages(checked(seeded(make), TOKENS, c=True)) == STAGES


def test_the_batch_second_from_the_input_on() -> None:
    """The network's own input is quantised inside the attention, where its batch is the second axis."""

    def forward(m: Any, x: Any) -> Any:
        y = x.permute(1, 0, 2)
        return m.out(m.attn(y, y, y)[0].permute(1, 0, 2))

    own = {"attn": attention(batch_first=False), "out": identity()}
    graph = checked(seeded(lambda: Net(forward, **own)), TOKENS, c=True)
    assert kinds(graph)[0] == "quantize"
    assert stages(graph) == STAGES


def test_the_model_is_the_attention() -> None:
    """A subclass with a constructor of its own; the network ends in its projection, which is binary32."""

    class Model(qnn.QuantMultiheadAttention):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(WIDTH, HEADS, batch_first=True, softmax_input_quant=S8)

    model = seeded(lambda: Net(lambda m, x: m.inner(x, x, x)[0], inner=Model()))
    graph = checked(model, TOKENS, c=True)
    assert kinds(graph)[-1] == "linear_fp32"


def test_real_values_are_quantised_inside() -> None:
    model = Net(
        lambda m, x: m.out(m.attn(*[m.norm(m.x(x))] * 3)[0]),
        x=plain_identity(),
        norm=nn.LayerNorm(WIDTH),
        attn=attention(),
        out=identity(),
    )
    graph = checked(seeded(lambda: model), TOKENS, c=True)
    assert kinds(graph)[:2] == ["quantize", "layer_norm"]


def test_the_report_has_one_finding_an_attention() -> None:
    model = calibrated(net(), TOKENS)
    findings = analyse(model, [torch.zeros(TOKENS)], "net").findings
    assert {finding.status for finding in findings} == {Status.SUPPORTED}
    assert next(f for f in findings if f.layer == "attn").op_type == "OP_MULTIHEAD_ATTENTION"


@pytest.mark.parametrize(
    ("option", "reason", "advised"),
    [
        ("q_scaled_quant", "the queries are not quantised", S8),
        ("k_transposed_quant", "the keys are not quantised", S8),
        ("attn_output_weights_quant", "the weights behind softmax are not quantised", U8),
        ("v_quant", "the values are not quantised", S8),
        ("out_proj_input_quant", "the context is not quantised", S8),
    ],
)
def test_a_missing_quantiser(option: str, reason: str, advised: Any) -> None:
    finding = refused(
        calibrated(net(**{"out_proj_bias_quant": None, option: None}), TOKENS), TOKENS
    )
    assert (finding.layer, finding.layer_type) == ("attn", "QuantMultiheadAttention")
    assert finding.reason == f"its {option} is None, and {reason}"
    assert finding.suggestion == f"give it {option}={advised.__name__}"
    checked(net(**{option: advised}), TOKENS)


REFUSED: dict[str, tuple[Callable[..., Any] | None, dict[str, Any], str]] = {
    "bias_k": (None, {"add_bias_kv": True}, "it has add_bias_kv=True"),
    "zero attention": (None, {"add_zero_attn": True}, "it has add_zero_attn=True"),
    "float weights": (
        None,
        {"in_proj_weight_quant": None},
        "attn.in_proj (QuantLinear): its weights are not quantised",
    ),
    "batch first in, second expected": (
        None,
        {"batch_first": False},
        "it has batch_first=False, and its query has the batch first",
    ),
    "numbers added": (
        lambda m, y: m.attn(y, y, y, attn_mask=m.table)[0],
        {},
        "its attn_mask adds numbers to the scores; write the attention out",
    ),
    "a mask of the network": (
        lambda m, y: m.attn(y, y, y, attn_mask=y[:, :, :7])[0],
        {"heads": 1},
        "its attn_mask depends on the input",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    forward, options, message = REFUSED[name]
    model = net(forward, {"table": torch.arange(49.0).reshape(7, 7)}, **options)
    if name == "float weights":
        options["in_proj_bias_quant"] = None
        model = net(forward, **options)
    found = str(refused(calibrated(model, TOKENS), TOKENS))
    assert message in found, found


class _Block(nn.Module):
    """What people have before they quantise: torch's own attention."""

    def __init__(self) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
        self.head = nn.Linear(WIDTH, 4)

    def forward(self, x: torch.Tensor) -> Any:
        return self.head(self.attn(x, x, x, need_weights=False)[0])


def test_graph_mode() -> None:
    """Brevitas makes its own layer of torch's."""
    model = seeded(lambda: layerwise_quantize(preprocess_for_quantize(_Block().eval())))
    graph = checked(model, TOKENS, c=True)
    assert kinds(graph).count("matmul_softmax") == 1
    assert kinds(graph)[-1] == "linear_fp32"
