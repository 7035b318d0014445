"""Functions of a real number in the operators of ONNX, by the names of `ares.numerics.FUNCTIONS`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ares.interchange.onnx_writer import OnnxWriter

Said = Callable[[OnnxWriter, str], str]


def _number(writer: OnnxWriter, value: float) -> str:
    return writer.constant(np.array(value, np.float32))


def _gelu(writer: OnnxWriter, x: str) -> str:
    """x * (1 + erf(x / sqrt 2)) / 2"""
    inner = writer.node("Div", [x, _number(writer, 2.0**0.5)])
    above = writer.node("Add", [writer.node("Erf", [inner]), _number(writer, 1.0)])
    return writer.node("Mul", [writer.node("Mul", [x, above]), _number(writer, 0.5)])


def _gelu_tanh(writer: OnnxWriter, x: str) -> str:
    """x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3))) / 2"""
    cube = writer.node("Mul", [writer.node("Mul", [x, x]), x])
    inner = writer.node("Add", [x, writer.node("Mul", [cube, _number(writer, 0.044715)])])
    scaled = writer.node("Mul", [inner, _number(writer, (2.0 / np.pi) ** 0.5)])
    above = writer.node("Add", [writer.node("Tanh", [scaled]), _number(writer, 1.0)])
    return writer.node("Mul", [writer.node("Mul", [x, above]), _number(writer, 0.5)])


def _by(kind: str, **attributes: float) -> Said:
    made: dict[str, Any] = dict(attributes)
    return lambda writer, x: writer.node(kind, [x], **made)


def say(writer: OnnxWriter, function: str, x: str) -> str:
    """What a function that is found in steps or tables makes of a real value."""
    parameter = re.fullmatch(r"(leaky_relu|elu|celu)\((?:alpha=)?(.+)\)", function)
    if parameter:
        kind = {"leaky_relu": "LeakyRelu", "elu": "Elu", "celu": "Celu"}[parameter[1]]
        return writer.node(kind, [x], alpha=float(parameter[2]))
    return SAID[function](writer, x)


SAID: Mapping[str, Said] = {
    "identity": lambda _writer, x: x,
    "relu": _by("Relu"),
    "silu": lambda writer, x: writer.node("Mul", [x, writer.node("Sigmoid", [x])]),
    "gelu": _gelu,
    "gelu_tanh": _gelu_tanh,
    "sigmoid": _by("Sigmoid"),
    "tanh": _by("Tanh"),
    "hardswish": _by("HardSwish"),
    "hardsigmoid": _by("HardSigmoid", alpha=1.0 / 6.0, beta=0.5),
    "mish": lambda writer, x: writer.node(
        "Mul", [x, writer.node("Tanh", [writer.node("Softplus", [x])])]
    ),
    "selu": _by("Selu"),
    "softsign": _by("Softsign"),
    "log_sigmoid": lambda writer, x: writer.node(
        "Neg", [writer.node("Softplus", [writer.node("Neg", [x])])]
    ),
    "elu": _by("Elu"),
    "leaky_relu": _by("LeakyRelu", alpha=0.01),
    "softplus": _by("Softplus"),
}
