"""The same Graph by other plans: equal integers, equal bytes where nothing may matter, and planted faults seen red."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ares.emit import project as emitting
from ares.fuzzer.variants import KERNELS, Variant, renamed, variant, variants, why_unstable
from ares.ir import Graph, Trace, save_graph
from ares.ops import run_reference
from ares.ops._convolution import QuantizedConvolution
from ares.ops.conv2d import Conv2d
from ares.ops.zero_pad2d import ZeroPad2d
from ares.pipeline.network import NetworkSubject
from ares.pipeline.subject import Subject
from ares.pipeline.suite import SuiteSubject
from ares.plan import Buffer, Choices, PlannedTensor, Share, folding, planner
from ares.plan.arena import place_in_turn
from ares.toolchain import TARGETS, Target, build, run
from ares.toolchain.library import Work, run_batch
from ares.verdict import first_difference
from tests.checkout import ROOT, ZOO
from tests.plan.choosing import add, every_choice, lookup, tensor
from tests.slow import one_in, slow_but
from tests.toolchain.tiny_network import any_target

SUITES = [path.name for path in sorted((ROOT / "golden").glob("ops_*"))]
SMALL = ["test_1_simplecnn", "test_4_resnet_basic", "test_37_zeropad2d", "test_47_unet"]


PLANS = [(name, seed) for seed in range(3) for name in SUITES + SMALL]


def _subject(name: str) -> Subject:
    return (
        SuiteSubject(ROOT / "golden" / name) if name in SUITES else NetworkSubject(ZOO.paths(name))
    )


def _wrong(graph: Graph, found: Sequence[Variant], seed: int = 0) -> str:
    """The first variant whose C makes other integers than the reference, on drawn inputs."""
    generator = np.random.default_rng(seed)
    inputs = [
        generator.integers(t.lo, t.hi, t.shape, endpoint=True).astype(t.dtype.numpy)
        for t in graph.tensors_of(graph.inputs)
    ]
    expected = run_reference(graph, inputs)
    ran = run_batch([Work(each.project, [inputs]) for each in found], any_target())
    named = (
        (each, _differs(each, one.traces[0], expected))
        for each, one in zip(found, ran, strict=True)
    )
    return next((f"{each}: {why}" for each, why in named if why), "")


def _differs(each: Variant, trace: Any, expected: Any) -> str:
    """The first tensor that is not what is expected."""
    assert isinstance(trace, Trace), str(trace)
    outputs = zip(each.graph.outputs, trace.outputs, strict=True)
    for name, found in (*trace.tensors.items(), *outputs):
        if first_difference(name, expected[name].astype(found.dtype), found) is not None:
            return name
    return ""


def _require_golden(subject: Subject, each: Variant, target: Target) -> None:
    """Every case of the golden, on a target."""
    cases = [case.inputs for case in subject.golden.cases]
    traces = run(build(each.project, target), each.project, cases, target=target)
    for number, trace in enumerate(traces):
        assert _differs(each, trace, subject.expected(number)) == "", str(each)


# --- equal integers


@pytest.mark.parametrize(("name", "seed"), slow_but([0, 5], PLANS))
def test_equal_integers(name: str, seed: int) -> None:
    """Every case of the golden; three variants of the suites, one of a network."""
    subject = _subject(name)
    for each in variants(subject.graph, 1000 * seed + len(name), 3 if name in SUITES else 1):
        _require_golden(subject, each, any_target())


@pytest.mark.parametrize("seed", slow_but([0, 1], [(seed,) for seed in range(6)]))
def test_equal_integers_of_a_small_graph(seed: int) -> None:
    graph = every_choice()
    assert _wrong(graph, list(variants(graph, 4 * seed, 4)), seed) == ""


def test_a_guarded_variant_where_sanitizers_watch() -> None:
    graph, target = every_choice(), next(t for t in TARGETS if t.name == "gcc-asan")
    if target.missing() is not None:
        pytest.skip(target.missing() or "")
    inputs = [np.arange(32, dtype=np.int8).reshape(1, 2, 4, 4)]
    each = variant(graph, Choices(3, order=True, calls=True, layouts=True), guard=64)
    (trace,) = run(build(each.project, target), each.project, [inputs], target=target)
    assert _differs(each, trace, run_reference(graph, inputs)) == ""


@pytest.mark.parametrize("name", slow_but([0], [(name,) for name in KERNELS]))
def test_other_instruction_sets(name: str) -> None:
    target = next(target for target in TARGETS if target.name == name)
    if target.missing() is not None:
        pytest.skip(target.missing() or "")
    subject = _subject(SUITES[0])
    (each,) = variants(subject.graph, 77)
    _require_golden(subject, each, target)


# --- equal bytes


@pytest.mark.parametrize("name", one_in(2, [(name,) for name in SMALL]))
def test_equal_bytes(name: str) -> None:
    assert why_unstable(_subject(name).graph, 1) is None


SCRIPT = """\
import sys
from pathlib import Path
from ares.emit import emit
from ares.fuzzer.variants import variants
from ares.ops import read_graph
from ares.plan import plan
graph = read_graph(Path(sys.argv[1]).read_bytes())
print(emit(plan(graph)).digest, *(each.project.digest for each in variants(graph, 5, 4)))
"""


def test_equal_bytes_in_other_processes(tmp_path: Path) -> None:
    """Other seeds of Python's hashes, other working directories; of the plan that ships and of drawn ones."""
    stored = tmp_path / "graph"
    stored.write_bytes(save_graph(every_choice()))
    found = set()
    for seed in ("1", "4242"):
        folder = tmp_path / seed
        folder.mkdir()
        command = [sys.executable, "-c", SCRIPT, str(stored)]
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        finished = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        assert finished.returncode == 0, finished.stderr
        found.add(finished.stdout)
    graph = every_choice()
    here = [emitting.emit(planner.plan(graph)).digest]
    here += [each.project.digest for each in variants(graph, 5, 4)]
    assert found == {" ".join(here) + "\n"}


def test_renamed() -> None:
    graph = every_choice()
    names = [f"n{number:06d}x" for number in range(9)]
    other = renamed(graph, names)
    assert other.inputs == ("n000000x",)
    assert [operation.name for operation in other.operations] == names[1:]
    assert other.composites[0].members == ("n000002x", "n000003x")


# --- faults planted on purpose: each seen by a variant, or by the bytes


def test_a_lifetime_that_only_another_order_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is given away behind the first layer that reads it, not behind the last: in the Graph's own order nothing
    takes that of `a` before `sum` has read it, for `sum` works in place of `p`.
    """
    right = planner._Layouts.memory

    def early(self: Any, outputs: Sequence[str]) -> Any:
        memory = right(self, outputs)
        first: dict[str, int] = {}
        for index, step in enumerate(self.steps):
            for name in step.inputs:
                first.setdefault(memory.roots[name], index)
        cut = [
            replace(each, last=max(each.first, min(each.last, first[each.name])))
            if each.name in first
            else each
            for each in memory.buffers
        ]
        return replace(memory, buffers=cut)

    monkeypatch.setattr(planner._Layouts, "memory", early)
    graph = _late_reader()
    assert _wrong(graph, [variant(graph, Choices())]) == ""
    assert _wrong(graph, [variant(graph, Choices(seed, order=True)) for seed in range(12)]) != ""


def _late_reader() -> Graph:
    """One channel: no copies. `c` can be made anywhere before `d`."""
    shape = (1, 1, 4, 15)
    operations = (
        lookup("a", "x"),
        ZeroPad2d("p", ("a",), ("p",), padding=(0, 0, 0, 0)),
        add("sum", "p", "a"),
        ZeroPad2d("c", ("x",), ("c",), padding=(0, 0, 0, 0)),
        add("d", "sum", "c"),
        lookup("end", "d"),
    )
    tensors = tuple(tensor(name, shape) for name in ("x", *(each.name for each in operations)))
    return Graph("net", tensors, operations, ("x",), ("end",)).validate()


def test_a_result_that_may_not_take_over_its_operand(monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy that turns the axes round, in place: the plan that ships makes none of that size."""
    right = planner.relayout

    def relayout(*arguments: Any) -> Any:
        return replace(right(*arguments), in_place=(0,))

    monkeypatch.setattr(planner, "relayout", relayout)
    graph = every_choice()
    found = [variant(graph, Choices(seed, layouts=True, callers=Share.NONE)) for seed in range(8)]
    assert _wrong(graph, found) != ""


def test_a_frame_folded_without_its_zero_point(monkeypatch: pytest.MonkeyPatch) -> None:
    """A layer that takes a frame over pads with the code 0; the frame's own kernel, with the code of zero."""
    right = folding._widened

    def widened(graph: Graph, reader: Any, pad: Any) -> Any:
        wide = right(graph, reader, pad)
        return (
            None
            if wide is None
            else _ForgetsZero(**{f.name: getattr(wide, f.name) for f in fields(wide)})
        )

    monkeypatch.setattr(folding, "_widened", widened)
    graph = every_choice()
    assert _wrong(graph, [variant(graph, Choices(folded=Share.NONE))]) == ""
    assert _wrong(graph, [variant(graph, Choices())]) != ""


class _ForgetsZero(Conv2d):
    """Its kernel is told of a zero point of 0; what the offsets take back of the sums is still right inside."""

    def struct(self, site: Any, in_place: bool | None = None) -> Any:
        found = Conv2d.struct(self, site, in_place)
        changed = [(k, 0 if k == "input_zero_point" else value) for k, value in found.fields]
        return replace(found, fields=tuple(changed))


def test_another_call_that_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """Copied patches whose weights are packed as if they were read in place."""
    right = QuantizedConvolution._patch_rows

    def rows(self: Any, in_place: bool) -> Any:
        found = right(self, in_place)
        return found if in_place else np.ascontiguousarray(found[..., ::-1])

    monkeypatch.setattr(QuantizedConvolution, "_patch_rows", rows)
    graph = every_choice()
    assert _wrong(graph, [variant(graph, Choices(seed, calls=True)) for seed in range(6)]) != ""


def test_an_order_of_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Buffers placed by what their layers are called."""

    def offsets(buffers: Sequence[Buffer], guard: int, _choices: Choices) -> Any:
        return place_in_turn(sorted(buffers, key=lambda each: each.name), guard)

    monkeypatch.setattr(planner, "_offsets", offsets)
    found = [why_unstable(every_choice(), seed) or "" for seed in range(4)]
    assert any("alphabetical" in why for why in found)


def test_an_order_of_the_graphs_tensors(monkeypatch: pytest.MonkeyPatch) -> None:
    """The table of tensors in the order in which the Graph lists them."""
    right = planner._place

    def place(graph: Graph, *others: Any) -> Any:
        planned = right(graph, *others)
        listed = [tensor.name for tensor in graph.tensors]

        def at(tensor: PlannedTensor) -> int:
            return listed.index(tensor.name) if tensor.name in listed else len(listed)

        return replace(planned, tensors=tuple(sorted(planned.tensors, key=at)))

    monkeypatch.setattr(planner, "_place", place)
    assert "listed in another order" in (why_unstable(every_choice(), 1) or "")


def test_an_order_that_changes_from_time_to_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written depends on how often it was: as an order of a set, or an id, does."""
    calls = iter(range(1000))
    right = emitting.comment
    monkeypatch.setattr(emitting, "comment", lambda text: right(f"{text} {next(calls)}"))
    assert "a second time" in (why_unstable(every_choice(), 1) or "")
