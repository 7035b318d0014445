"""SelectiveScan: the recurrence of a state space layer and the quantiser after it, one rounding.

eps: the bound that `ares.numerics.scan` proves is computed from the operation's own constants and the ranges of its
inputs, for the worst input, and a layer that passes 2**-20 is refused. Below it are layers whose sum |C| |h| could
reach 2**27 output codes at 80 steps, 2**24 at 1024 steps that forget nothing; trained ones have 2**10 to 2**20. Reached
is 2**-23, nearly all of it the 31 bits of the last multiplier. The float64 of the witness, some T * 2**-53 of that
same worst sum, is not counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ares.ir import CODES, OutputRule, Tensor
from ares.numerics import ScanPlan, ScanRange, round_half_even_shift
from ares.numerics.rounding import wide_round
from ares.numerics.scan import (
    MAX_WIDE_SHIFT,
    MIN_WIDE_SHIFT,
    STATE_BITS,
    multiply_q62,
    power_tables,
    scale_q62,
)
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

_STEP_BYTES = 16


def scan_range(inputs: Sequence[Tensor]) -> ScanRange:
    """What x, dt, B and C can be."""
    x, dt, b, c = inputs
    return ScanRange(
        steps=x.shape[1],
        states=b.shape[2],
        k=dt.hi - dt.zero_point,
        b=b.largest_magnitude,
        c=c.largest_magnitude,
        x=x.largest_magnitude,
    )


@dataclass(frozen=True, slots=True, eq=False)
class SelectiveScan(KernelOperation):
    """`h[d,n] = exp(-dt*|A|) * h[d,n] + dt*B[n]*x[d]`, `out[t,d] = rescale(sum over n of C[n]*h[d,n] + D*x[d])`

    Inputs x, dt [1, T, d_inner], B, C [1, T, d_state]; dt is never negative. decay int64 [d_inner, d_state] is
    exp(-s_dt * |A|) * 2**62, skip int64 [d_inner] is D in units of the sum (N15).
    """

    OP_TYPE = "OP_SELECTIVE_SCAN"
    LAYER_TYPE = "SelectiveScan"
    PYTHON_CLASS = "ares.nn.QuantSSM"
    EPS = 2.0**-20
    KERNEL = "selective_scan"

    decay: npt.NDArray[np.int64]
    skip: npt.NDArray[np.int64]
    fraction: int
    drop: int
    multiplier: int
    shift: int

    def infer(self, inputs: Sequence[Tensor]) -> tuple[OutputRule, ...]:
        require(len(inputs) == 4, f"{self.name}: {len(inputs)} inputs, expected x, dt, B and C")
        for source in inputs:
            require_codes(source)
            require(
                len(source.shape) == 3,
                f"{self.name}: {source.name!r} has rank {len(source.shape)}, expected 3",
            )
        x, dt, b, c = inputs
        require(
            x.shape == dt.shape
            and b.shape == c.shape
            and x.shape[:2] == b.shape[:2]
            and self.decay.shape == (x.shape[2], b.shape[2])
            and self.skip.shape == x.shape[2:],
            f"{self.name}: x {list(x.shape)}, dt {list(dt.shape)}, B {list(b.shape)} and C {list(c.shape)} do "
            f"not fit {self.decay.shape[0]} channels with {self.decay.shape[-1]} states",
        )
        require(
            dt.lo >= dt.zero_point,
            f"{self.name}: its dt has codes {dt.lo}..{dt.hi} with zero point {dt.zero_point} and may be negative",
        )
        self._require_proof(scan_range(inputs))
        return ((x.shape, CODES),)

    def _plan(self) -> ScanPlan:
        return ScanPlan(
            slowest=int(self.decay.max()),
            fraction=self.fraction,
            drop=self.drop,
            skip=max(int(self.skip.max()), -int(self.skip.min())),
            multiplier=self.multiplier,
            shift=self.shift,
        )

    def _require_proof(self, reach: ScanRange) -> None:
        plan = self._plan()
        require(
            int(self.decay.min()) >= 0
            and plan.slowest <= 2**62
            and min(self.fraction, self.drop) >= 1
            and max(self.fraction, self.drop) <= 60
            and 1 <= self.multiplier < 2**31
            and MIN_WIDE_SHIFT <= self.shift <= MAX_WIDE_SHIFT,
            f"{self.name}: constants outside their limits",
        )
        state, total = plan.state_bound(reach), plan.sum_bound(reach)
        require(
            max(state, total) <= 2**STATE_BITS,
            f"{self.name}: its state could reach {float(state):.3g} and its sum {float(total):.3g}, both "
            f"end at 2^{STATE_BITS}",
        )
        error = float(plan.error(reach))
        require(
            error <= self.EPS,
            f"{self.name}: its worst input is proven to {error:.2g} codes only, the limit is {self.EPS:.2g}: the "
            "scale of y is too fine for what dt, B, C and x could reach",
        )

    def proven_error(self, inputs: Sequence[Tensor]) -> float:
        """Proven bound of |value before the rounding - exact value|, in output codes."""
        return float(self._plan().error(scan_range(inputs)))

    def macs(self, site: Site) -> int:
        return int(2 * site.inputs[0].size * self.decay.shape[1])

    def layouts(
        self, site: Site, given: tuple[Layout, ...]
    ) -> tuple[tuple[Layout, ...], tuple[Layout, ...]]:
        del site, given
        return (row_major(3),) * 4, (row_major(3),)

    def reference(self, site: Site, arrays: Sequence[Array]) -> tuple[Array, ...]:
        (result,) = site.outputs
        x, k, b, c = (
            array[0].astype(np.int64) - tensor.zero_point
            for array, tensor in zip(arrays, site.inputs, strict=True)
        )
        low, high = power_tables(self.decay.astype(np.int64))
        channels = np.arange(x.shape[1])
        h = np.zeros(self.decay.shape, np.int64)
        sums = self.skip.astype(np.int64) * x
        for t in range(x.shape[0]):
            factor = multiply_q62(high[k[t] // 16, channels], low[k[t] % 16, channels])
            drive = (k[t] * x[t])[:, None] * b[t] << self.fraction
            h = scale_q62(h, factor) + drive
            sums[t] += (c[t] * round_half_even_shift(h, self.drop)).sum(axis=1)
        value = wide_round(sums, self.multiplier, self.shift, result.zero_point)
        return (np.clip(value, result.lo, result.hi)[None],)

    def lower(self, site: Site) -> KernelCall:
        (result,) = site.outputs
        x, dt, b, c = site.inputs
        fields = (
            ("steps", x.shape[1]),
            ("channels", x.shape[2]),
            ("states", b.shape[2]),
            ("x_zero_point", x.zero_point),
            ("x_signed", x.dtype.lo < 0),
            ("dt_zero_point", dt.zero_point),
            ("dt_signed", dt.dtype.lo < 0),
            ("b_zero_point", b.zero_point),
            ("b_signed", b.dtype.lo < 0),
            ("c_zero_point", c.zero_point),
            ("c_signed", c.dtype.lo < 0),
            ("fraction", self.fraction),
            ("drop", self.drop),
            ("multiplier", self.multiplier),
            ("shift", self.shift),
            ("output_zero_point", result.zero_point),
            ("lo", result.lo),
            ("hi", result.hi),
            ("decay", self.decay),
            ("skip", self.skip),
        )
        return KernelCall(
            "ares_selective_scan",
            "selective_scan.h",
            Struct("ares_selective_scan_params", fields),
            scratch=_STEP_BYTES * x.shape[1],
        )
