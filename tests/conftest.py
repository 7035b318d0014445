"""What is slow, and commands as fixtures. What these need is imported when one is asked for: most tests do without."""

from __future__ import annotations

import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.outcome import Outcome, read_report

Run = Callable[..., Outcome]
LEFT_OUT = pytest.StashKey[int]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run what is marked slow too")
    parser.addoption(
        "--slow-share",
        type=_share,
        metavar="N",
        help="run one in N of what is marked slow, others every day; all of it in N days",
    )


def _share(word: str) -> tuple[int, int]:
    """N, and today's remainder. Workers of xdist are handed this pair, so that midnight does not part them."""
    count = int(word)
    if count < 1:
        raise ValueError
    return count, int(time.time()) // 86400 % count


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is marked slow, but not where its file or itself is named, or -m chooses."""
    if config.option.slow or config.option.markexpr:
        return
    named = {Path(config.invocation_params.dir, word.partition("::")[0]) for word in config.args}
    left_out = {
        item
        for item in items
        if item.get_closest_marker("slow")
        and item.path not in named
        and not _is_of_today(item, config.option.slow_share)
    }
    config.hook.pytest_deselected(items=[item for item in items if item in left_out])
    items[:] = [item for item in items if item not in left_out]
    config.stash[LEFT_OUT] = len(left_out)
    if hasattr(config, "workeroutput"):
        config.workeroutput["left_out"] = len(left_out)


def _is_of_today(item: pytest.Item, share: tuple[int, int] | None) -> bool:
    return share is not None and zlib.crc32(item.nodeid.encode()) % share[0] == share[1]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Every worker of xdist leaves out the same."""
    node.config.stash[LEFT_OUT] = getattr(node, "workeroutput", {}).get("left_out", 0)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    count = config.stash.get(LEFT_OUT, 0)
    if count:
        terminalreporter.write_line(f"{count} slow tests were left out: --slow runs them too")


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
def trace(run: Run, tmp_path: Path) -> Run:
    """`ares trace`; the report is its JSON."""
    from ares.cli.trace import trace_command

    return lambda *arguments: run(trace_command, "--json-out", tmp_path / "report.json", *arguments)


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
