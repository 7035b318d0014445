"""`ares verify` and `ares targets` with a compiler of one's own: verdicts, exit codes, what is never a verdict."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.cli.commands import ares, host, need, script

VERIFY = ("verify", "--test-network", "test_37", "--cases", "1")
# Whatever else it is given: the largest becomes the smallest.
SABOTAGE = """\
case "$*" in
*runtime/src/max_pool2d.c*) sed -i 's/ > / < /' runtime/src/max_pool2d.c ;;
esac
exec gcc "$@\""""


def write(folder: Path, text: str) -> Path:
    path = folder / "targets.toml"
    path.write_text(text)
    return path


@pytest.mark.slow
def test_verify_with_a_compiler_of_ones_own(tmp_path: Path) -> None:
    words = (*VERIFY, "--cc", host())
    done = ares(*words, "--json-out", "out.json", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    report = json.loads((tmp_path / "out.json").read_text())
    assert (report["targets"], report["exact_targets"]) == (["cc"], ["cc"])
    assert report["summary"].startswith("EXACT: ")


@pytest.mark.slow
def test_verify_on_a_row_of_a_file_and_one_that_is_not_here(tmp_path: Path) -> None:
    write(tmp_path, f"[targets.a]\ncompiler = 'nonesuch-gcc'\n[targets.b]\ncompiler = '{host()}'\n")
    words = (*VERIFY, "--targets-file", "targets.toml")
    done = ares(*words, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert "c[a] not run: cannot start nonesuch-gcc" in done.stdout
    assert "c[b] ok" in done.stdout
    assert ares(*words, "--require-all-targets", cwd=tmp_path).returncode == 1


def test_verify_where_nothing_could_be_compared(tmp_path: Path) -> None:
    for cc, runner in (("nonesuch-gcc", "qemu"), (host(), "false")):
        words = ("verify", "--test-network", "test_37", "--cc", cc, "--runner", runner)
        done = ares(*words, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("ares: NOT VERIFIED: no target can be used: cc: ")
        assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_wrong_is_usage(tmp_path: Path) -> None:
    write(tmp_path, "[targets.a]\nflags = '-O2'\n")
    words = ("verify", "--test-network", "test_37", "--targets-file", "targets.toml")
    done = ares(*words, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("ares: targets.toml: [targets.a]: compiler: is missing")


def test_a_file_is_read_only_where_it_is_named(tmp_path: Path) -> None:
    trap = script(tmp_path, "trap.sh", f"touch {tmp_path}/sprung")
    for name in ("ares-targets.toml", "targets.toml", "ares.toml"):
        (tmp_path / name).write_text(f"[targets.a]\ncompiler = '{trap}'\n")
    assert ares("targets", "tcc", cwd=tmp_path).returncode == 0
    assert not (tmp_path / "sprung").exists()
    ares("targets", "--targets-file", "targets.toml", cwd=tmp_path)
    assert (tmp_path / "sprung").exists()


def test_a_compiler_that_is_wrong_is_not_exact_and_can_be_shown(tmp_path: Path) -> None:
    need("gcc", "sed")
    script(tmp_path, "mycc", SABOTAGE)
    done = ares(*VERIFY, "--cc", "./mycc -O1", "--out", "kept", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, "")
    lines = done.stdout.splitlines()
    assert lines[-1].startswith("NOT EXACT: c[cc] failed (difference) at layer max_pool")
    repeat = next(line for line in lines if line.startswith("to repeat it: "))
    assert repeat == f"to repeat it: ares {' '.join(VERIFY)} --cc './mycc -O1' --target cc"
    again = subprocess.run(
        ["sh", tmp_path / "kept" / "reproduce.sh"],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert again.returncode == 1
    assert "layer max_pool (OP_MAXPOOL)" in again.stdout + again.stderr
