"""What ConvTranspose1d and ConvTranspose2d are tried on, and their oracle: loops over Python integers.

The oracle is the definition: every input adds its products to the outputs that it reaches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from ares.ir import Tensor, frozen_array
from ares.ops import Site
from ares.ops._transposed import QuantizedTransposedConvolution
from tests.ops.finishing import finish_for
from tests.ops.harness import check_operation, codes
from tests.ops.reaching import assert_reaches

Array = npt.NDArray[Any]
Sums = dict[tuple[int, ...], int]


@dataclass(frozen=True)
class Case:
    """Input [channels, sizes...], output channels; what must be reached."""

    name: str
    shape: tuple[int, ...]
    out: int
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    reaches: tuple[str, ...]
    padding: tuple[int, ...] = ()
    output_padding: tuple[int, ...] = ()
    dilation: tuple[int, ...] = ()
    groups: int = 1
    source: tuple[Any, ...] = (
        "s8",
        0,
    )  # dtype, zero point, and lo, hi where they are not the type's
    target: tuple[Any, ...] = ("s8", 0)
    weight: tuple[int, int] = (-127, 127)
    units: str = "dyadic"
    bias: str = "none"
    function: str = "identity"

    def setting(self, name: str, usual: int = 0) -> tuple[int, ...]:
        return getattr(self, name) or (usual,) * len(self.kernel)

    def fields(self, weight: Array) -> dict[str, Any]:
        """Those of the operation but for its constants."""
        return {
            "weight": frozen_array(weight, np.int8),
            "stride": self.stride,
            "padding": self.setting("padding"),
            "output_padding": self.setting("output_padding"),
            "dilation": self.setting("dilation", 1),
            "groups": self.groups,
        }

    def operation(
        self, kind: type[QuantizedTransposedConvolution], weight: Array, rescale: Any
    ) -> QuantizedTransposedConvolution:
        return kind("up", ("x",), ("y",), **self.fields(weight), rescale=rescale)

    def drawn(self, seed: int) -> tuple[Tensor, Array, Array]:
        """(input, its codes, weights)"""
        dtype, zero_point, *bounds = self.source
        source = codes("x", (1, *self.shape), dtype, 0.5, zero_point, *bounds)
        x = draw(seed, source.shape, source.lo, source.hi)
        shape = (self.shape[0], self.out // self.groups, *self.kernel)
        return source, x, draw(seed + 1000, shape, *self.weight)


def draw(seed: int, shape: Sequence[int], lo: int, hi: int) -> Array:
    raw = np.random.Philox(key=seed).random_raw(prod(shape)).reshape(shape)
    return (raw % np.uint64(hi - lo + 1)).astype(np.int64) + lo


def out_sizes(case: Case) -> tuple[int, ...]:
    """By PyTorch's documentation."""
    settings = zip(
        *(case.shape[1:], case.stride, case.setting("padding"), case.setting("dilation", 1)),
        *(case.kernel, case.setting("output_padding")),
        strict=True,
    )
    return tuple(
        (size - 1) * step - 2 * pad + spread * (kernel - 1) + more + 1
        for size, step, pad, spread, kernel, more in settings
    )


def sums(case: Case, x: Array, weight: Array, zero_point: int) -> tuple[Sums, dict[Any, int]]:
    """The accumulator of every output (channel, position...), and by how many products of a channel it is reached."""
    sizes = out_sizes(case)
    positions = list(product(*map(range, sizes)))
    found: Sums = {(o, *place): 0 for o in range(case.out) for place in positions}
    reached = dict.fromkeys(positions, 0)
    depth, size = case.shape[0] // case.groups, case.out // case.groups
    pad, spread = case.setting("padding"), case.setting("dilation", 1)
    for i, tap in product(product(*map(range, case.shape[1:])), product(*map(range, case.kernel))):
        place = tuple(
            i[a] * case.stride[a] + tap[a] * spread[a] - pad[a] for a in range(len(sizes))
        )
        if place not in reached:
            continue
        reached[place] += 1
        for c, o in product(range(case.shape[0]), range(size)):
            code = int(x[(0, c, *i)]) - zero_point
            found[(c // depth * size + o, *place)] += code * int(weight[(c, o, *tap)])
    return found, reached


def facts(case: Case, x: Array, reached: dict[Any, int]) -> dict[str, bool]:
    counts = set(reached.values())
    stride, spread = case.stride, case.setting("dilation", 1)
    steps = list(zip(case.kernel, stride, strict=True))
    return {
        "cut": max(case.setting("padding")) > 0,
        "nothing arrives": 0 in counts,
        "overlap": max(counts) > 1,
        "one product each": counts == {1},
        "dilation": max(spread) > 1,
        "dilation and stride share a factor": any(
            s > 1 and d > 1 and s % 2 == d % 2 == 0 for s, d in zip(stride, spread, strict=True)
        ),
        "output padding": max(case.setting("output_padding")) > 0,
        "kernel no multiple of the stride": any(k % s for k, s in steps),
        "stride past the kernel": any(s > k for k, s in steps),
        "depthwise": case.groups > 1 and case.groups == case.out == case.shape[0],
        "groups": case.groups > 1 and not case.groups == case.out == case.shape[0],
        "input above 127": x.max() > 127,
        "one pixel": prod(case.shape[1:]) == 1,
    }


def check(case: Case, kind: type[QuantizedTransposedConvolution], seed: int) -> None:
    """Oracle -> reference -> C."""
    source, x, weight = case.drawn(seed)
    found, reached = sums(case, x, weight, source.zero_point)
    rows = {o: [acc for key, acc in found.items() if key[0] == o] for o in range(case.out)}
    dtype, zero_point, *bounds = case.target
    target = codes("y", (1, case.out, *out_sizes(case)), dtype, 0.0625, zero_point, *bounds)
    finish = finish_for(rows, target, case.units, case.function, case.bias, seed)
    assert_reaches(
        case.reaches, facts(case, x, reached) | dict.fromkeys(finish.reached(rows), True)
    )
    expected = np.zeros(target.shape, np.int64)
    for key, acc in found.items():
        expected[(0, *key)] = finish.code(acc, key[0])
    operation = case.operation(kind, weight, finish.plan(bound(weight, case.groups, source)))
    assert operation.accumulator_bound(Site((source,), (target,))) == bound(
        weight, case.groups, source
    )
    check_operation(operation, [source], [target], [x], [expected])


def bound(weight: Array, groups: int, source: Tensor) -> int:
    """Largest |accumulator|: all weights of an output channel at once."""
    depth = weight.shape[0] // groups
    by_group = np.abs(weight).reshape(groups, depth, weight.shape[1], -1).sum(axis=(1, 3))
    return int(by_group.max()) * max(source.hi - source.zero_point, source.zero_point - source.lo)
