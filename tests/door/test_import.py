"""`import ares` costs nothing, and still everybody sees what is in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import ares
from ares import door

ROOT = Path(__file__).resolve().parents[2]
NAMES = (
    *("AresError", "Export", "Report", "Verification"),
    *("check", "export", "own_target", "read_targets", "verify"),
)

TYPED = """\
from pathlib import Path
from typing import assert_type
import ares
from ares.extract import Finding
from ares.testing import assert_compatible, assert_exact
from torch import Tensor, nn

def use(model: nn.Module, x: Tensor) -> None:
    assert_type(ares.check(model), ares.Report)
    assert_type(ares.check(model, x, name="n").errors, tuple[Finding, ...])
    assert_type(ares.verify(model, x, targets="gcc-O2", out=Path("f")), ares.Verification)
    assert_type(ares.verify(model, [x, x], targets=["gcc-*"], cases=3, jobs=1).passed, bool)
    assert_type(ares.export(model, "folder", x), ares.Export)
    assert_type(ares.export(model, Path("folder"), x, inputs=x).arena_bytes, int)
    assert_type(assert_exact(model, x).kept, Path | None)
    assert_type(assert_compatible(model).compatible, bool)
    ares.verify(model, x, target="gcc-O2")
    ares.check(model, name=3)
    ares.nothing
"""
REFUSED = ("call-arg", "arg-type", "attr-defined")
# torch takes a type checker half a minute, and is not what is looked at.
CONFIGURATION = """\
[mypy]
strict = True
ignore_missing_imports = True
[mypy-torch.*,numpy.*]
follow_imports = skip
"""


def imported(statement: str) -> set[str]:
    """The modules that a new Python has after a statement and had not before it."""
    code = (
        "import json, sys; before = set(sys.modules)\n"
        f"{statement}\nprint(json.dumps(sorted(set(sys.modules) - before)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60
    )
    return set(json.loads(done.stdout))


def test_import_ares_imports_nothing() -> None:
    found = imported("import ares; dir(ares); ares.__version__")
    assert {name for name in found if name.split(".")[0] not in sys.stdlib_module_names} == {"ares"}


@pytest.mark.slow
def test_the_helpers_for_tests_import_torch_when_they_are_called() -> None:
    found = imported("import ares.testing")
    assert not {"torch", "numpy", "ares.door"} & found
    assert "ares.door" in imported("import ares.testing; ares.check")


def test_names() -> None:
    assert set(NAMES) <= set(dir(ares))
    assert tuple(ares.__all__) == NAMES
    for name in NAMES:
        assert getattr(ares, name) is getattr(door, name)
    with pytest.raises(AttributeError, match="module 'ares' has no attribute 'nothing'"):
        _ = ares.nothing


@pytest.mark.slow
def test_types_are_seen(tmp_path: Path) -> None:
    (tmp_path / "use.py").write_text(TYPED)
    (tmp_path / "mypy.ini").write_text(CONFIGURATION)
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--cache-dir", "cache", "use.py"],
        cwd=tmp_path,
        env={**os.environ, "MYPYPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("use.py")]
    refused = [line.rsplit("[", 1)[1].rstrip("]") for line in lines if ": error:" in line]
    assert refused == list(REFUSED), done.stdout
