"""The constructors as the specification lists them: each builds, runs on Tensor and QuantTensor, and becomes C.

Every layer stands behind the network's quantiser, alone; a layer that leaves real values has a quantiser after it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest
import torch
from brevitas.quant_tensor import QuantTensor
from torch import Tensor, nn

import ares.nn as ann
from tests.extract.models import Net, calibrated, checked, seeded
from tests.slow import one_in

Shape = tuple[int, ...]

SIGNATURES = {
    "QuantAdd": "",
    "QuantMul": "",
    "QuantSiLU": "",
    "QuantConcatenate": "dim=1",
    "QuantMean": "dim=1, keepdim=False",
    "QuantPatchEmbed": "inp_size, patch_size, stride, in_chans=1, embed_dim=35",
    "PatchEmbed": "inp_size, patch_size, stride, in_chans=1, embed_dim=35",
    "QuantSelfAttention": "embed_dim, num_heads=1, seq_len=1, pool_sequence='mean', use_integer_softmax=False",
    "QuantMultiHeadAttention": "embed_dim, num_heads, seq_len, pool_sequence",
    "QuantMHSA": "embed_dim, num_heads, seq_len, pool_sequence",
    "QuantRoPESelfAttention": "embed_dim, num_heads, seq_len, rope_base=10000",
    "QuantCrossAttention": "embed_dim, num_heads, num_queries, kv_len=None",
    "QuantCrossAttentionWithSelfRefine": "num_queries, embed_dim, num_heads, ff_dim=None, kv_len=None",
    "QuantAlternatingAttention": "embed_dim, num_heads, num_channels, temporal_len, block_idx=0",
    "QuantConv1dDepthwise": "in_channels, kernel_size=4, bias=True, causal=True",
    "QuantSSM": "d_inner, d_state=16, dt_rank=None",
    "QuantMambaBlock": "d_model, d_inner=None, d_state=16, conv_kernel=4, dt_rank=None",
    "QuantMambaWrapper": "d_model, d_inner=None, d_state=16, conv_kernel=4, dt_rank=None, "
    "bidirectional_strategy='add'",
    "RFFTFeatures": "patch_size",
    "RFFTFeature": "patch_size",
    "RFFT": "patch_size",
    "ResidualBlock": "channels, kernel_size=3, bit_width=8",
    "RMSNorm": "dim, eps=1e-05",
    "Reshape": "shape",
    "Permute": "dims",
    "Squeeze": "dim",
    "PositionalEmbedding": "num_positions, dim",
    "TransformerBlock": "embed_dim, num_heads",
}
WITHOUT_QUANTISER = {"Reshape", "Permute", "Squeeze", "RMSNorm"}
NO_KIND_OF_RESULT = {"ResidualBlock"}

TOKENS: Shape = (1, 6, 8)
IMAGE: Shape = (1, 4, 5, 5)
CHANNELS: Shape = (1, 8, 6)

LAYERS: dict[str, tuple[Callable[[], nn.Module], Shape]] = {
    "QuantAdd": (lambda: ann.QuantAdd(), IMAGE),
    "QuantMul": (lambda: ann.QuantMul(), TOKENS),
    "QuantConcatenate": (lambda: ann.QuantConcatenate(dim=1), IMAGE),
    "QuantMean": (lambda: ann.QuantMean(dim=1, keepdim=False), TOKENS),
    "QuantSiLU": (lambda: ann.QuantSiLU(), TOKENS),
    "QuantPatchEmbed": (lambda: ann.QuantPatchEmbed((4, 9), (2, 3), (2, 3), 1, 5), (1, 1, 4, 9)),
    "PatchEmbed": (
        lambda: ann.PatchEmbed(inp_size=6, patch_size=2, stride=2, in_chans=2, embed_dim=3),
        (1, 2, 6, 6),
    ),
    "QuantSelfAttention": (lambda: ann.QuantSelfAttention(8, 2, 6, "mean", True), TOKENS),
    "QuantMultiHeadAttention": (
        lambda: ann.QuantMultiHeadAttention(8, 2, 6, pool_sequence="flat"),
        TOKENS,
    ),
    "QuantMHSA": (lambda: ann.QuantMHSA(8, num_heads=2, seq_len=6, pool_sequence="none"), TOKENS),
    "QuantRoPESelfAttention": (
        lambda: ann.QuantRoPESelfAttention(
            8, 2, 6, "none", rope_base=500, causal=True, num_kv_heads=1
        ),
        TOKENS,
    ),
    "QuantCrossAttention": (lambda: ann.QuantCrossAttention(8, 2, 3, kv_len=6), TOKENS),
    "QuantCrossAttentionWithSelfRefine": (
        lambda: ann.QuantCrossAttentionWithSelfRefine(3, 8, 2, 12, kv_len=6),
        TOKENS,
    ),
    "QuantAlternatingAttention": (
        lambda: ann.QuantAlternatingAttention(8, 2, num_channels=2, temporal_len=3, block_idx=1),
        TOKENS,
    ),
    "QuantConv1dDepthwise": (lambda: ann.QuantConv1dDepthwise(8, 4, True, causal=True), CHANNELS),
    "QuantSSM": (lambda: ann.QuantSSM(8, 4, dt_rank=2), TOKENS),
    "QuantMambaBlock": (lambda: ann.QuantMambaBlock(8, d_state=4), TOKENS),
    "QuantMambaWrapper": (
        lambda: ann.QuantMambaWrapper(8, 6, 4, 3, 1, bidirectional_strategy="concat"),
        TOKENS,
    ),
    "RFFTFeatures": (lambda: ann.RFFTFeatures(8), TOKENS),
    "RFFTFeature": (lambda: ann.RFFTFeature(patch_size=8), TOKENS),
    "RFFT": (lambda: ann.RFFT(8), TOKENS),
    "Reshape": (lambda: ann.Reshape(4, 12), TOKENS),
    "Permute": (lambda: ann.Permute(0, 2, 1), TOKENS),
    "Squeeze": (lambda: ann.Squeeze(1), (1, 1, 8)),
    "RMSNorm": (lambda: ann.RMSNorm(8, eps=1e-5), TOKENS),
    "LayerNorm": (lambda: ann.LayerNorm(8), TOKENS),
    "GroupNorm": (lambda: ann.GroupNorm(2, 4), IMAGE),
    "Conv2d": (lambda: ann.Conv2d(4, 3, 3, padding=1), IMAGE),
    "Linear": (lambda: ann.Linear(8, 5), TOKENS),
    "QuantConv2d": (lambda: ann.QuantConv2d(4, 3, 3), IMAGE),
    "QuantLinear": (lambda: ann.QuantLinear(8, 5, bias=True), TOKENS),
    "QuantIdentity": (lambda: ann.QuantIdentity(return_quant_tensor=True), TOKENS),
    "QuantReLU": (lambda: ann.QuantReLU(return_quant_tensor=True), TOKENS),
    "ReLU": (lambda: ann.ReLU(), TOKENS),
    "GELU": (lambda: ann.GELU(), TOKENS),
    "SiLU": (lambda: ann.SiLU(), TOKENS),
    "MaxPool2d": (lambda: ann.MaxPool2d(2), IMAGE),
    "AvgPool2d": (lambda: ann.AvgPool2d(2), IMAGE),
    "GlobalAvgPool": (lambda: ann.GlobalAvgPool(), IMAGE),
    "AdaptiveAvgPool1d": (lambda: ann.AdaptiveAvgPool1d(2), CHANNELS),
    "ZeroPad2d": (lambda: ann.ZeroPad2d((1, 0, 2, 1)), IMAGE),
    "Flatten": (lambda: ann.Flatten(), IMAGE),
    "PositionalEmbedding": (lambda: ann.PositionalEmbedding(6, 8), TOKENS),
    "TransformerBlock": (lambda: ann.TransformerBlock(8, 2, 6), TOKENS),
    "ResidualBlock": (lambda: ann.ResidualBlock(4, kernel_size=3, bit_width=8), IMAGE),
    "FeedForward": (lambda: ann.FeedForward(8, 12), TOKENS),
    "SwiGLU": (lambda: ann.SwiGLU(8, 12), TOKENS),
    "Slice": (lambda: ann.Slice(1, 2, 5), TOKENS),
    "Flip": (lambda: ann.Flip(1), TOKENS),
}
NO_LAYERS = {
    *("DEFAULT_BIT_WIDTH", "MappingError", "default_quant_identity", "check_compatibility"),
    "fold_batch_norm",
}

# What tests/extract and tests/nn carry to C in networks as small as these; here only once more would be waste.
ELSEWHERE = {
    *("Conv2d", "Linear", "QuantConv2d", "QuantLinear", "QuantIdentity", "QuantReLU", "ReLU"),
    *("GELU", "MaxPool2d", "AvgPool2d", "ZeroPad2d", "Flatten", "LayerNorm"),
    *("FeedForward", "SwiGLU", "TransformerBlock"),
}


def applied(layer: Any, x: Any) -> Any:
    """The layer on x, where it takes several tensors on x and a part of it."""
    if isinstance(layer, (ann.QuantAdd, ann.QuantMul)):
        return layer(x, x)
    if isinstance(layer, ann.QuantConcatenate):
        return layer([x, x])
    return layer(x)


def test_every_layer_of_the_package_is_here() -> None:
    assert set(LAYERS) | NO_LAYERS | {"Embedding"} == set(ann.__all__)
    assert set(SIGNATURES) <= set(LAYERS)
    assert set(ELSEWHERE) < set(LAYERS)


@pytest.mark.parametrize("name", SIGNATURES)
def test_constructor(name: str) -> None:
    """The listed arguments come first, in that order, with those defaults; then bit_width, return_quant_tensor."""
    parameters = inspect.signature(getattr(ann, name)).parameters
    found = list(parameters)
    listed = [item.partition("=") for item in SIGNATURES[name].split(", ") if item]
    places = [found.index(argument) for argument, _, _ in listed]
    assert places == sorted(places)
    assert places[:2] == list(range(len(places)))[:2]
    for argument, equals, default in listed:
        if equals:
            assert repr(parameters[argument].default) == default
    if name not in WITHOUT_QUANTISER:
        assert parameters["bit_width"].default == ann.DEFAULT_BIT_WIDTH
    if name not in WITHOUT_QUANTISER | NO_KIND_OF_RESULT:
        assert parameters["return_quant_tensor"].default is True


@pytest.mark.parametrize("name", LAYERS)
def test_runs_on_both_kinds_of_tensors(name: str) -> None:
    make, shape = LAYERS[name]
    quant, layer = ann.default_quant_identity(), seeded(make)
    x = torch.randn(3, *shape[1:], generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        applied(layer, quant(x))
        quant.eval()
        layer.eval()
        codes = quant(x)
        first, second = applied(layer, codes), applied(layer, codes.value)
    assert isinstance(codes, QuantTensor)
    values = [getattr(y, "value", y) for y in (first, second)]
    assert all(isinstance(value, Tensor) and value.shape[0] == 3 for value in values)
    if "RFFT" not in name:  # which gives a plain tensor a quantiser of its own
        assert torch.equal(*values)
    if name in SIGNATURES and name not in WITHOUT_QUANTISER:
        assert isinstance(first, QuantTensor)
        assert int(first.bit_width) == 8


@pytest.mark.parametrize("name", one_in(9, sorted(set(LAYERS) - ELSEWHERE)))
@pytest.mark.parametrize("kind", ["QuantTensor", "Tensor"])
def test_becomes_c(name: str, kind: str) -> None:
    """Extracted, accepted by reference and torch; and, once each, equal in C."""
    make, shape = LAYERS[name]

    def forward(m: Any, x: Tensor) -> Any:
        return m.last(applied(m.layer, m.first(x)))

    model = seeded(
        lambda: Net(
            forward,
            first=ann.default_quant_identity(return_quant_tensor=kind == "QuantTensor"),
            layer=make(),
            last=ann.default_quant_identity(),
        )
    )
    checked(model, shape, c=kind == "QuantTensor")


def test_embedding_takes_ids() -> None:
    """Its C: tests/extract/test_embedding.py."""
    layer, quant = ann.Embedding(10, 8), ann.default_quant_identity()
    assert quant(layer(torch.zeros(1, 6, dtype=torch.int64))).shape == (1, 6, 8)


# --- check_compatibility


def small(*layers: nn.Module) -> nn.Module:
    return nn.Sequential(ann.default_quant_identity(), *layers)


def test_check_compatibility_is_ares_check() -> None:
    model = small(ann.Linear(8, 4), ann.ReLU(), ann.Linear(4, 2)).train()
    report = ann.check_compatibility(model, torch.zeros(5, 8), "mine")
    assert report.compatible
    assert (report.network, report.shapes) == ("mine", ((5, 8),))
    assert model.training, "the model is left as it is"
    assert ann.check_compatibility(model).shapes[0][-1] == 8
    assert ann.check_compatibility(model, [torch.zeros(1, 8)]).compatible


def test_check_compatibility_says_what_to_change() -> None:
    report = ann.check_compatibility(small(nn.BatchNorm1d(8)), torch.zeros(1, 8))
    assert not report.compatible
    (error,) = report.errors
    assert (error.layer, error.layer_type) == ("1", "BatchNorm1d")
    assert error.suggestion == "end the network with a QuantLinear or a QuantIdentity"


def test_sizes_that_do_not_fit_are_findings() -> None:
    """In `forward` too: a refusal with advice, not an exception."""
    model = small(ann.PositionalEmbedding(5, 8))
    report = ann.check_compatibility(calibrated(model, (1, 5, 8)), torch.zeros(1, 6, 8))
    (error,) = report.errors
    assert error.layer_type == "PositionalEmbedding"
    assert "construct it for the tokens that there are" in error.suggestion
    with pytest.raises(ann.MappingError, match="choose an odd kernel_size"):
        ann.ResidualBlock(4, kernel_size=2)
