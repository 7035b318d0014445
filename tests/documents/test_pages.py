"""Generated documents are up to date, and what they claim about eps is tight."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from ares.documents import models as real_models
from ares.documents.pages import (
    EPS_FLOOR,
    TIGHTNESS,
    documents,
    largest_deviations,
    outdated,
    read_manifests,
)
from ares.documents.targets import RECORD
from ares.ops import operations
from ares.pipeline.catalogue import network_names, suite_names

ROOT = Path(__file__).resolve().parents[2]


def test_nothing_is_outdated() -> None:
    assert not outdated(ROOT), "python tools/generate_docs.py writes them"


def test_a_changed_document_is_noticed(tmp_path: Path) -> None:
    for path in documents(ROOT):
        copy = tmp_path / path
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text((ROOT / path).read_text())
    (tmp_path / "golden").symlink_to(ROOT / "golden")
    for record in (RECORD, real_models.RECORD):
        shutil.copyfile(ROOT / record, tmp_path / record)
    assert not outdated(tmp_path)
    page = tmp_path / "docs" / "deviations.md"
    page.write_text(page.read_text().replace("2^-20", "2^-19"))
    assert list(outdated(tmp_path)) == ["docs/deviations.md"]


@pytest.mark.parametrize("stem", operations())
def test_eps_is_tight(stem: str) -> None:
    """eps above the floor of the exact path is within ten times of what some golden shows."""
    eps = operations()[stem].EPS
    seen, network = largest_deviations(read_manifests(ROOT / "golden")).get(stem, (0.0, ""))
    assert seen <= eps, f"{network} shows more than eps"
    assert eps <= max(EPS_FLOOR, TIGHTNESS * seen), f"largest ever seen: {seen} in {network}"


def test_every_network_has_a_golden_within_the_budget() -> None:
    """4 MiB a network, 48 MiB in all."""
    sizes = {
        name: sum(path.stat().st_size for path in (ROOT / "golden" / name).iterdir())
        for name in (*network_names(), *suite_names())
    }
    assert max(sizes.values()) <= 4 * 2**20
    assert sum(sizes.values()) <= 48 * 2**20
    stray = {path.name for path in (ROOT / "golden").iterdir()} - set(sizes)
    assert not stray, "goldens without a network"


def test_links_in_documents_lead_somewhere() -> None:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
    pages.append(ROOT / "tests" / "README.md")
    for page in pages:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"
