"""The doors in tools/ as users open them: real processes, any folder, ARES installed or not."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import pytest

from tests.checker.models import model_source, write

ROOT = Path(__file__).resolve().parents[2]
CHECK, EXTRACT = "check_model_compatibility.py", "pytorch_extractor.py"
ENVIRONMENT = {**os.environ, "COLUMNS": "80", "NO_COLOR": "1"}


def run(*arguments: object, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=cwd,
        env=ENVIRONMENT | environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_check_in_at_most_six_seconds(tmp_path: Path) -> None:
    path = write(tmp_path, model_source())

    def cpu() -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    start, cpu_start = time.perf_counter(), cpu()
    done = run(ROOT / "tools" / CHECK, "--model-file", path, cwd=tmp_path)
    wall, work = time.perf_counter() - start, cpu() - cpu_start
    print(f"ares check on a small model: {wall:.2f} s wall, {work:.2f} s of processor time")
    assert (done.returncode, done.stderr) == (0, "")
    last = done.stdout.splitlines()[-1]
    assert last == "compatible: 5 layers, 2 warnings; calibrate it before verify"
    # On a machine that has other work the wall clock says nothing about ares.
    assert min(wall, work) <= 6.0


def test_the_specifications_command(tmp_path: Path) -> None:
    network = ("--test-network", "test_1_simplecnn", "--model-class", "SimpleCNN")
    done = run(ROOT / "tools" / CHECK, *network, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "compatible: 9 layers" in done.stdout.splitlines()[-1]


@pytest.mark.slow
def test_doors_work_where_ares_is_not_installed(tmp_path: Path) -> None:
    # -S: without site-packages, hence without the editable install; the dependencies come back by path.
    path = write(
        tmp_path, model_source(["self.bn = nn.LocalResponseNorm(2)"], ["x = self.bn(x.value)"])
    )
    packages = sysconfig.get_path("purelib")
    found = run("-S", "-c", "import ares", cwd=tmp_path, PYTHONPATH=packages)
    if found.returncode == 0:
        # There the import always works, and nothing is left of what is tested: a checkout without an installation.
        pytest.skip("ares is installed in site-packages, beside the packages that it needs")
    arguments = {
        CHECK: ("--model-file", path),
        EXTRACT: ("--model-file", path, "-o", tmp_path / "g"),
    }
    for door, options in arguments.items():
        done = run("-S", ROOT / "tools" / door, *options, cwd=tmp_path, PYTHONPATH=packages)
        assert done.returncode == 1, done.stderr
        said = "bn (LocalResponseNorm)" if door == CHECK else "never calibrated"
        assert said in (done.stdout if door == CHECK else done.stderr)


def test_errors_of_the_file_are_one_line(tmp_path: Path) -> None:
    path = write(tmp_path, "def broken(:\n")
    done = run(ROOT / "tools" / CHECK, "--model-file", path, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"ares: {path}: syntax error, line 1: invalid syntax\n"


def test_help_and_usage_do_not_import_torch(tmp_path: Path) -> None:
    code = (
        "import sys; sys.argv = ['check', *sys.argv[1:]]\n"
        "from ares.cli.check import check_command; from ares.cli.door import run_command\n"
        "try: run_command(check_command)\n"
        "finally: assert 'torch' not in sys.modules and 'brevitas' not in sys.modules\n"
    )
    for options, status in (
        (("--help",), 0),
        (("--list-supported-types",), 0),
        ((), 2),
        (("--x",), 2),
    ):
        done = run("-c", code, *options, cwd=tmp_path)
        assert done.returncode == status, done.stderr
