"""What a call gives must be what the model gave: numbers of the same kind, in the same shape.

Token ids are integers that mean themselves. They are no codes: on their way to a table they only move.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch

from ares.capture import Output
from ares.extract._builder import Builder
from ares.extract._captured_model import type_name
from ares.extract._findings import reject
from ares.extract._values import Codes, Unknown, Value
from ares.ir import DType

IDS = (torch.int64, torch.int32)


def is_ids(builder: Builder, value: Value) -> bool:
    """Whether a value is token ids."""
    return isinstance(value, Codes) and builder.tensors[value.tensor].dtype is DType.S32


def refuse_other(
    builder: Builder, output: Output, value: Value, arguments: Iterable[Value]
) -> None:
    """Refuse `value` of these arguments where it is not the `output` of the model, whatever the detector made of it."""
    if isinstance(value, Unknown):
        return
    meant = IDS if is_ids(builder, value) else (torch.float64,)
    found = type_name(output.dtype)
    if output.dtype not in meant and any(is_ids(builder, argument) for argument in arguments):
        reject(
            f"it makes {found} of token ids",
            "move ids only (slices, reshape, flip, cat, .long()): compute with them outside of the network",
        )
    if output.dtype not in meant:
        reject(
            f"it turns its values into {found}",
            "remove the conversion: the model is run in float64 here, and its codes are real numbers",
        )
    if isinstance(value, Codes):
        shape = builder.tensors[value.tensor].shape
        if shape != output.shape:
            reject(
                f"it gives shape {list(output.shape)}, the Graph would give {list(shape)}",
                "write it in another way, and report this as a fault of ARES",
            )
