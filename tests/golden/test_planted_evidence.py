"""What is stored or kept is damaged on purpose, or shows nothing: goldens, state, binaries, calibration."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ares.golden import STATE, GoldenError
from ares.pipeline.catalogue import ZooPaths
from ares.pipeline.network import NetworkSubject
from ares.pipeline.regenerate import regenerate
from ares.toolchain import build
from ares.toolchain.cache import default_root
from ares.verdict import REFERENCE, STAGES, TORCH, Outcome
from tests.toolchain.tiny_network import any_target
from tests.witness.planting import (
    BLAMES_GOLDEN,
    PROBE,
    assert_one_line,
    assert_red,
    copy_network,
    edit_case,
    edit_golden,
    edit_state,
    flip_byte,
    in_constant,
    one_code_changed,
    prepared,
    with_array,
    with_golden,
    write_network,
)

Patch = pytest.MonkeyPatch


# --- goldens


@pytest.mark.parametrize(("case", "position"), [("realistic", 0), ("random", 100), ("edge", -1)])
def test_a_byte_of_a_stored_case(tmp_path: Path, case: str, position: int) -> None:
    paths = copy_network("test_37_zeropad2d", tmp_path)
    flip_byte(paths.golden / f"case_{case}.safetensors.zst", position)
    session = NetworkSubject(paths)
    for verdict in (*map(session.stage, STAGES[1:]), session.target(any_target())):
        says = (f"case_{case}.safetensors.zst", "its bytes are not those that the manifest records")
        assert_one_line(verdict, fault="GoldenError", says=says)


def test_a_byte_of_the_stored_state(tmp_path: Path) -> None:
    paths = copy_network("test_37_zeropad2d", tmp_path)
    flip_byte(paths.golden / STATE, -4)  # the lowest bits of the last scale
    session = NetworkSubject(paths)
    for verdict in (*map(session.stage, STAGES[1:]), session.target(any_target())):
        assert_one_line(verdict, fault="GoldenError", says=("made from another state",))


def test_a_golden_code_changed_with_all_digests(tmp_path: Path) -> None:
    paths = copy_network("test_1_simplecnn", tmp_path)
    index = (0, 5, 6, 7)
    edit_golden(
        paths,
        lambda golden: edit_case(
            golden,
            0,
            lambda case: with_array(case, "conv2", one_code_changed(case.arrays["conv2"], index)),
        ),
    )
    session = NetworkSubject(paths)
    says = ("case realistic", "1 of 6272 elements differ", f"first at {list(index)}", BLAMES_GOLDEN)
    assert_red(session.stage(REFERENCE), layer="conv2", says=says)
    assert_red(session.target(any_target()), layer="conv2", says=says)
    assert_red(session.stage(TORCH), layer="conv2", says=(str(list(index)), BLAMES_GOLDEN))


def test_a_digest_changed_of_a_tensor_that_is_not_stored(tmp_path: Path) -> None:
    paths = copy_network("test_1_simplecnn", tmp_path)
    clean = NetworkSubject(paths).references[1]["conv2"]
    changed = one_code_changed(clean, (0, 1, 2, 3))
    edit_golden(
        paths,
        lambda golden: edit_case(golden, 1, lambda case: with_array(case, "conv2", changed)),
    )
    session = NetworkSubject(paths)
    says = ("case random", "not stored whole", BLAMES_GOLDEN)
    assert_red(session.stage(REFERENCE), layer="conv2", says=says)
    says = ("case random", "its digest differs from the golden's", BLAMES_GOLDEN)
    assert_red(session.target(any_target()), layer="conv2", says=says)


def test_a_stored_input_changed_with_all_digests(tmp_path: Path) -> None:
    paths = copy_network("test_1_simplecnn", tmp_path)
    edit_golden(
        paths,
        lambda golden: edit_case(
            golden,
            0,
            lambda case: replace(
                case, inputs=(one_code_changed(case.inputs[0], (0, 0, 14, 14), 3),)
            ),
        ),
    )
    session = NetworkSubject(paths)
    assert_red(session.stage(REFERENCE), layer="quant_in", says=(BLAMES_GOLDEN,))
    assert_red(session.target(any_target()), layer="quant_in", says=(BLAMES_GOLDEN,))
    assert_red(session.stage(TORCH), layer="quant_in", says=(BLAMES_GOLDEN,))


# --- stale binaries


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: Patch) -> Path:
    """A cache that a test may damage; zig's C library stays shared."""
    zig = os.environ.get("ZIG_GLOBAL_CACHE_DIR", str(default_root() / "zig"))
    monkeypatch.setenv("ZIG_GLOBAL_CACHE_DIR", zig)
    monkeypatch.setenv("ARES_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_stale_binary(own_cache: Path, tmp_path: Path) -> None:
    target, session = any_target(), prepared(with_golden(write_network(tmp_path)))
    changed = in_constant(
        session.project, "fc_scale", lambda text: text.replace("0x1.", "0x1.8", 1)
    )
    current, stale = build(session.project, target), build(changed, target)
    assert current.path.is_relative_to(own_cache)
    program = stale.path.read_bytes()
    current.path.write_bytes(program)
    # A program that is not the one recorded is made anew ...
    assert session.target(target).outcome is Outcome.PASS
    assert current.path.read_bytes() != program
    # ... and one that is recorded as good is asked for its signature.
    current.path.write_bytes(program)
    record = {"sha256": sha256(program).hexdigest(), "made": 0.0}
    (current.path.parent / "record.json").write_text(json.dumps(record), encoding="utf-8")
    verdict = session.target(target)
    assert_red(
        verdict,
        layer="",
        fault="signature",
        says=(stale.recipe.signature, current.recipe.signature),
    )


# --- evidence that shows nothing

SCALE = "{}.act_quant.fused_activation_quant_proxy.tensor_quant.scaling_impl.value"


def _saturate(paths: ZooPaths) -> None:
    """A thirtieth of the scale with which `conv` of test_28_conv2d_remainder was calibrated."""

    def edit(tensors: dict[str, Any]) -> None:
        tensors[SCALE.format("relu")] /= np.float32(30.0)

    edit_state(paths, edit)


def test_scales_far_too_small(tmp_path: Path) -> None:
    paths = copy_network("test_28_conv2d_remainder", tmp_path)
    _saturate(paths)
    found = r"case realistic: vacuous evidence: conv is \d+ % saturated \(limit 20 %\); calibrate"
    with pytest.raises(GoldenError, match=found):
        regenerate(paths)


def test_a_reason_makes_vacuous_evidence_acceptable(tmp_path: Path) -> None:
    paths = copy_network("test_28_conv2d_remainder", tmp_path)
    _saturate(paths)
    text = paths.source.read_text(encoding="utf-8")
    excuse = 'VACUITY = {"conv": "shows what saturates", "flatten": "of little interest"}'
    paths.source.write_text(f"{text}\n{excuse}\n", encoding="utf-8")
    with_golden(paths)
    session = NetworkSubject(paths)
    assert session.stage(TORCH).outcome is Outcome.PASS
    saturated = {line.name: line.saturated for line in session.golden.cases[0].layers}
    assert saturated["conv"] > 0.2


def test_a_reason_excuses_no_other_layer(tmp_path: Path) -> None:
    paths = copy_network("test_28_conv2d_remainder", tmp_path)
    _saturate(paths)
    text = paths.source.read_text(encoding="utf-8")
    paths.source.write_text(
        f'{text}\nVACUITY = {{"flatten": "of little interest"}}\n', encoding="utf-8"
    )
    with pytest.raises(GoldenError, match="vacuous evidence: conv is"):
        regenerate(paths)


def test_a_constant_layer(tmp_path: Path) -> None:
    paths = copy_network("test_1_simplecnn", tmp_path)

    def silence(tensors: dict[str, Any]) -> None:
        tensors["conv2.bias"][:] = -1000.0

    edit_state(paths, silence)
    with pytest.raises(GoldenError, match="vacuous evidence: conv2 is constant"):
        regenerate(paths)


def test_a_reason_for_a_layer_that_is_not_there(tmp_path: Path) -> None:
    paths = write_network(tmp_path, f'{PROBE}\nVACUITY = {{"conv_9": "gone"}}\n')
    with pytest.raises(GoldenError, match="VACUITY of its file names 'conv_9', which is no layer"):
        regenerate(paths)
    assert not paths.golden.exists()
