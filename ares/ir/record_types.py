"""Whether the fields of a record hold what its class says: a file may put anything there."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np


def require_fields(record: type, fields: Mapping[str, Any]) -> None:
    """Raise TypeError for the first field whose value is not of its annotated type; others are left to the class."""
    for name, hint in _hints(record).items():
        if name in fields and not _is_a(fields[name], hint):
            raise TypeError(
                f"{record.__name__}.{name} is a {type(fields[name]).__name__}, expected {_word(hint)}"
            )


@cache
def _hints(record: type) -> Mapping[str, Any]:
    names = getattr(record, "__dataclass_fields__", {})
    return {name: hint for name, hint in typing.get_type_hints(record).items() if name in names}


def _is_a(value: Any, hint: Any) -> bool:
    origin = typing.get_origin(hint)
    arguments = typing.get_args(hint)
    if hint is Any:
        return True
    if origin in (typing.Union, types.UnionType):
        return any(_is_a(value, argument) for argument in arguments)
    if origin is tuple:
        if not isinstance(value, tuple):
            return False
        if arguments[-1:] == (Ellipsis,):
            return all(_is_a(item, arguments[0]) for item in value)
        return len(value) == len(arguments) and all(map(_is_a, value, arguments))
    if origin is np.ndarray:
        return isinstance(value, np.ndarray) and _holds(value, arguments[-1])
    if hint is float:
        # JSON may write 2 for 2.0.
        return type(value) in (int, float)
    if hint in (int, bool, str):
        return type(value) is hint
    return isinstance(value, hint if isinstance(hint, type) else type(None))


def _holds(array: np.ndarray[Any, Any], dtype: Any) -> bool:
    """Whether the elements are what `numpy.dtype[X]` says, X a type, several, or anything."""
    (element,) = typing.get_args(dtype) or (Any,)
    choices = typing.get_args(element) or (element,)
    return any(
        choice is Any or (isinstance(choice, type) and issubclass(array.dtype.type, choice))
        for choice in choices
    )


def _word(hint: Any) -> str:
    return hint.__name__ if isinstance(hint, type) and not typing.get_args(hint) else str(hint)
