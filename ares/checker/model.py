"""`check_model`: from a model to its Report."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from torch import Tensor, nn

from ares.capture import evaluated
from ares.checker.causes import by_cause, judge
from ares.checker.report import Report
from ares.extract import Finding, Status, module_findings
from ares.nn.errors import MappingError
from ares.user_files.inputs import SAY_INPUTS, Inputs, NoInputs, evaluated_copy, find_inputs
from ares.zoo.network_file import NetworkFile, NetworkFileError

_MOST_SHAPES = 4


def check_model(
    model: nn.Module,
    inputs: Sequence[Tensor] | Inputs | None = None,
    name: str = "model",
    *,
    is_ours: bool = False,
) -> Report:
    """Judge a model by running it once in evaluation mode; the model itself is left as it is.

    `is_ours`: nobody else has the model, so it need not be copied to be put into evaluation mode.

    `inputs`: one tensor per input of `forward`, any batch size, or None to infer them from the first layers. If
    nothing fits, only the classes of the layers are judged: an error among them is one, but without any the verdict
    is "not known". Raises UserInputError when `forward` does not run on given inputs.
    """
    if inputs is not None and not isinstance(inputs, Inputs):
        inputs = Inputs(tuple(inputs), "given by the caller")
    model = evaluated(model) if is_ours else evaluated_copy(model)
    found = find_inputs(model, inputs)
    if isinstance(found, NoInputs):
        return _without_forward(model, name, found)
    first = next(found)
    report = _with_forward(model, name, first)
    if report.errors and inputs is None:
        return _with_other_shapes(model, report, found)
    return report


def unbuildable(network: NetworkFile, error: NetworkFileError) -> Report | None:
    """The report on a model whose constructor met sizes that no layer of `ares.nn` can have; else None."""
    cause = error.__cause__
    if not isinstance(cause, MappingError):
        return None
    finding = Finding("", cause.layer, Status.ERROR, cause.reason, cause.advice)
    return Report(
        network=network.name,
        model=network.model_name,
        inputs="none: the model cannot be constructed",
        shapes=(),
        findings=(finding,),
        unseen=cause.reason,
    )


def _with_forward(model: nn.Module, name: str, inputs: Inputs) -> Report:
    analysis = judge(model, inputs.tensors, name)
    return Report(
        network=name,
        model=type(model).__name__,
        inputs=inputs.origin,
        shapes=inputs.shapes,
        findings=analysis.findings,
        notes=inputs.notes,
    )


def _with_other_shapes(model: nn.Module, report: Report, found: Iterator[Inputs]) -> Report:
    """The first report without errors, for a guessed shape may be at fault; else the one there is."""
    errors = report.errors
    for inputs in itertools.islice(found, _MOST_SHAPES):
        other = _with_forward(model, report.network, inputs)
        if other.compatible:
            return other
        if other.errors == errors:
            # The same in every detail for another size: sizes have nothing to do with it.
            break
    return report


def _without_forward(model: nn.Module, name: str, nothing: NoInputs) -> Report:
    model_type = type(model).__name__
    unseen = (
        Finding(
            "",
            model_type,
            Status.WARNING,
            f"forward was not seen, only the classes of the layers: {nothing.reason}",
            SAY_INPUTS,
        )
        if nothing.refusal is None
        else nothing.refusal
    )
    return Report(
        network=name,
        model=model_type,
        inputs="none: forward was not seen",
        shapes=(),
        findings=(unseen, *by_cause(model, module_findings(model))),
        unseen=f"{nothing.reason}; {SAY_INPUTS}" if nothing.refusal is None else nothing.reason,
    )
