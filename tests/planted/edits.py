"""Changes of records by path, as a wrong extractor, planner or emitter would make them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import is_dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from ares.ir import Graph, Tensor
from ares.numerics import Rescale
from ares.ops import KernelCall, Struct
from ares.plan import Plan, PlannedTensor, Step
from tests.planted.faults import Edit

Record = Graph | Plan


def edited(root: Record, edits: tuple[Edit, ...]) -> Any:
    """The record with all edits; what they look up is of the record as it was."""
    changed: Any = root
    for edit in edits:
        changed = _edited_one(root, changed, edit)
    return changed


def _edited_one(root: Record, record: Any, edit: Edit) -> Any:
    def function(value: Any) -> Any:
        if edit.how == "like":
            return _value(root, *edit.values)
        if edit.how == "times scale":
            over, under = (
                Fraction(_value(root, f"tensor {name}", "scale")) for name in edit.values
            )
            return times(value, over / under)
        if edit.how in LOOKING:
            return LOOKING[edit.how](value, root, edit.at, *edit.values)
        return HOWS[edit.how](value, *edit.values)

    field, index = _place(record, edit.at)
    if field is None:
        return _changed(record, edit.path.split("."), function)
    rows = list(getattr(record, field))
    parts = edit.path.split(".")
    rows[index] = _changed(rows[index], _full(rows[index], parts), function)
    return replace(record, **{field: tuple(rows)})


def _full(row: Any, parts: list[str]) -> list[str]:
    """In a step of a plan, `params...` is its call's."""
    return ["call", *parts] if isinstance(row, Step) and parts[0] == "params" else parts


def _place(record: Record, at: str) -> tuple[str | None, int]:
    """The tuple of the record that holds what an edit names, and where in it."""
    if not at:
        return None, 0
    if at.startswith("tensor "):
        names = [tensor.name for tensor in record.tensors]
        return "tensors", names.index(at.removeprefix("tensor "))
    if isinstance(record, Graph):
        return "operations", [operation.name for operation in record.operations].index(at)
    return "steps", [step.layer for step in record.steps].index(at)


def _value(record: Record, at: str, path: str) -> Any:
    field, index = _place(record, at)
    value = record if field is None else getattr(record, field)[index]
    for part in _full(value, path.split(".")):
        value = _child(value, part)
    return value


def _child(value: Any, part: str) -> Any:
    if isinstance(value, Struct):
        return dict(value.fields)[part]
    if isinstance(value, tuple):
        return value[int(part)]
    if not hasattr(value, part):
        raise LookupError(f"{type(value).__name__} has no {part}")
    return getattr(value, part)


def _changed(record: Any, parts: list[str], function: Callable[[Any], Any]) -> Any:
    head, rest = parts[0], parts[1:]
    old = _child(record, head)
    new = _changed(old, rest, function) if rest else function(old)
    if isinstance(new, np.ndarray):
        new = np.ascontiguousarray(new)
        new.flags.writeable = False
    if isinstance(record, Struct):
        return Struct(record.type, tuple((k, new if k == head else v) for k, v in record.fields))
    if isinstance(record, tuple):
        return (*record[: int(head)], new, *record[int(head) + 1 :])
    assert is_dataclass(record)
    assert isinstance(
        record, (Graph, Tensor, Plan, PlannedTensor, Step, KernelCall, Rescale, object)
    )
    return replace(record, **{head: new})  # type: ignore[type-var]


# --- what is done to a value


def times(rescale: Rescale, factor: Fraction | str) -> Rescale:
    """Codes of so many times the accumulator; the addend stays."""
    ratio = Fraction(factor)
    if rescale.thresholds.size:
        steps = [round(int(t) / ratio) for t in rescale.thresholds.reshape(-1)]
        return replace(
            rescale, thresholds=np.array(steps, np.int32).reshape(rescale.thresholds.shape)
        )
    room = 0
    while max(abs(round(int(m) * ratio / 2**room)) for m in rescale.multiplier) >= 2**31:
        room += 1
    multiplier = [round(int(m) * ratio / 2**room) for m in rescale.multiplier]
    return replace(
        rescale,
        multiplier=np.array(multiplier, np.int32),
        offset=np.array([int(b) >> room for b in rescale.offset], np.int64),
        shift=np.array(rescale.shift - room, np.uint8),
    )


def _exchanged(value: Any, first: int, second: int, axis: int = 0) -> Any:
    if isinstance(value, tuple):
        items = list(value)
        items[first], items[second] = items[second], items[first]
        return tuple(items)
    order = list(range(value.shape[axis]))
    order[first], order[second] = order[second], order[first]
    return np.take(value, order, axis)


def _first(value: Any) -> Any:
    return np.full_like(value, value.reshape(-1)[0])


def _put(value: Any, index: Any, number: Any) -> Any:
    changed = value.copy()
    changed[index] = number
    return changed


def _truncated(value: Any, bits: int) -> Any:
    """Of each number the lowest bits, as signed."""
    mask, half = (1 << bits) - 1, 1 << (bits - 1)
    return np.array([((int(v) & mask) ^ half) - half for v in value.reshape(-1)], value.dtype)


def _decimal(value: Any, digits: int) -> Any:
    return np.array([np.float32(f"{float(v):.{digits}g}") for v in value.reshape(-1)], np.float32)


def _moved(value: tuple[Any, ...], start: int, to: int) -> tuple[Any, ...]:
    items = list(value)
    items.insert(to, items.pop(start))
    return tuple(items)


def _later(steps: tuple[Step, ...], layer: str, by: int) -> tuple[Step, ...]:
    at = [step.layer for step in steps].index(layer)
    return _moved(steps, at, at + by)


def _row_major(panel: Any, rows: int, columns: int) -> Any:
    """Weights [rows][columns] as they were before they were packed in one panel of words of four."""
    return panel.reshape(columns // 4, rows, 4).transpose(1, 0, 2).reshape(-1)


def _memory_order(weight: Any, channels: int, rows: int, columns: int) -> Any:
    """Columns [channels][rows][columns] as the C holds them: channels last."""
    split = weight.reshape(-1, channels, rows, columns)
    return split.transpose(0, 2, 3, 1).reshape(weight.shape)


HOWS: dict[str, Callable[..., Any]] = {
    "set": lambda value, new: new,
    "plus": lambda value, number: value + number,
    "times": times,
    "product": lambda value, number: (
        (value * number).astype(value.dtype) if isinstance(value, np.ndarray) else value * number
    ),
    "exchanged": _exchanged,
    "permuted": lambda value, *order: tuple(value[k] for k in order),
    "transposed": lambda value, *axes: np.transpose(value, axes or None),
    "reversed": lambda value, *axes: np.flip(value, axes or None),
    "rolled": lambda value, by=1, axis=None: np.roll(value, by, axis),
    "zero": lambda value: value * 0,
    "negated": lambda value: -value,
    "first": _first,
    "first of": lambda value, axis: np.repeat(np.take(value, [0], axis), value.shape[axis], axis),
    "put": _put,
    "at": lambda value, index, by: _put(value, index, value[index] + by),
    "byte order": lambda value: value.byteswap(),
    "cut": _truncated,
    "decimal": _decimal,
    "none": lambda value: value[:0],
    "moved": _moved,
    "later": _later,
    "short": lambda value, bits: (value >> bits << bits).astype(value.dtype),
    "plus one": lambda value: np.minimum(value + 1, value.max()).astype(value.dtype),
    "squared": lambda value: ((value >> 31) * (value >> 31)).astype(value.dtype),
    "put item": lambda value, index, new: (*value[:index], new, *value[index + 1 :]),
    "decimal scalar": lambda value, digits: np.float32(f"{float(value):.{digits}g}"),
    "end zero": lambda value, count: np.concatenate([value[:-count], value[-count:] * 0]),
    "words reversed": lambda value: value.reshape(-1, 4)[:, ::-1].reshape(-1),
    "row major": _row_major,
    "memory order": _memory_order,
    "sorted": lambda value: np.sort(value)[::-1],
}


# --- what needs more than the value


def _without_half(offset: Any, root: Record, at: str, shifts: str) -> Any:
    shift = np.broadcast_to(_value(root, at, shifts), offset.shape)
    return np.array([int(b) - (1 << (int(s) - 1)) for b, s in zip(offset, shift, strict=True)])


def _without_zero_point(offset: Any, root: Record, at: str, zero_point: int, shifts: str) -> Any:
    shift = np.broadcast_to(_value(root, at, shifts), offset.shape)
    pairs = zip(offset, shift, strict=True)
    return np.array([int(b) - (zero_point << int(s)) for b, s in pairs], np.int64)


def _table(root: Record, at: str, function: Callable[[Any], Any]) -> Any:
    """The table of a function by the bytes of its input's codes."""
    assert isinstance(root, Graph)
    operation = next(op for op in root.operations if op.name == at)
    (source,), (target,) = root.tensors_of(operation.inputs), root.tensors_of(operation.outputs)
    codes = np.arange(256, dtype=np.uint8).view(source.dtype.numpy).astype(np.float64)
    reals = function((codes - source.zero_point) * float(source.scale or 0))
    return np.clip(reals / float(target.scale or 0) + target.zero_point, target.lo, target.hi)


def _floored(value: Any, root: Record, at: str) -> Any:
    wanted = np.floor(_table(root, at, lambda x: x / (1 + np.exp(-x)))).astype(np.int64)
    return (wanted & 0xFF).astype(value.dtype)


def _relu(value: Any, root: Record, at: str) -> Any:
    wanted = np.rint(_table(root, at, lambda x: np.maximum(x, 0))).astype(np.int64)
    return (wanted & 0xFF).astype(value.dtype)


def _base_2(value: Any, root: Record, at: str) -> Any:
    """Mantissas or exponents of 2^x, where those of e^x are (N13)."""
    mantissas, exponents = (_value(root, at, name) for name in ("mantissas", "exponents"))
    real = mantissas.astype(np.float64) / 2.0 ** (31 + exponents.astype(np.float64))
    powers = np.where(mantissas > 0, real, 2.0**-64) ** np.log(2.0)
    places = np.ceil(-np.log2(powers) - 1e-9)
    mantissas = np.clip(np.rint(powers * 2.0 ** (31 + places)), 2**31, 2**32 - 1)
    return (places if value.dtype == np.uint8 else mantissas).astype(value.dtype)


LOOKING: dict[str, Callable[..., Any]] = {
    "without half": _without_half,
    "without zero point": _without_zero_point,
    "floored": _floored,
    "relu": _relu,
    "base 2": _base_2,
}
