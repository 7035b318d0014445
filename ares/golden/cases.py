"""The inputs on which a network is judged: realistic, random over the whole range, and edge values.

Random bits are counter-based (Philox keyed by network, case and input), so a case is the same on every machine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ares.ir import DType, Graph, Tensor
from ares.zoo.philox import bits

Array = npt.NDArray[Any]

REALISTIC, RANDOM, EDGE = "realistic", "random", "edge"

# An input that no operation takes may be anything.
_UNUSED = Tensor("", (), DType.S8, scale=2.0**-7, lo=-128, hi=127)


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """Inputs by position. `saturation_limit`: share of saturated codes above which a layer shows nothing.

    None: not audited, as edge cases saturate on purpose.
    """

    name: str
    inputs: tuple[Array, ...]
    saturation_limit: float | None


def make_cases(graph: Graph, realistic: Sequence[Array]) -> tuple[Case, ...]:
    """The three cases of a network; `realistic` are its example inputs (float32, or any integers for token ids)."""
    grids = _input_grids(graph)
    return (
        Case(REALISTIC, tuple(map(_realistic, graph.tensors_of(graph.inputs), realistic)), 0.2),
        # White noise is not what the network was calibrated on: more clips, but half must not.
        Case(RANDOM, tuple(_random(graph, name, grids[name]) for name in graph.inputs), 0.5),
        Case(EDGE, tuple(_edge(graph, name, grids[name]) for name in graph.inputs), None),
    )


def _realistic(tensor: Tensor, array: Array) -> Array:
    """An example in the type of its input. Raises ValueError where that changes a value."""
    if not tensor.dtype.is_integer:
        return np.ascontiguousarray(array)
    converted = np.ascontiguousarray(array.astype(tensor.dtype.numpy))
    if not np.array_equal(converted, array):
        raise ValueError(f"input {tensor.name!r}: example values do not fit {tensor.dtype.value}")
    return converted


def _input_grids(graph: Graph) -> Mapping[str, Tensor]:
    """Input -> the tensor of codes that it is quantised to first."""
    grids: dict[str, Tensor] = {}
    for operation in graph.operations:
        for name in operation.inputs:
            if name in graph.inputs:
                grids.setdefault(name, graph.tensor(operation.outputs[0]))
    return {name: grids.get(name, _UNUSED) for name in graph.inputs}


def _random(graph: Graph, name: str, grid: Tensor) -> Array:
    """Over the quantiser's range and a little beyond, in steps of 2**-12 codes.

    Runs of 16 elements have amplitudes 1, 1/4, 1/16 or 1/64: white noise of full power saturates every layer of a
    calibrated network, which would show nothing.
    """
    tensor = graph.tensor(name)
    words = bits(f"{graph.name}/{RANDOM}/{name}", tensor.size)
    if tensor.dtype is not DType.F32:
        span = np.uint64(tensor.hi - tensor.lo + 1)
        return (
            ((words % span).astype(np.int64) + tensor.lo)
            .astype(tensor.dtype.numpy)
            .reshape(tensor.shape)
        )
    assert grid.scale is not None
    steps = np.uint64((grid.hi - grid.lo + 8) * 4096)
    codes = (words % steps).astype(np.float64) / 4096.0 + (grid.lo - 4)
    fading = np.ldexp(1.0, -2 * (words >> np.uint64(62)).astype(np.int64))[
        np.arange(tensor.size) // 16
    ]
    real = (codes - grid.zero_point) * fading * grid.scale
    return real.astype(np.float32).reshape(tensor.shape)


def _edge(graph: Graph, name: str, grid: Tensor) -> Array:
    """Ties and their neighbours, zeros of both signs, subnormals, the ends of the range and far beyond.

    The first half repeats single values in runs of 64, so that sums saturate; the second half mixes them.
    """
    tensor = graph.tensor(name)
    if tensor.dtype is not DType.F32:
        codes = np.array([tensor.lo, tensor.hi, tensor.zero_point], np.int64)
        return codes[np.arange(tensor.size) % 3].astype(tensor.dtype.numpy).reshape(tensor.shape)
    assert grid.scale is not None
    scale = np.float32(grid.scale)
    halves = np.arange(grid.lo, grid.hi, dtype=np.float32) + np.float32(0.5 - grid.zero_point)
    ties = halves * scale
    special = np.array([0.0, -0.0, 1e-45, -1e-45, 1e-38, 1e30, -1e30], np.float32)
    ends = np.array([grid.lo - grid.zero_point, grid.hi - grid.zero_point], np.float32) * scale
    values = np.concatenate(
        [
            ends,
            ties,
            np.nextafter(ties, np.float32(-np.inf)),
            np.nextafter(ties, np.float32(np.inf)),
            special,
        ]
    )
    words = bits(f"{graph.name}/{EDGE}/{name}", tensor.size)
    position = np.arange(tensor.size)
    runs = np.where(position // 64 % 2 == 0, 0, 1)
    mixed = (words % np.uint64(values.size)).astype(np.int64)
    chosen = np.where(position < tensor.size // 2, runs, mixed)
    return values[chosen].astype(np.float32).reshape(tensor.shape)
