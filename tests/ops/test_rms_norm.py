"""RMSNorm: oracle -> reference -> C (N11), one program for all cases."""

from __future__ import annotations

from typing import Any

from ares.ops.rms_norm import RmsNorm
from tests.ops.norms import Case, check_cases

CASES = (
    Case(
        "tokens, prime",
        (1, 12, 37),
        1,
        ("s8", 0.05, 0),
        ("s8", 3 / 127, 0),
        reaches=("prime size", "constant group", "full range", "low clip", "high clip"),
    ),
    Case(
        "weights, odd zero points",
        (1, 12, 257),
        1,
        ("u8", 0.03, 3),
        ("u8", 8 / 255, 131),
        tuple((-1) ** i * 2.0 ** -(i % 21) for i in range(257)),
        reaches=("prime size", "odd zero points", "code above 127", "negative gamma", "positive"),
    ),
    Case(
        "a single code that is not zero",
        (1, 12, 11),
        1,
        ("s8", 0.01, 5),
        ("s8", 0.02, 1),
        reaches=("one code off", "prime size", "low clip"),
    ),
    Case(
        "huge weights",
        (1, 6, 64),
        1,
        ("u8", 1e-6, 0),
        ("s8", 0.01, 0),
        (3000.0, -3.0) * 32,
        epsilon=1e-6,
        reaches=("negative gamma", "negative", "positive"),
    ),
    Case("two axes", (1, 4, 3, 5), 2, ("s8", 0.1, 0), ("s8", 0.02, 0), reaches=("positive",)),
    Case("one value", (1, 5, 1), 1, ("s8", 0.1, 0), ("s8", 0.01, 1), reaches=("negative",)),
    Case(
        "GELU",
        (1, 6, 13),
        1,
        ("s8", 0.05, 0),
        ("s8", 3 / 127, -3),
        (1.5,),
        function="gelu",
        reaches=("negative", "positive"),
    ),
)


def _layer(name: str, x: str, y: str, axes: int, constants: Any) -> RmsNorm:
    return RmsNorm(name, (x,), (y,), *constants, axes)


def test_all_cases_in_one_program() -> None:
    check_cases(CASES, _layer, is_centred=False)
