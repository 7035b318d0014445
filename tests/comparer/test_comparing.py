"""Runtimes beside the golden codes: a wrong one is named with layer and cause, a right one is not accused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from ares.comparer import Comparison, Parts, compare
from ares.comparer.failure_folder import folders_of
from ares.comparer.rendering import parts as shown
from ares.comparer.result_files import as_json, as_junit, said
from ares.ops import run_reference
from ares.runtimes import chosen
from tests.checkout import ROOT
from tests.prover.small import folder_of, small_graph
from tests.runtimes.planted import planted


@pytest.fixture(autouse=True)
def _findable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


# Layers whose zero point is odd and whose sums meet ties.
TIES = ["mean", "total"]


def small_parts(seeds: tuple[int, ...] = (1, 2)) -> Parts:
    """The small network of tests.prover on images that saturate here and there."""
    graph = small_graph()
    cases = []
    for seed in seeds:
        image = np.random.default_rng(seed).normal(0, 8, (1, 3, 8, 8)).astype(np.float32)
        cases.append({"image": image, **run_reference(graph, [image])})
    return Parts(graph, cases)


def _silent(_words: str) -> None:
    pass


def _wrong(comparison: Comparison) -> list[str]:
    return [row.layer for row in comparison.layers if row.verdict != "equal"]


def test_the_right_one_is_equal_but_for_what_onnx_says_of_ties() -> None:
    """Of odd zero points half of the ties go to the other code, by ONNX's own rule."""
    found = compare(small_parts(), planted("exact"), _silent)
    assert [row.layer for row in found.layers][:3] == ["x", "conv", "deep"]
    assert _wrong(found) == TIES
    for row in found.layers:
        if row.verdict == "differs":
            assert row.cause == "ties: ONNX adds the zero point, which is odd, after rounding"
            assert row.theirs == row.ours == 0.0, "at a tie both are half a step away"
    assert [row.tensor for row in found.deployed] == ["gelu", "wide"]
    assert not found.departures


@pytest.mark.parametrize(
    ("operator", "layers"),
    [
        pytest.param("Conv", {"conv", "deep"}, marks=pytest.mark.slow),
        pytest.param("AveragePool", {"mean"}, marks=pytest.mark.slow),
        ("Add", {"total"}),
    ],
)
def test_ties_that_go_up_are_named(operator: str, layers: set[str]) -> None:
    found = compare(small_parts(tuple(range(8))), planted("half_up", operator=operator), _silent)
    up = [row for row in found.layers if row.cause == "rounded half up"]
    assert {row.layer for row in up} <= layers
    assert up
    assert {(row.largest, row.theirs, row.ours) for row in up} == {(1, 0.0, 0.0)}
    assert {*_wrong(found)} == {row.layer for row in up} | {"deep", *TIES}, "more cases, more ties"


def test_one_code_of_one_case() -> None:
    """A golden that is wrong in one place shows there and nowhere else, with both on the right sides."""
    parts = small_parts()
    parts.cases[1]["deep"][0, 5, 7, 3] += 1
    found = compare(parts, planted("exact"), _silent)
    (row,) = [row for row in found.layers if row.layer == "deep"]
    assert (row.differing, row.codes, row.largest) == (1, 2 * 6 * 8 * 8, 1)
    golden = int(parts.cases[1]["deep"][0, 5, 7, 3])
    assert row.first == (1, (0, 5, 7, 3), golden, golden - 1)
    assert row.ours > 0.0 == row.theirs
    assert row.cause == "the file itself, in float64, means what was found"
    assert "mean" in _wrong(found), "which is fed with that code"
    as_it_was = compare(small_parts(), planted("exact"), _silent)
    assert found.deployed == as_it_was.deployed, "the whole network is not fed with it"


def test_what_a_runtime_does_not_run() -> None:
    found = compare(small_parts(), planted("refuses", operator="AveragePool"), _silent)
    assert _wrong(found) == TIES
    assert {row.verdict for row in found.deployed} == {"failed"}
    assert "no kernel for AveragePool" in found.deployed[0].words
    assert not found.is_equal


def test_another_shape_is_no_answer() -> None:
    found = compare(small_parts(), planted("flat"), _silent)
    assert {row.verdict for row in found.layers} == {"failed"}
    assert found.layers[0].words == "its output has shape [192], ours [1, 3, 8, 8]"


def test_files_and_words() -> None:
    parts = small_parts()
    wrong = compare(parts, planted("half_up", operator="Add"), _silent)
    right = compare(parts, planted("exact"), _silent)
    told = json.loads(as_json([right, wrong]))
    assert told["equal"] is False
    assert [row["verdict"] for row in told["comparisons"][1]["layers"]][:2] == ["equal", "equal"]
    suites = ElementTree.fromstring(as_junit([right, wrong]))
    assert [suite.get("failures") for suite in suites][::2] == ["2", "2"]
    lines = [part for part in shown([right, wrong]) if isinstance(part, str)]
    (line,) = [line for line in lines if line.startswith("half_up: layer total (OP_ADD): ")]
    assert line.endswith("; rounded half up")
    assert "of 12 layers 10 equal, 2 differ; first mean" in lines[-1]
    assert said(wrong.layers[0]) == "equal"


def test_the_folder_repeats_with_that_runtime_alone(tmp_path: Path) -> None:
    (runtime,) = chosen(["onnxruntime-plain"])
    if runtime.missing():
        pytest.skip(str(runtime.missing()))
    parts = small_parts()
    parts.cases[1]["deep"][0, 5, 7, 3] += 1
    found = compare(parts, runtime, _silent)
    files = folders_of(parts, found, runtime)
    folder = folder_of(files, tmp_path) / "onnxruntime-plain-02-deep"
    assert {path.name for path in folder.iterdir()} == {
        *("README.md", "expected.npy", "input0.npy", "model.onnx", "repeat.py")
    }
    ran = subprocess.run(
        [sys.executable, "-I", "repeat.py"], cwd=folder, capture_output=True, text=True, check=True
    )
    assert ran.stdout.startswith("1 of 384 differ in onnxruntime ")
    assert "import ares" not in files["onnxruntime-plain-02-deep/repeat.py"].decode()


def test_pairs_that_saturate_are_named() -> None:
    """What x86 without VNNI makes of sums of u8 times s8: computed here, and found in the layer's own numbers."""
    from ares.comparer.causes import cause_of
    from ares.comparer.judging import Judged

    parts = small_parts()
    (layer,) = [each for each in parts.layers if each.operation.name == "wide"]
    operation: Any = layer.operation
    codes = [case["flat"].astype(np.int64) for case in parts.cases]
    weight = operation.weight.astype(np.int64)
    rows = []
    for each in codes:
        total = np.zeros((1, len(weight)), np.int64)
        for k in range(0, weight.shape[1], 2):
            pair = (each[:, k : k + 2] + 128) @ weight[:, k : k + 2].T
            total += np.minimum(np.maximum(pair, -32768), 32767)
        rows.append(operation.rescale.apply(total - 128 * weight.sum(1)))
    golden = [case["wide"] for case in parts.cases]
    judged = Judged(
        *(operation, layer.output, layer.graph.tensors_of(operation.inputs)),
        *([[each] for each in codes], golden, rows, parts.before(layer)),
    )
    assert (np.stack(golden) != np.stack(rows)).any(), "nothing saturates"
    assert "VPMADDUBSW" in cause_of(judged, np.stack(golden), np.stack(rows))
