"""Models through runtimes in children: in order, whatever one of them does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ares.interchange import write_onnx
from ares.ir import DType, Graph, Operation, Tensor
from ares.ops.max_pool2d import MaxPool2d
from ares.ops.permute import Permute
from ares.runtimes import RUNTIMES, Failed, Ran, Request, UnknownRuntime, chosen, run_models
from tests.checkout import ROOT
from tests.runtimes.planted import planted

SHAPE = (1, 3, 4, 6)


@pytest.fixture(autouse=True)
def _findable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def _codes(name: str, shape: tuple[int, ...]) -> Tensor:
    return Tensor(name, shape, DType.S8, 0.25, 3, -128, 127)


def _request(operation: Operation, shape: tuple[int, ...], cases: int = 1) -> Request:
    source, target = _codes(operation.inputs[0], SHAPE), _codes(operation.outputs[0], shape)
    graph = Graph("one", (source, target), (operation,), operation.inputs, operation.outputs)
    rng = np.random.default_rng(1)
    made = [rng.integers(-128, 128, SHAPE).astype(np.int8) for _ in range(cases)]
    return Request(write_onnx(graph).data, [{operation.inputs[0]: array} for array in made])


def _turned(source: str = "x", cases: int = 1) -> Request:
    operation = Permute("turned", (source,), ("y",), (0, 1, 3, 2))
    return _request(operation, (1, 3, 6, 4), cases)


def _pooled() -> Request:
    sizes: Any = ((2, 2), (2, 2), (0, 0, 0, 0), (1, 1), False)
    return _request(MaxPool2d("top", ("x",), ("y",), *sizes), (1, 3, 2, 3))


@pytest.mark.parametrize("name", ["file", "a/b", "x:0", "input ids"[:5], "arr_0"])
def test_tensors_have_any_name(name: str) -> None:
    request = _turned(name, cases=2)
    (ran,) = run_models(planted("exact"), [request])
    assert isinstance(ran, Ran)
    for case, found in zip(request.cases, ran.cases, strict=True):
        assert np.array_equal(found["y"], case[name].swapaxes(2, 3))


def test_where_one_dies_the_next_goes_on() -> None:
    requests = [_turned(), _pooled(), _turned(), _pooled(), _turned()]
    ran = run_models(planted("dies", operator="MaxPool"), requests)
    assert [type(each) for each in ran] == [Ran, Failed, Ran, Failed, Ran]
    assert isinstance(ran[1], Failed)
    assert ran[1].words.startswith("died of signal 6")


def test_a_refusal_is_a_line() -> None:
    ran = run_models(planted("refuses", operator="MaxPool"), [_pooled(), _turned()])
    assert ran[0] == Failed("refused: RuntimeError: no kernel for MaxPool")
    assert isinstance(ran[1], Ran)


def test_an_engine_that_is_not_there() -> None:
    (failed,) = run_models(planted("nobody"), [_turned()])
    assert isinstance(failed, Failed)
    assert "nobody" in failed.words


@pytest.mark.parametrize("runtime", RUNTIMES, ids=lambda each: each.name)
def test_what_is_installed_runs(runtime: Any, tmp_path: Path) -> None:
    if runtime.missing():
        pytest.skip(runtime.missing())
    request = _turned()
    (ran,) = run_models(runtime, [request])
    assert isinstance(ran, Ran), ran
    assert np.array_equal(ran.cases[0]["y"], request.cases[0]["x"].swapaxes(2, 3))
    assert runtime.version


def test_what_is_missing_says_what_brings_it() -> None:
    runtime = planted("exact")
    gone = type(runtime)(**{**{f: getattr(runtime, f) for f in runtime.__slots__}, "module": "nix"})
    assert gone.missing() == "nix is not installed (pip install 'ares-codegen[compare]')"


def test_names_and_globs() -> None:
    assert [each.name for each in chosen(["onnx*"])] == ["onnxruntime-plain", "onnxruntime"]
    assert chosen([]) == RUNTIMES
    with pytest.raises(UnknownRuntime, match="no runtime is called 'tensorrt'; there are onnxrunt"):
        chosen(["openvino", "tensorrt"])
