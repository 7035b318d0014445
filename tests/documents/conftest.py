"""A checkout to write into."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ares import evidence
from ares.documents import run_summary
from ares.documents.float32_record import RECORD
from ares.documents.pages import models, performance
from ares.documents.registry import generated
from tests.checkout import ROOT


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The generated files and what they are made of; goldens and networks are the real ones."""
    records = (run_summary.SUMMARY, models.SUMMARY, performance.RECORDS, performance.SPEED, RECORD)
    for path in (*(page.path for page in generated()), *records):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / path, tmp_path / path)
    for folder in ("golden", "tests", evidence.FOLDER):
        (tmp_path / folder).symlink_to(ROOT / folder)
    return tmp_path
