"""Without an operating system: the same program, its files by semihosting, its faults by name, and no heap."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from ares.emit import Vector, emit
from ares.ir import DType, Graph, Project, Tensor, trace_digest
from ares.ops.requantize import Requantize
from ares.pipeline.network import NetworkSubject
from ares.plan import plan
from ares.resources import runtime_dir
from ares.toolchain import TARGETS, Target, ToolchainError, boards, build, dump, recipe_of, run
from ares.toolchain.boards import regions, with_board_files
from ares.toolchain.faults import RunFailure, TooLarge
from ares.toolchain.process import run_process
from tests.checkout import ZOO
from tests.slow import slow_but
from tests.toolchain.fake_tools import tool
from tests.toolchain.tiny_network import (
    IGNORE,
    case,
    failure_of,
    oracle,
    run_one,
    tiny_project,
    usable,
)

STACK = 64 * 1024


BOARDS = {target.name: target for target in TARGETS if target.machine.board is not None}
NETWORKS = ("test_8_stride2", "test_12_gelu_basic", "test_16_mamba_conv1d")


@pytest.fixture(params=BOARDS)
def board(request: pytest.FixtureRequest) -> Target:
    return usable(request.param)


@pytest.fixture
def arm() -> Target:
    return usable("m4-gcc-O2")


@cache
def _session(name: str) -> NetworkSubject:
    return NetworkSubject(ZOO.paths(name))


# --- what is right passes


@pytest.mark.parametrize("level", slow_but([1], ["-O0", "-O2", "-Os"]))
def test_every_layer_is_exact(board: Target, level: str) -> None:
    flags = tuple(flag for flag in board.flags if not flag.startswith("-O"))
    target = replace(board, flags=(level, *flags))
    project = tiny_project()
    values = [(1, 2, 3, 4), (-128, 127, -128, 127), (7, 3, -5, 20)]
    binary = build(project, target)
    cases = [case(*row) for row in values]
    for row, trace in zip(values, run(binary, project, cases, target=target), strict=True):
        hidden, y = oracle(row)
        assert trace.tensors["hidden"].tolist() == [hidden]
        assert trace.outputs[0].tolist() == [y]
        assert trace.stack is not None
        assert 100 < trace.stack < 4096


@pytest.mark.slow
@pytest.mark.parametrize("network", NETWORKS)
def test_networks_are_exact(board: Target, network: str) -> None:
    session = _session(network)
    project, cases = session.project, [case.inputs for case in session.golden.cases]
    binary = build(project, board)
    traces = run(binary, project, cases, mode="digests", target=board)
    for number, (trace, expected) in enumerate(zip(traces, session.references, strict=True)):
        for point in project.points:
            digest = trace_digest(point.to_memory(expected[point.tensor]))
            assert trace.digests[point.tensor] == digest, (number, point.tensor)
    last = len(project.points) - 1
    dumped = dump(binary, project, cases, 1, last, target=board)
    assert np.array_equal(dumped, session.references[1][project.points[last].tensor])
    (first, *_) = run(binary, project, cases, mode="outputs", target=board)
    for name, output in zip(session.graph.outputs, first.outputs, strict=True):
        assert np.array_equal(output, session.references[0][name])


@pytest.mark.slow
def test_a_path_may_hold_blanks(board: Target, tmp_path: Path) -> None:
    folder = tmp_path / "a folder  full of" / "-append x"
    folder.mkdir(parents=True)
    project = tiny_project()
    binary = build(project, board)
    copy = Path(shutil.copy(binary.path, folder / "the program"))
    (trace,) = run(replace(binary, path=copy), project, [case(1, 2, 3, 4)], target=board)
    assert trace.outputs[0].tolist() == [oracle((1, 2, 3, 4))[1]]


def test_the_stack_that_a_kernel_uses_is_measured(board: Target) -> None:
    room = "volatile char room[20000]; for (int i = 19999; i >= 0; --i) { room[i] = 1; } (void)room[0];"
    plain = run_one(tiny_project(), board).stack
    deep = run_one(tiny_project(f"{IGNORE} {room} return ARES_OK;"), board).stack
    assert plain is not None
    assert deep is not None
    assert 20000 < deep < 20000 + plain


PUT = b"""\
#include "board.h"
#include "selftest.h"

void ares_selftest_put(const char *text)
{
    ares_semihost(SEMIHOST_WRITE0, text);
}
"""


def test_a_self_test_runs_on_our_start_up(board: Target, tmp_path: Path) -> None:
    """An exported self-test and the boards' own stack, which is measured, are one program."""
    session = _session(NETWORKS[0])
    vectors = [
        Vector(
            case.name, case.inputs, tensors, tuple(tensors[name] for name in session.graph.outputs)
        )
        for case, tensors in zip(session.golden.cases, session.references, strict=True)
    ]
    project = emit(plan(session.graph), vectors)
    sources = (*project.sources, "selftest/selftest.c", "put.c")
    files = {**project.files, "put.c": PUT}
    binary = build(replace(project, files=files, sources=sources, main="selftest.c"), board)
    command = board.machine.command(binary.path, ())
    finished = run_process(command, folder=tmp_path, timeout=120)
    assert finished.code == 0, finished
    count = len(vectors) * (len(project.points) + len(project.outputs))
    *lines, end, last = finished.stdout.splitlines()
    assert last == f"self-test passed: {count} digests are right"
    assert end == f"end {len(vectors)}"
    assert 100 < int(lines[-1].removeprefix("stack ")) < 4096


# --- what is wrong has its name

HERE = "before 'layer 1 body.fc2 y' of case 0"
NO_STACK = "it needs more stack than its board gives it"
# A kernel that calls itself for ever, which no compiler can know.
RECURSION = """
    volatile char room[1000]; volatile int32_t on = 1; room[999] = 1; (void)room[999];
    if (on == 1 && planted(params, inputs, outputs, scratch) != ARES_OK) { return ARES_STOPPED; }
"""
TOO_DEEP = """
    volatile char room[66000]; for (int i = 65999; i >= 0; --i) { room[i] = 1; } (void)room[0];
"""


@pytest.mark.parametrize(
    ("kernel", "words"),
    [
        ("*(volatile char *)(uintptr_t)params = 1;", "exit code 99: a fault of the processor"),
        ("((void (*)(void))(uintptr_t)0x40)();", "exit code 99: a fault of the processor"),
        (RECURSION, f"exit code 98: {NO_STACK}"),
        (TOO_DEEP, f"exit code 98: {NO_STACK}"),
        ("return ARES_ERROR_INPUT;", "exit code 6: the run was refused: an input, or the arena"),
    ],
    ids=["writes a constant", "jumps into the wild", "recursion", "too deep", "refuses"],
)
def test_a_fault_names_itself_and_the_layer(board: Target, kernel: str, words: str) -> None:
    failure = failure_of(tiny_project(f"{IGNORE} {kernel} return ARES_OK;"), board, timeout=30)
    assert failure.kind == "crash", failure
    assert failure.message == f"{words}, {HERE}"


def test_a_hang_is_ended(arm: Target) -> None:
    failure = failure_of(tiny_project(f"{IGNORE} for (;;) {{}}"), arm, timeout=2)
    assert failure.kind == "timeout"
    assert HERE in failure.message


def test_a_told_emulator_was_killed(arm: Target) -> None:
    """QEMU ends with exit code 0 when it gets SIGTERM."""
    runner = ("timeout", "--foreground", "1", *arm.machine.runner)
    target = replace(arm, machine=replace(arm.machine, runner=runner))
    failure = failure_of(tiny_project(f"{IGNORE} for (;;) {{}}"), target, timeout=30)
    assert failure.kind == "killed"
    assert "terminating on signal 15" in failure.message


@pytest.mark.parametrize(("free", "kind"), [(0, "disk full"), (2**40, "crash")])
def test_a_full_disk_is_told_from_other_faults(
    board: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, kind: str
) -> None:
    """QEMU does not hand on why a write failed, so the host looks at the disk itself."""
    script = 'ln -s /dev/full output; exec "$@"'
    version = 'case "$1" in --version) echo runner 1; exit;; esac'
    runner = (str(tool(tmp_path, "runner", f"{version}\n{script}")), *board.machine.runner)
    target = replace(board, machine=replace(board.machine, runner=runner))
    space = shutil.disk_usage(tmp_path)._replace(free=free)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: space)
    failure = failure_of(tiny_project(), target)
    assert failure.kind == kind
    assert "it could not write its output" in failure.message
    assert "cannot write OUTPUT" in failure.report


@pytest.mark.parametrize(
    ("words", "data", "code", "says"),
    [
        (("input", "output"), bytes(4), 2, "usage"),
        (("absent", "output", "full"), b"", 4, "cannot open INPUT absent"),
        (("input", "output", "full"), b"", 4, "INPUT holds no case"),
        (("input", "output", "full"), bytes(7), 4, "not a whole number of cases"),
        (("input", "absent/output", "full"), bytes(4), 5, "cannot open OUTPUT absent/output"),
    ],
)
def test_exit_codes_of_the_program(
    board: Target, tmp_path: Path, words: tuple[str, ...], data: bytes, code: int, says: str
) -> None:
    binary = build(tiny_project(), board)
    (tmp_path / "input").write_bytes(data)
    finished = run_process(board.machine.command(binary.path, words), folder=tmp_path, timeout=60)
    assert finished.code == code, finished
    assert says in finished.stderr


# --- what does not fit is refused


def _large(project: Project, constants: int, arena: int) -> Project:
    """The tiny network with this much more in FLASH and in RAM."""
    extra = (
        f"\nconst int8_t ballast[{constants}] = {{1}};\nint8_t room[{arena}];\n"
        "int8_t use(int32_t i);\nint8_t use(int32_t i)\n"
        "{\n    return (int8_t)(ballast[i] + room[i]);\n}\n"
    )
    source = project.files["tiny.c"].decode()
    kernel = "return ares_linear(params, inputs, outputs, scratch);"
    changed = source.replace(
        kernel,
        f"int8_t use(int32_t i); if (use(*(const int8_t *)inputs[0]) == 77) {{ return ARES_STOPPED; }} {kernel}",
    )
    assert changed != source
    return tiny_project(changes={"tiny.c": (changed + extra).encode()})


def test_what_just_fits_runs(board: Target) -> None:
    """Both regions almost full: what is loaded for one must not reach into the other."""
    sizes = regions(str(board.machine.board))
    constants, arena = sizes["FLASH"] - 64 * 1024, sizes["RAM"] - STACK - 32 * 1024
    trace = run_one(_large(tiny_project(), constants, arena), board)
    assert trace.outputs[0].tolist() == [oracle((1, 2, 3, 4))[1]]


@pytest.mark.parametrize("region", ["FLASH", "RAM"])
def test_what_does_not_fit_says_how_much_it_needs(board: Target, region: str) -> None:
    available = regions(str(board.machine.board))[region]
    excess = available + 2**20
    project = _large(tiny_project(), *((excess, 1) if region == "FLASH" else (1, excess)))
    with pytest.raises(TooLarge) as caught:
        build(project, board)
    failure = caught.value
    assert failure.region == region
    assert failure.available == available
    assert excess < failure.needed < excess + 2 * STACK
    mib = available // 2**20
    assert re.search(
        rf"needs {mib + 1}\.\d\d MiB of {region}, {board.machine.board} has {mib}\.00 MiB",
        str(failure),
    )


def test_an_unknown_board_is_an_error(arm: Target) -> None:
    target = replace(arm, machine=replace(arm.machine, board="sections"))
    with pytest.raises(ToolchainError, match=r"unknown board 'sections'; known: mps2-an386, "):
        build(tiny_project(), target)


def test_board_files_are_part_of_the_signature(
    arm: Target, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = recipe_of(tiny_project(), arm).signature
    shutil.copytree(runtime_dir(), tmp_path / "runtime")
    script = tmp_path / "runtime" / "boards" / "cortex-m" / "mps2-an386.ld"
    script.write_text(script.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    with monkeypatch.context() as patch:
        patch.setattr("ares.toolchain.boards.runtime_dir", lambda: tmp_path / "runtime")
        # Read once in a process: what is compiled and what its signature says are the same.
        assert recipe_of(tiny_project(), arm).signature == before
        boards._files.cache_clear()
        assert recipe_of(tiny_project(), arm).signature != before
    boards._files.cache_clear()


def test_an_exported_project_holds_no_board_files() -> None:
    tensors = tuple(Tensor(name, (1, 4), DType.S8, 0.5, 0, -128, 127) for name in "xy")
    table = np.arange(256, dtype=np.uint8)
    lookup = Requantize("y", ("x",), ("y",), table=table)
    project = emit(plan(Graph("small", tensors, (lookup,), ("x",), ("y",)).validate()))
    assert not [path for path in project.files if "boards" in path]
    on_board = with_board_files(project.files, "virt-rv32")
    assert "runtime/trace/trace_stdio.c" not in on_board
    assert "runtime/boards/riscv/virt-rv32.ld" in on_board
    assert not [path for path in on_board if "cortex-m" in path]


# --- there is no heap

ALLOWED = re.compile(r"(__.*|ares_.*|memcpy|memset|memmove|memcmp|_GLOBAL_OFFSET_TABLE_)")
HEAP = {"malloc", "free", "calloc", "realloc", "sbrk", "_sbrk", "aligned_alloc", "alloca"}


def _symbols(target: Target, file: Path, folder: Path) -> list[tuple[str, str]]:
    """Kind and name of every symbol, as the target's own nm tells them."""
    nm = target.archiver[0].removesuffix("ar") + "nm"
    finished = run_process((nm, "-P", str(file)), folder=folder, timeout=60)
    assert finished.code == 0, finished.stderr
    rows = [line.split() for line in finished.stdout.splitlines() if len(line.split()) >= 2]
    return [(row[1], row[0]) for row in rows]


FOR_ALL = {"micro_portable", "micro_elements", "micro_floats"}


@pytest.mark.slow
def test_kernels_need_nothing_but_memory_functions(board: Target, tmp_path: Path) -> None:
    """Of every kernel there is, not of those that one network uses."""
    sources = sorted((runtime_dir() / "src").glob("*.c"))
    assert len(sources) > 20
    for source in sources:
        include = f"-I{runtime_dir() / 'inc'}", f"-I{runtime_dir() / 'boards' / 'common'}"
        command = (*board.compiler, *board.flags, *include, "-c", str(source), "-o", "kernel.o")
        assert run_process(command, folder=tmp_path, timeout=60).code == 0
        symbols = _symbols(board, tmp_path / "kernel.o", tmp_path)
        needed = {name for kind, name in symbols if kind == "U"}
        # Of the files for an instruction set, that of the board's own holds kernels and every other one nothing.
        is_special = source.stem.startswith("micro_") and source.stem not in FOR_ALL
        is_here = not is_special or source.stem == f"micro_{board.must_run}"
        assert bool([name for kind, name in symbols if kind == "T"]) == is_here, source
        assert all(ALLOWED.fullmatch(name) for name in needed), (source.name, needed)


def test_a_program_has_no_heap(board: Target, tmp_path: Path) -> None:
    binary = build(_session(NETWORKS[0]).project, board)
    symbols = _symbols(board, binary.path, tmp_path)
    names = {name for _, name in symbols}
    assert {"ares_board_run", "memcpy", "main"} <= names
    assert any(re.fullmatch(r"ares_execute_[0-9a-f]{8}", name) for name in names)
    assert not names & HEAP
    assert not [name for kind, name in symbols if kind == "U"]  # nothing is left open


def test_the_search_for_a_heap_finds_one(arm: Target, tmp_path: Path) -> None:
    (tmp_path / "bad.c").write_text(
        "void *malloc(unsigned);\nvoid *kernel(void);\nvoid *kernel(void)\n{\n    return malloc(9);\n}\n",
        encoding="utf-8",
    )
    command = (*arm.compiler, *arm.flags, "-c", "bad.c", "-o", "bad.o")
    assert run_process(command, folder=tmp_path, timeout=60).code == 0
    needed = {name for kind, name in _symbols(arm, tmp_path / "bad.o", tmp_path) if kind == "U"}
    assert needed == {"malloc"}
    assert not ALLOWED.fullmatch("malloc")


def test_another_build_is_refused(arm: Target) -> None:
    project = tiny_project()
    stale, changed = build(project, arm), tiny_project(f"{IGNORE} return ARES_OK;")
    swapped = replace(build(changed, arm), path=stale.path)
    with pytest.raises(RunFailure) as caught:
        run(swapped, changed, [case(1, 2, 3, 4)], target=arm)
    assert caught.value.kind == "signature"
