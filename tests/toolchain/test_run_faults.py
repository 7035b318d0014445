"""A program that does not do what it should is refused by name, and nothing is taken for a pass that is not one."""

import errno
import importlib
import pickle
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ares.ir import trace_digest
from ares.toolchain import RunFailure, Target, build, run
from ares.toolchain.process import run_process
from tests.toolchain.fake_tools import tool
from tests.toolchain.tiny_network import (
    IGNORE,
    any_target,
    case,
    failure_of,
    run_one,
    scripted_project,
    tiny_project,
    usable,
)

Y = bytes([3, 4])
HIDDEN = bytes([0, 1, 2])
GOOD = [
    "ares-trace 3 @signature@\\n",
    f"byte order {sys.byteorder}\\n",
    "probe ok\\n",
    f"instruction set {any_target().must_run}\\n",
    "case 0\\n",
    f"layer 0 body.fc1 hidden {trace_digest(HIDDEN)}\\n",
    f"layer 1 body.fc2 y {trace_digest(Y)}\\n",
    f"output 0 {trace_digest(Y)}\\n",
    "end 1\\n",
]
BYTES = HIDDEN + Y + Y
SLOW = "instruction set abacus\\n"
OTHER = "big" if sys.byteorder == "little" else "little"

FAULTS = [
    ("wrong signature", "signature", ["ares-trace 3 0000\\n", *GOOD[1:]], BYTES, 0),
    ("wrong signature, then a crash", "signature", ["ares-trace 3 0000\\n"], b"", 9),
    ("another protocol", "malformed", ["ares-trace 1 @signature@\\n", *GOOD[1:]], BYTES, 0),
    ("nothing at all", "truncated", [], b"", 0),
    ("probe", "probe", [*GOOD[:2], "probe failed contraction\\n"], b"", 3),
    ("probe, then more", "malformed", [*GOOD[:2], "probe failed contraction\\n"], b"", 0),
    ("another byte order", "byte order", [GOOD[0], f"byte order {OTHER}\\n", *GOOD[2:]], BYTES, 0),
    ("another byte order, then a crash", "byte order", [GOOD[0], f"byte order {OTHER}\\n"], b"", 9),
    ("no byte order", "malformed", [GOOD[0], *GOOD[2:]], BYTES, 0),
    ("a byte order there is not", "malformed", [GOOD[0], "middle\\n", *GOOD[2:]], BYTES, 0),
    ("other kernels", "instruction set", [*GOOD[:3], SLOW, *GOOD[4:]], BYTES, 0),
    ("other kernels, then a crash", "instruction set", [*GOOD[:3], SLOW], b"", 9),
    ("nobody says which kernels", "malformed", [*GOOD[:3], *GOOD[4:]], BYTES, 0),
    ("a stack where none is measured", "malformed", [*GOOD[:-1], "stack 9\\n", GOOD[-1]], BYTES, 0),
    ("no space for its output", "disk full", GOOD[:5], BYTES, 7),
    ("exit code", "crash", GOOD, BYTES, 1),
    ("exit code 256 errors wide", "crash", GOOD, BYTES, 255),
    ("no end", "truncated", GOOD[:-1], BYTES, 0),
    ("half a line", "truncated", [*GOOD[:-1], "end"], BYTES, 0),
    ("a layer is missing", "malformed", [*GOOD[:5], *GOOD[6:]], BYTES, 0),
    ("layers swapped", "malformed", [*GOOD[:5], GOOD[6], GOOD[5], *GOOD[7:]], BYTES, 0),
    ("a layer too many", "malformed", [*GOOD[:7], GOOD[6], *GOOD[7:]], BYTES, 0),
    ("another layer's name", "malformed", [line.replace("fc2", "fc3") for line in GOOD], BYTES, 0),
    ("no digest", "malformed", [*GOOD[:5], "layer 0 body.fc1 hidden \\n", *GOOD[6:]], BYTES, 0),
    ("fewer cases", "malformed", [*GOOD[:-1], "end 0\\n"], BYTES, 0),
    ("words after the end", "malformed", [*GOOD, "PASS\\n"], BYTES, 0),
    ("bytes are missing", "truncated", GOOD, BYTES[:-1], 0),
    ("no output file's content", "truncated", GOOD, b"", 0),
    ("bytes too many", "malformed", GOOD, BYTES + b"x", 0),
    ("a layer's bytes differ", "digest", GOOD, b"\x09" + BYTES[1:], 0),
    ("the output's bytes differ", "digest", GOOD, BYTES[:-1] + b"\x09", 0),
]


REPORTS = [
    "==21==ERROR: AddressSanitizer: use-after-poison on address 0x5570 at pc 0x5570",
    "==21==ERROR: LeakSanitizer: detected memory leaks",
    "==21==WARNING: MemorySanitizer: use-of-uninitialized-value",
    "WARNING: ThreadSanitizer: data race (pid=21)",
    "tiny.c:19:2: runtime error: shift exponent 40 is too large",
    "thread 3823 panic: signed integer overflow: 2147483647 + 1 cannot be represented in type 'int'",
]


def test_the_script_without_a_fault_passes() -> None:
    trace = run_one(scripted_project(GOOD, BYTES), any_target())
    assert trace.outputs[0].tolist() == [[3, 4]]


@pytest.mark.parametrize(
    ("kind", "lines", "output", "code"), [row[1:] for row in FAULTS], ids=[row[0] for row in FAULTS]
)
def test_planted_fault_has_its_name(kind: str, lines: list[str], output: bytes, code: int) -> None:
    assert failure_of(scripted_project(lines, output, code), any_target()).kind == kind


def test_stale_binary_is_refused() -> None:
    target, project = any_target(), tiny_project()
    stale = build(project, target)
    changed = tiny_project(f"{IGNORE} return ARES_OK;")
    with pytest.raises(RunFailure, match="signature") as caught:
        run(stale, changed, [case(1, 2, 3, 4)])
    assert caught.value.kind == "signature"
    # The same when only the file is stale: it is the program itself that says so.
    swapped = replace(build(changed, target), path=stale.path)
    with pytest.raises(RunFailure, match=f"says 'ares-trace 3 {stale.recipe.signature}'") as caught:
        run(swapped, changed, [case(1, 2, 3, 4)])
    assert caught.value.kind == "signature"


def test_crash_names_the_signal_and_the_layer() -> None:
    failure = failure_of(tiny_project(f"{IGNORE} abort();"), any_target())
    assert failure.kind == "crash"
    assert "ended by SIGABRT, before 'layer 1 body.fc2 y' of case 0" in failure.message
    assert pickle.loads(pickle.dumps(failure)).kind == "crash"


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        ("SIGKILL", "killed"),
        ("SIGTERM", "killed"),
        ("SIGSEGV", "crash"),
        ("SIGABRT", "crash"),
        ("SIGILL", "crash"),
        ("SIGBUS", "crash"),
        ("SIGFPE", "crash"),
    ],
)
def test_only_signals_from_outside_are_killed(number: str, kind: str) -> None:
    value = int(getattr(signal, number))
    raised = f"int raise(int); raise({value});"
    failure = failure_of(tiny_project(f"{IGNORE} {raised} return ARES_OK;"), any_target())
    assert failure.kind == kind
    assert f"ended by {number}" in failure.message
    assert "before 'layer 1 body.fc2 y' of case 0" in failure.message


def test_the_target_says_which_byte_order() -> None:
    target = any_target()
    wrong = replace(target, machine=replace(target.machine, byte_order=OTHER))
    failure = failure_of(tiny_project(), wrong)
    assert failure.kind == "byte order"
    assert f"the program sees 'byte order {sys.byteorder}'" in failure.message
    assert f"should be {OTHER}-endian" in failure.message


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ('"$1" "$2" /dev/full "$4"', "no space left\nares-trace: cannot write OUTPUT"),
        ('"$@" >/dev/full', "no space left\nares-trace: cannot write to standard output"),
    ],
)
def test_a_full_disk_is_no_crash(tmp_path: Path, words: str, says: str) -> None:
    failure = failure_of(tiny_project(), _run_by(_runner(tmp_path, f"exec {words}")))
    assert failure.kind == "disk full"
    assert "exit code 7: no space was left for its output" in failure.message
    assert says in failure.report


@pytest.mark.parametrize("step", ["write_bytes", "run_process"])
def test_a_disk_that_is_full_on_our_side(step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    target, project = any_target(), tiny_project()
    binary = build(project, target)

    def full(*_: Any, **__: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device", "/somewhere/input")

    module = importlib.import_module("ares.toolchain.run")
    monkeypatch.setattr(*((Path, step) if step == "write_bytes" else (module, step)), full)
    with pytest.raises(RunFailure, match="no space left to run the program: /somewhere") as caught:
        run(binary, project, [case(1, 2, 3, 4)])
    assert caught.value.kind == "disk full"


def test_kernel_that_refuses_is_a_crash_with_a_reason() -> None:
    failure = failure_of(tiny_project(f"{IGNORE} return ARES_ERROR_INPUT;"), any_target())
    assert failure.kind == "crash"
    assert "exit code 6: the run was refused" in failure.message
    assert "ARES_ERROR_INPUT" in str(failure)


@pytest.mark.parametrize(
    ("kernel", "words"),
    [
        (
            "((int8_t *)outputs[0])[17 + *(const int8_t *)inputs[0] / 128] = 1;",
            "global-buffer-overflow",
        ),
        ("volatile int32_t big = INT32_MAX; big = big + 1;", "signed integer overflow"),
    ],
)
def test_sanitizers_see_what_a_plain_build_does_not(kernel: str, words: str) -> None:
    target = usable("gcc-asan")
    failure = failure_of(tiny_project(f"{IGNORE} {kernel} return ARES_OK;"), target)
    assert failure.kind == "sanitizer"
    assert "layer 1 body.fc2" in failure.message
    assert words in failure.message


def test_a_report_is_a_failure_whatever_the_exit_code() -> None:
    """Without -fno-sanitize-recover a program goes on, and ends well."""
    target = usable("gcc-asan")
    flags = tuple(flag for flag in target.flags if flag != "-fno-sanitize-recover=all")
    kernel = "volatile int32_t big = INT32_MAX; big = big + 1;"
    failure = failure_of(
        tiny_project(f"{IGNORE} {kernel} return ARES_OK;"), replace(target, flags=flags)
    )
    assert failure.kind == "sanitizer"
    assert "runtime error: signed integer overflow" in failure.message
    assert "after its last line" in failure.message


@pytest.mark.parametrize("report", REPORTS)
def test_every_sanitizer_is_recognised(report: str) -> None:
    """As they were seen: gcc 12, clang 19 and zig 0.17."""
    project = scripted_project([*GOOD[:4]], BYTES, 66)
    main = project.files["main.c"].replace(
        b"    return 66;", f'    fputs("{report}\\n", stderr);\n    return 66;'.encode()
    )
    failure = failure_of(tiny_project(main=main.decode()), any_target())
    assert failure.kind == "sanitizer"
    assert report.partition("==")[2].lstrip("0123456789=") in failure.message


def _run_by(*runner: str) -> Target:
    """The first compiler there is, with programs started by these words."""
    target = any_target()
    return replace(target, machine=replace(target.machine, runner=runner))


def _runner(folder: Path, script: str) -> str:
    """A program that runs others, and tells its version as every runner does."""
    return str(tool(folder, "runner", f'case "$1" in --version) echo 1; exit;; esac\n{script}'))


def test_hang_is_ended_with_all_its_children(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    target = _run_by(_runner(tmp_path, f'sleep 600 &\necho $! > {pids}\n"$@"\nwait'))
    started = time.monotonic()
    failure = failure_of(tiny_project(f"{IGNORE} for (;;) {{}}"), target, timeout=2.0)
    assert failure.kind == "timeout"
    assert "ended after 2 s, before 'layer 1 body.fc2 y' of case 0" in failure.message
    assert time.monotonic() - started < 60
    assert _gone(int(pids.read_text(encoding="utf-8")))


def test_interrupted_caller_leaves_no_child(tmp_path: Path) -> None:
    pids = tmp_path / "pids"

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 1.0)
    try:
        with pytest.raises(KeyboardInterrupt):
            run_process(
                ("sh", "-c", f"sleep 600 & echo $! > {pids}; wait"), folder=tmp_path, timeout=60
            )
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert _gone(int(pids.read_text(encoding="utf-8")))


def _gone(pid: int) -> bool:
    """True once a process has ended, whether or not init has noticed."""
    for _ in range(100):
        try:
            state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
        except FileNotFoundError:
            return True
        if state[0] in "ZX":
            return True
        time.sleep(0.02)
    return False


def test_missing_program_and_runner_are_named() -> None:
    target, project = any_target(), tiny_project()
    binary = build(project, target)
    with pytest.raises(RunFailure, match="missing tool: there is no program at"):
        run(replace(binary, path=binary.path / "gone"), project, [case(1, 2, 3, 4)])
    other = _run_by("qemu-nowhere")
    with pytest.raises(RunFailure, match="missing tool: cannot start qemu-nowhere"):
        run(binary, project, [case(1, 2, 3, 4)], target=other)


# --- the floating-point probe

STRICT = ("-std=c11", "-ffp-contract=off")
PROBES = [
    (
        "contraction",
        ("-O2", "-march=haswell", "-std=gnu11", "-ffp-contract=fast"),
        {"fma", "avx2"},
    ),
    ("excess-precision", ("-O2", "-mfpmath=387", "-std=gnu11"), {"fpu", "sse2"}),
]


def processor_needs(needs: set[str]) -> None:
    cpu = Path("/proc/cpuinfo").read_text(encoding="utf-8") if sys.platform == "linux" else ""
    if not needs <= set(cpu.split()):
        pytest.skip(f"this processor has not all of {', '.join(sorted(needs))}")


@pytest.mark.parametrize(("fault", "flags", "needs"), PROBES, ids=[row[0] for row in PROBES])
def test_probe_refuses(fault: str, flags: tuple[str, ...], needs: set[str]) -> None:
    processor_needs(needs)
    target = replace(usable("gcc-O2"), name=f"gcc-{fault}", flags=flags, link_flags=())
    failure = failure_of(tiny_project(), target)
    assert failure.kind == "probe"
    assert fault in failure.message


def test_probe_refuses_fast_math_at_the_link_alone() -> None:
    """Then the start-up code flushes subnormals in a program whose sources were built strictly."""
    processor_needs({"sse2"})
    gcc = usable("gcc-O2")
    finished = run_process(("gcc", "-print-file-name=crtfastmath.o"), folder=Path.cwd(), timeout=60)
    start_up = finished.stdout.strip()
    if not Path(start_up).is_absolute():
        pytest.skip("this gcc has no crtfastmath.o")
    target = replace(gcc, name="gcc-ftz", flags=("-O2", *STRICT), link_flags=(start_up,))
    failure = failure_of(tiny_project(), target)
    assert failure.kind == "probe"
    assert "subnormals" in failure.message
