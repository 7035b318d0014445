"""AdaptiveAvgPool1d: oracle -> reference -> C, for every output length and in both memory orders."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from ares.ir import GraphError
from ares.numerics import plan_rescale
from ares.ops.adaptive_avg_pool1d import AdaptiveAvgPool1d
from tests.numerics import oracle
from tests.ops.graphs import check_graph, graph_of
from tests.ops.harness import codes
from tests.ops.layouts import laid

LENGTH, CHANNELS = 13, 3


@pytest.mark.parametrize(("kind", "target_kind"), [("s8", "u8"), ("u8", "s8")])
@pytest.mark.parametrize("layout", [(0, 1, 2), (0, 2, 1)])
def test_all_output_lengths(kind: str, target_kind: str, layout: tuple[int, ...]) -> None:
    source = laid("x", (1, CHANNELS, LENGTH), layout, kind)
    tensor = source.tensor
    assert tensor.scale is not None
    operations, tensors, expected, ties = [source.operation], [source.source, tensor], {}, 0
    for count in (1, 2, 3, 4, 5, 6, 7, 12, 13, 14, 29):
        target = codes(f"y{count}", (1, CHANNELS, count), target_kind, 0.5, 1)
        windows = [
            ((i * LENGTH) // count, ((i + 1) * LENGTH + count - 1) // count) for i in range(count)
        ]
        answer = np.zeros((1, CHANNELS, count), np.int64)
        for channel in range(CHANNELS):
            for i, (start, end) in enumerate(windows):
                total = sum(
                    int(v) - tensor.zero_point for v in source.logical[0, channel, start:end]
                )
                real = Fraction(total, end - start) * Fraction(tensor.scale) / Fraction(1, 2) + 1
                ties += real.denominator == 2
                answer[0, channel, i] = oracle.clamp(oracle.nearest(real), target.lo, target.hi)
        lengths = sorted({end - start for start, end in windows})
        rescales = tuple(
            plan_rescale(
                [Fraction(tensor.scale) / Fraction(1, 2) / length],
                [Fraction(0)],
                1,
                target.lo,
                target.hi,
                length * tensor.largest_magnitude,
            )
            for length in lengths
        )
        operations.append(AdaptiveAvgPool1d(f"p{count}", ("x",), (target.name,), count, rescales))
        tensors.append(target)
        expected[target.name] = answer
    assert ties > 10
    graph = graph_of(operations, tensors, [source.source.name], list(expected))
    check_graph(graph, {source.source.name: source.array}, expected)


def test_what_does_not_fit_is_refused() -> None:
    rescale = plan_rescale([Fraction(1, 5)], [Fraction(0)], 0, -128, 127, 999)
    with pytest.raises(GraphError, match="1 sets of constants for windows of 3 to 4"):
        AdaptiveAvgPool1d("p", ("x",), ("y",), 3, (rescale,)).infer([codes("x", (1, 2, 8))])
    with pytest.raises(GraphError, match=r"expected \[1, C, L\]"):
        AdaptiveAvgPool1d("p", ("x",), ("y",), 3, (rescale,)).infer([codes("x", (1, 8))])
