"""N9: real outputs are three binary32 operations, each rounded once."""

from __future__ import annotations

import numpy as np

from ares.ir import DType, Tensor
from ares.ops import Site
from ares.ops.linear_fp32 import LinearFp32
from tests.numerics.vector_files import records


def test_vectors() -> None:
    seen = {"plain": 0, "biased": 0}
    site = Site(
        (Tensor("x", (1, 1), DType.S8, 1.0, 0, -128, 127),), (Tensor("y", (1, 1), DType.F32),)
    )
    for word, (acc, *bits) in records("binary32.txt"):
        scale, *bias, expected = (
            np.array([pattern], np.uint32).view(np.float32) for pattern in bits
        )
        layer = LinearFp32(
            "layer",
            ("x",),
            ("y",),
            weight=np.zeros((1, 1), np.int8),
            scale=scale,
            bias_codes=np.array([acc], np.int32),
            bias=bias[0] if bias else np.array([], np.float32),
        )
        (found,) = layer.reference(site, [np.zeros((1, 1), np.int64)])
        assert found.dtype == np.float32
        assert found.view(np.uint32).item() == expected.view(np.uint32).item(), (word, acc, bits)
        seen[word] += 1
    assert min(seen.values()) > 100
