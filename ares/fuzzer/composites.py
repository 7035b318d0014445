"""Nodes that are composites of `ares.nn` and Brevitas: attention, Mamba, patches, blocks.

All their parameters are drawn anew from the recipe; their quantisers take thresholds from one run.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import brevitas.nn as qnn
import brevitas.quant as bq
import torch
from torch import nn

import ares.nn as ann
from ares.fuzzer.layers import Kind, module_call
from ares.fuzzer.recipe import Option
from ares.fuzzer.shapes import ints, number
from ares.fuzzer.sites import Site
from ares.nn.quant_tensor import AnyTensor, value_of

_QUANTIZERS: Mapping[str, Any] = {
    "float": bq.Int8ActPerTensorFloat,
    "fixed": bq.Int8ActPerTensorFixedPoint,
}
_WEIGHTS: Mapping[bool, Any] = {
    True: bq.Int8WeightPerChannelFloat,
    False: bq.Int8WeightPerTensorFloat,
}


def _drawn(make: Callable[[Site], nn.Module]) -> Kind:
    def made(site: Site) -> nn.Module:
        module = make(site)
        _draw_parameters(site, module)
        return module

    return Kind(made, module_call, composite=True)


def _quants(site: Site) -> dict[str, Any]:
    return {
        "bit_width": number(site.options, "bits", 8),
        "act_quant": _QUANTIZERS[site.word("quantizer", "float")],
        "weight_quant": _WEIGHTS[bool(site.options.get("per_channel", True))],
    }


def _draw_parameters(site: Site, module: nn.Module) -> None:
    """Matrices so that sizes are kept, vectors near what they begin with; scales of quantisers are left alone."""
    with torch.no_grad():
        for path, parameter in module.named_parameters():
            name = path.rpartition(".")[2]
            if "_quant." in path or name in ("A_log", "D"):
                continue
            drawn = site.constants(path, parameter.numel()).reshape(parameter.shape)
            if name == "bias" and path.endswith("dt.bias"):
                parameter.copy_(drawn * 1.5 - 2.0)
            elif parameter.dim() >= 2:
                each = math.prod(parameter.shape[1:])
                parameter.copy_(drawn * (1.7 / math.sqrt(each)))
            elif name == "weight":
                parameter.copy_(drawn * 0.5 + 1.0)
            else:
                parameter.copy_(drawn * 0.3)


def _attention(cls: Any) -> Kind:
    def make(site: Site) -> nn.Module:
        _, tokens, width = site.shapes[0]
        words: dict[str, Any] = {
            "seq_len": tokens,
            "pool_sequence": site.word("pool", "none"),
            "causal": bool(site.options.get("causal", False)),
        }
        if site.options.get("kv_heads") is not None:
            words["num_kv_heads"] = number(site.options, "kv_heads")
        made: nn.Module = cls(width, number(site.options, "heads", 1), **words, **_quants(site))
        return made

    return _drawn(make)


def _cross(site: Site) -> nn.Module:
    _, tokens, width = site.shapes[0]
    return ann.QuantCrossAttention(
        width,
        number(site.options, "heads", 1),
        number(site.options, "queries"),
        kv_len=tokens,
        norm=bool(site.options.get("norm", False)),
        **_quants(site),
    )


def _transformer(site: Site) -> nn.Module:
    _, tokens, width = site.shapes[0]
    return ann.TransformerBlock(
        width,
        number(site.options, "heads", 1),
        tokens,
        mlp_dim=number(site.options, "hidden", 8),
        norm=ann.RMSNorm if site.options.get("rms", False) else nn.LayerNorm,
        **_quants(site),
    )


def _mamba(site: Site) -> nn.Module:
    sizes: dict[str, Any] = {
        "d_inner": number(site.options, "inner", 4),
        "d_state": number(site.options, "state", 2),
        "conv_kernel": number(site.options, "kernel", 3),
        "dt_rank": number(site.options, "rank", 1),
    }
    width = site.shapes[0][2]
    if "join" in site.options:
        sizes["bidirectional_strategy"] = site.word("join")
        return ann.QuantMambaWrapper(width, **sizes, **_quants(site))
    return ann.QuantMambaBlock(width, **sizes, **_quants(site))


def _ssm(site: Site) -> nn.Module:
    width = site.shapes[0][2]
    state, rank = number(site.options, "state", 2), number(site.options, "rank", 1)
    return ann.QuantSSM(width, state, rank, gate=False, **_quants(site))


def _patches(site: Site) -> nn.Module:
    _, channels, height, width = site.shapes[0]
    (down, across), (y, x) = ints(site.options, "patch", 2), ints(site.options, "stride", 2)
    dim = number(site.options, "dim")
    return ann.QuantPatchEmbed(
        (height, width), (down, across), (y, x), channels, dim, **_quants(site)
    )


def _positional(site: Site) -> nn.Module:
    _, tokens, width = site.shapes[0]
    quants = _quants(site)
    del quants["weight_quant"]
    return ann.PositionalEmbedding(tokens, width, **quants)


def _spectrum(site: Site) -> nn.Module:
    quants = _quants(site)
    del quants["weight_quant"]
    return ann.RFFTFeatures(site.shapes[0][-1], **quants)


def _feed_forward(cls: Any) -> Kind:
    return _drawn(
        lambda site: cls(site.shapes[0][2], number(site.options, "hidden", 6), **_quants(site))
    )


def _multihead(site: Site) -> nn.Module:
    width = site.shapes[0][2]
    words: dict[str, Any] = {}
    if site.options.get("softmax_quant", True):
        words["softmax_input_quant"] = bq.Int8ActPerTensorFloat
    if not site.options.get("packed", True):
        words["packed_in_proj"] = False
    layer: nn.Module = qnn.QuantMultiheadAttention(
        width, number(site.options, "heads", 1), batch_first=True, **words
    )
    return layer


def _call_multihead(
    module: Any, _options: Mapping[str, Option], operands: Sequence[AnyTensor]
) -> Any:
    x = value_of(operands[0])
    return module(x, x, x)[0]


COMPOSITES: Mapping[str, Kind] = {
    "self_attention": _attention(ann.QuantSelfAttention),
    "rope_attention": _attention(ann.QuantRoPESelfAttention),
    "cross_attention": _drawn(_cross),
    "transformer_block": _drawn(_transformer),
    "feed_forward": _feed_forward(ann.FeedForward),
    "swiglu": _feed_forward(ann.SwiGLU),
    "mamba_block": _drawn(_mamba),
    "mamba_wrapper": _drawn(_mamba),
    "ssm": _drawn(_ssm),
    "patch_embed": _drawn(_patches),
    "positional": _drawn(_positional),
    "spectrum": _drawn(_spectrum),
    "residual_block": _drawn(
        lambda site: ann.ResidualBlock(
            site.shapes[0][1], number(site.options, "kernel", 3), **_quants(site)
        )
    ),
    "multihead": Kind(_drawn(_multihead).make, _call_multihead, composite=True),
}
"""Kinds whose inner quantisers are calibrated by one run."""
