"""The examples do what their docstrings say: train, and pass the commands that stand there.

From the built wheel, in an empty folder, without a checkout; the exported self-test then passes on three processors.
"""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

from ares.toolchain import select
from tests.examples.commands import run_line
from tests.extract.models import fast_target

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
NAMES = sorted(path.name for path in EXAMPLES.glob("*.py"))


def commands(path: Path) -> list[str]:
    text = ast.get_docstring(ast.parse(path.read_text())) or ""
    return [line.strip() for line in text.splitlines() if line.startswith("    ")]


def test_there_are_four() -> None:
    assert NAMES == ["cnn.py", "mamba.py", "ptq.py", "transformer.py"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An unpacked wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder / "dist")]
    subprocess.run(build, cwd=EXAMPLES.parent, check=True, capture_output=True, timeout=120)
    (wheel,) = (folder / "dist").glob("*.whl")
    with ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


# Target that must be there -> how make builds and runs the self-test for it.
MACHINES = {
    "gcc-O2": "make -s check CC=gcc",
    "s390x-gcc-O2": "make -s check CC=s390x-linux-gnu-gcc LDFLAGS=-static RUN=qemu-s390x",
    "riscv32-zig-O2": "make -s check CC='python -m ziglang cc -target riscv32-linux-musl' "
    "AR='python -m ziglang ar' RUN=qemu-riscv32",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_example(name: str, tmp_path: Path, site: Path) -> None:
    where = run_line("python -c 'import ares; print(ares.__file__)'", tmp_path, site=site)
    assert where.strip() == str(site / "ares" / "__init__.py")
    (tmp_path / "examples").mkdir()
    path = Path(shutil.copy(EXAMPLES / name, tmp_path / "examples"))
    install, train, check, verify, export = commands(path)
    assert install.startswith("pip install ")
    said = run_line(train, tmp_path, "--epochs", "2", site=site)
    saved = re.search(r"float: +\d+\.\d%\nquantised: \d+\.\d%\nsaved (weights\.\w+)\n", said)
    assert saved is not None
    # Two epochs: better than chance (10 %), and quantisation does no harm.
    float32, quantised = (float(share) for share in re.findall(r"(\d+\.\d)%", said))
    assert float32 > 20.0
    assert quantised > float32 - 15.0
    assert "compatible" in run_line(check, tmp_path, site=site)
    said = run_line(verify, tmp_path, "--target", fast_target().name, site=site)
    assert "EXACT: " in said
    run_line(export, tmp_path, site=site)
    folder = tmp_path / f"digits_{path.stem}"
    assert (folder / "Makefile").is_file()
    assert (tmp_path / saved[1]).is_file()
    if not shutil.which("make"):
        pytest.skip("trained, checked, verified and exported; make is not installed")
    missing = {target: select([target])[0].missing() for target in MACHINES}
    for target, line in MACHINES.items():
        if missing[target] is None:
            assert "self-test passed: " in run_line(line, folder)
            run_line("make -s clean", folder)
    absent = [f"{target}: {reason}" for target, reason in missing.items() if reason is not None]
    if absent:
        pytest.skip(f"all but the self-test on {'; '.join(absent)}")


@pytest.mark.parametrize("name", NAMES)
def test_examples_share_their_training(name: str) -> None:
    """Each stands alone, so the parts that are not about its model are copies, and stay equal."""
    end = "def main(" if name == "ptq.py" else None  # quantised after its training, not in it
    assert shared(EXAMPLES / name, end) == shared(EXAMPLES / "cnn.py", end)


def shared(path: Path, end: str | None) -> str:
    """From `train` to `end`, or to the end of the file; without the rate and the number of epochs."""
    source = path.read_text()
    text = source[source.index("def train(") : source.index(end) if end else None]
    return re.sub(r"(rate=|default=)[\d.e-]+", r"\1", text)
