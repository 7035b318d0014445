"""What docs/numerics.md means, in Python's big integers and Fractions alone: the oracle for Python and C.

Imports nothing of ares and no numpy.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction

HALF = Fraction(1, 2)
S8, U8 = (-128, 127), (0, 255)
INT32 = (-(2**31), 2**31 - 1)


# The clauses.


def half_even(numerator: int, denominator: int) -> int:
    """N1: the integer nearest to a quotient; at a tie the even one. The denominator is positive."""
    below, rest = divmod(numerator, denominator)
    if 2 * rest == denominator:
        return below + below % 2
    return below + (2 * rest > denominator)


def nearest(value: Fraction) -> int:
    """N1 for a rational number."""
    return half_even(value.numerator, value.denominator)


def clamp(value: int, lo: int, hi: int) -> int:
    """N4."""
    return min(max(value, lo), hi)


def rescale(acc: int, multiplier: int, offset: int, shift: int, lo: int, hi: int) -> int:
    """N3 and N4."""
    return clamp(half_even(acc * multiplier + offset, 2**shift), lo, hi)


def step_code(value: int, thresholds: list[int], codes: list[int]) -> int:
    """N5."""
    return codes[sum(threshold <= value for threshold in thresholds)]


def quantize(x: Fraction, scale: Fraction, zero_point: int, lo: int, hi: int) -> int:
    """A real value to its code (N8), with no rounding but the one."""
    return clamp(nearest(x / scale + zero_point), lo, hi)


# binary32, by its definition: 24 significant bits, exponents from -126 to 127.


def to_binary32(value: Fraction) -> Fraction | float:
    """The binary32 number nearest to `value`, ties to the even mantissa; an infinity beyond the largest."""
    if value == 0:
        return Fraction(0)
    size = abs(value)
    exponent = size.numerator.bit_length() - size.denominator.bit_length()
    if Fraction(2) ** exponent > size:
        exponent -= 1
    unit = Fraction(2) ** (max(exponent, -126) - 23)
    rounded = nearest(value / unit) * unit
    if abs(rounded) >= Fraction(2) ** 128:
        return math.copysign(math.inf, value)
    return rounded


def from_bits(bits: int) -> Fraction | float:
    """The value of a binary32 bit pattern."""
    sign = -1 if bits >> 31 else 1
    exponent, mantissa = bits >> 23 & 0xFF, bits & 0x7FFFFF
    if exponent == 255:
        return math.nan if mantissa else sign * math.inf
    if exponent:
        mantissa += 2**23
    return sign * mantissa * Fraction(2) ** (max(exponent, 1) - 150)


def to_bits(value: Fraction | float) -> int:
    """The bit pattern of a binary32 value (zero is +0)."""
    if isinstance(value, float):
        return 0x7FC00000 if math.isnan(value) else 0x7F800000 | (value < 0) << 31
    sign = (value < 0) << 31
    size = abs(value)
    if size < Fraction(2) ** -126:
        return sign | int(size * 2**149)
    exponent = size.numerator.bit_length() - size.denominator.bit_length()
    if Fraction(2) ** exponent > size:
        exponent -= 1
    return sign | (exponent + 127) << 23 | int(size / Fraction(2) ** (exponent - 23)) - 2**23


Binary32 = Fraction | float  # a float is an infinity or NaN; zero has no sign
Steps = Sequence[tuple[str, Fraction]]  # (kind, constant)


ARITHMETIC: dict[str, Callable[[Fraction, Fraction], Fraction]] = {
    "add": lambda x, constant: x + constant,
    "sub": lambda x, constant: x - constant,
    "rsub": lambda x, constant: constant - x,
    "mul": lambda x, constant: x * constant,
    "div": lambda x, constant: x / constant,
}


def stepped(x: Binary32, kind: str, constant: Fraction) -> Binary32:
    """One step of N6: a single operation of binary32 numbers, rounded once. It divides by no zero."""
    if kind == "sign":
        return constant if x >= 0 else -constant  # NaN is not at least zero
    if isinstance(x, float):
        if math.isnan(x) or (kind == "mul" and not constant):
            return math.nan
        turns = kind == "rsub" or (kind in ("mul", "div") and constant < 0)
        return -x if turns else x
    return to_binary32(ARITHMETIC[kind](x, constant))


def quantize_binary32(
    bits: int, scale: Fraction, zero_point: int, lo: int, hi: int, steps: Steps = ()
) -> int:
    """N6: the steps, the quotient and the sum, each rounded to binary32, then the integer."""
    x = from_bits(bits)
    for kind, constant in steps:
        x = stepped(x, kind, constant)
    if isinstance(x, float):
        return zero_point if math.isnan(x) else hi if x > 0 else lo
    quotient = to_binary32(x / scale)
    if isinstance(quotient, float):
        return hi if quotient > 0 else lo
    shifted = to_binary32(quotient + zero_point)
    assert isinstance(shifted, Fraction)
    return clamp(nearest(shifted), lo, hi)


def real_output(acc: int, scale: Fraction, bias: Fraction | None) -> Fraction | float:
    """N9: conversion, product and sum, each rounded to binary32."""
    value = to_binary32(Fraction(acc))
    assert isinstance(value, Fraction)
    value = to_binary32(value * scale)
    if bias is None or isinstance(value, float):
        return value
    return to_binary32(value + bias)


# Functions of real numbers, in fixed point with BITS binary digits after the point (N7).

BITS = 384
ONE = 1 << BITS


def _exp(x: Fraction) -> int:
    """e**x for 0 <= x < 300."""
    fixed = int(x * ONE)
    total = term = ONE
    n = 0
    while term:
        n += 1
        term = term * fixed // (n << BITS)
        total += term
    return total


def _pi() -> int:
    """Machin: pi / 4 = 4 atan(1/5) - atan(1/239)."""

    def atan_of_inverse(n: int) -> int:
        total, power, k = 0, ONE // n, 0
        while power:
            total += (power if k % 2 == 0 else -power) // (2 * k + 1)
            power //= n * n
            k += 1
        return total

    return 4 * (4 * atan_of_inverse(5) - atan_of_inverse(239))


PI = _pi()


def gelu(x: Fraction) -> Fraction:
    """x * Phi(x), within 2**-150. Phi(x) = 1/2 + phi(x) * sum of x**(2n+1) / (1 * 3 * ... * (2n+1))."""
    if abs(x) > 17:
        return max(x, Fraction(0))
    fixed = int(abs(x) * ONE)
    square = fixed * fixed >> BITS
    total = term = fixed
    n = 1
    while term:
        n += 2
        term = term * square // (n << BITS)
        total += term
    density = ONE * ONE // (_exp(x * x / 2) * math.isqrt(2 * PI << BITS) >> BITS)
    inner = total * density >> BITS
    return x * (HALF + Fraction(inner if x > 0 else -inner, ONE))


def gelu_tanh(x: Fraction) -> Fraction:
    """x / 2 * (1 + tanh(u)) = x * (1 - 1 / (1 + e**(2u))), u = sqrt(2 / pi) * (x + 0.044715 x**3)."""
    root = Fraction(math.isqrt((2 * ONE * ONE // PI) << BITS), ONE)
    double = 2 * root * (abs(x) + Fraction(44715, 10**6) * abs(x) ** 3)
    if double > 280:
        return max(x, Fraction(0))
    tail = Fraction(ONE, ONE + _exp(double))
    return x * (1 - tail if x > 0 else tail)


def sigmoid(x: Fraction) -> Fraction:
    """1 / (1 + e**-x), within 2**-380."""
    if abs(x) > 280:
        return Fraction(x > 0)
    power = _exp(abs(x))
    return Fraction(power if x > 0 else ONE, ONE + power)


def tanh(x: Fraction) -> Fraction:
    return 2 * sigmoid(2 * x) - 1


def elu(x: Fraction, alpha: Fraction = Fraction(1)) -> Fraction:
    """x above zero, alpha * (e**x - 1) below."""
    if x > 0:
        return x
    return alpha * (Fraction(ONE, _exp(-x)) - 1 if x > -280 else -1)


def hardswish(x: Fraction) -> Fraction:
    return x * min(max(x + 3, Fraction(0)), Fraction(6)) / 6


def leaky_relu(x: Fraction, slope: Fraction = Fraction(1, 100)) -> Fraction:
    return x if x > 0 else slope * x


def _log(value: Fraction) -> Fraction:
    """The natural logarithm of a number of at least 1: 2 atanh((v - 1) / (v + 1)), powers of two apart."""

    def twice_atanh(y: Fraction) -> Fraction:
        fixed = int(abs(y) * ONE)
        square, power, total, n = fixed * fixed >> BITS, fixed, 0, 1
        while power:
            total += power // n
            power, n = power * square >> BITS, n + 2
        return Fraction(2 * total if y > 0 else -2 * total, ONE)

    twos = 0
    while value > Fraction(3, 2):
        value, twos = value / 2, twos + 1
    return twice_atanh((value - 1) / (value + 1)) + twos * twice_atanh(Fraction(1, 3))


def softplus(x: Fraction, beta: Fraction = Fraction(1), threshold: int = 20) -> Fraction:
    """log(1 + e**(beta * x)) / beta; x itself where beta * x passes the threshold."""
    z = beta * x
    if z > threshold:
        return x
    return _log(1 + (Fraction(_exp(z), ONE) if z > 0 else Fraction(ONE, _exp(-z)))) / beta


def hardsigmoid(x: Fraction) -> Fraction:
    return min(max(x + 3, Fraction(0)), Fraction(6)) / 6


def mish(x: Fraction) -> Fraction:
    """x * tanh(log(1 + w)) = x * (w**2 + 2 w) / (w**2 + 2 w + 2), w = e**x."""
    if abs(x) > 280:
        return max(x, Fraction(0))
    w = Fraction(_exp(x), ONE) if x > 0 else Fraction(ONE, _exp(-x))
    return x * (w * w + 2 * w) / (w * w + 2 * w + 2)


def selu(x: Fraction) -> Fraction:
    """PyTorch's constants, to all the digits that its documentation has."""
    scale = Fraction("1.0507009873554804934193349852946")
    return scale * elu(x, Fraction("1.6732632423543772848170429916717"))


def celu(x: Fraction, alpha: Fraction = Fraction(1)) -> Fraction:
    """x above zero, alpha * (e**(x / alpha) - 1) below."""
    return x if x > 0 else elu(x / alpha, alpha)


def softsign(x: Fraction) -> Fraction:
    return x / (1 + abs(x))


def log_sigmoid(x: Fraction) -> Fraction:
    """log(1 / (1 + e**-x)), with no threshold."""
    if abs(x) > 280:
        return min(x, Fraction(0))
    return -_log(1 + (Fraction(_exp(-x), ONE) if x < 0 else Fraction(ONE, _exp(x))))


def clip(x: Fraction, lo: Fraction | None, hi: Fraction | None) -> Fraction:
    """The nearest number to x in [lo, hi]; None: no limit on that side."""
    x = x if lo is None else max(x, lo)
    return x if hi is None else min(x, hi)


FUNCTIONS: dict[str, Callable[[Fraction], Fraction]] = {
    "identity": lambda x: x,
    "relu": lambda x: max(x, Fraction(0)),
    "gelu": gelu,
    "gelu_tanh": gelu_tanh,
    "silu": lambda x: x * sigmoid(x),
    "sigmoid": sigmoid,
    "tanh": tanh,
    "hardswish": hardswish,
    "elu": elu,
    "leaky_relu": leaky_relu,
    "softplus": softplus,
    "hardsigmoid": hardsigmoid,
    "mish": mish,
    "selu": selu,
    "softsign": softsign,
    "log_sigmoid": log_sigmoid,
}
