"""The table of targets says what each target is, rightly, and what brings it."""

from __future__ import annotations

import platform
import re
from collections import Counter
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from ares.ir import Project
from ares.pipeline.expectations import EXPECTATIONS
from ares.toolchain import (
    TARGETS,
    BuildFailure,
    Needs,
    RunFailure,
    Target,
    build,
    default_targets,
    run,
    select,
)
from ares.toolchain import target as target_module
from ares.toolchain.machines import HOST
from ares.toolchain.rows import CONTRACT
from tests.slow import slow_but
from tests.toolchain.fake_tools import tool
from tests.toolchain.tiny_network import MAIN, case, oracle, tiny_project, usable

ROOT = Path(__file__).resolve().parents[2]
NAMES = [target.name for target in TARGETS]
BOARDS = ("m4", "m7", "m55", "rv32")
# Of the host, another byte order, 32 bits, a board.
SAMPLE = ("gcc-O2", "gcc-asan", "s390x-gcc-O2", "m4-gcc-O2")


def _row(name: str) -> Target:
    (target,) = select([name])
    return target


@pytest.fixture(autouse=True)
def _no_memory() -> None:
    """Versions are asked once a process; these tests change them."""
    target_module._first_line.cache_clear()
    target_module._link_fault.cache_clear()


# --- names and numbers


def test_names_say_processor_compiler_and_flags() -> None:
    assert len(set(NAMES)) == len(NAMES)
    for target in TARGETS:
        machine = target.machine
        processor = "" if machine.name == "host" else f"{machine.name}-"
        if machine.board is not None:
            processor = f"{target.name.split('-')[0]}-"
            assert processor[:-1] in BOARDS
        label = r"[A-Za-z0-9]+(-[A-Za-z0-9]+)?"
        if target.family == "tcc":
            assert target.name == "tcc"
        else:
            assert re.fullmatch(f"{processor}{target.family}-{label}", target.name), target.name
        # Names end up in folders, command lines and macros.
        assert re.fullmatch(r"[a-zA-Z0-9-]+", target.name)


def test_there_are_as_many_as_were_asked_for() -> None:
    assert len(TARGETS) >= 40
    assert len({target.machine.isa for target in TARGETS}) >= 12
    big = {target.machine.isa for target in TARGETS if target.machine.byte_order == "big"}
    assert len(big) >= 2
    assert {"gcc", "clang", "zig", "tcc"} == {target.family for target in TARGETS}
    assert len({t.machine.board for t in TARGETS if t.machine.board}) >= 3
    facets = {kind: {t.facets[kind] for t in TARGETS} for kind in TARGETS[0].facets}
    assert facets["byte order"] == {"little-endian", "big-endian"}
    assert facets["pointers"] == {"32-bit pointers", "64-bit pointers"}
    assert facets["char"] == {"signed char", "unsigned char"}
    assert facets["libraries"] == {"hosted", "no operating system"}
    assert facets["micro-kernels"] >= {
        f"{kind} micro-kernels" for kind in ("portable", "mve", "rvv")
    }
    assert facets["optimisation"] >= {"-O0", "-O1", "-O2", "-O3", "-Os", "-Oz"}
    assert all(t.description for t in TARGETS)


def test_no_two_targets_are_the_same() -> None:
    made = Counter((t.compiler, t.flags, t.link_flags, t.machine, t.guarded) for t in TARGETS)
    assert made.most_common(1)[0][1] == 1


# --- flags


def test_every_target_is_built_strictly_unless_its_name_says_otherwise() -> None:
    for target in TARGETS:
        flags = set(target.flags)
        if "contract" in target.name:
            assert {"-ffp-contract=fast", "-std=gnu11"} < flags, target.name
            assert "-ffp-contract=off" not in flags
        elif target.family == "tcc":
            assert "-std=c11" in flags
        else:
            assert {"-ffp-contract=off", "-std=c11"} < flags, target.name
        assert "-Werror" in flags, target.name
        assert not flags & {"-ffast-math", "-Ofast", "-funsafe-math-optimizations"}
    assert [n for n in NAMES if "contract" in n]
    assert "-ffp-contract=fast" in CONTRACT


def test_guarded_targets_are_those_with_a_sanitizer_of_memory() -> None:
    for target in TARGETS:
        sanitizes = any(flag.startswith("-fsanitize=") for flag in target.flags)
        assert target.guarded == sanitizes, target.name
    assert sum(target.guarded for target in TARGETS) >= 3
    for target in TARGETS:
        if any("undefined" in flag for flag in target.flags):
            assert "-fno-sanitize-recover=all" in target.flags, target.name


def test_facets_follow_flags_and_machine() -> None:
    names = ("gcc-O2", "gcc-unsigned-char", "i686-gcc-sse", "wasm32-zig-O2", "m4-gcc-Os")
    gcc, unsigned, sse, wasm, m4 = map(_row, names)
    assert unsigned.facets["char"] == "unsigned char"
    assert gcc.facets == {
        "byte order": f"{HOST.byte_order}-endian",
        "pointers": f"{HOST.pointer_bits}-bit pointers",
        "char": f"{HOST.char} char",
        "compiler": "built by gcc",
        "processor": platform.machine(),
        "micro-kernels": f"{gcc.must_run} micro-kernels",
        "optimisation": "-O2",
        "libraries": "hosted",
    }
    assert replace(gcc, flags=("-m32", *gcc.flags)).facets["pointers"] == "32-bit pointers"
    assert replace(gcc, flags=("-O2", "-O0")).facets["optimisation"] == "-O0"  # the last one counts
    assert replace(gcc, flags=()).facets["optimisation"] == "-O0"
    assert sse.facets["pointers"] == wasm.facets["pointers"] == "32-bit pointers"
    assert m4.facets["libraries"] == "no operating system"


# --- what must be installed


def test_default_targets_need_no_debian_package_but_the_hosts_gcc() -> None:
    targets = default_targets()
    assert {target.family for target in targets} == {"gcc", "zig"}
    for target in targets:
        needs = target.needs + target.machine.needs
        assert set(needs.debian) <= {"gcc", "libc6-dev"}
        assert target.family == "gcc" or not needs.commands
    assert {"ziglang", "wasmtime"} <= set(
        chain(*(t.needs.pip + t.machine.needs.pip for t in targets))
    )


def test_default_targets_by_zig_work_with_an_empty_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    for target in default_targets():
        reason = target.missing()
        if target.family == "zig":
            assert reason is None
        else:
            assert reason == "gcc is not on the PATH (Debian: apt-get install gcc libc6-dev)"


def test_what_is_missing_is_named_with_all_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("ares.toolchain.target.host_lacks", lambda _features: None)
    for target in TARGETS:
        needs = target.needs + target.machine.needs
        if not needs.commands:
            continue
        advice = f"Debian: apt-get install {' '.join(needs.debian)}"
        if needs.pip:
            advice += f"; pip install {' '.join(needs.pip)}"
        assert target.missing() == f"{needs.commands[0]} is not on the PATH ({advice})"


def test_commands_that_a_target_uses_are_among_its_needs() -> None:
    """Otherwise a missing one is no reason but a crash."""
    for target in TARGETS:
        needs = target.needs + target.machine.needs
        used = [target.compiler[0], target.archiver[0], *target.machine.runner[:1]]
        for command in used:
            assert command in needs.commands or Path(command).is_absolute(), target.name
        assert needs.debian or not needs.commands, target.name
        assert needs.pip == needs.modules


def test_needs_add_up_without_repetition() -> None:
    one = Needs(("gcc", "ar"), ("ziglang",), ("gcc",), ("ziglang",))
    two = Needs(("qemu-arm", "ar"), ("wasmtime",), ("qemu-user", "gcc"), ("wasmtime",))
    both = one + two
    assert both.commands == ("gcc", "ar", "qemu-arm")
    assert both.debian == ("gcc", "qemu-user")
    assert both.advice == "Debian: apt-get install gcc qemu-user; pip install ziglang wasmtime"
    assert two.advice == "Debian: apt-get install qemu-user gcc; pip install wasmtime"
    assert Needs(pip=("ziglang",)).advice == "pip install ziglang"
    assert not Needs().advice
    assert Needs().absent() is None
    assert Needs(commands=("sh", "no-such-tool")).absent() == "no-such-tool is not on the PATH"
    absent = "the Python package no_such_module is not installed"
    assert Needs(modules=("pytest", "no_such_module")).absent() == absent


def test_continuous_integration_installs_exactly_what_the_targets_need() -> None:
    text = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    (array,) = re.findall(r"^packages=\(\n(.*?)^\)", text, re.MULTILINE | re.DOTALL)
    installed = array.split()
    assert installed == sorted(set(installed))
    needs = [target.needs + target.machine.needs for target in TARGETS]
    # For exported projects, and for tests/proof.
    others = {"make", "frama-c-base", "ocaml-findlib"}
    assert set(installed) == {*others, *chain(*(own.debian for own in needs))}
    # What pip brings is a dependency of the package itself.
    pins = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for package in chain(*(own.pip for own in needs)):
        assert f'"{package}>=' in pins, package


# --- identities


def _fake(folder: Path, monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Tools that tell the version that stands in a file beside them."""
    for name in names:
        (folder / f"{name}.version").write_text("tool 1.0\nmore\n", encoding="utf-8")
        tool(folder, name, f"while read -r l; do echo \"$l\"; done < '{folder}/{name}.version'")
    monkeypatch.setenv("PATH", str(folder))


def _new_version(folder: Path, name: str) -> None:
    (folder / f"{name}.version").write_text("tool 1.1\nmore\n", encoding="utf-8")
    target_module._first_line.cache_clear()


def test_another_version_of_the_compiler_is_another_compiler(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (gcc,) = select(["gcc-O2"])
    _fake(tmp_path, monkeypatch, "gcc", "ar")
    first = gcc.compiler_identity()
    assert first == f"gcc tool 1.0 at {tmp_path}/gcc"
    _new_version(tmp_path, "gcc")
    second = gcc.compiler_identity()
    assert second == f"gcc tool 1.1 at {tmp_path}/gcc"
    # The same version elsewhere can be another build of it.
    (tmp_path / "elsewhere").mkdir()
    _fake(tmp_path / "elsewhere", monkeypatch, "gcc", "ar")
    assert gcc.compiler_identity() == f"gcc tool 1.0 at {tmp_path}/elsewhere/gcc"


def test_another_version_of_the_runner_is_another_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("aarch64-gcc-O2", "aarch64-zig-O2", "m4-gcc-O2", "m7-gcc-O2", "wasm32-zig-O2")
    aarch64, zig, m4, m7, wasm = map(_row, names)
    for runner, machine in (("aarch64", aarch64.machine), ("system-arm", m4.machine)):
        _fake(tmp_path, monkeypatch, f"qemu-{runner}")
        first = machine.identity()
        assert "tool 1.0" in first
        _new_version(tmp_path, f"qemu-{runner}")
        assert machine.identity() == first.replace("1.0", "1.1")
    # Options of the emulator are part of what it is.
    assert m4.machine.identity() != m7.machine.identity()
    assert aarch64.machine.identity() != zig.machine.identity()
    monkeypatch.setattr("importlib.metadata.version", lambda name: f"of {name} 7")
    assert wasm.machine.identity() == "wasm32 wasmtime of wasmtime 7"


def test_builds_for_this_very_processor_are_of_this_very_processor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    native = [t for t in TARGETS if "-march=native" in t.flags]
    assert {t.family for t in native} == {"gcc", "clang"}
    (plain,) = select(["gcc-O2"])
    installed = [t for t in native if t.missing() is None]
    assert installed, "no compiler for this test"
    before = [t.compiler_identity() for t in installed]
    host = HOST.identity()
    other = plain.compiler_identity() if plain.missing() is None else ""
    monkeypatch.setattr(target_module, "host_digest", lambda: "another")
    for target, identity in zip(installed, before, strict=True):
        assert target.compiler_identity() != identity
        assert target.compiler_identity().endswith(" for another")
    # A program for any such processor is the same program, but what it does here is done by this one.
    if other:
        assert plain.compiler_identity() == other
    assert HOST.identity() == "host another" != host


# --- every target, once


CASES = [(1, 2, 3, 4), (-128, 127, -128, 127)]
# Pointers and char as the compiler knows them.
FACTS = """
_Static_assert(sizeof(void *) * 8 == {bits}, "pointers are of another size");
_Static_assert(((char)-1 < 0) == {signed}, "char is of another sign");
"""


def _announced(target: Target, bits: int = 0, char: str = "") -> Project:
    """The tiny project, that is built only where pointers and char are what the target's facets say."""
    facets = target.facets
    facts = FACTS.format(
        bits=bits or facets["pointers"].split("-")[0],
        signed=int((char or facets["char"]) == "signed char"),
    )
    return tiny_project(main=MAIN + facts)


@pytest.mark.parametrize("name", slow_but(map(NAMES.index, SAMPLE), NAMES))
def test_every_target_builds_runs_and_is_what_its_row_says(name: str) -> None:
    """Exact on both layers. The byte order is announced by the program, and `run` compares it with the row."""
    target = usable(name)
    project = _announced(target)
    binary = build(project, target)
    cases = [case(*values) for values in CASES]
    expected = next((row for row in EXPECTATIONS if row.covers("tiny", name)), None)
    if expected is not None:
        with pytest.raises(RunFailure, match=expected.words) as caught:
            run(binary, project, cases)
        assert caught.value.kind == expected.fault
        return
    for values, trace in zip(CASES, run(binary, project, cases), strict=True):
        hidden, y = oracle(values)
        assert (trace.tensors["hidden"].tolist(), trace.tensors["y"].tolist()) == ([hidden], [y])
    assert (trace.stack is not None) == (target.machine.board is not None)


@pytest.mark.parametrize(
    "name", slow_but([0, 2, 3], ["gcc-O2", "zig-O2", "s390x-gcc-O2", "m4-gcc-O2"])
)
def test_a_row_that_says_something_else_is_noticed(name: str) -> None:
    target = usable(name)
    order: Any = "little" if target.machine.byte_order == "big" else "big"
    wrong = replace(target, machine=replace(target.machine, byte_order=order))
    project = _announced(target)
    with pytest.raises(RunFailure, match="the program sees 'byte order") as caught:
        run(build(project, target), project, [case(*CASES[0])], target=wrong)
    assert caught.value.kind == "byte order"
    char = "signed char" if target.facets["char"].startswith("un") else "unsigned char"
    with pytest.raises(BuildFailure, match="char is of another sign"):
        build(_announced(target, char=char), target)
    with pytest.raises(BuildFailure, match="pointers are of another size"):
        build(_announced(target, bits=16), target)
