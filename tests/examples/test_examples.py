"""The examples do what their docstrings say: train, and pass the commands that stand there."""

from __future__ import annotations

import ast
import re
import shutil
from pathlib import Path

import pytest

from tests.examples.commands import run_line
from tests.extract.models import fast_target

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
NAMES = sorted(path.name for path in EXAMPLES.glob("*.py"))


def commands(path: Path) -> list[str]:
    text = ast.get_docstring(ast.parse(path.read_text())) or ""
    return [line.strip() for line in text.splitlines() if line.startswith("    ")]


def test_there_are_three() -> None:
    assert NAMES == ["cnn.py", "mamba.py", "transformer.py"]


@pytest.mark.parametrize("name", NAMES)
def test_example(name: str, tmp_path: Path) -> None:
    (tmp_path / "examples").mkdir()
    path = Path(shutil.copy(EXAMPLES / name, tmp_path / "examples"))
    install, train, check, verify, export = commands(path)
    assert install.startswith("pip install ")
    said = run_line(train, tmp_path, "--epochs", "2")
    assert re.search(r"float: +\d+\.\d%\nquantised: \d+\.\d%\nsaved weights.safetensors\n", said)
    # Two epochs: better than chance (10 %), and quantisation does no harm.
    float32, quantised = (float(share) for share in re.findall(r"(\d+\.\d)%", said))
    assert float32 > 20.0
    assert quantised > float32 - 15.0
    assert "compatible" in run_line(check, tmp_path)
    run_line(verify, tmp_path, "--target", fast_target().name)
    run_line(export, tmp_path)
    folder = tmp_path / f"digits_{path.stem}"
    assert (folder / "Makefile").is_file()
    assert (tmp_path / "weights.safetensors").is_file()


@pytest.mark.parametrize("name", NAMES)
def test_examples_share_their_training(name: str) -> None:
    """Each stands alone, so the parts that are not about its model are copies, and stay equal."""
    assert shared(EXAMPLES / name) == shared(EXAMPLES / "cnn.py")


def shared(path: Path) -> str:
    """From `train` to the end, without the rate and the number of epochs."""
    source = path.read_text()
    text = source[source.index("def train(") :]
    return re.sub(r"(rate=|default=)[\d.e-]+", r"\1", text)
