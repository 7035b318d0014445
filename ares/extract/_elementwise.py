"""One mechanism for every unary function: fused into what comes before, or a table from codes to codes."""

from __future__ import annotations

from ares.extract._call import Call
from ares.extract._quantizers import Quantizer
from ares.extract._values import Codes, Real, Value
from ares.numerics import Function, lookup_table
from ares.ops import KernelOperation


def apply_function(
    call: Call, function: Function, operation: type[KernelOperation], value: Value | None = None
) -> Value:
    """`function` of a value, by default the call's first argument; `operation` (field `table`) serves codes."""
    if value is None:
        value = call.x
    if isinstance(value, Real):
        return value.then(function)
    if not isinstance(value, Codes):
        return value
    codes, source = value.tensor, call.tensor(value)

    def finish(quantizer: Quantizer) -> str:
        table = lookup_table(quantizer.function, source, quantizer.tensor())
        return call.add(operation, (codes,), quantizer, table=table)

    return Real(f"the real output of {call.name} ({call.layer_type})", finish, function)
