"""A machine, or a user, that has little: a result, or one line and exit code 2; never a traceback, never code 1."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from ares.cli.limits import limit_of
from ares.files import why_no_file
from ares.resources import ResourceError, checkout_dir
from tests.checker.models import READY, trained_state, write
from tests.slow import one_in

START = "sys.argv[0] = 'ares'; from ares.cli import main; main()"
LIMIT = "import resource; resource.setrlimit(resource.RLIMIT_{0}, ({1}, {1}))"
NOBODY = (
    "import pwd\n"
    "def unknown(*_): raise KeyError('getpwuid(): uid not found')\n"
    "pwd.getpwuid = pwd.getpwnam = unknown\n"
    "[os.environ.pop(name, None) for name in ('HOME', 'USER', 'LOGNAME', 'XDG_CACHE_HOME')]"
)
# Before the command, what is poor here; then whether it works all the same, else what it says.
ENVIRONMENTS: dict[str, tuple[str, str]] = {
    "no_home": (NOBODY, ""),
    "sixteen_files": (LIMIT.format("NOFILE", 16), ""),
    "eight_files": (LIMIT.format("NOFILE", 8), "Too many open files"),
    "little_memory": (LIMIT.format("AS", 500 * 2**20), "takes more than the machine has"),
    "deleted_folder": ("os.rmdir(os.getcwd())", "the current folder cannot be used"),
    "no_temporary_folder": (
        "import tempfile; tempfile._candidate_tempdir_list = lambda: []",
        "No usable temporary directory",
    ),
    "other_temporary_folder": ("os.environ['TMPDIR'] = '/dev/null/none'", ""),
}


@pytest.fixture(name="words")
def words_fixture(tmp_path: Path) -> Sequence[object]:
    """A check that reads a pickle, which takes a child process and a temporary folder."""
    model = write(tmp_path, READY)
    torch.save(trained_state(model), tmp_path / "s.pt")
    return "check", "--model-file", model, "--state-dict", tmp_path / "s.pt"


@pytest.mark.skipif(sys.platform != "linux", reason="limits as Linux keeps them")
@pytest.mark.parametrize("name", one_in(7, ENVIRONMENTS))
def test_a_check_where_little_is_there(name: str, tmp_path: Path, words: Sequence[object]) -> None:
    poverty, said = ENVIRONMENTS[name]
    (tmp_path / "here").mkdir()
    code = f"import os, sys\n{poverty}\n{START}"
    ended = subprocess.run(
        [sys.executable, "-P", "-c", code, *map(str, words)],
        cwd=tmp_path / "here", capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert ended.returncode == (2 if said else 0), ended
    assert ended.stderr.count("\n") == bool(said), ended.stderr
    assert said in ended.stderr
    assert bool(said) or "compatible: " in ended.stdout


LIMITS: dict[str, tuple[Exception, str]] = {
    "memory": (MemoryError(), "MemoryError"),
    "stack": (RecursionError("maximum recursion depth exceeded"), "depth"),
    "number": (OverflowError("int too large"), "int too large"),
    "torch": (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "allocate"),
    "threads": (RuntimeError("can't start new thread"), "thread"),
    "library": (ImportError("libtorch_cpu.so: failed to map segment from shared object"), "torch"),
    "files": (OSError(errno.EMFILE, os.strerror(errno.EMFILE)), "Too many open files"),
    "processes": (OSError(errno.EAGAIN, os.strerror(errno.EAGAIN)), "unavailable"),
    "disk": (OSError(errno.ENOSPC, "No space left\non device"), "No space left on device"),
    "temporary": (FileNotFoundError(2, "No usable temporary directory found in []"), "TMPDIR"),
}


@pytest.mark.parametrize("name", LIMITS)
def test_what_a_limit_is(name: str) -> None:
    error, part = LIMITS[name]
    line = limit_of(error)
    assert part in line
    assert len(line.splitlines()) == 1


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
        ImportError("No module named 'x'"),
        FileNotFoundError(2, "No such file or directory"),
        PermissionError(13, "Permission denied"),
        KeyError("x"),
        ValueError("x"),
    ],
)
def test_what_is_no_limit(error: Exception) -> None:
    """Those would be faults of ours, and a traceback says where."""
    assert limit_of(error) == ""


def test_no_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(ResourceError, match="change to one that is there"):
        checkout_dir()


def test_words_for_what_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert why_no_file(tmp_path / "file") == ""
    assert why_no_file(tmp_path / "file" / "x") == "no such file"
    assert why_no_file(tmp_path / "x\0y") == "cannot be read: embedded null byte"
