"""Faults of the equipment: each is a verdict with a name of its own, and none is ever a pass.

The network is right, and so is its golden. What is broken is the compiler, the emulator, the disk, the tool that is
gone; or the C depends on who looks at it.
"""

from __future__ import annotations

import errno
import importlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest

from ares.pipeline import compiled
from ares.pipeline.compiled import RunSettings
from ares.pipeline.front import Front, KeptSubject
from ares.pipeline.network import NetworkSubject
from ares.pipeline.subject import Subject
from ares.toolchain import Needs, Target, build, select
from ares.toolchain import target as target_module
from ares.toolchain.cache import Cache
from ares.toolchain.faults import BuildFault, RunFault
from ares.verdict import STAGES, Outcome, Verdict
from tests.slow import one_in, slow_but
from tests.toolchain.fake_tools import tool
from tests.toolchain.tiny_network import any_target, tiny_project, usable
from tests.witness.planting import (
    BLAMES_C,
    assert_red,
    c_verdict,
    flip_byte,
    patched,
    prepared,
    with_golden,
    with_project,
    write_network,
)

Patch = pytest.MonkeyPatch
MODES = ("full", "digests")


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> NetworkSubject:
    return prepared(with_golden(write_network(tmp_path_factory.mktemp("probe"))))


@pytest.fixture(params=["from the beginning", "kept"])
def subject(request: pytest.FixtureRequest, session: NetworkSubject) -> Subject:
    """As a network is judged the first time, and as it is judged from its kept front."""
    if request.param == "from the beginning":
        return with_project(session, session.project)
    front = Front.of(session, tuple(map(session.stage, STAGES)))
    return KeptSubject(session.name, session.graph, session.paths.golden, front, lambda: session)


def _assert_fault(verdict: Verdict, fault: str, *says: str) -> None:
    """Red, by this name; the last line is the command that shows it again."""
    __tracebackhide__ = True
    assert_red(verdict, layer="", fault=fault, says=says)


# --- emulators and what else runs a program


def _run_by(folder: Path, script: str, mode: str) -> Target:
    """The first compiler there is, its programs started by a script: "$@" is the program with its words."""
    target = any_target()
    runner = tool(folder, "runner", f'[ "$1" = --version ] && echo "runner 1" && exit\n{script}')
    machine = replace(target.machine, runner=(str(runner),), needs=Needs())
    return replace(target, machine=machine, trace=mode)


DIGEST = "[0-9a-f]{16}"
RUNNERS = [
    ("the end is missing", "truncated", '"$@" | head -n -1'),
    ("half a line", "truncated", '"$@" | head -c -3'),
    ("silence", "truncated", "exit 0"),
    ("words of its own", "malformed", 'echo "warning: unsupported syscall"; exec "$@"'),
    ("a layer twice", "malformed", '"$@" | sed "/^layer 1 /p"'),
    ("the probe fails", "probe", '"$@" | sed "s/^probe ok/probe failed rounding/"; exit 3'),
    ("another order is announced", "byte order", '"$@" | sed "s/^byte order .*/byte order big/"'),
    (
        "other micro-kernels",
        "instruction set",
        '"$@" | sed "s/^instruction set .*/instruction set abacus/"',
    ),
    ("another program", "signature", '"$@" | sed "1s/[0-9a-f]$/x/"'),
    ("another program that crashes", "signature", '"$@" | sed "1s/[0-9a-f]$/x/"; exit 139'),
    ("exit code", "crash", '"$@"; exit 1'),
    ("the program's own signal", "crash", "kill -SEGV $$"),
    ("out of memory", "killed", "kill -KILL $$"),
    ("ended by hand", "killed", "kill -TERM $$"),
    ("an emulator told to stop", "killed", 'echo "qemu: terminating on signal 15" >&2; exit 0'),
    ("an emulator that hangs", "timeout", "sleep 600"),
    ("a child that hangs", "timeout", "sleep 600 & wait"),
    ("a full disk behind standard output", "disk full", '"$@" > /dev/full'),
    ("a sanitizer that goes on", "sanitizer", '"$@"; echo "a.c:1: runtime error: shift" >&2'),
]
# What differs by the mode: bytes are written in one of them only.
FULL = [
    ("bytes are missing", "truncated", '"$@"; truncate -s -1 output'),
    ("bytes too many", "malformed", '"$@"; echo >> output'),
    ("bytes altered", "digest", '"$@"; printf x | dd of=output conv=notrunc status=none'),
    ("a full disk", "disk full", 'ln -s /dev/full output; exec "$@"'),
    ("no output", "truncated", '"$@"; rm output'),
]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("fault", "script"), one_in(3, [r[1:] for r in RUNNERS]), ids=[r[0] for r in RUNNERS]
)
def test_a_runner_that_fails(
    session: NetworkSubject, tmp_path: Path, fault: str, script: str, mode: str
) -> None:
    settings = RunSettings(timeout=2.0 if fault == "timeout" else 100.0)
    _assert_fault(session.target(_run_by(tmp_path, script, mode), settings=settings), fault)


@pytest.mark.parametrize(("fault", "script"), [r[1:] for r in FULL], ids=[r[0] for r in FULL])
def test_a_runner_that_spoils_the_output(
    session: NetworkSubject, tmp_path: Path, fault: str, script: str
) -> None:
    _assert_fault(session.target(_run_by(tmp_path, script, "full")), fault)


@pytest.mark.parametrize("mode", MODES)
def test_a_runner_that_does_its_work_is_green(subject: Subject, tmp_path: Path, mode: str) -> None:
    """All the scripts above stand on this one."""
    verdict = subject.target(_run_by(tmp_path, 'exec "$@"', mode))
    assert verdict.outcome is Outcome.PASS, verdict.message


def test_a_digest_that_is_wrong_once_is_not_forgiven(subject: Subject, tmp_path: Path) -> None:
    """Asked for the tensor whole, the same program hands over the right one: an emulator by chance, or worse."""
    wrong = f'"$@" | sed -E "s/^(layer 2 .* ){DIGEST}/\\10123456789abcdef/"'
    script = f'case "$*" in *digests) {wrong};; *) exec "$@";; esac'
    verdict = subject.target(_run_by(tmp_path, script, "digests"))
    assert_red(verdict, layer="average", fault="observer", says=("depends on who observes",))


def test_a_digest_that_is_wrong_for_the_output_only(subject: Subject, tmp_path: Path) -> None:
    wrong = f'"$@" | sed -E "s/^(output 0 ){DIGEST}/\\10123456789abcdef/"'
    verdict = subject.target(_run_by(tmp_path, wrong, "digests"))
    assert_red(verdict, layer="fc", says=("is right, but not what the network puts out",))


def test_a_dump_that_fails_is_no_pass(session: NetworkSubject, tmp_path: Path) -> None:
    wrong = f'"$@" | sed -E "s/^(layer 2 .* ){DIGEST}/\\10123456789abcdef/"'
    script = f'case "$*" in *digests) {wrong};; *) kill -KILL $$;; esac'
    _assert_fault(session.target(_run_by(tmp_path, script, "digests")), "killed")


# --- bytes in the wrong order


@pytest.mark.parametrize("mode", MODES)
def test_tensors_with_their_bytes_turned_round(session: NetworkSubject, mode: str) -> None:
    """A program that calls itself little-endian and shows the logits big-endian."""
    right = "const size_t flip = byte_flip(dtype);"
    wrong = "const size_t flip = ares_element_size(dtype) - 1u;"
    project = patched(session.project, "runtime/trace/trace.c", right, wrong)
    verdict = c_verdict(session, project, replace(any_target(), trace=mode))
    says = ("every element has its 4 bytes in the opposite order", BLAMES_C)
    assert_red(verdict, layer="fc", fault="byte order", says=says)


# --- programs that are not of this project


@pytest.mark.parametrize("mode", MODES)
def test_a_stale_program(session: NetworkSubject, monkeypatch: Patch, mode: str) -> None:
    target = replace(any_target(), trace=mode)
    stale = build(tiny_project(), target)

    def replaced(project: Any, target: Target, **_: Any) -> Any:
        return replace(build(project, target), path=stale.path)

    with monkeypatch.context() as patch:
        patch.setattr(compiled, "build", replaced)
        _assert_fault(session.target(target), "signature", "the program is another one")
    with monkeypatch.context() as patch:
        patch.setattr(compiled, "build", lambda *_, **__: stale)
        _assert_fault(session.target(target), "signature", "not a build of this probe")
    # Of the same project and a target of the same name, but with other flags.
    other = build(session.project, replace(target, flags=(*target.flags, "-DOTHER")))
    with monkeypatch.context() as patch:
        patch.setattr(compiled, "build", lambda *_, **__: other)
        _assert_fault(session.target(target), "signature", "not a build of this probe")


def test_a_damaged_program_in_the_cache_is_built_again(
    session: NetworkSubject, monkeypatch: Patch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ARES_CACHE_DIR", str(tmp_path))  # other workers run the same program
    target = any_target()
    program = build(session.project, target).path
    program.write_bytes(b"#!/bin/sh\necho PASS\n")
    assert session.target(target).outcome is Outcome.PASS


# --- compilers


@pytest.fixture
def gcc(tmp_path: Path, monkeypatch: Patch) -> Iterator[Callable[[str], Target]]:
    """The host's gcc by a compiler of the test's own: what it does with anything but the first trial."""

    def make(script: str) -> Target:
        known = 'case "$*" in --version) echo "gcc 99"; exit;; *trial.c* | *-print-*) exit 0;; esac'
        tool(tmp_path, "gcc", f"{known}\n{script}")
        tool(tmp_path, "ar", "exit 0")
        monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
        monkeypatch.setenv("ARES_CACHE_DIR", str(tmp_path / "cache"))
        (target,) = select(["gcc-O2"])
        assert target.missing() is None
        return target

    yield make
    target_module._first_line.cache_clear()
    target_module._link_fault.cache_clear()


COMPILERS = [
    (
        "an internal error",
        "compiler crash",
        "echo 'conv.c:9: internal compiler error: in expand_expr' >&2; exit 4",
        "in expand_expr",
    ),
    ("a signal", "compiler crash", "kill -SEGV $$", "exit code -11"),
    (
        "its own killed part",
        "compiler crash",
        "echo 'gcc: fatal error: Killed signal terminated program cc1' >&2; exit 1",
        "cc1",
    ),
    ("clang's request", "compiler crash", "echo 'PLEASE submit a bug report to x' >&2; exit 1", ""),
    (
        "a full disk",
        "disk full",
        "echo 'ld: final link failed: No space left on device' >&2; exit 1",
        "final link",
    ),
    ("a refusal", "build", "echo 'tiny.c:3: error: nonsense' >&2; exit 1", "nonsense"),
    ("no word", "build", "exit 1", "no message, exit code 1"),
    ("a hang", "timeout", "echo begun >&2; sleep 600", "begun"),
]


@pytest.mark.parametrize(
    ("fault", "script", "says"), [row[1:] for row in COMPILERS], ids=[row[0] for row in COMPILERS]
)
def test_a_compiler_that_fails(
    subject: Subject,
    gcc: Callable[[str], Target],
    monkeypatch: Patch,
    tmp_path: Path,
    fault: str,
    script: str,
    says: str,
) -> None:
    # The package's attribute of that name is the function.
    monkeypatch.setattr(importlib.import_module("ares.toolchain.build"), "COMPILE_TIMEOUT", 1.0)
    verdict = subject.target(gcc(script))
    _assert_fault(verdict, fault, says, "to repeat it: cd ")
    # What cannot be repeated is not evidence: the files are kept, and no half of a program.
    assert list((tmp_path / "cache" / "failed").iterdir())
    assert not list((tmp_path / "cache").glob("library-*/*"))


def test_a_compiler_that_writes_nothing(subject: Subject, gcc: Callable[[str], Target]) -> None:
    """Exit code 0 and no program: no such thing as a pass comes of it."""
    verdict = subject.target(gcc("exit 0"))
    assert (verdict.outcome, verdict.fault) == (Outcome.FAIL, "compiler crash")
    assert "it ended well and wrote no " in verdict.message


# --- tools that go away


def _once_there(monkeypatch: Patch) -> None:
    """The first question is answered as if all were there; later ones truly."""
    missing, asked = Target.missing, []

    def answer(target: Target) -> str | None:
        asked.append(target)
        return None if len(asked) == 1 else missing(target)

    monkeypatch.setattr(Target, "missing", answer)


def test_a_compiler_that_goes_before_the_build(
    subject: Subject, gcc: Callable[[str], Target], monkeypatch: Patch, tmp_path: Path
) -> None:
    target = gcc("exit 1")
    (tmp_path / "gcc").unlink()
    monkeypatch.setenv("PATH", str(tmp_path))
    _once_there(monkeypatch)
    _assert_fault(subject.target(target), "missing tool", "gcc is not on the PATH")


@pytest.mark.parametrize("name", ["gcc", "ar"])
def test_a_tool_that_goes_during_the_build(
    subject: Subject, gcc: Callable[[str], Target], monkeypatch: Patch, tmp_path: Path, name: str
) -> None:
    target = gcc(f'for last; do :; done; : > "$last"; /bin/rm -f {tmp_path}/{name}')
    monkeypatch.setenv("PATH", str(tmp_path))
    _assert_fault(subject.target(target), "missing tool", f"cannot start {name}")


def test_a_runner_that_goes_after_the_build(
    subject: Subject, monkeypatch: Patch, tmp_path: Path
) -> None:
    target = _run_by(tmp_path, 'exec "$@"', "full")

    def then_gone(project: Any, target: Target, **_: Any) -> Any:
        binary = build(project, target)
        (tmp_path / "runner").unlink()
        return binary

    monkeypatch.setattr(compiled, "build", then_gone)
    _assert_fault(subject.target(target), "missing tool", f"cannot start {tmp_path}/runner")


def test_a_program_that_goes_after_the_build(subject: Subject, monkeypatch: Patch) -> None:
    def then_gone(project: Any, target: Target, **_: Any) -> Any:
        binary = build(project, target)
        return replace(binary, path=binary.path.with_name("gone"))

    monkeypatch.setattr(compiled, "build", then_gone)
    _assert_fault(subject.target(any_target()), "missing tool", "there is no program at")


def test_a_runner_that_never_was_is_not_run(subject: Subject) -> None:
    needs = Needs(commands=("qemu-nowhere",), debian=("qemu-user",))
    machine = replace(any_target().machine, runner=("qemu-nowhere",), needs=needs)
    verdict = subject.target(replace(any_target(), machine=machine))
    assert (verdict.outcome, verdict.fault) == (Outcome.NOT_RUN, "missing tool")
    assert "qemu-nowhere is not on the PATH" in verdict.message
    assert "qemu-user" in verdict.message


# --- full disks on our own side


@pytest.mark.parametrize("step", ["_make", "_locked", "keep_failed"])
def test_no_space_in_the_cache(
    subject: Subject, gcc: Callable[[str], Target], monkeypatch: Patch, step: str
) -> None:
    target = gcc("exit 1")

    def full(*_: Any, **__: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device", "/cache/staging/x")

    monkeypatch.setattr(Cache, step, full)
    verdict = subject.target(target)
    _assert_fault(verdict, "disk full", "no space left on the disk: /cache/staging/x")


@pytest.mark.parametrize("part", ["tempfile.TemporaryDirectory", "tempfile.TemporaryFile"])
def test_no_space_for_a_run(session: NetworkSubject, monkeypatch: Patch, part: str) -> None:
    target = any_target()
    assert session.target(target).outcome is Outcome.PASS  # built

    def full(*_: Any, **__: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device", "/tmp/x")

    monkeypatch.setattr(part, full)
    _assert_fault(session.target(target), "disk full", "/tmp/x")


def test_another_fault_of_the_disk_is_not_called_full(
    subject: Subject, gcc: Callable[[str], Target], monkeypatch: Patch
) -> None:
    target = gcc("exit 1")

    def broken(*_: Any, **__: Any) -> Any:
        raise OSError(errno.EIO, "Input/output error", "/cache")

    monkeypatch.setattr(Cache, "_make", broken)
    with pytest.raises(OSError, match="Input/output error"):
        subject.target(target)


# --- goldens


def test_a_damaged_golden(session: NetworkSubject, tmp_path: Path) -> None:
    front = Front.of(session, tuple(map(session.stage, STAGES)))
    paths = copy_network_of(session, tmp_path)
    flip_byte(min(paths.glob("case_*")), -1)
    kept = KeptSubject(session.name, session.graph, paths, front, lambda: session)
    verdict = kept.target(any_target())
    assert (verdict.outcome, verdict.fault) == (Outcome.FAIL, "GoldenError")


def copy_network_of(session: NetworkSubject, folder: Path) -> Path:
    """The golden of a session, to be damaged."""
    golden = folder / "golden"
    golden.mkdir()
    for path in session.paths.golden.iterdir():
        (golden / path.name).write_bytes(path.read_bytes())
    return golden


# --- sanitizers, and kernels that depend on who looks

AVERAGE = "runtime/src/avg_pool2d.c"
START = "    (void)scratch;\n\n    for (int32_t y"


@pytest.mark.parametrize("name", slow_but([0], ["gcc-asan", "clang-asan"]))
def test_a_sanitizer_sees_an_overflow(session: NetworkSubject, name: str) -> None:
    """Guarded targets leave gaps between the buffers of the arena, and nobody may write there."""
    target = usable(name)
    write = "((uint8_t *)outputs[0])[p->down.out * p->across.out * p->channels] = 0;"
    project = patched(session.guarded_project, AVERAGE, START, f"    {write}\n{START}")
    verdict = c_verdict(session, project, target)
    _assert_fault(verdict, "sanitizer", "AddressSanitizer", "before 'layer 2 average average'")


def test_results_that_depend_on_the_observer(session: NetworkSubject) -> None:
    path, right = "runtime/src/executor.c", "        if (made != outputs[k]) {"
    wrong = f"        if (observer == NULL) {{ ((uint8_t *)outputs[k])[0] ^= 1u; }}\n{right}"
    project = patched(session.project, path, right, wrong)
    verdict = c_verdict(session, project, replace(any_target(), trace="full"))
    _assert_fault(verdict, "observer", "output fc is another one when nobody observes", "at [0, 0]")


def test_memory_that_happens_to_be_right_while_observed(session: NetworkSubject) -> None:
    """Between observed layers dead memory is poison; a kernel that reads it sees another network when unobserved."""
    project = patched(
        session.project,
        AVERAGE,
        START,
        "    const uint8_t before = out[0];\n" + START,
    )
    done = "        }\n    }\n    return ARES_OK;\n}"
    spoiled = done.replace(
        "    return", "    if (before != 0xA5u) { *(uint8_t *)outputs[0] ^= 64u; }\n    return"
    )
    project = patched(project, AVERAGE, done, spoiled)
    verdict = c_verdict(session, project, replace(any_target(), trace="full"))
    _assert_fault(verdict, "observer", "output fc is another one when nobody observes")


def _counting(session: NetworkSubject) -> NetworkSubject:
    """A kernel that is right when it is called first, and wrong ever after."""
    count = "    static uint32_t calls = 0;\n    const uint32_t call = calls++;\n"
    project = patched(session.project, AVERAGE, START, count + START)
    done = "        }\n    }\n    return ARES_OK;\n}"
    spoiled = done.replace(
        "    return", "    if (call > 0) { *(uint8_t *)outputs[0] ^= 1u; }\n    return"
    )
    return with_project(session, patched(project, AVERAGE, done, spoiled))


def test_a_kernel_that_counts_its_calls(session: NetworkSubject) -> None:
    """Each mode sees it: the second case differs; or it does not when it is asked for alone."""
    broken = _counting(session)
    second = f"case {session.golden.cases[1].name}: "
    verdict = broken.target(replace(any_target(), trace="full"))
    assert_red(verdict, layer="average", says=(second, BLAMES_C, "1 of "))
    verdict = broken.target(replace(any_target(), trace="digests"))
    assert_red(verdict, layer="average", fault="observer", says=(second, "or on chance"))


# --- nothing is left out


def test_every_kind_of_fault_is_reached() -> None:
    reached = {row[1] for row in (*RUNNERS, *FULL, *COMPILERS)} | {"missing tool"}
    # A program that does not fit its board is no fault: tests/toolchain/test_boards.py.
    assert reached == {*get_args(RunFault), *get_args(BuildFault)} - {"too large"}
