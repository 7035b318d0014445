"""The layout arithmetic under Flatten, Reshape, Squeeze and Permute, against indices counted one by one."""

from __future__ import annotations

import itertools
import random
from math import prod

import numpy as np
import pytest

from ares.ir import DType, GraphError, Tensor
from ares.ops import KernelCall, Layout
from ares.ops._moves import (
    MAX_RANK,
    Shape,
    Strides,
    layout_of,
    relayout,
    strides_of,
    view_strides,
)
from tests.checkout import ROOT
from tests.ops.harness import codes, real


def _offsets(shape: Shape, layout: Layout) -> np.ndarray:
    """The place in memory of every element of a tensor, by logical index."""
    found = np.zeros(shape, np.int64)
    memory = itertools.product(*(range(shape[axis]) for axis in layout))
    for place, index in enumerate(memory):
        found[tuple(index[layout.index(axis)] for axis in range(len(shape)))] = place
    return found


def _strides_seen(offsets: np.ndarray) -> Strides | None:
    """Strides that explain all offsets, if there are any; axes of size 1 count as 0."""
    unit = np.eye(offsets.ndim, dtype=int)
    strides = [
        int(offsets[tuple(row)]) if size > 1 else 0
        for row, size in zip(unit, offsets.shape, strict=True)
    ]
    explained = sum(
        index * stride for index, stride in zip(np.indices(offsets.shape), strides, strict=True)
    )
    return tuple(strides) if np.array_equal(explained, offsets) else None


def _shapes(rank: int) -> list[Shape]:
    return list(itertools.product((1, 2, 3), repeat=rank))


def _factorings(count: int, rank: int) -> list[Shape]:
    """All shapes of `rank` axes with `count` elements."""
    if rank == 1:
        return [(count,)]
    return [
        (first, *rest)
        for first in range(1, count + 1)
        if count % first == 0
        for rest in _factorings(count // first, rank - 1)
    ]


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_views_of_all_small_tensors(rank: int) -> None:
    free = copied = 0
    for shape, layout in itertools.product(_shapes(rank), itertools.permutations(range(rank))):
        offsets = _offsets(shape, layout)
        strides = strides_of(shape, layout)
        assert all(
            s == t or n == 1 for s, t, n in zip(strides, _strides_seen(offsets), shape, strict=True)
        )
        for result in itertools.chain(*(_factorings(prod(shape), r) for r in (1, 2, 3))):
            expected = _strides_seen(offsets.reshape(result))
            found = view_strides(shape, strides, result)
            assert (found is None) == (expected is None), (shape, layout, result)
            if found is None:
                copied += 1
                continue
            assert expected is not None
            free += 1
            wide = [size > 1 for size in result]
            assert [f * w for f, w in zip(found, wide, strict=True)] == list(expected)
            tensor = codes("y", result)
            again = strides_of(result, layout_of(tensor, found))
            assert [s * w for s, w in zip(again, wide, strict=True)] == list(expected)
    assert free > 50 * rank or rank == 1
    assert copied > 20 or rank == 1


def test_layouts_that_kernels_ask_for_are_preferred() -> None:
    ones = codes("y", (1, 5, 1, 1))
    assert layout_of(ones, (5, 1, 1, 1)) == (0, 2, 3, 1)
    assert layout_of(codes("y", (1, 5, 7)), (35, 7, 1)) == (0, 1, 2)
    assert layout_of(codes("y", (1, 5, 7)), (35, 1, 5)) == (0, 2, 1)
    assert layout_of(codes("y", (2, 1, 7, 3)), (1, 9, 2, 14)) == (1, 3, 2, 0)


def _copied(call: KernelCall, memory: np.ndarray) -> list[float]:
    """What ares_permute does, by its contract."""
    fields = dict(call.params.fields)
    dims, strides = fields["dims"].tolist(), fields["strides"].tolist()
    assert len(dims) == len(strides) == fields["rank"] <= 30
    places = itertools.product(*(range(size) for size in dims))
    return [memory[sum(i * s for i, s in zip(index, strides, strict=True))] for index in places]


@pytest.mark.parametrize("seed", range(40))
def test_relayout_reads_every_element_from_its_place(seed: int) -> None:
    draw = random.Random(seed)
    rank = draw.randint(1, 9)
    shape = tuple(draw.choice((1, 2, 3, 5)) for _ in range(rank))
    source, target = (tuple(draw.sample(range(rank), rank)) for _ in range(2))
    tensor = codes("x", shape) if seed % 2 else real("x", shape)
    call = relayout(tensor, source, target)
    assert dict(call.params.fields)["element_size"] == (1 if seed % 2 else 4)
    memory = np.arange(tensor.size)
    placed = np.zeros(tensor.size, np.int64)
    placed[_offsets(shape, target)] = memory[_offsets(shape, source)]
    assert _copied(call, memory) == placed.tolist()


def test_axes_that_lie_together_are_joined() -> None:
    tensor = codes("x", (1, 3, 5, 7))
    fields = dict(relayout(tensor, (0, 1, 2, 3), (0, 2, 3, 1)).params.fields)
    assert (fields["dims"].tolist(), fields["strides"].tolist()) == ([35, 3], [1, 35])
    fields = dict(relayout(tensor, (0, 2, 3, 1), (0, 2, 3, 1)).params.fields)
    assert (fields["dims"].tolist(), fields["strides"].tolist()) == ([105], [1])
    fields = dict(relayout(codes("x", (1, 1)), (0, 1), (1, 0)).params.fields)
    assert (fields["dims"].tolist(), fields["strides"].tolist(), fields["rank"]) == ([1], [1], 1)


def test_a_copy_has_room_for_the_axes_of_every_tensor() -> None:
    """An arena of fewer than 2^31 bytes holds no more than 30 axes of two elements."""
    sizes = (2,) * 30
    order = tuple(range(30))
    call = relayout(Tensor("x", sizes, DType.S8, 1.0, 0, -128, 127), order, order[::-1])
    assert dict(call.params.fields)["rank"] == 30
    header = (ROOT / "runtime" / "inc" / "permute.h").read_text()
    assert f"#define ARES_PERMUTE_MAX_RANK {MAX_RANK}\n" in header
    tensor = Tensor("x", (2,) * 31, DType.S8, 1.0, 0, -128, 127)
    order = tuple(range(31))
    with pytest.raises(GraphError, match="a copy over 31 axes, ares_permute has 30"):
        relayout(tensor, order, order[::-1])
