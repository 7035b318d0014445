"""Cases are merged into suites and split again; a regeneration says what it changes."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace
from pathlib import Path

import pytest

from ares.golden import GoldenError
from ares.golden import operations as suites
from ares.golden.merging import SEPARATOR, distinct, key_of, merge, split
from ares.golden.operations import (
    ORACLE,
    load_operation_suite,
    make_suites,
    operation_suites,
    pack_suite,
    stored_digests,
    suite_changes,
    suite_of,
)
from ares.ir import GraphError, graph_digest, save_graph
from ares.ir.names import identifier
from ares.ops import operations
from ares.pipeline.regenerate import regenerate_operations
from tests.golden.suites import STORED, a_case, a_suite, negated_twice, three_cases

# --- merging


def test_merged_and_split_again() -> None:
    parts = {"a.b": negated_twice("case"), "a.c": negated_twice("case", (1, 5), 0.25)}
    merged = merge("all", parts)
    assert merged.inputs == ("a.b::x", "a.c::x")
    assert [operation.name for operation in merged.operations[1:3]] == ["a.b::second", "a.c::first"]
    found = split(merged)
    assert {key: graph_digest(part) for key, part in found.items()} == {
        key: graph_digest(part) for key, part in parts.items()
    }


def test_a_name_without_a_case_cannot_be_split() -> None:
    with pytest.raises(GraphError, match="'x' belongs to no case"):
        split(negated_twice())


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
    graph = negated_twice()
    for other in (graph, copy.deepcopy(graph), pickle.loads(pickle.dumps(graph))):
        assert other.tensor("a") is other.tensors[1]
        with pytest.raises(GraphError, match="net: no tensor named 'b'"):
            other.tensor("b")
        assert save_graph(other) == save_graph(negated_twice())
    shorter = replace(graph, tensors=graph.tensors[:1])
    with pytest.raises(GraphError, match="no tensor named 'a'"):
        shorter.tensor("a")


# --- making suites


def test_a_suite_holds_everything(folder: Path) -> None:
    found, cases = load_operation_suite(folder), three_cases()
    (stored,) = found.golden.cases
    assert stored.name == ORACLE
    assert {line.name for line in stored.layers} == {*stored.arrays}
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
    assert pack_suite(a_suite()) == pack_suite(a_suite())


def test_what_is_stored_once_and_what_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    cases = [
        *three_cases(),
        a_case("linear", "again", 1),
        a_case("linear", "large", 4, negated_twice("net", (1, 50))),
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
    wrong = replace(negated_twice(), outputs=())
    (suite,) = make_suites([*three_cases(), a_case("linear", "lifts a limit", 5, wrong)])
    (left_out,) = suite.golden.provenance["left_out"]
    assert left_out["reason"].startswith("no valid Graph outside its test")


def test_a_suite_that_no_board_could_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suites, "LARGEST_SUITE", 53)
    with pytest.raises(GoldenError, match=r"ops_fm: 54 bytes of tensors, at most 53 .* divide its"):
        make_suites(three_cases())


def test_a_case_that_the_reference_does_not_confirm() -> None:
    """Nothing is stored that the merged reference does not give: the message names the case."""
    case = a_case("linear", "odd size")
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
    case = a_case("linear")
    assert replace(case, graph=negated_twice("other")).digest == case.digest
    others = [
        replace(case, graph=negated_twice(scale=0.25)),
        replace(case, inputs=(case.inputs[0] ^ 1,)),
        replace(case, tensors={**case.tensors, "y": case.tensors["y"] ^ 1}),
        replace(case, tensors={"y": case.tensors["y"], "b": case.tensors["a"]}),
    ]
    assert len({case.digest, *(other.digest for other in others)}) == 5


# --- what a regeneration says


def test_changes_name_the_case(tmp_path: Path) -> None:
    for result in regenerate_operations(three_cases(), tmp_path):
        assert result.changes == ("ops_fm: new, 3 cases",)
        result.write()
    (same,) = regenerate_operations(three_cases(), tmp_path)
    assert (same.changes, same.files) == ((), {})
    linear, tie, flip = three_cases()
    changed = [linear, a_case("linear", "a tie", 7), a_case("linear", "one more", 8)]
    (result,) = regenerate_operations(changed, tmp_path)
    assert result.changes == (
        "ops_fm: linear.it.one_more: new case",
        "ops_fm: flip.it: case is gone",
        "ops_fm: linear.it.a_tie: changed",
    )
    (result,) = regenerate_operations([linear, tie, replace(flip, judged=())], tmp_path)
    assert result.changes == ("ops_fm: cases: changed",)
    everywhere = regenerate_operations([a_case("add")], tmp_path)
    assert [result.changes[0] for result in everywhere] == [
        "ops_ae: new, 1 cases",
        "ops_fm: suite is gone",
    ]
    for result in everywhere:
        result.write()
    assert operation_suites(tmp_path) == ("ops_ae",)


def test_another_order_is_a_change() -> None:
    first, second, third = three_cases()
    (other,) = make_suites([second, first, third])
    assert suite_changes(a_suite(), other) == [
        "ops_fm: cases: changed",
        "ops_fm: graph_sha256: changed",
    ]
