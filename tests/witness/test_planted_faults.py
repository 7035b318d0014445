"""Faults planted on purpose: each must be seen, at the layer where it is, with the blame where it belongs.

Two places to plant: the generated C and its runtime (files of the Project), and Python (by replacing a function
of the reference or of the extraction). A fault that Python and C share would be in the golden too: there the torch
witness must refuse to make one. Stored files: `test_planted_evidence.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ares.emit import emit
from ares.extract import ExtractionError, _call, _codes, _rescaling
from ares.golden import Golden, GoldenError, load_golden
from ares.ir import DType, Project
from ares.ops.avg_pool2d import AvgPool2d
from ares.ops.flatten import Flatten
from ares.pipeline.catalogue import ZooPaths
from ares.pipeline.network import NetworkSubject
from ares.pipeline.regenerate import regenerate
from ares.plan import Plan, plan
from ares.plan.arena import ALIGNMENT
from ares.plan.choices import Choices, Share
from ares.verdict import REFERENCE, STAGES, TORCH, Outcome
from tests.slow import slow_but
from tests.toolchain.tiny_network import any_target, portable_target
from tests.witness.planting import (
    BLAMES_C,
    BLAMES_EXTRACTION,
    BLAMES_REFERENCE,
    HALF_DOWN,
    HALF_UP,
    PROBE,
    Array,
    assert_one_line,
    assert_red,
    c_verdict,
    copy_network,
    edit_case,
    edit_golden,
    half_up_shift,
    in_constant,
    in_params,
    patched,
    prepared,
    truncating_shift,
    with_array,
    with_averages_cut,
    with_golden,
    with_ties,
    write_network,
)

Patch = pytest.MonkeyPatch


@pytest.fixture(scope="module")
def simple(tmp_path_factory: pytest.TempPathFactory) -> NetworkSubject:
    """Per-tensor weights, float biases, unsigned activations, logits in binary32."""
    return prepared(copy_network("test_1_simplecnn", tmp_path_factory.mktemp("simple")))


@pytest.fixture(scope="module")
def resnet(tmp_path_factory: pytest.TempPathFactory) -> NetworkSubject:
    """Two tensors alive at once, an addition in place."""
    return prepared(copy_network("test_4_resnet_basic", tmp_path_factory.mktemp("resnet")))


@pytest.fixture(scope="module")
def ties(tmp_path_factory: pytest.TempPathFactory) -> NetworkSubject:
    """Powers of two for scales: true ties in a convolution. `Int32Bias`."""
    return prepared(copy_network("test_37_zeropad2d", tmp_path_factory.mktemp("ties")))


@pytest.fixture(scope="module")
def probe(tmp_path_factory: pytest.TempPathFactory) -> NetworkSubject:
    """What PROBE says."""
    session = prepared(with_golden(write_network(tmp_path_factory.mktemp("probe"))))
    quant_in = session.graph.tensor("quant_in")
    assert quant_in.zero_point % 2 == 1
    assert Fraction(quant_in.scale or 0).numerator == 1
    assert int(session.references[0]["conv"].min()) < 0
    return session


# --- weights


def _first_byte(text: str) -> str:
    return re.sub(r"\\(\d{3})", lambda m: f"\\{int(m[1], 8) ^ 0x40:03o}", text, count=1)


def _last_weight(text: str) -> str:
    """Of the last byte that is not zero: zeros fill up the panel behind it."""
    return re.sub(
        r"\\(\d{3})(?=(\\000|[^\\])*$)", lambda m: f"\\{int(m[1], 8) ^ 0x40:03o}", text, count=1
    )


@pytest.mark.parametrize("edit", slow_but([1], [_first_byte, _last_weight]))
@pytest.mark.parametrize("layer", ["conv1", "conv2"])
def test_a_weight_of_the_generated_c(
    simple: NetworkSubject, layer: str, edit: Callable[[str], str]
) -> None:
    project = in_constant(simple.project, f"{layer}_conv_weight", edit)
    assert_red(c_verdict(simple, project), layer=layer, says=(BLAMES_C,))


def test_a_weight_of_the_graph(simple: NetworkSubject, monkeypatch: Patch) -> None:
    """Reference, C and golden follow the Graph; the model does not."""

    def edit(stem: str, parameters: dict[str, Any]) -> None:
        if stem == "conv2d" and parameters["weight"].shape[0] == 32:
            weight = parameters["weight"].copy()
            weight[7, 3, 1, 1] += 1
            parameters["weight"] = weight

    _edit_operations(monkeypatch, edit)
    session = NetworkSubject(simple.paths)
    assert_red(session.stage(REFERENCE), layer="conv2", says=(BLAMES_REFERENCE,))
    says = ("case (weights)", "at conv2.weight", "[7, 3, 1, 1]")
    assert_red(session.stage(TORCH), layer="conv2", says=says)
    with pytest.raises(GoldenError, match=r"witness rejects conv2 at conv2\.weight"):
        regenerate(simple.paths)


# --- rounding


@pytest.mark.parametrize("rule", slow_but([0], [HALF_UP, HALF_DOWN]), ids=["up", "down"])
@pytest.mark.parametrize(
    ("network", "layer"), slow_but([1], [("ties", "conv1.1"), ("probe", "average")])
)
def test_another_rule_for_ties_in_c(
    request: pytest.FixtureRequest, network: str, layer: str, rule: str
) -> None:
    session: NetworkSubject = request.getfixturevalue(network)
    project = with_ties(session.project, rule)
    says = ("largest by 1", BLAMES_C)
    assert_red(c_verdict(session, project, portable_target()), layer=layer, says=says)


@pytest.mark.parametrize(
    ("network", "layer"), slow_but([1], [("ties", "conv1.1"), ("probe", "average")])
)
def test_half_up_in_the_reference(
    request: pytest.FixtureRequest, monkeypatch: Patch, network: str, layer: str
) -> None:
    paths = request.getfixturevalue(network).paths
    monkeypatch.setattr("ares.numerics.rescale.round_half_even_shift", half_up_shift)
    session = NetworkSubject(paths)
    assert_red(session.stage(REFERENCE), layer=layer, says=("largest by 1", BLAMES_REFERENCE))
    # Of the cases that are not stored whole torch gets the reference's codes, and says so.
    says = ("does not accept what the reference makes", BLAMES_REFERENCE)
    assert_red(session.stage(TORCH), layer=layer, says=says)
    assert session.target(any_target()).outcome is Outcome.PASS
    # All of Python wrong: a golden made like that is refused at its first tie.
    with pytest.raises(GoldenError, match=rf"witness rejects {layer} at .*model means -?\d+\.5 "):
        regenerate(paths)


def test_c_and_torch_outvote_a_reference_that_made_the_golden(
    tmp_path: Path, monkeypatch: Patch
) -> None:
    paths = with_golden(write_network(tmp_path))
    monkeypatch.setattr("ares.numerics.rescale.round_half_even_shift", half_up_shift)
    wrong = NetworkSubject(paths).references

    def follow(golden: Golden) -> Golden:
        for number, arrays in enumerate(wrong):
            for name in [line.name for line in golden.cases[number].layers]:
                new = partial(with_array, name=name, array=arrays[name])
                golden = edit_case(golden, number, new)
        return golden

    edit_golden(paths, follow)
    session = NetworkSubject(paths)
    assert session.stage(REFERENCE).outcome is Outcome.PASS
    says = ("neither the C nor torch agrees with the golden", "fault in the integer reference")
    assert_red(session.target(any_target()), layer="average", says=says)


@pytest.mark.slow
def test_half_away_from_zero_at_the_input(probe: NetworkSubject) -> None:
    path, old = "runtime/src/quantize_f32.c", "(is_odd && rest == 0.5f)"
    project = patched(probe.project, path, old, "rest == 0.5f")
    project = patched(project, path, "const int32_t is_odd", "int32_t is_odd")
    verdict = c_verdict(probe, project, portable_target())
    assert_red(verdict, layer="quant_in", says=("largest by 1", BLAMES_C))


# --- biases


def _no_offset(text: str) -> str:
    return re.sub(r"INT64_C\(-?\d+\)", "INT64_C(0)", text)


def _no_float(text: str) -> str:
    return re.sub(r"-?0x[0-9a-f.]+p[+-]\d+f", "0x0p+0f", text)


@pytest.mark.parametrize(
    ("constant", "edit"), [("conv1_rescale_offset", _no_offset), ("fc_bias", _no_float)]
)
def test_bias_dropped_in_c(
    simple: NetworkSubject, constant: str, edit: Callable[[str], str]
) -> None:
    project = in_constant(simple.project, constant, edit)
    assert_red(c_verdict(simple, project), layer=constant.split("_")[0], says=(BLAMES_C,))


@pytest.mark.parametrize(
    ("network", "layer"), slow_but([0], [("simple", "conv1"), ("ties", "conv1.1")])
)
def test_bias_dropped_in_the_extraction(
    request: pytest.FixtureRequest, monkeypatch: Patch, network: str, layer: str
) -> None:
    paths = request.getfixturevalue(network).paths
    _edit_rescale(monkeypatch, lambda ratios, biases: (ratios, [0 * bias for bias in biases]))
    _assert_extraction_red(paths, layer)


def test_bias_of_the_logits_dropped_in_the_extraction(
    simple: NetworkSubject, monkeypatch: Patch
) -> None:
    def edit(stem: str, parameters: dict[str, Any]) -> None:
        if stem == "linear_fp32":
            parameters["bias"] = 0 * parameters["bias"]

    _edit_operations(monkeypatch, edit)
    _assert_extraction_red(simple.paths, "fc")


# --- results that are not written


@pytest.mark.parametrize(
    ("path", "right", "wrong", "layer"),
    [
        ("runtime/src/max_pool2d.c", "y < p->down.out; ++y", "y + 1 < p->down.out; ++y", "pool1"),
        ("runtime/src/linear_fp32.c", "t < p->tokens; ", "t + 1 < p->tokens; ", "fc"),
    ],
)
def test_the_end_of_an_output_left_unwritten_in_c(
    simple: NetworkSubject, path: str, right: str, wrong: str, layer: str
) -> None:
    """What memory held before is poison: in the arena, and in the caller's buffer."""
    project = patched(simple.project, path, right, wrong)
    assert_red(c_verdict(simple, project), layer=layer, says=(BLAMES_C,))


# --- unsigned read as signed


@pytest.mark.parametrize("layer", ["pool1", "conv2"])
def test_unsigned_read_as_signed_in_c(simple: NetworkSubject, layer: str) -> None:
    project = in_params(simple.project, layer, ".input_signed = 0", ".input_signed = 1")
    assert_red(c_verdict(simple, project), layer=layer, says=(BLAMES_C,))


def _signed_operand(array: Array) -> Array:
    return array if array.dtype.kind == "f" else array.view(np.int8).astype(np.int64)


@pytest.mark.slow
def test_unsigned_read_as_signed_in_the_reference(
    resnet: NetworkSubject, monkeypatch: Patch
) -> None:
    monkeypatch.setattr("ares.ops._reference._operand", _signed_operand)
    session = NetworkSubject(resnet.paths)
    assert_red(session.stage(REFERENCE), layer="conv2", says=(BLAMES_REFERENCE,))
    assert session.target(any_target()).outcome is Outcome.PASS
    with pytest.raises(GoldenError, match="witness rejects conv2"):
        regenerate(resnet.paths)


@pytest.mark.slow
def test_codes_that_leave_their_range_in_the_reference(
    simple: NetworkSubject, monkeypatch: Patch
) -> None:
    """The maximum of what are now negative codes."""
    monkeypatch.setattr("ares.ops._reference._operand", _signed_operand)
    says = ("pool1: codes -", "leave 0..255")
    assert_one_line(NetworkSubject(simple.paths).stage(REFERENCE), fault="GraphError", says=says)
    with pytest.raises(GoldenError, match=r"pool1: codes -\d+\.\.127 leave 0\.\.255"):
        regenerate(simple.paths)


def test_unsigned_read_as_signed_in_the_extraction(
    simple: NetworkSubject, monkeypatch: Patch
) -> None:
    read = _codes.read_quantizer

    def as_signed(*arguments: Any, **keywords: Any) -> Any:
        quantizer = read(*arguments, **keywords)
        if quantizer.dtype is DType.S8:
            return quantizer
        return replace(quantizer, dtype=DType.S8, lo=-128, hi=127)

    monkeypatch.setattr(_codes, "read_quantizer", as_signed)
    session = NetworkSubject(simple.paths)
    says = ("conv1: golden uint8[1, 16, 28, 28], Graph int8[1, 16, 28, 28]",)
    for verdict in (*map(session.stage, STAGES[1:]), session.target(any_target())):
        assert_one_line(verdict, fault="GoldenError", says=says)
    with pytest.raises(GoldenError, match=r"witness rejects conv1 .*code 127, model means"):
        regenerate(simple.paths)


# --- height and width


def test_padding_swapped_in_c(probe: NetworkSubject) -> None:
    project = in_params(probe.project, "conv", ".pad = 1", ".pad = 0", "down")
    project = in_params(project, "conv", ".pad = 0", ".pad = 1", "across")
    assert_red(c_verdict(probe, project), layer="conv", says=(BLAMES_C,))


@pytest.mark.slow
def test_one_sided_padding_swapped_in_c(ties: NetworkSubject) -> None:
    """Where the convolution does the padding, and where a layer of its own does."""
    project = in_params(ties.project, "conv1_1", ".pad = 1", ".pad = 2", "across")
    assert_red(c_verdict(ties, project), layer="conv1.1", says=(BLAMES_C,))

    kept = emit(plan(ties.graph, choices=Choices(folded=Share.NONE)))
    assert c_verdict(ties, kept).outcome is Outcome.PASS
    project = in_params(kept, "conv1_0", ".pad_left = 1", ".pad_left = 2")
    assert_red(c_verdict(ties, project), layer="conv1.0", says=(BLAMES_C,))


def test_padding_swapped_in_the_extraction(probe: NetworkSubject, monkeypatch: Patch) -> None:
    _edit_operations(monkeypatch, _swap_padding)
    _assert_extraction_red(probe.paths, "conv")


@pytest.mark.slow
def test_padding_swapped_in_the_extraction_with_other_sizes(
    tmp_path: Path, monkeypatch: Patch
) -> None:
    text = PROBE.replace("stride=4", "stride=3").replace("Linear(144", "Linear(240")
    paths = with_golden(write_network(tmp_path, text))
    _edit_operations(monkeypatch, _swap_padding)
    session = NetworkSubject(paths)
    says = ("gives shape [1, 6, 11, 16], the Graph would give [1, 6, 10, 16]",)
    for verdict in (*map(session.stage, STAGES[1:]), session.target(any_target())):
        assert_one_line(verdict, fault="ExtractionError", says=says)
    with pytest.raises(ExtractionError, match="the Graph would give"):
        regenerate(paths)


def _swap_padding(stem: str, parameters: dict[str, Any]) -> None:
    if stem == "conv2d":
        top, left, bottom, right = parameters["padding"]
        parameters["padding"] = (left, top, right, bottom)


# --- memory


def _moved(original: Plan, **positions: int) -> Project:
    """Tensors in other places; what kernels use as scratch lies behind all of them."""
    behind = -(-original.arena_bytes // ALIGNMENT) * ALIGNMENT
    steps = tuple(replace(step, scratch=behind) for step in original.steps)
    scratch = max(step.call.scratch for step in original.steps if step.call is not None)
    tensors = tuple(
        replace(tensor, position=positions.get(tensor.name, tensor.position))
        for tensor in original.tensors
    )
    arena_bytes = behind + scratch
    return emit(replace(original, tensors=tensors, steps=steps, arena_bytes=arena_bytes))


def test_a_layer_writes_over_its_own_input(resnet: NetworkSubject) -> None:
    project = _moved(plan(resnet.graph), conv2=6000)
    assert_red(c_verdict(resnet, project), layer="conv2", says=(BLAMES_C,))


def test_a_layer_writes_over_what_is_needed_later(resnet: NetworkSubject) -> None:
    """conv2 is right, having read what its last pixel overwrites; the addition that needs it is not."""
    original = plan(resnet.graph)
    size = original.tensor("conv1").elements
    start = size - 16  # one pixel of 16 channels too early
    assert start + size <= original.arena_bytes
    places = {"conv1": start, "add": start, "relu2": start}
    project = _moved(original, quant_in=0, conv2=0, pool=0, flatten=0, **places)
    assert_red(c_verdict(resnet, project), layer="add", says=("of 12544 elements", BLAMES_C))


def test_the_output_is_copied_from_another_place(ties: NetworkSubject) -> None:
    """Every layer is right; what the user of the network gets is not."""
    path, right = "runtime/src/executor.c", "made = readable(&run, tensor);"
    wrong = "made = (const uint8_t *)readable(&run, tensor) + 4;"
    project = patched(ties.project, path, right, wrong)
    project = patched(project, path, "memcpy(outputs[k], made", "memmove(outputs[k], made")
    verdict = c_verdict(ties, project)
    assert_red(verdict, layer="fc", says=("tensor fc is right, but not what the network puts out",))


# --- Python and C agree, and both are wrong


def test_scale_wrong_by_a_thousandth(simple: NetworkSubject, monkeypatch: Patch) -> None:
    factor = Fraction(1001, 1000)
    _edit_rescale(monkeypatch, lambda ratios, biases: ([r * factor for r in ratios], biases))
    _assert_extraction_red(simple.paths, "conv1")


def _quantize_then_shift(x: Any, scale: float, zero_point: int, lo: int, hi: int) -> Any:
    quotient = np.rint((x / np.float32(scale)).astype(np.float32))
    return np.clip(quotient + zero_point, lo, hi).astype(np.int64)


@pytest.mark.slow
def test_zero_point_added_after_rounding(probe: NetworkSubject, monkeypatch: Patch) -> None:
    path = "runtime/src/quantize_f32.c"
    old = "const float shifted = quotient + zero_point;"
    limited = "quotient > 999.0f ? 999.0f : quotient < -999.0f ? -999.0f : quotient"
    new = f"const float shifted = (float)nearest_even({limited}) + zero_point;"
    project = patched(probe.project, path, old, new)
    verdict = c_verdict(probe, project, portable_target())
    assert_red(verdict, layer="quant_in", says=("largest by 1", BLAMES_C))
    monkeypatch.setattr("ares.ops.quantize.quantize_f32", _quantize_then_shift)
    verdict = NetworkSubject(probe.paths).stage(REFERENCE)
    assert_red(verdict, layer="quant_in", says=("largest by 1", BLAMES_REFERENCE))
    with pytest.raises(GoldenError, match=r"rejects quant_in .*model means \d+\.5 "):
        regenerate(probe.paths)


@pytest.mark.slow
def test_average_of_negative_sums_truncated(probe: NetworkSubject, monkeypatch: Patch) -> None:
    project = with_averages_cut(probe.project)
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


def test_flatten_in_the_order_of_memory(simple: NetworkSubject, monkeypatch: Patch) -> None:
    """Channels last, as the C holds them: no code changes, each is in another place."""

    def channels_last(self: Flatten, site: Any, arrays: Any) -> Any:
        del site
        return (arrays[0].transpose(0, 2, 3, 1).reshape(self.shape),)

    monkeypatch.setattr(Flatten, "reference", channels_last)
    assert_red(
        NetworkSubject(simple.paths).stage(REFERENCE), layer="flatten", says=(BLAMES_REFERENCE,)
    )
    with pytest.raises(GoldenError, match="witness rejects flatten"):
        regenerate(simple.paths)


# --- how Python is broken


def _edit_rescale(
    monkeypatch: Patch,
    edit: Callable[[list[Fraction], list[Fraction]], tuple[list[Fraction], list[Fraction]]],
) -> None:
    """Change what the extraction makes of scales and biases."""
    planned = _rescaling.plan_pointwise

    def edited(pointwise: Any, ratios: Any, biases: Any, *rest: Any) -> Any:
        return planned(pointwise, *edit(ratios, biases), *rest)

    monkeypatch.setattr(_rescaling, "plan_pointwise", edited)


def _edit_operations(monkeypatch: Patch, edit: Callable[[str, dict[str, Any]], None]) -> None:
    """Change the parameters of operations as the extraction adds them to the Graph."""
    add = _call.Call.add

    def edited(self: Any, operation: Any, *arguments: Any, **parameters: Any) -> Any:
        edit(operation.stem(), parameters)
        return add(self, operation, *arguments, **parameters)

    monkeypatch.setattr(_call.Call, "add", edited)


def _assert_extraction_red(paths: ZooPaths, layer: str) -> None:
    """Reference and C follow a wrong Graph: both red beside a good golden, and no golden can be made of it."""
    session = NetworkSubject(paths)
    assert_red(session.stage(REFERENCE), layer=layer, says=(BLAMES_REFERENCE,))
    assert_red(session.target(any_target()), layer=layer, says=(BLAMES_EXTRACTION,))
    before = load_golden(paths.golden)
    with pytest.raises(GoldenError, match=f"the torch witness rejects {re.escape(layer)} at "):
        regenerate(paths)
    assert load_golden(paths.golden).provenance == before.provenance
