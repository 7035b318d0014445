"""A page of `docs/` followed as a reader would: blocks saved, lines run, in order, in one folder.

Three liberties: packages are not installed but must be, `ares verify` runs on one target, and the numbers in what
commands print are those of another machine: only the words are compared.
"""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from tests.examples.commands import try_line
from tests.extract.models import fast_target

DOCS = Path(__file__).resolve().parents[2] / "docs"
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NAMED = re.compile(r"ave\s+this\s+as\s+`([\w.]+)`:\s*$")
_NUMBER = re.compile(r"-?\d+(\.\d+)?(e-?\d+)?")
_ENVIRONMENT = ("python -m venv venv", ". venv/bin/activate")
_INSTALLED_AS = {"ares/": "ares-codegen"}
_SAYS_NO = re.compile(r"^(NOT|error) ", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block; `name` is the file that it is to be saved as, "" for none."""

    language: str
    text: str
    name: str


def blocks(page: Path) -> list[Block]:
    """All of a page, each of which must have a use: code is saved, `sh` is run, `text` is what that prints."""
    text = page.read_text()
    found = []
    for match in _BLOCK.finditer(text):
        named = _NAMED.search(text[: match.start()])
        found.append(Block(match[1], match[2], named[1] if named else ""))
    assert len(found) == text.count("```") // 2
    for block in found:
        assert block.language in ("python", "c", "sh", "text"), block
        assert bool(block.name) == (block.language in ("python", "c")), block
    return found


def follow(page: Path, folder: Path) -> Mapping[str, str]:
    """Save and run all blocks in `folder`; what each line printed.

    A line must succeed, or exit with 1 where the page shows an error or a verdict that says NOT.
    """
    printed: dict[str, str] = {}
    here: Sequence[str] = ()
    for block, following in pairwise([*blocks(page), Block("", "", "")]):
        if block.name:
            (folder / block.name).write_text(block.text)
        elif block.language == "sh":
            shown = following.text if following.language == "text" else ""
            here = block.text.splitlines()
            for line in here:
                code, printed[line] = run(line, folder)
                assert code == bool(_SAYS_NO.search(shown)), f"{line}\n{printed[line]}"
        else:
            found = words("".join(printed[line] for line in here))
            for line, expected in zip(block.text.splitlines(), words(block.text), strict=True):
                assert expected in found, f"{line}\n\n{found}"
    return printed


def run(line: str, folder: Path) -> tuple[int, str]:
    """Exit code of a line and what it prints; nothing where it only makes an environment ready."""
    if line.startswith("pip install "):
        for package in line.split()[2:]:
            assert importlib.metadata.version(_INSTALLED_AS.get(package, package))
        return 0, ""
    if line in _ENVIRONMENT:
        return 0, ""
    more = ("--target", fast_target().name) if line.startswith("ares verify ") else ()
    return try_line(line, folder, *more)


def words(text: str) -> list[list[str]]:
    """The words of each line; every number is the same, and so are one target and several."""
    return [
        _NUMBER.sub("0", line).replace("targets", "target").split() for line in text.splitlines()
    ]
