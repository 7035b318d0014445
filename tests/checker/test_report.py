"""The report itself: what JSON holds, what people see, and what decides the exit code."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from rich.console import Console
from torch import nn

from ares.checker import Report, check_model, render
from ares.cli.check import check_command
from ares.extract import Finding, Status
from ares.extract._quantizers import CALIBRATE
from tests.checker.models import model_source, write
from tests.cli.outcome import Outcome

Check = Callable[..., Outcome]

DROPOUT = model_source(["self.drop = nn.Dropout(0.5)"], ["x = self.drop(x)"])
FINDINGS = (
    Finding("a", "QuantIdentity", Status.SUPPORTED, "mapped to OP_REQUANTIZE", op_type="OP_REQUANTIZE"),
    Finding("b.0", "BatchNorm2d", Status.ERROR, "BatchNorm2d cannot be mapped", "fold it"),
    Finding("b.1", "BatchNorm2d", Status.ERROR, "BatchNorm2d cannot be mapped", "fold it"),
    Finding("c", "Dropout", Status.WARNING, "does nothing", "remove it"),
    Finding("", "data dependent", Status.ERROR, "values reach Python", "decide in __init__"),
)  # fmt: skip


UNCALIBRATED = Finding("a", "QuantIdentity", Status.WARNING, "was never calibrated", CALIBRATE)


def report(*findings: Finding, unseen: str = "") -> Report:
    return Report("net", "Net", "--input-shape", ((1, 4),), findings, unseen)


def shown(what: Report, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width, highlight=False)
    console.print(render(what, width))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_summary() -> None:
    assert report(*FINDINGS).summary == (
        "NOT compatible: 2 of 4 layers; first: b.0 (BatchNorm2d): BatchNorm2d cannot be mapped"
    )
    assert report(FINDINGS[0], FINDINGS[3]).summary == "compatible: 2 layers, 1 warning"
    assert report(FINDINGS[0]).summary == "compatible: 1 layer, 0 warnings"
    assert report(FINDINGS[4]).summary == (
        "NOT compatible: the model as a whole; first: data dependent: values reach Python"
    )
    assert report(UNCALIBRATED, FINDINGS[3]).summary == (
        "compatible: 2 layers, 2 warnings; calibrate it before verify"
    )


def test_without_forward_nothing_is_compatible() -> None:
    """An error in a class is one all the same."""
    unknown = report(FINDINGS[0], unseen="with (1, 4), forward raised; say --input-shape")
    assert unknown.summary == (
        "NOT KNOWN: forward was not seen: with (1, 4), forward raised; say --input-shape"
    )
    assert (unknown.compatible, unknown.known, unknown.forward_seen) == (False, False, False)
    refused = report(*FINDINGS, unseen="with (1, 4), forward raised")
    assert refused.summary.startswith("NOT compatible: 2 of 4 layers")
    assert (refused.compatible, refused.known) == (False, True)
    found = [r.as_json()["verdict"] for r in (unknown, refused, report(FINDINGS[0]))]
    assert found == ["not known", "not compatible", "compatible"]
    assert shown(unknown).splitlines()[-1].startswith("NOT KNOWN")


def test_json_is_stable_and_complete(tmp_path: Path, check: Check) -> None:
    path = write(tmp_path, DROPOUT)
    target = tmp_path / "report.json"
    first = check("--model-file", path, "--json-out", target)
    data = target.read_bytes()
    target.write_text("something older")
    again = check("--model-file", path, "--json-out", target)
    assert target.read_bytes() == data
    assert (first.code, again.code) == (0, 0)
    assert first.out == again.out
    found = again.report
    assert list(found) == [
        "format", "network", "model", "compatible", "verdict", "summary", "inputs", "counts", "findings"
    ]  # fmt: skip
    assert (found["network"], found["model"], found["compatible"]) == ("model", "Model", True)
    assert found["counts"] == {
        "layers": 6,
        "supported": 3,
        "warning": 3,
        "error": 0,
        "not_judged": 0,
    }
    assert found["findings"][1] == {
        "layer": "conv",
        "module": "conv",
        "type": "QuantConv2d",
        "op_type": "OP_CONV2D",
        "status": "supported",
        "reason": "mapped to OP_CONV2D",
        "suggestion": "",
    }
    assert [f["layer"] for f in found["findings"]] == [
        "quant_in", "conv", "relu", "drop", "flatten", "fc"
    ]  # fmt: skip
    assert not [name for name in os.listdir(tmp_path) if name.startswith("tmp")]


def test_strict_warnings(tmp_path: Path, check: Check) -> None:
    path = write(tmp_path, DROPOUT)
    assert check("--model-file", path).code == 0
    strict = check("--model-file", path, "--strict-warnings")
    assert strict.code == 1
    assert strict.report["compatible"] is True
    assert strict.out.rstrip().endswith("6 layers, 3 warnings; calibrate it before verify")


def test_screen_shows_errors_first_and_the_verdict_last() -> None:
    lines = shown(report(*FINDINGS)).rstrip().splitlines()
    text = "\n".join(lines)
    assert text.index("error") < text.index("warning") < text.index("OpType")
    # Advice that two layers share is given once.
    assert text.count("-> fold it") == 1
    assert lines[-2].startswith("NOT compatible: 2 of 4 layers; first: b.0")


@pytest.mark.parametrize("width", [60, 80, 200])
def test_no_word_is_broken(width: int) -> None:
    lines = shown(report(*FINDINGS), width).splitlines()
    assert max(map(len, lines)) <= width
    words = {word for line in lines for word in line.split()}
    for finding in FINDINGS:
        said = finding.reason if finding.status in (Status.ERROR, Status.WARNING) else ""
        whole = f"{finding.layer} {finding.layer_type} {said} {finding.suggestion}"
        missing = {*whole.split()} - words - {word.strip(":()") for word in words}
        assert not missing or (missing == {finding.layer_type} and width == 60)


def test_suggestions_are_whole_in_a_pipe(tmp_path: Path, check: Check) -> None:
    source = model_source(["self.bn = nn.LocalResponseNorm(2)"], ["x = self.bn(x.value)"])
    outcome = check("--model-file", write(tmp_path, source))
    (error,) = outcome.errors()
    assert f"-> {error['suggestion']}\n" in outcome.out


def test_names_of_users_are_not_markup() -> None:
    odd = Finding("blocks[red]", "My[/]Layer", Status.ERROR, "cannot [bold]be mapped", "use [b]")
    text = shown(report(odd))
    for part in ("blocks[red]", "My[/]Layer", "cannot [bold]be mapped", "use [b]"):
        assert part in text


def test_supported_types_are_those_of_the_operations(
    run: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    from ares.ops import COMPOSITES, operations

    monkeypatch.setenv("COLUMNS", "80")
    outcome = run(check_command, "--list-supported-types")
    assert outcome.code == 0
    rows = {tuple(line.split()) for line in outcome.out.splitlines()}
    for operation in operations().values():
        assert (operation.LAYER_TYPE, operation.PYTHON_CLASS, operation.OP_TYPE) in rows
    for kind in COMPOSITES:
        for name in kind.python_classes:
            assert (kind.layer_type, name, kind.op_type) in rows


def test_check_model_leaves_the_model_as_it_is() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(4, 2)).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = check_model(model, [torch.ones(3, 4)], "mine")
    assert not found.compatible
    assert found.inputs == "given by the caller"
    assert [finding.layer for finding in found.errors] == ["2"]
    assert all(module.training for module in model.modules())
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])
    assert not model[0]._forward_hooks
