"""A run shows every layer as it was computed, in each of its modes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ares.emit import emit
from ares.ir import DType, Graph, Port, Tensor, frozen_array, trace_digest
from ares.ops.requantize import Requantize
from ares.plan import plan
from ares.toolchain import RunFailure, ToolchainError, build, default_targets, dump, run
from ares.toolchain.process import run_process
from tests.slow import slow_but
from tests.toolchain.tiny_network import (
    IGNORE,
    any_target,
    case,
    oracle,
    run_one,
    tiny_project,
    usable,
)

# What is built everywhere, and a machine that is big-endian.
EVERY_ORDER = [*(target.name for target in default_targets()), "s390x-gcc-O2"]
# Which builds a C library first.
WITHOUT_ZIG = [place for place, name in enumerate(EVERY_ORDER) if "zig" not in name]
CASES = [(1, 2, 3, 4), (-128, 127, -128, 127), (0, 0, 0, 0), (1, -1, 0, 0), (7, 3, -5, 20)]

# --- what is right passes


@pytest.mark.parametrize("name", slow_but(WITHOUT_ZIG, EVERY_ORDER))
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
    assert binary.recipe.signature in " ".join(binary.recipe.commands[-1])
    assert binary.recipe.compiler.startswith(target.family)


@pytest.mark.parametrize("name", slow_but(WITHOUT_ZIG, EVERY_ORDER))
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
    table = frozen_array(np.arange(256), np.uint8)
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
    return ares_trace_main(argc, argv, &subject, NULL);
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


# --- calls that make no sense


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
    assert finished.stdout.startswith(f"ares-trace 3 {binary.recipe.signature}\n")
    assert "end " not in finished.stdout
