"""Compilers, runners and whole checkouts that are not what they seem, for tests of the machine around the C."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ares.pipeline import matrix, zoo
from ares.pipeline.zoo import ZooPaths
from tests.harness.planting import PROBE, with_golden


def tool(folder: Path, name: str, script: str) -> Path:
    """A program made of shell script, to be found on the PATH or named by its path."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def make_checkout(root: Path) -> Path:
    """A zoo of one network, `test_1_probe`, with its golden, and a file beside it."""
    networks = root / "tests" / "test_networks"
    networks.mkdir(parents=True)
    source = networks / "test_1_probe.py"
    source.write_text(PROBE, encoding="utf-8")
    (networks / "conftest.py").write_text("", encoding="utf-8")
    with_golden(ZooPaths(source.stem, source, root / "golden" / source.stem))
    return root


def add_network(root: Path, name: str, *, of: str = "test_1_probe") -> None:
    """The same network once more: its state and its golden are of another, so every stage fails."""
    networks = root / "tests" / "test_networks"
    shutil.copyfile(networks / f"{of}.py", networks / f"{name}.py")
    shutil.copytree(root / "golden" / of, root / "golden" / name)


def use_checkout(root: Path, patch: pytest.MonkeyPatch) -> None:
    """Have this process take `root` for the checkout."""
    patch.setattr(zoo, "checkout_dir", lambda: root)
    patch.setattr(matrix, "checkout_dir", lambda: root)
    for cached in (zoo.suite_names, matrix._subject, matrix._from_the_beginning):
        cached.cache_clear()
