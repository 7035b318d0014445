"""Composites and the layers of transformers in the checker: verdicts, sizes that do not fit, what is listed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from ares.cli.check import check_command
from ares.ops import COMPOSITES
from tests.checker.models import PRELUDE, model_source, write
from tests.cli.outcome import Outcome
from tests.slow import one_in, slow_but

Check = Callable[..., Outcome]

# Every composite but cross and alternating attention and PatchEmbed, which have models here, and every kind of
# operation of table B. The rest of the zoo takes seconds a network: the stage `check` of its own file covers it.
SAMPLE = {
    "test_11_layernorm_basic": ("QuantLayerNormBasic", set()),
    "test_12_gelu_basic": ("QuantGELUBasic", set()),
    "test_13_transformer_simple": ("SimpleTransformer", {"OP_MHSA"}),
    "test_16_mamba_conv1d": ("MambaConv1DTest", set()),
    "test_17_mamba_ssm": ("MambaSSMTest", {"OP_SSM"}),
    "test_18_mamba_block": ("MambaBlockTest", {"OP_MAMBA_BLOCK"}),
    "test_20_bidirectional_mamba": ("BidirectionalMambaTest", {"OP_MAMBA_WRAPPER"}),
    "test_36_drowsiness_fusion": ("DrowsinessFusionNetwork", set()),
    "test_42_llama_minimal": ("MinimalLlama", {"OP_MHSA"}),
    "test_44_llama_swiglu": ("LlamaSwiGLU", {"OP_MHSA"}),
}
OP_TYPES = {kind.op_type for kind in COMPOSITES}


@pytest.mark.parametrize("name", slow_but([3, 5], SAMPLE))
def test_networks_of_the_zoo(name: str, check: Check) -> None:
    class_name, composites = SAMPLE[name]
    found = check("--test-network", name, "--model-class", class_name)
    assert (found.code, found.err) == (0, "")
    assert found.report["model"] == class_name
    assert {f["op_type"] for f in found.report["findings"]} & OP_TYPES == composites


def tokens_model(
    layer: str, *, length: int = 6, features: int = 6, imports: str = "", init: Sequence[str] = ()
) -> str:
    """A network of one layer of `ares.nn` between two quantisers; [1, length, features] goes in."""
    extra = "".join(f"        {line}\n" for line in init)
    return f"""\
{PRELUDE}import ares.nn
{imports}
class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.quant_in = QuantIdentity(return_quant_tensor=True)
        self.layer = {layer}
{extra}
    def forward(self, x):
        return self.layer(self.quant_in(x))

def example_inputs():
    return (torch.rand(1, {length}, {features}),)
"""


@dataclass(frozen=True, slots=True)
class Fits:
    """A composite, the shape of its tokens, and its stages."""

    layer: str
    op_type: str
    shape: tuple[int, ...] = (6, 6)


FITS = [
    Fits("ares.nn.QuantSelfAttention(6, 2, 6)", "OP_MHSA"),
    Fits("ares.nn.QuantMultiHeadAttention(6, 2, 6, 'none')", "OP_MHSA"),
    Fits("ares.nn.QuantRoPESelfAttention(8, 2, 6, 'none')", "OP_MHSA", (6, 8)),
    Fits("ares.nn.QuantMHSA(6, 2, 6, 'flat')", "OP_MHSA"),
    Fits("ares.nn.QuantCrossAttention(6, 2, 3, 6)", "OP_CROSS_ATTENTION"),
    Fits("ares.nn.QuantAlternatingAttention(6, 2, 2, 3)", "OP_ALTERNATING_ATTENTION"),
    Fits("ares.nn.QuantSSM(6, 2, 1)", "OP_SSM"),
    Fits("ares.nn.QuantMambaBlock(6)", "OP_MAMBA_BLOCK"),
    Fits("ares.nn.QuantMambaWrapper(6)", "OP_MAMBA_WRAPPER"),
    Fits("ares.nn.QuantPatchEmbed((4, 6), 2, 2)", "OP_PATCH_EMBED", (1, 4, 6)),
]


@pytest.mark.parametrize("fits", one_in(3, FITS), ids=lambda fits: fits.layer.split("(")[0])
def test_a_composite_is_one_line_and_then_its_stages(
    fits: Fits, tmp_path: Path, check: Check
) -> None:
    source = tokens_model(fits.layer).replace("1, 6, 6", ", ".join(map(str, (1, *fits.shape))))
    found = check("--model-file", write(tmp_path, source))
    assert (found.code, found.err) == (0, "")
    _, layer, *stages = found.report["findings"]
    assert layer == {
        "layer": "layer",
        "module": "layer",
        "type": fits.layer.split("(")[0].removeprefix("ares.nn."),
        "op_type": fits.op_type,
        "status": "supported",
        "reason": f"mapped to {fits.op_type}",
        "suggestion": "",
    }
    assert stages
    assert all(stage["layer"].startswith("layer.") for stage in stages)
    # A model that was never calibrated has a warning where a quantiser is, else the stage says whose it is.
    assert all(
        stage["status"] == "warning"
        or stage["reason"].startswith("taken into layer.")
        or stage["reason"]
        in (f"{stage['op_type']}, a stage of layer", "part of the operation around it")
        for stage in stages
    )
    assert sum(f["op_type"] in OP_TYPES for f in found.report["findings"]) == 1


def test_multihead_attention_of_torch(tmp_path: Path, check: Check) -> None:
    """The advice is the specification's."""
    quant = "self.quant = QuantIdentity(return_quant_tensor=True)"
    source = model_source(
        ["self.mha = nn.MultiheadAttention(64, 4, batch_first=True)", quant],
        ["x = torch.flatten(x.value, 2)", "x = self.quant(self.mha(x, x, x)[0])"],
    )
    found = check("--model-file", write(tmp_path, source))
    assert found.code == 1
    advice = "custom QuantMultiHeadAttention implementation (ARES-compatible extraction points)"
    assert advice in found.finding("mha")["suggestion"]
    assert "".join(advice.split()) in "".join(found.out.split())


def test_dropout_between_composites(tmp_path: Path, check: Check) -> None:
    """A warning; an error of the exit code alone, and only when asked for."""
    layer = "nn.Sequential(nn.Dropout(0.5), ares.nn.QuantSelfAttention(6, 2, 6))"
    path = write(tmp_path, tokens_model(layer))
    found = check("--model-file", path)
    assert (found.code, found.err) == (0, "")
    assert found.finding("layer.0")["status"] == "warning"
    assert "remove it" in found.finding("layer.0")["suggestion"]
    strict = check("--model-file", path, "--strict-warnings")
    assert strict.code == 1
    assert strict.report["compatible"] is True


@dataclass(frozen=True, slots=True)
class Wrong:
    """A layer whose sizes do not fit, and what must be said of it."""

    name: str
    layer: str
    shape: tuple[int, ...]
    reason: str
    advice: str


TOO_SHORT = "give it as many tokens as {} says, or construct it for the length that there is"
WRONG = [
    Wrong(
        "sequence",
        "ares.nn.QuantSelfAttention(6, 2, seq_len=5)",
        (6, 6),
        "input [1, 6, 6], expected [batch, 5, features]: seq_len is 5",
        TOO_SHORT.format("seq_len"),
    ),
    Wrong(
        "keys",
        "ares.nn.QuantCrossAttention(6, 2, 3, kv_len=7)",
        (6, 6),
        "input [1, 6, 6], expected [batch, 7, features]: kv_len is 7",
        TOO_SHORT.format("kv_len"),
    ),
    Wrong(
        "channels times steps",
        "ares.nn.QuantAlternatingAttention(6, 2, 2, 4)",
        (6, 6),
        "input [1, 6, 6], expected [batch, 8, features]",
        TOO_SHORT.format("num_channels * temporal_len"),
    ),
    Wrong(
        "inside a block",
        "ares.nn.TransformerBlock(6, 2, 5)",
        (6, 6),
        "seq_len is 5",
        TOO_SHORT.format("seq_len"),
    ),
    Wrong(
        "pictures",
        "ares.nn.QuantPatchEmbed((4, 6), 2, 2)",
        (1, 4, 8),
        "input is [1, 1, 4, 8], expected [B, C, 4, 6]",
        "give it pictures of inp_size",
    ),
    Wrong(
        "heads",
        "ares.nn.QuantSelfAttention(6, 4, 6)",
        (6, 6),
        "embed_dim 6 is not divisible by num_heads 4",
        "choose a number of heads that divides embed_dim",
    ),
    Wrong(
        "heads of a cross attention",
        "ares.nn.QuantCrossAttention(6, 5, 2)",
        (6, 6),
        "embed_dim 6 is not divisible by num_heads 5",
        "choose a number of heads that divides embed_dim",
    ),
    Wrong(
        "heads inside a block",
        "ares.nn.TransformerBlock(6, 4, 6)",
        (6, 6),
        "embed_dim 6 is not divisible by num_heads 4",
        "choose a number of heads that divides embed_dim",
    ),
    Wrong(
        "patches",
        "ares.nn.QuantPatchEmbed((4, 6), (2, 4), (2, 4))",
        (1, 4, 6),
        "patches of 4 every 4 do not divide W = 6",
        "choose patch_size and stride that cover inp_size exactly",
    ),
    Wrong(
        "rotary, odd heads",
        "ares.nn.QuantRoPESelfAttention(6, 2, 6)",
        (6, 6),
        "head_dim 3 is odd",
        "",
    ),
    Wrong(
        "shared heads",
        "ares.nn.QuantSelfAttention(8, 4, 6, num_kv_heads=3)",
        (6, 8),
        "4 heads cannot share 3 heads",
        "",
    ),
]


OF_THE_INPUT = ("sequence", "keys", "channels times steps", "inside a block", "pictures")


@pytest.mark.parametrize("how", ["example", "input shape", "inferred"])
@pytest.mark.parametrize("wrong", one_in(3, WRONG), ids=lambda wrong: wrong.name)
def test_sizes_that_do_not_fit(wrong: Wrong, how: str, tmp_path: Path, check: Check) -> None:
    shape = ", ".join(map(str, (1, *wrong.shape)))
    source = tokens_model(wrong.layer).replace("1, 6, 6", shape)
    options: list[str] = []
    if how != "example":
        source = source[: source.index("def example_inputs")]
    if how == "input shape":
        options = ["--input-shape", shape.replace(" ", "")]
    found = check("--model-file", write(tmp_path, source), *options)
    assert found.err == ""
    assert "Traceback" not in found.out
    if how == "inferred" and wrong.name in OF_THE_INPUT and found.code == 0:
        return  # nobody said what goes in: an input that fits was found
    assert found.code == 1
    (error,) = found.errors()
    assert "\n" not in error["reason"] + error["suggestion"]
    assert wrong.advice in error["suggestion"]
    assert error["suggestion"]
    if how != "inferred":
        assert wrong.reason in error["reason"]


LAYER_TYPES = [
    "QuantIdentity",
    "QuantConv2d",
    "QuantLinear",
    "QuantReLU",
    "GELU",
    "SiLU",
    "MaxPool2d",
    "AvgPool2d",
    "GlobalAvgPool",
    "AdaptiveAvgPool1d",
    "LayerNorm",
    "RMSNorm",
    "GroupNorm",
    "Add",
    "Concatenate",
    "Mean",
    "Flatten",
    "Squeeze",
    "Reshape",
    "Permute",
    "ZeroPad2d",
    "Embedding",
    "RFFT",
    "MultiheadSelfAttention",
    "CrossAttention",
    "AlternatingAttention",
    "Conv1dDepthwise",
    "SSM",
    "MambaBlock",
    "MambaWrapper",
    "PatchEmbed",
]
"""The specification's table of operations, in its order."""

OF_THE_SPECIFICATION = {
    "QuantIdentity": "OP_REQUANTIZE",
    "QuantConv2d": "OP_CONV2D",
    "QuantLinear": "OP_LINEAR_INT8",
    "MultiheadSelfAttention": "OP_MHSA",
    "CrossAttention": "OP_CROSS_ATTENTION",
    "AlternatingAttention": "OP_ALTERNATING_ATTENTION",
    "SSM": "OP_SSM",
    "MambaBlock": "OP_MAMBA_BLOCK",
    "MambaWrapper": "OP_MAMBA_WRAPPER",
    "PatchEmbed": "OP_PATCH_EMBED",
    "Permute": "OP_TRANSPOSE_2D",
}


def test_supported_types_of_the_specification(run: Callable[..., Outcome]) -> None:
    outcome = run(check_command, "--list-supported-types")
    assert outcome.code == 0
    rows = [line.split() for line in outcome.out.splitlines()]
    listed = {row[0] for row in rows if len(row) == 3}
    assert len(LAYER_TYPES) == 31
    assert set(LAYER_TYPES) <= listed
    for layer_type, op_type in OF_THE_SPECIFICATION.items():
        assert any(row[0] == layer_type and row[2] == op_type for row in rows if len(row) == 3)
    classes = {(row[0], row[1]) for row in rows if len(row) == 3}
    for kind in COMPOSITES:
        assert {(kind.layer_type, name) for name in kind.python_classes} <= classes


def test_supported_types_are_whole_at_80_columns(run: Callable[..., Outcome]) -> None:
    outcome = run(check_command, "--list-supported-types")
    for kind in COMPOSITES:
        assert all(name in outcome.out for name in kind.classes)
