"""docs/getting-started.md: every block is saved or run, in order, in an empty folder; what it shows is what happens."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.examples.pages import DOCS, blocks, follow

PAGE = DOCS / "getting-started.md"


def test_what_is_saved() -> None:
    names = [block.name for block in blocks(PAGE) if block.name]
    assert names == ["digits.py", "train.py", "main.c"]


@pytest.mark.slow
@pytest.mark.skipif(not (shutil.which("make") and shutil.which("cc")), reason="needs make and cc")
def test_the_page_works(tmp_path: Path) -> None:
    printed = follow(PAGE, tmp_path)
    # What the last program says is what PyTorch says: the numbers count after all.
    answers = [printed[line] for line in ("python train.py", "./digits")]
    taken = "takes the first image for a"
    assert len({re.findall(rf"{taken} (\d)", answer)[0] for answer in answers}) == 1
    share = re.search(r"right: (\d+\.\d)%", answers[0])
    assert share is not None
    assert float(share[1]) > 85.0
