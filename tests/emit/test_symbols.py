"""Two exports of different versions of ARES in one program: each network runs on the runtime it was exported with."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from ares.emit import emit
from ares.emit.symbols import SYMBOLS
from ares.extract import extract
from ares.ir import Graph, Project
from ares.ops import run_reference
from ares.plan import plan
from ares.resources import runtime_dir
from tests.extract.models import Net, calibrated, identity, linear, relu, seeded

SHAPE = (1, 6)
STRICT = ["-std=c11", "-O1", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-ffp-contract=off"]
COMPILERS = {"gcc": ("gcc",), "zig": (sys.executable, "-m", "ziglang", "cc")}
KERNEL, RIGHT, PLANTED = "src/linear.c", "ares_requantize(", "acc[0] = -acc[0], ares_requantize("

MAIN = """\
#include <stdint.h>
#include <stdio.h>
@includes@

static _Alignas(16) unsigned char arena[4096];

int main(void)
{
    static const float x[6] = {@x@};
    int8_t left[4], right[4];

    if (left_run(x, left, arena) != ARES_OK || right_run(x, right, arena) != ARES_OK) {
        return 1;
    }
    for (int i = 0; i < 4; ++i) {
        printf("%d %d\\n", left[i], right[i]);
    }
    return 0;
}
"""


def needs(compiler: str) -> None:
    if not shutil.which(COMPILERS[compiler][0]):
        pytest.skip(f"{compiler} is not installed")


def network(name: str, seed: int) -> tuple[Graph, np.ndarray]:
    layers: dict[str, nn.Module] = {"x": identity(), "a": linear(6, 5), "b": relu()}
    layers |= {"c": linear(5, 4), "y": identity()}
    torch.manual_seed(seed)
    model = seeded(lambda: Net(lambda m, x: m.y(m.c(m.b(m.a(m.x(x))))), **layers))
    calibrated(model, SHAPE)
    sample = torch.randn(SHAPE, generator=torch.Generator().manual_seed(3))
    return extract(model, [sample], name), sample.numpy()


@pytest.fixture
def another_runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The runtime of "another version": a kernel does something else, and the enumeration of operations has grown."""
    folder = tmp_path / "runtime"
    shutil.copytree(runtime_dir(), folder)
    for path, old, new in (
        (KERNEL, RIGHT, PLANTED),
        ("inc/layer_descriptors.h", "    OP_ADD,\n", "    OP_ABS,\n    OP_ADD,\n"),
        ("inc/layer_descriptors.h", "uint32_t elements;", "uint64_t elements;"),
    ):
        text = (folder / path).read_text()
        assert text.count(old) == 1, path
        (folder / path).write_text(text.replace(old, new))
    return folder


def exported(
    graph: Graph, folder: Path, monkeypatch: pytest.MonkeyPatch, runtime: Path | None = None
) -> Project:
    with monkeypatch.context() as patch:
        if runtime is not None:
            patch.setattr("ares.emit.project.runtime_dir", lambda: runtime)
            patch.setattr("ares.emit.selftest.runtime_dir", lambda: runtime)
        project = emit(plan(graph))
    for name, content in project.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return project


def run(command: Sequence[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
    return done.stdout


def library(compiler: Sequence[str], folder: Path) -> str:
    """Build the library as the exported README says; its path."""
    sources = sorted(path.relative_to(folder) for path in folder.glob("runtime/src/*.c"))
    for source in [*sources, *(Path(f"{folder.name}{end}.c") for end in ("", "_weights"))]:
        flags = [*STRICT, "-I.", "-Iruntime/inc", "-c", str(source), "-o", f"{source.stem}.o"]
        run([*compiler, *flags], folder)
    archive = f"lib{folder.name}.a"
    run(["ar", "rcs", archive, *(path.name for path in sorted(folder.glob("*.o")))], folder)
    return f"{folder.name}/{archive}"


def shown(text: str) -> tuple[list[int], list[int]]:
    rows = [tuple(map(int, line.split())) for line in text.splitlines()]
    return [row[0] for row in rows], [row[1] for row in rows]


def main_of(x: np.ndarray, includes: str) -> str:
    numbers = ", ".join(f"{float(value).hex()}f" for value in x.reshape(-1))
    return MAIN.replace("@x@", numbers).replace("@includes@", includes)


DECLARED = "#define ARES_OK 0\n" + "".join(
    f"int {name}_run(const float *input, int8_t *output0, void *arena);\n"
    for name in ("left", "right")
)
ONE_FILE = '#include "left/left.h"\n#include "right/right.h"\n'
AGAIN = f'{ONE_FILE}#undef LEFT_H\n#include "left/left.h"\n'


@pytest.mark.parametrize(
    ("same", "compiler", "includes"),
    [
        pytest.param(True, "gcc", DECLARED, id="one version"),
        pytest.param(True, "gcc", AGAIN, id="one version, one file", marks=pytest.mark.slow),
        pytest.param(False, "gcc", DECLARED, id="two versions", marks=pytest.mark.slow),
        pytest.param(False, "gcc", ONE_FILE, id="two versions, one file", marks=pytest.mark.slow),
        pytest.param(False, "gcc", AGAIN, id="two versions, one file, the first again"),
        pytest.param(
            False,
            "zig",
            AGAIN,
            id="two versions, one file, the first again, clang",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_two_networks_in_one_program(
    same: bool,
    compiler: str,
    includes: str,
    another_runtime: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    needs(compiler)
    cc = COMPILERS[compiler]
    (left, x), (right, _) = network("left", 1), network("right", 2)
    exported(left, tmp_path / "left", monkeypatch)
    exported(right, tmp_path / "right", monkeypatch, None if same else another_runtime)
    archives = [library(cc, tmp_path / name) for name in ("left", "right")]
    (tmp_path / "main.c").write_text(main_of(x, includes))
    expected = [codes(graph, x) for graph in (left, right)]
    for order in (archives, archives[::-1]):
        run([*cc, *STRICT, "-I.", "main.c", *order, "-o", "program"], tmp_path)
        found = shown(run([str(tmp_path / "program")], tmp_path))
        assert found[0] == expected[0]
        assert (found[1] == expected[1]) == same, "the planted kernel is not the one that ran"


@pytest.mark.slow
def test_a_cpp_file_includes_both(
    another_runtime: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """C++ takes types seriously: both networks answer with the one status."""
    needs("gcc")
    if not shutil.which("g++"):
        pytest.skip("g++ is not installed")
    (left, x), (right, _) = network("left", 1), network("right", 2)
    exported(left, tmp_path / "left", monkeypatch)
    exported(right, tmp_path / "right", monkeypatch, another_runtime)
    archives = [library(COMPILERS["gcc"], tmp_path / name) for name in ("left", "right")]
    text = main_of(x, AGAIN).replace("static _Alignas(16)", "alignas(16) static")
    (tmp_path / "main.cpp").write_text(
        text.replace(
            "if (left_run",
            "ares_status s = left_run(x, left, arena);\n    if (s != ARES_OK || left_run",
        )
    )
    flags = ["-std=c++17", "-Wall", "-Wextra", "-Werror"]
    run(["g++", *flags, "main.cpp", *archives, "-o", "program"], tmp_path)
    assert shown(run([str(tmp_path / "program")], tmp_path))[0] == codes(left, x)


@pytest.mark.slow
def test_all_sources_in_one_project(
    another_runtime: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an IDE compiles them: one command, and both networks' folders on the search path of every file."""
    needs("gcc")
    (left, x), (right, _) = network("left", 1), network("right", 2)
    exported(left, tmp_path / "left", monkeypatch)
    exported(right, tmp_path / "right", monkeypatch, another_runtime)
    (tmp_path / "main.c").write_text(main_of(x, '#include "right.h"\n#include "left.h"\n'))
    names = [f"{name}/{name}{end}.c" for name in ("left", "right") for end in ("", "_weights")]
    kernels = [str(path) for path in sorted(tmp_path.glob("*t/runtime/src/*.c"))]
    search = [f"-I{name}{inner}" for name in ("left", "right") for inner in ("", "/runtime/inc")]
    run(["gcc", *STRICT, *search, "main.c", *names, *kernels, "-o", "program"], tmp_path)
    found = shown(run([str(tmp_path / "program")], tmp_path))
    assert found[0] == codes(left, x)
    assert found[1] != codes(right, x), "the planted kernel is not the one that ran"


def codes(graph: Graph, x: np.ndarray) -> list[int]:
    (output,) = graph.outputs
    return [int(code) for code in run_reference(graph, [x])[output].reshape(-1)]


def external(listing: str) -> set[str]:
    """What `nm` says that other files can see: defined and wanted."""
    return {line.split()[-1] for line in listing.splitlines() if re.search(r" [A-Z] \w+$", line)}


def test_no_external_symbol_without_the_hash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything that an export holds of ARES: kernels, executor, tracing program, self-test."""
    needs("gcc")
    graph, _ = network("left", 1)
    project = exported(graph, tmp_path / "left", monkeypatch)
    mark = re.search(rb"ARES_RUNTIME 0x(\w{8})$", project.files[SYMBOLS], re.MULTILINE)
    assert mark is not None
    sources = [*(tmp_path / "left" / "runtime").glob("*/*.c")]
    shutil.copytree(runtime_dir() / "selftest", tmp_path / "left" / "selftest")
    sources += (tmp_path / "left" / "selftest").glob("*.c")
    flags = [f"-Ileft/{folder}" for folder in ("runtime/inc", "runtime/trace", "selftest")]
    seen = set()
    for source in sources:
        run(["gcc", *STRICT, *flags, "-c", str(source), "-o", "one.o"], tmp_path)
        seen |= external(run(["nm", "one.o"], tmp_path))
    ours = {name for name in seen if "ares" in name.lower()}
    assert len(ours) > 40
    assert {name for name in ours if not name.endswith(f"_{mark[1].decode()}")} == set()
    libc = {"fclose", "ferror", "fflush", "fopen", "fputs", "fread", "fwrite", "stderr", "stdout"}
    libc |= {"memcmp", "memcpy", "memmove", "memset", "strcmp", "strlen", "stdin"}
    assert {name for name in seen - ours if not name.startswith("_")} <= libc


def test_the_choice_of_micro_kernels_is_left_to_the_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ARES_PORTABLE is no name of the runtime's: renamed, it was defined in every export, and all were portable."""
    needs("gcc")
    graph, _ = network("left", 1)
    exported(graph, tmp_path / "left", monkeypatch)
    (tmp_path / "choice.c").write_text(
        '#include "microkernels.h"\n#if defined(ARES_PORTABLE)\nportable\n#else\nchosen\n#endif\n'
    )
    command = ["gcc", "-E", "-P", "-Ileft/runtime/inc", "choice.c"]
    assert run(command, tmp_path).split()[-1] == "chosen"
    assert run([*command, "-DARES_PORTABLE"], tmp_path).split()[-1] == "portable"


def test_the_hash_is_of_the_content_alone(
    another_runtime: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the place of the runtime nor the network matters; any byte of the runtime does."""
    moved = tmp_path / "elsewhere"
    shutil.copytree(runtime_dir(), moved)
    graph, _ = network("left", 1)
    here = exported(graph, tmp_path / "a", monkeypatch)
    there = exported(network("other", 2)[0], tmp_path / "b", monkeypatch, moved)
    other = exported(graph, tmp_path / "c", monkeypatch, another_runtime)
    assert here.files[SYMBOLS] == there.files[SYMBOLS] != other.files[SYMBOLS]
    assert exported(graph, tmp_path / "d", monkeypatch, moved).digest == here.digest


def runtime_part(files: Mapping[str, bytes]) -> dict[str, bytes]:
    return {name: data for name, data in files.items() if name.startswith("runtime/")}


def test_the_runtime_is_the_same_for_all_networks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its library is made once a target: with or without a self-test, for whatever network."""
    one = exported(network("left", 1)[0], tmp_path / "a", monkeypatch)
    two = exported(network("right", 2)[0], tmp_path / "b", monkeypatch)
    assert runtime_part(one.files) == runtime_part(two.files)
