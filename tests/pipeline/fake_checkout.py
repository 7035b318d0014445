"""A checkout with a zoo of one small network, for tests of what goes round it."""

from __future__ import annotations

from pathlib import Path

from ares.pipeline.catalogue import ZooPaths
from tests.witness.planting import PROBE, with_golden

NAME = "test_1_probe"


def make_checkout(root: Path) -> Path:
    """A zoo of one network with its golden, and a file beside it."""
    paths = probe_paths(root)
    paths.source.parent.mkdir(parents=True)
    paths.source.write_text(PROBE, encoding="utf-8")
    (paths.source.parent / "conftest.py").write_text("", encoding="utf-8")
    with_golden(paths)
    return root


def probe_paths(root: Path) -> ZooPaths:
    source = root / "tests" / "test_networks" / f"{NAME}.py"
    return ZooPaths(NAME, source, root / "golden" / NAME)
