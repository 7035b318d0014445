"""Power-of-two scales make ties common, and averages over 6 or 12 codes have ties that no multiplier can hold."""

from __future__ import annotations

from fractions import Fraction

import brevitas.quant as bq
import numpy as np
import pytest
from torch import nn

from ares.ops import run_reference
from tests.extract.models import (
    Net,
    calibrated,
    checked,
    identity,
    seeded,
    set_scale,
    tensor_quant,
)

FIXED = bq.Int8ActPerTensorFixedPoint


@pytest.mark.parametrize(("window", "shape"), [((2, 3), (1, 2, 6, 6)), ((3, 4), (1, 1, 6, 8))])
def test_average_of_a_window_that_is_no_power_of_two(
    window: tuple[int, int], shape: tuple[int, ...]
) -> None:
    model = seeded(
        lambda: Net(
            lambda m, x: m.after(m.pool(m.q(x))),
            q=identity(act_quant=FIXED),
            pool=nn.AvgPool2d(window),
            after=identity(act_quant=FIXED),
        )
    )
    calibrated(model, shape)
    same = tensor_quant(model, "q.act_quant").scaling_impl.buffer.item()
    set_scale(model, "after.act_quant", same)
    graph = checked(model, shape, c=True, calibrate=False)
    codes, means = graph.tensors_of((graph.operations[0].outputs[0], graph.outputs[0]))
    assert codes.scale is not None
    assert means.scale is not None
    ratio = Fraction(codes.scale) / Fraction(means.scale) / (window[0] * window[1])
    # Every sum that can lie beside a tie, as one constant window after the other.
    ties = 0
    for value in range(-40, 40):
        real = np.full(shape, np.float32(value * codes.scale), np.float32)
        real[..., 0, 0] += np.float32(codes.scale * (window[0] * window[1] // 2))
        arrays = run_reference(graph, [real])
        total = int(arrays[codes.name][0, 0, : window[0], : window[1]].astype(int).sum())
        exact = total * ratio
        ties += exact.denominator == 2
        assert int(arrays[means.name][0, 0, 0, 0]) == min(max(round(exact), -128), 127)
    assert ties > 10, (codes, means, ratio)
