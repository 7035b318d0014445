"""Models in the wild: each is exact in every witness, or refused with one line that says what to change."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ares.cli.model_options import choose, code_of_the_user, user_model
from ares.toolchain import TARGETS
from ares.verdict import Outcome as VerdictOutcome
from tests.checker.models import EXAMPLE, PRELUDE, model_source, refused, write
from tests.checker.wild_models import REFUSED, SUPPORTED
from tests.cli.outcome import Outcome
from tests.slow import one_in

Run = Callable[..., Outcome]

TARGET = next(
    target.name
    for target in TARGETS
    if target.name in ("gcc-O2", "zig-O2") and target.missing() is None
)


@pytest.mark.parametrize("name", one_in(6, SUPPORTED))
def test_supported(name: str, tmp_path: Path, check: Run) -> None:
    wild = SUPPORTED[name]
    path = write(tmp_path, wild.source)
    outcome = check("--model-file", path)
    assert (outcome.code, outcome.err) == (0, ""), outcome.out
    advice = [f["suggestion"] for f in outcome.report["findings"] if f["status"] == "warning"]
    assert advice == ([wild.warns] if wild.warns else [])
    with code_of_the_user():
        subject = user_model(choose(path, None, None, None, None), 2, "ares verify")
        for stage in subject.stages():
            verdict = subject.stage(stage)
            assert verdict.outcome is VerdictOutcome.PASS, verdict.message


@pytest.mark.parametrize("name", one_in(4, [name for name, wild in SUPPORTED.items() if wild.c]))
def test_supported_in_c(name: str, tmp_path: Path, verify: Run) -> None:
    path = write(tmp_path, SUPPORTED[name].source)
    outcome = verify("--model-file", path, "--target", TARGET)
    assert (outcome.code, outcome.err) == (0, ""), outcome.out
    assert outcome.report["exact_targets"] == [TARGET]


@pytest.mark.parametrize("name", one_in(2, REFUSED))
def test_refused(name: str, tmp_path: Path, check: Run) -> None:
    wild = REFUSED[name]
    outcome = check("--model-file", write(tmp_path, wild.source))
    if wild.code == 2:
        refused(outcome, *wild.says)
        return
    assert (outcome.code, outcome.err) == (1, ""), outcome.out
    lines = [
        f"{error['layer']} {error['type']}: {error['reason']}; {error['suggestion']}"
        for error in outcome.errors()
    ]
    assert any(all(part in line for part in wild.says) for line in lines), lines
    assert all(
        error["suggestion"] and "\n" not in error["suggestion"] for error in outcome.errors()
    )


ARGUMENTS = PRELUDE + """
class Model(nn.Module):
    def __init__(self, classes, *, width):
        super().__init__()
        self.q = QuantIdentity(return_quant_tensor=True)
        self.fc = QuantLinear(64, classes * width)

    def forward(self, x):
        return self.fc(torch.flatten(self.q(x), 1))

""" + EXAMPLE  # fmt: skip


def test_a_constructor_with_arguments(tmp_path: Path, check: Run) -> None:
    path = write(tmp_path, ARGUMENTS)
    refused(check("--model-file", path), "Model()", "its signature is Model(classes, *, width)")
    given = ("--init-kwarg", "classes=3", "--init-kwarg", "width=2")
    assert check("--model-file", path, *given).code == 0
    refused(check("--model-file", path, *given, "--init-kwarg", "deep=1"), "deep=1", "signature")


def test_the_constructor_prints_and_warns(tmp_path: Path, check: Run) -> None:
    line = "import warnings; warnings.warn('old'); torch.set_default_dtype(torch.float32)"
    outcome = check("--model-file", write(tmp_path, model_source([line])))
    assert (outcome.code, outcome.err) == (0, "")


@pytest.mark.parametrize("body", ["1 / 0", "raise KeyboardInterrupt", "import sys; sys.exit(0)"])
def test_forward_that_stops(body: str, tmp_path: Path, check: Run) -> None:
    outcome = check("--model-file", write(tmp_path, model_source(body=[body])))
    assert outcome.code not in (0, 1)
    assert "Traceback" not in outcome.err
