"""Code of the user that leaves Python, or runs out of memory, stack or numbers: exit code 2 and one line, never 0."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.checker.models import MODEL, READY, refused, write
from tests.cli.outcome import Outcome
from tests.slow import one_in

Run = Callable[..., Outcome]
START = "import sys; sys.argv[0] = 'ares'; from ares.cli import main; main()"


def ares(folder: Path, *words: object) -> subprocess.CompletedProcess[str]:
    """A command in a process of its own, which may end in any way."""
    command = [sys.executable, "-P", "-c", START, *map(str, words)]
    environment = {**os.environ, "ARES_CACHE_DIR": str(folder / "cache")}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )


def in_forward(code: str) -> str:
    """The model that is ready, whose forward does more, once it has been calibrated."""
    more = f"        if not self.training and self.calibrated:\n            {code}\n"
    source = READY.replace("def forward(self, x):\n", "def forward(self, x):\n" + more)
    source = source.replace("    return model\n", "    model.calibrated = True\n    return model\n")
    return source.replace(
        "class Model(nn.Module):\n", "class Model(nn.Module):\n    calibrated = 0\n"
    )


EXITS = {
    "import": ("check", "import os\nos._exit(0)\n" + READY),
    "posix": ("check", "import posix\n" + in_forward("posix._exit(0)")),
    "from_os": ("verify", "from os import _exit\n" + in_forward("_exit(0)")),
    "thread": (
        "export",
        in_forward("import os, threading, time; threading.Thread(target=os._exit, args=(0,)).start(); time.sleep(60)"),
    ),
    "caught": (
        "check",
        in_forward("try:\n                import os; os._exit(0)\n            except BaseException: pass"),
    ),
    # Here the command has found out that the model cannot be mapped, which is exit code 1.
    "at_exit": (
        "check",
        "import atexit, os\natexit.register(os._exit, 0)\n"
        + READY.replace("self.fc(torch", "torch.sin(self.fc(torch").replace("x, 1))", "x, 1)))"),
    ),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", one_in(3, EXITS))
def test_leaving_is_no_success(name: str, tmp_path: Path) -> None:
    command, source = EXITS[name]
    model = write(tmp_path, source)
    more = {"export": [tmp_path / "project"], "verify": ["--target", "zig-O2"]}.get(command, [])
    ended = ares(tmp_path, command, *more, "--model-file", model)
    assert ended.returncode == 2, ended
    assert ended.stderr == "ares: the model's code called os._exit(0)\n"
    assert not (tmp_path / "project").exists()


def test_a_process_that_the_model_forks_may_end_as_it_likes(tmp_path: Path) -> None:
    source = "import os\nif not os.fork():\n    os._exit(0)\nassert os.wait()[1] == 0\n" + READY
    ended = ares(tmp_path, "check", "--model-file", write(tmp_path, source))
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_signal_is_no_success(tmp_path: Path) -> None:
    source = "import os, signal\nos.kill(os.getpid(), signal.SIGTERM)\n" + READY
    assert ares(tmp_path, "check", "--model-file", write(tmp_path, source)).returncode != 0


def test_the_real_function_is_back(tmp_path: Path, check: Run) -> None:
    before = os._exit
    check("--model-file", write(tmp_path, READY))
    assert os._exit is before


DEEP = (
    MODEL.split("class Model", maxsplit=1)[0]
    + """
import torch
from torch import nn
def create_model():
    model = nn.Identity()
    for _ in range(3000):
        model = nn.Sequential(model)
    return model
def example_inputs():
    return (torch.zeros(1, 2),)
"""
)
TOO_MUCH = {
    "memory_import": ("raise MemoryError\n" + READY, "MemoryError"),
    "memory_forward": (in_forward("raise MemoryError"), "MemoryError"),
    "torch_forward": (in_forward("torch.empty(2**60)"), "alloc"),
    "numpy_forward": (in_forward("import numpy; numpy.zeros(2**56)"), "Memory"),
    "overflow_forward": (in_forward("float(10**999)"), "OverflowError"),
    "recursion_forward": (in_forward("self.forward(x)"), "RecursionError"),
    "inputs": (READY.replace("torch.rand(1, 1, 8, 8)", "torch.empty(1, 1, 8, 2**50)"), "alloc"),
    "deep": (DEEP, "Recursion"),
}


@pytest.mark.parametrize("name", one_in(4, TOO_MUCH))
@pytest.mark.parametrize("command", ["check", "export", "extract"])
def test_what_is_too_much_is_one_line(
    name: str, command: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    source, word = TOO_MUCH[name]
    run: Run = request.getfixturevalue(command)
    more = {"check": (), "export": (tmp_path / "project",), "extract": ("-o", tmp_path / "g")}
    outcome = run(*more[command], "--model-file", write(tmp_path, source))
    refused(outcome, word)
