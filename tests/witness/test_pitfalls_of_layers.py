"""The faults of systems that call themselves bit-exact, planted in Python AND in C: both agree, both are wrong.

One test or more for each of rows 1 to 8 of `docs/pitfalls.md`; `test_pitfalls_of_rounding.py` has the rest. Each
breaks the integer reference, or the extraction that feeds reference and C, and the C in the same way. Comparing C with
reference is then green for every layer of every case; the torch witness, which shares no code with them, is red at the
layer, and no golden can be made. Where a fault makes another network and no wrong integer (dt_rank, BatchNorm), a
structural guard must answer it.

Without a fault the same networks are green at every stage: that is how the fixture `good` makes them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import nn

from ares.extract import _codes, _norms, _registry, selective_scan, softmax
from ares.ir import Project
from ares.nn import QuantMambaBlock, QuantSSM
from ares.numerics import wide_round
from ares.ops import run_reference
from ares.ops.linear import Linear
from ares.ops.rotary import Rotary
from ares.pipeline.network import NetworkSubject
from ares.verdict import Outcome
from tests.nn.test_mamba import test_published_number_of_parameters as published_number
from tests.slow import slow_but
from tests.toolchain.tiny_network import any_target
from tests.witness.pitfalls import TEXTS, Good, assert_red_together
from tests.witness.planting import (
    Array,
    assert_only_torch_objects,
    in_params,
    patched,
    prepared,
    with_golden,
    write_network,
)

Patch = pytest.MonkeyPatch


# --- softmax


@pytest.mark.slow
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


@pytest.mark.parametrize("keys", slow_but([1], [196, 256]))
def test_floored_probabilities(good: Good, tmp_path: Path, monkeypatch: Patch, keys: int) -> None:
    """Row 2: probabilities floored to 8 bits; a uniform row of 256 keys becomes zeros."""
    network = good(f"softmax{keys}")
    uniform = network.references[0]["softmax"][0, 0]
    assert uniform.tolist() == [1] * keys
    monkeypatch.setattr("ares.numerics.softmax._rounded", _floored)

    def in_c(project: Project) -> Project:
        return patched(
            project, "runtime/inc/softmax_row.h", "return code + up;", "return code + 0 * up;"
        )

    assert_red_together(network, "softmax", in_c)
    session = assert_only_torch_objects(network.paths, tmp_path, layer="softmax", in_c=in_c)
    uniform = session.references[0]["softmax"][0, 0]
    # 196 keys of 1.3 codes add up to 196/255 either way, 256 keys of 0.996 codes to nothing.
    assert uniform.tolist() == [1 if keys == 196 else 0] * keys


# --- normalisation


@pytest.mark.slow
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


@pytest.mark.parametrize("plant", slow_but([0], [_clipped, _shifted]))
def test_state_space_clipped_or_shifted(
    good: Good, tmp_path: Path, monkeypatch: Patch, plant: Callable[[Patch], None]
) -> None:
    """Row 4: A clipped at -1 where it goes down to -16; dt shifted by 8 and never restored."""
    network = good("ssm")
    plant(monkeypatch)
    assert_red_together(network, "ssm.y")
    assert_only_torch_objects(network.paths, tmp_path, layer="ssm.y")


# --- unsigned codes


@pytest.mark.slow
def test_unsigned_clipped_like_signed(good: Good, tmp_path: Path, monkeypatch: Patch) -> None:
    """Row 5: `QuantReLU` kept as signed int8: everything above code 127 is clipped."""
    network = good("relu")
    assert int(network.references[0]["conv"].max()) > 200
    read = _codes.read_quantizer

    def halved(*arguments: Any, **keywords: Any) -> Any:
        quantizer = read(*arguments, **keywords)
        return replace(quantizer, hi=min(quantizer.hi, 127))

    monkeypatch.setattr(_codes, "read_quantizer", halved)
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_batch_norm_dropped(good: Good, tmp_path: Path, monkeypatch: Patch) -> None:
    """Row 8: dropped. It is taken into the layer before it; were it dropped there, torch would say so."""
    good("folded")
    paths = write_network(tmp_path, TEXTS["batch_norm"], "batch_norm")
    monkeypatch.setitem(_registry._MODULES, nn.BatchNorm2d, lambda call: call.x)
    assert_only_torch_objects(paths, tmp_path, layer="conv")
