from __future__ import annotations

from pathlib import Path

import pytest
from torch import nn

from ares.emit import emit
from ares.ir import Project
from ares.plan import Plan
from tests.door.models import Pooled, calibrated, normal
from tests.witness.planting import patched

KERNEL = ("runtime/src/max_pool2d.c", "column < across.end;", "column < across.end - (y == 2);")


@pytest.fixture
def pooled() -> nn.Module:
    return calibrated(Pooled, normal(8, 1, 8, 8))


@pytest.fixture
def wrong_pooling(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every C that is judged forgets a column in one row of a maximum."""

    def planted(plan: Plan) -> Project:
        return patched(emit(plan), *KERNEL)

    monkeypatch.setattr("ares.pipeline.subject.emit", planted)


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with nothing in it."""
    folder = tmp_path / "empty"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder
