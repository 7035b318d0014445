"""The unit cases of the operations, stored as pseudo-networks: what is stored is what the tests say, all of it."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from ares.cli.app import app
from ares.emit import emit
from ares.golden import MANIFEST, GoldenError
from ares.golden import operations as suites
from ares.golden.merging import SEPARATOR, distinct, key_of, merge, split
from ares.golden.operations import (
    GRAPH,
    ORACLE,
    OperationCase,
    OperationSuite,
    load_operation_suite,
    make_suites,
    operation_suites,
    pack_suite,
    stored_digests,
    suite_changes,
    suite_of,
)
from ares.golden.store import compress, decompress, tensor_digest
from ares.ir import DType, Graph, GraphError, Tensor, constant, graph_digest, save_graph
from ares.ir.names import identifier
from ares.ops import operations, run_reference
from ares.ops.requantize import Requantize
from ares.pipeline.regenerate import regenerate_operations
from ares.plan import plan
from ares.toolchain import build, default_targets, run
from tests.ops import recording

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "golden"
STORED = operation_suites(GOLDEN)
SHAPE = (1, 2, 3)


# --- cases of our own: out = -1 - in, twice


def _graph(name: str = "net", shape: tuple[int, ...] = SHAPE, scale: float = 0.5) -> Graph:
    table = constant((-1 - np.arange(256)) % 256, np.uint8)
    return Graph(
        name,
        tuple(Tensor(t, shape, DType.S8, scale, 0, -128, 127) for t in ("x", "a", "y")),
        (
            Requantize("first", ("x",), ("a",), table=table),
            Requantize("second", ("a",), ("y",), table=table),
        ),
        ("x",),
        ("y",),
    ).validate()


def _case(
    operation: str, label: str = "", seed: int = 0, graph: Graph | None = None
) -> OperationCase:
    made = graph or _graph()
    shape = made.tensors[0].shape
    x = np.random.Generator(np.random.Philox(seed)).integers(-128, 128, shape, np.int8)
    return OperationCase(
        operation, "test_it", label, made, (x,), {"a": -1 - x, "y": x}, judged=("y",)
    )


def _cases() -> list[OperationCase]:
    return [_case("linear", "odd size", 1), _case("linear", "a tie", 2), _case("flip", "", 3)]


def _suite() -> OperationSuite:
    (suite,) = make_suites(_cases())
    return suite


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return _write(tmp_path, _suite())


def _write(root: Path, suite: OperationSuite) -> Path:
    folder = root / suite.name
    folder.mkdir()
    for name, data in pack_suite(suite).items():
        (folder / name).write_bytes(data)
    return folder


# --- merging


def test_merged_and_split_again() -> None:
    parts = {"a.b": _graph("case"), "a.c": _graph("case", (1, 5), 0.25)}
    merged = merge("all", parts)
    assert merged.inputs == ("a.b::x", "a.c::x")
    assert [operation.name for operation in merged.operations[1:3]] == ["a.b::second", "a.c::first"]
    found = split(merged)
    assert {key: graph_digest(part) for key, part in found.items()} == {
        key: graph_digest(part) for key, part in parts.items()
    }


def test_a_name_without_a_case_cannot_be_split() -> None:
    with pytest.raises(GraphError, match="'x' belongs to no case"):
        split(_graph())


def test_keys_are_distinct_to_a_c_compiler() -> None:
    taken: set[str] = set()
    labels = ["s8, -3", "s8, 3", "S8.3", "s8_3", "2", "2", "a\nb", "  ", "", "é", "x__y", "_"]
    keys = [distinct(key_of(("linear", "case", label)), taken) for label in labels]
    assert len({identifier(key).upper() for key in keys}) == len(labels)
    assert keys[:3] == ["linear.case.s8_3", "linear.case.s8_3.2", "linear.case.S8_3.3"]
    for key in keys:
        assert not {" ", "\n", ":"} & {*key}
        assert "__" not in identifier(key)
        assert identifier(key).strip("_") == identifier(key)


def test_looking_up_a_tensor_is_no_part_of_a_graph() -> None:
    graph = _graph()
    for other in (graph, copy.deepcopy(graph), pickle.loads(pickle.dumps(graph))):
        assert other.tensor("a") is other.tensors[1]
        with pytest.raises(GraphError, match="net: no tensor named 'b'"):
            other.tensor("b")
        assert save_graph(other) == save_graph(_graph())
    shorter = replace(graph, tensors=graph.tensors[:1])
    with pytest.raises(GraphError, match="no tensor named 'a'"):
        shorter.tensor("a")


# --- making suites


def test_a_suite_holds_everything(folder: Path) -> None:
    found, cases = load_operation_suite(folder), _cases()
    (stored,) = found.golden.cases
    assert stored.name == ORACLE
    assert {line.name for line in stored.records} == {*stored.arrays}
    for key, case in {
        "linear.it.odd_size": cases[0],
        "linear.it.a_tie": cases[1],
        "flip.it": cases[2],
    }.items():
        at = found.graph.inputs.index(f"{key}{SEPARATOR}x")
        assert stored.inputs[at].tobytes() == case.inputs[0].tobytes()
        for name, array in case.tensors.items():
            assert stored.arrays[f"{key}{SEPARATOR}{name}"].tobytes() == array.tobytes()
    facts = found.golden.provenance
    assert facts["counts"]["operations"] == {"flip": 1, "linear": 2}
    assert facts["counts"]["tests"] == {"flip.test_it": 1, "linear.test_it": 2}
    assert facts["sources"]["linear"] == "tests/ops/test_linear.py"
    assert {tuple(entry["not_judged"]) for entry in facts["cases"]} == {("a",)}
    assert stored_digests(folder) == {case.digest for case in cases}


def test_the_same_bytes_for_the_same_cases() -> None:
    assert pack_suite(_suite()) == pack_suite(_suite())


def test_what_is_stored_once_and_what_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    cases = [
        *_cases(),
        _case("linear", "again", 1),
        _case("linear", "large", 4, _graph("net", (1, 50))),
    ]
    monkeypatch.setattr(suites, "LARGEST_CASE", 149)
    (suite,) = make_suites(cases)
    facts = suite.golden.provenance
    assert facts["counts"]["cases"] == 3
    assert facts["duplicates"] == {"linear.it.again": "linear.it.odd_size"}
    (left_out,) = facts["left_out"]
    assert left_out["name"] == "linear.it.large"
    assert left_out["reason"] == "150 bytes of tensors, at most 149"
    assert left_out["digest"] == cases[-1].digest


def test_a_graph_that_only_its_test_allows_is_left_out() -> None:
    wrong = replace(_graph(), outputs=())
    (suite,) = make_suites([*_cases(), _case("linear", "lifts a limit", 5, wrong)])
    (left_out,) = suite.golden.provenance["left_out"]
    assert left_out["reason"].startswith("no valid Graph outside its test")


def test_a_suite_that_no_board_could_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suites, "LARGEST_SUITE", 53)
    with pytest.raises(GoldenError, match=r"ops_fm: 54 bytes of tensors, at most 53 .* divide its"):
        make_suites(_cases())


def test_a_case_that_the_reference_does_not_confirm() -> None:
    """Nothing is stored that the merged reference does not give: the message names the case."""
    case = _case("linear", "odd size")
    wrong = case.tensors["y"].copy()
    wrong[0, 1, 2] ^= 1
    with pytest.raises(GoldenError, match=r"linear\.it\.odd_size::y: the reference of the merged"):
        make_suites([replace(case, tensors={**case.tensors, "y": wrong})])


def test_every_operation_has_a_suite() -> None:
    assert {suite_of(stem) for stem in operations()} == set(STORED)
    assert [suite_of(name) for name in ("a", "ez", "f", "zz")] == [
        "ops_ae",
        "ops_ae",
        "ops_fm",
        "ops_sz",
    ]


def test_a_digest_covers_graph_inputs_and_answers() -> None:
    case = _case("linear")
    assert replace(case, graph=_graph("other")).digest == case.digest
    others = [
        replace(case, graph=_graph(scale=0.25)),
        replace(case, inputs=(case.inputs[0] ^ 1,)),
        replace(case, tensors={**case.tensors, "y": case.tensors["y"] ^ 1}),
        replace(case, tensors={"y": case.tensors["y"], "b": case.tensors["a"]}),
    ]
    assert len({case.digest, *(other.digest for other in others)}) == 5


# --- what a regeneration says


def test_changes_name_the_case(tmp_path: Path) -> None:
    for result in regenerate_operations(_cases(), tmp_path):
        assert result.changes == ("ops_fm: new, 3 cases",)
        result.write()
    (same,) = regenerate_operations(_cases(), tmp_path)
    assert (same.changes, same.files) == ((), {})
    linear, tie, flip = _cases()
    changed = [linear, _case("linear", "a tie", 7), _case("linear", "one more", 8)]
    (result,) = regenerate_operations(changed, tmp_path)
    assert result.changes == (
        "ops_fm: linear.it.one_more: new case",
        "ops_fm: flip.it: case is gone",
        "ops_fm: linear.it.a_tie: changed",
    )
    (result,) = regenerate_operations([linear, tie, replace(flip, judged=())], tmp_path)
    assert result.changes == ("ops_fm: cases: changed",)
    everywhere = regenerate_operations([_case("add")], tmp_path)
    assert [result.changes[0] for result in everywhere] == [
        "ops_ae: new, 1 cases",
        "ops_fm: suite is gone",
    ]
    for result in everywhere:
        result.write()
    assert operation_suites(tmp_path) == ("ops_ae",)


def test_another_order_is_a_change() -> None:
    first, second, third = _cases()
    (other,) = make_suites([second, first, third])
    assert suite_changes(_suite(), other) == [
        "ops_fm: cases: changed",
        "ops_fm: graph_sha256: changed",
    ]


# --- damage


def _refused(folder: Path, *says: str) -> None:
    with pytest.raises(GoldenError) as caught:
        load_operation_suite(folder)
    text = str(caught.value)
    assert len(text.splitlines()) == 1
    assert "python tools/regenerate_golden.py" in text
    for words in says:
        assert words in text


def _edit(folder: Path, edit: Callable[[Any], None]) -> None:
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    edit(manifest)
    (folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")


def test_nothing_there(tmp_path: Path) -> None:
    _refused(tmp_path / "ops_fm", "there is no golden", "regenerate_golden.py ops_fm")
    with pytest.raises(GoldenError, match="there is no golden"):
        stored_digests(tmp_path / "ops_fm")


@pytest.mark.parametrize("name", [GRAPH, "case_oracle.safetensors.zst"])
def test_a_file_is_missing_or_cut(folder: Path, name: str) -> None:
    whole = (folder / name).read_bytes()
    for length in (0, 1, len(whole) // 2, len(whole) - 1):
        (folder / name).write_bytes(whole[:length])
        _refused(folder, name)
    (folder / name).unlink()
    _refused(folder, f"{name}: is missing")


@pytest.mark.parametrize("name", [GRAPH, "case_oracle.safetensors.zst"])
def test_any_bit_is_wrong(folder: Path, name: str) -> None:
    """Refused; a bit of the Graph's file may also mean nothing to the decompressor."""
    whole = (folder / name).read_bytes()
    content = decompressed(whole)
    refused = 0
    for at in range(0, len(whole), 7):
        wrong = bytearray(whole)
        wrong[at] ^= 1 << at % 8
        (folder / name).write_bytes(wrong)
        if name == GRAPH and decompressed(wrong) == content:
            continue
        _refused(folder, name)
        refused += 1
    assert refused > 0.9 * len(whole) / 7


def decompressed(data: bytes) -> bytes:
    try:
        return decompress(Path(), bytes(data))
    except GoldenError:
        return b""


def test_another_graph(folder: Path) -> None:
    """Even one whose digest the manifest was made to record."""
    graph = load_operation_suite(folder).graph
    scaled = tuple(replace(tensor, scale=0.25) for tensor in graph.tensors)
    other = save_graph(replace(graph, tensors=scaled))
    (folder / GRAPH).write_bytes(compress(other))
    _refused(folder, f"{GRAPH}: not the Graph that the manifest records")
    _edit(folder, lambda m: m["provenance"].update(graph_sha256=suites.sha256(other)))
    _refused(folder, "flip.it: its digest is not the case's")
    _replace_graph(folder, save_graph(_graph("ops_fm")))
    _refused(folder, "golden and Graph have different layers")
    _replace_graph(folder, b"no Graph")
    _refused(folder, f"{GRAPH}: not a Graph file")


def _replace_graph(folder: Path, data: bytes) -> None:
    (folder / GRAPH).write_bytes(compress(data))
    _edit(folder, lambda m: m["provenance"].update(graph_sha256=suites.sha256(data)))


def _without(holder: Any, key: Any) -> None:
    del holder[key]


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (lambda m: m.update(network="ops_ae"), "not the manifest of suite ops_fm"),
        (lambda m: m.update(cases=[]), "expected each of oracle once"),
        (lambda m: m["cases"][0].update(name="edge"), "is missing"),
        (lambda m: m["provenance"].pop("graph_sha256"), "damaged manifest (KeyError"),
        (lambda m: m["provenance"].pop("cases"), "damaged manifest (KeyError"),
        (lambda m: m["provenance"].update(cases=7), "damaged manifest (TypeError"),
        (lambda m: m["provenance"]["cases"].pop(), "linear.it.a_tie: in the list of cases or in"),
        (lambda m: m["provenance"]["cases"][1].update(name="linear.it.b"), "linear.it.b: in the"),
        (
            lambda m: m["provenance"]["cases"][1].update(digest="0" * 32),
            "its digest is not the case",
        ),
        (lambda m: m["cases"][0]["layers"].pop(), "is not the one in the manifest"),
        (lambda m: m["cases"][0]["layers"][0].update(stem="add"), "flip.it::a: its record is not"),
        (lambda m: m["cases"][0]["layers"][0].update(distinct=1), "flip.it::a: its record is not"),
        (lambda m: m["cases"][0]["layers"][0].update(layer="x"), "flip.it::a: its record is not"),
        (lambda m: m["cases"][0]["stored"].pop(), "stores other tensors than the manifest"),
    ],
)
def test_the_manifest_says_something_else(
    folder: Path, edit: Callable[[Any], None], says: str
) -> None:
    _edit(folder, edit)
    _refused(folder, says)


def test_a_tensor_is_not_stored(folder: Path) -> None:
    suite = load_operation_suite(folder)
    (case,) = suite.golden.cases
    arrays = {name: array for name, array in case.arrays.items() if name != "flip.it::a"}
    golden = replace(suite.golden, cases=(replace(case, arrays=arrays),))
    for name, data in pack_suite(replace(suite, golden=golden)).items():
        (folder / name).write_bytes(data)
    _refused(folder, "'flip.it::a' is not stored whole")


# --- what is stored in the repository


@pytest.fixture(scope="module", params=STORED)
def stored(request: pytest.FixtureRequest) -> OperationSuite:
    return load_operation_suite(GOLDEN / request.param)


def test_the_reference_gives_what_the_oracles_say(stored: OperationSuite) -> None:
    (case,) = stored.golden.cases
    found = run_reference(stored.graph, case.inputs)
    for line in case.records:
        assert tensor_digest(found[line.name]) == line.digest, line.name


def test_most_tensors_were_judged_by_an_oracle(stored: OperationSuite) -> None:
    """The others lie between: operands that a Permute or a pool brings into place."""
    facts = stored.golden.provenance
    between = sum(len(entry["not_judged"]) for entry in facts["cases"])
    assert between < 0.4 * facts["counts"]["layers"]


def _c(suite: OperationSuite) -> Mapping[str, np.ndarray]:
    target = next(target for target in default_targets() if target.missing() is None)
    project = emit(plan(suite.graph))
    (trace,) = run(build(project, target), project, [suite.golden.cases[0].inputs])
    for name, output in zip(suite.graph.outputs, trace.outputs, strict=True):
        assert output.tobytes() == trace.tensors[name].tobytes(), name
    return trace.tensors


def _wrong(suite: OperationSuite, tensors: Mapping[str, np.ndarray]) -> Iterator[str]:
    for line in suite.golden.cases[0].records:
        if tensor_digest(tensors[line.name]) != line.digest:
            yield line.name


def test_c_gives_what_the_oracles_say(stored: OperationSuite) -> None:
    """And one expected code that is changed is noticed, with the case's name."""
    tensors = _c(stored)
    assert not [*_wrong(stored, tensors)]
    (case,) = stored.golden.cases
    victim = next(line for line in case.records if line.dtype == "int8")
    changed = case.arrays[victim.name].copy()
    changed.flat[-1] ^= 1
    records = tuple(
        replace(line, digest=tensor_digest(changed)) if line is victim else line
        for line in case.records
    )
    planted = replace(
        stored, golden=replace(stored.golden, cases=(replace(case, records=records),))
    )
    (found,) = _wrong(planted, tensors)
    key, _, _ = found.partition(SEPARATOR)
    assert key in {entry["name"] for entry in stored.golden.provenance["cases"]}


def test_programs_fit_small_boards(stored: OperationSuite) -> None:
    """4 MiB of memory: arena, inputs, outputs. The code and its constants are smaller than what they are made of."""
    planned = plan(stored.graph)
    tensors = [*stored.graph.inputs, *stored.graph.outputs]
    buffers = sum(tensor.nbytes for tensor in stored.graph.tensors_of(tensors))
    assert planned.arena_bytes + buffers < 3 * 2**20
    assert len(save_graph(stored.graph)) < 2**20


def test_the_files_are_small() -> None:
    sizes = [path.stat().st_size for name in STORED for path in (GOLDEN / name).iterdir()]
    assert sum(sizes) < 4 * 2**20


# --- drift


def test_exactly_the_cases_of_the_tests_are_stored() -> None:
    """Also no case that no test has any more."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "regenerate_golden.py"), "ops", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 would change, 0 refused" in done.stdout


def test_ares_alone_cannot_record_them() -> None:
    for name in ("ops", STORED[0]):
        result = CliRunner().invoke(app, ["golden", name])
        assert result.exit_code == 2
        assert "python tools/regenerate_golden.py ops" in result.output


def test_a_case_that_is_not_stored_fails_with_one_line(request: pytest.FixtureRequest) -> None:
    x = np.zeros(SHAPE, np.int64)
    token = recording.running.set(request.node)
    try:
        with pytest.raises(pytest.fail.Exception) as caught:
            recording.hand_over(_graph(), [x], {"a": x - 1, "y": x}, ["y"])
    finally:
        recording.running.reset(token)
    assert str(caught.value) == (
        "golden/ops_nr does not hold this case (operation_suites.a_case_that_is_not_stored_fails_with_one_line): "
        "run python tools/regenerate_golden.py ops"
    )


def test_an_array_that_does_not_fit_its_tensor() -> None:
    for array in (np.full(SHAPE, 128), np.zeros((1, 6)), np.full(SHAPE, 0.5)):
        with pytest.raises(GoldenError, match=r"net: y: .* does not fit"):
            suites.as_typed(_graph(), "y", array)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("def test_a():\n    assert 1 == 2", "first: "),
        ("import pytest\ndef test_a():\n    pytest.skip('no')", "first: "),
        ("import nowhere", "first: "),
        ("", "ended with"),
    ],
)
def test_nothing_is_recorded_unless_every_test_passes(tmp_path: Path, body: str, says: str) -> None:
    (tmp_path / "test_broken.py").write_text(body + "\n")
    script = "import pathlib, sys; from tests.ops.recording import record_operations as r; r(pathlib.Path(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    last = done.stderr.splitlines()[-1]
    assert last.startswith("ares.golden.store.GoldenError: operations: nothing is recorded"), last
    assert says in last


def test_a_graph_file_is_what_it_says(folder: Path) -> None:
    data = decompress(folder / GRAPH, (folder / GRAPH).read_bytes())
    assert data == save_graph(load_operation_suite(folder).graph)
