"""Children by fork: what they hand over, and each bad end."""

from __future__ import annotations

import os
import signal
import time
from contextlib import closing
from pathlib import Path

import pytest

from ares.toolchain.forks import in_children


def _do(task: str) -> str:
    if task == "raises":
        raise ValueError(task)
    if task == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    if task == "hangs":
        time.sleep(60)
    return task * 100_000 if task == "long" else f"{task} done"


def test_every_end() -> None:
    tasks = ["one", "raises", "dies", "hangs", "long", "two"]
    ended = {each.task: each for each in in_children(tasks, _do, 3, 2.0)}
    assert set(ended) == set(tasks)
    assert ended["one"].said == "one done"
    assert ended["two"].said == "two done"
    assert ended["long"].said == "long" * 100_000
    assert (ended["raises"].said, ended["raises"].how) == (None, 1)
    assert ended["raises"].wrong.endswith("ValueError: raises\n")
    assert (ended["dies"].said, ended["dies"].how) == (None, -signal.SIGKILL)
    assert (ended["hangs"].said, ended["hangs"].how) == (None, None)
    assert ended["hangs"].seconds < 10


def is_written(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0


def test_none_is_left_behind(tmp_path: Path) -> None:
    """Whoever stops listening ends what runs."""

    def say(task: int) -> str:
        tmp_path.joinpath(str(task)).write_text(str(os.getpid()), encoding="ascii")
        if task > 1:
            time.sleep(60)
        return str(task)

    with closing(in_children([1, 2], say, 2, 30)) as children:
        assert next(children).said == "1"
        while not is_written(tmp_path / "2"):
            time.sleep(0.01)
    for path in tmp_path.iterdir():
        with pytest.raises(ProcessLookupError):
            os.kill(int(path.read_text(encoding="ascii")), 0)
