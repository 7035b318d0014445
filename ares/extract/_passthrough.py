"""Calls that change no value in evaluation mode: the result is the argument."""

from __future__ import annotations

from torch import nn

from ares.extract._call import Call
from ares.extract._channel_codes import waiting
from ares.extract._findings import Finding, Status, reject
from ares.extract._registry import on_function, on_module
from ares.extract._values import Codes, Real, Unknown, Value
from ares.ops.requantize import Requantize


@on_function(
    "cpu",
    "positive",
    "contiguous",
    "detach",
    "clone",
    "data",
    "double",
    "int",
    "long",
    "float",
    "to",
    "type",
    "type_as",
    "alias",
    "rename",  # Brevitas 0.12 drops the names of what its layers are given
)
def unchanged(call: Call) -> Value:
    return call.x


@on_function("round")
def rounded(call: Call) -> Value:
    """Of whole numbers, as Brevitas has them where it takes the codes of a QuantTensor."""
    value = call.x
    real = waiting(call, value, Requantize) if isinstance(value, Codes) else value
    if isinstance(value, Unknown):
        return value
    if not isinstance(real, Real) or not real.is_whole or call.argument("decimals", 1, 0):
        reject("it rounds what is no whole number", "leave rounding to the next quantiser")
    return value


@on_module(
    *(nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d),
    *(nn.AlphaDropout, nn.FeatureAlphaDropout),
)
@on_function(
    "dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout"
)
def dropout(call: Call) -> Value:
    if call.node.module is None and call.argument("training", 2, call.kwargs.get("train", True)):
        reject("it drops values at random", "say training=self.training")
    call.context.warnings.append(
        Finding(
            call.name,
            call.layer_type,
            Status.WARNING,
            "does nothing in evaluation mode",
            "remove it for inference graphs",
        )
    )
    return call.x
