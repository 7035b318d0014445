"""The inputs that a network is judged on: what is stored is what is made, and the edges are those of its grid."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from ares.golden.cases import EDGE, RANDOM, REALISTIC, Array, make_cases
from ares.ir import DType, Graph, Tensor, frozen_array
from ares.ops.requantize import Requantize
from ares.pipeline.catalogue import Zoo
from ares.pipeline.network import NetworkSubject
from ares.zoo.network_file import load_network_file
from tests.checkout import ROOT

# An odd size, with runs of 64 and of 16 in both halves.
SHAPE = (1, 7, 83)


@pytest.mark.parametrize("name", ["test_9_padding", "test_12_gelu_basic"])
def test_what_is_stored_is_what_is_made(name: str) -> None:
    paths = Zoo(ROOT).paths(name)
    subject = NetworkSubject(paths)
    examples = load_network_file(paths.source).example_inputs()
    made = make_cases(subject.graph, [tensor.numpy() for tensor in examples])
    assert [case.name for case in made] == [REALISTIC, RANDOM, EDGE]
    assert [case.saturation_limit for case in made] == [0.2, 0.5, None]
    for case, stored in zip(made, subject.golden.cases, strict=True):
        assert case.name == stored.name
        for have, want in zip(case.inputs, stored.inputs, strict=True):
            assert (have.dtype, have.shape) == (want.dtype, want.shape)
            assert have.tobytes() == want.tobytes()


def _made(given: DType, grid: Tensor) -> dict[str, Array]:
    table = frozen_array(np.arange(256), np.uint8)
    source = Tensor("x", SHAPE, given, lo=grid.lo, hi=grid.hi, zero_point=grid.zero_point)
    operation = Requantize("q", ("x",), ("q",), table=table)
    graph = Graph("net", (source, grid), (operation,), ("x",), ("q",))
    cases = make_cases(graph, [np.zeros(SHAPE, given.numpy)])
    return {case.name: case.inputs[0].ravel() for case in cases}


@pytest.mark.parametrize(("lo", "hi", "zero_point"), [(-7, 5, -3), (0, 15, 6), (-128, 127, 0)])
def test_the_edges_of_a_grid(lo: int, hi: int, zero_point: int) -> None:
    """Against fractions: half a step is a tie, and a power of two as the scale makes every one a binary32."""
    scale = Fraction(1, 4)
    grid = Tensor("q", SHAPE, DType.S8, float(scale), zero_point, lo=lo, hi=hi)
    edge = _made(DType.F32, grid)[EDGE]
    ends = [float((end - zero_point) * scale) for end in (lo, hi)]
    half = edge.size // 2
    runs = [ends[at // 64 % 2] for at in range(half)]
    assert edge[:half].tolist() == runs
    ties = np.array(
        [float((2 * code + 1 - 2 * zero_point) * scale / 2) for code in range(lo, hi)], np.float32
    )
    below, above = (np.nextafter(ties, np.float32(end)) for end in (-np.inf, np.inf))
    special = np.array([0.0, -0.0, 1e-45, -1e-45, 1e-38, 1e30, -1e30], np.float32)
    all_values = {float(v).hex() for part in (ends, ties, below, above, special) for v in part}
    mixed = {float(value).hex() for value in edge[half:]}
    assert mixed <= all_values
    assert len(all_values) > 50 or mixed == all_values, "of few values each is there"


@pytest.mark.parametrize(("lo", "hi", "zero_point"), [(-7, 5, -3), (0, 15, 6)])
def test_what_is_drawn_fills_the_grid_and_a_little_beyond(
    lo: int, hi: int, zero_point: int
) -> None:
    grid = Tensor("q", SHAPE, DType.S8, 0.25, zero_point, lo=lo, hi=hi)
    drawn = _made(DType.F32, grid)[RANDOM]
    codes = np.sort(drawn.astype(np.float64) * 4 + zero_point)
    assert lo - 4 <= codes[0] < lo - 3
    assert hi + 3 < codes[-1] < hi + 4
    fading = np.abs(drawn).reshape(-1)[: drawn.size // 16 * 16].reshape(-1, 16).max(1)
    largest = max(hi + 4 - zero_point, zero_point + 4 - lo) * 0.25
    assert {int(np.ceil(np.log2(largest / peak)) // 2) for peak in fading} >= {0, 1, 2, 3}


def test_codes_as_inputs_are_the_ends_and_zero_and_all_between() -> None:
    grid = Tensor("q", SHAPE, DType.S8, 0.25, -3, lo=-7, hi=5)
    made = _made(DType.S8, grid)
    assert made[EDGE][:4].tolist() == [-7, 5, -3, -7]
    assert set(made[EDGE].tolist()) == {-7, 5, -3}
    assert set(made[RANDOM].tolist()) == set(range(-7, 6))
