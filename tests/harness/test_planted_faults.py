"""Faults planted on purpose: each must be seen, at the layer where it is, with the blame where it belongs.

Three places to plant: the generated C and its runtime (files of the Project), the integer reference and the
extraction (by replacing a function), the stored files. A fault that Python and C share, with goldens made from
it, must be refused by the torch witness.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ares.emit import emit
from ares.extract import ExtractionError, _call
from ares.golden import STATE, GoldenError, load_golden
from ares.ir import DType, Project
from ares.ops.avg_pool2d import AvgPool2d
from ares.ops.flatten import Flatten
from ares.pipeline.regenerate import regenerate
from ares.pipeline.session import STAGES, Session
from ares.pipeline.zoo import ZooPaths
from ares.plan import Plan, plan
from ares.toolchain import build
from ares.toolchain.cache import default_root
from ares.verify import Outcome
from tests.harness.planting import (
    PROBE,
    assert_one_line,
    assert_red,
    c_verdict,
    copy_network,
    edit_case,
    edit_golden,
    edit_state,
    flip_byte,
    half_up_shift,
    in_constant,
    in_params,
    one_code_changed,
    patched,
    prepared,
    truncating_shift,
    with_array,
    with_golden,
    with_project,
    write_network,
)
from tests.harness.tiny_network import any_target

BLAMES_C = "the C differs; reference and torch agree with the golden: fault in kernel, plan or compiler"
BLAMES_REFERENCE = (
    "the reference differs; torch agrees with the golden: fault in the integer reference or in the extraction"
)
BLAMES_EXTRACTION = "the C and the reference differ; torch agrees with the golden: fault in the extraction"
BLAMES_GOLDEN = "neither reference nor torch agrees with the golden: the golden is damaged or out of date"

Patch = pytest.MonkeyPatch


@pytest.fixture(scope="module")
def simple(tmp_path_factory: pytest.TempPathFactory) -> Session:
    """Per-tensor weights, float biases, unsigned activations, logits in binary32."""
    return prepared(copy_network("test_1_simplecnn", tmp_path_factory.mktemp("simple")))


@pytest.fixture(scope="module")
def resnet(tmp_path_factory: pytest.TempPathFactory) -> Session:
    """Two tensors alive at once, an addition in place."""
    return prepared(copy_network("test_4_resnet_basic", tmp_path_factory.mktemp("resnet")))


@pytest.fixture(scope="module")
def ties(tmp_path_factory: pytest.TempPathFactory) -> Session:
    """Powers of two for scales: true ties in a convolution. `Int32Bias`."""
    return prepared(copy_network("test_37_zeropad2d", tmp_path_factory.mktemp("ties")))


@pytest.fixture(scope="module")
def probe(tmp_path_factory: pytest.TempPathFactory) -> Session:
    """What PROBE says."""
    session = prepared(with_golden(write_network(tmp_path_factory.mktemp("probe"))))
    quant_in = session.graph.tensor("quant_in")
    assert quant_in.zero_point % 2 == 1
    assert Fraction(quant_in.scale or 0).numerator == 1
    assert int(session.references[0]["conv"].min()) < 0
    return session


# --- 1: goldens


@pytest.mark.parametrize("case", ["realistic", "random", "edge"])
@pytest.mark.parametrize("position", [0, 100, -1])
def test_a_byte_of_a_stored_case(tmp_path: Path, case: str, position: int) -> None:
    paths = copy_network("test_37_zeropad2d", tmp_path)
    flip_byte(paths.golden / f"case_{case}.safetensors.zst", position)
    session = Session(paths)
    for verdict in (*map(session.stage, STAGES[1:]), session.target(any_target())):
        says = (f"case_{case}.safetensors.zst", "its bytes are not those that the manifest records")
        assert_one_line(verdict, fault="GoldenError", says=says)


def test_a_byte_of_the_stored_state(tmp_path: Path) -> None:
    paths = copy_network("test_37_zeropad2d", tmp_path)
    flip_byte(paths.golden / STATE, -4)  # the lowest bits of the last scale
    session = Session(paths)
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
    session = Session(paths)
    says = ("case realistic", "1 of 6272 elements differ", f"first at {list(index)}", BLAMES_GOLDEN)
    assert_red(session.stage("reference"), layer="conv2", says=says)
    assert_red(session.target(any_target()), layer="conv2", says=says)
    assert_red(session.stage("torch"), layer="conv2", says=(str(list(index)), BLAMES_GOLDEN))


def test_a_digest_changed_of_a_tensor_that_is_not_stored(tmp_path: Path) -> None:
    paths = copy_network("test_1_simplecnn", tmp_path)
    clean = Session(paths).references[1]["conv2"]
    changed = one_code_changed(clean, (0, 1, 2, 3))
    edit_golden(
        paths,
        lambda golden: edit_case(golden, 1, lambda case: with_array(case, "conv2", changed)),
    )
    session = Session(paths)
    says = ("case random", "not stored whole", BLAMES_GOLDEN)
    assert_red(session.stage("reference"), layer="conv2", says=says)
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
    session = Session(paths)
    assert_red(session.stage("reference"), layer="quant_in", says=(BLAMES_GOLDEN,))
    assert_red(session.target(any_target()), layer="quant_in", says=(BLAMES_GOLDEN,))
    assert_red(session.stage("torch"), layer="quant_in", says=(BLAMES_GOLDEN,))


# --- 2: weights


def _first_byte(text: str) -> str:
    return re.sub(r"\\(\d{3})", lambda m: f"\\{int(m[1], 8) ^ 0x40:03o}", text, count=1)


def _last_byte(text: str) -> str:
    return f'{text[:-4]}{int(text[-4:-1], 8) ^ 0x40:03o}"'


@pytest.mark.parametrize("edit", [_first_byte, _last_byte])
@pytest.mark.parametrize("layer", ["conv1", "conv2"])
def test_a_weight_of_the_generated_c(
    simple: Session, layer: str, edit: Callable[[str], str]
) -> None:
    project = in_constant(simple.project, f"{layer}_weight", edit)
    assert_red(c_verdict(simple, project), layer=layer, says=(BLAMES_C,))


def test_a_weight_of_the_graph(simple: Session, monkeypatch: Patch) -> None:
    """Reference, C and golden follow the Graph; the model does not."""

    def edit(stem: str, parameters: dict[str, Any]) -> None:
        if stem == "conv2d" and parameters["weight"].shape[0] == 32:
            weight = parameters["weight"].copy()
            weight[7, 3, 1, 1] += 1
            parameters["weight"] = weight

    _edit_operations(monkeypatch, edit)
    session = Session(simple.paths)
    assert_red(session.stage("reference"), layer="conv2", says=(BLAMES_REFERENCE,))
    says = ("case (weights)", "at conv2.weight", "[7, 3, 1, 1]")
    assert_red(session.stage("torch"), layer="conv2", says=says)
    with pytest.raises(GoldenError, match=r"witness rejects conv2 at conv2\.weight"):
        regenerate(simple.paths)


# --- 3: rounding


ROUNDING = "(remainder > half || (remainder == half && (quotient & 1) != 0))"


@pytest.mark.parametrize("rule", ["(remainder >= half)", "(remainder > half)"])
@pytest.mark.parametrize(("network", "layer"), [("ties", "conv1.1"), ("probe", "average")])
def test_another_rule_for_ties_in_c(
    request: pytest.FixtureRequest, network: str, layer: str, rule: str
) -> None:
    session: Session = request.getfixturevalue(network)
    project = patched(session.project, "runtime/inc/numerics.h", ROUNDING, rule)
    says = ("largest by 1", BLAMES_C)
    assert_red(c_verdict(session, project), layer=layer, says=says)


@pytest.mark.parametrize(("network", "layer"), [("ties", "conv1.1"), ("probe", "average")])
def test_half_up_in_the_reference(
    request: pytest.FixtureRequest, monkeypatch: Patch, network: str, layer: str
) -> None:
    paths = request.getfixturevalue(network).paths
    monkeypatch.setattr("ares.numerics.rescale.round_half_even_shift", half_up_shift)
    session = Session(paths)
    assert_red(session.stage("reference"), layer=layer, says=("largest by 1", BLAMES_REFERENCE))
    # Of the cases that are not stored whole torch gets the reference's codes, and says so.
    says = ("does not accept what the reference makes", BLAMES_REFERENCE)
    assert_red(session.stage("torch"), layer=layer, says=says)
    assert session.target(any_target()).outcome is Outcome.PASS
    # All of Python wrong: a golden made like that is refused at its first tie.
    with pytest.raises(GoldenError, match=rf"witness rejects {layer} at .*model means -?\d+\.5 "):
        regenerate(paths)


def test_half_up_in_the_c_alone_against_a_golden_of_half_up(
    tmp_path: Path, probe: Session, monkeypatch: Patch
) -> None:
    """Two that agree outvote the third, also where the third is the reference with its golden."""
    paths = with_golden(write_network(tmp_path))
    with monkeypatch.context() as patch:
        patch.setattr("ares.numerics.rescale.round_half_even_shift", half_up_shift)
        wrong = Session(paths).references
        edit_golden(
            paths,
            lambda golden: edit_case(
                golden, 0, lambda case: with_array(case, "average", wrong[0]["average"])
            ),
        )
        session = Session(paths)
        assert session.references
    says = ("neither the C nor torch agrees with the golden", "fault in the integer reference")
    assert_red(session.target(any_target()), layer="average", says=says)


def test_half_away_from_zero_at_the_input(probe: Session) -> None:
    path, old = "runtime/src/quantize_f32.c", "(is_odd && rest == 0.5f)"
    project = patched(probe.project, path, old, "rest == 0.5f")
    project = patched(project, path, "const int32_t is_odd", "int32_t is_odd")
    assert_red(c_verdict(probe, project), layer="quant_in", says=("largest by 1", BLAMES_C))


# --- 4: biases


def _no_offset(text: str) -> str:
    return re.sub(r"INT64_C\(-?\d+\)", "INT64_C(0)", text)


def _no_float(text: str) -> str:
    return re.sub(r"-?0x[0-9a-f.]+p[+-]\d+f", "0x0p+0f", text)


@pytest.mark.parametrize(
    ("constant", "edit"), [("conv1_rescale_offset", _no_offset), ("fc_bias", _no_float)]
)
def test_bias_dropped_in_c(simple: Session, constant: str, edit: Callable[[str], str]) -> None:
    project = in_constant(simple.project, constant, edit)
    assert_red(c_verdict(simple, project), layer=constant.split("_")[0], says=(BLAMES_C,))


@pytest.mark.parametrize(("network", "layer"), [("simple", "conv1"), ("ties", "conv1.1")])
def test_bias_dropped_in_the_extraction(
    request: pytest.FixtureRequest, monkeypatch: Patch, network: str, layer: str
) -> None:
    paths = request.getfixturevalue(network).paths
    _edit_rescale(monkeypatch, lambda ratios, biases: (ratios, [0 * bias for bias in biases]))
    _assert_extraction_red(paths, layer)


# --- 5: unsigned read as signed


@pytest.mark.parametrize("layer", ["pool1", "conv2"])
def test_unsigned_read_as_signed_in_c(simple: Session, layer: str) -> None:
    project = in_params(simple.project, layer, ".input_signed = 0", ".input_signed = 1")
    assert_red(c_verdict(simple, project), layer=layer, says=(BLAMES_C,))


def test_unsigned_read_as_signed_in_the_reference(resnet: Session, monkeypatch: Patch) -> None:
    monkeypatch.setattr(
        "ares.ops._reference._operand",
        lambda array: (array if array.dtype.kind == "f" else array.view(np.int8).astype(np.int64)),
    )
    session = Session(resnet.paths)
    assert_red(session.stage("reference"), layer="conv2", says=(BLAMES_REFERENCE,))
    assert session.target(any_target()).outcome is Outcome.PASS
    with pytest.raises(GoldenError, match="witness rejects conv2"):
        regenerate(resnet.paths)


def test_unsigned_read_as_signed_in_the_extraction(simple: Session, monkeypatch: Patch) -> None:
    read = _call.read_quantizer

    def as_signed(*arguments: Any, **keywords: Any) -> Any:
        quantizer = read(*arguments, **keywords)
        if quantizer.dtype is DType.S8:
            return quantizer
        return replace(quantizer, dtype=DType.S8, lo=-128, hi=127)

    monkeypatch.setattr(_call, "read_quantizer", as_signed)
    session = Session(simple.paths)
    says = ("conv1: golden uint8[1, 16, 28, 28], Graph int8[1, 16, 28, 28]",)
    for verdict in (*map(session.stage, STAGES[1:]), session.target(any_target())):
        assert_one_line(verdict, fault="GoldenError", says=says)
    with pytest.raises(GoldenError, match="witness rejects conv1 .*code 127, model means"):
        regenerate(simple.paths)


# --- 6: height and width


def test_padding_swapped_in_c(probe: Session) -> None:
    project = in_params(probe.project, "conv", ".pad_top = 1", ".pad_top = 0")
    project = in_params(project, "conv", ".pad_left = 0", ".pad_left = 1")
    assert_red(c_verdict(probe, project), layer="conv", says=(BLAMES_C,))


def test_one_sided_padding_swapped_in_c(ties: Session) -> None:
    pad = "conv1_0"
    project = in_params(ties.project, pad, ".pad_left = 1", ".pad_left = 2")
    assert_red(c_verdict(ties, project), layer="conv1.0", says=(BLAMES_C,))


def test_padding_swapped_in_the_extraction(probe: Session, monkeypatch: Patch) -> None:
    _edit_operations(monkeypatch, _swap_padding)
    _assert_extraction_red(probe.paths, "conv")


def test_padding_swapped_in_the_extraction_with_other_sizes(
    tmp_path: Path, monkeypatch: Patch
) -> None:
    text = PROBE.replace("stride=4", "stride=3").replace("Linear(144", "Linear(240")
    paths = with_golden(write_network(tmp_path, text))
    _edit_operations(monkeypatch, _swap_padding)
    session = Session(paths)
    says = ("gives shape [1, 6, 11, 16], the Graph would give [1, 6, 10, 16]",)
    for verdict in (*map(session.stage, STAGES[1:]), session.target(any_target())):
        assert_one_line(verdict, fault="ExtractionError", says=says)
    with pytest.raises(ExtractionError, match="the Graph would give"):
        regenerate(paths)


def _swap_padding(stem: str, parameters: dict[str, Any]) -> None:
    if stem == "conv2d":
        top, left, bottom, right = parameters["padding"]
        parameters["padding"] = (left, top, right, bottom)


# --- 7: memory


def _moved(original: Plan, **positions: int) -> Project:
    tensors = tuple(
        replace(tensor, position=positions.get(tensor.name, tensor.position))
        for tensor in original.tensors
    )
    return emit(replace(original, tensors=tensors))


def test_a_layer_writes_over_its_own_input(resnet: Session) -> None:
    project = _moved(plan(resnet.graph), conv2=6000)
    assert_red(c_verdict(resnet, project), layer="conv2", says=(BLAMES_C,))


def test_a_layer_writes_over_what_is_needed_later(resnet: Session) -> None:
    """conv2 is right, having read what its last pixel overwrites; the addition that needs it is not."""
    original = plan(resnet.graph)
    size = original.tensor("conv1").elements
    start = size - 16  # one pixel of 16 channels too early
    assert start + size <= original.arena_bytes
    places = {"conv1": start, "add": start, "relu2": start}
    project = _moved(original, quant_in=0, conv2=0, pool=0, flatten=0, fc=64, **places)
    assert_red(c_verdict(resnet, project), layer="add", says=("of 12544 elements", BLAMES_C))


def test_the_output_is_copied_from_another_place(ties: Session) -> None:
    """Every layer is right; what the user of the network gets is not."""
    right, wrong = "base + tensor->position, tensor->", "base + tensor->position + 4, tensor->"
    project = patched(ties.project, "runtime/src/executor.c", right, wrong)
    verdict = c_verdict(ties, project)
    assert_red(verdict, layer="fc", says=("tensor fc is right, but not what the network puts out",))


# --- 8: stale binaries


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: Patch) -> Path:
    """A cache that a test may damage; zig's C library stays shared."""
    zig = os.environ.get("ZIG_GLOBAL_CACHE_DIR", str(default_root() / "zig"))
    monkeypatch.setenv("ZIG_GLOBAL_CACHE_DIR", zig)
    monkeypatch.setenv("ARES_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_stale_binary(own_cache: Path, ties: Session) -> None:
    target = any_target()
    changed = in_constant(ties.project, "fc_weight", _first_byte)
    current, stale = build(ties.project, target), build(changed, target)
    assert current.path.is_relative_to(own_cache)
    program = stale.path.read_bytes()
    current.path.write_bytes(program)
    # A program that is not the one recorded is made anew ...
    assert ties.target(target).outcome is Outcome.PASS
    assert current.path.read_bytes() != program
    # ... and one that is recorded as good is asked for its signature.
    current.path.write_bytes(program)
    record = {"sha256": sha256(program).hexdigest()}
    (current.path.parent / "record.json").write_text(json.dumps(record), encoding="utf-8")
    verdict = ties.target(target)
    assert_red(verdict, layer="", fault="signature", says=(stale.signature, current.signature))


# --- 9: Python and C agree, and both are wrong


def test_scale_wrong_by_a_thousandth(simple: Session, monkeypatch: Patch) -> None:
    factor = Fraction(1001, 1000)
    _edit_rescale(monkeypatch, lambda ratios, biases: ([r * factor for r in ratios], biases))
    _assert_extraction_red(simple.paths, "conv1")


def test_scale_wrong_by_one_part_in_ten_million(simple: Session, monkeypatch: Patch) -> None:
    """Changes no code of the realistic case; the witness need not see it, the reference does if one changes."""
    factor = Fraction(10**7 + 1, 10**7)
    _edit_rescale(monkeypatch, lambda ratios, biases: ([r * factor for r in ratios], biases))
    session = Session(simple.paths)
    equal = session.stage("reference").outcome is Outcome.PASS
    accepted = session.stage("torch").outcome is Outcome.PASS
    assert equal or not accepted


def _quantize_then_shift(x: Any, scale: float, zero_point: int, lo: int, hi: int) -> Any:
    quotient = np.rint((x / np.float32(scale)).astype(np.float32))
    return np.clip(quotient + zero_point, lo, hi).astype(np.int64)


def test_zero_point_added_after_rounding(probe: Session, monkeypatch: Patch) -> None:
    path = "runtime/src/quantize_f32.c"
    old = "const float shifted = quotient + zero_point;"
    limited = "quotient > 999.0f ? 999.0f : quotient < -999.0f ? -999.0f : quotient"
    new = f"const float shifted = (float)nearest_even({limited}) + zero_point;"
    project = patched(probe.project, path, old, new)
    assert_red(c_verdict(probe, project), layer="quant_in", says=("largest by 1", BLAMES_C))
    monkeypatch.setattr("ares.ops.quantize.quantize_f32", _quantize_then_shift)
    verdict = Session(probe.paths).stage("reference")
    assert_red(verdict, layer="quant_in", says=("largest by 1", BLAMES_REFERENCE))
    with pytest.raises(GoldenError, match=r"rejects quant_in .*model means \d+\.5 "):
        regenerate(probe.paths)


def test_average_of_negative_sums_truncated(probe: Session, monkeypatch: Patch) -> None:
    total = "(int64_t)acc * p->rescale.multiplier[0] + p->rescale.offset[0]"
    cut = f"ares_clamp(({total}) / ((int64_t)1 << p->rescale.shift[0]), p->rescale.lo, p->rescale.hi)"
    right = "ares_rescale_apply(&p->rescale, acc, 0)"
    project = patched(
        probe.project, "runtime/src/avg_pool2d.c", right, f"acc < 0 ? {cut} : {right}"
    )
    says = ("largest by 1", BLAMES_C)
    assert_red(c_verdict(probe, project), layer="average", says=says)
    reference = AvgPool2d.reference

    def truncating(*arguments: Any) -> Any:
        with monkeypatch.context() as patch:
            patch.setattr("ares.numerics.rescale.round_half_even_shift", truncating_shift)
            return reference(*arguments)

    monkeypatch.setattr(AvgPool2d, "reference", truncating)
    with pytest.raises(GoldenError, match="witness rejects average"):
        regenerate(probe.paths)


def test_flatten_in_the_order_of_memory(simple: Session, monkeypatch: Patch) -> None:
    """Channels last, as the C holds them: no code changes, each is in another place."""

    def channels_last(self: Flatten, site: Any, arrays: Any) -> Any:
        del site
        return (arrays[0].transpose(0, 2, 3, 1).reshape(self.shape),)

    monkeypatch.setattr(Flatten, "reference", channels_last)
    assert_red(Session(simple.paths).stage("reference"), layer="flatten", says=(BLAMES_REFERENCE,))
    with pytest.raises(GoldenError, match="witness rejects flatten"):
        regenerate(simple.paths)


# --- 10: evidence that shows nothing

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
    session = Session(paths)
    assert session.stage("torch").outcome is Outcome.PASS
    saturated = {line.name: line.saturated for line in session.golden.cases[0].records}
    assert saturated["conv"] > 0.2


def test_a_reason_excuses_no_other_layer(tmp_path: Path) -> None:
    paths = copy_network("test_28_conv2d_remainder", tmp_path)
    _saturate(paths)
    text = paths.source.read_text(encoding="utf-8")
    paths.source.write_text(f'{text}\nVACUITY = {{"flatten": "of little interest"}}\n', encoding="utf-8")
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


# --- how Python is broken


def _edit_rescale(
    monkeypatch: Patch,
    edit: Callable[[list[Fraction], list[Fraction]], tuple[list[Fraction], list[Fraction]]],
) -> None:
    """Change what the extraction makes of scales and biases."""
    rescale = _call.Call.rescale

    def edited(self: Any, quantizer: Any, ratios: Any, biases: Any, bound: int) -> Any:
        return rescale(self, quantizer, *edit(ratios, biases), bound)

    monkeypatch.setattr(_call.Call, "rescale", edited)


def _edit_operations(
    monkeypatch: Patch, edit: Callable[[str, dict[str, Any]], None]
) -> None:
    """Change the parameters of operations as the extraction adds them to the Graph."""
    add = _call.Call.add

    def edited(self: Any, operation: Any, *arguments: Any, **parameters: Any) -> Any:
        edit(operation.stem(), parameters)
        return add(self, operation, *arguments, **parameters)

    monkeypatch.setattr(_call.Call, "add", edited)


def _assert_extraction_red(paths: ZooPaths, layer: str) -> None:
    """Reference and C follow a wrong Graph: both red beside a good golden, and no golden can be made of it."""
    session = Session(paths)
    assert_red(session.stage("reference"), layer=layer, says=(BLAMES_REFERENCE,))
    assert_red(session.target(any_target()), layer=layer, says=(BLAMES_EXTRACTION,))
    before = load_golden(paths.golden)
    with pytest.raises(GoldenError, match=f"the torch witness rejects {re.escape(layer)} at "):
        regenerate(paths)
    assert load_golden(paths.golden).provenance == before.provenance
