"""What the tests of the three normalisations share: an oracle in Fractions and cases that say what they reach.

The oracle knows mean and variance as they are taught, not the sums and roots that the kernel works with.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from ares.ir import Tensor
from ares.numerics import FUNCTIONS, plan_norm
from ares.ops import KernelOperation
from tests.numerics import oracle
from tests.ops.graphs import check_graph, graph_of
from tests.ops.harness import codes
from tests.ops.reaching import assert_reaches

Array = npt.NDArray[Any]
Group = tuple[int, int, int, int]
HALF = Fraction(1, 2)


@dataclass(frozen=True)
class Case:
    """`parameter`: normalised axes, or groups. Source and target: dtype, scale, zero point, and lo, hi where narrower.

    gamma and beta: one value, or one a channel.
    """

    name: str
    shape: tuple[int, ...]
    parameter: int
    source: tuple[Any, ...]
    target: tuple[Any, ...]
    gamma: tuple[float, ...] = (1.0,)
    beta: tuple[float, ...] = (0.0,)
    epsilon: float = 1e-5
    function: str = "identity"
    reaches: tuple[str, ...] = ()


def square_root(value: Fraction) -> Fraction:
    """To one part in 2**250."""
    scaled = value.numerator * value.denominator << 600
    return Fraction(math.isqrt(scaled), value.denominator << 300)


def normalised(
    steps: Sequence[int], scale: Fraction, epsilon: Fraction, is_centred: bool
) -> list[Fraction]:
    """(x - mean) / sqrt(variance + eps) of one group of real values step * scale."""
    count = len(steps)
    reals = [step * scale for step in steps]
    mean = sum(reals) / count if is_centred else Fraction(0)
    root = square_root(sum((real - mean) ** 2 for real in reals) / count + epsilon)
    return [(real - mean) / root for real in reals]


def real_codes(case: Case, x: Array, split: Group, is_centred: bool) -> Iterator[Fraction]:
    """What the quantiser is given, in output codes, in the order of the elements."""
    rows, groups, width, positions = split
    _, scale, zero_point, *_ = case.source
    _, out_scale, out_zero_point, *_ = case.target
    blocks = x.reshape(rows * groups, width * positions)
    for number, block in enumerate(blocks):
        steps = [int(code) - zero_point for code in block]
        values = normalised(steps, Fraction(scale), Fraction(case.epsilon), is_centred)
        for i, value in enumerate(values):
            channel = number % groups * width + i // positions
            gamma, beta = (v[channel % len(v)] for v in (case.gamma, case.beta))
            result = oracle.FUNCTIONS[case.function](Fraction(gamma) * value + Fraction(beta))
            yield result / Fraction(out_scale) + out_zero_point


def patterned(case: Case, blocks: int, count: int, source: Tensor, seed: int) -> Array:
    """Codes in `blocks` groups: random, constant, one code off, two neighbouring codes, extremes, one outlier."""
    draw = np.random.Generator(np.random.Philox(key=seed))
    middle = (source.lo + source.hi) // 2 + 3
    rows = []
    for number in range(blocks):
        kind = number % 6
        row = draw.integers(source.lo, source.hi + 1, count)
        if kind in (1, 2, 5):
            row[:] = middle if number % 12 < 6 else source.zero_point
        if kind == 2:
            row[draw.integers(count)] += 1 if number % 12 < 6 else -1
        if kind == 3:
            row = middle + draw.integers(0, 2, count)
        if kind == 4:
            row = np.where(draw.integers(0, 2, count) > 0, source.lo, source.hi)
        if kind == 5:
            row[draw.integers(count)] = source.lo if number % 12 < 6 else source.hi
        rows.append(np.clip(row, source.lo, source.hi))
    return np.array(rows).reshape(case.shape)


def _facts(case: Case, x: Array, split: Group, target: Tensor, reals: Array) -> dict[str, bool]:
    rows, groups, width, positions = split
    blocks = x.reshape(rows * groups, width * positions)
    spread = blocks.max(axis=1) - blocks.min(axis=1)
    betas = [beta / target.scale for beta in case.beta] if target.scale else []
    is_inside = any(target.lo < real < target.hi for real in reals.flat)
    return {
        "prime size": width * positions in (7, 11, 13, 17, 37, 127, 131, 257, 769),
        "constant group": (spread == 0).any(),
        "one code off": (spread == 1).any(),
        "full range": (spread == int(blocks.max()) - int(blocks.min())).any(),
        "negative gamma": min(case.gamma) < 0,
        "code above 127": blocks.max() > 127,
        "odd zero points": case.source[2] % 2 == case.target[2] % 2 == 1,
        "cancelling beta": max(map(abs, betas)) > 1000 and is_inside,
    }


def expected_codes(case: Case, target: Tensor, reals: Array) -> Array:
    """The oracle's codes. A real value that is no exact tie must not lie where the clause leaves room (its eps)."""
    largest = max(abs(beta) for beta in case.beta) / float(target.scale or 1) + 256
    room = Fraction((256 + largest) * 2.4 * 2**-31) if case.function == "identity" else 2**-18
    answer = []
    for real in reals.flat:
        distance = abs(abs(real - math.floor(real)) - HALF)
        assert distance == 0 or distance > room or not target.lo < real < target.hi
        answer.append(oracle.clamp(oracle.nearest(real), target.lo, target.hi))
    return np.array(answer, np.int64).reshape(case.shape)


def check_cases(
    cases: Sequence[Case], make: Callable[..., KernelOperation], is_centred: bool
) -> None:
    """All cases through oracle, reference and C, in one program. `make(name, x, y, parameter, constants)`."""
    operations, tensors = [], []
    arrays: dict[str, Array] = {}
    expected: dict[str, Array] = {}
    for number, case in enumerate(cases):
        source = codes(f"x{number}", case.shape, *case.source)
        target = codes(f"y{number}", case.shape, *case.target)
        operation, split = build(case, make, source, target, is_centred)
        blocks, count = split[0] * split[1], split[2] * split[3]
        x = patterned(case, blocks, count, source, number)
        reals = np.array(list(real_codes(case, x, split, is_centred)), object)
        facts = _facts(case, x, split, target, reals)
        assert_reaches(case.reaches, facts, reals.flat, target)
        operations.append(operation)
        tensors += [source, target]
        arrays[source.name] = x
        expected[target.name] = expected_codes(case, target, reals)
    graph = graph_of(operations, tensors, list(arrays), list(expected))
    check_graph(graph, arrays, expected)


def build(
    case: Case,
    make: Callable[..., KernelOperation],
    source: Tensor,
    target: Tensor,
    is_centred: bool,
) -> tuple[KernelOperation, Group]:
    """The planned operation and its split into groups."""
    probe: Any = make("probe", "x", "y", case.parameter, (0, 1, None))
    split = probe.split(source)
    constants = plan_norm(
        FUNCTIONS[case.function],
        [Fraction(gamma) for gamma in case.gamma],
        [Fraction(beta) for beta in case.beta],
        Fraction(case.epsilon),
        source,
        target,
        split[2] * split[3],
        is_centred,
    )
    name = f"layer_{source.name}"
    return make(name, source.name, target.name, case.parameter, constants), split
