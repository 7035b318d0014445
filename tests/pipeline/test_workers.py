"""Workers whose run ends where nothing is cleared away."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_a_run_that_ends_at_once_says_nothing_more() -> None:
    """As when an interrupted run takes longer to end than we wait; what it shared is unlinked behind it."""
    program = "import os; from ares.pipeline.workers import Workers; kept = Workers(1); os._exit(3)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT)
    # The process that keeps count has our stderr, which ends with it.
    assert (done.returncode, done.stderr) == (3, "")
