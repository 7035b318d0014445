"""LayerNorm: oracle -> reference -> C (N11), one program for all cases."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from ares.ir import GraphError, frozen_array
from ares.numerics import Rescale
from ares.ops.layer_norm import LayerNorm
from tests.numerics import oracle
from tests.ops.harness import check_operation, codes
from tests.ops.norms import Case, build, check_cases, normalised, patterned, real_codes


def _gammas(count: int, size: float = 1.0) -> tuple[float, ...]:
    """Both signs, zero, and magnitudes from 2**-20 to `size`."""
    return tuple(size * (-1) ** i * (i % 5 and 2.0 ** -(i % 21)) for i in range(count))


def _cancelling(count: int) -> tuple[float, ...]:
    """Betas that take away some 1600 codes: gamma * normalised of an outlier, sqrt(n - 1) times gamma."""
    return tuple((i % 9 - 4 - 40 * np.sqrt(count - 1)) * (-1) ** i for i in range(count))


CASES = (
    Case(
        "tokens, prime",
        (1, 12, 37),
        1,
        ("s8", 0.05, 0),
        ("s8", 4 / 127, 0),
        reaches=("prime size", "constant group", "one code off", "full range", "high clip"),
    ),
    Case(
        "affine, odd zero points",
        (1, 12, 131),
        1,
        ("u8", 0.03, 117),
        ("u8", 8 / 255, 131),
        _gammas(131, 2.0),
        tuple(0.1 * (i % 7 - 3) for i in range(131)),
        reaches=("prime size", "odd zero points", "code above 127", "negative gamma", "low clip"),
    ),
    Case(
        "beta halfway between two codes",
        (1, 6, 16),
        1,
        ("s8", 0.25, -5),
        ("s8", 0.125, 3),
        (1.0, -1.0) * 8,
        tuple(0.0625 * (2 * i - 15) for i in range(16)),
        reaches=("tie to the code above", "tie to the code below", "constant group"),
    ),
    Case(
        "huge gamma",
        (1, 6, 64),
        1,
        ("s8", 0.05, 0),
        ("s8", 0.01, -3),
        _gammas(64, 2.0**20),
        reaches=("negative gamma", "low clip", "high clip", "negative"),
    ),
    Case(
        "gamma and beta cancel",
        (1, 12, 41),
        1,
        ("s8", 0.1, 0),
        ("s8", 0.16, 0),
        tuple(40.0 * (-1) ** i for i in range(41)),
        _cancelling(41),
        reaches=("cancelling beta", "negative gamma", "low clip", "high clip"),
    ),
    Case(
        "variance below eps",
        (1, 6, 127),
        1,
        ("s8", 1e-4, 0),
        ("s8", 1e-3, 0),
        (0.3,),
        epsilon=1e-3,
        reaches=("prime size", "negative", "positive"),
    ),
    Case(
        "tiny eps",
        (1, 6, 17),
        1,
        ("s8", 3.7, 0),
        ("s8", 0.03, 0),
        epsilon=1e-30,
        reaches=("one code off", "constant group", "high clip"),
    ),
    Case(
        "4 bits",
        (1, 6, 13),
        1,
        ("s8", 0.4, 0, -8, 7),
        ("u8", 0.2, 7, 0, 15),
        reaches=("low clip", "high clip", "prime size"),
    ),
    Case(
        "several axes, as after a convolution",
        (1, 3, 4, 5),
        3,
        ("u8", 0.02, 0),
        ("s8", 0.02, 0),
        _gammas(60),
        (0.5,),
        reaches=("negative gamma", "code above 127"),
    ),
    Case(
        "two axes of N C H W",
        (1, 6, 5, 7),
        2,
        ("s8", 0.1, 9),
        ("s8", 0.03, 0),
        reaches=("one code off",),
    ),
    Case("N F", (1, 784), 1, ("u8", 1 / 255, 0), ("s8", 4 / 127, 0), reaches=("full range",)),
    Case(
        "two values",
        (1, 12, 2),
        1,
        ("s8", 0.1, 0),
        ("s8", 0.0079, 0),
        (0.9, -1.1),
        reaches=("one code off", "low clip"),
    ),
    Case(
        "one value",
        (1, 5, 1),
        1,
        ("s8", 0.1, 0),
        ("s8", 0.5, 1),
        beta=(1.25,),
        reaches=("tie to the code above",),
    ),
    Case(
        "GELU",
        (1, 12, 24),
        1,
        ("s8", 0.05, 0),
        ("s8", 1 / 127, -3),
        _gammas(24, 2.0),
        tuple(0.25 * (i % 5 - 2) for i in range(24)),
        function="gelu",
        reaches=("negative", "positive", "high clip"),
    ),
    Case(
        "ReLU",
        (1, 6, 24),
        1,
        ("s8", 0.05, 0),
        ("u8", 3 / 255, 0),
        function="relu",
        reaches=("positive", "high clip"),
    ),
)


def _layer(name: str, x: str, y: str, axes: int, constants: Any) -> LayerNorm:
    return LayerNorm(name, (x,), (y,), *constants, axes)


def test_all_cases_in_one_program() -> None:
    check_cases(CASES, _layer, is_centred=True)


def test_beside_a_tie() -> None:
    """2**-21 codes to either side of ties, 2**13 codes of which cancel: every digit of the inverse root counts."""
    shape = (1, 8, 61)
    codes_in = patterned(Case("", shape, 1, (), ()), 8, 61, codes("x", shape), 9)[:, 6:7]
    values = normalised(codes_in.ravel().tolist(), Fraction(0.1), Fraction(1e-5), True)
    beside = [i % 7 - 3 + Fraction(1, 2) + Fraction((-1) ** (i // 2), 2**21) for i in range(61)]
    betas = [float(near - 2**13 * value) for near, value in zip(beside, values, strict=True)]
    case = Case("", (1, 1, 61), 1, ("s8", 0.1, 0), ("s8", 1.0, 0), (2.0**13,), tuple(betas))
    source, target = codes("x", case.shape, *case.source), codes("y", case.shape, *case.target)
    operation, split = build(case, _layer, source, target, True)
    reals = list(real_codes(case, codes_in, split, True))
    distances = [abs(abs(real - round(real)) - Fraction(1, 2)) for real in reals]
    assert max(distances) < 2.0**-20.9
    assert min(distances) > 2.0**-21.1
    expected = np.array([oracle.nearest(real) for real in reals]).reshape(case.shape)
    check_operation(operation, [source], [target], [codes_in], [expected])


def _plain(channels: int) -> Rescale:
    many = channels, np.int64
    return Rescale(
        frozen_array(np.ones(*many), np.int32),
        frozen_array(np.zeros(*many), np.int64),
        frozen_array(np.ones(*many), np.uint8),
        -128,
        127,
        frozen_array([], np.int32),
        frozen_array([], np.int16),
    )


@pytest.mark.parametrize(
    ("shape", "axes", "constants", "message"),
    [
        ((1, 5), 2, (0, 1, _plain(1)), "over 2 axes of"),
        ((1, 5), 0, (0, 1, _plain(1)), "axis 0 is the batch"),
        ((1, 5), 1, (0, 1, _plain(4)), "4 multipliers for 5 channels"),
        ((1, 2**17 + 1), 1, (0, 1, _plain(1)), "at most 131072"),
        ((1, 5), 1, (0, 0, _plain(1)), "may pass 64 bits"),
        ((1, 5), 1, (1, 1, _plain(1)), "may pass 64 bits"),
        ((1, 5), 1, (44, 2**63, _plain(1)), "may pass 64 bits"),
    ],
)
def test_what_does_not_fit_is_refused(
    shape: tuple[int, ...], axes: int, constants: Any, message: str
) -> None:
    with pytest.raises(GraphError, match=message):
        _layer("norm", "x", "y", axes, constants).infer([codes("x", shape)])
