"""The quantisers of `ares.nn`: its defaults, and what a user's own `act_quant=` and `weight_quant=` mean in it.

By default activations are signed, with one scale per tensor and zero point 0, and weights signed with one scale per
output channel. A given quantiser is a Brevitas injector class, as for Brevitas' own modules. It brings its own bit
width, where it names one; a `bit_width` other than 8 overrides that, as a keyword does in Brevitas.
"""

from __future__ import annotations

from inspect import isclass
from typing import Any, Final

from brevitas.nn import QuantIdentity
from brevitas.nn.quant_layer import ActQuantType, WeightQuantType
from brevitas.quant import Int8ActPerTensorFloat
from torch import nn

from ares.nn.errors import MappingError

DEFAULT_BIT_WIDTH: Final = 8
"""Bit width of every weight and activation that does not name its own."""


def default_quant_identity(
    bit_width: int = DEFAULT_BIT_WIDTH,
    return_quant_tensor: bool = True,
    *,
    act_quant: ActQuantType | None = Int8ActPerTensorFloat,
) -> QuantIdentity:
    """`QuantIdentity` with codes -2^(n-1) .. 2^(n-1)-1: for a network's input, after poolings, at joins.

    Any shape, and the result has the same. `act_quant`: another quantiser; None quantises nothing, and the result is
    then a plain tensor.

    >>> codes = default_quant_identity()(torch.randn(1, 8))
    >>> codes.shape, int(codes.bit_width)
    (torch.Size([1, 8]), 8)
    """
    return QuantIdentity(
        **activation_options(act_quant, bit_width),
        return_quant_tensor=return_quant_tensor and act_quant is not None,
    )


def activation_options(act_quant: ActQuantType | None, bit_width: int) -> dict[str, Any]:
    """Arguments that make `act_quant` the quantiser of one of Brevitas' activations."""
    return _options("act_quant", "bit_width", act_quant, bit_width)


def output_options(act_quant: ActQuantType | None, bit_width: int) -> dict[str, Any]:
    """Arguments that make `act_quant` the quantiser behind one of Brevitas' layers."""
    return _options("output_quant", "output_bit_width", act_quant, bit_width)


def weight_options(weight_quant: WeightQuantType | None, bit_width: int) -> dict[str, Any]:
    """Arguments that make `weight_quant` the quantiser of the weights of one of Brevitas' layers."""
    return _options("weight_quant", "weight_bit_width", weight_quant, bit_width)


def unsigned(act_quant: ActQuantType) -> ActQuantType:
    """The same quantiser with codes 0 .. 2^n-1, for what is never negative: after a ReLU, softmax, softplus."""
    return act_quant.let(signed=False)


def require_class(layer: nn.Module, act_quant: ActQuantType | None) -> None:
    """Raise MappingError unless `act_quant` can be made several times: a layer of several steps quantises each."""
    if not isclass(act_quant):
        found = "None" if act_quant is None else f"a {type(act_quant).__name__}"
        raise MappingError(
            type(layer).__name__,
            f"act_quant is {found}, expected a class, of which each of its steps has a quantiser",
            "give it a quantiser such as brevitas.quant.Int8ActPerTensorFloat",
        )


def _options(
    quant_name: str, width_name: str, quant: ActQuantType | WeightQuantType | None, bit_width: int
) -> dict[str, Any]:
    options: dict[str, Any] = {quant_name: quant}
    asked = quant is not None and bit_width != DEFAULT_BIT_WIDTH
    # A class without a width of its own, such as those of Brevitas' bnn_pynq models, leaves it to the layer.
    if asked or (isclass(quant) and "bit_width" not in vars(quant)["__dependencies__"]):
        options[width_name] = bit_width
    return options
