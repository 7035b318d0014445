"""`ares verify` and the float32 run: a code that no tie explains is no EXACT."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import ares.witness_float32
from ares.witness_float32 import run_alone
from tests.checker.models import write
from tests.verifier.verifying import POOLED, TARGET, Run, stages


def test_an_unexplained_code_is_named(
    tmp_path: Path, verify: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def altered(*args: Any) -> Mapping[str, Any]:
        found = dict(run_alone(*args))
        found["conv"] = found["conv"].copy()
        found["conv"][0, 1, 2, 3] += 5
        return found

    monkeypatch.setattr(ares.witness_float32, "run_alone", altered)
    outcome = verify("--model-file", write(tmp_path, POOLED), "--target", TARGET)
    assert outcome.code == 1
    assert stages(outcome)["torch"] == "fail"
    assert outcome.report["float32"]["unexplained"] == 3, "one in each case"
    assert "case realistic: layer conv (OP_CONV2D): float32 computes another conv" in outcome.out
    assert "worst of 3 elements at [0, 1, 2, 3]" in outcome.out
    last = outcome.out.splitlines()[-1]
    assert last.startswith("NOT EXACT: torch failed (unexplained) at layer conv"), last
