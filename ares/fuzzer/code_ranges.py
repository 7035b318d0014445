"""The largest codes of quantisers, from their options alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ares.fuzzer.recipe import Option


def largest_code(bits: int, signed: bool, narrow: bool) -> int:
    """What a quantiser divides its threshold by (Brevitas' IntScaling)."""
    if signed:
        return max(1, (1 << (bits - 1)) - int(narrow))
    return max(1, (1 << bits) - 1 - int(narrow))


def weight_code(options: Mapping[str, Option]) -> float:
    """The largest code of a layer's weights."""
    number: Mapping[str, Any] = options
    if number.get("weight_kind", "int") in ("binary", "ternary"):
        return 1.0
    bits = int(number.get("weight_bits", 8))
    return float(max(1, 2 ** (bits - 1) - 1))
