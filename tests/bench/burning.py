"""A project written by hand whose two layers do what a test says: its kernels are of the test's own C."""

from __future__ import annotations

import numpy as np

from ares.ir import Binary, DType, Port, Project, TracePoint
from ares.resources import runtime_dir
from ares.toolchain import Target, build
from ares.toolchain.bench import CLOCK, Counter, Measured, bench_project, counter, measure

_RUNTIME = (
    *("inc/executor.h", "inc/layer_descriptors.h", "inc/status.h", "inc/symbols.h"),
    *("src/executor.c", "trace/trace.h", "trace/stack_unknown.c", "trace/trace_io.h"),
    *("trace/trace_line.c", "trace/trace_line.h", "trace/trace_stdio.c", "trace/trace.c"),
)
NETWORK = """\
#include "net/burning.h"
#include <string.h>

ares_status first(const void *params, const void *const *inputs, void *const *outputs,
                  void *scratch);
ares_status second(const void *params, const void *const *inputs, void *const *outputs,
                   void *scratch);
@before@
ares_status first(const void *params, const void *const *inputs, void *const *outputs,
                  void *scratch)
{
    (void)params;
    (void)scratch;
    memcpy(outputs[0], inputs[0], 4);
    return ARES_OK;
}

ares_status second(const void *params, const void *const *inputs, void *const *outputs,
                   void *scratch)
{
    (void)params;
    (void)scratch;
    @planted@
    memcpy(outputs[0], inputs[0], 4);
    return ARES_OK;
}

static const uint16_t x[] = {0}, hidden[] = {1}, y[] = {2};
static const ares_tensor tensors[] = {
    {.name = "x", .elements = 4, .space = ARES_SPACE_INPUT, .dtype = ARES_S8},
    {.name = "hidden", .elements = 4, .space = ARES_SPACE_ARENA, .dtype = ARES_S8},
    {.name = "y", .position = 16, .elements = 4, .space = ARES_SPACE_ARENA, .dtype = ARES_S8},
};
static const ares_layer layers[] = {
    {.name = "one", .kernel = first, .inputs = x, .outputs = hidden, .num_inputs = 1,
     .num_outputs = 1, .observed = 1},
    {.name = "two", .kernel = second, .inputs = hidden, .outputs = y, .num_inputs = 1,
     .num_outputs = 1, .observed = 1},
};
const ares_network burning_network = {.name = "burning", .tensors = tensors, .layers = layers,
                                      .outputs = y, .num_layers = 2, .num_outputs = 1,
                                      .num_tensors = 3};
"""
HEADER = '#include "executor.h"\nextern const ares_network burning_network;\n'
MAIN = """\
#include "net/burning.h"
#include "trace.h"
@before@
static _Alignas(16) unsigned char arena[32];
static int8_t x[4], y[4];
static const ares_trace_port inputs[] = {{4, ARES_S8}}, outputs[] = {{4, ARES_S8}};
static void *const input_buffers[] = {x}, *const output_buffers[] = {y};
static uint32_t last_use[3];
static uint16_t live[3];

int main(int argc, char **argv)
{
    static const ares_trace_subject subject = {
        .signature = ARES_SIGNATURE, .network = &burning_network, .arena = arena,
        .arena_bytes = sizeof arena, .num_inputs = 1, .num_outputs = 1, .inputs = inputs,
        .outputs = outputs, .input_buffers = input_buffers, .output_buffers = output_buffers,
        .last_use = last_use, .live = live};
    @planted@
    return ares_trace_main(argc, argv, &subject, NULL);
}
"""
INPUT = np.array([[1, -2, 127, -128]], np.int8)


def nops(count: int) -> str:
    """C of so many instructions, on every processor of ours."""
    return f'__asm__ volatile(".rept {count}\\n\\tnop\\n\\t.endr");'


def project(
    planted: str = "", before: str = "", in_main: str = "", before_main: str = ""
) -> Project:
    """The network, with C planted into its second kernel or into its main program."""
    files = {f"runtime/{name}": (runtime_dir() / name).read_bytes() for name in _RUNTIME}
    network = NETWORK.replace("@planted@", planted).replace("@before@", before)
    main = MAIN.replace("@planted@", in_main).replace("@before@", before_main)
    files |= {"net/burning.h": HEADER.encode(), "burning.c": network.encode()}
    files["main.c"] = main.encode()
    points = [("one", "hidden"), ("two", "y")]
    return Project(
        name="burning",
        files=files,
        sources=("burning.c",),
        main="main.c",
        inputs=(Port("x", DType.S8, (1, 4)),),
        outputs=(Port("y", DType.S8, (1, 4)),),
        points=tuple(
            TracePoint(number, layer, "OP_RESHAPE", tensor, DType.S8, (1, 4), (0, 1))
            for number, (layer, tensor) in enumerate(points)
        ),
    )


def built(target: Target, network: Project) -> tuple[Binary, Project]:
    """The bench of a network, and the project it was made of."""
    counts = counter(target.machine)
    benched = bench_project(network, counts if isinstance(counts, Counter) else CLOCK)
    return build(benched, target), benched


def measured(target: Target, network: Project, rounds: int = 1, runs: int = 1) -> Measured:
    """What a network shows on a target."""
    binary, benched = built(target, network)
    counts = counter(target.machine)
    assert isinstance(counts, Counter)
    return measure(
        *(binary, benched, target, counts, [INPUT]), rounds=rounds, runs=runs, timeout=300
    )
