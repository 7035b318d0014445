"""The inputs on which a drawn graph is judged, aimed at edges of its first quantisers.

"ties": half-way between two codes and one unit in the last place beside it. "beyond": far outside. "equal": one value
everywhere. "one hot": zeros but one element. "extremes": both ends in turns, so that sums reach their bounds. "random":
over the whole range and a little beyond.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ares.fuzzer.recipe import CASES as CASES
from ares.golden import Case
from ares.ir import Graph, Tensor
from ares.zoo.philox import bits

Array = npt.NDArray[Any]


def cases_of(graph: Graph, seed: int, names: Sequence[str]) -> tuple[Case, ...]:
    """The inputs of these names for a Graph; the same on every machine."""
    grids = _grids(graph)
    return tuple(
        Case(
            name,
            tuple(
                _input(graph.tensor(i), grids.get(i), f"{seed}/{name}/{i}", name)
                for i in graph.inputs
            ),
            None,
        )
        for name in names
    )


def _grids(graph: Graph) -> Mapping[str, Tensor]:
    """Input -> the tensor of codes that it is quantised to first."""
    grids: dict[str, Tensor] = {}
    for operation in graph.operations:
        for name in operation.inputs:
            found = graph.tensor(operation.outputs[0])
            if name in graph.inputs and found.scale is not None:
                grids.setdefault(name, found)
    return grids


def _input(tensor: Tensor, grid: Tensor | None, key: str, case: str) -> Array:
    words = bits(f"ares fuzz/case/{key}", tensor.size)
    if tensor.dtype.is_integer:
        return _ids(tensor, words, case)
    scale = 1.0 if grid is None or grid.scale is None else grid.scale
    lo, hi, zero = (-128, 127, 0) if grid is None else (grid.lo, grid.hi, grid.zero_point)
    values = _REALS[case](words, (lo - zero, hi - zero), np.float32(scale))
    return values.astype(np.float32).reshape(tensor.shape)


def _ids(tensor: Tensor, words: npt.NDArray[np.uint64], case: str) -> Array:
    position = np.arange(tensor.size)
    span = np.uint64(tensor.hi - tensor.lo + 1)
    drawn = (words % span).astype(np.int64) + tensor.lo
    ends = np.array([tensor.lo, tensor.hi])
    found = {
        "extremes": ends[position % 2],
        "beyond": ends[(words % np.uint64(2)).astype(np.int64)],
        "equal": np.full(tensor.size, drawn[0]),
        "one hot": np.where(position == tensor.size // 2, tensor.hi, tensor.lo),
    }.get(case, drawn)
    return np.ascontiguousarray(found.astype(tensor.dtype.numpy).reshape(tensor.shape))


_Ends = tuple[int, int]
_Words = npt.NDArray[np.uint64]


def _random(words: _Words, ends: _Ends, scale: np.float32) -> Array:
    steps = np.uint64((ends[1] - ends[0] + 4) * 4096)
    return ((words % steps).astype(np.float64) / 4096.0 + (ends[0] - 2)) * float(scale)


def _ties(words: _Words, ends: _Ends, scale: np.float32) -> Array:
    """A third each: at the tie, one below, one above."""
    span = np.uint64(ends[1] - ends[0] + 2)
    halves = ((words % span).astype(np.float64) + (ends[0] - 1) + 0.5).astype(np.float32)
    ties = halves * scale
    side = (words >> np.uint64(40)) % np.uint64(3)
    below, above = (np.nextafter(ties, np.float32(end)) for end in (-np.inf, np.inf))
    return np.select([side == 1, side == 2], [below, above], ties)


def _beyond(words: _Words, ends: _Ends, scale: np.float32) -> Array:
    lo, hi = (np.float32(end) * scale for end in ends)
    beyond = np.array(
        [
            lo,
            hi,
            lo - scale,
            hi + scale,
            lo * 3 - scale,
            hi * 3 + scale,
            -1e30,
            1e30,
            0.0,
            -0.0,
            1e-45,
            -1e-42,
        ],
        np.float32,
    )
    return beyond[(words % np.uint64(len(beyond))).astype(np.int64)]


def _extremes(words: _Words, ends: _Ends, scale: np.float32) -> Array:
    """Both ends in turns, the turns of a length of the case's own; every fourth case the lower or upper end alone."""
    lo, hi = (np.float32(end) * scale for end in ends)
    run = int(words[0] % np.uint64(7)) + 1
    kind = int(words[-1] >> np.uint64(8)) % 4
    position = np.arange(len(words))
    if kind == 0:
        return np.full(len(words), hi if words[0] & np.uint64(1) else lo)
    if kind == 1:
        return np.where((words >> np.uint64(20)) & np.uint64(1) == 1, lo, hi)
    return np.where(position // run % 2 == 0, lo, hi)


def _one_hot(words: _Words, ends: _Ends, scale: np.float32) -> Array:
    values = np.zeros(len(words), np.float32)
    place = int(words[0] % np.uint64(len(words)))
    values[place] = np.float32(ends[int(words[-1] % np.uint64(2))]) * scale
    return values


def _equal(words: _Words, ends: _Ends, scale: np.float32) -> Array:
    code = int(words[0] % np.uint64(ends[1] - ends[0] + 1)) + ends[0]
    return np.full(len(words), np.float32(code) * scale)


_REALS: Mapping[str, Callable[[_Words, _Ends, np.float32], Array]] = {
    "random": _random,
    "ties": _ties,
    "beyond": _beyond,
    "extremes": _extremes,
    "one hot": _one_hot,
    "equal": _equal,
}
