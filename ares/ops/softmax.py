"""Softmax over the last axis, on codes, and the quantiser after it.

eps: a code's value before rounding is a product and quotient of numbers with these relative errors: m of the key
2**-32; the sum 2**-32 from the m in it and 2048 * 2**-50 from its truncations, as it is at least one; T 2**-31;
numerator 2**-32; R, which is at least 2**30, 2**-31. Together 1.76 * 2**-30, of at most 255.5 codes within the range:
2**-21.1. Keys below 2**-63 of the largest are left out: 2**-33 codes at the finest scale of 2**-30.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ares.ir import CODES, OutputRule, Tensor, frozen_array
from ares.numerics import LONGEST_ROW, softmax_codes
from ares.ops._operation import (
    Array,
    KernelCall,
    KernelOperation,
    Layout,
    Site,
    Struct,
    require,
    require_codes,
    row_major,
)


def _every_key() -> npt.NDArray[np.uint8]:
    return frozen_array(np.zeros((0, 0)), np.uint8)


@dataclass(frozen=True, slots=True, eq=False)
class Softmax(KernelOperation):
    """`out[...,j] = clamp(round(exp(in[...,j] * scale_in) / sum over kept keys / scale_out + z_out))`

    Up to 2048 keys. `causal`: row i of [..., n, n] keeps the keys 0..i, the others get the code of zero. `kept`
    [m, keys]: row i keeps the keys with a one in row i mod m; empty where it keeps all.
    `mantissas`, `exponents`: the exponential as a table; `numerator`, `exponent`: 1 / scale_out (N13).
    """

    OP_TYPE = "OP_SOFTMAX"
    LAYER_TYPE = "Softmax"
    PYTHON_CLASS = "torch.nn.Softmax"
    EPS = 2.0**-20
    KERNEL = "softmax"

    causal: bool
    mantissas: npt.NDArray[np.uint32]
    exponents: npt.NDArray[np.uint8]
    numerator: int
    exponent: int
    kept: npt.NDArray[np.uint8] = field(default_factory=_every_key)

    def infer(self, inputs: Sequence[Tensor]) -> tuple[OutputRule, ...]:
        (source,) = inputs
        require_codes(source)
        rank = len(source.shape)
        require(rank >= 2, f"{self.name}: input {list(source.shape)} has no axis beside the batch")
        keys = source.shape[-1]
        require(
            keys <= LONGEST_ROW,
            f"{self.name}: rows of {keys} keys, expected at most {LONGEST_ROW}",
        )
        require(
            not self.causal or (rank >= 3 and source.shape[-2] == keys),
            f"{self.name}: input {list(source.shape)} has no square of queries and keys to be causal in",
        )
        require(
            self.mantissas.shape == self.exponents.shape == (256,)
            and 2**31 <= self.numerator < 2**32
            and -64 <= self.exponent <= -1,
            f"{self.name}: expected tables of 256 and a reciprocal of 32 bits",
        )
        require(
            not self.kept.size
            or (
                not self.causal
                and self.kept.ndim == 2
                and self.kept.shape[1] == keys
                and source.size // keys % self.kept.shape[0] == 0
                and bool(self.kept.any(axis=1).all())
            ),
            f"{self.name}: a mask of shape {list(self.kept.shape)} for scores of {list(source.shape)}, or a row of it "
            "keeps no key",
        )
        return ((source.shape, CODES),)

    def layouts(
        self, site: Site, given: tuple[Layout, ...]
    ) -> tuple[tuple[Layout, ...], tuple[Layout, ...]]:
        del given
        order = row_major(len(site.inputs[0].shape))
        return (order,), (order,)

    def reference(self, site: Site, arrays: Sequence[Array]) -> tuple[Array, ...]:
        (target,) = site.outputs
        keys = arrays[0].shape[-1]
        kept: Array = np.tri(keys, dtype=np.bool_) if self.causal else np.ones(keys, np.bool_)
        if self.kept.size:
            rows = arrays[0].size // keys
            kept = np.tile(self.kept.astype(np.bool_), (rows // len(self.kept), 1))
            kept = kept.reshape(arrays[0].shape)
        return (
            softmax_codes(
                arrays[0],
                kept,
                (self.mantissas, self.exponents),
                (self.numerator, self.exponent),
                target.zero_point,
                target.lo,
                target.hi,
            ),
        )

    def lower(self, site: Site) -> KernelCall:
        (source,), (target,) = site.inputs, site.outputs
        fields = (
            ("rows", source.size // source.shape[-1]),
            ("keys", source.shape[-1]),
            ("causal", self.causal),
            ("mask_rows", len(self.kept)),
            ("mask", self.kept.reshape(-1)),
            ("input_signed", source.dtype.lo < 0),
            ("mantissas", self.mantissas),
            ("exponents", self.exponents),
            ("numerator", self.numerator),
            ("exponent", self.exponent),
            ("zero_point", target.zero_point),
            ("lo", target.lo),
            ("hi", target.hi),
        )
        return KernelCall(
            "ares_softmax", "softmax.h", Struct("ares_softmax_params", fields), in_place=(0,)
        )
