"""A hundred nasty names of modules and files, from the model to the C's self-test, its trace and the verdict."""

from __future__ import annotations

import shutil
import string
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
import torch
from brevitas.quant import Int8ActPerTensorFloat
from torch import nn

import ares
from ares.emit import Vector, emit
from ares.extract import analyse
from ares.files import write_folder
from ares.ir import Graph
from ares.ir.names import C_KEYWORDS, carried
from ares.ops import run_reference
from ares.plan import plan
from ares.verdict import Outcome
from ares.verifier.trace import judge_trace
from tests.emit.test_symbols import STRICT, network, run
from tests.extract.models import Net, calibrated, identity, linear, seeded
from tests.slow import slow_but

SHAPE = (1, 3)
MODULES = (
    *("#", "a#1", "a##", "#1", "a", "a b", " a", "a ", "  ", "a\tb", "a\nb", "\n", "a\r\nb", "a\rb"),
    *("a\x85b", "a\u2028b", "a\xa0b", "\u3000", "\u202eabc", "\u200b", "\ufeff", "\x00", "\x1b[31mred"),
    *("\x07", "\x7f", "\x9b1m", "%", "100%", "%s%n%d", "%2", "a-b", "a_b", "a/b", "a:b", "a,b", "a;b"),
    *("'", '"', "a'b", '"; rm -rf "', "\\", "a\\nb", "\\", "\\0", "??/", "*/", "/*", "//", "a*/b"),
    *("$(ls)", "`ls`", "$HOME", "~", "!", "&", "|", "<", ">", "(", ")", "[red]", "[/]", "{}", "{{ x }}"),
    *("^", "+", "{% x %}", "<!--", "-->", "</b>", "-x", "--help", "=1+1", "@x", "é", "e\u0301", "größe", "卷积"),
    *("🙂", "\U000e0041", "ares_linear", "ares_linear_params", "ares_network", "OP_ADD", "ARES_OK"),
    *("OpType", "int", "class", "NULL", "main", "run", "network", "tensors", "layers", "inputs", "outputs"),
    *("results", "arena", "memcpy", "INT8_MAX", "1", "0x", "_", "__", "layer 0 x", "end 3", "case 0"),
    *("output 0", "stack 1", "weight_a", "A", "a" * 300, "b" * 299, "卷" * 100, "con", "EOF", "..."[:0] or "x"),
)  # fmt: skip


def names() -> list[str]:
    return list(dict.fromkeys(MODULES))


class Named(nn.Module):
    """A layer for each name, one after the other; every third is called twice."""

    def __init__(self, names: list[str]) -> None:
        super().__init__()
        self.names = names
        self.quant_in = identity()
        for name in names:
            own = linear(3, 3, output_quant=Int8ActPerTensorFloat, return_quant_tensor=True)
            self.add_module(name, own)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.quant_in(x)
        for number, name in enumerate(self.names):
            x = getattr(self, name)(x)
            if number % 3 == 0:
                x = getattr(self, name)(x)
        return x


@pytest.fixture(scope="module")
def model() -> nn.Module:
    return calibrated(seeded(lambda: Named(names())), SHAPE)


@pytest.fixture(scope="module")
def graph(model: nn.Module) -> Graph:
    found = analyse(model, [torch.ones(SHAPE)], "net")
    assert [str(finding) for finding in found.errors] == []
    assert found.graph is not None
    layers = [finding for finding in found.findings if finding.layer != "quant_in"]
    # The report gives the user's own names back.
    expected = [name for number, name in enumerate(names()) for _ in range(1 + (number % 3 == 0))]
    assert [finding.module for finding in layers] == expected
    assert [operation.path for operation in found.graph.operations[1:]] == expected
    assert all(finding.layer.isprintable() for finding in found.findings)
    return found.graph


def vector(graph: Graph) -> Vector:
    x = np.array([[0.5, -1.25, 2.0]], np.float32)
    tensors = run_reference(graph, [x])
    return Vector("one", (x,), tensors, tuple(tensors[name] for name in graph.outputs))


def test_there_are_a_hundred() -> None:
    assert len(names()) >= 100
    assert set(string.punctuation) - {"."} <= set("".join(names()))


def self_test(folder: Path, stem: str) -> str:
    """What the exported project's own self-test prints."""
    sources = [f"{stem}.c", f"{stem}_weights.c", "selftest.c"]
    for inner in ("runtime/src", "selftest", "runtime/trace"):
        found = sorted(path.relative_to(folder) for path in (folder / inner).glob("*.c"))
        sources += [str(path) for path in found if path.name != "trace_stdio.c"]
    search = ["-I.", "-Iruntime/inc", "-Iruntime/trace", "-Iselftest"]
    run(["gcc", *STRICT, *search, *sources, "-o", "selftest.exe"], folder)
    done = subprocess.run([str(folder / "selftest.exe")], capture_output=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    return done.stdout.decode()


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("gcc"), reason="gcc is not installed")
def test_export_self_test_and_trace(graph: Graph, tmp_path: Path) -> None:
    project = emit(plan(graph), [vector(graph)])
    write_folder(tmp_path / "out", project.files)
    printed = self_test(tmp_path / "out", "net")
    assert "self-test passed" in printed
    trace = tmp_path / "trace.txt"
    trace.write_text(printed, encoding="utf-8")
    judged = judge_trace(trace, tmp_path / "out")
    assert judged.verdict.outcome is Outcome.PASS, judged.verdict.message
    # Something that cannot fail would say so of any trace.
    layer = next(line for line in printed.splitlines() if line.startswith("layer 5 "))
    trace.write_text(printed.replace(layer, f"{layer[:-1]}{'0' if layer[-1] != '0' else '1'}"))
    assert judge_trace(trace, tmp_path / "out").verdict.outcome is Outcome.FAIL


@pytest.mark.slow
def test_verify_is_exact(model: nn.Module) -> None:
    found = ares.verify(model, torch.ones(SHAPE), targets=["gcc-O2"], cases=2)
    assert found.passed, found.summary
    shown = [line.layer for line in found.layers]
    assert carried("a\nb") in shown
    assert all(line.isprintable() for line in str(found).splitlines())


QUANTISED = {"input_quant": Int8ActPerTensorFloat, "output_quant": Int8ActPerTensorFloat}


@pytest.mark.skipif(not shutil.which("gcc"), reason="gcc is not installed")
@pytest.mark.parametrize("make", [identity, lambda: linear(3, 3, **QUANTISED)])
def test_a_model_that_is_one_layer(make: Callable[[], nn.Module], tmp_path: Path) -> None:
    """Its path is empty, which is no word of a line."""
    model = calibrated(seeded(make), SHAPE)
    assert ares.check(model, torch.ones(SHAPE)).compatible
    found = ares.export(model, tmp_path / "out", torch.ones(SHAPE), name="net")
    trace = tmp_path / "trace.txt"
    trace.write_text(self_test(found.folder, "net"))
    judged = judge_trace(trace, found.folder)
    assert judged.verdict.outcome is Outcome.PASS, judged.verdict.message


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("a\udce9", "half a surrogate pair"),
        ("a%0Ab", "% and two hexadecimal digits"),
        ("a" * 2000, "at most 1000"),
    ],
)
def test_check_refuses_in_one_line(name: str, words: str) -> None:
    model = calibrated(seeded(lambda: Named(["fine", name])), SHAPE)
    report = ares.check(model, torch.ones(SHAPE))
    assert not report.compatible
    (finding,) = report.errors
    assert words in str(finding)
    assert "give it another name" in str(finding)
    assert str(report).isascii()
    assert len(report.summary) < 300
    parameter = Net(lambda m, x: m.x(x), x=identity())
    parameter.register_buffer(name, torch.ones(2))
    assert words in str(ares.check(calibrated(parameter, SHAPE), torch.ones(SHAPE)).errors[0])


FILES = (
    *("stdint", "stddef", "string", "stdio", "float", "errno", "limits", "features", "time", "math"),
    *("ares", "ares_linear", "ares_network", "ARES_OK", "executor", "linear", "mean", "symbols", "trace"),
    *("main", "Main", "MAIN", "selftest", "SelfTest", "Linear", "String", "arena_watch", "trace_io"),
    *("con", "NUL", "aux", "prn", "com1", "LPT9", "test", "all", "clean", "m", "c", "int", "printf"),
    *("double", "class", "a b", "a#1", "a-b", "größe", "卷积", "a\nb", "a\udce9", "1", "_", "-", "a" * 250),
    *("runtime", "README", "Makefile", "expected", "network", "tensors", "$(ls)", "*/", "%s", "OpType"),
)  # fmt: skip
DEVICES = {
    "con",
    "prn",
    "aux",
    "nul",
    *(f"{port}{n}" for port in ("com", "lpt") for n in range(10)),
}


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("gcc"), reason="gcc is not installed")
def test_a_model_file_of_any_name(tmp_path: Path) -> None:
    graph, x = network("net", 1)
    tensors = run_reference(graph, [x])
    case = Vector("one", (x,), tensors, tuple(tensors[name] for name in graph.outputs))
    wrong = {}
    for number, name in enumerate(FILES):
        project = emit(plan(replace(graph, name=name)), [case])
        stems = {
            PurePosixPath(part).stem.lower() for path in project.files for part in path.split("/")
        }
        assert not stems & DEVICES
        assert len({path.lower() for path in project.files}) == len(project.files)
        assert all(path.isascii() and len(path) < 100 for path in project.files)
        folder = tmp_path / str(number)
        write_folder(folder, project.files)
        stem = project.sources[0].removesuffix(".c")
        assert stem not in C_KEYWORDS
        search = ["-I.", "-Iruntime/inc", "-Iruntime/trace", "-Iselftest"]
        own = ["main.c", "selftest.c", *project.sources, "runtime/trace/trace_stdio.c"]
        own += ["runtime/src/executor.c", "runtime/src/linear.c", "selftest/selftest_put.c"]
        command = ["gcc", *STRICT, *search, "-fsyntax-only", *own]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            wrong[name] = done.stderr[:500]
        (folder / "user.cpp").write_text(f'#include <cstdint>\n#include "{stem}.h"\n')
        again = ["g++", "-std=c++17", "-Wall", "-Werror", *search, "-fsyntax-only", "user.cpp"]
        if shutil.which("g++"):
            done = subprocess.run(again, cwd=folder, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                wrong[f"{name} in C++"] = done.stderr[:500]
    assert wrong == {}


@pytest.mark.parametrize(
    "compiler",
    slow_but(
        [0, 1],
        ["gcc", "arm-none-eabi-gcc", "riscv64-unknown-elf-gcc", "musl", "wasi", "windows", "macos"],
    ),
)
def test_no_header_of_a_c_library_is_shadowed(compiler: str, tmp_path: Path) -> None:
    """What the runtime's includes reach as `<name.h>`: no network's file has one of these names."""
    zig = {"musl": "x86_64-linux-musl", "wasi": "wasm32-wasi", "windows": "x86_64-windows-gnu"}
    zig |= {"macos": "aarch64-macos"}
    command = [compiler]
    if compiler in zig:
        command = [sys.executable, "-m", "ziglang", "cc", "-target", zig[compiler]]
    elif not shutil.which(compiler):
        pytest.skip(f"{compiler} is not installed")
    (tmp_path / "all.c").write_text(
        "#include <float.h>\n#include <stddef.h>\n#include <stdint.h>\n#if __STDC_HOSTED__\n"
        "#include <errno.h>\n#include <stdio.h>\n#include <string.h>\n#endif\n"
    )
    if "none" in compiler or "unknown" in compiler:
        command.append("-ffreestanding")
    listed = run([*command, "-std=c11", "-M", "all.c"], tmp_path).replace("\\\n", " ").split()
    said = subprocess.run(
        [*command, "-E", "-v", "all.c"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    folders = {
        Path(line.strip()).resolve() for line in said.stderr.splitlines() if line.startswith(" /")
    }
    headers = [Path(word).resolve() for word in listed if word.endswith(".h")]
    reached = {header.stem for header in headers if header.parent in folders}
    assert {"stdint", "stddef", "float"} <= reached
    graph, _ = network("net", 1)
    for name in sorted(reached):
        if name.isidentifier() and not name.startswith("_"):
            stem = emit(plan(replace(graph, name=name))).sources[0].removesuffix(".c")
            assert stem.lower() != name.lower(), f"{name}.h would lie before the C library's"
