"""What a function that PyTorch dispatched is called, and what it does besides computing a value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import torch

_SPELLINGS: Mapping[str, str] = {
    "abs": "__abs__ absolute",
    "add": "__add__ __iadd__ __radd__",
    "bitwise_and": "__and__ __iand__ __rand__",
    "bitwise_left_shift": "__lshift__ __ilshift__",
    "bitwise_not": "__invert__",
    "bitwise_or": "__or__ __ior__ __ror__",
    "bitwise_right_shift": "__rshift__ __irshift__",
    "bitwise_xor": "__xor__ __ixor__ __rxor__",
    "cat": "concat concatenate",
    "clamp": "clip",
    "div": "__truediv__ __itruediv__ __div__ __idiv__ divide true_divide",
    "eq": "__eq__",
    "floor_divide": "__floordiv__ __ifloordiv__",
    "ge": "__ge__ greater_equal",
    "gt": "__gt__ greater",
    "le": "__le__ less_equal",
    "lt": "__lt__ less",
    "matmul": "__matmul__ __imatmul__",
    "movedim": "moveaxis",
    "mul": "__mul__ __imul__ __rmul__ multiply",
    "ne": "__ne__ not_equal",
    "neg": "__neg__ negative",
    "pow": "__pow__ __ipow__",
    "rdiv": "__rdiv__ __rtruediv__",
    "remainder": "__mod__ __imod__",
    "rfloor_divide": "__rfloordiv__",
    "rmatmul": "__rmatmul__",
    "rpow": "__rpow__",
    "rremainder": "__rmod__",
    "rsub": "__rsub__",
    "sub": "__sub__ __isub__ subtract",
    "transpose": "swapaxes swapdims",
}

NAMES: Mapping[str, str] = MappingProxyType(
    {spelling: name for name, spellings in _SPELLINGS.items() for spelling in spellings.split()}
)
"""Other spellings of one function -> its name. `rsub`, `rdiv`, `rpow`... keep the order of the call:
`rsub(x, 1)` is 1 - x. A trailing `_` is dropped before; getters are called like their attribute."""

SET_DATA = "set_data"
"""`x.data = y`, which arrives as the setter of `data`."""

CHANGES_FIRST_ARGUMENT = frozenset({"__setitem__", SET_DATA})
"""In-place functions that return None: their output is their first argument."""

_ABOUT_THE_TENSOR = [
    "__format__",
    "__hash__",
    "__len__",
    "__repr__",
    "__str__",
    "_assert",
    "_backward_hooks",
    "_version",
    "data_ptr",
    "device",
    "dim",
    "dtype",
    "element_size",
    "get_device",
    "grad",
    "grad_fn",
    "has_names",
    "itemsize",
    "layout",
    "names",
    "nbytes",
    "ndim",
    "ndimension",
    "nelement",
    "numel",
    "requires_grad",
    "requires_grad_",
    "shape",
    "size",
    "storage_offset",
    "stride",
]

_SHAPE_FROM_VALUES = [
    "argwhere",
    "bincount",
    "masked_select",
    "nonzero",
    "nonzero_static",
    "unique",
    "unique_consecutive",
]

_FIXED = (str, torch.Size, torch.dtype, torch.device, torch.layout, type(None))


def function_name(function: Callable[..., Any]) -> str:
    """The normalised name: 'add' for `x + y`, `x.add_(y)`, `torch.add(x, y)`; 'T' for `x.T`."""
    name: str = getattr(function, "__name__", type(function).__name__)
    if name in ("__get__", "__set__"):
        attribute: str = getattr(getattr(function, "__self__", None), "__name__", name)
        return SET_DATA if (name, attribute) == ("__set__", "data") else attribute
    name = name.split(".")[0]  # aten operators carry an overload: add.Tensor
    if name.endswith("_") and not name.endswith("__") and name not in _ABOUT_THE_TENSOR:
        name = name[:-1]
    return NAMES.get(name, name)


def is_about_the_tensor(name: str) -> bool:
    """Whether the function looks at shape, type or place of a tensor, never at its values."""
    return name in _ABOUT_THE_TENSOR or (name.startswith("is_") and name != "is_nonzero")


def reveals_values(result: object) -> bool:
    """Whether a result without tensors can have been computed from values: not a string or shape."""
    return not isinstance(result, _FIXED)


def has_shape_from_values(name: str, args: tuple[Any, ...]) -> bool:
    """Whether the shape of the result depends on values: `nonzero`, `x[mask]`, `x[:tensor]`."""
    if name != "__getitem__" or len(args) < 2:
        return name in _SHAPE_FROM_VALUES
    index = args[1] if isinstance(args[1], tuple) else (args[1],)
    return any(
        isinstance(bound, torch.Tensor)
        for item in index
        if isinstance(item, slice)
        for bound in (item.start, item.stop, item.step)
    ) or any(
        isinstance(item, torch.Tensor) and item.dtype in (torch.bool, torch.uint8) for item in index
    )
