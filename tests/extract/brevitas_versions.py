"""What differs between the versions of Brevitas that ARES works with."""

from importlib import metadata

import pytest

try:
    from brevitas.quant.float_quant_ocp import (
        Fp8e4m3OCPActPerTensorFloat,
        Fp8e4m3OCPWeightPerTensorFloat,
    )
    from brevitas.quant.mx_quant_ocp import MXInt8Weight
except ModuleNotFoundError:  # 0.12 keeps them among the experimental ones
    from brevitas.quant.experimental.float_quant_ocp import (
        Fp8e4m3OCPActPerTensorFloat,
        Fp8e4m3OCPWeightPerTensorFloat,
    )
    from brevitas.quant.experimental.mx_quant_ocp import MXInt8Weight

__all__ = [
    "BEFORE_0_13",
    "Fp8e4m3OCPActPerTensorFloat",
    "Fp8e4m3OCPWeightPerTensorFloat",
    "MXInt8Weight",
    "not_in_0_12",
]

BEFORE_0_13 = metadata.version("brevitas").startswith("0.12.")


def not_in_0_12(what: str) -> pytest.MarkDecorator:
    """Mark a test that needs what Brevitas 0.12 lacks or does otherwise."""
    return pytest.mark.skipif(BEFORE_0_13, reason=f"Brevitas 0.12: {what}")
