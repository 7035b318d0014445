"""The self-test of an exported project: golden digests compared on the machine itself, by every compiler, no files."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ares.emit import EXPECTED, Vector, emit
from ares.ir import trace_digest
from ares.pipeline.network import NetworkSubject
from ares.plan import plan
from ares.toolchain.trace_protocol import PROTOCOL
from tests.checkout import ZOO
from tests.slow import one_in
from tests.toolchain.tiny_network import usable

NETWORK = "test_8_stride2"
STRICT = "-std=c11 -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror"
SANITIZED = "-g -O1 -fsanitize=address,undefined -fno-sanitize-recover=all"
ZIG = f"{sys.executable} -m ziglang"
MUSL = f"{platform.machine()}-linux-musl"
PASSED = re.compile(r"self-test passed: (\d+) digests are right\n$")

pytestmark = pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")


@pytest.fixture(scope="module")
def session() -> NetworkSubject:
    return NetworkSubject(ZOO.paths(NETWORK))


def _vectors(session: NetworkSubject) -> list[Vector]:
    return [
        Vector(
            case.name,
            case.inputs,
            session.expected(number),
            tuple(session.expected(number)[name] for name in session.graph.outputs),
        )
        for number, case in enumerate(session.golden.cases)
    ]


@pytest.fixture(scope="module")
def exported(session: NetworkSubject, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported project that nobody changes."""
    folder = tmp_path_factory.mktemp("exported")
    for name, content in emit(plan(session.graph), _vectors(session)).files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


@pytest.fixture
def project(exported: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported, tmp_path / "project"))


def check(folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """`make check` with these variables."""
    words = [f"{name}={value}" for name, value in variables.items()]
    environment = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}
    return subprocess.run(
        ["make", "-s", "check", *words], cwd=folder, capture_output=True, text=True, env=environment
    )


BUILDS = {
    "gcc-O2": {"CC": "gcc", "CFLAGS": f"-O2 {STRICT}"},
    "gcc-asan": {"CC": "gcc", "CFLAGS": f"{SANITIZED} {STRICT}"},
    "clang-Oz": {"CC": "clang-19", "CFLAGS": f"-Oz {STRICT}"},
    "clang-msan": {"CC": "clang-19", "CFLAGS": f"-g -O1 -fsanitize=memory {STRICT}"},
    # Without a -target zig looks for the host's own C library.
    "zig-O2": {"CC": f"{ZIG} cc -target {MUSL}", "AR": f"{ZIG} ar", "CFLAGS": f"-O2 {STRICT}"},
    "tcc": {"CC": "tcc", "CFLAGS": "-Wall -Werror"},
    "s390x-gcc-O2": {
        "CC": "s390x-linux-gnu-gcc",
        "CFLAGS": f"-O2 {STRICT}",
        "LDFLAGS": "-static",
        "RUN": "qemu-s390x",
    },
    "riscv32-zig-O2": {
        "CC": f"{ZIG} cc -target riscv32-linux-musl",
        "AR": f"{ZIG} ar",
        "CFLAGS": f"-O2 {STRICT}",
        "RUN": "qemu-riscv32",
    },
}


@pytest.mark.parametrize("target", one_in(8, BUILDS))
def test_passes_without_a_warning(project: Path, session: NetworkSubject, target: str) -> None:
    usable(target)
    finished = check(project, **BUILDS[target])
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert "warning" not in finished.stderr
    found = PASSED.search(finished.stdout)
    assert found, finished.stdout
    points = len(session.project.points) + len(session.project.outputs)
    assert int(found[1]) == points * len(session.golden.cases)


def test_wrong_weights_fail_with_their_layer(project: Path) -> None:
    weights = project / f"{NETWORK}_weights.c"
    text = weights.read_text(encoding="utf-8")
    start = text.index(f"{NETWORK}_block3_0_conv_weight[")
    begin = text.index('"', start)
    end = text.index('"', begin + 1)
    largest = "\\177" * ((end - begin - 1) // 4)
    weights.write_text(f"{text[: begin + 1]}{largest}{text[end:]}", encoding="utf-8")
    finished = check(project, CC="gcc")
    assert finished.returncode != 0
    last = finished.stdout.splitlines()[-3:]
    assert re.fullmatch(r"self-test FAILED: \d+ digests are wrong, 0 missing", last[0])
    assert re.fullmatch(r"first wrong: layer 3 block3\.0 block3\.0 [0-9a-f]{16}", last[1])
    expected = json.loads((project / EXPECTED).read_text())["cases"][0]["layers"]
    right = {layer["layer"]: layer["digest"] for layer in expected}["block3.0"]
    assert last[2] == f"it should be: {right}"


def test_a_golden_digest_too_many_is_missed(project: Path) -> None:
    source = project / "selftest.c"
    text = source.read_text(encoding="utf-8")
    found = re.search(r"golden_digests\[(\d+)\] = \{\n", text)
    assert found
    longer = f"golden_digests[{int(found[1]) + 1}] = {{\n"
    source.write_text(text.replace(found[0], longer), encoding="utf-8")
    finished = check(project, CC="gcc")
    assert finished.returncode != 0
    assert "self-test FAILED: 0 digests are wrong, 1 missing" in finished.stdout


def test_input_that_is_cut_short_is_no_pass(project: Path) -> None:
    source = project / "selftest.c"
    text = source.read_text(encoding="utf-8")
    assert text.count("sizeof golden_input - 1,") == 1
    source.write_text(text.replace("sizeof golden_input - 1,", "sizeof golden_input - 2,"))
    finished = check(project, CC="gcc")
    assert finished.returncode != 0
    assert "INPUT is not a whole number of cases" in finished.stdout


def test_expected_json_holds_what_the_self_test_prints(
    project: Path, session: NetworkSubject
) -> None:
    finished = check(project, CC="gcc")
    shown = [line.split() for line in finished.stdout.splitlines()]
    expected = json.loads((project / EXPECTED).read_text())
    assert [*PROTOCOL.split(), expected["signature"]] in shown
    lines = []
    for number, case in enumerate(expected["cases"]):
        assert case["name"] == session.golden.cases[number].name
        lines.append(["case", str(number)])
        lines += [
            ["layer", str(layer["index"]), layer["layer"], layer["tensor"], layer["digest"]]
            for layer in case["layers"]
        ]
        lines += [["output", str(k), digest] for k, digest in enumerate(case["outputs"])]
    assert [line for line in shown if line[:1][0] in ("case", "layer", "output")] == lines
    point = session.project.points[-1]
    array = session.expected(0)[point.tensor]
    assert expected["cases"][0]["layers"][-1]["digest"] == trace_digest(point.to_memory(array))


def test_other_cases_are_another_program(session: NetworkSubject) -> None:
    """Else a trace of one would be taken for a wrong run of the other."""
    planned, vectors = plan(session.graph), _vectors(session)
    signatures = {
        json.loads(emit(planned, chosen).files[EXPECTED])["signature"]
        for chosen in (vectors, vectors[:1], vectors[1:], vectors)
    }
    assert len(signatures) == 3


@pytest.mark.slow
def test_ctest_runs_it(project: Path) -> None:
    tools = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    cmake, ctest = shutil.which("cmake", path=tools), shutil.which("ctest", path=tools)
    assert cmake, "the test extra brings cmake"
    assert ctest
    for command in (
        [cmake, "-S", ".", "-B", "out", f"-DCMAKE_C_FLAGS={STRICT}"],
        [cmake, "--build", "out"],
        [ctest, "--test-dir", "out", "--output-on-failure", "--no-tests=error"],
    ):
        finished = subprocess.run(command, cwd=project, capture_output=True, text=True)
        assert finished.returncode == 0, finished.stdout + finished.stderr
    assert "100% tests passed" in finished.stdout


def test_two_networks_in_one_firmware(project: Path) -> None:
    """No name that the linker sees is without the network's own, so that two do not clash."""
    made = subprocess.run(["make", "-s", "CC=gcc"], cwd=project, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    objects = [f"build/{NETWORK}.o", f"build/{NETWORK}_weights.o"]
    shown = subprocess.run(
        ["nm", "-g", "--defined-only", *objects], cwd=project, capture_output=True, text=True
    )
    names = [line.split()[2] for line in shown.stdout.splitlines() if len(line.split()) == 3]
    assert names
    assert all(name.startswith(NETWORK) for name in names), names


def test_a_cpp_program_links_with_it(project: Path) -> None:
    if not shutil.which("g++"):
        pytest.skip("g++ is not installed")
    made = subprocess.run(["make", "-s", "CC=gcc"], cwd=project, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    macro = NETWORK.upper()
    (project / "caller.cpp").write_text(
        f'#include "{NETWORK}.h"\n'
        f"alignas(16) static unsigned char arena[{macro}_ARENA_BYTES];\n"
        f"static float in[{macro}_INPUT_ELEMENTS], out[{macro}_OUTPUT0_ELEMENTS];\n"
        "int main()\n{\n"
        "    const void *inputs[] = {in};\n    void *outputs[] = {out};\n"
        f"    return {NETWORK}_run(in, out, arena) +\n"
        f"           ares_execute(&{NETWORK}_network, inputs, outputs, arena, nullptr, nullptr);\n"
        "}\n",
        encoding="utf-8",
    )
    flags = ["-std=c++17", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-I.", "-Iruntime/inc"]
    command = ["g++", *flags, "caller.cpp", f"lib{NETWORK}.a", "-o", "caller"]
    finished = subprocess.run(command, cwd=project, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    assert subprocess.run([project / "caller"]).returncode == 0
