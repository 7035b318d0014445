"""Which models are compatible, and what is said about those that are not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from ares.pipeline.catalogue import Zoo, ZooPaths
from tests.checker.models import PRELUDE, model_source, write
from tests.checkout import ZOO
from tests.cli.outcome import Outcome


@dataclass(frozen=True, slots=True)
class Bad:
    """Lines of an incompatible model, and the one error expected."""

    name: str
    init: tuple[str, ...]
    body: tuple[str, ...]
    layer: str
    layer_type: str
    advice: str


QUANT = "self.quant = QuantIdentity(return_quant_tensor=True)"
OTHER = "self.other = QuantIdentity(return_quant_tensor=True)"
Q = "x = self.quant(x)"

INCOMPATIBLE = [
    Bad(
        "batch_norm",
        ("self.bn = nn.BatchNorm2d(4, track_running_stats=False)", QUANT),
        ("x = self.bn(x)", Q),
        "bn",
        "BatchNorm2d",
        "track_running_stats=True",
    ),
    Bad(
        "conv_transpose",
        ("self.up = nn.ConvTranspose2d(4, 4, 1)", QUANT),
        ("x = self.up(x.value)", Q),
        "up",
        "ConvTranspose2d",
        "brevitas.nn.QuantConvTranspose2d",
    ),
    Bad(
        "lstm",
        ("self.lstm = nn.LSTM(64, 64, batch_first=True)", QUANT),
        ("x = self.lstm(torch.flatten(x.value, 2))[0]", Q),
        "lstm",
        "LSTM",
        "convolutions, attention or a state-space block",
    ),
    Bad(
        "attention",
        ("self.mha = nn.MultiheadAttention(64, 4, batch_first=True)", QUANT),
        ("x = torch.flatten(x.value, 2)", "x = self.mha(x, x, x)[0]", Q),
        "mha",
        "MultiheadAttention",
        "QuantMultiHeadAttention",
    ),
    Bad(
        "sum_without_quantiser",
        (OTHER,),
        ("x = x.value + self.other(x).value",),
        "fc",
        "QuantLinear",
        "ares.nn.QuantAdd",
    ),
    Bad(
        "sum_that_brevitas_refuses",
        (OTHER,),
        ("x = x + self.other(x)",),
        "",
        "Model",
        "ares.nn.QuantAdd",
    ),
    Bad(
        "concatenation_that_brevitas_breaks",
        ("self.cat = qnn.QuantCat()",),
        ("x = self.cat([x])",),
        "cat",
        "QuantCat",
        "ares.nn.QuantConcatenate",
    ),
    Bad(
        "float_conv",
        ("self.float_conv = nn.Conv2d(4, 4, 1)", QUANT),
        ("x = self.float_conv(x.value)", Q),
        "float_conv",
        "Conv2d",
        "brevitas.nn.QuantConv2d",
    ),
    Bad(
        "average_without_quantiser",
        ("self.pool = nn.AvgPool2d(1)",),
        ("x = self.pool(x)",),
        "fc",
        "QuantLinear",
        "insert a QuantIdentity before it",
    ),
    Bad(
        "unknown_function",
        (QUANT,),
        ("x = torch.cumsum(x.value, 1)", Q),
        "cumsum",
        "cumsum",
        "docs/supported_operations.md",
    ),
    Bad(
        "data_dependent_branch",
        (),
        ("x = x if x.value.sum() > 0 else -x",),
        "",
        "data dependent",
        "decide in __init__",
    ),
    Bad(
        "float32_inside",
        (),
        ("x = x.value.float()",),
        "",
        "Model",
        "remove conversions such as x.float()",
    ),
    Bad(
        "counter",
        ("self.calls = 0", QUANT),
        ("self.calls += 1", "x = self.quant(x) if self.calls % 2 else F.relu(x)"),
        "",
        "changed structure",
        "the same operations for every input",
    ),
]


@pytest.mark.parametrize("bad", INCOMPATIBLE, ids=lambda bad: bad.name)
def test_incompatible(bad: Bad, tmp_path: Path, check: Callable[..., Outcome]) -> None:
    path = write(tmp_path, model_source(bad.init, bad.body), f"{bad.name}.py")
    found = check("--model-file", path)
    assert found.code == 1
    assert found.err == ""
    error = next(error for error in found.errors() if error["layer"] == bad.layer)
    assert error["type"] == bad.layer_type
    assert bad.advice in error["suggestion"]
    # The advice is on the screen too, wrapped or not, and the verdict is the last line.
    assert "".join(bad.advice.split()) in "".join(found.out.split())
    assert "NOT compatible" in found.out.split("\n\n")[-1]


def test_a_sum_without_quantiser_is_named(tmp_path: Path, check: Callable[..., Outcome]) -> None:
    source = model_source([OTHER], ["x = x.value + self.other(x).value"])
    (error,) = check("--model-file", write(tmp_path, source)).errors()
    assert "the sum add" in error["reason"]


@dataclass(frozen=True, slots=True)
class Good:
    """Lines of a compatible model, and what one of its layers becomes."""

    name: str
    init: tuple[str, ...]
    body: tuple[str, ...]
    layer: str
    op_type: str


COMPATIBLE = [
    Good("plain", (), (), "conv", "OP_CONV2D"),
    Good(
        "sum_and_quantiser",
        (OTHER, QUANT),
        ("x = self.quant(x.value + self.other(x).value)",),
        "add",
        "OP_ADD",
    ),
    Good(
        "quant_add",
        (OTHER, "self.join = QuantAdd()"),
        ("x = self.join(x, self.other(x))",),
        "join",
        "OP_ADD",
    ),
    Good(
        "concatenation_and_quantiser",
        (OTHER, QUANT, "self.pool = nn.MaxPool2d((2, 1))"),
        ("x = self.pool(self.quant(torch.cat([x.value, self.other(x).value], 1)))",),
        "cat",
        "OP_CONCAT",
    ),
    Good(
        "average_and_quantiser",
        ("self.pool = nn.AvgPool2d(1)", QUANT),
        ("x = self.pool(x)", Q),
        "pool",
        "OP_AVGPOOL",
    ),
    Good(
        "functional_permute", (), ("x = x.value.permute(0, 2, 3, 1)",), "permute", "OP_TRANSPOSE_2D"
    ),
]


@pytest.mark.parametrize("good", COMPATIBLE, ids=lambda good: good.name)
def test_compatible_though_never_calibrated(
    good: Good, tmp_path: Path, check: Callable[..., Outcome]
) -> None:
    path = write(tmp_path, model_source(good.init, good.body), f"{good.name}.py")
    found = check("--model-file", path)
    assert (found.code, found.err) == (0, "")
    assert found.report["compatible"] is True
    assert found.finding(good.layer)["op_type"] == good.op_type
    warnings = [f for f in found.report["findings"] if f["status"] == "warning"]
    assert warnings
    assert all("calibrated" in warning["reason"] for warning in warnings)


def test_network_of_the_zoo(check: Callable[..., Outcome]) -> None:
    paths = ZOO.paths("test_1_simplecnn")
    found = check("--test-network", paths.name, "--model-class", "SimpleCNN")
    assert (found.code, found.err) == (0, "")
    assert found.report["network"] == "test_1_simplecnn"
    assert found.report["inputs"]["origin"] == "example_inputs() of the file"
    if (paths.golden / "state.safetensors").exists():
        assert found.report["counts"]["warning"] == 0


def test_stored_state_that_does_not_fit_is_a_warning(
    tmp_path: Path, check: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The structure of a network in the making can be checked before its state is made anew.
    source = write(tmp_path, model_source())
    (tmp_path / "state.safetensors").write_bytes(b"of an older model")
    paths = ZooPaths("test_0_new", source, tmp_path)
    monkeypatch.setattr(Zoo, "paths", lambda zoo, name: paths)
    found = check("--test-network", "test_0_new")
    assert found.code == 0
    (warning,) = (f for f in found.report["findings"] if f["layer"] == "")
    assert warning["status"] == "warning"
    assert "stored state is not used" in warning["reason"]
    assert "--retrain" in warning["suggestion"]


def test_dropout_is_a_warning(tmp_path: Path, check: Callable[..., Outcome]) -> None:
    path = write(tmp_path, model_source(["self.drop = nn.Dropout(0.5)"], ["x = self.drop(x)"]))
    found = check("--model-file", path)
    assert found.code == 0
    assert found.finding("drop")["status"] == "warning"
    assert "remove it" in found.finding("drop")["suggestion"]


def test_every_unsupported_layer_is_listed(tmp_path: Path, check: Callable[..., Outcome]) -> None:
    # Not only the first: what comes after an unknown value is judged by its class.
    source = model_source(
        [
            "self.norm1 = nn.LocalResponseNorm(2)",
            "self.up = nn.Upsample(scale_factor=2, mode='bicubic')",
            "self.norm2 = nn.LocalResponseNorm(2)",
            "self.pool = nn.MaxPool2d(2)",
            QUANT,
        ],
        ["x = self.norm2(self.up(self.norm1(x.value)))", "x = self.quant(self.pool(x))"],
    )
    found = check("--model-file", write(tmp_path, source))
    assert [error["layer"] for error in found.errors()] == ["norm1", "up", "norm2"]
    # And nothing is claimed of what could not be judged.
    assert "not judged" in found.finding("pool")["reason"]
    assert found.finding("pool")["op_type"] == ""
    assert found.report["counts"] == {
        "layers": 10,
        "supported": 1,
        "warning": 3,
        "error": 3,
        "not_judged": 3,
    }


def test_a_class_is_judged_by_what_it_does_not_by_its_name(
    tmp_path: Path, check: Callable[..., Outcome]
) -> None:
    liar = """\
class Reshape(nn.Module):
    def forward(self, x):
        return x.transpose(2, 3)

"""
    source = model_source(["self.reshape = Reshape()"], ["x = self.reshape(x.value)"])
    path = write(tmp_path, source.replace(PRELUDE, PRELUDE + liar))
    found = check("--model-file", path, "--model-class", "Model")
    assert found.code == 0
    (moved,) = (f for f in found.report["findings"] if f["op_type"] == "OP_TRANSPOSE_2D")
    assert moved["layer"] == "reshape.transpose"
    assert not any(f["op_type"] == "OP_RESHAPE" for f in found.report["findings"])


def test_a_class_called_like_a_supported_one_is_no_free_pass(
    tmp_path: Path, check: Callable[..., Outcome]
) -> None:
    liar = """\
class QuantAdd(nn.Module):
    def forward(self, x, y):
        return torch.cumsum(x.value, 1) - y.value

"""
    source = model_source(["self.add = QuantAdd()", QUANT], ["x = self.quant(self.add(x, x))"])
    path = write(tmp_path, source.replace(PRELUDE, PRELUDE + liar))
    found = check("--model-file", path, "--model-class", "Model")
    assert found.code == 1
    (error,) = found.errors()
    assert (error["layer"], error["suggestion"]) == (
        "add",
        "import that one: from ares.nn import QuantAdd",
    )
