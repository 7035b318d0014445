"""Source of model files for the checker's tests, and how a check is run on them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from brevitas.graph.calibrate import calibration_mode
from torch import nn

from ares.zoo.network_file import load_model
from tests.cli.outcome import Outcome

PRELUDE = """\
import torch
import torch.nn.functional as F
from torch import nn
import brevitas.nn as qnn
from brevitas.nn import QuantConv2d, QuantIdentity, QuantLinear, QuantReLU
from ares.nn import QuantAdd, QuantConcatenate, QuantMean

"""

MODEL = """\
class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.quant_in = QuantIdentity(return_quant_tensor=True)
        self.conv = QuantConv2d(1, 4, 3, padding=1)
        self.relu = QuantReLU(return_quant_tensor=True)
        {init}
        self.fc = QuantLinear(256, 10)

    def forward(self, x):
        x = self.relu(self.conv(self.quant_in(x)))
        {body}
        return self.fc(torch.flatten(x, 1))

"""

EXAMPLE = """\
def example_inputs():
    return (torch.rand(1, 1, 8, 8),)
"""


def model_source(
    init: Sequence[str] = (), body: Sequence[str] = (), *, example: bool = True
) -> str:
    """A small network with lines of yours after the first activation; x has shape (1, 4, 8, 8) there."""
    lines = MODEL.format(
        init="\n        ".join(init) or "pass", body="\n        ".join(body) or "pass"
    )
    return PRELUDE + lines + (EXAMPLE if example else "")


def write(folder: Path, source: str, name: str = "model.py") -> Path:
    path = folder / name
    path.write_text(source)
    return path


# A model that calibrates itself when it is made, as a user's create_model() may.
READY = (
    model_source()
    + """
def create_model():
    torch.manual_seed(1)
    model = Model().eval()
    from brevitas.graph.calibrate import calibration_mode
    with torch.no_grad(), calibration_mode(model):
        model(torch.linspace(-1, 1, 64).reshape(1, 1, 8, 8))
    return model
"""
)


def trained_state(path: Path) -> dict[str, torch.Tensor]:
    """The state of the file's class Model after calibration."""
    model: nn.Module = load_model(path, "Model").eval()
    with torch.no_grad(), calibration_mode(model):
        model(torch.linspace(-1, 1, 64).reshape(1, 1, 8, 8))
    return {key: value.clone() for key, value in model.state_dict().items()}


def refused(outcome: Outcome, *parts: str) -> None:
    """Assert exit code 2, nothing on stdout and one line on stderr with all `parts` in it."""
    assert outcome.code == 2, outcome
    assert outcome.out == ""
    assert outcome.err.count("\n") == 1
    assert outcome.err.endswith("\n")
    assert outcome.err.startswith("ares: ")
    assert len(outcome.err) < 1000
    assert "Traceback" not in outcome.err
    for part in parts:
        assert part in outcome.err
