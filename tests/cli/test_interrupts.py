"""An interrupted command: one line, the exit code of its signal, within two seconds, and nothing goes on."""

from __future__ import annotations

import shutil
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.cli.interrupting import ARES, ROOT, Started
from tests.slow import slow_but

LINE = "ares: interrupted\n"
NETWORK = "test_3_mlp"
VERIFY = (*ARES, "verify", "--test-network", NETWORK, "--target", "gcc-O2")
NETWORKS = (*ARES, "networks", NETWORK, "--target", "gcc-O2")

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/environ").exists(), reason="processes are found by /proc"
)

# How a terminal, a user and a scheduler interrupt; the exit code.
WAYS: Mapping[str, tuple[dict[str, Any], int]] = {
    "Ctrl-C": ({}, 130),
    "Ctrl-C, three times": ({"times": 3}, 130),
    "SIGINT to the process": ({"group": False}, 130),
    "SIGTERM to the process": ({"number": signal.SIGTERM, "group": False}, 143),
    "the terminal closes": ({"number": signal.SIGHUP}, 129),
}


@pytest.mark.parametrize(
    ("command", "way"),
    slow_but(
        [0, 6],
        [
            *(("networks", way) for way in WAYS),
            ("verify", "Ctrl-C, three times"),
            ("verify", "SIGTERM to the process"),
        ],
    ),
)
def test_while_a_compiler_runs(command: str, way: str, tmp_path: Path) -> None:
    how, code = WAYS[way]
    started = Started(tmp_path, NETWORKS if command == "networks" else VERIFY)
    started.wait_for(started.compiling)
    assert started.interrupted(**how) == (code, LINE)
    assert [path for path in tmp_path.glob("cache/staging/*") if path.is_dir()] == []
    assert list(tmp_path.glob("tmp/ares-*")) == []


@pytest.mark.parametrize(
    "command", slow_but([0], [(VERIFY,), (NETWORKS,)]), ids=["verify", "networks"]
)
def test_while_the_program_runs(command: tuple[str, ...], tmp_path: Path) -> None:
    started = Started(tmp_path, command, compiles=True)
    started.wait_for(started.running)
    assert started.interrupted() == (130, LINE)
    assert list(tmp_path.glob("tmp/ares-*")) == []


def test_a_compiler_that_does_not_tell_its_version(tmp_path: Path) -> None:
    """Asked side by side, by threads, of which no signal takes notice."""
    started = Started(tmp_path, (*ARES, "networks", "--list-targets"), versions=False)
    started.wait_for(started.compiling)
    assert started.interrupted() == (130, LINE)


@pytest.mark.parametrize("after", [0.0, 0.3, 1.0])
def test_workers_that_are_just_starting(after: float, tmp_path: Path) -> None:
    started = Started(tmp_path, NETWORKS)
    while len(started.left()) < 3 and started.process.poll() is None:
        time.sleep(0.01)
    time.sleep(after)
    assert started.interrupted() == (130, LINE)


@pytest.mark.slow
def test_a_command_in_a_command(tmp_path: Path) -> None:
    """The judge of a model is a process that has compilers of its own; the default targets, zig among them."""
    started = Started(tmp_path, (ROOT / "tools" / "record_models.py", "tfc_1w1a"))
    started.wait_for(started.compiling)
    code, stderr = started.interrupted()
    assert (code, stderr.splitlines(keepends=True)[-1]) == (
        130,
        LINE,
    )  # first there are Brevitas' warnings


MODEL = """
import hashlib, pathlib
from torch import nn
from brevitas.nn import QuantIdentity

class Slow(nn.Module):
    def __init__(self):
        super().__init__()
        self.q = QuantIdentity(bit_width=8)

    def forward(self, x):
        pathlib.Path("running").touch()
        hashlib.pbkdf2_hmac("sha256", b"", b"", 10**9)  # minutes in one call, as torch may take
        return self.q(x)

def example_inputs():
    import torch
    return torch.zeros(1, 4)
"""
DOORS: Mapping[str, tuple[object, ...]] = {
    "ares check": (*ARES, "check"),
    "ares verify": (*ARES, "verify"),
    "ares export": (*ARES, "export", "project"),
    "pytorch_extractor.py": (ROOT / "tools" / "pytorch_extractor.py", "--output", "graph"),
}


@pytest.mark.parametrize("door", slow_but([1], DOORS))
def test_while_the_main_thread_hears_nothing(door: str, tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text(MODEL, encoding="utf-8")
    started = Started(tmp_path, (*DOORS[door], "--model-file", "model.py"))
    started.wait_for(started.running)
    assert started.interrupted() == (130, LINE)
    assert not {"graph", "project"} & {path.name for path in tmp_path.iterdir()}


IMPORTING: Mapping[str, tuple[object, ...]] = {
    "ares check": (*ARES, "check", "--model-file", "model.py"),
    "ares golden": (*ARES, "golden", "--check"),
    "regenerate_golden.py": (ROOT / "tools" / "regenerate_golden.py", "--check"),
}


@pytest.mark.parametrize("door", slow_but([0], IMPORTING))
@pytest.mark.parametrize("after", [0.0, 0.5])
def test_while_torch_is_imported(door: str, after: float, tmp_path: Path) -> None:
    """Where an exception would abort the process: 'terminate called after throwing ...'."""
    (tmp_path / "model.py").write_text(MODEL, encoding="utf-8")
    started = Started(tmp_path, IMPORTING[door])
    started.wait_for_mapped("libtorch_python")
    time.sleep(after)
    assert started.interrupted() == (130, LINE)


SWALLOWS = """
import pathlib, time
try:
    pathlib.Path("running").touch()
    time.sleep(60)
except BaseException:
    pathlib.Path("heard").touch()
"""


def test_a_module_that_keeps_an_interrupt_to_itself(tmp_path: Path) -> None:
    """While something is imported nothing is raised: torch would abort."""
    (tmp_path / "swallows.py").write_text(SWALLOWS, encoding="utf-8")
    program = (
        "from ares.cli.interrupts import interruptible\nwith interruptible():\n    import swallows"
    )
    started = Started(tmp_path, ("-c", program))
    started.wait_for(started.running)
    assert started.interrupted(times=3) == (130, LINE)
    assert not (tmp_path / "heard").exists()


def test_the_imports_before_the_command(tmp_path: Path) -> None:
    started = Started(tmp_path, (*ARES, "networks", "--list"))
    started.wait_for_mapped("_multiarray_umath")  # of numpy, in the middle of them
    time.sleep(0.05)
    assert started.interrupted(group=False) == (130, LINE)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("timeout") is None, reason="timeout is not installed")
def test_timeout_with_sigint(tmp_path: Path) -> None:
    words = ("-s", "INT", "8", sys.executable, *VERIFY)
    started = Started(tmp_path, words, program="timeout")
    _, stderr = started.process.communicate(timeout=60)
    time.sleep(0.1)
    left = started.left()
    started.end()
    assert (started.process.returncode, stderr, left) == (124, LINE, [])


SESSION = """
import pathlib, sys, time
import torch, ares
from ares.nn import QuantIdentity

model = QuantIdentity(bit_width=8, return_quant_tensor=False)
model(torch.linspace(-1, 1, 8).reshape(1, 8))
model.eval()
try:
    ares.verify(model, torch.zeros(1, 8), targets="gcc-O2")
except KeyboardInterrupt:
    print("interrupted", file=sys.stderr)
pathlib.Path("healed").touch()
found = ares.verify(model, torch.zeros(1, 8), targets="gcc-O2")
print(found.summary, file=sys.stderr)
"""


@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
def test_a_session_goes_on_after_an_interrupt(tmp_path: Path) -> None:
    started = Started(tmp_path, ("-W", "ignore", "-c", SESSION))
    started.wait_for(started.compiling)
    start = time.monotonic()
    started.process.send_signal(signal.SIGINT)
    started.wait_for(tmp_path / "healed")
    assert time.monotonic() - start < 2.0
    _, stderr = started.process.communicate(timeout=120)
    first, second = stderr.splitlines()
    assert (first, second[:6]) == ("interrupted", "EXACT:")
    assert started.left() == []
