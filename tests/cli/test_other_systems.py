"""What Windows and macOS do not have is missed by no import: the commands start, and a model is checked and verified.

Seen from here only: the names are taken away. Nothing was run on another system.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.slow import slow_but

MODEL = """
from torch import nn
from brevitas.nn import QuantIdentity
from brevitas.quant import Int8ActPerTensorFloatMinMaxInit

class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.q = QuantIdentity(Int8ActPerTensorFloatMinMaxInit, min_val=-1.0, max_val=1.0)

    def forward(self, x):
        return self.q(x)
"""
# Others import what they need of the system as it is; ARES finds it as another system has it.
START = """
import multiprocessing.spawn, os, pkgutil, select, signal, subprocess, sys, tempfile
import brevitas.nn, filelock, numpy, rich.progress, torch, typer
from ares.bench.against import RUNTIMES

optional = {{module for needed in RUNTIMES.values() for module in needed}}
for module in optional:
    try:
        __import__(module)
    except ModuleNotFoundError as error:
        assert error.name == module

for module in {modules}:
    sys.modules[module] = None
for place, names in ((os, {of_os}), (signal, {of_signal}), (select, ("poll", "epoll"))):
    for name in names:
        if hasattr(place, name):
            delattr(place, name)

import ares.cli
for found in pkgutil.walk_packages(ares.__path__, "ares."):
    if not found.name.startswith(("ares.testing", "ares.user_files.unpickle")):
        try:
            __import__(found.name)
        except ModuleNotFoundError as error:
            # What needs a package of another runtime: nobody has imported it without being asked for that runtime.
            if not found.name.startswith("ares.bench.against.") or error.name not in optional:
                raise
ares.cli.main()
"""
MODULES = ("fcntl", "grp", "pty", "pwd", "resource", "termios", "tty")
OF_OS = (
    *("chown", "fchmod", "fork", "getegid", "geteuid", "getgid", "getpgid", "getuid", "killpg"),
    *("mkfifo", "pidfd_open", "posix_spawn", "setsid", "statvfs", "uname", "wait4", "waitid"),
)
OF_SIGNAL = ("SIGALRM", "SIGHUP", "SIGKILL", "SIGPIPE", "pthread_sigmask", "setitimer")


@pytest.mark.parametrize(
    "words",
    slow_but(
        [2],
        [
            (("--help",),),
            (("networks", "--list-targets", "--target", "gcc-O2"),),
            (("check", "--model-file", "model.py", "--input-shape", "1,4"),),
            (("verify", "--model-file", "model.py", "--input-shape", "1,4", "--target", "gcc-O2"),),
        ],
    ),
    ids=lambda words: words[0],
)
def test_a_command_without_what_posix_has(words: tuple[str, ...], tmp_path: Path) -> None:
    if words[0] == "verify" and shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    (tmp_path / "model.py").write_text(MODEL, encoding="utf-8")
    script = tmp_path / "start.py"
    script.write_text(
        START.format(modules=MODULES, of_os=OF_OS, of_signal=OF_SIGNAL), encoding="utf-8"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(script), *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode == 0, done
