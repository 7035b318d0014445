"""Mistakes with the arena show: past an operand, in dead memory, in memory that nobody wrote, and there is no heap.

Every mistake is planted in the second of three layers, or in the plan around it. Sanitizers report it; a plain
build shows other integers, because what holds no live tensor is poison.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ares.emit import emit
from ares.ir import DType, Graph, Port, Project, Tensor, TracePoint, frozen_array
from ares.ops.concat import Concat
from ares.ops.requantize import Requantize
from ares.plan import Space, plan
from ares.resources import runtime_dir
from ares.toolchain import RunFailure, Target, build, run
from ares.toolchain.process import run_process
from tests.slow import one_in
from tests.toolchain.tiny_network import tiny_project, usable

POISON = -91  # 0xA5

# Three layers of 16 bytes each: y[i] = x[i] + 1. Memory: 16 bytes before, between and behind the buffers are nobody's.
NETWORK = """\
#include "trace.h"
#include <string.h>
#ifndef ARES_SIGNATURE
#define ARES_SIGNATURE "unsigned"
#endif

static const int8_t *kept; /* where an earlier layer's input was */

static ares_status plus_one(const void *params, const void *const *inputs, void *const *outputs,
                            void *scratch)
{
    const int8_t *const x = (const int8_t *)inputs[0];
    int8_t *const y = (int8_t *)outputs[0];
    (void)params;
    (void)scratch;
    kept = kept == NULL ? y : kept;
    for (int i = 0; i < 16; ++i) {
        y[i] = (int8_t)(x[i] + 1);
    }
    return ARES_OK;
}

static ares_status planted(const void *params, const void *const *inputs, void *const *outputs,
                           void *scratch)
{
    const int8_t *const x = (const int8_t *)inputs[0];
    int8_t *const y = (int8_t *)outputs[0];
    const ares_status status = plus_one(params, inputs, outputs, scratch);
    (void)x;
    (void)y;
    @planted@
    return status;
}

static const ares_tensor tensors[] = {
    {"x", 0, 16, ARES_SPACE_INPUT, ARES_S8, NULL},
    {"a", 16, 16, ARES_SPACE_ARENA, ARES_S8, NULL},
    {"b", 48, 16, ARES_SPACE_ARENA, ARES_S8, NULL},
    {"c", @c@, 16, ARES_SPACE_ARENA, ARES_S8, NULL},
    {"d", 112, 16, ARES_SPACE_ARENA, ARES_S8, NULL},
    {"other", 16, 16, ARES_SPACE_ARENA, ARES_S8, NULL},
};
static const uint16_t x[] = {0}, a[] = {1}, b[] = {2}, c[] = {3}, d[] = {4};
static const uint16_t read_by_last[] = {@last@};
static const ares_layer layers[] = {
    {OP_ADD, "first", plus_one, NULL, x, a, 1, 1, 1, 0, 0, NULL, 0},
    {OP_ADD, "second", plus_one, NULL, a, b, 1, 1, @observed@, 0, 0, NULL, 0},
    {OP_ADD, "third", planted, NULL, b, c, 1, 1, 1, 144, 16, NULL, 0},
    {OP_ADD, "fourth", plus_one, NULL, read_by_last, d, 1, 1, 1, 0, 0, NULL, 0},
};
static const ares_network network = {"chain", tensors, layers, d, 4, 1, 6};

static _Alignas(16) unsigned char arena[176];
static int8_t in[16], out[16];
static const ares_trace_port port[] = {{16, ARES_S8}};
static void *const input_buffers[] = {in}, *const output_buffers[] = {out};
static uint32_t last_use[6];
static uint16_t live[6];

int main(int argc, char **argv)
{
    const ares_trace_subject subject = {ARES_SIGNATURE, &network, arena, sizeof arena, 1, 1,
                                        port, port, input_buffers, output_buffers,
                                        last_use, live};
    return ares_trace_main(argc, argv, &subject, NULL);
}
"""

X = np.arange(16, dtype=np.int8)


def chain(planted: str = "", *, c: int = 80, last: int = 3, observed: bool = True) -> Project:
    """Four layers in a row. `c` is the third tensor's place, `last` the tensor that the fourth layer reads."""
    text = NETWORK.replace("@planted@", planted).replace("@c@", str(c)).replace("@last@", str(last))
    names = [(0, "first", "a"), (1, "second", "b"), (2, "third", "c"), (3, "fourth", "d")]
    return replace(
        tiny_project(main=text.replace("@observed@", str(int(observed)))),
        sources=(),
        inputs=(Port("x", DType.S8, (16,)),),
        outputs=(Port("d", DType.S8, (16,)),),
        points=tuple(
            TracePoint(number, layer, "OP_ADD", tensor, DType.S8, (16,), (0,))
            for number, layer, tensor in names
            if observed or layer != "second"
        ),
    )


def shown(project: Project, target: Target) -> dict[str, list[int]]:
    """The layers that do not show what they should: name -> elements."""
    (trace,) = run(build(project, target), project, [[X]], target=target)
    right = {"a": X + 1, "b": X + 2, "c": X + 3, "d": X + 4}
    return {
        name: found.tolist()
        for name, found in trace.tensors.items()
        if not np.array_equal(found, right[name])
    }


def report(project: Project, target: Target) -> RunFailure:
    with pytest.raises(RunFailure) as caught:
        run(build(project, target), project, [[X]], target=target)
    assert caught.value.kind == "sanitizer", caught.value
    return caught.value


@pytest.fixture
def plain() -> Target:
    return usable("gcc-O2")


@pytest.fixture
def asan() -> Target:
    return usable("gcc-asan")


@pytest.fixture
def msan() -> Target:
    return usable("clang-msan")


EVERY = ["gcc-O2", "gcc-asan", "clang-msan", "clang-asan"]


@pytest.mark.parametrize("observed", [True, False])
@pytest.mark.parametrize("name", EVERY)
def test_the_network_without_a_mistake_passes(name: str, observed: bool) -> None:
    """Twice, so that what the first run leaves behind is no mistake of the second."""
    target, project = usable(name), chain(observed=observed)
    binary = build(project, target)
    for trace in run(binary, project, [[X], [X]], target=target):
        assert np.array_equal(trace.outputs[0], X + 4)
    for trace in run(binary, project, [[X], [X]], mode="outputs", target=target):
        assert np.array_equal(trace.outputs[0], X + 4)


# What the kernel of `third` does, and the layer that then shows it in a plain build. It may touch b (48 to 63),
# c (80 to 95) and its scratch memory (144 to 159).
MISTAKES = {
    "reads past its input": ("y[0] = x[16];", "c"),
    "reads before its input": ("y[0] = x[-1];", "c"),
    "reads before its input, far": ("y[0] = x[-32];", "c"),
    "reads a buffer that is stale": ("y[0] = kept[0];", "c"),
    "reads past its scratch memory": ("y[0] = ((const int8_t *)scratch)[16];", "c"),
}
WRITES = {
    "writes past its output": "y[16] = 1;",
    "writes before its output": "y[-1] = 1;",
    "writes the next layer's output": "y[32] = 1;",
    "writes a dead buffer": "((int8_t *)(uintptr_t)kept)[0] = 1;",
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_plain_build_shows_another_integer(plain: Target, mistake: str) -> None:
    """Poison, where a naive run of the network would have left a plausible number."""
    statement, where = MISTAKES[mistake]
    wrong = shown(chain(statement), plain)
    assert set(wrong) == {where, "d"}
    assert wrong[where][0] == POISON


@pytest.mark.parametrize("compiler", ["gcc-asan", "clang-asan"])
@pytest.mark.parametrize("mistake", one_in(3, [*MISTAKES, *WRITES]))
def test_address_sanitizer_names_the_layer(compiler: str, mistake: str) -> None:
    statement = MISTAKES[mistake][0] if mistake in MISTAKES else WRITES[mistake]
    failure = report(chain(statement), usable(compiler))
    assert "AddressSanitizer: use-after-poison" in failure.message
    assert "before 'layer 2 third c' of case 0" in failure.message
    assert ("READ of size 1" if mistake in MISTAKES else "WRITE of size 1") in failure.report


def test_scratch_memory_and_operands_may_be_used(asan: Target) -> None:
    whole = "memset(scratch, 7, 16); memcpy(y, x, 16); memset(y, ((int8_t *)scratch)[15], 16);"
    again = "return plus_one(params, inputs, outputs, scratch);"
    assert shown(chain(f"{whole} {again}"), asan) == {}


def test_unobserved_layers_share_the_window_of_the_next(asan: Target) -> None:
    """The second layer and the third run in one go: what either may touch, both may, but nothing else."""
    assert shown(chain("y[0] = kept[0] == 1 ? y[0] : 99;", observed=False), asan) == {}
    failure = report(chain("y[32] = 1;", observed=False), asan)
    assert "before 'layer 2 third c' of case 0" in failure.message


@pytest.mark.parametrize("mistake", MISTAKES)
def test_memory_sanitizer_knows_what_nobody_wrote(msan: Target, mistake: str) -> None:
    failure = report(chain(MISTAKES[mistake][0]), msan)
    assert "MemorySanitizer: use-of-uninitialized-value" in failure.message
    assert "'layer 2 third c' of case 0" in failure.message


# --- mistakes of the plan


def test_a_tensor_that_nobody_made(plain: Target, asan: Target, msan: Target) -> None:
    """The fourth layer reads `other`: the memory of `a`, which died after the second layer."""
    project = chain(last=5)
    assert shown(project, plain) == {"d": [POISON + 1] * 16}
    assert "MemorySanitizer" in report(project, msan).message
    # Its operands may be touched, so here the address sanitizer has nothing to say: the poison speaks.
    assert shown(project, asan) == {"d": [POISON + 1] * 16}


def test_memory_of_two_names_lives_with_the_last(plain: Target, msan: Target) -> None:
    """`c` in the memory of `a`, which is dead by then, is no mistake."""
    for target in (plain, msan):
        assert shown(chain(c=16), target) == {}


def test_memory_given_away_too_early_shows(plain: Target) -> None:
    """`c` over `b` in part: the kernel reads what it has already overwritten."""
    wrong = shown(chain(c=50), plain)
    assert set(wrong) == {"c", "d"}


# --- guards around the buffers of a plan


def _planned(guard: int) -> Project:
    # a and b lie in the arena side by side, for the last layer reads both.
    tensors = tuple(
        Tensor(name, (1, size), DType.S8, 0.5, 0, -128, 127)
        for name, size in (("x", 64), ("a", 64), ("b", 64), ("c", 128))
    )
    table = frozen_array(np.arange(256), np.uint8)
    lookups = tuple(
        Requantize(name, (source,), (name,), table=table)
        for source, name in (("x", "a"), ("a", "b"))
    )
    copied = frozen_array([], np.uint8)
    both = Concat("c", ("a", "b"), ("c",), 1, (copied, copied))
    graph = Graph("guarded", tensors, (*lookups, both), ("x",), ("c",)).validate()
    planned = plan(graph, guard=guard)
    places = [planned.tensor(name) for name in "ab"]
    assert [tensor.space for tensor in places] == [Space.ARENA] * 2
    assert places[1].position - places[0].position >= 64 + guard
    assert guard or places[1].position - places[0].position == 64
    return emit(planned)


@pytest.mark.parametrize(("guard", "seen"), [(0, False), (64, True)])
def test_only_a_guard_parts_neighbours(asan: Target, guard: int, seen: bool) -> None:
    """The second layer reads one byte past its input, where without a guard its output begins."""
    path = "runtime/src/lookup.c"
    project = _planned(guard)
    head, brace, rest = project.files[path].decode().partition(")\n{\n")
    planted = "    static int calls;\n    if (calls++ == 1 && ((const volatile int8_t *)inputs[0])[64] == 77) {\n"
    planted += "        return ARES_ERROR_INPUT;\n    }\n"
    changed = f"{head}{brace}{planted}{rest}"
    assert "ares_status ares_lookup" in head.splitlines()[-2] + head.splitlines()[-1]
    project = replace(project, files={**project.files, path: changed.encode()})
    binary, codes = build(project, asan), np.zeros((1, 64), np.int8)
    if not seen:
        (trace,) = run(binary, project, [[codes]], target=asan)
        assert not trace.outputs[0].any()
        return
    with pytest.raises(
        RunFailure, match=r"use-after-poison.* before 'layer 1 b b' of case 0"
    ) as caught:
        run(binary, project, [[codes]], target=asan)
    assert caught.value.kind == "sanitizer"


# --- no heap


def test_the_runtime_needs_no_heap(plain: Target, tmp_path: Path) -> None:
    """All kernels as they are built for the host; whole programs are looked at in test_boards.py."""
    allowed = re.compile(r"ares_\w+|memcpy|memset|memmove|memcmp|__\w+|_GLOBAL_OFFSET_TABLE_")
    sources = sorted((runtime_dir() / "src").glob("*.c"))
    assert len(sources) > 20
    for source in sources:
        include = f"-I{runtime_dir() / 'inc'}"
        command = (*plain.compiler, *plain.flags, include, "-c", str(source), "-o", "object.o")
        assert run_process(command, folder=tmp_path, timeout=60).code == 0
        finished = run_process(("nm", "-u", "-P", "object.o"), folder=tmp_path, timeout=60)
        assert finished.code == 0
        needed = {line.split()[0] for line in finished.stdout.splitlines()}
        assert all(allowed.fullmatch(name) for name in needed), (source.name, needed)
