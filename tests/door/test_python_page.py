"""docs/python.md: every block is run, in order, in an empty folder; what it shows is what is printed.

Two liberties: one target stands for all, and numbers are those of another machine: only the words are compared.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import re
from pathlib import Path
from typing import Any

import pytest

import ares
from ares import door
from tests.examples.commands import run_line
from tests.examples.pages import words
from tests.extract.models import fast_target

PAGE = Path(__file__).resolve().parents[2] / "docs" / "python.md"
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NAMED = re.compile(r"ave this as `([\w.]+)`:\s*$")
_TARGET = re.compile(r'"gcc-[\w*]+"')


def blocks() -> list[tuple[str, str, str]]:
    """Language, text, and the name of the file that it is to be saved as, "" for none."""
    page = PAGE.read_text()
    found = []
    for match in _BLOCK.finditer(page):
        named = _NAMED.search(page[: match.start()])
        found.append((match[1], match[2], named[1] if named else ""))
    return found


def test_every_block_has_a_use() -> None:
    assert len(blocks()) == PAGE.read_text().count("```") // 2
    assert {language for language, _, _ in blocks()} == {"python", "text"}
    assert [name for _, _, name in blocks() if name] == ["test_firmware.py"]


def test_every_parameter_is_on_the_page_or_in_the_help() -> None:
    """And no function of the door is forgotten."""
    page = PAGE.read_text()
    for name in ("check", "verify", "export"):
        function = getattr(ares, name)
        assert f"`ares.{name}(model" in page
        told = page + (inspect.getdoc(function) or "")
        for parameter in inspect.signature(function).parameters:
            assert re.search(rf"[`({parameter[0]}]?\b{parameter}\b", told), (name, parameter)
    assert "`ares.AresError`" in page
    assert set(door.__all__) == set(ares.__all__)


@pytest.mark.slow
def test_the_page_works(empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = fast_target()
    monkeypatch.setattr(door, "default_targets", lambda: (target,))
    space: dict[str, Any] = {"__name__": "page"}
    sources: list[str] = []
    printed, suites = "", []
    for language, text, name in blocks():
        if language == "text":
            expected, found = words(text), words(printed)
            assert all(line in found for line in expected), printed
        elif name or suites:
            suites.append(_TARGET.sub(f'"{target.name}"', text))
            (empty / "test_firmware.py").write_text("\n\n".join(suites))
            if "exactly_in_c" in text:
                break
        else:
            sources.append(text)
            output = io.StringIO()
            with contextlib.redirect_stdout(output):
                exec(compile(_TARGET.sub(f'"{target.name}"', text), str(PAGE), "exec"), space)
            printed = output.getvalue()
    (empty / "training.py").write_text(f"{sources[0]}\n\ndef trained_model():\n    return model\n")
    (empty / "conftest.py").write_text('pytest_plugins = ["ares.testing"]\n')
    assert "4 passed" in run_line("pytest -q -p no:cacheprovider test_firmware.py", empty)
    (_, failing, _), (_, shown, _) = blocks()[-2:]
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(failing, space)
    assert words(output.getvalue()) == words(shown)
