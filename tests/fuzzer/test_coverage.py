"""What a Graph covers is counted, what was never drawn is a hole with its name, and a record says both."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ares.cli.app import app
from ares.evidence import is_current, read_record
from ares.fuzzer import coverage
from ares.fuzzer.campaign import Tally
from ares.fuzzer.coverage import (
    DIMENSIONS,
    INSIDE,
    as_json,
    by_dimension,
    cells_of,
    holes,
    possible,
    table,
)
from ares.fuzzer.findings import Finding, Judged
from ares.fuzzer.judging import DrawnSubject
from ares.fuzzer.recipe import InputSpec, Node, Option, Recipe
from ares.fuzzer.record import NotWhole, write
from ares.fuzzer.summary import lines_of
from ares.ops import operations

SHARE = 2.0**-6


def subject() -> DrawnSubject:
    """A strided convolution behind a quantiser, its ReLU's codes pooled."""
    options: dict[str, Option] = {
        "out": 3,
        "kernel": (3, 2),
        "stride": (2, 1),
        "padding": (1, 0),
        "dilation": (1, 2),
        "unit": SHARE,
        "weight_bits": 4,
        "per_channel": True,
        "weights": "uniform",
    }
    nodes = (
        Node("n0", "quant", (0,), {"scale": 0.03125, "bits": 8}),
        Node("n1", "conv2d", (1,), options),
        Node("n2", "quant_relu", (2,), {"scale": 0.0625, "bits": 5, "signed": False}),
        Node("n3", "max_pool", (3,), {"kernel": (2, 2), "stride": (1, 1)}),
    )
    recipe = Recipe(1, (InputSpec((1, 2, 7, 7)),), nodes, (4,), cases=("random",))
    return DrawnSubject(recipe, again=lambda _target: "")


@pytest.fixture(scope="module")
def cells() -> frozenset[str]:
    drawn = subject()
    return cells_of(drawn.graph, drawn.project)


def test_every_parameter_is_in_its_class(cells: frozenset[str]) -> None:
    conv = {cell.removeprefix("conv2d/") for cell in cells if cell.startswith("conv2d/")}
    assert conv == {
        *("types/s8>u8", "bits/5", "scale/2^-5..", "zero point/none", "size/16..255"),
        *("kernel/3", "kernel/2", "stride/2", "stride/1", "dilation/1", "dilation/2"),
        *("padding/even", "groups/one", "channels/per channel", "weight bits/4"),
        *("function/none", "behind/quantize"),
    }
    assert "max_pool2d/behind/conv2d" in cells
    assert "quantize/behind/input" in cells
    assert "quantize/types/f32>s8" in cells
    assert {
        "runtime/kernel function/ares_conv2d",
        "runtime/kernel function/ares_max_pool2d",
    } <= cells


def test_what_is_drawn_is_possible(cells: frozenset[str]) -> None:
    assert cells <= possible()


def test_every_operation_and_kernel_has_cells() -> None:
    named = {cell.split("/")[0] for cell in possible()}
    assert named == {*operations(), "runtime"}
    kernels = [cell for cell in possible() if cell.startswith("runtime/")]
    assert len(kernels) > 30
    for cell in possible():
        stem, dimension, name = cell.split("/", 2)
        assert dimension in (*DIMENSIONS, "behind", "kernel function"), stem
        assert dimension not in DIMENSIONS or name in DIMENSIONS[dimension]
    assert set(operations()) >= INSIDE | coverage.MOVES


def test_holes_are_what_is_possible_and_was_not_drawn(cells: frozenset[str]) -> None:
    counts = Counter(cells)
    missing = holes(counts)
    assert "conv2d/stride/3" in missing
    assert "conv2d/stride/2" not in missing
    assert "max_pool2d/types/s8>u8" not in missing  # a move keeps its type
    assert len(missing) == len(possible()) - len(cells)
    assert holes(dict.fromkeys(possible(), 1)) == ()
    row = next(r for r in table(counts) if r[:2] == ("conv2d", "stride"))
    assert row[2] == "1 1, 2 1, 3 0"
    facts = as_json(counts)
    assert facts["possible"] - facts["drawn"] == len(facts["holes"])


def test_the_short_table_counts_every_cell_and_names_every_hole(cells: frozenset[str]) -> None:
    counts = Counter(cells)
    rows = {row[0]: row[1:] for row in by_dimension(counts)}
    assert sum(known for _, known, _ in rows.values()) == len(possible())
    assert sum(len(missing) for *_, missing in rows.values()) == len(holes(counts))
    drawn, known, missing = rows["stride"]
    assert drawn + len(missing) == known
    assert "conv2d 3" in missing
    assert "conv2d 2" not in missing
    assert "runtime ares_conv2d" not in rows["kernel function"][2]


def test_the_summary_shows_the_table_with_holes_by_name(cells: frozenset[str]) -> None:
    lines = [line.plain for line in lines_of(whole(cells))]
    facts = as_json(Counter(cells))
    share = f"coverage: {facts['drawn']} of {facts['possible']} cells drawn"
    (start,) = (at for at, line in enumerate(lines) if line.startswith(share))
    shown = lines[start + 1 : start + 1 + len(DIMENSIONS) + 2]
    assert [line[2:18].strip() for line in shown] == [*DIMENSIONS, "neighbour", "kernel variant"]
    (stride,) = (line for line in shown if line.startswith("  stride "))
    assert "not drawn: average_fp32 1, average_fp32 2, average_fp32 3 and " in stride
    assert lines[-1].startswith("NONE FOUND")


def test_the_whole_table_goes_into_a_file(
    cells: frozenset[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ares.cli.fuzz._run", lambda *_: whole(cells))
    file = tmp_path / "cells.json"
    words = ["fuzz", "--graphs", "2", "--seed", "5", "--coverage"]
    assert CliRunner().invoke(app, [*words, str(file)]).exit_code == 0
    assert json.loads(file.read_text()) == as_json(Counter(cells))
    absent = CliRunner().invoke(app, [*words, str(tmp_path / "none" / "cells.json")])
    assert absent.exit_code == 2
    assert "is no folder that can be written to" in absent.stderr


# --- the record


def whole(cells: frozenset[str]) -> Tally:
    tally = Tally(5, 2, ("gcc-O2",))
    tally.take(Judged(5, cases=3, layers=12, cells=cells))
    tally.take(Judged(6, refusal="Conv2d: its padding"))
    tally.seconds = 0.5
    return tally


def test_a_record_says_what_was_done(cells: frozenset[str], tmp_path: Path) -> None:
    (tmp_path / "ares").mkdir()
    (tmp_path / "ares" / "one.py").write_text("x = 1\n")
    path = write(whole(cells), tmp_path, "ares fuzz --graphs 2 --seed 5 --record")
    facts = json.loads(path.read_text())
    assert facts["command"] == "ares fuzz --graphs 2 --seed 5 --record"
    assert (facts["graphs"], facts["accepted"], facts["layers"]) == (2, 1, 12)
    assert facts["refused"] == {"Conv2d: its padding": 1}
    assert facts["graphs_per_second"] == 4.0
    assert facts["coverage"]["counts"]["conv2d/stride/2"] == 1
    assert facts["targets"]["gcc-O2"].startswith("gcc ")
    assert "/" not in facts["targets"]["gcc-O2"]
    record = read_record(tmp_path, "fuzz")
    assert record is not None
    assert is_current(tmp_path, record)
    (tmp_path / "ares" / "one.py").write_text("x = 2\n")
    assert not is_current(tmp_path, record)


@pytest.mark.parametrize("why", ["stopped", "interrupted", "found", "empty"])
def test_what_is_no_evidence_is_not_recorded(
    cells: frozenset[str], tmp_path: Path, why: str
) -> None:
    tally = whole(cells)
    if why == "stopped":
        tally.planned = 3
    elif why == "interrupted":
        tally.interrupted = True
    elif why == "found":
        tally.findings["c: difference"] = [Finding(5, "c: difference", "c", "")]
    else:
        tally.layers = 0
    with pytest.raises(NotWhole):
        write(tally, tmp_path, "ares fuzz")
    assert not list(tmp_path.iterdir())
