"""`ares verify`: what cannot be mapped, run or understood is said in one line."""

from __future__ import annotations

import dataclasses
import os
import re
from pathlib import Path

import pytest

from ares.toolchain import TARGETS, Needs
from tests.checker.models import PRELUDE, READY, model_source, refused, write
from tests.verifier.verifying import TARGET, Run, stages


def test_a_model_that_cannot_be_mapped(tmp_path: Path, verify: Run) -> None:
    source = READY.replace(
        "self.relu = ", "self.bn = nn.LocalResponseNorm(2); self.relu = "
    ).replace(
        "self.relu(self.conv(self.quant_in(x)))", "self.relu(self.bn(self.conv(self.quant_in(x))))"
    )
    outcome = verify("--model-file", write(tmp_path, source), "--target", TARGET)
    assert outcome.code == 1
    assert "LocalResponseNorm cannot be mapped" in outcome.out
    assert stages(outcome) == {"check": "fail"}
    assert outcome.report["layers"] == []
    last = outcome.out.splitlines()[-1]
    assert last.startswith(
        "NOT MAPPABLE: bn (LocalResponseNorm): LocalResponseNorm cannot be mapped; see docs/"
    )
    assert "ares check" not in last, "there is nothing else"
    assert outcome.report["summary"] == last
    assert os.listdir() == []


def test_a_model_with_several_faults_says_how_many(
    tmp_path: Path, verify: Run, export: Run, extract: Run
) -> None:
    """The first reason stands in the line itself, whole, of every command."""
    lines = ("x = torch.cumsum(x.value, 1)", "x = torch.cummax(x, 1)[0]")
    path = write(tmp_path, model_source((), lines))
    reason = "quant_in (QuantIdentity): its quantiser quant_in.act_quant was never calibrated; calibrate it ("
    ends = re.compile(r"; [2-9] more: ares check lists them$")
    refusal = verify("--model-file", path, "--target", TARGET)
    assert refusal.out.splitlines()[-1].startswith(f"NOT MAPPABLE: {reason}")
    assert ends.search(refusal.out.splitlines()[-1])
    for words in (
        export(tmp_path / "project", "--model-file", path),
        extract("--model-file", path, "-o", tmp_path / "graph"),
    ):
        assert (words.code, words.out, words.err.count("\n")) == (1, "", 1)
        assert reason in words.err
        assert ends.search(words.err.rstrip())


def test_a_model_that_brevitas_refuses(tmp_path: Path, verify: Run) -> None:
    source = PRELUDE + (
        "class M(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.fc = QuantLinear(4, 2, return_quant_tensor=True)\n"
        "    def forward(self, x):\n"
        "        return self.fc(x)\n"
    )
    outcome = verify("--model-file", write(tmp_path, source), "--target", TARGET)
    assert outcome.code == 1
    assert outcome.err.count("\n") == 1
    assert "return_quant_tensor" in outcome.err


@pytest.fixture(name="absent")
def absent_fixture(monkeypatch: pytest.MonkeyPatch) -> str:
    """A target in the table whose compiler is nowhere."""
    known = next(target for target in TARGETS if target.name == TARGET)
    needs = Needs(commands=("no-such-compiler",), debian=("no-such-package",))
    target = dataclasses.replace(known, name="absent-O2", needs=needs)
    monkeypatch.setattr("ares.toolchain.selection.TARGETS", (*TARGETS, target))
    return target.name


def test_a_target_that_is_not_here(absent: str, tmp_path: Path, verify: Run) -> None:
    path = write(tmp_path, READY)
    both = ("--model-file", path, "--target", TARGET, "--target", absent)
    outcome = verify(*both)
    assert outcome.code == 0
    assert stages(outcome)[f"c[{absent}]"] == "not run"
    assert (
        "no-such-compiler is not on the PATH (Debian: apt-get install no-such-package)"
        in outcome.out
    )
    assert verify(*both, "--require-all-targets").code == 1
    alone = verify("--model-file", path, "--target", absent)
    assert alone.code == 2
    assert alone.report["passed"] is False
    assert "NOT VERIFIED: no target could be run" in alone.out


def test_usage(tmp_path: Path, verify: Run) -> None:
    path = write(tmp_path, READY)
    model = ("--model-file", path)
    for arguments, parts in (
        ((), ("--model-file", "--test-network")),
        ((*model, "--target", "gcc-O99"), ("gcc-O99",)),
        ((*model, "--cases", "0"), ("--cases",)),
        ((*model, "--jobs", "0"), ("--jobs",)),
        ((*model, "--junit-out", tmp_path / "no" / "j.xml"), ("cannot write", "j.xml")),
        ((*model, "--junit-out", tmp_path), ("it is a folder",)),
        ((*model, "--model-class", "Other"), ("no class named Other",)),
        ((*model, "--init-kwarg", "width=3"), ("cannot be constructed",)),
        ((*model, "--input-shape", "1,3,8,8"), ("(1, 3, 8, 8)", "--input-shape")),
        ((*model, "--state-dict", tmp_path / "no.pt"), ("no.pt: no such file",)),
        (("--model-file", tmp_path / "no.py"), ("no.py: no such file",)),
        (("--test-network", "test_3_ml"), ("nearest: test_3_mlp",)),
    ):
        refused(verify(*arguments), *parts)
    assert os.listdir() == []
