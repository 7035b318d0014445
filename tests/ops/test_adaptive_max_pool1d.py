"""AdaptiveMaxPool1d: oracle -> reference -> C, for every kind of output length and in both memory orders."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from ares.ir import GraphError
from ares.ops import Site
from ares.ops.adaptive_max_pool1d import AdaptiveMaxPool1d
from tests.ops import windows
from tests.ops.graphs import check_graph, graph_of
from tests.ops.harness import check_operation, codes
from tests.ops.layouts import laid, like

LENGTH, CHANNELS = 13, 3


@pytest.mark.parametrize("kind", ["s8", "u8"])
@pytest.mark.parametrize("layout", [(0, 1, 2), (0, 2, 1)])
def test_oracle_reference_c(kind: str, layout: tuple[int, ...]) -> None:
    source = laid("x", (1, CHANNELS, LENGTH), layout, kind)
    whole = np.arange(source.array.size).reshape(source.array.shape) * 97 % 256
    source = windows.holding(source, whole + source.tensor.dtype.lo)
    operations: list[Any] = [source.operation]
    tensors, expected, lengths = [source.source, source.tensor], {}, set()
    for count in (1, 2, 5, 6, 12, 13, 14, 29):
        seen = windows.adaptive(LENGTH, count)
        answer = windows.maxima(source.logical, [seen])
        target = like(source.tensor, f"y{count}", answer.shape)
        operations.append(AdaptiveMaxPool1d(f"p{count}", ("x",), (target.name,), count))
        tensors.append(target)
        expected[target.name] = answer
        lengths.add(len({window.divisor for window in seen}))
    assert lengths == {1, 2}
    graph = graph_of(operations, tensors, [source.source.name], list(expected))
    check_graph(graph, {source.source.name: source.array}, expected)


def test_a_position_times_a_length_past_31_bits() -> None:
    """Where a window begins is i * length / count: of the last ones the product needs 33 bits."""
    length, count = 65537, 32771
    assert length * (count - 1) > 2**31 > length * (count - 4)
    x = (np.arange(length) * 97 // 7 % 251 - 125).reshape(1, 1, length)
    source, target = codes("x", x.shape), codes("y", (1, 1, count))
    answer = windows.maxima(x, [windows.adaptive(length, count)])
    check_operation(
        AdaptiveMaxPool1d("p", ("x",), ("y",), count), [source], [target], [x], [answer]
    )


def test_values_are_pytorchs() -> None:
    for length in (1, 5, 12):
        for count in (1, 2, 5, 7, 12):
            x = ((np.arange(2 * length) * 37) % 11 - 5).reshape(1, 2, length)
            real = torch.nn.functional.adaptive_max_pool1d(torch.from_numpy(x).double(), count)
            source = codes("x", x.shape)
            operation = AdaptiveMaxPool1d("p", ("x",), ("y",), count)
            assert operation.infer([source])[0][0] == real.shape
            (found,) = operation.reference(Site((source,), (codes("y", real.shape),)), [x])
            assert np.array_equal(found, real.numpy())
            assert np.array_equal(windows.maxima(x, [windows.adaptive(length, count)]), found)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(GraphError, match="expected 1 or more"):
        AdaptiveMaxPool1d("p", ("x",), ("y",), 0).infer([codes("x", (1, 2, 8))])
    with pytest.raises(GraphError, match=r"expected \[1, C, L\]"):
        AdaptiveMaxPool1d("p", ("x",), ("y",), 3).infer([codes("x", (1, 8))])
