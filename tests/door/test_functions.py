"""`ares.check`, `ares.verify`, `ares.export` in a session: what they say, and that they leave all as it was."""

from __future__ import annotations

import copy
import os
import re
import subprocess
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from brevitas.nn import QuantConv2d, QuantIdentity, QuantLinear
from torch import Tensor, nn

import ares
from ares.zoo.network_file import load_network_file
from tests.checker.models import READY, model_source, write
from tests.door.models import TARGET, Pooled, Sum, Words, calibrated, normal
from tests.examples.commands import try_line
from tests.extract.models import seeded

X = normal(3, 1, 8, 8)
_SECONDS = re.compile(r"\((\d+\.\d s|known from an earlier run)\)")


class Printer:
    """What IPython hands to a record that ends a cell."""

    def __init__(self) -> None:
        self.shown = ""

    def text(self, words: str) -> None:
        self.shown += words


def in_a_notebook(record: Any) -> str:
    printer = Printer()
    record._repr_pretty_(printer, False)
    return printer.shown


# What is said.


def test_check_says_that_it_fits(pooled: nn.Module) -> None:
    report = ares.check(pooled, X)
    assert report.compatible
    assert report.shapes == ((3, 1, 8, 8),)
    assert str(report).splitlines()[0] == "model: Pooled, inputs (3, 1, 8, 8) from example_inputs"
    assert str(report).splitlines()[-1] == report.summary == "compatible: 6 layers, 0 warnings"
    assert re.search(r"^ *conv +QuantConv2d +OP_CONV2D +supported$", str(report), re.MULTILINE)
    assert max(map(len, str(report).splitlines())) <= 80
    assert repr(report) == f"<Report on model: {report.summary}>"
    assert in_a_notebook(report) == str(report)


def test_check_says_what_to_change() -> None:
    layers = (QuantConv2d(1, 4, 3), nn.Flatten(), QuantLinear(144, 2, bias=True))
    report = ares.check(nn.Sequential(*layers), X, name="net")
    assert not report.compatible
    (error, *_) = report.errors
    assert error.layer == "0"
    said = " ".join(str(report).split())
    assert f"error 0 (QuantConv2d): {' '.join(error.reason.split())}" in said
    assert " ".join(error.suggestion.split()) in said
    assert report.summary.startswith("NOT compatible: ")
    assert said.endswith(" ".join(report.summary.split()))
    assert repr(report) == f"<Report on net: {report.summary}>"


def test_verify_says_every_layer(pooled: nn.Module) -> None:
    result = ares.verify(pooled, X, targets=TARGET, name="pooled")
    assert result.passed
    assert result.cases == ("sample_0", "sample_1", "sample_2", "random", "edge")
    assert [line.layer for line in result.layers] == ["quant_in", "conv", "pool", "flatten", "fc"]
    assert result.exact_targets == (TARGET,)
    lines = str(result).splitlines()
    assert lines[0].startswith("pooled: Pooled, inputs: example_inputs, cases: sample_0, ")
    assert lines[-1] == result.summary
    assert result.summary.startswith("EXACT: 5 layers, 5 cases, 1 target: ")
    for line in result.layers:
        assert re.search(rf"^{line.layer} +{line.op_type} .* 1 of 1$", str(result), re.MULTILINE)
    assert repr(result) == f"<Verification of pooled: {result.summary}>"
    assert in_a_notebook(result) == str(result)
    assert result.kept is None
    assert result.as_json()["passed"] is True
    assert result.as_json()["reproduction"] is None


def test_rich_does_not_know_a_notebook(pooled: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    """There it would display what is printed, and leave the text empty."""
    report = ares.check(pooled, X)
    expected = str(report)
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "33")
    assert str(report) == expected


def the_models_of_a_file(folder: Path, source: str) -> tuple[nn.Module, tuple[Tensor, ...]]:
    network = load_network_file(write(folder, source))
    return network.create_model(), network.example_inputs()


@pytest.mark.parametrize("source", [READY, model_source(["self.bn = nn.BatchNorm2d(4)"])])
def test_check_says_what_the_command_says(empty: Path, source: str) -> None:
    model, inputs = the_models_of_a_file(empty, source)
    code, printed = try_line("ares check --model-file model.py", empty)
    report = ares.check(model, inputs)
    assert report.compatible == (code == 0)
    # Another width breaks lines elsewhere.
    words, expected = (" ".join(alike(text)).split() for text in (str(report), printed))
    assert words == expected


@pytest.mark.parametrize("source", [READY, model_source()])
def test_verify_says_what_the_command_says(empty: Path, source: str) -> None:
    torch.manual_seed(3)
    model, inputs = the_models_of_a_file(empty, source.replace("torch.rand", "torch.ones"))
    line = f"ares verify --model-file model.py --target {TARGET}"
    code, printed = try_line(line, empty)
    result = ares.verify(model, inputs, targets=TARGET)
    assert result.passed == (code == 0)
    again = re.compile(r"^to repeat it: .*$", re.MULTILINE)
    assert alike(again.sub("", printed)) == alike(again.sub("", str(result)))


def test_export_says_what_the_command_says(empty: Path) -> None:
    model, inputs = the_models_of_a_file(empty, READY)
    code, printed = try_line("ares export theirs --model-file model.py", empty)
    written = ares.export(model, "ours", inputs)
    assert code == 0
    assert str(written) == printed.rstrip().replace("theirs", "ours")
    assert {path.name for path in Path("ours").iterdir()} == {
        path.name for path in Path("theirs").iterdir()
    }
    assert in_a_notebook(written) == str(written)


def alike(text: str) -> list[str]:
    """Lines without what is another one each time: the seconds, and where the inputs come from."""
    text = _SECONDS.sub("(s)", text).replace("example_inputs() of the file", "example_inputs")
    return [line.rstrip() for line in text.strip().splitlines()]


def test_export_writes_the_project(pooled: nn.Module, empty: Path) -> None:
    written = ares.export(pooled, empty / "deep" / "firmware", X, name="digits", cases=2)
    assert written.folder == empty / "deep" / "firmware"
    files = {
        path.relative_to(written.folder).as_posix()
        for path in written.folder.rglob("*")
        if path.is_file()
    }
    assert set(written.files) == files
    assert {"digits.h", "digits.c", "selftest.c", "Makefile"} <= files
    assert written.cases == ("sample_0", "sample_1")
    assert written.layers == 5
    assert written.arena_bytes >= written.arena_bound > 0
    assert "digits_run" in (written.folder / "digits.h").read_text()
    assert "files=" not in repr(written)


# What it is given.


def test_tensors_and_arrays_are_the_same(pooled: nn.Module) -> None:
    given: list[Any] = [X, X.numpy(), [X], (X.numpy(),), X.double(), X.clone().requires_grad_()]
    results = [ares.verify(pooled, x, targets=TARGET, cases=4) for x in given]
    facts = [(result.passed, result.cases, result.layers) for result in results]
    assert facts == facts[:1] * len(given)


def test_one_sample_is_the_example(pooled: nn.Module) -> None:
    result = ares.verify(pooled, X[:1], targets=TARGET, cases=2)
    assert result.cases == ("realistic", "random")


def test_samples_of_ones_own(pooled: nn.Module) -> None:
    result = ares.verify(pooled, X[:1], inputs=X[1:].numpy(), targets=TARGET, cases=1)
    assert result.cases == ("sample_0",)
    assert "inputs: inputs, cases: sample_0" in str(result)
    assert "1 of 2 samples were left out: --cases" in result.notes


def test_several_inputs() -> None:
    x, y = normal(3, 4), 2 * normal(3, 4)
    model = calibrated(Sum, x, y)
    result = ares.verify(model, [x, y], targets=TARGET, cases=3)
    assert result.passed, str(result)
    assert result.cases == ("sample_0", "sample_1", "sample_2")
    # As torch would broadcast it.
    assert ares.verify(model, [x, y[:1]], targets=TARGET, cases=3).cases == result.cases


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.uint8])
def test_ids(dtype: torch.dtype) -> None:
    ids = torch.tensor([[0, 6, 3, 1, 2], [5, 5, 4, 0, 0]])
    result = ares.verify(calibrated(Words, ids), ids.to(dtype), targets=TARGET)
    assert result.passed, str(result)


def test_patterns_and_absent_targets(pooled: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    pattern = TARGET.replace("-O2", "-O?")
    result = ares.verify(pooled, X, targets=[pattern], cases=1, jobs=2)
    assert TARGET in result.exact_targets
    monkeypatch.setenv("PATH", "/nowhere")
    absent = ares.verify(pooled, X, targets="m4-gcc-O2", cases=1)
    assert not absent.passed
    assert absent.summary == "NOT VERIFIED: no target could be run"


# What is not mappable or not exact is a result.


def test_a_model_that_cannot_be_mapped() -> None:
    result = ares.verify(seeded(Pooled), X, targets=TARGET)
    assert not result.passed
    assert result.layers == ()
    assert [verdict.stage for verdict in result.matrix.failures] == ["check"]
    assert "was never calibrated" in str(result)
    assert str(result).splitlines()[-1].startswith("NOT MAPPABLE")


def test_a_model_that_brevitas_refuses() -> None:
    model = nn.Sequential(QuantLinear(4, 2, bias=True, return_quant_tensor=True))
    result = ares.verify(model, normal(1, 4), targets=TARGET)
    assert not result.passed
    assert "return_quant_tensor" in str(result)
    assert not ares.check(model, normal(1, 4)).compatible


@pytest.mark.usefixtures("wrong_pooling")
def test_a_wrong_c_names_its_layer_and_is_kept(pooled: nn.Module, empty: Path) -> None:
    result = ares.verify(pooled, X, targets=TARGET, out="kept")
    assert not result.passed
    (verdict,) = result.matrix.failures
    assert (verdict.stage, verdict.fault, verdict.layer) == (f"c[{TARGET}]", "difference", "pool")
    assert "layer pool (OP_MAXPOOL): tensor pool differs from the golden" in str(result)
    assert f'to repeat it: ares.verify(model, example_inputs, targets="{TARGET}")' in str(result)
    assert re.search(rf"^pool .* DIFFERS on {TARGET}$", str(result), re.MULTILINE)
    assert "at layer pool" in repr(result)
    assert result.kept == Path("kept")
    assert "to repeat it without ARES: sh kept/reproduce.sh" in str(result)
    assert result.as_json()["reproduction"] == "kept"
    done = subprocess.run(
        ["sh", "kept/reproduce.sh"], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 1
    assert "layer pool (OP_MAXPOOL)" in done.stderr
    assert os.listdir(empty) == ["kept"]


@pytest.mark.usefixtures("wrong_pooling", "empty")
def test_without_a_folder_nothing_is_written(pooled: nn.Module) -> None:
    result = ares.verify(pooled, X, targets=TARGET, cases=1)
    assert not result.passed
    assert result.kept is None
    assert os.listdir() == []


@pytest.mark.usefixtures("wrong_pooling")
def test_what_cannot_be_kept_is_still_said(pooled: nn.Module, empty: Path) -> None:
    (empty / "file").write_text("mine")
    result = ares.verify(pooled, X, targets=TARGET, cases=1, out="file/kept")
    assert not result.passed
    assert result.kept is None
    assert "cannot write file/kept: " in str(result)


# Nothing is changed.


@pytest.mark.parametrize("call", ["check", "verify", "export"])
def test_all_stays_as_it_was(call: str, empty: Path) -> None:
    model = calibrated(Pooled, X)
    model.train()
    model.get_submodule("pool").eval()
    model.get_parameter("conv.weight").requires_grad_(False)
    state = copy.deepcopy(model.state_dict())
    modes = {path: module.training for path, module in model.named_modules()}
    wants = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    identities = {name: id(value) for name, value in model.named_parameters()}
    hooks = [len(module._forward_hooks) for module in model.modules()]
    x, drawn = X.clone(), torch.get_rng_state()
    {
        "check": lambda: ares.check(model, x),
        "verify": lambda: ares.verify(model, x, targets=TARGET, cases=2),
        "export": lambda: ares.export(model, "folder", x),
    }[call]()
    assert {path: module.training for path, module in model.named_modules()} == modes
    assert {n: parameter.requires_grad for n, parameter in model.named_parameters()} == wants
    assert {name: id(value) for name, value in model.named_parameters()} == identities
    assert [len(module._forward_hooks) for module in model.modules()] == hooks
    assert list(model.state_dict()) == list(state)
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert torch.equal(x, X)
    assert torch.equal(torch.get_rng_state(), drawn)
    assert torch.is_grad_enabled()
    assert os.listdir(empty) == (["folder"] if call == "export" else [])


class Warns(Pooled):
    def forward(self, x: Tensor) -> Tensor:
        warnings.warn("an old function", DeprecationWarning, stacklevel=1)
        return super().forward(x)


def test_warnings_of_the_model_are_not_errors() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = calibrated(Warns, X)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("error")
        assert ares.verify(model, X, targets=TARGET, cases=1).passed
    assert seen == []


# One exception, one line.


REFUSED: dict[str, tuple[Callable[[Any], object], str]] = {
    "no model": (lambda m: ares.check(str(m), X), "model is of type str"),
    "no array": (lambda m: ares.check(m, 3), "example_inputs is of type int, expected a tensor"),
    "numbers": (lambda m: ares.check(m, [0.5]), "example_inputs[0] is of type float"),
    "no axis": (lambda m: ares.check(m, np.float32(1.5)), "example_inputs is of type float32"),
    "no sample": (lambda m: ares.check(m, X[:0]), "has shape (0, 1, 8, 8), expected samples"),
    "words": (lambda m: ares.check(m, np.array(["a"])), "example_inputs holds <U1, expected"),
    "complex": (lambda m: ares.check(m, X + 1j), "example_inputs holds complex64, expected"),
    "not finite": (lambda m: ares.verify(m, X / 0), "example_inputs: element [0, 0, 0, 0] is"),
    "double": (lambda m: ares.verify(m, X.double() / 3), "values that float32 cannot hold"),
    "sparse": (lambda m: ares.verify(m, X.to_sparse()), "example_inputs is no ordinary tensor"),
    "meta": (lambda m: ares.verify(m, X.to("meta")), "example_inputs is no ordinary tensor"),
    "forward": (lambda m: ares.verify(m, X[:, :, :6]), "mat1 and mat2 shapes cannot be multiplied"),
    "two": (lambda m: ares.verify(m, [X, X]), "takes 2 positional arguments but 3 were given"),
    "sample": (lambda m: ares.verify(m, X, inputs=X[:, :, :6]), "sample 0 of inputs: input"),
    "ids": (lambda m: ares.verify(m, X, inputs=X.long()), "expected float32[1, 1, 8, 8]"),
    "counts": (
        lambda m: ares.verify(m, X, inputs=[X, X[:2]]),
        "inputs hold different numbers of samples: 3, 2",
    ),
    "more": (lambda m: ares.verify(m, X, inputs=[X, X]), "2 arrays (inputs), expected one for"),
    "target": (lambda m: ares.verify(m, X, targets="gcc-O9"), "unknown target 'gcc-O9'; nearest: "),
    "odd target": (lambda m: ares.verify(m, X, targets=[3]), "targets holds something of type int"),
    "no compiler": (lambda _: ares.own_target("nonesuch-cc"), "cc: cannot start nonesuch-cc: "),
    "no board": (lambda _: ares.own_target("gcc", board="x"), "board: unknown board 'x', known: "),
    "no file": (lambda _: ares.read_targets("absent.toml"), "absent.toml: no such file, expected"),
    "no target": (lambda m: ares.verify(m, X, targets=[]), "targets is empty"),
    "cases": (lambda m: ares.verify(m, X, cases=0), "cases is 0, expected 1 to 10,000"),
    "jobs": (lambda m: ares.verify(m, X, jobs=0), "jobs is 0, expected at least 1"),
    "many": (lambda m: ares.export(m, "folder", X, cases=101), "cases is 101, expected 1 to 100"),
    "taken": (lambda m: ares.export(m, "mine", X), "mine is there already and not empty"),
    "kept": (lambda m: ares.verify(m, X, out="mine"), "mine is there already and not empty"),
    "file": (lambda m: ares.export(m, "mine/a.txt/b", X), "cannot write mine/a.txt/b: "),
    "unfit": (lambda m: ares.export(seeded(Pooled), "folder", X), "was never calibrated"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_errors(kind: str, pooled: nn.Module, empty: Path) -> None:
    (empty / "mine").mkdir()
    (empty / "mine" / "a.txt").write_text("years of work")
    call, words = REFUSED[kind]
    with pytest.raises(ares.AresError) as caught:
        call(pooled)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert os.listdir(empty) == ["mine"]
    assert os.listdir(empty / "mine") == ["a.txt"]


def test_a_model_that_cannot_be_copied() -> None:
    model = nn.Sequential(QuantLinear(4, 2, bias=True))
    model.log = (line for line in ())  # type: ignore[assignment]
    with pytest.raises(ares.AresError, match="the model cannot be copied: TypeError"):
        ares.verify(model, normal(1, 4), targets=TARGET)


class _EvalOfItsOwn(nn.Module):
    """Brevitas' MelGAN has an `eval` that returns nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.quant = QuantIdentity()

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.quant(x)
        return found

    def eval(self, inference: bool = False) -> None:  # type: ignore[override]
        del inference
        super().eval()


def test_a_model_whose_eval_returns_nothing() -> None:
    model = _EvalOfItsOwn()
    model(normal(4, 8))  # in training mode: the scale is measured
    assert ares.check(model, normal(1, 8)).compatible
    assert ares.verify(model, normal(1, 8), targets=TARGET).passed
