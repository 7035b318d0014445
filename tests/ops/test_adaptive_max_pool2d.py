"""AdaptiveMaxPool2d: oracle -> reference -> C, for output sizes that divide the input's and such that do not."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
import torch

from ares.ir import GraphError
from ares.ops import Site
from ares.ops.adaptive_max_pool2d import AdaptiveMaxPool2d
from tests.ops import windows
from tests.ops.graphs import check_graph, graph_of
from tests.ops.harness import codes
from tests.ops.layouts import laid, like

SHAPE = (1, 3, 7, 5)
SIZES = ((1, 1), (2, 2), (3, 4), (7, 2), (7, 5), (9, 11), (1, 3))


@pytest.mark.parametrize("kind", ["s8", "u8"])
def test_oracle_reference_c(kind: str) -> None:
    source = laid("x", SHAPE, (0, 2, 3, 1), kind)
    whole = np.arange(source.array.size).reshape(source.array.shape) * 97 % 256
    source = windows.holding(source, whole + source.tensor.dtype.lo)
    operations: list[Any] = [source.operation]
    tensors, expected, sizes = [source.source, source.tensor], {}, set()
    for number, size in enumerate(SIZES):
        axes = [windows.adaptive(*ends) for ends in zip(SHAPE[2:], size, strict=True)]
        answer = windows.maxima(source.logical, axes)
        target = like(source.tensor, f"y{number}", answer.shape)
        operations.append(AdaptiveMaxPool2d(f"p{number}", ("x",), (target.name,), size))
        tensors.append(target)
        expected[target.name] = answer
        sizes |= {len({window.divisor for window in axis}) for axis in axes}
    assert sizes == {1, 2}
    graph = graph_of(operations, tensors, [source.source.name], list(expected))
    check_graph(graph, {source.source.name: source.array}, expected)


def test_values_are_pytorchs() -> None:
    for height, width, rows, columns in product((1, 6, 7), (5, 8), (1, 2, 4, 7, 9), (3, 5)):
        x = ((np.arange(2 * height * width) * 37) % 11 - 5).reshape(1, 2, height, width)
        real = torch.nn.functional.adaptive_max_pool2d(
            torch.from_numpy(x).double(), (rows, columns)
        )
        source = codes("x", x.shape)
        operation = AdaptiveMaxPool2d("p", ("x",), ("y",), (rows, columns))
        assert operation.infer([source])[0][0] == real.shape
        (found,) = operation.reference(Site((source,), (codes("y", tuple(real.shape)),)), [x])
        assert np.array_equal(found, real.numpy())


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(GraphError, match="expected 1 or more"):
        AdaptiveMaxPool2d("p", ("x",), ("y",), (0, 1)).infer([codes("x", (1, 2, 8, 8))])
    with pytest.raises(GraphError, match=r"expected \[1, C, H, W\]"):
        AdaptiveMaxPool2d("p", ("x",), ("y",), (3, 1)).infer([codes("x", (1, 8, 8))])
