"""`check_compatibility`: what `ares check` says, from Python."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor, nn

if TYPE_CHECKING:
    from ares.checker import Report


def check_compatibility(
    model: nn.Module,
    inputs: Tensor | Sequence[Tensor] | None = None,
    name: str = "model",
) -> Report:
    """Whether ARES can turn `model` into C: a Report with `compatible`, `errors`, `warnings` and `summary`.

    `inputs`: a tensor, or one tensor for each input of `forward`, any shapes that it accepts; None infers them from
    the first layers. The model runs once, as a copy in evaluation mode; it need not be calibrated. Raises
    `ares.checker.UserInputError` when `forward` does not run on the given inputs.

    >>> report = check_compatibility(nn.Sequential(QuantIdentity(), nn.BatchNorm1d(8)), torch.zeros(1, 8))
    >>> report.compatible, [error.layer_type for error in report.errors]
    (False, ['BatchNorm1d'])
    >>> report.errors[0].suggestion
    'end the network with a QuantLinear or a QuantIdentity'
    """
    # Here and not above: the check reads models, which are made of this package.
    from ares.checker import check_model

    if isinstance(inputs, Tensor):
        inputs = (inputs,)
    return check_model(model, inputs, name)
