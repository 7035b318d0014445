"""Softmax of a product of two tensors of codes, between which nothing is quantised, and the quantiser after it.

eps: as `ares.ops.softmax`, but that an exponential is a product of up to three entries: 2**-32 for each and for each
rounding, 5 * 2**-32 of it. That of the key, that of the sum and the rest, 5.01 * 2**-32 as there, make 15.01 * 2**-32
of at most 255.5 codes: 2**-20.1. The scores themselves are exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import numpy.typing as npt

from ares.ir import CODES, OutputRule, Tensor
from ares.numerics import LONGEST_ROW, exact_matmul, softmax_codes
from ares.ops._matmul import require_factors, turned
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
from ares.ops._panels import TILE_ROWS, padded, token_rows_scratch


@dataclass(frozen=True, slots=True, eq=False)
class MatmulSoftmax(KernelOperation):
    """`out[...,i,j] = clamp(round(exp(s * acc[...,i,j]) / sum over kept j of it / scale_out + z_out))`

    acc[...,i,j] = sum over k of (a[...,i,k] - z_a) * (b[...,k,j] - z_b). Inputs of one rank, 3 or more, with the same
    sizes before the last two axes, or with ones there in the second; up to 2048 keys j. `kept` [m, keys]: row i of all
    keeps the keys with a one in row i mod m, the others get the code of zero; empty where it keeps all. `mantissas`,
    `exponents` [digits, base]: exp(-k * s); `numerator`, `exponent`: 1 / scale_out (N13).
    """

    OP_TYPE = "OP_MATMUL_SOFTMAX"
    LAYER_TYPE = "MatMulSoftmax"
    PYTHON_CLASS = "brevitas.nn.QuantMultiheadAttention"
    EPS = 2.0**-20
    KERNEL = "matmul_softmax"

    mantissas: npt.NDArray[np.uint32]
    exponents: npt.NDArray[np.uint8]
    numerator: int
    exponent: int
    kept: npt.NDArray[np.uint8]

    def infer(self, inputs: Sequence[Tensor]) -> tuple[OutputRule, ...]:
        shape = require_factors(self.name, *inputs)
        keys = shape[-1]
        require(
            keys <= LONGEST_ROW,
            f"{self.name}: rows of {keys} keys, expected at most {LONGEST_ROW}",
        )
        require(
            self.mantissas.shape == self.exponents.shape
            and self.mantissas.ndim == 2
            and 1 <= len(self.mantissas) <= 3
            and self.mantissas.shape[1] in (256, 512, 1024, 2048)
            and 2**31 <= self.numerator < 2**32
            and -64 <= self.exponent <= -1,
            f"{self.name}: expected one to three tables of 256 to 2048 and a reciprocal of 32 bits",
        )
        require(
            not self.kept.size
            or (
                self.kept.ndim == 2
                and self.kept.shape[1] == keys
                and prod(shape[:-1]) % self.kept.shape[0] == 0
                and bool(self.kept.any(axis=1).all())
            ),
            f"{self.name}: a mask of shape {list(self.kept.shape)} for scores of {list(shape)}, or a row of it keeps "
            "no key",
        )
        return ((shape, CODES),)

    def accumulator_bound(self, site: Site) -> int:
        first, second = site.inputs
        return first.shape[-1] * first.largest_magnitude * second.largest_magnitude

    def macs(self, site: Site) -> int:
        return site.outputs[0].size * site.inputs[0].shape[-1]

    def layouts(
        self, site: Site, given: tuple[Layout, ...]
    ) -> tuple[tuple[Layout, ...], tuple[Layout, ...]]:
        del given
        rows = row_major(len(site.inputs[0].shape))
        return (rows, turned(rows)), (rows,)

    def reference(self, site: Site, arrays: Sequence[Array]) -> tuple[Array, ...]:
        a, b = (
            array.astype(int) - tensor.zero_point
            for array, tensor in zip(arrays, site.inputs, strict=True)
        )
        (target,) = site.outputs
        acc = exact_matmul(a, b).reshape(-1, target.shape[-1])
        kept: Array = np.ones((1, 1), np.bool_)
        if self.kept.size:
            kept = np.tile(self.kept.astype(np.bool_), (len(acc) // len(self.kept), 1))
        found = softmax_codes(
            acc,
            kept,
            (self.mantissas, self.exponents),
            (self.numerator, self.exponent),
            target.zero_point,
            target.lo,
            target.hi,
        )
        return (found.reshape(target.shape),)

    def lower(self, site: Site) -> KernelCall:
        (first, second), (target,) = site.inputs, site.outputs
        *groups, queries, depth = first.shape
        keys = second.shape[-1]
        fields = (
            ("groups", prod(groups)),
            ("queries", queries),
            ("keys", keys),
            ("depth", depth),
            ("shared", prod(second.shape[:-2]) < prod(groups)),
            ("query_zero_point", first.zero_point),
            ("query_signed", first.dtype.lo < 0),
            ("key_zero_point", second.zero_point),
            ("key_signed", second.dtype.lo < 0),
            ("mask_rows", len(self.kept)),
            ("mask", self.kept.reshape(-1)),
            ("digits", len(self.mantissas)),
            ("bits", self.mantissas.shape[1].bit_length() - 1),
            ("mantissas", self.mantissas),
            ("exponents", self.exponents),
            ("numerator", self.numerator),
            ("exponent", self.exponent),
            ("zero_point", target.zero_point),
            ("lo", target.lo),
            ("hi", target.hi),
        )
        return KernelCall(
            "ares_matmul_softmax",
            "matmul_softmax.h",
            Struct("ares_matmul_softmax_params", fields),
            scratch=(8 + 4 * TILE_ROWS + padded(depth)) * keys + token_rows_scratch(queries, depth),
        )
