"""The faults of systems that call themselves bit-exact, planted in Python AND in C: both agree, both are wrong.

One test or more for each row of the first table of `docs/pitfalls.md`. Each breaks the integer reference, or the
extraction that feeds reference and C, and the C in the same way. Comparing C with reference is then green for every
layer of every case; the torch witness, which shares no code with them, is red at the layer, and no golden can be made.
Where a fault makes another network and no wrong integer (dt_rank, BatchNorm), a structural guard must answer it.

Without a fault the same networks are green at every stage: that is how the fixture `good` makes them.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import nn

from ares.extract import _call, _norms, _registry, selective_scan, softmax
from ares.ir import Project
from ares.nn import QuantMambaBlock, QuantSSM
from ares.numerics import round_half_even_shift, wide_round
from ares.ops import run_reference
from ares.ops.avg_pool2d import AvgPool2d
from ares.ops.linear import Linear
from ares.ops.rotary import Rotary
from ares.pipeline.network import NetworkSubject
from ares.resources import checkout_dir
from ares.verdict import Outcome
from tests.nn.test_mamba import test_published_number_of_parameters as published_number
from tests.toolchain.tiny_network import any_target
from tests.witness.planting import (
    BLAMES_EXTRACTION,
    BLAMES_REFERENCE,
    PROBE,
    Array,
    assert_only_torch_objects,
    assert_red,
    c_verdict,
    half_away_shift,
    half_up_shift,
    in_params,
    patched,
    prepared,
    truncating_shift,
    with_golden,
    write_network,
)

Patch = pytest.MonkeyPatch
Good = Callable[[str], NetworkSubject]
NUMERICS = "runtime/inc/numerics.h"

HEAD = '''"""A network for planted faults."""

import torch
from brevitas.nn import QuantConv2d, QuantIdentity, QuantLinear, QuantReLU
from brevitas.quant import Int8ActPerTensorFloat, Uint8ActPerTensorFloat
from torch import Tensor, nn

from ares.nn import (
    GroupNorm,
    LayerNorm,
    Permute,
    QuantMambaBlock,
    QuantRoPESelfAttention,
    QuantSSM,
    fold_batch_norm,
)
from ares.zoo import signals, weights


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.quant_in = QuantIdentity(act_quant=Int8ActPerTensorFloat)
'''

TAIL = """

def example_inputs(sample: int = 0) -> tuple[Tensor, ...]:
    return (signals.{inputs},)
"""


def text(members: Sequence[str], result: str, inputs: str, after: str = "") -> str:
    """A network file: members set in the constructor, what `forward` returns of x, and its input."""
    lines = [f"        self.{member}\n" for member in members]
    forward = f"\n    def forward(self, x: Tensor) -> Tensor:\n        return {result}\n"
    return HEAD + "".join(lines) + after + forward + TAIL.format(inputs=inputs)


OUT = "quant_out = QuantIdentity(act_quant=Int8ActPerTensorFloat)"
# One row of equal scores, one with a score far above the others.
SOFTMAX = text(
    [
        "softmax = nn.Softmax(dim=-1)",
        "quant_out = QuantIdentity(act_quant=Uint8ActPerTensorFloat)",
    ],
    "self.quant_out(self.softmax(self.quant_in(x)))",
    "tokens(6, KEYS, sample)",
).replace(
    "    return (signals.tokens(6, KEYS, sample),)",
    "    x = signals.tokens(6, KEYS, sample)\n    x[0, 0] = 0.0\n    x[0, 1, 3] = 16.0\n    return (x,)",
)
BATCH_NORM = text(
    [
        "conv = QuantConv2d(1, 4, 3, bias=True)",
        "norm = nn.BatchNorm2d(4)",
        OUT,
    ],
    "self.quant_out(self.norm(self.conv(self.quant_in(x))))",
    "eeg(8, 24, sample)",
    after='        weights.initialise(self, "batch_norm")\n',
)
BATCH_NORM += "\n\ndef initialise(model: nn.Module) -> None:\n    del model  # has its weights\n"

TEXTS = {
    "probe": PROBE,
    "attention": text(
        ['attention = QuantRoPESelfAttention(16, 2, 12, pool_sequence="none")'],
        "self.attention(self.quant_in(x))",
        "tokens(12, 16, sample)",
    ),
    "softmax196": SOFTMAX.replace("KEYS", "196"),
    "softmax256": SOFTMAX.replace("KEYS", "256"),
    "layer_norm": text(
        ["norm = LayerNorm(32)", OUT],
        "self.quant_out(self.norm(self.quant_in(x)))",
        "tokens(12, 32, sample)",
    ),
    "group_norm": text(
        ["rows = Permute(0, 2, 1)", "norm = GroupNorm(4, 32)", OUT],
        "self.quant_out(self.norm(self.rows(self.quant_in(x))))",
        "tokens(12, 32, sample)",
    ),
    "ssm": text(
        ["ssm = QuantSSM(16, d_state=16, dt_rank=2)"],
        "self.ssm(self.quant_in(x))",
        "tokens(24, 16, sample)",
    ),
    "mamba": text(
        ["block = QuantMambaBlock(32, d_inner=64, d_state=2)"],
        "self.block(self.quant_in(x))",
        "tokens(16, 32, sample)",
    ),
    "relu": text(
        [
            "conv = QuantConv2d(1, 6, 3, bias=True)",
            "relu = QuantReLU()",
            "flatten = nn.Flatten()",
            "fc = QuantLinear(6 * 6 * 22, 10, bias=True, output_quant=Int8ActPerTensorFloat)",
        ],
        "self.fc(self.flatten(self.relu(self.conv(self.quant_in(x)))))",
        "eeg(8, 24, sample)",
    ),
    # Few products of small weights: a code is worth few units of the accumulator.
    "coarse": text(
        ["conv = QuantConv2d(1, 16, 1, bias=True, weight_bit_width=3)", OUT],
        "self.quant_out(self.conv(self.quant_in(x)))",
        "eeg(16, 64, sample)",
    ),
    "batch_norm": BATCH_NORM,
    "folded": BATCH_NORM.replace('m")\n', 'm")\n        fold_batch_norm(self)\n'),
}


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Good:
    """Networks without a fault, made once: all stages and the C are green. Ask before anything is planted."""

    @cache
    def session(name: str) -> NetworkSubject:
        paths = write_network(tmp_path_factory.mktemp(name), TEXTS[name], name)
        made = prepared(with_golden(paths))
        verdict = made.target(any_target())
        assert verdict.outcome is Outcome.PASS, verdict.message
        return made

    return session


def assert_red_together(
    network: NetworkSubject,
    layer: str,
    in_c: Callable[[Project], Project] = lambda project: project,
) -> None:
    """Beside the golden of the right integers: reference and C are red at the same layer, and torch is not."""
    __tracebackhide__ = True
    session = NetworkSubject(network.paths)
    assert_red(session.stage("reference"), layer=layer, says=(BLAMES_REFERENCE,))
    assert_red(c_verdict(session, in_c(session.project)), layer=layer, says=(BLAMES_EXTRACTION,))


# --- softmax


def test_softmax_table_of_integers(good: Good, tmp_path: Path, monkeypatch: Patch) -> None:
    """Row 1: the table holds exp(k) for integer k, differences of scores are scaled by 16: softmax(16 s)."""
    network = good("attention")
    exp_table = softmax.exp_table
    monkeypatch.setattr(softmax, "exp_table", lambda scale: exp_table(16 * scale))
    mantissa, exponent = (int(row[8]) for row in softmax.exp_table(1 / 16))
    assert f"{mantissa / 2.0 ** (31 + exponent):.4f}" == "0.0003"
    mantissa, exponent = (int(row[8]) for row in exp_table(1 / 16))
    assert f"{mantissa / 2.0 ** (31 + exponent):.3f}" == "0.607"
    assert_red_together(network, "attention.weights")
    assert_only_torch_objects(network.paths, tmp_path, layer="attention.weights")


def _floored(product: Array, shift: Array, zero_point: int) -> Array:
    before = np.minimum(shift - 1, 63).astype(np.uint64)
    bits = np.where(shift <= 64, product >> before, np.uint64(0))
    return (bits >> np.uint64(1)).astype(np.int64) + zero_point


@pytest.mark.parametrize("keys", [196, 256])
def test_floored_probabilities(good: Good, tmp_path: Path, monkeypatch: Patch, keys: int) -> None:
    """Row 2: probabilities floored to 8 bits; a uniform row of 256 keys becomes zeros."""
    network = good(f"softmax{keys}")
    uniform = network.references[0]["softmax"][0, 0]
    assert uniform.tolist() == [1] * keys
    monkeypatch.setattr("ares.numerics.softmax._rounded", _floored)

    def in_c(project: Project) -> Project:
        return patched(
            project, "runtime/src/softmax.c", "return code + up;", "return code + 0 * up;"
        )

    assert_red_together(network, "softmax", in_c)
    session = assert_only_torch_objects(network.paths, tmp_path, layer="softmax", in_c=in_c)
    uniform = session.references[0]["softmax"][0, 0]
    # 196 keys of 1.3 codes add up to 196/255 either way, 256 keys of 0.996 codes to nothing.
    assert uniform.tolist() == [1 if keys == 196 else 0] * keys


# --- normalisation


@pytest.mark.parametrize("name", ["layer_norm", "group_norm"])
def test_norm_times_the_scale_of_its_input(
    good: Good, tmp_path: Path, monkeypatch: Patch, name: str
) -> None:
    """Row 3: integer LayerNorm / GroupNorm multiplies the result by the input's scale."""
    network = good(name)
    plan_norm = _norms.plan_norm

    def times_scale(
        function: Any, gammas: Any, betas: Any, epsilon: Any, source: Any, *rest: Any
    ) -> Any:
        scale = Fraction(source.scale)
        assert scale < Fraction(1, 50)
        gammas, betas = ([scale * value for value in values] for values in (gammas, betas))
        return plan_norm(function, gammas, betas, epsilon, source, *rest)

    monkeypatch.setattr(_norms, "plan_norm", times_scale)
    assert_red_together(network, "norm")
    session = assert_only_torch_objects(network.paths, tmp_path, layer="norm")
    right, wrong = (float(s.references[0]["norm"].std()) for s in (network, session))
    assert wrong < right / 20


# --- state space


def _clipped(monkeypatch: Patch) -> None:
    decay_factors = selective_scan.decay_factors

    def clipped(log_rate: Array, step: Fraction) -> Array:
        assert sorted(set(np.rint(np.exp(log_rate)).ravel())) == list(range(1, 17))
        return decay_factors(np.minimum(log_rate, 0.0), step)

    monkeypatch.setattr(selective_scan, "decay_factors", clipped)


def _shifted(monkeypatch: Patch) -> None:
    decay_factors, plan_scan = selective_scan.decay_factors, selective_scan.plan_scan
    monkeypatch.setattr(
        selective_scan, "decay_factors", lambda rate, step: decay_factors(rate, step / 256)
    )

    def smaller(slowest: int, skips: list[Fraction], ratio: Fraction, reach: Any) -> Any:
        return plan_scan(slowest, [256 * skip for skip in skips], ratio / 256, reach)

    monkeypatch.setattr(selective_scan, "plan_scan", smaller)


@pytest.mark.parametrize("plant", [_clipped, _shifted])
def test_state_space_clipped_or_shifted(
    good: Good, tmp_path: Path, monkeypatch: Patch, plant: Callable[[Patch], None]
) -> None:
    """Row 4: A clipped at -1 where it goes down to -16; dt shifted by 8 and never restored."""
    network = good("ssm")
    plant(monkeypatch)
    assert_red_together(network, "ssm.y")
    assert_only_torch_objects(network.paths, tmp_path, layer="ssm.y")


# --- unsigned codes


def test_unsigned_clipped_like_signed(good: Good, tmp_path: Path, monkeypatch: Patch) -> None:
    """Row 5: `QuantReLU` kept as signed int8: everything above code 127 is clipped."""
    network = good("relu")
    assert int(network.references[0]["conv"].max()) > 200
    read = _call.read_quantizer

    def halved(*arguments: Any, **keywords: Any) -> Any:
        quantizer = read(*arguments, **keywords)
        return replace(quantizer, hi=min(quantizer.hi, 127))

    monkeypatch.setattr(_call, "read_quantizer", halved)
    assert_red_together(network, "conv")
    says = ("code 127, model means",)
    session = assert_only_torch_objects(network.paths, tmp_path, layer="conv", says=says)
    assert int(session.references[0]["conv"].max()) == 127


def test_unsigned_bytes_read_as_signed(good: Good, tmp_path: Path, monkeypatch: Patch) -> None:
    """Row 5: the codes are right in memory, and the next layer reads 128..255 as -128..-1."""
    network = good("relu")

    reference = Linear.reference

    def signed(self: Linear, site: Any, arrays: Any) -> Any:
        read = arrays[0].astype(np.uint8).view(np.int8).astype(np.int64)
        return reference(self, site, (read, *arrays[1:]))

    def in_c(project: Project) -> Project:
        return in_params(project, "fc", ".input_signed = 0", ".input_signed = 1")

    monkeypatch.setattr(Linear, "reference", signed)
    assert_red_together(network, "fc", in_c)
    assert_only_torch_objects(network.paths, tmp_path, layer="fc", in_c=in_c)


# --- another network than the published one


def test_dt_rank_not_forwarded(tmp_path: Path, monkeypatch: Patch) -> None:
    """Row 6: dt_rank d_inner // 16 instead of ceil(d_model / 16). Every witness is green: only a count can see it."""
    assert QuantMambaBlock(32, d_inner=64, d_state=2).ssm.dt.in_features == 2
    published_number()
    original = QuantSSM.__init__

    def forgetful(
        self: QuantSSM, d_inner: int, d_state: int, rank: Any, *rest: Any, **more: Any
    ) -> None:
        del rank
        original(self, d_inner, d_state, d_inner // 16, *rest, **more)

    monkeypatch.setattr(QuantSSM, "__init__", forgetful)
    session = prepared(with_golden(write_network(tmp_path, TEXTS["mamba"], "mamba")))
    assert session.target(any_target()).outcome is Outcome.PASS
    assert session.graph.tensor("block.ssm.dt_low").shape[-1] == 4
    with pytest.raises(AssertionError):
        published_number()


# --- positions


def _rotated(self: Rotary, site: Any, arrays: Any) -> Any:
    """`Rotary.reference`, had it taken the head's number for the token's place."""
    (source,), (target,) = site.inputs, site.outputs
    length, pairs = self.cos.shape
    steps = arrays[0].astype(np.int64) - source.zero_point
    split = steps.reshape(self.outer, length, self.inner, -1, pairs, 2)
    a, b = split[..., 0], split[..., 1]
    heads = split.shape[3]
    cos, sin = (table.astype(np.int64)[:heads] for table in (self.cos, self.sin))
    acc = np.stack([a * cos - b * sin, a * sin + b * cos], axis=-1)
    codes = wide_round(acc, self.multiplier, self.shift + 32, target.zero_point)
    return (np.clip(codes, target.lo, target.hi).reshape(source.shape),)


def _rotated_in_c(project: Project) -> Project:
    path, row = "runtime/src/rotary.c", "l % p->length * p->pairs"
    for name in ("cos", "sin"):
        text = f"const int32_t *const {name} = p->{name}"
        project = patched(project, path, f"{text} + {row};", f"const int32_t *{name} = p->{name};")
    inner = "for (int32_t i = 0; i < p->pairs; ++i) {"
    place = "h % p->heads * p->pairs"
    return patched(
        project, path, inner, f"cos = p->cos + {place};\nsin = p->sin + {place};\n{inner}"
    )


def _scores_of_moved_tokens(session: NetworkSubject) -> tuple[Array, Array]:
    """Scores of tokens in another order, and the scores, put in that order."""
    order = np.roll(np.arange(12), 5)
    x = session.golden.cases[0].inputs[0]
    name = "attention.scores"
    of_moved = run_reference(session.graph, [np.ascontiguousarray(x[:, order])])[name]
    return of_moved, session.references[0][name][:, :, order][..., order]


def test_rope_along_the_heads(good: Good, tmp_path: Path, monkeypatch: Patch) -> None:
    """Row 7: RoPE rotates along the head axis: both sides agree, and positions have no effect on the scores."""
    network = good("attention")
    monkeypatch.setattr(Rotary, "reference", _rotated)
    assert_red_together(network, "attention.q_rotated", _rotated_in_c)
    session = assert_only_torch_objects(
        network.paths, tmp_path, layer="attention.q_rotated", in_c=_rotated_in_c
    )
    # Whatever the order of the tokens, each pair of them has the same score.
    assert np.array_equal(*_scores_of_moved_tokens(session))


def test_positions_matter(good: Good) -> None:
    """Row 7: the case that the row asks for: tokens in another order have other scores, for most of the pairs."""
    of_moved, moved = _scores_of_moved_tokens(good("attention"))
    assert np.mean(of_moved != moved) > 0.5


# --- BatchNorm


def test_batch_norm_dropped(good: Good, tmp_path: Path, monkeypatch: Patch) -> None:
    """Row 8: dropped. It is taken into the layer before it; were it dropped there, torch would say so."""
    good("folded")
    paths = write_network(tmp_path, TEXTS["batch_norm"], "batch_norm")
    monkeypatch.setitem(_registry._MODULES, nn.BatchNorm2d, lambda call: call.x)
    assert_only_torch_objects(paths, tmp_path, layer="conv")


# --- biases


def _truncated(bias: Fraction, ratio: Fraction) -> Fraction:
    return int(bias / ratio) * ratio


def _to_the_unit(bias: Fraction, ratio: Fraction) -> Fraction:
    return round(bias / ratio) * ratio


@pytest.mark.parametrize("whole", [_truncated, _to_the_unit])
def test_bias_in_whole_units(
    good: Good,
    tmp_path: Path,
    monkeypatch: Patch,
    whole: Callable[[Fraction, Fraction], Fraction],
) -> None:
    """Row 9: a float bias truncated, or rounded, to units of the accumulator."""
    network = good("coarse")
    rescale = _call.Call.rescale

    def edited(self: Any, quantizer: Any, ratios: Any, biases: Any, bound: int) -> Any:
        units = len(biases) // len(ratios) * ratios
        assert len(units) == len(biases)
        changed = [whole(bias, ratio) for bias, ratio in zip(biases, units, strict=True)]
        return rescale(self, quantizer, ratios, changed, bound)

    monkeypatch.setattr(_call.Call, "rescale", edited)
    assert_red_together(network, "conv")
    assert_only_torch_objects(network.paths, tmp_path, layer="conv")


# --- rounding

TIE = "(remainder > half || (remainder == half && (quotient & 1) != 0))"
HALF_UP = "(remainder >= half)"
HALF_AWAY = "(remainder > half || (remainder == half && value >= 0))"


@pytest.mark.parametrize(
    ("rule", "shift"),
    [(HALF_UP, half_up_shift), (HALF_AWAY, half_away_shift)],
    ids=["up", "away"],
)
def test_another_rule_for_ties(
    good: Good, tmp_path: Path, monkeypatch: Patch, rule: str, shift: Callable[..., Any]
) -> None:
    """Row 10: half up, or half away from zero, in every reference; scales are powers of two."""
    network = good("probe")
    monkeypatch.setattr("ares.numerics.rescale.round_half_even_shift", shift)

    def in_c(project: Project) -> Project:
        return patched(project, NUMERICS, TIE, rule)

    assert_red_together(network, "average", in_c)
    says = (".5; deviation ",)
    assert_only_torch_objects(network.paths, tmp_path, layer="average", in_c=in_c, says=says)


def _half_away(x: Any, scale: float, zero_point: int, lo: int, hi: int) -> Any:
    shifted = ((x / np.float32(scale)).astype(np.float32) + np.float32(zero_point)).astype("f8")
    away = np.copysign(np.floor(np.abs(shifted) + 0.5), shifted)
    return np.clip(away, lo, hi).astype(np.int64)


def test_c_round_taken_for_half_to_even(good: Good, tmp_path: Path, monkeypatch: Patch) -> None:
    """Row 10: C's `roundf`, which rounds ties away from zero, at the input; the reference written to match."""
    network = good("probe")
    monkeypatch.setattr("ares.ops.quantize.quantize_f32", _half_away)

    def in_c(project: Project) -> Project:
        path = "runtime/src/quantize_f32.c"
        for tie in ("rest == 0.5f", "rest == -0.5f"):
            project = patched(project, path, f"(is_odd && {tie})", tie)
        return patched(project, path, "const int32_t is_odd = (whole & 1) != 0;", "")

    assert_red_together(network, "quant_in", in_c)
    says = (".5; deviation ",)
    assert_only_torch_objects(network.paths, tmp_path, layer="quant_in", in_c=in_c, says=says)


def _quantize_then_shift(x: Any, scale: float, zero_point: int, lo: int, hi: int) -> Any:
    quotient = np.rint((x / np.float32(scale)).astype(np.float32))
    return np.clip(quotient + zero_point, lo, hi).astype(np.int64)


def test_zero_point_after_rounding(good: Good, tmp_path: Path, monkeypatch: Patch) -> None:
    """Row 11: the odd zero point added after the rounding instead of before: every tie goes the other way."""
    network = good("probe")
    assert network.graph.tensor("quant_in").zero_point % 2 == 1
    monkeypatch.setattr("ares.ops.quantize.quantize_f32", _quantize_then_shift)

    def in_c(project: Project) -> Project:
        old = "const float shifted = quotient + zero_point;"
        limited = "quotient > 999.0f ? 999.0f : quotient < -999.0f ? -999.0f : quotient"
        new = f"const float shifted = (float)nearest_even({limited}) + zero_point;"
        return patched(project, "runtime/src/quantize_f32.c", old, new)

    assert_red_together(network, "quant_in", in_c)
    says = (".5; deviation ",)
    assert_only_torch_objects(network.paths, tmp_path, layer="quant_in", in_c=in_c, says=says)


def _twice(value: Any, shift: Any) -> Any:
    """The high half of the product first, then the rest of the shift."""
    first = np.minimum(31, np.asarray(shift, np.int64) - 1)
    return round_half_even_shift(round_half_even_shift(value, first), shift - first)


def test_two_roundings(good: Good, tmp_path: Path, monkeypatch: Patch) -> None:
    """Row 12: high multiply, then shift: two roundings, each of them right."""
    network = good("coarse")
    (conv,) = (op for op in network.graph.operations if op.name == "conv")
    second = int(conv.rescale.shift.max()) - 31
    assert 1 <= second <= 8
    monkeypatch.setattr("ares.numerics.rescale.round_half_even_shift", _twice)

    def in_c(project: Project) -> Project:
        old = "const int64_t value = ares_round_shift(total, shift);"
        first = "const int32_t first = shift > 31 ? 31 : shift - 1;"
        new = (
            "const int64_t value = ares_round_shift(ares_round_shift(total, first), shift - first);"
        )
        return patched(project, NUMERICS, old, f"{first}\n{new}")

    assert_red_together(network, "conv", in_c)
    session = assert_only_torch_objects(network.paths, tmp_path, layer="conv", in_c=in_c)
    wrong, right = (s.references[1]["conv"].astype(np.int64) for s in (session, network))
    assert int(np.abs(wrong - right).max()) == 1


def test_negative_averages_truncated(good: Good, tmp_path: Path, monkeypatch: Patch) -> None:
    """Row 13: the average of negative sums truncated toward zero."""
    network = good("probe")
    reference = AvgPool2d.reference

    def truncating(self: AvgPool2d, site: Any, arrays: Any) -> Any:
        right = reference(self, site, arrays)[0]
        with monkeypatch.context() as patch:
            patch.setattr("ares.numerics.rescale.round_half_even_shift", truncating_shift)
            cut = reference(self, site, arrays)[0]
        # Sums at or above zero are rounded as they should be.
        return (np.where(cut < site.outputs[0].zero_point, cut, right),)

    monkeypatch.setattr(AvgPool2d, "reference", truncating)

    def in_c(project: Project) -> Project:
        total = "(int64_t)acc * p->rescale.multiplier[0] + p->rescale.offset[0]"
        quotient = f"({total}) / ((int64_t)1 << p->rescale.shift[0])"
        cut = f"ares_clamp({quotient}, p->rescale.lo, p->rescale.hi)"
        right = "ares_rescale_apply(&p->rescale, acc, 0)"
        return patched(project, "runtime/src/avg_pool2d.c", right, f"acc < 0 ? {cut} : {right}")

    assert_red_together(network, "average", in_c)
    assert_only_torch_objects(network.paths, tmp_path, layer="average", in_c=in_c)


# --- the list


NAMED = re.compile(r"`(?:([\w/]+\.py)::)?(test_\w+)`")
LISTS = (13, 8, 7, 7)


def _tests_of(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_the_list_names_tests_that_exist() -> None:
    """`docs/pitfalls.md` answers every point with a test, and names every test of this file."""
    page = (checkout_dir() / "docs" / "pitfalls.md").read_text(encoding="utf-8")
    sections = page.split("\n## ")[1:]
    tables = [re.findall(r"^\| (?!point|row).+\|$", section, re.MULTILINE) for section in sections]
    assert tuple(map(len, tables)) == LISTS
    assert [int(row.split()[1]) for row in tables[0]] == list(range(1, LISTS[0] + 1))
    own = Path(__file__)
    named = set()
    for row in (row for table in tables for row in table):
        found = NAMED.findall(row)
        assert found, f"no test in: {row}"
        for file, name in found:
            path = own.parents[1] / file if file else own
            assert path.is_file(), row
            assert name in _tests_of(path), f"{path} has no {name}"
            named.add((path, name))
    mine = {name for name in _tests_of(own) if name.startswith("test_")}
    assert {name for path, name in named if path == own} == mine - {
        "test_the_list_names_tests_that_exist"
    }
