"""`ares compare`: other runtimes on a network, its files, and what is refused in a line."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from ares.pipeline.network import NetworkSubject
from ares.runtimes import chosen
from tests.checkout import ZOO
from tests.cli.commands import ares

NETWORK = "test_37_zeropad2d"
PLAIN = "onnxruntime-plain"


def _need(name: str) -> None:
    (runtime,) = chosen([name])
    if runtime.missing():
        pytest.skip(str(runtime.missing()))


@pytest.mark.slow
def test_a_network_in_a_runtime_that_is_right(tmp_path: Path) -> None:
    _need(PLAIN)
    out = tmp_path / "kept"
    ran = ares(
        *("compare", NETWORK, "--runtime", PLAIN, "--out", out),
        *("--json-out", "found.json", "--junit-out", "found.xml"),
        cwd=tmp_path,
    )
    assert ran.returncode == 0, ran.stderr
    assert f"EQUAL: {NETWORK} in {PLAIN} " in ran.stdout
    told = json.loads((tmp_path / "found.json").read_text())
    assert told["equal"] is True
    assert {row["verdict"] for row in told["comparisons"][0]["layers"]} == {"equal"}
    suites = ElementTree.parse(tmp_path / "found.xml").getroot()
    assert {suite.get("failures") for suite in suites} == {"0"}
    assert not out.exists(), "nothing differs, nothing is kept"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "name one model: a network of the zoo (ares compare test_4), or --model-file FILE"),
        (["test_4", "--model-file", "m.py"], "name one model"),
        (["test_4", "--runtime", "tensorrt"], "no runtime is called 'tensorrt'; there are onnx"),
        (["test_999", "--runtime", PLAIN], "test_999"),
    ],
)
def test_usage(words: list[str], said: str, tmp_path: Path) -> None:
    _need(PLAIN)
    ran = ares("compare", *words, cwd=tmp_path)
    assert ran.returncode == 2
    assert said in ran.stderr
    assert ran.stderr.count("\n") == 1


def test_nothing_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "thesis.txt").write_text("years of work")
    ran = ares("compare", "test_4", "--out", "kept", cwd=tmp_path)
    assert ran.returncode == 2
    assert "not empty" in ran.stderr


def test_a_runtime_that_is_not_here(tmp_path: Path) -> None:
    """A package that cannot be found is said, with what brings it; with none at all there is nothing to do."""
    (tmp_path / "hiding.py").write_text(
        "import importlib.util as u\nfound = u.find_spec\n"
        "u.find_spec = lambda name, *rest: None if name == 'onnxruntime' else found(name, *rest)\n"
    )
    (tmp_path / "sitecustomize.py").write_text("import hiding\n")
    ran = ares(
        *("compare", "test_4", "--runtime", PLAIN),
        cwd=tmp_path,
        environment={"PYTHONPATH": str(tmp_path)},
    )
    assert ran.returncode == 2
    assert "onnxruntime is not installed (pip install 'ares-codegen[compare]')" in ran.stderr
    assert "ares compare wants one at least" in ran.stderr


@pytest.mark.slow
def test_a_dump(tmp_path: Path) -> None:
    """Inputs are handed out; what comes back is judged; what is not ours is said."""
    ran = ares("compare", NETWORK, "--inputs-out", "inputs", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    (path,) = (tmp_path / "inputs" / "case1").iterdir()
    subject = NetworkSubject(ZOO.paths(NETWORK))
    assert np.array_equal(np.load(path), subject.golden.cases[1].inputs[0])
    dump = tmp_path / "dump"
    dump.mkdir()
    tensors = dict(subject.expected(1))
    for name in ("conv1.0", "conv1.1"):
        np.save(dump / f"{name}.npy", tensors[name])
    np.save(dump / "odd.npy", np.zeros(7))
    ran = ares("compare", NETWORK, "--dump", "dump", "--dump-case", "1", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert "not judged: odd: none of ours has its 7 elements" in ran.stderr
    wrong = tensors["conv1.1"].copy()
    wrong[0, 0, 0, 0] ^= 1
    np.save(dump / "conv1.1.npy", wrong)
    ran = ares("compare", NETWORK, "--dump", "dump", "--dump-case", "1", cwd=tmp_path)
    assert ran.returncode == 1
    assert "layer conv1.1 (OP_CONV2D): 1 of" in ran.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--dump", "d", "--runtime", PLAIN], "leave out --runtime and --out"),
        (["--dump", "d", "--dump-case", "-1"], "--dump-case"),
    ],
)
def test_usage_of_dumps(words: list[str], said: str, tmp_path: Path) -> None:
    ran = ares("compare", "test_4", *words, cwd=tmp_path)
    assert ran.returncode == 2
    assert said in ran.stderr
