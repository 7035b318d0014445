"""docs/getting-started.md: every block is saved or run, in order, in an empty folder; what it shows is what happens.

Three liberties: packages are not installed but must be, `ares verify` runs on one target, and the numbers in what
commands print are those of another machine: only the words are compared.
"""

from __future__ import annotations

import importlib.metadata
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.examples.commands import run_line
from tests.extract.models import fast_target

PAGE = Path(__file__).resolve().parents[1] / "docs" / "getting-started.md"
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NAMED = re.compile(r"ave this as `([\w.]+)`:\s*$")
_NUMBER = re.compile(r"-?\d+(\.\d+)?(e-?\d+)?")
INSTALLED_AS = {"ares/": "ares-codegen"}


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block; `name` is the file that it is to be saved as, "" for none."""

    language: str
    text: str
    name: str


def blocks() -> list[Block]:
    page = PAGE.read_text()
    found = []
    for match in _BLOCK.finditer(page):
        named = _NAMED.search(page[: match.start()])
        found.append(Block(match[1], match[2], named[1] if named else ""))
    return found


def test_every_block_has_a_use() -> None:
    found = blocks()
    assert len(found) == PAGE.read_text().count("```") // 2
    assert [block.name for block in found if block.name] == ["digits.py", "train.py", "main.c"]
    for block in found:
        assert bool(block.name) == (block.language in ("python", "c"))
        assert block.language in ("python", "c", "sh", "text")


@pytest.mark.skipif(not (shutil.which("make") and shutil.which("cc")), reason="needs make and cc")
def test_the_page_works(tmp_path: Path) -> None:
    printed = ""
    for block in blocks():
        if block.name:
            (tmp_path / block.name).write_text(block.text)
        elif block.language == "sh":
            printed = "".join(run(line, tmp_path) for line in block.text.splitlines())
        else:
            expected, found = words(block.text), words(printed)
            assert all(line in found for line in expected), printed
    # What the last program says is what PyTorch says: the numbers count after all.
    taken = "takes the first image for a"
    answers = [run_line(line, tmp_path) for line in ("python train.py", "./digits")]
    assert len({re.findall(rf"{taken} (\d)", answer)[0] for answer in answers}) == 1
    share = re.search(r"right: (\d+\.\d)%", answers[0])
    assert share is not None
    assert float(share[1]) > 85.0


def run(line: str, folder: Path) -> str:
    """What a line prints; nothing where it only makes an environment ready."""
    if line.startswith("pip install "):
        for package in line.split()[2:]:
            assert importlib.metadata.version(INSTALLED_AS.get(package, package))
        return ""
    if line in ("python -m venv venv", ". venv/bin/activate"):
        return ""
    more = ("--target", fast_target().name) if line.startswith("ares verify ") else ()
    return run_line(line, folder, *more)


def words(text: str) -> list[list[str]]:
    """The words of each line; every number is the same, and so are one target and several."""
    return [
        _NUMBER.sub("0", line).replace("targets", "target").split() for line in text.splitlines()
    ]
