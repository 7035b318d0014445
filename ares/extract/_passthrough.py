"""Calls that change no value in evaluation mode: the result is the argument."""

from __future__ import annotations

from torch import nn

from ares.extract._call import Call
from ares.extract._findings import Finding, Status, reject
from ares.extract._registry import on_function, on_module
from ares.extract._values import Value


@on_function(
    "cpu",
    "positive",
    "contiguous",
    "detach",
    "clone",
    "data",
    "double",
    "float",
    "to",
    "type_as",
    "alias",
    "rename",  # Brevitas 0.12 drops the names of what its layers are given
)
def unchanged(call: Call) -> Value:
    return call.x


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
