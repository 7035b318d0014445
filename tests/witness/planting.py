"""Copies of networks in which a test breaks one thing on purpose, and what the verdict must then say."""

from __future__ import annotations

import copy
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from ares.golden import STATE, Golden, GoldenCase, GoldenError, load_golden, pack
from ares.golden.store import tensor_digest
from ares.ir import Project
from ares.pipeline.catalogue import ZooPaths
from ares.pipeline.network import NetworkSubject
from ares.pipeline.regenerate import regenerate
from ares.toolchain import Target
from ares.verdict import CHECK, EXTRACT, REFERENCE, STAGES, TORCH, Outcome, Verdict
from tests.checkout import ZOO
from tests.toolchain.tiny_network import any_target, portable_target

Array = npt.NDArray[Any]

PROBE = '''"""Unequal padding, an odd zero point, powers of two for scales, averages of signed codes."""

from brevitas.nn import QuantConv2d, QuantIdentity, QuantLinear
from brevitas.quant import (
    Int8ActPerTensorFixedPoint,
    Int8WeightPerTensorFixedPoint,
    ShiftedUint8ActPerTensorFixedPoint,
)
from torch import Tensor, nn

from ares.zoo import signals


class Probe(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        weights = {"weight_quant": Int8WeightPerTensorFixedPoint}
        self.quant_in = QuantIdentity(act_quant=ShiftedUint8ActPerTensorFixedPoint)
        # With this stride, padding (0, 1) would give the same sizes as (1, 0).
        self.conv = QuantConv2d(1, 6, 3, stride=4, padding=(1, 0), **weights)
        self.quant_conv = QuantIdentity(act_quant=Int8ActPerTensorFixedPoint)
        self.average = nn.AvgPool2d(2)
        self.quant_average = QuantIdentity(act_quant=Int8ActPerTensorFixedPoint)
        self.flatten = nn.Flatten()
        self.fc = QuantLinear(144, 5, bias=True, **weights)

    def forward(self, x: Tensor) -> Tensor:
        x = self.quant_conv(self.conv(self.quant_in(x)))
        return self.fc(self.flatten(self.quant_average(self.average(x))))


def example_inputs(sample: int = 0) -> tuple[Tensor, ...]:
    return (signals.eeg(32, 48, sample),)
'''


# What the end of a report says.
BLAMES_C = (
    "the C differs; reference and torch agree with the golden: fault in kernel, plan or compiler"
)
BLAMES_REFERENCE = (
    "the reference differs; torch agrees with the golden: "
    "fault in the integer reference or in the extraction"
)
BLAMES_EXTRACTION = (
    "the C and the reference differ; torch agrees with the golden: fault in the extraction"
)
BLAMES_GOLDEN = (
    "neither reference nor torch agrees with the golden: the golden is damaged or out of date"
)
BLAMES_BOTH = (
    "torch differs; reference and golden agree: both compute another integer than the model means"
)


# --- networks


def copy_network(name: str, folder: Path) -> ZooPaths:
    """A network of the zoo with its golden, in a folder of the test's own."""
    original = ZOO.paths(name)
    source, golden = folder / original.source.name, folder / "golden"
    shutil.copyfile(original.source, source)
    shutil.copytree(original.golden, golden)
    return ZooPaths(name, source, golden)


def write_network(folder: Path, text: str = PROBE, name: str = "probe") -> ZooPaths:
    """A network of the test's own, without a golden."""
    source = folder / f"{name}.py"
    source.write_text(text, encoding="utf-8")
    return ZooPaths(name, source, folder / "golden")


def with_golden(paths: ZooPaths) -> ZooPaths:
    """Make state and golden."""
    regenerate(paths).write()
    return paths


def prepared(paths: ZooPaths) -> NetworkSubject:
    """A session in which everything that copies of it can share is computed, and is green."""
    session = NetworkSubject(paths)
    for verdict in map(session.stage, STAGES):
        assert verdict.outcome is Outcome.PASS, verdict.message
    assert session.project
    return session


def with_project(session: NetworkSubject, project: Project) -> NetworkSubject:
    """The same session, but this project is what gets compiled."""
    other = copy.copy(session)
    other.project = other.guarded_project = project
    return other


def c_verdict(session: NetworkSubject, project: Project, target: Target | None = None) -> Verdict:
    return with_project(session, project).target(target or any_target())


# --- the generated C


def patched(project: Project, path: str, old: str, new: str) -> Project:
    """The project with `old`, which must be there once, replaced in one of its files."""
    text = project.files[path].decode()
    assert text.count(old) == 1, f"{path} holds {old!r} {text.count(old)} times"
    return replace(project, files={**project.files, path: text.replace(old, new).encode()})


def in_params(project: Project, layer: str, old: str, new: str, window: str = "") -> Project:
    """The project with one field of a layer's parameters replaced, or of one `window` in them."""
    path, start, end = project.sources[0], f" {layer}_params = {{\n", "\n};\n"
    head, _, tail = project.files[path].decode().partition(start)
    if window:
        before, opening, tail = tail.partition(f".{window} = {{\n")
        head, start, end = head + start + before, opening, "}"
    body, _, rest = tail.partition(end)
    assert body.count(old) == 1, f"{layer} holds {old!r} {body.count(old)} times"
    text = head + start + body.replace(old, new) + end + rest
    return replace(project, files={**project.files, path: text.encode()})


def in_constant(project: Project, name: str, edit: Callable[[str], str]) -> Project:
    """The project with the initialiser of one constant (the text from `=` to `;`) edited."""
    path = project.sources[1]
    text = project.files[path].decode()
    found = re.search(
        rf"\b{PurePath(project.sources[0]).stem}_{name}\[\d+\] =(.*?);\n", text, re.DOTALL
    )
    assert found, f"{path} has no constant {name}"
    changed = edit(found[1])
    assert changed != found[1]
    text = text[: found.start(1)] + changed + text[found.end(1) :]
    return replace(project, files={**project.files, path: text.encode()})


# --- state and golden


def flip_byte(path: Path, position: int) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)


def edit_state(paths: ZooPaths, edit: Callable[[dict[str, Array]], None]) -> None:
    """Change the tensors of the stored state in place; its metadata stays."""
    path = paths.golden / STATE
    data = path.read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    tensors = {key: array.copy() for key, array in load_tensors(data).items()}
    edit(tensors)
    path.write_bytes(save_tensors(tensors, header["__metadata__"]))


def edit_golden(paths: ZooPaths, edit: Callable[[Golden], Golden]) -> None:
    """Write a changed golden as if it had been made so: every digest fits."""
    golden = edit(load_golden(paths.golden))
    for name, data in pack(golden, (paths.golden / STATE).stat().st_size).items():
        (paths.golden / name).write_bytes(data)


def edit_case(golden: Golden, number: int, edit: Callable[[GoldenCase], GoldenCase]) -> Golden:
    cases = [edit(case) if i == number else case for i, case in enumerate(golden.cases)]
    return replace(golden, cases=tuple(cases))


def with_array(case: GoldenCase, name: str, array: Array) -> GoldenCase:
    """The case with another array for one layer, recorded with its own digest."""
    facts = {
        "digest": tensor_digest(array),
        "shape": array.shape,
        "dtype": array.dtype.name,
    }
    layers = [replace(line, **facts) if line.name == name else line for line in case.layers]
    return replace(case, layers=tuple(layers), arrays={**case.arrays, name: array})


def one_code_changed(array: Array, index: tuple[int, ...], by: int = 1) -> Array:
    changed = array.copy()
    changed[index] = changed[index].item() + by
    return changed


# --- arithmetic that is wrong

# At a tie the C has the upper of the two neighbours in `rounded` or `value`; what another rule takes from it.
HALF_UP, HALF_DOWN, HALF_AWAY = "0", "1", "({0} <= 0)"


def with_ties(project: Project, rule: str) -> Project:
    """The project with another rule for ties, for `portable_target`: in every kernel, and in the micro-kernels in C."""
    right, wrong = "rounded & ~(int64_t)1", f"rounded - {rule.format('rounded')}"
    project = patched(project, "runtime/inc/numerics.h", right, wrong)
    # In words: with a shift under 32, and from there on.
    kernels = "runtime/src/micro_portable.c"
    wrong = f"value - {rule.format('value')} : value"
    project = patched(project, kernels, "value & ~1 : value", wrong)
    return patched(project, kernels, "value &= ~1;", f"value -= {rule.format('value')};")


def with_averages_cut(project: Project) -> Project:
    """The project with averages of negative sums cut toward zero, behind whatever instruction set rounded them."""
    total = "(int64_t)acc[i] * rescale->multiplier[0] + rescale->offset[0] - divisor / 2"
    cut = f"ares_clamp(({total}) / divisor, rescale->lo, rescale->hi)"
    right = "ares_requantize(rescale, c, acc, 1, width, out + c, width);"
    wrong = f"""{right}
        const int64_t divisor = (int64_t)1 << rescale->shift[0];
        for (int32_t i = 0; i < width; ++i) {{
            out[c + i] = acc[i] < 0 ? ares_code_byte({cut}) : out[c + i];
        }}"""
    return patched(project, "runtime/src/avg_pool2d.c", right, wrong)


def half_away_shift(value: Any, shift: Any) -> Any:
    """`round_half_even_shift`, had it been written with C's `round`: ties go away from zero."""
    number, bits = np.asarray(value, np.int64), np.asarray(shift, np.int64)
    return np.sign(number) * half_up_shift(np.abs(number), bits)


def half_up_shift(value: Any, shift: Any) -> Any:
    """`round_half_even_shift`, had it been written so that ties go up."""
    number, bits = np.asarray(value, np.int64), np.asarray(shift, np.int64)
    return (number + (np.int64(1) << (bits - 1))) >> bits


def truncating_shift(value: Any, shift: Any) -> Any:
    """The same, toward zero."""
    number, bits = np.asarray(value, np.int64), np.asarray(shift, np.int64)
    return np.sign(number) * (np.abs(number) >> bits)


# --- Python and C agree, and both are wrong


def agreed_golden(paths: ZooPaths, folder: Path) -> ZooPaths:
    """A golden beside the same state, made as a harness without torch witness makes it: by the reference alone."""
    other = replace(paths, golden=folder / "agreed")
    other.golden.mkdir()
    if (paths.golden / STATE).exists():
        shutil.copyfile(paths.golden / STATE, other.golden / STATE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ares.pipeline.regenerate._accepted", lambda *_: ())
        return with_golden(other)


def assert_only_torch_objects(
    paths: ZooPaths,
    folder: Path,
    *,
    layer: str,
    in_c: Callable[[Project], Project] = lambda project: project,
    says: tuple[str, ...] = (),
) -> NetworkSubject:
    """Python is broken already, `in_c` breaks the C alike: both agree on every integer, and torch on none such golden.

    Returns a session with the golden on which they agree.
    """
    __tracebackhide__ = True
    with pytest.raises(GoldenError, match=f"the torch witness rejects {re.escape(layer)} at "):
        regenerate(paths)
    session = NetworkSubject(agreed_golden(paths, folder))
    for stage in (CHECK, EXTRACT, REFERENCE):
        verdict = session.stage(stage)
        assert verdict.outcome is Outcome.PASS, verdict.message
    # The golden is the reference's: a C that is equal to it has the same fault.
    verdict = c_verdict(session, in_c(session.project), portable_target())
    assert verdict.outcome is Outcome.PASS, verdict.message
    words = ("the Brevitas model does not accept the golden", BLAMES_BOTH, *says)
    assert_red(session.stage(TORCH), layer=layer, says=words)
    return session


# --- what must be said


def assert_red(
    verdict: Verdict, *, layer: str, fault: str = "difference", says: tuple[str, ...] = ()
) -> None:
    """Red, with this kind of fault, this first layer, these words, and the command that repeats it."""
    __tracebackhide__ = True
    assert verdict.outcome is Outcome.FAIL, f"{verdict.stage}: {verdict.outcome} {verdict.message}"
    assert (verdict.fault, verdict.layer) == (fault, layer), verdict.message
    for words in says:
        assert words in verdict.message, verdict.message
    if layer:
        assert re.search(rf"(layer|stage) {re.escape(layer)} \(OP_", verdict.message), (
            verdict.message
        )
    target = re.fullmatch(r"c\[(.*)\]", verdict.stage)
    command = f"ares networks {verdict.network}" + (f" --target {target[1]}" if target else "")
    assert verdict.message.splitlines()[-1] == f"to repeat it: {command}"


def assert_one_line(verdict: Verdict, *, fault: str, says: tuple[str, ...]) -> None:
    """Red, with one line of explanation and the command that repeats it."""
    __tracebackhide__ = True
    assert_red(verdict, layer="", fault=fault, says=says)
    assert len(verdict.message.splitlines()) == 2, verdict.message
