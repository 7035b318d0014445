"""Embedding: oracle -> reference -> C (N17), and ids that no table has."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from ares.emit import emit
from ares.ir import GraphError, Project, Tensor, frozen_array
from ares.ops import Site
from ares.ops.embedding import Embedding
from ares.plan import plan
from ares.toolchain import RunFailure, Target, build, default_targets, run
from tests.ops.graphs import graph_of
from tests.ops.harness import check_operation, codes

LARGEST, SMALLEST = 2**31 - 1, -(2**31)
OUTSIDE = (-1, 7, 8, 255, 256, 2**16, LARGEST, SMALLEST, SMALLEST + 7)


def gcc_or_zig() -> Target:
    return next(target for target in default_targets() if target.missing() is None)


@pytest.mark.parametrize("kind", ["s8", "u8"])
@pytest.mark.parametrize(
    ("shape", "vocabulary", "dim"),
    [((1, 5), 7, 3), ((1,), 1, 1), ((1, 13), 1009, 17), ((1, 2, 3), 4, 5), ((1, 2, 2, 3), 129, 2)],
)
def test_rows(kind: str, shape: tuple[int, ...], vocabulary: int, dim: int) -> None:
    draw = np.random.Generator(np.random.PCG64(vocabulary))
    target = codes("y", (*shape, dim), kind, 0.1)
    table = draw.integers(target.lo, target.hi + 1, (vocabulary, dim))
    table[0, 0], table[-1, -1] = target.lo, target.hi
    ids = draw.integers(0, vocabulary, shape)
    ids.flat[0], ids.flat[-1] = vocabulary - 1, 0
    if ids.size > 2:
        ids.flat[1] = ids.flat[2] = vocabulary // 2  # a repetition
    flat = [[int(table[i][d]) for d in range(dim)] for i in ids.reshape(-1)]
    expected = np.array(flat).reshape(target.shape)
    source = codes("x", shape, "s32", 1.0, 0, 0, vocabulary - 1)
    operation = Embedding("net", ("x",), ("y",), frozen_array(table, target.dtype.numpy))
    check_operation(operation, [source], [target], [ids], [expected])


def embedding() -> tuple[Embedding, Tensor, Tensor]:
    source, target = codes("x", (1, 4), "s32", 1.0), codes("y", (1, 4, 3), "s8", 0.1)
    table = frozen_array(np.arange(21).reshape(7, 3), np.int8)
    return Embedding("layer", ("x",), ("y",), table), source, target


def project_of() -> Project:
    operation, source, target = embedding()
    return emit(plan(graph_of([operation], [source, target], ["x"], ["y"])))


def test_ids_outside_stop_the_tracing_program() -> None:
    project = project_of()
    binary = build(project, gcc_or_zig())
    (trace,) = run(binary, project, [[np.array([[0, 6, 3, 6]])]])
    assert trace.outputs[0][0, 1].tolist() == [18, 19, 20]
    for position in range(4):
        for wrong in OUTSIDE:
            ids = np.array([[0, 6, 3, 6]])
            ids[0, position] = wrong
            with pytest.raises(RunFailure) as failure:
                run(binary, project, [[ids]])
            assert "exit code 6: the run was refused" in str(failure.value)
            assert "ARES_ERROR_INPUT" in failure.value.report


MAIN = """
#include "net.h"
#include <stdio.h>
#include <string.h>

static _Alignas(16) unsigned char arena[NET_ARENA_BYTES];

int main(void)
{
    const int32_t wrong[] = {WRONG};
    int8_t out[NET_OUTPUT0_ELEMENTS];
    int failures = 0;
    for (size_t w = 0; w < sizeof wrong / sizeof wrong[0]; ++w) {
        for (size_t at = 0; at < NET_X_ELEMENTS; ++at) {
            int32_t ids[NET_X_ELEMENTS] = {0, 6, 3, 6};
            memset(arena, 0x5A, sizeof arena);
            failures += net_run(ids, out, arena) != ARES_OK;
            ids[at] = wrong[w];
            memset(arena, 0x5A, sizeof arena);
            failures += net_run(ids, out, arena) != ARES_ERROR_INPUT;
            for (size_t i = 0; i < sizeof arena; ++i) {
                failures += arena[i] != 0x5A; /* nothing was written before the refusal */
            }
        }
    }
    printf("%d failures\\n", failures);
    return failures != 0;
}
"""


def test_ids_outside_come_back_from_run(tmp_path: Path) -> None:
    """A program of a user's own, with sanitizers where the compiler has them: the status, and no read out of range."""
    project, target = project_of(), gcc_or_zig()
    for name, content in project.files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    numbers = ", ".join("(-2147483647 - 1)" if w == SMALLEST else str(w) for w in OUTSIDE)
    (tmp_path / "own.c").write_text(MAIN.replace("WRONG", numbers))
    sources = [*project.sources, "own.c", "runtime/src/executor.c", "runtime/src/embedding.c"]
    flags = ["-std=c11", "-O1", "-Wall", "-Werror", "-I.", "-Iruntime/inc"]
    if target.family == "gcc":
        flags += ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    command = [*target.compiler, *flags, *sources, "-o", "own"]
    built = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    ran = subprocess.run(
        [str(tmp_path / "own")], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stdout) == (0, "0 failures\n"), ran.stdout + ran.stderr


def test_reference_refuses_the_same_ids() -> None:
    operation, source, target = embedding()
    for wrong in OUTSIDE:
        with pytest.raises(GraphError, match=r"expected 0\.\.6"):
            operation.reference(
                Site((source,), (target,)), [np.array([[0, 1, wrong, 2]], np.int64)]
            )


def test_types_are_refused() -> None:
    operation, source, _ = embedding()
    assert operation.infer([source])[0][0] == (1, 4, 3)
    with pytest.raises(GraphError, match="expected s32"):
        operation.infer([codes("x", (1, 4))])
    with pytest.raises(GraphError, match="int8 or uint8"):
        Embedding("e", ("x",), ("y",), frozen_array(np.zeros((3, 2)), np.int16)).infer([source])
    with pytest.raises(GraphError, match="vocabulary, dim"):
        Embedding("e", ("x",), ("y",), frozen_array(np.zeros(3), np.int8)).infer([source])
