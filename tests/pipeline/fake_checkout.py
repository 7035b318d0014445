"""A checkout with a zoo of one small network, for tests of what goes round it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ares.pipeline import catalogue, matrix
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


@contextmanager
def checkout_in_use(root: Path) -> Iterator[None]:
    """This process, and no other, takes `root` for the checkout."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalogue, "checkout_dir", lambda: root)
        patch.setattr(matrix, "checkout_dir", lambda: root)
        forget()
        yield
    forget()


def forget() -> None:
    """Drop what a worker keeps from one job to the next."""
    for cached in (catalogue.suite_names, matrix._subject, matrix._from_the_beginning):
        cached.cache_clear()
