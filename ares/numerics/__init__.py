"""The integer arithmetic of ARES in Python: clauses N1 to N10 of `docs/numerics.md`.

Operations, the planner and nothing else use it; the C side of each clause is `runtime/inc/numerics.h`.
"""

from ares.numerics.accumulate import INT32_MAX, NumericsError, exact_matmul
from ares.numerics.functions import FUNCTIONS, IDENTITY, RELU, Function, compose
from ares.numerics.quantize import quantize_f32
from ares.numerics.rescale import Rescale, plan_rescale, plan_weighted_sum
from ares.numerics.rounding import round_half_even_shift
from ares.numerics.tables import lookup_table, plan_function

__all__ = [
    "FUNCTIONS",
    "IDENTITY",
    "INT32_MAX",
    "RELU",
    "Function",
    "NumericsError",
    "Rescale",
    "compose",
    "exact_matmul",
    "lookup_table",
    "plan_function",
    "plan_rescale",
    "plan_weighted_sum",
    "quantize_f32",
    "round_half_even_shift",
]
