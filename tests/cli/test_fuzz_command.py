"""`ares fuzz`: words, exit codes, folders of what was found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import ares.fuzzer.campaign as campaign
from ares.cli.app import app
from ares.fuzzer.findings import Finding, Judged


def run(*words: str) -> Result:
    return CliRunner().invoke(app, words)


@pytest.fixture
def in_this_process(monkeypatch: Any) -> None:
    """Workers cost seconds that are not about the command."""
    real = campaign.Campaign._judged

    def judged(self: Any, limit: Any) -> Any:
        return real(
            campaign.Campaign(self.first, self.graphs, self.targets, 0, self.time_limit), limit
        )

    monkeypatch.setattr(campaign.Campaign, "_judged", judged)


@pytest.mark.usefixtures("in_this_process")
def test_nothing_found() -> None:
    result = run("fuzz", "--graphs", "2", "--seed", "5000")
    assert result.exit_code == 0, result.output
    assert "NONE FOUND: 2 graphs" in result.output
    assert "seeds 5000 to 5001" in result.output


@pytest.mark.usefixtures("in_this_process")
def test_what_is_found_is_kept(monkeypatch: Any, tmp_path: Path) -> None:
    def work(seeds: Any, _targets: Any) -> list[Judged]:
        finding = Finding(seeds[0], "worker: crash", "worker", "the process ended")
        return [Judged(seed, finding if seed == seeds[0] else None, layers=1) for seed in seeds]

    monkeypatch.setattr(campaign, "work", work)
    out = tmp_path / "found"
    result = run("fuzz", "--graphs", "3", "--seed", "40", "--out", str(out))
    assert result.exit_code == 1
    (folder,) = out.iterdir()
    assert folder.name == "worker-crash-seed-40"
    assert json.loads((folder / "recipe.json").read_text())["seed"] == 40
    assert "to repeat it: ares fuzz --graphs 1 --seed 40" in (folder / "finding.txt").read_text()


def test_where_no_coverage_can_be_written_is_said_before_the_run(tmp_path: Path) -> None:
    result = run("fuzz", "--graphs", "20000", "--coverage", str(tmp_path / "no" / "x.json"))
    assert result.exit_code == 2
    assert "is no folder that can be written to" in result.output


@pytest.mark.usefixtures("in_this_process")
def test_nothing_compared_is_exit_code_2(monkeypatch: Any) -> None:
    monkeypatch.setattr(
        campaign, "work", lambda seeds, _t: [Judged(seed, refusal="GELU: no") for seed in seeds]
    )
    result = run("fuzz", "--graphs", "3")
    assert result.exit_code == 2
    assert "NOTHING COMPARED" in result.output


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--target", "z80"], "z80"),
        (["--graphs", "0"], "greater than or equal to 1"),
        (["--jobs", "0"], "greater than or equal to 1"),
        (["--seed", "-1"], "greater than or equal to 0"),
    ],
)
def test_usage(words: list[str], says: str) -> None:
    result = run("fuzz", *words)
    assert result.exit_code == 2
    assert says in result.output


def test_a_folder_that_is_taken(tmp_path: Path) -> None:
    (tmp_path / "there").write_text("x")
    result = run("fuzz", "--out", str(tmp_path))
    assert result.exit_code == 2
    assert "not empty" in result.output
