"""Where inputs come from: the file, the options, the first layers, or nowhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.checker.models import PRELUDE, model_source, write
from tests.cli.outcome import Outcome

Check = Callable[..., Outcome]


def network(init: str, forward: str, signature: str = "x") -> str:
    """A whole model file without example_inputs(); QI, QR and CHAIN are short for what stands below."""
    init = init.replace("QI()", "QuantIdentity(return_quant_tensor=True)")
    init = init.replace("QR()", "QuantReLU(return_quant_tensor=True)")
    forward = forward.replace("CHAIN", "self.r(self.c(self.q(x)))")
    body = "".join(f"        {line.strip()}\n" for line in init.strip().splitlines())
    return (
        f"{PRELUDE}class Model(nn.Module):\n    def __init__(self):\n        super().__init__()\n{body}\n"
        f"    def forward(self, {signature}):\n        return {forward}\n"
    )


def test_example_inputs_of_the_file(tmp_path: Path, check: Check) -> None:
    inputs = check("--model-file", write(tmp_path, model_source())).report["inputs"]
    assert inputs == {
        "origin": "example_inputs() of the file",
        "shapes": [[1, 1, 8, 8]],
        "forward_seen": True,
        "notes": [],
    }


@pytest.mark.parametrize("text", ["1,1,8,8", "1x1x8x8", "(1, 1, 8, 8)", "1X1X8X8", "4,1,8,8"])
def test_option_comes_before_the_file(text: str, tmp_path: Path, check: Check) -> None:
    source = model_source().replace("torch.rand(1, 1, 8, 8)", "1 / 0")
    outcome = check("--model-file", write(tmp_path, source), "--input-shape", text)
    assert outcome.code == 0
    assert outcome.report["inputs"]["origin"] == "--input-shape"


@dataclass(frozen=True, slots=True)
class Guess:
    """A model without example_inputs() and the shapes that must be found for it."""

    name: str
    source: str
    shapes: tuple[tuple[int, ...], ...]


CONV = "self.q = QI()\nself.c = QuantConv2d({}, 4, 3, padding=1)\nself.r = QR()\n"
GUESSES = [
    Guess(
        "28x28",
        network(CONV.format(1) + "self.f = QuantLinear(4 * 28 * 28, 2)", "self.f(torch.flatten(CHAIN, 1))"),
        ((1, 1, 28, 28),),
    ),
    Guess(
        "rgb_96x96",
        network(CONV.format(3) + "self.f = QuantLinear(4 * 96 * 96, 2)", "self.f(torch.flatten(CHAIN, 1))"),
        ((1, 3, 96, 96),),
    ),
    Guess(
        "unusual_10x10",
        network(CONV.format(2) + "self.f = QuantLinear(400, 2)", "self.f(torch.flatten(CHAIN, 1))"),
        ((1, 2, 10, 10),),
    ),
    Guess(
        "head_registered_first",
        network("self.f = QuantLinear(4 * 32 * 32, 2)\n" + CONV.format(1), "self.f(torch.flatten(CHAIN, 1))"),
        ((1, 1, 32, 32),),
    ),
    Guess(
        "any_size_but_windows_must_divide",
        # 28 runs, too, but leaves 7 x 7 for windows of 2 x 2: the guess must not condemn the model.
        network(
            CONV.format(1) + "self.p = nn.MaxPool2d(4)\nself.g = qnn.TruncAdaptiveAvgPool2d(2)\n"
            "self.f = QuantLinear(16, 2)",
            "self.f(torch.flatten(self.g(self.p(CHAIN)), 1))",
        ),
        ((1, 1, 32, 32),),
    ),
    Guess(
        "dense",
        network("self.q = QI()\nself.f = QuantLinear(57, 3)", "self.f(self.q(x))"),
        ((1, 57),),
    ),
    Guess(
        "tokens",
        network(
            "self.q = QI()\nself.f = QuantLinear(24, 8)\n"
            "self.m = QuantMean(dim=1)\nself.r = QR()\nself.h = QuantLinear(8, 3)",
            "self.h(self.m(self.r(self.f(self.q(x))))) if x.dim() == 3 else None + x",
        ),
        ((1, 16, 24),),
    ),
    Guess(
        "two_alike",
        network(
            "self.a = QI()\nself.b = QI()\n"
            "self.s = QuantAdd()\nself.f = QuantLinear(12, 3)",
            "self.f(self.s(self.a(x), self.b(y)))",
            "x, y",
        ),
        ((1, 12), (1, 12)),
    ),
    Guess(
        "two_branches",
        network(
            CONV.format(1)
            + "self.g = nn.AdaptiveAvgPool2d(1)\nself.gq = QI()\n"
            "self.q2 = QI()\nself.l = QuantLinear(9, 4)\n"
            "self.lq = QR()\nself.cat = QuantConcatenate(dim=1)\nself.f = QuantLinear(8, 2)",
            "self.f(self.cat([torch.flatten(self.gq(self.g(CHAIN)), 1), self.lq(self.l(self.q2(signal)))]))",
            "x, signal, scale=None",
        ),
        ((1, 1, 28, 28), (1, 9)),
    ),
    Guess(
        "two_branches_the_other_way_round",
        network(
            CONV.format(3) + "self.g = nn.AdaptiveAvgPool2d(1)\nself.gq = QI()\n"
            "self.q2 = QI()\nself.l = QuantLinear(9, 4)\nself.lq = QR()\nself.s = QuantAdd()\n"
            "self.f = QuantLinear(4, 2)",
            "self.f(self.s(torch.flatten(self.gq(self.g(CHAIN)), 1), self.lq(self.l(self.q2(signal)))))",
            "signal, x",
        ),
        ((1, 9), (1, 3, 28, 28)),
    ),
    Guess(
        "optional_input",
        network("self.q = QI()\nself.f = QuantLinear(5, 3)", "self.f(self.q(x))", "x=None"),
        ((1, 5),),
    ),
    Guess(
        "without_layers",
        network("self.q = QI()\nself.p = nn.MaxPool2d(2)", "self.p(self.q(x))"),
        ((1, 1, 28, 28),),
    ),
]  # fmt: skip


@pytest.mark.parametrize("guess", GUESSES, ids=lambda guess: guess.name)
def test_inferred_from_the_first_layers(guess: Guess, tmp_path: Path, check: Check) -> None:
    outcome = check("--model-file", write(tmp_path, guess.source, f"{guess.name}.py"))
    inputs = outcome.report["inputs"]
    assert inputs["shapes"] == [list(shape) for shape in guess.shapes]
    assert inputs["forward_seen"] is True
    shown = ", ".join(map(str, guess.shapes))
    assert inputs["origin"] == f"inferred from the first layers: {shown}"
    assert outcome.code == 0, outcome.out


# 17 x 23: no size that anybody would guess.
UNSEEN = model_source(
    ["self.norm = nn.LocalResponseNorm(2)", "self.branch = nn.ModuleList([nn.Dropout(0.1), nn.Sequential()])"],
    ["x = self.norm(x)"],
    example=False,
).replace("QuantLinear(256, 10)", f"QuantLinear({4 * 17 * 23}, 10)")  # fmt: skip


def test_modules_only_when_nothing_fits(tmp_path: Path, check: Check) -> None:
    outcome = check("--model-file", write(tmp_path, UNSEEN))
    assert outcome.code == 1
    assert outcome.report["inputs"] == {
        "origin": "none: forward was not seen",
        "shapes": [],
        "forward_seen": False,
        "notes": [],
    }
    unseen = outcome.report["findings"][0]
    assert (unseen["layer"], unseen["status"]) == ("", "warning")
    assert "forward was not seen" in unseen["reason"]
    assert "(1, 1, 28, 28)" in unseen["reason"]
    assert "--input-shape" in unseen["suggestion"]
    (error,) = outcome.errors()
    assert (error["layer"], error["type"]) == ("norm", "LocalResponseNorm")
    assert "supported_operations" in error["suggestion"]
    # Containers and the inner modules of quantisers are no layers.
    layers = [f["layer"] for f in outcome.report["findings"][1:]]
    assert layers == ["quant_in", "conv", "relu", "norm", "branch.0", "fc"]


def test_a_guess_that_only_runs_without_its_batch_is_none(tmp_path: Path, check: Check) -> None:
    # (1, 16, 16) would run as one sample of 1 x 16 x 16, for PyTorch's 2-D layers take that, too.
    forward = "self.f(CHAIN) if x.dim() == 3 else CHAIN.view(3, 5)"
    source = network(CONV.format(1) + "self.f = QuantLinear(16, 2)", forward)
    outcome = check("--model-file", write(tmp_path, source))
    assert outcome.report["inputs"]["forward_seen"] is False


def test_a_forward_that_was_not_seen_makes_nothing_compatible(tmp_path: Path, check: Check) -> None:
    source = UNSEEN.replace("nn.LocalResponseNorm(2)", "nn.MaxPool2d(1)")
    path = write(tmp_path, source)
    outcome = check("--model-file", path)
    assert (outcome.code, outcome.err) == (2, "")
    assert (outcome.report["compatible"], outcome.report["verdict"]) == (False, "not known")
    last = " ".join(outcome.out.split("\n\n")[-1].split())
    assert last.startswith("NOT KNOWN: forward was not seen: ")
    assert last.endswith("say --input-shape, or define example_inputs() in the file")
    assert check("--model-file", path, "--strict-warnings").code == 2
    seen = check("--model-file", path, "--input-shape", "1,1,17,23")
    assert (seen.code, seen.report["verdict"]) == (0, "compatible")
    assert seen.report["inputs"]["forward_seen"]


@pytest.mark.parametrize("how", ["option", "file"])
def test_a_batch_is_cut_and_says_so(how: str, tmp_path: Path, check: Check) -> None:
    source = model_source().replace("torch.rand(1,", "torch.rand(3,")
    path = write(tmp_path, source)
    options = ("--input-shape", "4,1,8,8") if how == "option" else ()
    outcome = check("--model-file", path, *options)
    count, origin = (4, "--input-shape") if options else (3, "example_inputs() of the file")
    note = f"inputs: a batch of {count} ({origin}) was cut to its first sample"
    assert outcome.report["inputs"]["notes"] == [note]
    assert note in " ".join(outcome.out.split())


def test_keyword_only_inputs_are_not_guessed(tmp_path: Path, check: Check) -> None:
    source = network("self.q = QI()", "self.q(x)", "x, *, mode")
    outcome = check("--model-file", write(tmp_path, source))
    assert outcome.code == 2
    assert outcome.report["inputs"]["forward_seen"] is False
    assert "keyword" in outcome.report["findings"][0]["reason"]
