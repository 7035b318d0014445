"""Softmax right behind a product of two tensors of codes: both are one operation, with the quantiser after softmax."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import numpy.typing as npt

from ares.extract._call import Call
from ares.extract._product import Product
from ares.extract._quantizers import Quantizer
from ares.extract._rescaling import real_value
from ares.extract._values import Value
from ares.numerics import NumericsError, exp_tables, plan_reciprocal
from ares.ops.matmul_softmax import MatmulSoftmax


def softmax_of_product(
    call: Call, product: Product, step: Fraction, kept: npt.NDArray[np.uint8], advice: str
) -> Value:
    """The probabilities of scores that are `step` times the product's sums; `kept` as the operation has it."""

    def finish(quantizer: Quantizer) -> str:
        if not quantizer.only_limits:
            raise call.fault(f"{quantizer.function.name} is applied to its probabilities", advice)
        try:
            mantissas, exponents = exp_tables(step, 2 * product.bound)
            numerator, exponent = plan_reciprocal(quantizer.scale)
        except NumericsError as error:
            raise call.fault(str(error), "check the scales before and after it") from None
        return call.add(
            MatmulSoftmax,
            product.factors,
            quantizer,
            mantissas=mantissas,
            exponents=exponents,
            numerator=numerator,
            exponent=exponent,
            kept=kept,
        )

    return real_value(call, finish, what=f"the probabilities of {call.name}", advice=advice)
