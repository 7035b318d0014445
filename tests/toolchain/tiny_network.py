"""A project written by hand: two linear layers, and places to plant faults.

`tiny_project()` is a good network. `kernel` replaces the second layer's kernel by C text of the test's own, `main`
the whole tracing program, so that a test decides what is computed, printed and written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from ares.ir import DType, Port, Project, Trace, TracePoint
from ares.resources import runtime_dir
from ares.toolchain import RunFailure, Target, build, default_targets, run, select

WEIGHT_1 = np.array([[1, -2, 3, 4], [-5, 6, -7, 8], [9, 10, -11, -12]], np.int64)
WEIGHT_2 = np.array([[1, -1, 2], [-3, 2, 1]], np.int64)

HEADER = """\
#ifndef TINY_H
#define TINY_H
#include "executor.h"
#define TINY_ARENA_BYTES 48
extern const ares_network tiny_network;
#endif
"""

NETWORK = """\
#include "net/tiny.h"
#include "linear.h"
#include <string.h>
#if __STDC_HOSTED__ /* boards have no such header */
#include <stdlib.h>
#endif

static const int32_t multiplier[1] = {1};
static const int64_t offset[1] = {1};
static const uint8_t shift[1] = {1};
#define RESCALE {multiplier, offset, shift, NULL, 0, 0, 0, -128, 127}
static const int8_t weight_1[12] = {1, -2, 3, 4, -5, 6, -7, 8, 9, 10, -11, -12};
static const int8_t weight_2[8] = {1, -1, 2, 0, -3, 2, 1, 0};
static const ares_linear_params params_1 = {1, 4, 3, 1, weight_1, RESCALE};
static const ares_linear_params params_2 = {1, 3, 2, 1, weight_2, RESCALE};

ares_status planted(const void *params, const void *const *inputs, void *const *outputs,
                    void *scratch);
ares_status planted(const void *params, const void *const *inputs, void *const *outputs,
                    void *scratch)
{
    @kernel@
}

static const uint16_t x[] = {0}, hidden[] = {1}, y[] = {2};
static const ares_tensor tensors[] = {
    {"x", 0, 4, ARES_SPACE_INPUT, ARES_S8, NULL},
    {"hidden", 0, 3, ARES_SPACE_ARENA, ARES_S8, NULL},
    {"y", 32, 2, ARES_SPACE_ARENA, ARES_S8, NULL},
};
static const ares_layer layers[] = {
    {OP_LINEAR_INT8, "body.fc1", ares_linear, &params_1, x, hidden, 1, 1, 1, 0, 0, NULL, 0},
    {OP_LINEAR_INT8, "body.fc2", planted, &params_2, hidden, y, 1, 1, 1, 16, 16, NULL, 0},
};
const ares_network tiny_network = {"tiny", tensors, layers, y, 2, 1, 3};
"""

GOOD_KERNEL = "return ares_linear(params, inputs, outputs, scratch);"
IGNORE = "(void)params; (void)inputs; (void)outputs; (void)scratch;"

MAIN = """\
#include "net/tiny.h"
#include "trace.h"
#ifndef ARES_SIGNATURE
#define ARES_SIGNATURE "unsigned"
#endif
static _Alignas(16) unsigned char arena[TINY_ARENA_BYTES];
static int8_t x[4], y[2];
static const ares_trace_port inputs[] = {{4, ARES_S8}}, outputs[] = {{2, ARES_S8}};
static void *const input_buffers[] = {x}, *const output_buffers[] = {y};
static uint32_t last_use[3];
static uint16_t live[3];

int main(int argc, char **argv)
{
    const ares_trace_subject subject = {ARES_SIGNATURE, &tiny_network, arena, sizeof arena, 1, 1,
                                        inputs, outputs, input_buffers, output_buffers,
                                        last_use, live};
    return ares_trace_main(argc, argv, &subject, NULL);
}
"""

RUNTIME = (
    *("inc/*.h", "src/executor.c", "src/float_probe.c", "src/linear.c", "src/micro*.c"),
    *("trace/arena_watch.c", "trace/stack_unknown.c", "trace/trace*.c", "trace/*.h"),
)


def tiny_project(
    kernel: str = GOOD_KERNEL, main: str = MAIN, changes: Mapping[str, bytes] | None = None
) -> Project:
    root = runtime_dir()
    paths = [path for pattern in RUNTIME for path in root.glob(pattern)]
    files = {f"runtime/{path.relative_to(root).as_posix()}": path.read_bytes() for path in paths}
    files["net/tiny.h"] = HEADER.encode()
    files["tiny.c"] = NETWORK.replace("@kernel@", kernel).encode()
    files["main.c"] = main.encode()
    files.update(changes or {})
    return Project(
        name="tiny",
        files=files,
        sources=("tiny.c",),
        main="main.c",
        inputs=(Port("x", DType.S8, (1, 4)),),
        outputs=(Port("y", DType.S8, (1, 2)),),
        points=(
            TracePoint(0, "body.fc1", "OP_LINEAR_INT8", "hidden", DType.S8, (1, 3), (0, 1)),
            TracePoint(1, "body.fc2", "OP_LINEAR_INT8", "y", DType.S8, (1, 2), (0, 1)),
        ),
    )


def scripted_project(lines: Sequence[str], output: bytes, code: int = 0) -> Project:
    """A program that ignores its input, prints these lines, writes these bytes and ends.

    `@signature@` in a line stands for the right one.
    """
    prints = "\n".join(
        f'    fputs("{line}", stdout);'.replace("@signature@", '" ARES_SIGNATURE "')
        for line in lines
    )
    array = ", ".join(map(str, output)) or "0"
    return tiny_project(
        main=f"""\
#include <stdio.h>
int main(int argc, char **argv)
{{
    static const unsigned char bytes[] = {{{array}}};
    FILE *const file = fopen(argv[argc - 2], "wb");
    if (file == NULL || fwrite(bytes, 1, {len(output)}, file) != {len(output)}) {{
        return 99;
    }}
    fclose(file);
{prints}
    return {code};
}}
"""
    )


def oracle(x: Sequence[int]) -> tuple[list[int], list[int]]:
    """The two layers in Python's integers: round(sum / 2) half to even, limited to a signed byte."""
    hidden = [_code(sum(int(w) * v for w, v in zip(row, x, strict=True))) for row in WEIGHT_1]
    return hidden, [
        _code(sum(int(w) * v for w, v in zip(row, hidden, strict=True))) for row in WEIGHT_2
    ]


def _code(total: int) -> int:
    half, odd = divmod(total, 2)
    return max(-128, min(127, half + (odd and half % 2)))


def usable(name: str) -> Target:
    """A target of the table; skips the test, saying why, where it is not installed."""
    (target,) = select([name])
    reason = target.missing()
    if reason is not None:
        pytest.skip(reason)
    return target


def any_target() -> Target:
    """The first compiler there is: for tests that are not about compilers."""
    return next(target for target in default_targets() if target.missing() is None)


def portable_target() -> Target:
    """Where the micro-kernels in C run: for faults that are planted in those, which other targets pass by."""
    return usable("gcc-portable")


def case(*values: int) -> list[np.ndarray]:
    return [np.array([values], np.int8)]


def run_one(project: Project, target: Target, **options: Any) -> Trace:
    binary = build(project, target)
    (trace,) = run(binary, project, [case(1, 2, 3, 4)], target=target, **options)
    return trace


def failure_of(project: Project, target: Target, **options: Any) -> RunFailure:
    with pytest.raises(RunFailure) as caught:
        run_one(project, target, **options)
    return caught.value
