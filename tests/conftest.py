"""Commands as fixtures. What they need is imported when one is asked for: most tests do without."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.checker.models import Outcome, read_report

Run = Callable[..., Outcome]


@pytest.fixture(name="run")
def run_fixture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Outcome]:
    """Run a command as its door does, in this process, 80 columns wide."""
    from ares.cli.door import run_command

    monkeypatch.setenv("COLUMNS", "80")

    def run(command: Callable[..., None], *arguments: object) -> Outcome:
        report = tmp_path / "report.json"
        words = [str(word) for word in arguments]
        if command.__name__ == "check_command" and "--json-out" not in words:
            words = ["--json-out", str(report), *words]
        monkeypatch.setattr(sys, "argv", ["door", *words])
        with pytest.raises(SystemExit) as stopped:
            run_command(command)
        printed = capsys.readouterr()
        return Outcome(int(stopped.value.code or 0), printed.out, printed.err, read_report(report))

    return run


@pytest.fixture
def unpickled_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pickles are read in this process: a child has its limits, but imports torch every time, which takes seconds."""
    from ares.user_files import stored, unpickle

    def read(path: Path, folder: Path, most: int) -> None:
        unpickle.unpack(path.absolute(), folder, most)

    monkeypatch.setattr(stored, "_unpickle", read)


@pytest.fixture
def check(run: Run) -> Run:
    from ares.cli.check import check_command

    return lambda *arguments: run(check_command, *arguments)


@pytest.fixture
def extract(run: Run) -> Run:
    from ares.cli.extract import extract_command

    return lambda *arguments: run(extract_command, *arguments)


@pytest.fixture
def export(run: Run) -> Run:
    from ares.cli.export import export_command

    return lambda *arguments: run(export_command, *arguments)


@pytest.fixture
def verify(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`ares verify` in an empty folder; the report is its JSON."""
    from ares.cli.verify import verify_command

    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")

    def verify(*arguments: object) -> Outcome:
        (tmp_path / "report.json").unlink(missing_ok=True)
        return run(verify_command, "--json-out", tmp_path / "report.json", *arguments)

    return verify
