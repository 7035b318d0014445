"""Sums of products, scaled and rounded once."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

from vectors.oracle.rounding import (
    binary32,
    clamped,
    half_away,
    half_down,
    half_even,
    half_to_zero,
    half_up,
    high_multiply,
    quantized_multiplier,
    saturated,
    wrapped,
    wraps,
)

Case = dict[str, Any]
Codes = list[int]


# Linear layers: out[o] = clamp(round(sum of (x - z_in) * w[o] * ratio[o] + bias[o] / scale_out + z_out)).


def _products(case: Mapping[str, Any], row: int) -> list[int]:
    weights = case["weight"][row]
    return [(x - case["input_zero_point"]) * w for x, w in zip(case["input"], weights, strict=True)]


def _ratio(case: Mapping[str, Any], row: int) -> Fraction:
    scales = [case["input_scale"], case["weight_scale"][row % len(case["weight_scale"])]]
    return Fraction(scales[0]) * Fraction(scales[1]) / Fraction(case["output_scale"])


def _bias(case: Mapping[str, Any], row: int) -> Fraction:
    return Fraction(case["bias"][row]) / Fraction(case["output_scale"])


def linear(
    case: Mapping[str, Any],
    *,
    rounds: Callable[[Fraction], int] = half_even,
    total: Callable[[Mapping[str, Any], int], int] | None = None,
    ratio: Callable[[Mapping[str, Any], int], Fraction] = _ratio,
    bias: Callable[[Mapping[str, Any], int], Fraction] = _bias,
    finish: Callable[[int, Mapping[str, Any]], int] = clamped,
) -> Codes:
    """The code of each output channel; every argument is a part that a fault may have otherwise."""
    found = []
    for row in range(len(case["weight"])):
        acc = total(case, row) if total else sum(_products(case, row))
        real = acc * ratio(case, row) + bias(case, row) + case["output_zero_point"]
        found.append(finish(rounds(real), case))
    return found


def after_rounding(case: Mapping[str, Any]) -> Codes:
    """The zero point added to what is rounded, as ONNX says."""
    zero = case["output_zero_point"]
    return linear(case, rounds=lambda real: half_even(real - zero) + zero)


def _twice_rounded(case: Mapping[str, Any]) -> Codes:
    """A high multiply that rounds, then a shift that rounds again (TensorFlow Lite's reference, CMSIS-NN)."""
    found = []
    for row in range(len(case["weight"])):
        multiplier, exponent = quantized_multiplier(_ratio(case, row))
        acc = sum(_products(case, row)) + half_even(_bias(case, row) / _ratio(case, row))
        acc = wrapped(acc << max(exponent, 0), 32)
        high = high_multiply(acc, multiplier)
        found.append(
            clamped(
                half_away(Fraction(high, 1 << max(-exponent, 0))) + case["output_zero_point"], case
            )
        )
    return found


def _in_33_bits(case: Mapping[str, Any]) -> Codes:
    """One rounding, of a sum that needs 33 bits and has 32 (CMSIS-NN#220)."""
    found = []
    for row in range(len(case["weight"])):
        multiplier, exponent = quantized_multiplier(_ratio(case, row))
        acc = sum(_products(case, row)) + half_even(_bias(case, row) / _ratio(case, row))
        shift = 30 - exponent
        high = wrapped((acc * multiplier >> shift) + 1, 32) if shift < 62 else 0
        found.append(clamped((high >> 1) + case["output_zero_point"], case))
    return found


def _in_binary32(case: Mapping[str, Any]) -> Codes:
    """Sum, scale, bias and zero point each rounded to binary32."""
    found = []
    for row in range(len(case["weight"])):
        total = 0.0
        for product in _products(case, row):
            total = binary32(total + product)
        scale = binary32(float(_ratio(case, row)))
        real = binary32(binary32(total * scale) + binary32(float(_bias(case, row))))
        found.append(clamped(half_even(Fraction(binary32(real + case["output_zero_point"]))), case))
    return found


def _pairs_of_16_bits(case: Mapping[str, Any], row: int) -> int:
    """u8 times s8, two products summed in 16 bits that saturate (VPMADDUBSW); s8 codes are moved by 128 for that."""
    moved = 128 if case["input_signed"] else 0
    weights = case["weight"][row]
    products = [(x + moved) * w for x, w in zip(case["input"], weights, strict=True)]
    pairs = [sum(products[k : k + 2]) for k in range(0, len(products), 2)]
    return sum(saturated(pair, 16) for pair in pairs) - (case["input_zero_point"] + moved) * sum(
        weights
    )


def _reads(case: Mapping[str, Any], change: Callable[[int], int]) -> Codes:
    return linear({**case, "input": [change(x) for x in case["input"]]})


def _of_weights(case: Mapping[str, Any], change: Callable[[int], int]) -> Codes:
    return linear({**case, "weight": [[change(w) for w in row] for row in case["weight"]]})


def _grid_bias(case: Mapping[str, Any], row: int) -> Fraction:
    ratio = _ratio(case, row)
    return half_even(_bias(case, row) / ratio) * ratio


def _few_bits(bits: int) -> Callable[[Mapping[str, Any], int], Fraction]:
    def planned(case: Mapping[str, Any], row: int) -> Fraction:
        multiplier, exponent = quantized_multiplier(_ratio(case, row))
        return (
            Fraction(half_even(Fraction(multiplier, 2 ** (31 - bits))))
            / 2**bits
            * Fraction(2) ** exponent
        )

    return planned


def _to_power_of_two(case: Mapping[str, Any], row: int) -> Fraction:
    ratio = _ratio(case, row)
    return Fraction(2) ** round(math.log2(float(ratio)))


def _no_input_zero(case: Mapping[str, Any]) -> Codes:
    return linear({**case, "input_zero_point": 0})


def _bias_behind(case: Mapping[str, Any]) -> Codes:
    """The sum is rounded, then the rounded bias added."""
    zero = case["output_zero_point"]
    found = []
    for row in range(len(case["weight"])):
        real = sum(_products(case, row)) * _ratio(case, row)
        found.append(clamped(half_even(real) + half_even(_bias(case, row)) + zero, case))
    return found


def _wraps_at_16(case: Mapping[str, Any], row: int) -> int:
    return wrapped(sum(_products(case, row)), 16)


def _saturates_at_16(case: Mapping[str, Any], row: int) -> int:
    return saturated(sum(_products(case, row)), 16)


def _all_but_the_last(case: Mapping[str, Any], row: int) -> int:
    return sum(_products(case, row)[:-1])


FAULTS: Mapping[str, tuple[str, Callable[[Case], Codes]]] = {
    "half up": ("ties go to the larger code", lambda c: linear(c, rounds=half_up)),
    "half down": ("ties go to the smaller code", lambda c: linear(c, rounds=half_down)),
    "half away": ("ties go away from zero", lambda c: linear(c, rounds=half_away)),
    "half to zero": ("ties go towards zero", lambda c: linear(c, rounds=half_to_zero)),
    "rounded down": ("a shift without rounding", lambda c: linear(c, rounds=math.floor)),
    "rounded up": ("rounded towards plus infinity", lambda c: linear(c, rounds=math.ceil)),
    "truncated": ("a cast to an integer", lambda c: linear(c, rounds=math.trunc)),
    "double rounding": ("a rounding multiply, then a rounding shift", _twice_rounded),
    "33-bit sum in 32": ("one rounding whose sum has one bit too few", _in_33_bits),
    "binary32": ("the sum and its scale in binary32", _in_binary32),
    "multiplier of 15 bits": (
        "as 16-bit multipliers have it",
        lambda c: linear(c, ratio=_few_bits(15)),
    ),
    "multiplier of 8 bits": (
        "as 8-bit multipliers have it",
        lambda c: linear(c, ratio=_few_bits(8)),
    ),
    "power of two": ("the scale rounded to a shift", lambda c: linear(c, ratio=_to_power_of_two)),
    "bias on the grid": (
        "the bias rounded to int32 of the sum",
        lambda c: linear(c, bias=_grid_bias),
    ),
    "bias after rounding": ("sum and bias rounded one by one", _bias_behind),
    "no bias": ("the bias left out", lambda c: linear(c, bias=lambda _c, _r: Fraction(0))),
    "zero point after rounding": ("ties with an odd zero point, as ONNX has it", after_rounding),
    "no output zero point": ("left out", lambda c: linear({**c, "output_zero_point": 0})),
    "no input zero point": ("left out", _no_input_zero),
    "wraps": ("no clamp before the cast to 8 bits", lambda c: linear(c, finish=wraps)),
    "clamped to -127": (
        "the smallest code is lost",
        lambda c: linear({**c, "lo": max(c["lo"], -127)}),
    ),
    "clamped before the zero point": ("limits of the wrong number", lambda c: _early_clamp(c)),
    "u8 read as s8": (
        "codes above 127 become negative",
        lambda c: _reads(c, lambda x: wrapped(x, 8)),
    ),
    "s8 read as u8": ("negative codes become large", lambda c: _reads(c, lambda x: x & 255)),
    "weight -128 as -127": (
        "the smallest weight is lost",
        lambda c: _of_weights(c, lambda w: max(w, -127)),
    ),
    "weights unsigned": (
        "negative weights become large",
        lambda c: _of_weights(c, lambda w: w & 255),
    ),
    "negative weights zero": (
        "a cast from unsigned (onnxruntime#28491)",
        lambda c: _of_weights(c, lambda w: max(w, 0)),
    ),
    "pairs saturate": (
        "two products summed in 16 bits (VPMADDUBSW)",
        lambda c: linear(c, total=_pairs_of_16_bits),
    ),
    "sum of 16 bits": (
        "the accumulator wraps",
        lambda c: linear(c, total=_wraps_at_16),
    ),
    "sum saturates at 16 bits": (
        "the accumulator saturates",
        lambda c: linear(c, total=_saturates_at_16),
    ),
    "first channel's scale": (
        "a scale for all",
        lambda c: linear(c, ratio=lambda d, _r: _ratio(d, 0)),
    ),
    "last weight left out": (
        "a loop that ends early",
        lambda c: linear(c, total=_all_but_the_last),
    ),
}


def _early_clamp(case: Mapping[str, Any]) -> Codes:
    zero = case["output_zero_point"]

    def finish(value: int, within: Mapping[str, Any]) -> int:
        return clamped(clamped(value - zero, within) + zero, within)

    return linear(case, finish=finish)


def draw(rng: random.Random, fault: str) -> Case:
    """One case: scales that meet ties half the time; both signs, odd sizes, both ends of everything.

    Sums that binary32 rounds are long, and taken back by their bias.
    """
    is_long = fault == "binary32"
    features, rows = rng.choice((1, 2, 3, 5, 8, 17)), rng.choice((1, 2, 3))
    is_signed, is_out_signed = rng.random() < 0.6, rng.random() < 0.6
    low, high = (-128, 127) if is_signed else (0, 255)
    out_low, out_high = (-128, 127) if is_out_signed else (0, 255)
    is_dyadic = rng.random() < 0.5 and not is_long
    codes = (low, low + 1, high - 1, high, rng.randint(low, high))
    weights = (-128, -127, 127, rng.randint(-128, 127), rng.randint(-20, 20))
    case = {
        "input": [rng.choice(codes) for _ in range(features)],
        "input_signed": is_signed,
        "input_scale": _scale(rng, is_dyadic, -8, -2),
        "input_zero_point": rng.choice((0, rng.randint(low, high))),
        "weight": [[rng.choice(weights) for _ in range(features)] for _ in range(rows)],
        "weight_scale": [_scale(rng, is_dyadic, -9, -4) for _ in range(rng.choice((1, rows)))],
        "output_scale": _scale(rng, is_dyadic, -11, -9 if is_long else 1),
        "output_zero_point": rng.choice((0, rng.randint(out_low, out_high))),
        "lo": out_low,
        "hi": out_high,
    }
    kind = 3 if is_long else rng.randrange(4)
    return {**case, "bias": [_drawn_bias(rng, case, row, kind) for row in range(rows)]}


def _scale(rng: random.Random, is_dyadic: bool, low: int, high: int) -> float:
    return 2.0 ** rng.randint(low, high) if is_dyadic else binary32(2.0 ** rng.uniform(low, high))


def _drawn_bias(rng: random.Random, case: Case, row: int, kind: int) -> float:
    """None, on the grid of the sum, anywhere, or what takes the sum back to small numbers."""
    unit = case["output_scale"]
    grid = case["input_scale"] * case["weight_scale"][0]
    if kind == 0:
        return 0.0
    if kind == 1:
        return binary32(rng.randint(-900, 900) * grid)
    if kind == 2:
        return binary32(rng.uniform(-3, 3) * unit)
    return binary32(
        rng.uniform(-100, 100) * unit - float(sum(_products(case, row)) * _ratio(case, row)) * unit
    )
