"""What accepted graphs were made of: counts by operation and class of parameter, pairs of neighbours, kernels.

A *cell* is `operation/dimension/class`: `conv2d/stride/2`, `conv2d/behind/add` (it reads a sum), `conv2d/kernel
function/ares_conv2d`. `cells_of` names the cells of one Graph; `possible` all that the operations allow by their own
parameters, so that what was never drawn is a hole with a name. A class that a dimension knows and an operation's rule
forbids is left out of `possible` in the tables below, one line each.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any

from ares.ir import Graph, Operation, Project, Tensor
from ares.ops import operations
from ares.resources import runtime_dir

Cells = frozenset[str]

DIMENSIONS: Mapping[str, tuple[str, ...]] = {
    "types": ("s8>s8", "s8>u8", "u8>s8", "u8>u8", "f32>s8", "f32>u8", "s8>f32", "u8>f32"),
    "bits": tuple(map(str, range(1, 9))),
    "scale": ("2^-20..", "2^-15..", "2^-10..", "2^-5..", "2^0..", "2^4.."),
    "zero point": ("none", "other"),
    "rank": ("2", "3", "4", "5+"),
    "size": ("1", "2..15", "16..255", "256.."),
    "kernel": tuple(map(str, range(1, 8))),
    "stride": ("1", "2", "3"),
    "dilation": ("1", "2", "3"),
    "padding": ("none", "even", "one-sided", "uneven"),
    "groups": ("one", "some", "depthwise"),
    "channels": ("per tensor", "per channel"),
    "weight bits": tuple(map(str, range(1, 9))),
    "function": ("none", "steps"),
}
"""Every dimension with its classes, in the order of the table."""

# They hand on codes as they are: type, scale and bits of what comes are those of what goes.
MOVES = frozenset(
    (
        *("flatten", "reshape", "squeeze", "permute"),
        *("slice", "flip", "zero_pad2d", "pad2d"),
        *("max_pool1d", "max_pool2d", "adaptive_max_pool1d", "adaptive_max_pool2d"),
        *("upsample_nearest2d",),
    )
)
# Stages of composites: their neighbours are the composite's, their parameters follow from it.
INSIDE = frozenset(
    (
        *("attention_scores", "attention_context", "matmul_softmax", "rotary"),
        *("selective_scan", "conv1d_depthwise", "rfft", "constant"),
    )
)
_UNSIGNED_ONLY = frozenset(("softmax",))
_KERNEL = re.compile(rb"\", (ares_\w+), &")
_DECLARED = re.compile(r"^ares_status (ares_\w+)\(const void \*params", re.MULTILINE)
_FIXED_RANK = re.compile(r"[12]d$|^conv|^upsample|^global")
_REAL = "_fp32"


def cells_of(graph: Graph, project: Project | None = None) -> Cells:
    """The cells of a Graph; with its project also the kernels that its C names."""
    makers = {name: stem_of(op) for op in graph.operations for name in op.outputs}
    cells: set[str] = set()
    for operation in graph.operations:
        stem = stem_of(operation)
        inputs, output = graph.tensors_of(operation.inputs), graph.tensor(operation.outputs[0])
        cells |= {f"{stem}/{d}/{c}" for d, c in _classes(operation, inputs, output)}
        cells |= {f"{stem}/behind/{makers.get(name, 'input')}" for name in operation.inputs}
    if project is not None:
        for path in project.sources:
            for kernel in _KERNEL.findall(project.files[path]):
                cells.add(f"runtime/kernel function/{kernel.decode()}")
    return frozenset(cells)


def stem_of(operation: Operation) -> str:
    """What an operation's file is called."""
    return type(operation).__module__.rpartition(".")[2]


def _classes(
    operation: Operation, inputs: tuple[Tensor, ...], output: Tensor
) -> Iterator[tuple[str, str]]:
    """Dimension and class, one at least for each dimension that the operation has."""
    for source in inputs[:1]:
        yield "types", f"{source.dtype.value}>{output.dtype.value}"
    stem = stem_of(operation)
    if not _FIXED_RANK.search(stem):
        yield "rank", str(len(output.shape)) if len(output.shape) < 5 else "5+"
    yield "size", _size(output.size)
    if output.scale is not None and output.dtype.is_integer:
        yield "bits", str((output.hi - output.lo).bit_length())
        yield "scale", _scale(output.scale)
        yield "zero point", "other" if output.zero_point else "none"
    facts = {f.name: getattr(operation, f.name) for f in dataclasses.fields(operation)}
    yield from _geometry(facts, inputs)
    rescale = facts.get("rescale")
    if rescale is not None and "weight" in facts:
        yield "function", "steps" if rescale.thresholds.size else "none"
        if stem not in INSIDE:
            yield "channels", "per channel" if rescale.multiplier.size > 1 else "per tensor"


def _geometry(facts: Mapping[str, Any], inputs: tuple[Tensor, ...]) -> Iterator[tuple[str, str]]:
    weight = facts.get("weight")
    window = facts.get("kernel", facts.get("window", () if weight is None else weight.shape[2:]))
    for size in _ints(window):
        if size <= 7:
            yield "kernel", str(size)
    for word in ("stride", "dilation"):
        for size in _ints(facts.get(word, ())):
            if size <= 3:
                yield word, str(size)
    if "padding" in facts:
        yield "padding", _padding(_ints(facts["padding"]))
    if "groups" in facts and weight is not None:
        channels = inputs[0].shape[1]
        groups = facts["groups"]
        yield "groups", "one" if groups == 1 else "depthwise" if groups == channels else "some"
    if weight is not None and weight.size:
        largest = max(int(weight.max()), -int(weight.min()) - 1, 0)
        yield "weight bits", str(largest.bit_length() + 1)


def _ints(value: Any) -> tuple[int, ...]:
    return (int(value),) if isinstance(value, int) else tuple(map(int, value))


def _padding(amounts: tuple[int, ...]) -> str:
    """By its sides: (left, right) or (top, left, bottom, right)."""
    if not any(amounts):
        return "none"
    half = len(amounts) // 2
    pairs = list(zip(amounts[:half], amounts[half:], strict=False))
    if all(a == b for a, b in pairs):
        return "even"
    return "one-sided" if any(a != b and 0 in (a, b) for a, b in pairs) else "uneven"


def _scale(scale: float) -> str:
    power = math.frexp(scale)[1] - 1
    for name, least in (("2^4..", 4), ("2^0..", 0), ("2^-5..", -5), ("2^-10..", -10)):
        if power >= least:
            return name
    return "2^-15.." if power >= -15 else "2^-20.."


def _size(elements: int) -> str:
    return (
        "1"
        if elements == 1
        else "2..15"
        if elements < 16
        else "16..255"
        if elements < 256
        else "256.."
    )


@cache
def possible() -> Cells:
    """Every cell that the operations allow by their own parameters."""
    table = operations()
    cells: set[str] = set()
    for stem, cls in table.items():
        fields = {field.name for field in dataclasses.fields(cls)}
        for dimension in _dimensions(stem, fields):
            for name in _allowed(stem, dimension):
                cells.add(f"{stem}/{dimension}/{name}")
        if stem not in INSIDE:
            cells |= {f"{stem}/behind/{maker}" for maker in _makers(stem, table)}
    for path in (runtime_dir() / "inc").glob("*.h"):
        for kernel in _DECLARED.findall(path.read_text(encoding="utf-8")):
            cells.add(f"runtime/kernel function/{kernel}")
    return frozenset(cells)


def _dimensions(stem: str, fields: set[str]) -> Iterator[str]:
    yield "types"
    yield "size"
    if not _FIXED_RANK.search(stem):
        yield "rank"
    if stem in INSIDE:
        return
    if not stem.endswith(_REAL):
        yield from ("bits", "scale", "zero point")
    if fields & {"kernel", "window"} or ("weight" in fields and stem.startswith("conv")):
        yield "kernel"
    yield from (word for word in ("stride", "dilation", "padding") if word in fields)
    if "weight" in fields:
        yield "weight bits"
        if "rescale" in fields:
            yield "channels"
        if "groups" in fields:
            yield "groups"
    if "rescale" in fields and "weight" in fields:
        yield "function"


def _allowed(stem: str, dimension: str) -> Iterator[str]:
    """The classes of a dimension, without those that an operation's rule forbids."""
    for name in DIMENSIONS[dimension]:
        if dimension == "types":
            source, _, result = name.partition(">")
            if (source == "f32") != (stem == "quantize") or (result == "f32") != stem.endswith(
                _REAL
            ):
                continue
            if stem in MOVES and source != result:
                continue
            if stem in _UNSIGNED_ONLY and result == "s8":
                continue
        if stem == "embedding" and dimension in ("types", "rank"):
            continue  # it reads ids of any type
        if stem in ("flatten", "squeeze") and (dimension, name) == ("rank", "5+"):
            continue
        if stem == "zero_pad2d" and (dimension, name) == ("padding", "none"):
            continue
        yield name


def _makers(stem: str, table: Iterable[str]) -> Iterator[str]:
    """What an operation can read the result of."""
    if stem in ("quantize", "embedding"):
        yield "input"
        return
    for maker in table:
        inside = maker in INSIDE or maker.endswith(_REAL)
        if not inside and _ranks(stem) & _ranks(maker):
            yield maker


def _ranks(stem: str) -> frozenset[int]:
    """The ranks that an operation has by its name."""
    if stem.endswith("1d"):
        return frozenset((3,))
    if stem.endswith("2d") or stem in ("global_avg_pool", "trunc_avg_pool2d"):
        return frozenset((4,))
    return frozenset((2, 3, 4, 5))


# What comes of counts.


def holes(counts: Mapping[str, int]) -> tuple[str, ...]:
    """Cells that are possible and were never drawn, in the order of their names."""
    return tuple(sorted(cell for cell in possible() if not counts.get(cell)))


def by_dimension(counts: Mapping[str, int]) -> list[tuple[str, int, int, tuple[str, ...]]]:
    """The table in short, a row for each dimension: its name, cells drawn, cells possible, holes as `conv2d 7`."""
    cells: dict[str, list[str]] = {name: [] for name in DIMENSIONS}
    for cell in sorted(possible()):
        cells.setdefault(cell.split("/")[1], []).append(cell)
    rows = []
    for dimension, known in cells.items():
        missing = [cell.split("/", 2) for cell in known if not counts.get(cell)]
        holes_of = tuple(f"{stem} {name}" for stem, _, name in missing)
        rows.append((dimension, len(known) - len(missing), len(known), holes_of))
    return rows


def table(counts: Mapping[str, int]) -> list[tuple[str, str, str]]:
    """A row for each operation and dimension: both, then the classes with their counts; 0 marks a hole."""
    named: dict[tuple[str, str], dict[str, int]] = {}
    for cell in sorted(possible() | counts.keys()):
        stem, dimension, name = cell.split("/", 2)
        named.setdefault((stem, dimension), {})[name] = counts.get(cell, 0)
    rows = []
    for (stem, dimension), classes in named.items():
        order = {name: place for place, name in enumerate(DIMENSIONS.get(dimension, ()))}
        ordered = sorted(classes.items(), key=lambda item: (order.get(item[0], 99), item[0]))
        rows.append((stem, dimension, ", ".join(f"{name} {count}" for name, count in ordered)))
    return rows


def as_json(counts: Mapping[str, int]) -> dict[str, Any]:
    """For a record: how much of what is possible was drawn, all counts, the holes by name."""
    missing = holes(counts)
    return {
        "possible": len(possible()),
        "drawn": len(possible()) - len(missing),
        "counts": dict(sorted(counts.items())),
        "holes": list(missing),
    }
