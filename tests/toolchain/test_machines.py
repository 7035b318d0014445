"""Faults that only another processor shows: byte order, contraction, width of pointers, signedness of char.

Each is planted in the generated C; the host must not see it, the other machine must, with the right layer, and what
the failing machines share must be named.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ares.ir import Project
from ares.pipeline.matrix import Matrix
from ares.pipeline.network import NetworkSubject
from ares.toolchain import Target
from ares.toolchain.rows import PORTABLE
from ares.verdict import Outcome, Verdict
from tests.slow import slow_but
from tests.toolchain.tiny_network import usable
from tests.witness.planting import BLAMES_C, copy_network, patched, prepared, with_project

NETWORK = "test_8_stride2"
LAYER, CONSTANT = "block4.0", f"{NETWORK}_block4_0_rescale_offset"


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> NetworkSubject:
    return prepared(copy_network(NETWORK, tmp_path_factory.mktemp("machines")))


def _verdicts(
    session: NetworkSubject, project: Project, *names: str
) -> Iterator[tuple[Target, Verdict]]:
    for target in map(usable, names):
        yield target, with_project(session, project).target(target)


def _assert_differs(verdict: Verdict, layer: str) -> None:
    assert verdict.outcome is Outcome.FAIL, verdict
    assert (verdict.fault, verdict.layer) == ("difference", layer), verdict.message
    assert BLAMES_C in verdict.message
    assert f"to repeat it: ares networks {NETWORK} --target " in verdict.message


def as_bytes(project: Project, name: str) -> Project:
    """The project with a table of int64 written down as its bytes, little-endian: right on half of all machines."""
    header, source = f"{NETWORK}_weights.h", f"{NETWORK}_weights.c"
    text = project.files[source].decode()
    found = re.search(rf"const int64_t {name}\[(\d+)\] = \{{(.*?)\}};", text, re.DOTALL)
    assert found
    values = [int(value) for value in re.findall(r"INT64_C\((-?\d+)\)", found[2])]
    assert len(values) == int(found[1])
    data = b"".join(value.to_bytes(8, "little", signed=True) for value in values)
    bytes_ = ", ".join(map(str, data))
    declared = f"_Alignas(8) const uint8_t {name}_bytes[{len(data)}]"
    project = patched(project, source, found[0], f"{declared} = {{{bytes_}}};")
    return patched(
        project,
        header,
        f"extern const int64_t {name}[{found[1]}];",
        f"extern {declared};\n#define {name} ((const int64_t *)(const void *){name}_bytes)",
    )


@pytest.mark.slow
def test_byte_order_of_constants(session: NetworkSubject) -> None:
    planted = as_bytes(session.project, CONSTANT)
    little = ("gcc-O2", "aarch64-gcc-O2", "mipsel-gcc-O2")
    big = ("s390x-gcc-O2", "mips-gcc-O2")
    results = dict(_verdicts(session, planted, *little, *big))
    for target, verdict in results.items():
        if target.name in little:
            assert verdict.outcome is Outcome.PASS, verdict.message
        else:
            _assert_differs(verdict, LAYER)
    matrix = Matrix(tuple(results.values()), 0.0, tuple(results))
    assert matrix.patterns == {NETWORK: ("big-endian",)}


@pytest.mark.slow
def test_char_taken_for_signed(session: NetworkSubject) -> None:
    """Weights read through plain char, by the micro-kernels in C: negative ones are others where char is unsigned."""
    path = "runtime/src/micro_portable.c"
    text = session.project.files[path].decode()
    planted_text, places = re.subn(r"\* (w\d)\[k\];", r"* ((const char *)\1)[k];", text)
    assert places == 12
    files = {**session.project.files, path: planted_text.encode()}
    planted = replace(session.project, files=files)
    names = ("gcc-O2", "mips-gcc-O2", "gcc-unsigned-char", "aarch64-gcc-O2")
    results = {}
    for target in map(usable, names):
        # Vectors of GNU C have a file of their own.
        flags = (*target.flags, "-DARES_PORTABLE", "-U__SSE2__")
        portable = replace(target, flags=flags, instruction_set=PORTABLE)
        results[portable] = with_project(session, planted).target(portable)
    outcomes = [verdict.outcome for verdict in results.values()]
    assert outcomes == [Outcome.PASS, Outcome.PASS, Outcome.FAIL, Outcome.FAIL]
    assert Matrix(tuple(results.values()), 0.0, tuple(results)).patterns == {
        NETWORK: ("unsigned char",)
    }


# --- contraction

UNSAFE = (
    "    value = value * scale[o];\n"
    "    if (bias != NULL) {\n"
    "        value = value + bias[o];\n"
    "    }\n"
)
IN_ONE_EXPRESSION = "    value = value * scale[o] + bias[o];\n"


def _unsafe(project: Project) -> Project:
    """Logits computed in one expression, which a compiler may contract."""
    return patched(project, "runtime/inc/real_output.h", UNSAFE, IN_ONE_EXPRESSION)


def _without_probe(project: Project) -> Project:
    path = "runtime/trace/trace.c"
    text = project.files[path].decode()
    assert text.count("ares_float_probe()") == 1
    return replace(
        project,
        files={**project.files, path: text.replace("ares_float_probe()", "ARES_FLOAT_OK").encode()},
    )


@pytest.mark.parametrize("name", slow_but([0], ["aarch64-gcc-contract", "riscv64-zig-contract"]))
def test_contraction(session: NetworkSubject, name: str) -> None:
    """The probe refuses the build; without it the comparison finds the layer."""
    ((_, refused),) = _verdicts(session, _unsafe(session.project), name)
    assert refused.outcome is Outcome.FAIL
    assert refused.fault == "probe"
    assert "contraction" in refused.message
    ((_, found),) = _verdicts(session, _without_probe(_unsafe(session.project)), name)
    _assert_differs(found, "fc")


@pytest.mark.parametrize("name", ["aarch64-gcc-O2", "gcc-contract"])
def test_without_contraction_one_expression_is_as_good(session: NetworkSubject, name: str) -> None:
    """No contraction, whether forbidden or impossible: so it was the contraction that was found."""
    ((_, verdict),) = _verdicts(session, _unsafe(session.project), name)
    assert verdict.outcome is Outcome.PASS, verdict.message


def test_kernels_keep_their_style() -> None:
    """The safe style of the real kernel: nothing on one line that could be contracted."""
    text = (Path(__file__).parents[2] / "runtime" / "inc" / "real_output.h").read_text()
    assert UNSAFE in text
