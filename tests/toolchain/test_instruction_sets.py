"""Which micro-kernels a row must run: what its program says is compared, and falling back to others is no pass."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from ares.pipeline.network import NetworkSubject
from ares.resources import runtime_dir
from ares.toolchain import TARGETS, RunFailure, ToolchainError, build, run
from ares.toolchain import processors as processors_module
from ares.toolchain.processors import NATIVE, native_instruction_set
from ares.verdict import Outcome
from tests.toolchain.tiny_network import any_target, case, run_one, tiny_project, usable
from tests.witness.planting import prepared, with_golden, write_network

X86 = ("avx512-vnni", "avx2", "sse4.1", "portable")
FEATURES = {
    "avx512-vnni": "sse4_1 avx2 avx512f avx512bw avx512dq avx512vl avx512_vnni",
    "avx2": "sse4_1 avx2 avx512f avx512bw avx512dq avx512vl",  # all but the dot products
    "sse4.1": "sse2 sse4_1 avx",
    "portable": "sse2",
}


def _be(monkeypatch: pytest.MonkeyPatch, machine: str, features: str) -> None:
    monkeypatch.setattr(processors_module.platform, "machine", lambda: machine)
    monkeypatch.setattr(processors_module, "host_features", lambda: frozenset(features.split()))


def test_every_row_says_what_it_runs() -> None:
    assert [target.name for target in TARGETS if target.instruction_set is None] == []


def test_every_instruction_set_of_the_runtime_has_a_row() -> None:
    """And no row waits for one that there is not. Of the host's it is the best, so the others have rows in QEMU."""
    sources = [
        path.read_text(encoding="utf-8") for path in (runtime_dir() / "src").glob("micro*.c")
    ]
    named = re.findall(r'(?:INSTRUCTION_SET|instruction_set =) "([a-z0-9.-]+)"', "\n".join(sources))
    rows = {target.instruction_set for target in TARGETS} - {NATIVE}
    assert rows == {*named}
    assert {*X86} <= rows


@pytest.mark.parametrize("name", X86)
def test_the_best_that_this_machine_has(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _be(monkeypatch, "x86_64", FEATURES[name])
    assert native_instruction_set() == name
    target = any_target()
    assert target.must_run == name
    assert replace(target, instruction_set="mve").must_run == "mve"
    assert replace(target, instruction_set=None).must_run is None


def test_a_machine_that_does_not_say_what_it_can_do_may_run_anything(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _be(monkeypatch, "x86_64", "")
    assert native_instruction_set() is None
    _be(monkeypatch, "riscv64", "isa")
    assert native_instruction_set() is None


def test_the_program_and_the_system_agree_on_this_machine() -> None:
    """`run` compares what the runtime asked of the processor with what the system says."""
    target = any_target()
    assert target.instruction_set == NATIVE
    assert run_one(tiny_project(), target).outputs


@pytest.mark.parametrize(
    ("name", "flag", "expected"),
    [("gcc-O2", "-DARES_PORTABLE", "sse4.1"), ("m4-gcc-O2", "-DARES_PORTABLE", "dsp")],
)
def test_other_kernels_than_expected_are_no_pass(name: str, flag: str, expected: str) -> None:
    target = usable(name)
    silent = replace(target, flags=(*target.flags, flag), instruction_set=expected)
    project = tiny_project()
    binary = build(project, silent)
    with pytest.raises(RunFailure) as caught:
        run(binary, project, [case(1, 2, 3, 4)], target=silent)
    assert caught.value.kind == "instruction set"
    words = f"the micro-kernels of 'portable' ran, '{expected}' was to be tried here"
    assert words in str(caught.value)
    right = replace(silent, instruction_set="portable")
    assert run(binary, project, [case(1, 2, 3, 4)], target=right)


def test_a_processor_that_lacks_what_a_row_needs(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Left out by a rule, which --require-all-targets accepts: nothing that could be installed would change it."""
    _be(monkeypatch, "x86_64", FEATURES["avx2"])
    target = replace(any_target(), features=("avx512f", "avx512_vnni"))
    reason = "this machine's processor has no avx512_vnni"
    assert target.missing() == target.lacking() == reason
    with pytest.raises(ToolchainError, match=reason):
        build(tiny_project(), target)
    subject = prepared(with_golden(write_network(tmp_path_factory.mktemp("lacking"))))
    assert isinstance(subject, NetworkSubject)
    verdict = subject.target(target)
    assert (verdict.outcome, verdict.message) == (Outcome.LEFT_OUT, reason)
    assert verdict.fault == "processor"


def test_rows_that_may_be_left_out_are_those_that_no_emulator_runs() -> None:
    left_out = [target for target in TARGETS if target.features]
    assert [target.name for target in left_out] == ["gcc-vnni"]
    assert {target.instruction_set for target in left_out} == {"avx512-vnni"}
    assert all(not target.machine.runner for target in left_out)
