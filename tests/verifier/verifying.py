"""What the tests of `ares verify` share: a target that is here, a network with a pool, and how an answer is read."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

from ares.toolchain import TARGETS
from tests.checker.models import READY
from tests.cli.outcome import Outcome

Run = Callable[..., Outcome]
ROOT = Path(__file__).resolve().parents[2]

# The host's compiler, else the one that comes with the Python packages.
TARGET = next(
    target.name
    for target in TARGETS
    if target.name in ("gcc-O2", "zig-O2") and target.missing() is None
)
POOLED = READY.replace("pass", "self.pool = nn.MaxPool2d(2)", 1).replace(
    "        pass\n        return self.fc", "        x = self.pool(x)\n        return self.fc"
).replace("QuantLinear(256", "QuantLinear(64")  # fmt: skip


def stages(outcome: Outcome) -> dict[str, str]:
    return {verdict["stage"]: verdict["outcome"] for verdict in outcome.report["verdicts"]}


def reproduce(folder: Path) -> subprocess.CompletedProcess[str]:
    """The one command, as somebody without ARES runs it."""
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}
    return subprocess.run(
        ["sh", str(folder / "reproduce.sh")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
