"""Whether a model can be mapped, and what to change where it cannot: `ares check`.

`check_model` runs `forward` once, judges every layer and function it sees (`ares.extract.analyse`) and returns a
`Report`. Inputs that nobody gave are inferred from the first layers. Compatibility is structural: a model that was
never calibrated is compatible, with warnings. Without `forward` nothing is called compatible.
"""

from ares.checker.causes import judge
from ares.checker.data import Samples, read_samples
from ares.checker.inputs import CheckError, Inputs, NoInputs, example_tensor, find_inputs
from ares.checker.loading import example, read_inputs, structural_model, trained_model
from ares.checker.model import check_model, unbuildable
from ares.checker.render import render
from ares.checker.report import Report, first_reason

__all__ = [
    "CheckError",
    "Inputs",
    "NoInputs",
    "Report",
    "Samples",
    "check_model",
    "example",
    "example_tensor",
    "find_inputs",
    "first_reason",
    "judge",
    "read_inputs",
    "read_samples",
    "render",
    "structural_model",
    "trained_model",
    "unbuildable",
]
