"""A run shows every layer as it was computed, and nothing is taken for a pass that is not one."""

import errno
import importlib
import pickle
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ares.emit import emit
from ares.ir import DType, Graph, Port, Tensor, constant, trace_digest
from ares.ops.requantize import Requantize
from ares.plan import plan
from ares.toolchain import RunFailure, Target, ToolchainError, build, default_targets, dump, run
from ares.toolchain.process import run_process
from tests.toolchain.fake_tools import tool
from tests.toolchain.tiny_network import (
    IGNORE,
    any_target,
    case,
    failure_of,
    oracle,
    run_one,
    scripted_project,
    tiny_project,
    usable,
)

# What is built everywhere, and a machine that is big-endian.
EVERY_ORDER = [*(target.name for target in default_targets()), "s390x-gcc-O2"]
CASES = [(1, 2, 3, 4), (-128, 127, -128, 127), (0, 0, 0, 0), (1, -1, 0, 0), (7, 3, -5, 20)]

# --- what is right passes


@pytest.mark.parametrize("name", EVERY_ORDER)
def test_every_layer_is_shown_on_every_target(name: str) -> None:
    target, project = usable(name), tiny_project()
    binary = build(project, target)
    traces = run(binary, project, [case(*values) for values in CASES])
    reached = set()
    for values, trace in zip(CASES, traces, strict=True):
        hidden, y = oracle(values)
        reached.update(hidden)
        assert trace.tensors["hidden"].tolist() == [hidden]
        assert trace.tensors["y"].tolist() == [y]
        assert trace.outputs[0].tolist() == [y]
        assert trace.outputs[0].dtype == np.int8
        assert trace.digests["y"] == trace_digest(np.array(y, np.int8).tobytes())
    assert {-128, 127} <= reached  # both clips
    assert binary.signature in " ".join(binary.commands[-1])
    assert binary.compiler.startswith(target.family)


@pytest.mark.parametrize("name", EVERY_ORDER)
def test_two_passes_find_what_one_shows(name: str) -> None:
    """Digests first, then one tensor of one case."""
    target, project = usable(name), tiny_project()
    binary, cases = build(project, target), [case(*values) for values in CASES]
    full = run(binary, project, cases, target=target)
    digests = run(binary, project, cases, mode="digests", target=target)
    for whole, short in zip(full, digests, strict=True):
        assert short.digests == whole.digests
        assert short.output_digests == whole.output_digests == (whole.digests["y"],)
        assert not short.tensors
        assert short.outputs == ()
        assert short.stack is whole.stack is None
    for number, trace in enumerate(full):
        for index, point in enumerate(project.points):
            found = dump(binary, project, cases, number, index, target=target)
            assert found.dtype == np.int8
            assert found.tolist() == trace.tensors[point.tensor].tolist()


def test_a_dump_ends_with_its_tensor() -> None:
    """The layer behind it may crash; the cases before it are not run at all."""
    target = any_target()
    project = tiny_project(
        f"{IGNORE} if (*(const int8_t *)inputs[0] != 9) {{ abort(); }} return ARES_OK;"
    )
    binary, cases = build(project, target), [case(*values) for values in CASES]
    assert dump(binary, project, cases, 3, 0).tolist() == [oracle(CASES[3])[0]]
    with pytest.raises(
        RunFailure, match=r"crash: ended by SIGABRT, before 'layer 1 body.fc2 y' of case 3"
    ):
        dump(binary, project, cases, 3, 1)


@pytest.mark.parametrize(("number", "point"), [(5, 0), (-1, 0), (0, 2), (0, -1)])
def test_a_dump_of_what_there_is_not(number: int, point: int) -> None:
    target, project = any_target(), tiny_project()
    binary, cases = build(project, target), [case(*values) for values in CASES]
    with pytest.raises(ToolchainError, match=f"tiny: there is no tensor {point} of case {number}"):
        dump(binary, project, cases, number, point)


def test_hundreds_of_inputs_and_outputs() -> None:
    count = 400
    table = constant(np.arange(256), np.uint8)
    names = [(f"x{index}", f"y{index}") for index in range(count)]
    graph = Graph(
        "wide",
        tuple(Tensor(name, (1, 3), DType.S8, 0.5, 0, -128, 127) for pair in names for name in pair),
        tuple(Requantize(y, (x,), (y,), table=table) for x, y in names),
        tuple(x for x, _ in names),
        tuple(y for _, y in names),
    ).validate()
    project, target = emit(plan(graph)), any_target()
    arrays = [np.array([[index % 128, -index % 128, 7]], np.int8) for index in range(count)]
    (trace,) = run(build(project, target), project, [arrays])
    for array, output in zip(arrays, trace.outputs, strict=True):
        assert output.tolist() == array.tolist()
    assert len(trace.output_digests) == len(trace.tensors) == count


def test_outputs_mode_shows_outputs_alone() -> None:
    target, project = any_target(), tiny_project()
    draws = np.random.Generator(np.random.Philox(1)).integers(-128, 128, (500, 1, 4), np.int8)
    traces = run(build(project, target), project, [[draw] for draw in draws], mode="outputs")
    assert all(not trace.tensors and not trace.digests for trace in traces)
    found = [trace.outputs[0][0].tolist() for trace in traces]
    assert found == [oracle(draw[0].tolist())[1] for draw in draws]


@pytest.mark.parametrize("name", EVERY_ORDER)
def test_every_element_type_passes_unchanged(name: str) -> None:
    target = usable(name)
    ports = {
        "s8": (np.int8, [-128, 127, 3]),
        "u8": (np.uint8, [255, 0, 128]),
        "s16": (np.int16, [-32768, 32767, 258]),
        "s32": (np.int32, [-(2**31), 2**31 - 1, 66051]),
        "f32": (np.float32, [-0.0, np.inf, 0.1]),
    }
    rows = ", ".join(f'{{"t{i}", {i}, 3, ARES_SPACE_INPUT, ARES_S8, NULL}}' for i in range(5))
    buffers = "".join(f"static uint32_t in{i}[3], out{i}[3];\n" for i in range(5))
    places = ", ".join(f"{{3, ARES_{kind.upper()}}}" for kind in ports)
    inputs, outputs = (", ".join(f"{way}{i}" for i in range(5)) for way in ("in", "out"))
    project = tiny_project(
        main=f"""\
#include "trace.h"
#include <string.h>
{buffers}
static _Alignas(16) unsigned char arena[80];
static const ares_trace_port ports[] = {{{places}}};
static void *const inputs[] = {{{inputs}}};
static void *const outputs[] = {{{outputs}}};
static uint32_t last_use[10];
static uint16_t live[10];
static ares_status copy(const void *p, const void *const *in, void *const *out, void *scratch)
{{
    (void)p;
    (void)scratch;
    for (int i = 0; i < 5; ++i) {{
        memcpy(out[i], in[i], i < 2 ? 3 : i == 2 ? 6 : 12);
    }}
    return ARES_OK;
}}
static const ares_tensor tensors[] = {{{rows},
    {{"o0", 0, 3, ARES_SPACE_ARENA, ARES_S8, NULL}}, {{"o1", 16, 3, ARES_SPACE_ARENA, ARES_U8, NULL}},
    {{"o2", 32, 3, ARES_SPACE_ARENA, ARES_S16, NULL}}, {{"o3", 48, 3, ARES_SPACE_ARENA, ARES_S32, NULL}},
    {{"o4", 64, 3, ARES_SPACE_ARENA, ARES_F32, NULL}}}};
static const uint16_t from[] = {{0, 1, 2, 3, 4}}, to[] = {{5, 6, 7, 8, 9}};
static const ares_layer layers[] = {{{{OP_ADD, "copy", copy, NULL, from, to, 5, 5, 1, 0, 0, NULL, 0}}}};
static const ares_network network = {{"copy", tensors, layers, to, 1, 5, 10}};
int main(int argc, char **argv)
{{
    const ares_trace_subject subject = {{ARES_SIGNATURE, &network, arena, sizeof arena, 5, 5,
                                        ports, ports, inputs, outputs, last_use, live}};
    return ares_trace_main(argc, argv, &subject);
}}
"""
    )
    project = replace(
        project,
        inputs=tuple(Port(f"in{i}", DType(kind), (3,)) for i, kind in enumerate(ports)),
        outputs=tuple(Port(f"out{i}", DType(kind), (3,)) for i, kind in enumerate(ports)),
        points=(),
    )
    arrays = [np.array(values, dtype) for dtype, values in ports.values()]
    (trace,) = run(build(project, target), project, [arrays], mode="outputs")
    for array, output in zip(arrays, trace.outputs, strict=True):
        assert output.dtype == array.dtype
        assert output.tobytes() == array.tobytes()


def test_memory_that_no_kernel_wrote_shows() -> None:
    trace = run_one(tiny_project(f"{IGNORE} return ARES_OK;"), any_target())
    assert trace.outputs[0].view(np.uint8).tolist() == [[0xA5, 0xA5]]


# --- what is wrong is refused, by name

Y = bytes([3, 4])
HIDDEN = bytes([0, 1, 2])
GOOD = [
    "ares-trace 2 @signature@\\n",
    f"byte order {sys.byteorder}\\n",
    "probe ok\\n",
    "case 0\\n",
    f"layer 0 body.fc1 hidden {trace_digest(HIDDEN)}\\n",
    f"layer 1 body.fc2 y {trace_digest(Y)}\\n",
    f"output 0 {trace_digest(Y)}\\n",
    "end 1\\n",
]
BYTES = HIDDEN + Y + Y
OTHER = "big" if sys.byteorder == "little" else "little"

FAULTS = [
    ("wrong signature", "signature", ["ares-trace 2 0000\\n", *GOOD[1:]], BYTES, 0),
    ("wrong signature, then a crash", "signature", ["ares-trace 2 0000\\n"], b"", 9),
    ("another protocol", "malformed", ["ares-trace 1 @signature@\\n", *GOOD[1:]], BYTES, 0),
    ("nothing at all", "truncated", [], b"", 0),
    ("probe", "probe", [*GOOD[:2], "probe failed contraction\\n"], b"", 3),
    ("probe, then more", "malformed", [*GOOD[:2], "probe failed contraction\\n"], b"", 0),
    ("another byte order", "byte order", [GOOD[0], f"byte order {OTHER}\\n", *GOOD[2:]], BYTES, 0),
    ("another byte order, then a crash", "byte order", [GOOD[0], f"byte order {OTHER}\\n"], b"", 9),
    ("no byte order", "malformed", [GOOD[0], *GOOD[2:]], BYTES, 0),
    ("a byte order there is not", "malformed", [GOOD[0], "middle\\n", *GOOD[2:]], BYTES, 0),
    ("a stack where none is measured", "malformed", [*GOOD[:-1], "stack 9\\n", GOOD[-1]], BYTES, 0),
    ("no space for its output", "disk full", GOOD[:4], BYTES, 7),
    ("exit code", "crash", GOOD, BYTES, 1),
    ("exit code 256 errors wide", "crash", GOOD, BYTES, 255),
    ("no end", "truncated", GOOD[:-1], BYTES, 0),
    ("half a line", "truncated", [*GOOD[:-1], "end"], BYTES, 0),
    ("a layer is missing", "malformed", [*GOOD[:4], *GOOD[5:]], BYTES, 0),
    ("layers swapped", "malformed", [*GOOD[:4], GOOD[5], GOOD[4], *GOOD[6:]], BYTES, 0),
    ("a layer too many", "malformed", [*GOOD[:6], GOOD[5], *GOOD[6:]], BYTES, 0),
    ("another layer's name", "malformed", [line.replace("fc2", "fc3") for line in GOOD], BYTES, 0),
    ("no digest", "malformed", [*GOOD[:4], "layer 0 body.fc1 hidden \\n", *GOOD[5:]], BYTES, 0),
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
    with pytest.raises(RunFailure, match=f"says 'ares-trace 2 {stale.signature}'") as caught:
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


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ([], "0 arrays for 1 inputs"),
        ([np.zeros((4,), np.int8)], r"shape \(4,\), expected \(1, 4\)"),
        ([np.array([[0, 0, 0, 128]])], "cannot hold exactly"),
        ([np.array([[0.0, 0.0, 0.0, 1.0]])], "float64 values, expected s8"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(arrays: list[np.ndarray], words: str) -> None:
    target, project = any_target(), tiny_project()
    with pytest.raises(ToolchainError, match=f"tiny, case 0.*{words}"):
        run(build(project, target), project, [arrays])


def test_no_case_is_refused() -> None:
    with pytest.raises(ToolchainError, match="there is no case"):
        run(build(tiny_project(), any_target()), tiny_project(), [])


def test_wider_integers_that_fit_are_taken() -> None:
    target, project = any_target(), tiny_project()
    (trace,) = run(build(project, target), project, [[np.array([[1, 2, 3, 4]])]])
    assert trace.outputs[0].tolist() == [oracle((1, 2, 3, 4))[1]]


@pytest.mark.parametrize(
    ("arguments", "data", "code", "words"),
    [
        ((), b"", 2, "usage"),
        (("input", "output", "some"), bytes(4), 2, "usage"),
        (("input", "output", "full "), bytes(4), 2, "usage"),
        (("input", "output", "dump"), bytes(4), 2, "usage"),
        (("input", "output", "dump:"), bytes(4), 2, "usage"),
        (("input", "output", "dump:0"), bytes(4), 2, "usage"),
        (("input", "output", "dump:0:"), bytes(4), 2, "usage"),
        (("input", "output", "dump:-1:0"), bytes(4), 2, "usage"),
        (("input", "output", "dump:0:0x"), bytes(4), 2, "usage"),
        (("input", "output", "dump:0:4294967296"), bytes(4), 2, "usage"),
        (("input", "output", "dump:0:4294967295"), bytes(4), 2, "no observed tensor"),
        (("input", "output", "dump:1:0"), bytes(4), 2, "no case of that number"),
        (("input", "output", "digests"), bytes(5), 4, "not a whole number of cases"),
        (("absent", "output", "full"), b"", 4, "cannot open INPUT absent"),
        (("input", "output", "full"), b"", 4, "INPUT holds no case"),
        (("input", "output", "full"), bytes(7), 4, "not a whole number of cases"),
        (("input", "absent/output", "full"), bytes(4), 5, "cannot open OUTPUT"),
        (("input", "/dev/full", "full"), bytes(4), 7, "cannot write OUTPUT"),
    ],
)
def test_exit_codes_of_the_program(
    tmp_path: Path, arguments: tuple[str, ...], data: bytes, code: int, words: str
) -> None:
    binary = build(tiny_project(), any_target())
    (tmp_path / "input").write_bytes(data)
    finished = run_process((str(binary.path), *arguments), folder=tmp_path, timeout=60)
    assert finished.code == code
    assert words in finished.stderr
    assert finished.stdout.startswith(f"ares-trace 2 {binary.signature}\n")
    assert "end " not in finished.stdout


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
