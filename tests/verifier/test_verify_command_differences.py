"""`ares verify`: what differs is named, kept, and repeated without ARES."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ares.pipeline.subject
from ares.emit import emit
from ares.ir import Project
from ares.ops.max_pool2d import MaxPool2d
from tests.checker.models import refused, write
from tests.slow import slow_but
from tests.verifier.verifying import POOLED, TARGET, Run, reproduce, stages

Plant = Callable[[str, str, str], None]


@pytest.fixture(name="plant")
def plant_fixture(monkeypatch: pytest.MonkeyPatch) -> Plant:
    """Put a fault into a file of every project that is generated."""

    faults: list[tuple[str, str, str]] = []

    def planted(plan: Any) -> Project:
        project = emit(plan)
        files = dict(project.files)
        for file, right, wrong in faults:
            assert right.encode() in files[file]
            files[file] = files[file].replace(right.encode(), wrong.encode())
        return dataclasses.replace(project, files=files)

    monkeypatch.setattr(ares.pipeline.subject, "emit", planted)

    def plant(file: str, right: str, wrong: str) -> None:
        faults.append((file, right, wrong))

    return plant


KERNEL = "runtime/src/max_pool2d.c"
TAIL = "out += p->channels;"
RIGHT, WRONG = "column < across.end;", "column < across.end - (y == 2);"
# Behind what every instruction set makes of sums: the fourth result with the other sign.
FLOAT_KERNEL, DONE = "runtime/src/linear_fp32.c", "out + r * p->out_features + n);"
NEGATED = f"{DONE} out[r * p->out_features + 3] *= -1.0f;"


def test_a_fault_in_a_kernel(plant: Plant, tmp_path: Path, verify: Run) -> None:
    plant(KERNEL, RIGHT, WRONG)
    outcome = verify("--model-file", write(tmp_path, POOLED), "--target", TARGET)
    assert outcome.code == 1
    (verdict,) = (v for v in outcome.report["verdicts"] if v["outcome"] == "fail")
    assert (verdict["stage"], verdict["fault"], verdict["layer"]) == (
        f"c[{TARGET}]",
        "difference",
        "pool",
    )
    assert "layer pool (OP_MAXPOOL): tensor pool differs from the golden" in outcome.out
    assert "first at [0, " in outcome.out
    assert "the C differs; reference and torch agree with the golden" in outcome.out
    assert re.search(r"to repeat it: ares verify .*--target", outcome.out)
    layers = {line["layer"]: line for line in outcome.report["layers"]}
    assert layers["conv"]["exact"] == [TARGET]
    assert layers["pool"]["differs"] == [TARGET]
    assert layers["fc"]["exact"] == layers["fc"]["differs"] == []
    assert outcome.out.splitlines()[-1].startswith(f"NOT EXACT: c[{TARGET}] failed (difference)")

    folder = Path("ares-failure-model")
    assert outcome.report["reproduction"] == str(folder)
    assert "sh ares-failure-model/reproduce.sh" in outcome.out
    assert os.listdir() == [str(folder)], "nothing temporary stays"
    assert not any(b"import ares" in f.read_bytes() for f in folder.rglob("*") if f.is_file())
    _fails_until_repaired(folder)


def _fails_until_repaired(folder: Path) -> None:
    moved = folder.rename(folder.with_name("else where"))
    done = reproduce(moved)
    assert done.returncode == 1, done
    shown = re.search(
        r"layer pool \(OP_MAXPOOL\): tensor pool: element \[0, \d+, 2, \d+\]: expected (\d+), found (\d+)",
        done.stderr,
    )
    assert shown is not None, done.stderr
    assert int(shown[1]) > int(shown[2])
    kernel = moved / "project" / KERNEL
    kernel.write_text(kernel.read_text().replace(WRONG, RIGHT))
    done = reproduce(moved)
    assert (done.returncode, done.stderr) == (0, "")
    assert "equal: every byte of every layer is as expected" in done.stdout


OTHER_FAULTS: Mapping[str, tuple[str, str, str, str, str]] = {
    "float": (
        FLOAT_KERNEL,
        DONE,
        NEGATED,
        "difference",
        r"layer fc \(OP_LINEAR_FP32\): tensor fc: element \[0, 3\]: expected -?[\d.e-]+, found -?[\d.e-]+",
    ),
    "refused": (KERNEL, "(void)scratch;", "scratch = 3;", "build", "does not build for"),
    "crash": (
        KERNEL,
        "(void)scratch;",
        "(void)scratch; if (p->down.out > 0) { return ARES_ERROR_INPUT; }",
        "crash",
        "exit code 6 behind: layer 1 conv conv",
    ),
}


@pytest.mark.parametrize("name", slow_but([1], OTHER_FAULTS))
def test_other_faults(name: str, plant: Plant, tmp_path: Path, verify: Run) -> None:
    file, right, wrong, fault, words = OTHER_FAULTS[name]
    plant(file, right, wrong)
    out = tmp_path / "kept"
    outcome = verify("--model-file", write(tmp_path, POOLED), "--target", TARGET, "--out", out)
    assert outcome.code == 1
    assert [v["fault"] for v in outcome.report["verdicts"] if v["outcome"] == "fail"] == [fault]
    done = reproduce(out)
    assert done.returncode == 1
    assert re.search(words, done.stderr), done.stderr
    source = out / "project" / file
    source.write_text(source.read_text().replace(wrong, right))
    assert reproduce(out).returncode == 0


def test_a_files_name_is_no_command(plant: Plant, tmp_path: Path, verify: Run) -> None:
    plant(KERNEL, "(void)scratch;", "scratch = 3;")
    path = write(tmp_path, POOLED, 'a$(touch mark)`touch mark`"; touch mark; ".py')
    outcome = verify("--model-file", path, "--target", TARGET, "--out", tmp_path / "kept")
    assert outcome.code == 1
    assert reproduce(tmp_path / "kept").returncode == 1
    assert not list(tmp_path.rglob("mark"))


def test_the_earliest_layer_of_all_cases(plant: Plant, tmp_path: Path, verify: Run) -> None:
    """The first case that differs does so in the last layer, the second one in an earlier layer."""
    plant(FLOAT_KERNEL, DONE, NEGATED)
    change = "for (int32_t c = 0; c < p->channels; ++c) { out[c] = out[c] > 200 ? 7 : out[c]; }"
    plant(KERNEL, TAIL, f"{change}\n{TAIL}")
    data = np.ones((2, 1, 8, 8), np.float32) * np.array([0.01, 100], np.float32).reshape(2, 1, 1, 1)
    np.savez(tmp_path / "data.npz", data)
    path = write(tmp_path, POOLED)
    options = ("--inputs", tmp_path / "data.npz", "--cases", "2", "--target", TARGET)
    outcome = verify("--model-file", path, *options)
    assert outcome.code == 1
    assert "case sample_0: layer fc" in outcome.out
    layers = {line["layer"]: line for line in outcome.report["layers"]}
    assert layers["pool"]["differs"] == [TARGET]
    assert layers["conv"]["exact"] == [TARGET]
    assert layers["fc"]["exact"] == layers["fc"]["differs"] == []


@pytest.mark.slow
def test_python_and_c_agree_on_what_the_model_does_not_mean(
    monkeypatch: pytest.MonkeyPatch, plant: Plant, tmp_path: Path, verify: Run
) -> None:
    """Reference and C make the same mistake: only torch objects, and the C shows it."""
    right = MaxPool2d.reference

    def wrong(self: MaxPool2d, site: Any, arrays: Any) -> Any:
        (found,) = right(self, site, arrays)
        return (np.where(found > 0, found - 1, found),)

    monkeypatch.setattr(MaxPool2d, "reference", wrong)
    lower = (
        "for (int32_t c = 0; c < p->channels; ++c) { out[c] = (uint8_t)(out[c] - (out[c] > 0)); }"
    )
    plant(KERNEL, TAIL, f"{lower}\n{TAIL}")
    outcome = verify("--model-file", write(tmp_path, POOLED), "--target", TARGET)
    assert outcome.code == 1
    assert stages(outcome)["torch"] == "fail"
    assert stages(outcome)[f"c[{TARGET}]"] == "pass"
    assert "both compute another integer than the model means" in outcome.out
    assert any(line["deviation"] > line["allowed"] for line in outcome.report["layers"])
    done = reproduce(Path("ares-failure-model"))
    assert done.returncode == 1
    shown = re.search(r"layer pool .*expected (\d+), found (\d+)", done.stderr)
    assert shown is not None
    assert int(shown[1]) == int(shown[2]) + 1


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_nothing_is_overwritten(kind: str, plant: Plant, tmp_path: Path, verify: Run) -> None:
    mine = tmp_path / "mine"
    if kind == "folder":
        mine.mkdir()
        (mine / "thesis.txt").write_text("years of work")
    else:
        mine.write_text("years of work")
    path = write(tmp_path, POOLED)
    refused(verify("--model-file", path, "--out", mine), str(mine), "not empty")
    if kind == "folder":
        Path("ares-failure-model").mkdir()
        plant(KERNEL, RIGHT, WRONG)
        outcome = verify("--model-file", path, "--target", TARGET)
        assert outcome.report["reproduction"] == "ares-failure-model-2"
        assert os.listdir("ares-failure-model") == []
