"""Many networks in one library: the same as one by one, and a fault of one costs no other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ares.emit import emit
from ares.ir import DType, Graph, Project, Tensor, Trace
from ares.ops.flip import Flip
from ares.plan import plan
from ares.toolchain import (
    RunFailure,
    ToolchainError,
    build,
    default_targets,
    library,
    run,
    select,
)
from ares.toolchain.library import Ran, Work, run_batch, tables_compiler, why_apart
from tests.slow import slow_but
from tests.toolchain.tiny_network import usable

HOSTS = ["gcc-O2", "gcc-asan", "tcc", "clang-asan"]
CASES = [np.array([[[k, 2, 3]]], np.int8) for k in (1, 9, -128)]
# What the second of two layers does in place of the flip, once its first code is 9.
ABORT = "abort();"
LOOP = "for (volatile int i = 1; i != 0;) { }"


def flips(name: str = "net", axis: int = 2) -> Project:
    """Three codes, turned round twice."""
    codes = [
        Tensor(tensor, (1, 1, 3), DType.S8, 1.0, 0, DType.S8.lo, DType.S8.hi)
        for tensor in ("x", "h", "y")
    ]
    layers = (
        Flip("one", ("x",), ("h",), axis=axis),
        Flip("two", ("h",), ("y",), axis=axis),
    )
    return emit(plan(Graph(name, tuple(codes), layers, ("x",), ("y",)).validate(), guard=64))


def planted(deed: str, name: str = "net") -> Project:
    """The same, its second layer by a kernel that does a deed where the network's first code is 9."""
    project = flips(name)
    path = project.sources[0]
    text = project.files[path].decode()
    kernel = next(line for line in text.splitlines() if '"two"' in line).split(", ")[2]
    assert kernel.startswith("ares_")
    head, table = text.split("static const ares_layer layers[]")
    table = table.replace(f'"two", {kernel}', '"two", planted')
    function = f"""
#include <stdlib.h>
static ares_status planted(const void *params, const void *const *inputs, void *const *outputs,
                           void *scratch)
{{
    if (((const int8_t *)inputs[0])[2] == 9) {{
        {deed}
    }}
    return {kernel}(params, inputs, outputs, scratch);
}}
static const ares_layer layers[]"""
    return replace(project, files={**project.files, path: (head + function + table).encode()})


def work(project: Project) -> Work:
    return Work(project, [[case] for case in CASES])


def kinds(ran: Ran) -> list[str]:
    """Of each case the kind of its failure, or "ok"."""
    return [end.kind if isinstance(end, RunFailure) else "ok" for end in ran.traces]


# --- what is right is the same


@pytest.mark.parametrize("name", slow_but([0, 1], HOSTS))
def test_a_batch_shows_what_programs_show(name: str) -> None:
    """Three networks of one name, and one of another."""
    target = usable(name)
    works = [work(flips()), work(flips()), work(flips("other")), work(planted(";"))]
    for one, ran in zip(works, run_batch(works, target, unobserved=True), strict=True):
        traces = run(build(one.project, target), one.project, one.cases, target=target)
        for alone, found, unseen in zip(traces, ran.traces, ran.unobserved, strict=True):
            assert isinstance(found, Trace)
            assert isinstance(unseen, Trace)
            assert found.digests == alone.digests
            assert found.output_digests == unseen.output_digests == alone.output_digests
            assert {key: array.tolist() for key, array in found.tensors.items()} == {
                key: array.tolist() for key, array in alone.tensors.items()
            }
            assert unseen.outputs[0].tolist() == alone.outputs[0].tolist()
            assert not unseen.tensors


def test_networks_of_one_batch_are_each_their_own() -> None:
    """The same names in the C, other axes: the second must not find the first one's tables."""
    along, still = flips(axis=2), flips(axis=1)
    first, second = run_batch([work(along), work(still)], usable("gcc-O2"))
    for case, turned, kept in zip(CASES, first.traces, second.traces, strict=True):
        assert isinstance(turned, Trace)
        assert isinstance(kept, Trace)
        assert turned.tensors["h"].tolist() == case[:, :, ::-1].tolist()
        assert kept.tensors["h"].tolist() == case.tolist()


def test_each_has_its_own_runtime() -> None:
    """A fault in a copy of the runtime is seen in the network that was given it, and in no other."""
    good = flips()
    source = "runtime/src/slice.c"
    text = good.files[source]
    head, end, rest = text.rpartition(b"return ARES_OK;")
    assert end
    wrong = head + b"((uint8_t *)outputs[0])[0] ^= 1u;\n    return ARES_OK;" + rest
    bad = replace(good, files={**good.files, source: wrong})
    one, other, third = run_batch([work(good), work(bad), work(good)], usable("gcc-O2"))
    for right, faulty, again in zip(one.traces, other.traces, third.traces, strict=True):
        assert isinstance(right, Trace)
        assert isinstance(faulty, Trace)
        assert isinstance(again, Trace)
        assert right.digests == again.digests
        assert faulty.tensors["h"][0, 0, 0] == right.tensors["h"][0, 0, 0] ^ 1


# --- what is wrong costs its case


@pytest.mark.parametrize("name", slow_but([0, 1], HOSTS))
def test_a_crash_costs_its_case_alone(name: str) -> None:
    works = [work(flips()), work(planted(ABORT)), work(flips()), work(planted(ABORT))]
    found = run_batch(works, usable(name), unobserved=True)
    assert [kinds(ran) for ran in found] == [["ok"] * 3, ["ok", "crash", "ok"]] * 2
    error = found[1].traces[1]
    assert isinstance(error, RunFailure)
    assert "SIGABRT" in error.message
    assert "of case 1" in error.message
    assert "layer 1 two y" in error.message
    assert [isinstance(end, Trace) for end in found[3].unobserved] == [True, False, True]


def test_the_last_of_many_crashes_is_named_by_the_callers_number() -> None:
    """After the first crash the rest runs under other numbers."""
    codes = [9, 1, 9, 2]
    one = Work(planted(ABORT), [[np.array([[[code, 0, 0]]], np.int8)] for code in codes])
    (ran,) = run_batch([one], usable("gcc-O2"))
    assert kinds(ran) == ["crash", "ok", "crash", "ok"]
    assert "of case 2" in str(ran.traces[2])


def test_an_endless_loop_is_ended() -> None:
    works = [work(planted(LOOP)), work(flips())]
    found = run_batch(works, usable("gcc-O2"), timeout=1.0)
    assert [kinds(ran) for ran in found] == [["ok", "timeout", "ok"], ["ok"] * 3]
    assert "of case 1" in str(found[0].traces[1])


@pytest.mark.parametrize("name", slow_but([0], ["gcc-asan", "clang-asan"]))
@pytest.mark.parametrize(
    "deed",
    [
        "((volatile int8_t *)outputs[0])[3] = 1;",
        "int zero = 2147483647; zero += ((const int8_t *)inputs[0])[2]; if (zero == 3) { abort(); }",
    ],
    ids=["beside its output", "signed overflow"],
)
def test_sanitizers_watch_a_batch(name: str, deed: str) -> None:
    works = [work(flips()), work(planted(deed)), work(flips())]
    found = run_batch(works, usable(name))
    assert [kinds(ran) for ran in found] == [["ok"] * 3, ["ok", "sanitizer", "ok"], ["ok"] * 3]
    assert "of case 1" in str(found[1].traces[1])


@pytest.mark.parametrize("what", ["this is no C;", "extern int nowhere; nowhere = 1;"])
def test_who_cannot_be_built_is_named_and_the_others_run(what: str) -> None:
    """What does not compile, and what no library has."""
    works = [work(flips()), work(planted(what)), work(flips())]
    one, refused, other = run_batch(works, usable("gcc-O2"), unobserved=True)
    assert kinds(one) == kinds(other) == ["ok"] * 3
    assert refused.refused is not None
    assert refused.traces == refused.unobserved == ()
    assert refused.refused.folder.is_dir()
    assert len(one.unobserved) == 3


def test_a_fault_behind_the_last_case_is_found() -> None:
    """Something is broken that shows only when the process ends."""
    deed = "static int told; if (!told) { told = 1; atexit(abort); }"
    found = run_batch([work(flips()), work(planted(deed)), work(flips())], usable("gcc-O2"))
    assert [kinds(ran) for ran in found] == [["ok"] * 3, ["crash"] * 3, ["ok"] * 3]


# --- where it is done


def test_where_no_library_is_loaded_each_is_a_program() -> None:
    reasons = {target.name: why_apart(target) for target in default_targets()}
    assert reasons["gcc-O2"] is None
    assert reasons["gcc-asan"] is None
    assert "statically" in str(reasons["zig-O2"])
    assert "wasm32" in str(reasons["wasm32-zig-O2"])


def test_programs_of_their_own_lose_one_case_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "why_apart", lambda target: f"{target.name} is told to")
    works = [work(planted(ABORT)), work(flips()), work(planted("this is no C;"))]
    crashed, right, refused = run_batch(works, usable("gcc-O2"), unobserved=True)
    assert [kinds(crashed), kinds(right)] == [["ok", "crash", "ok"], ["ok"] * 3]
    assert len(right.unobserved) == 3
    assert refused.refused is not None


def test_tables_are_compiled_by_the_quickest_where_that_changes_nothing() -> None:
    of = {target.name: tables_compiler(target) for target in select(["gcc-*", "clang-*", "tcc"])}
    assert of["tcc"][0] == "tcc"
    if usable("tcc"):
        assert of["gcc-O2"][0] == of["gcc-O3-native"][0] == "tcc"
        assert "-DARES_PORTABLE" in of["gcc-portable"]
    for name in ("gcc-asan", "clang-asan", "clang-msan"):
        assert of[name][0] != "tcc"
        assert any(flag.startswith("-fsanitize") for flag in of[name])
    (plain,) = select(["gcc-O2"])
    assert tables_compiler(replace(plain, flags=(*plain.flags, "-m32")))[0] == "gcc"


def test_nothing_to_run_is_said() -> None:
    with pytest.raises(ToolchainError, match="there is no case"):
        run_batch([Work(flips(), [])], usable("gcc-O2"))
