"""Children by fork: what they hand over, and each bad end."""

from __future__ import annotations

import os
import signal
import time

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
    assert (ended["dies"].said, ended["dies"].how) == (None, -signal.SIGKILL)
    assert (ended["hangs"].said, ended["hangs"].how) == (None, None)
    assert ended["hangs"].seconds < 10


def test_none_is_left_behind(tmp_path: object) -> None:
    """Whoever stops listening ends what runs."""
    pids = []

    def hang(task: int) -> str:
        time.sleep(60)
        return str(task)

    children = in_children(
        [1, 2, 3], lambda task: str(os.getpid()) if task == 1 else hang(task), 2, 30
    )
    pids.append(int(next(children).said or "0"))
    children.close()  # type: ignore[attr-defined]
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
