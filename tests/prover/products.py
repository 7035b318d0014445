"""A small network of products of two inputs, sums of sums, and results that stay real."""

from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np

from ares.ir import DType, Graph, Tensor, frozen_array
from ares.numerics import plan_rescale
from ares.ops.attention_context import AttentionContext
from ares.ops.attention_scores import AttentionScores
from ares.ops.conv_sum import ConvSum
from ares.ops.linear_fp32 import LinearFp32
from ares.ops.quantize import Quantize
from tests.prover.small import SmallSubject

_RNG = np.random.default_rng(7)


def _codes(name: str, shape: tuple[int, ...], kind: str = "s8", z: int = 0) -> Tensor:
    dtype = DType(kind)
    return Tensor(name, shape, dtype, 0.25, z, dtype.lo, dtype.hi)


def _weights(*shape: int) -> Any:
    return frozen_array(_RNG.integers(-127, 128, shape), np.int8)


def products_graph() -> Graph:
    """Two heads of queries share one of keys; zero points; dyadic ratios, so that ties happen."""
    a, b = (Tensor(name, (1, 6, size), DType.F32) for name, size in (("a", 8), ("b", 4)))
    q, k = _codes("q", (1, 6, 8), z=3), _codes("k", (1, 6, 4), z=-2)
    scores = _codes("scores", (1, 2, 6, 6), "u8", z=7)
    context = _codes("context", (1, 6, 8), z=1)
    summed = _codes("summed", (1, 2, 5))
    logits = Tensor("logits", (1, 6, 5), DType.F32)

    def rescale(z: int, lo: int, hi: int, bits: int) -> Any:
        return plan_rescale([Fraction(3, 2**bits)], [Fraction(0)], z, lo, hi, 2**23)

    real = (frozen_array([0.5, 0.3, 2.0, 0.1, 1.0], np.float32), frozen_array([], np.int32))
    operations = (
        Quantize("q", ("a",), ("q",)),
        Quantize("k", ("b",), ("k",)),
        AttentionScores(
            *("scores", ("q", "k"), ("scores",), 2, 1, 1, 1, False), rescale(7, 0, 255, 8)
        ),
        AttentionContext(
            *("context", ("scores", "k"), ("context",), 2, 1, 1, 1, False),
            rescale(1, -128, 127, 9),
        ),
        ConvSum(
            *("summed", ("context",), ("summed",), _weights(5, 8, 1), (1,), (0, 0), (1,), 1),
            *((3,), (3,), (0, 0), 2),
            rescale(0, -128, 127, 11),
        ),
        LinearFp32(
            *("logits", ("context",), ("logits",), _weights(5, 8), *real),
            frozen_array([1.0, 2.0, 3.0, 4.0, 5.0], np.float32),
        ),
    )
    tensors = (a, b, q, k, scores, context, summed, logits)
    return Graph("small", tensors, operations, ("a", "b"), ("summed", "logits")).validate()


class ProductsSubject(SmallSubject):
    """Of that Graph."""

    @cached_property
    def graph(self) -> Graph:  # type: ignore[override]
        return products_graph()
