"""Biases and rounding wrong in Python AND in C: rows 9 to 13 of `docs/pitfalls.md`.

How each is planted and seen: `test_pitfalls_of_layers.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ares.extract import _rescaling
from ares.ir import Project
from ares.numerics import round_half_even_shift
from ares.ops.avg_pool2d import AvgPool2d
from tests.slow import slow_but
from tests.witness.pitfalls import Good, assert_red_together
from tests.witness.planting import (
    HALF_AWAY,
    HALF_UP,
    assert_only_torch_objects,
    half_away_shift,
    half_up_shift,
    patched,
    truncating_shift,
    with_averages_cut,
    with_ties,
)

Patch = pytest.MonkeyPatch


# --- biases


def _truncated(bias: Fraction, ratio: Fraction) -> Fraction:
    return int(bias / ratio) * ratio


def _to_the_unit(bias: Fraction, ratio: Fraction) -> Fraction:
    return round(bias / ratio) * ratio


@pytest.mark.parametrize("whole", slow_but([1], [_truncated, _to_the_unit]))
def test_bias_in_whole_units(
    good: Good,
    tmp_path: Path,
    monkeypatch: Patch,
    whole: Callable[[Fraction, Fraction], Fraction],
) -> None:
    """Row 9: a float bias truncated, or rounded, to units of the accumulator."""
    network = good("coarse")
    plan = _rescaling.plan_pointwise

    def edited(pointwise: Any, ratios: Any, biases: Any, *rest: Any) -> Any:
        units = len(biases) // len(ratios) * ratios
        assert len(units) == len(biases)
        changed = [whole(bias, ratio) for bias, ratio in zip(biases, units, strict=True)]
        return plan(pointwise, ratios, changed, *rest)

    monkeypatch.setattr(_rescaling, "plan_pointwise", edited)
    assert_red_together(network, "conv")
    assert_only_torch_objects(network.paths, tmp_path, layer="conv")


# --- rounding


@pytest.mark.parametrize(
    ("rule", "shift"),
    slow_but([1], [(HALF_UP, half_up_shift), (HALF_AWAY, half_away_shift)]),
    ids=["up", "away"],
)
def test_another_rule_for_ties(
    good: Good, tmp_path: Path, monkeypatch: Patch, rule: str, shift: Callable[..., Any]
) -> None:
    """Row 10: half up, or half away from zero, in every reference; scales are powers of two."""
    network = good("probe")
    monkeypatch.setattr("ares.numerics.rescale.round_half_even_shift", shift)

    def in_c(project: Project) -> Project:
        return with_ties(project, rule)

    assert_red_together(network, "average", in_c)
    says = (".5; deviation ",)
    assert_only_torch_objects(network.paths, tmp_path, layer="average", in_c=in_c, says=says)


def _half_away(x: Any, scale: float, zero_point: int, lo: int, hi: int) -> Any:
    shifted = ((x / np.float32(scale)).astype(np.float32) + np.float32(zero_point)).astype("f8")
    away = np.copysign(np.floor(np.abs(shifted) + 0.5), shifted)
    return np.clip(away, lo, hi).astype(np.int64)


@pytest.mark.slow
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


@pytest.mark.slow
def test_two_roundings(good: Good, tmp_path: Path, monkeypatch: Patch) -> None:
    """Row 12: high multiply, then shift: two roundings, each of them right."""
    network = good("coarse")
    (conv,) = (op for op in network.graph.operations if op.name == "conv")
    second = int(conv.rescale.shift.max()) - 31
    assert 1 <= second <= 8
    monkeypatch.setattr("ares.numerics.rescale.round_half_even_shift", _twice)

    def in_c(project: Project) -> Project:
        old = "    int32_t value;\n    if (shift < 32) {"
        total = "const int64_t total = raised - ((int64_t)1 << (shift - 1));"
        first = "const int32_t first = shift > 31 ? 31 : shift - 1;"
        twice = "ares_round_shift(ares_round_shift(total, first), shift - first)"
        new = f"{total}\n{first}\nif (first > 0) {{ return ares_clamp({twice}, lo, hi); }}\n{old}"
        return patched(project, "runtime/src/micro_portable.c", old, new)

    assert_red_together(network, "conv", in_c)
    session = assert_only_torch_objects(network.paths, tmp_path, layer="conv", in_c=in_c)
    wrong, right = (s.references[1]["conv"].astype(np.int64) for s in (session, network))
    assert int(np.abs(wrong - right).max()) == 1


@pytest.mark.slow
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

    assert_red_together(network, "average", with_averages_cut)
    assert_only_torch_objects(network.paths, tmp_path, layer="average", in_c=with_averages_cut)
