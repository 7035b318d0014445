"""Help, versions and what is said of a wrong word: whole names on every width, also from the doors in `tools/`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer

import ares
from ares.cli.app import app
from ares.cli.check import check_command
from ares.cli.door import run_app
from ares.cli.extract import extract_command
from ares.cli.setup import new_app, with_version

ROOT = Path(__file__).resolve().parents[2]
DOORS = ("check_model_compatibility.py", "pytorch_extractor.py", "regenerate_golden.py")
GROUP = typer.main.get_command(app)
COMMANDS: dict[str, Any] = GROUP.commands  # type: ignore[attr-defined]
WIDTHS = (60, 80, 200)


Run = Callable[..., "Shown"]


@dataclass(frozen=True, slots=True)
class Shown:
    """What a command did."""

    code: int
    out: str
    err: str


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `ares`, or a program with one command, on a terminal of some columns."""

    def run(*words: str, width: int = 80, of: typer.Typer = app) -> Shown:
        monkeypatch.setenv("COLUMNS", str(width))
        monkeypatch.setattr(sys, "argv", ["ares", *words])
        with pytest.raises(SystemExit) as stopped:
            run_app(of)
        printed = capsys.readouterr()
        return Shown(int(stopped.value.code or 0), printed.out, printed.err)

    return run


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_whole(command: str, width: int, run: Run) -> None:
    result = run(command, "--help", width=width)
    assert (result.code, result.err) == (0, "")
    lines = result.out.splitlines()
    names = [
        name for each in COMMANDS[command].params for name in (*each.opts, *each.secondary_opts)
    ]
    options = [name for name in names if name.startswith("-")]
    assert options
    shown = [word.strip(",") for line in lines for word in line.split()]
    assert [name for name in options if name not in shown] == []
    assert max(map(len, lines)) <= width
    assert "…" not in result.out
    # A type that only a programmer knows says nothing to a reader.
    assert [line for line in lines if line.startswith("  -") and "<" in line] == []


@pytest.mark.parametrize("width", WIDTHS)
def test_the_commands_are_listed_with_a_whole_sentence(width: int, run: Run) -> None:
    result = run("--help", width=width)
    listed = result.out.partition("Commands:")[2].splitlines()
    rows = {line.split()[0]: line for line in listed if line.strip()}
    assert list(rows) == list(COMMANDS)
    assert all(line.endswith(".") and not line.endswith("...") for line in rows.values())
    assert max(map(len, listed)) <= width


@pytest.mark.parametrize("command", [None, *COMMANDS])
def test_h_is_help(command: str | None, run: Run) -> None:
    words = [] if command is None else [command]
    assert run(*words, "-h") == run(*words, "--help") != Shown(0, "", "")


def test_version(run: Run) -> None:
    assert run("--version") == Shown(0, f"ares {ares.__version__}\n", "")


@pytest.mark.parametrize("command", [check_command, extract_command])
def test_a_command_of_its_own_has_a_version_too(command: Any, run: Run) -> None:
    alone = new_app()
    alone.command()(with_version(command))
    assert run("--version", of=alone).out == f"ares {ares.__version__}\n"
    assert "--version" in run("-h", of=alone).out
    with_it, without = (typer.main.get_command(each) for each in (alone, _plain(command)))
    names = [{each.name for each in found.params} for found in (with_it, without)]
    assert names[0] - names[1] == {"version"}


def _plain(command: Any) -> typer.Typer:
    alone = new_app()
    alone.command()(command)
    return alone


def said(tool: str, option: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """What a program of `tools/` does with one option."""
    return subprocess.run(
        [sys.executable, ROOT / "tools" / tool, option],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize("door", DOORS)
def test_doors_say_help_and_version(door: str, tmp_path: Path) -> None:
    for option, says in (("-h", "Usage: "), ("--version", f"ares {ares.__version__}")):
        done = said(door, option, tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith(says)


@pytest.mark.parametrize("tool", ["generate_docs.py", "house_rules.py", "record_models.py"])
def test_tools_of_this_repository_say_help(tool: str, tmp_path: Path) -> None:
    done = said(tool, "-h", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert tool in done.stdout


WRONG = [
    (("verfy",), "unknown command 'verfy'; nearest: verify"),
    (("netwroks",), "nearest: networks"),
    (
        ("zzz",),
        "nearest: check, verify, prove, export, compare, trace, extract, bench, fuzz, mutate, "
        "targets, networks, golden",
    ),
    (("verify", "--modl-file", "x"), "--model-file"),
    # An option of verify it was once, beside others that it ignored.
    (
        ("verify", "--model-file", "m.py", "--trace", "x", "--project", "y"),
        "verify has no option --trace, but there is a command: ares trace FILE DIR",
    ),
    (("verify", "--trace=x"), "ares trace FILE DIR"),
    (
        ("check", "--targets", "x"),
        "check has no option --targets, but there is a command: ares targets",
    ),
    (("verify", "--test-network", "test_4_resnet_basik"), "nearest: test_4_resnet_basic"),
    (("verify", "--test-network", "test_4", "--target", "gcc-02"), "nearest: gcc-O2"),
    (("targets", "s390x"), "nearest: s390x-gcc-O2"),
    (("targets", "m4-gcc-*", "vax"), "nearest: none (ares targets lists all)"),
    (("networks", "test_1_simplecn"), "nearest: test_1_simplecnn"),
    (("golden", "test_1_simplecn"), "nearest: test_1_simplecnn"),
]


@pytest.mark.parametrize(("words", "says"), WRONG, ids=[" ".join(row[0]) for row in WRONG])
def test_a_wrong_word_is_one_line_that_says_which_is_near(
    words: tuple[str, ...], says: str, run: Run
) -> None:
    result = run(*words)
    assert (result.code, result.out) == (2, "")
    assert result.err.count("\n") == 1
    assert says in result.err
