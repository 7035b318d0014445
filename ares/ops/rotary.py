"""Rotary position embedding: pairs of features are rotated by an angle of their token's position.

eps: a table entry is off by at most 2**-31, and |a| + |b| <= 2 * 255: 255 * ratio * 2**-30 codes, ratio being the
input's scale in units of the output's. M adds 2**-31 of at most 255.5 codes within the range, 2**-44 where t
is at its end. That is 2**-20 up to ratio 3.5, at which 73 steps of the input fill the output; a larger ratio passes it
only where two nearly full codes rotate onto nearly nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ares.ir import CODES, OutputRule, Tensor
from ares.numerics import INT32_MAX, wide_round
from ares.ops._attention import group_length, require_tokens
from ares.ops._operation import (
    Array,
    KernelCall,
    KernelOperation,
    Layout,
    Site,
    Struct,
    require,
    row_major,
)


@dataclass(frozen=True, slots=True, eq=False)
class Rotary(KernelOperation):
    """`out[n,j] = finish(a * cos - b * sin)`, `out[n,k] = finish(a * sin + b * cos)`, a and b the pair (j, k) less z

    Input [1, tokens, features], features a multiple of twice the pairs of a head. `cos`, `sin` int32 [length, pairs] by
    the token's place l in its group, tokens numbered (o * length + l) * inner + i. `multiplier`, `shift`: N14. Pair i
    of a head is its features (2i, 2i + 1), with `halves` (i, pairs + i).
    """

    OP_TYPE = "OP_ROTARY"
    LAYER_TYPE = "Rotary"
    PYTHON_CLASS = "ares.nn.leaves.attention.Rotary"
    EPS = 2.0**-20
    KERNEL = "rotary"

    outer: int
    inner: int
    cos: npt.NDArray[np.int32]
    sin: npt.NDArray[np.int32]
    multiplier: int
    shift: int
    halves: bool = False

    def infer(self, inputs: Sequence[Tensor]) -> tuple[OutputRule, ...]:
        (source,) = inputs
        require_tokens(self.name, "tokens", source)
        length = group_length(self.name, source.shape[1], self.outer, self.inner)
        require(
            len(self.cos.shape) == 2
            and self.cos.shape == self.sin.shape
            and self.cos.shape[0] == length
            and source.shape[2] % (2 * self.cos.shape[1]) == 0,
            f"{self.name}: tables of {list(self.cos.shape)} positions and pairs do not fit groups of {length} "
            f"tokens with {source.shape[2]} features",
        )
        require(
            0 <= self.multiplier <= INT32_MAX and 1 <= self.shift <= 50,
            f"{self.name}: multiplier {self.multiplier} or shift {self.shift} is out of range",
        )
        return ((source.shape, CODES),)

    def layouts(
        self, site: Site, given: tuple[Layout, ...]
    ) -> tuple[tuple[Layout, ...], tuple[Layout, ...]]:
        del site, given
        return (row_major(3),), (row_major(3),)

    def reference(self, site: Site, arrays: Sequence[Array]) -> tuple[Array, ...]:
        (source,), (target,) = site.inputs, site.outputs
        length, pairs = self.cos.shape
        steps = arrays[0].astype(np.int64) - source.zero_point
        axis = -2 if self.halves else -1
        sizes = (2, pairs) if self.halves else (pairs, 2)
        split = steps.reshape(self.outer, length, self.inner, -1, *sizes)
        a, b = split.take(0, axis), split.take(1, axis)
        cos, sin = (t.astype(np.int64)[:, None, None, :] for t in (self.cos, self.sin))
        acc = np.stack([a * cos - b * sin, a * sin + b * cos], axis=axis)
        codes = wide_round(acc, self.multiplier, self.shift + 32, target.zero_point)
        return (np.clip(codes, target.lo, target.hi).reshape(source.shape),)

    def lower(self, site: Site) -> KernelCall:
        (source,), (target,) = site.inputs, site.outputs
        length, pairs = self.cos.shape
        fields = (
            ("outer", self.outer),
            ("length", length),
            ("inner", self.inner),
            ("heads", source.shape[2] // (2 * pairs)),
            ("pairs", pairs),
            ("halves", self.halves),
            ("input_zero_point", source.zero_point),
            ("input_signed", source.dtype.lo < 0),
            ("cos", self.cos.reshape(-1)),
            ("sin", self.sin.reshape(-1)),
            ("multiplier", self.multiplier),
            ("shift", self.shift),
            ("zero_point", target.zero_point),
            ("lo", target.lo),
            ("hi", target.hi),
        )
        return KernelCall(
            "ares_rotary", "rotary.h", Struct("ares_rotary_params", fields), in_place=(0,)
        )
