"""The integer arithmetic of ARES in Python: clauses N1 to N18 of `docs/numerics.md`.

Operations compute with it; extraction and the planner choose its constants. The C side of each clause is
`runtime/inc/numerics.h`.
"""

from ares.numerics.accumulate import INT32_MAX, NumericsError, exact_matmul
from ares.numerics.functions import (
    FUNCTIONS,
    IDENTITY,
    RELU,
    SIGN,
    Function,
    affine,
    celu,
    clip,
    compose,
    elu,
    leaky_relu,
    sign,
    softplus,
)
from ares.numerics.norms import plan_norm
from ares.numerics.pointwise import PLAIN, Pointwise, plan_pointwise, plan_sum
from ares.numerics.quantize import FloatStep, FloatStepKind, quantize_f32
from ares.numerics.rescale import Rescale, plan_rescale, plan_weighted_sum
from ares.numerics.rotary import plan_rotation, rotation_tables
from ares.numerics.rounding import round_half_even_shift, wide_round
from ares.numerics.scan import ScanPlan, ScanRange, decay_factors, plan_scan
from ares.numerics.softmax import (
    LONGEST_ROW,
    exp_table,
    exp_tables,
    plan_reciprocal,
    softmax_codes,
)
from ares.numerics.steps import StepIndex, index_steps
from ares.numerics.tables import code_limits, lookup_table, plan_function
from ares.numerics.truncation import plan_truncation

__all__ = [
    "FUNCTIONS",
    "IDENTITY",
    "INT32_MAX",
    "LONGEST_ROW",
    "PLAIN",
    "RELU",
    "SIGN",
    "FloatStep",
    "FloatStepKind",
    "Function",
    "NumericsError",
    "Pointwise",
    "Rescale",
    "ScanPlan",
    "ScanRange",
    "StepIndex",
    "affine",
    "celu",
    "clip",
    "code_limits",
    "compose",
    "decay_factors",
    "elu",
    "exact_matmul",
    "exp_table",
    "exp_tables",
    "index_steps",
    "leaky_relu",
    "lookup_table",
    "plan_function",
    "plan_norm",
    "plan_pointwise",
    "plan_reciprocal",
    "plan_rescale",
    "plan_rotation",
    "plan_scan",
    "plan_sum",
    "plan_truncation",
    "plan_weighted_sum",
    "quantize_f32",
    "rotation_tables",
    "round_half_even_shift",
    "sign",
    "softmax_codes",
    "softplus",
    "wide_round",
]
