"""Children of threads and of an interrupted caller are ended; afterwards processes run as before."""

from __future__ import annotations

import _thread
import multiprocessing.util
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ares.pipeline.workers import Workers, end_workers
from ares.toolchain import process
from ares.toolchain.process import Finished, no_children, run_process, side_by_side
from tests.toolchain.fake_tools import tool

# Has a child of its own, whose number it writes down.
ENDLESS = 'sleep 600 & echo $! > "$0"; wait'


@contextmanager
def interrupted(after: float) -> Iterator[None]:
    """KeyboardInterrupt in the main thread, after some seconds."""

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, after)
    try:
        with pytest.raises(KeyboardInterrupt):
            yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def endless(folder: Path, name: str) -> Finished:
    return run_process(("sh", "-c", ENDLESS, name), folder=folder, timeout=60)


def gone(pids: Path) -> bool:
    """Whether the process ends, which what was killed does when the system comes to it."""
    stat = Path(f"/proc/{int(pids.read_text(encoding='utf-8'))}/stat")
    limit = time.monotonic() + 2.0
    while time.monotonic() < limit:
        try:
            if stat.read_text(encoding="utf-8").rpartition(")")[2].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.01)
    return False


def wait_for(*paths: Path) -> None:
    limit = time.monotonic() + 30
    while not all(path.exists() and path.read_text(encoding="utf-8") for path in paths):
        assert time.monotonic() < limit
        time.sleep(0.01)


def test_an_interrupt_ends_the_children_of_threads(tmp_path: Path) -> None:
    names = ("a", "b", "c")
    start = time.monotonic()
    with interrupted(1.0), side_by_side(2) as pool:
        futures = [pool.submit(endless, tmp_path, name) for name in names]
        [future.result() for future in futures]
    assert time.monotonic() - start < 10.0
    assert [gone(tmp_path / name) for name in names[:2]] == [True, True]
    assert not (tmp_path / "c").exists(), "what waited for a thread must not be started"
    assert isinstance(futures[0].exception(), KeyboardInterrupt)
    done = run_process(("sh", "-c", "echo again"), folder=tmp_path, timeout=60)
    assert done == Finished(0, "again\n", "")


def test_an_error_of_one_thread_leaves_the_other_its_child(tmp_path: Path) -> None:
    others = []

    def one_fails() -> None:
        with side_by_side(2) as pool:
            others.append(pool.submit(run_process, ("sleep", "0.5"), folder=tmp_path, timeout=60))
            pool.submit(lambda: 1 / 0).result()

    with pytest.raises(ZeroDivisionError):
        one_fails()
    assert others[0].result() == Finished(0, "", "")


def test_nothing_is_started_while_there_may_be_no_children(tmp_path: Path) -> None:
    with no_children(), no_children():
        pass
    with no_children():
        with no_children():
            pass
        with pytest.raises(KeyboardInterrupt):
            endless(tmp_path, "pids")
    # The shell may have been killed before it wrote, or between opening the file and writing.
    pids = tmp_path / "pids"
    assert not pids.exists() or not pids.read_text(encoding="utf-8") or gone(pids)


def test_an_interrupt_while_a_child_is_just_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The constructor of Popen has made a process, and is left by an exception."""

    class Slow(subprocess.Popen[bytes]):
        def _execute_child(self, *words: Any) -> None:  # type: ignore[misc]
            super()._execute_child(*words)  # type: ignore[misc]
            wait_for(tmp_path / "pids")
            time.sleep(1.0)

    monkeypatch.setattr(process.subprocess, "Popen", Slow)
    with interrupted(0.6):
        endless(tmp_path, "pids")
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join(10)
    assert gone(tmp_path / "pids")


@pytest.mark.parametrize("trap", ["echo told > told; exit 3", "", ":"])
def test_a_command_that_ends_its_own_children(trap: str, tmp_path: Path) -> None:
    script = f"trap '{trap}' TERM; sleep 600 & wait; sleep 600"
    start = time.monotonic()
    with interrupted(0.5):
        run_process(("sh", "-c", script), folder=tmp_path, timeout=60, grace=0.5)
    assert time.monotonic() - start < 2.0
    assert (tmp_path / "told").exists() == trap.startswith("echo")


@pytest.mark.parametrize("absent", ["pidfd_open", "killpg"])
def test_systems_that_have_less(
    absent: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, absent)
    assert run_process(("sh", "-c", "exit 3"), folder=tmp_path, timeout=60).code == 3
    assert run_process(("sleep", "600"), folder=tmp_path, timeout=0.5).code is None
    with interrupted(0.5):
        run_process(("sleep", "600"), folder=tmp_path, timeout=60)


FEW = """
import resource, sys
from pathlib import Path
from ares.cli import main
from ares.toolchain import select
from ares.toolchain.process import run_process

resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]), 64))
if sys.argv[2] == "networks":
    del sys.argv[1]
    main()
elif sys.argv[2] == "missing":
    print(select(["gcc-O2"])[0].missing())
else:
    try:
        print(run_process(("echo", "fine"), folder=Path("."), timeout=60).stdout.strip())
    except OSError as error:
        print(error.strerror)
"""
MANY = "Too many open files"


@pytest.mark.parametrize(
    ("files", "words", "expected"),
    [
        (16, ("run",), (0, "fine\n", "")),
        (5, ("run",), (0, f"{MANY}\n", "")),
        (5, ("missing",), (0, "cannot start {folder}/gcc: " + MANY, "")),
        (
            12,
            ("networks", "test_3_mlp", "--target", "gcc-O2"),
            (2, "", f"ares: cannot start another process: {MANY}; raise that limit, or"),
        ),
    ],
)
def test_few_open_files(
    files: int, words: tuple[str, ...], expected: tuple[int, str, str], tmp_path: Path
) -> None:
    for name in ("gcc", "ar"):
        tool(tmp_path, name, "echo 1.0")
    done = subprocess.run(
        [sys.executable, "-c", FEW, str(files), *words],
        cwd=tmp_path,
        env={
            **os.environ,
            "ARES_CACHE_DIR": str(tmp_path / "cache"),
            "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    code, stdout, stderr = expected
    assert (done.returncode, done.stderr.count("\n")) == (code, 1 if stderr else 0), done
    assert done.stdout.startswith(stdout.format(folder=tmp_path))
    assert done.stderr.startswith(stderr)


def test_a_child_that_is_half_started_is_ended_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Whoever ends this process within `no_children` would leave it behind: nobody else knows of it yet."""
    there, known = threading.Event(), threading.Event()
    children: list[subprocess.Popen[bytes]] = []

    class Slow(subprocess.Popen[bytes]):
        def __init__(self, *words: Any, **options: Any) -> None:
            super().__init__(*words, **options)
            children.append(self)
            there.set()
            time.sleep(0.5)
            known.set()

    def run() -> None:
        with pytest.raises(KeyboardInterrupt):
            run_process(("sleep", "600"), folder=tmp_path, timeout=60)

    monkeypatch.setattr(process.subprocess, "Popen", Slow)
    thread = threading.Thread(target=run)
    thread.start()
    there.wait()
    with no_children():
        assert known.is_set()
        (tmp_path / "pid").write_text(str(children[0].pid))
        assert gone(tmp_path / "pid")
    thread.join()


def test_a_worker_that_is_being_started_is_not_lost_to_an_interrupt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else it goes on, finds what it shares with the others gone, and shows its traceback."""
    spawn = multiprocessing.util.spawnv_passfds

    def interrupted(*words: Any) -> Any:
        process = spawn(*words)
        _thread.interrupt_main()  # as when another thread receives the signal
        return process

    workers = Workers(1)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(multiprocessing.util, "spawnv_passfds", interrupted)
            with pytest.raises(KeyboardInterrupt):
                workers.submit(abs, 1)
        assert len(multiprocessing.active_children()) == 1
    finally:
        end_workers()
        # The pool's own thread also waits for the worker; whichever thread reaps it, the other learns of it later.
        workers.shutdown(cancel_futures=True)
    assert not multiprocessing.active_children()
