"""Functions of real numbers to fifty digits, from their series: no library's rounding is in them."""

from __future__ import annotations

from decimal import Context, Decimal
from fractions import Fraction

_CONTEXT = Context(prec=50)
PI = Fraction("3.14159265358979323846264338327950288419716939937510")


def exp(x: Fraction) -> Fraction:
    """e to the x."""
    return Fraction(_CONTEXT.exp(_decimal(x)))


def root(x: Fraction) -> Fraction:
    """The square root."""
    return Fraction(_CONTEXT.sqrt(_decimal(x)))


def sigmoid(x: Fraction) -> Fraction:
    """1 / (1 + e to the -x)."""
    return 1 / (1 + exp(-x))


def tanh(x: Fraction) -> Fraction:
    """The hyperbolic tangent."""
    return 2 * sigmoid(2 * x) - 1


def erf(x: Fraction) -> Fraction:
    """The error function, by its series about zero; 1 or -1 beyond 8, where fifty digits see no difference to 30."""
    if abs(x) > 8:
        return Fraction(1 if x > 0 else -1)
    limit = Fraction(1, 10**40)
    total = term = Fraction(x)
    number = 0
    while abs(term) > limit:
        number += 1
        term = _short(-term * x * x / number)
        total += term / (2 * number + 1)
    return 2 * total / root(PI)


def _short(value: Fraction) -> Fraction:
    """With few digits: a series of fractions would grow beyond all bounds."""
    return Fraction(round(value * 2**256), 2**256)


def _decimal(x: Fraction) -> Decimal:
    return _CONTEXT.divide(Decimal(x.numerator), Decimal(x.denominator))
