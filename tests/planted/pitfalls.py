"""Which planted faults are the rows of `docs/pitfalls.md`, table by table and row by row."""

from __future__ import annotations

ROWS: tuple[tuple[tuple[str, ...], ...], ...] = (
    (
        ("twin/softmax-of-integers",),
        ("twin/softmax-floored", "softmax/floored"),
        ("twin/norm-times-scale", "twin/group-norm-times-scale"),
        ("twin/scan-clipped", "twin/scan-shifted", "scan/clipped", "scan/dt-shifted"),
        ("twin/relu-signed", "twin/unsigned-read-as-signed", "requantiser/clip-of-s8"),
        ("evidence/dt-rank",),
        ("twin/rotary-along-heads", "rotary/position-by-head"),
        ("batch-norm/dropped",),
        ("twin/bias-truncated", "twin/bias-rounded"),
        ("twin/half-up", "twin/half-away", "twin/input-half-away", "quantise/half-away"),
        ("twin/input-zero-point-after", "quantise/zero-point-after"),
        ("twin/two-roundings",),
        ("twin/averages-cut", "pooling/average-cut"),
    ),
    (
        ("join/residual-from-the-wrong-layer",),
        ("move/flip-lost", "softmax/causal-lost"),
        ("join/swiglu-sides", "attention/queries-and-keys"),
        ("batch-norm/dropped",),
        ("requantiser/per-tensor", "requantiser/scale-of-a-neighbour"),
        ("golden/code", "golden/zeros"),
        ("pooling/last-row-unwritten", "runner/refused"),
        ("runner/no-output", "runner/no-end", "runner/256-errors"),
    ),
    (
        ("evidence/never-calibrated",),
        ("evidence/constant", "requantiser/no-offset"),
        ("runner/case-0-for-all", "golden/cases-exchanged"),
        ("golden/byte-of-a-case", "golden/zeros", "golden/state"),
        ("real/accumulator-of-24-bits",),
        ("comparator/tolerance", "requantiser/ratio-off-by-a-thousandth"),
        ("evidence/dt-rank",),
    ),
    (
        ("real/fused", "runner/probe"),
        ("runner/probe",),
        ("convolution/pairs-saturate", "runner/instruction-set"),
        ("requantiser/logical-shift", "requantiser/product-of-32-bits"),
        ("byte-order/multipliers", "runner/byte-order", "convolution/unsigned-read-as-signed"),
        ("trace/observer",),
        ("cache/stale-binary", "runner/signature"),
    ),
)
