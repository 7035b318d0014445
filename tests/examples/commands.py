"""Commands as a reader would type them: `ares ...` in this process, everything else in a shell.

With `site`, the folder of an unpacked wheel, all run in processes of their own that find ARES there and no checkout.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from typer.testing import CliRunner

from ares.cli.app import app


def run_line(line: str, folder: Path, *more: str, site: Path | None = None) -> str:
    """Run one command line in `folder`, with `more` words behind it; what it printed. It must succeed."""
    __tracebackhide__ = True
    code, printed = try_line(line, folder, *more, site=site)
    assert code == 0, f"{line}: exit code {code}\n{printed}"
    return printed


def try_line(line: str, folder: Path, *more: str, site: Path | None = None) -> tuple[int, str]:
    """Exit code and everything that was printed."""
    if line.startswith("ares ") and site is None:
        return _ares([*shlex.split(line)[1:], *more], folder)
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    }
    if site is not None:
        environment["PYTHONPATH"] = str(site)
        line = re.sub("^ares ", 'python -c "from ares.cli import main; main()" ', line)
    command = ["sh", "-c", f'{line} "$@"', "sh", *more]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600
    )
    return done.returncode, done.stdout + done.stderr


def _ares(words: list[str], folder: Path) -> tuple[int, str]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        result = CliRunner().invoke(app, words, env={"COLUMNS": "100"})
    finally:
        os.chdir(before)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output
