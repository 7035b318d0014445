"""Activation: oracle -> reference -> C (N7, N8)."""

from __future__ import annotations

from ares.ops.activation import Activation
from tests.ops.tables import Case, check_tables

CASES = (
    Case("sigmoid", ("s8", 1 / 16, 0), ("u8", 1 / 255, 0), ("rising", "code above 127")),
    Case("sigmoid", ("u8", 0.1, 129), ("s8", 1 / 128, 3), ("rising", "high clip")),
    Case("tanh", ("s8", 1 / 32, -5), ("s8", 1 / 64, 0), ("rising",)),
    Case("tanh", ("s8", 1 / 32, 0), ("s8", 0.3, 0, -2, 1), ("low clip", "high clip")),
    Case("elu", ("s8", 0.25, 0), ("s8", 0.5, 1), ("rising", "tie")),
    Case("hardswish", ("s8", 1 / 16, 0), ("s8", 1 / 32, 0), ("falling", "rising", "high clip")),
    Case("leaky_relu", ("s8", 0.5, 3), ("u8", 1.0, 7), ("rising", "tie")),
    Case("softplus", ("s8", 1 / 16, 0), ("u8", 0.1 / 255, 0), ("rising", "high clip")),
    Case("softplus", ("s8", 0.5, 0), ("u8", 0.25, 0), ("rising", "code above 127")),
)


def test_all_cases_in_one_program() -> None:
    check_tables(Activation, CASES)
