"""Silu: oracle -> reference -> C (N7, N8)."""

from __future__ import annotations

from ares.ops.silu import Silu
from tests.ops.tables import Case, check_tables

CASES = (
    Case("silu", ("s8", 1 / 32, 0), ("s8", 1 / 64, 0), ("falling", "rising", "high clip")),
    Case("silu", ("u8", 8 / 255, 117), ("u8", 4 / 255, 11), ("falling", "code above 127")),
    Case("silu", ("s8", 0.1, 3), ("s8", 0.2 / 127, -1), ("low clip", "high clip", "falling")),
    Case("silu", ("s8", 0.1, 0), ("s8", 0.2, 0, -8, 7), ("rising", "high clip")),
    Case("silu", ("s8", 9.0, 0), ("s8", 0.5, 0), ("rising", "high clip")),
)


def test_all_cases_in_one_program() -> None:
    check_tables(Silu, CASES)
