"""The network's binary32 input, which waits for the first quantiser."""

from __future__ import annotations

from ares.extract._builder import Builder
from ares.extract._findings import reject
from ares.extract._quantizers import Quantizer
from ares.extract._values import Real
from ares.numerics import IDENTITY, RELU
from ares.ops.quantize import Quantize


def input_value(builder: Builder, name: str) -> Real:
    """The value of input `name`: codes as soon as a quantiser receives it."""

    def finish(quantizer: Quantizer) -> str:
        if quantizer.function not in (IDENTITY, RELU):
            reject(
                f"{quantizer.function.name} is applied to the network's float input",
                "insert a QuantIdentity before it",
            )
        layer = quantizer.origin.removeprefix("quantizer:").rpartition("#")[0]
        return builder.add(Quantize, layer.removesuffix(".act_quant"), (name,), quantizer)

    return Real(f"the network's input {name!r}", finish)
