"""What SelectiveScan is tried on: a table with what each case must reach, and the oracle in decimals of 60 digits."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Context, Decimal, localcontext
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from ares.ir import Tensor, frozen_array
from ares.numerics import decay_factors, plan_scan
from ares.ops.selective_scan import SelectiveScan, scan_range
from tests.ops.harness import codes

Array = npt.NDArray[Any]
Codes = tuple[Any, ...]  # dtype, scale, zero point, and lo, hi where they are not the type's

S8 = ("s8", 0.03, 0)
DIGITS = Context(prec=60)
# The oracle may not sit closer to a tie than the layer's proven error, or its code would be luck.
NEAR_TIE = Decimal(2) ** -21


@dataclass(frozen=True)
class Case:
    """`rates` are |A| of the states (each channel's times 1, 1.1, 1.2 ..); `gain` is D of every channel."""

    name: str
    shape: tuple[int, int]
    rates: tuple[float, ...]
    reaches: tuple[str, ...]
    gain: float = 1.0
    x: Codes = S8
    dt: Codes = ("u8", 0.0004, 0)
    b: Codes = S8
    c: Codes = S8
    y: Codes = ("s8", 0.01, 0)
    values: str = "normal"


PUBLISHED = tuple(float(n + 1) for n in range(16))
CLIPS = ("low clip", "high clip")
CASES = (
    Case(
        "published A, -1 to -16",
        (37, 5),
        PUBLISHED,
        (*CLIPS, "k of zero", "largest k", "A below -1", "D", "B-bar is dt B"),
        y=("s8", 0.02, 0),
    ),
    Case(
        "fast: A to -2000",
        (23, 3),
        (16.0, 200.0, 2000.0),
        ("A below -1", "B-bar is dt B", "state forgotten"),
        dt=("u8", 0.004, 0),
        gain=0.0,
        y=("s8", 0.013, 0),
    ),
    Case(
        "slow and long",
        (1024, 2),
        (1e-4, 1e-3, 0.07),
        ("state kept", "both signs"),
        y=("s8", 0.6, 0),
    ),
    Case(
        "slow, long and of one sign",
        (1021, 1),
        (1e-5, 1e-4),
        ("state kept", "high clip"),
        dt=("u8", 0.0004, 0, 0, 1),
        y=("s8", 0.05, 0),
        values="ends",
    ),
    Case(
        "zero points and u8",
        (19, 7),
        (1.0, 2.0, 3.0),
        ("odd zero points", *CLIPS, "D"),
        gain=-0.7,
        x=("u8", 0.02, 113),
        dt=("u8", 0.003, 3, 3, 255),
        b=("s8", 0.03, -7),
        c=("u8", 0.03, 131),
        y=("u8", 0.02, 127),
    ),
    Case(
        "4 bits",
        (11, 3),
        (1.0, 5.0),
        CLIPS,
        x=("s8", 0.4, 0, -8, 7),
        dt=("u8", 0.01, 0, 0, 15),
        b=("s8", 0.4, 0, -7, 7),
        c=("s8", 0.4, 0, -8, 7),
        y=("s8", 0.1, 0, -8, 7),
    ),
    Case("one of everything", (1, 1), (1.0,), ("D",), y=("s8", 0.02, 0)),
    Case(
        "twin poles that cancel",
        (131, 2),
        (1.0, 1.0001),
        ("both signs",),
        gain=0.0,
        dt=("u8", 0.0004, 0),
        c=("s8", 0.03, 0),
        y=("s8", 2e-5, 0),
        values="twins",
    ),
    Case("nine states", (13, 9), tuple(0.5 * n + 0.5 for n in range(9)), ("D",)),
    Case("seventeen states", (13, 9), tuple(0.5 * n + 0.5 for n in range(17)), ("D",)),
)


def tensors_of(case: Case) -> tuple[Tensor, ...]:
    steps, channels = case.shape
    wide, narrow = (1, steps, channels), (1, steps, len(case.rates))
    return (
        codes("x", wide, *case.x),
        codes("dt", wide, *case.dt),
        codes("b", narrow, *case.b),
        codes("c", narrow, *case.c),
        codes("y", wide, *case.y),
    )


def log_rates(case: Case) -> npt.NDArray[np.float32]:
    spread = 1.0 + 0.1 * np.arange(case.shape[1])[:, None]
    return np.log(spread * np.array(case.rates)).astype(np.float32)


def scale_of(tensor: Tensor) -> Fraction:
    return Fraction(tensor.scale or 0)


def operation_of(case: Case, tensors: tuple[Tensor, ...]) -> SelectiveScan:
    x, dt, b, c, y = tensors
    decay = decay_factors(log_rates(case).astype(np.float64), scale_of(dt))
    product = scale_of(c) * scale_of(dt) * scale_of(b)
    held, plan = plan_scan(
        int(decay.max()),
        [Fraction(case.gain) / product] * case.shape[1],
        product * scale_of(x) / scale_of(y),
        scan_range(tensors[:4]),
    )
    return SelectiveScan(
        "scan",
        ("x", "dt", "b", "c"),
        ("y",),
        frozen_array(decay, np.int64),
        frozen_array(held, np.int64),
        plan.fraction,
        plan.drop,
        plan.multiplier,
        plan.shift,
    )


def arrays_of(case: Case, tensors: tuple[Tensor, ...]) -> list[Array]:
    draw = np.random.Generator(np.random.Philox(key=len(case.name)))
    found = []
    for tensor in tensors[:4]:
        middle, spread = tensor.zero_point, (tensor.hi - tensor.lo) / 5
        raw = np.rint(draw.normal(middle, spread, tensor.shape))
        if tensor.name == "dt":
            raw = np.rint(tensor.lo - 4 + draw.exponential(spread, tensor.shape))
        found.append(np.clip(raw, tensor.lo, tensor.hi))
    if case.values == "ends":
        found = [np.full(tensor.shape, tensor.hi) for tensor in tensors[:4]]
    if case.values == "twins":
        found[2] = np.repeat(found[2][:, :, :1], 2, axis=2)
        found[3] = np.broadcast_to(np.array([127, -127]), tensors[3].shape)
    return [array.astype(t.dtype.numpy) for array, t in zip(found, tensors, strict=False)]


def reals_of(
    case: Case,
    tensors: tuple[Tensor, ...],
    arrays: list[Array],
    *,
    clip: float = np.inf,
    gain: bool = True,
    hold: bool = False,
) -> list[list[Decimal]]:
    """y in codes, [T][d_inner], before rounding; the options plant the faults that are known of this layer."""
    steps, channels = case.shape
    x, dt, b, c = (
        [[(int(q) - t.zero_point) for q in row] for row in array[0]]
        for array, t in zip(arrays, tensors, strict=False)
    )
    s_x, s_dt, s_b, s_c, s_y = (Decimal(t.scale or 0) for t in tensors)
    rates = log_rates(case)
    rows = [[Decimal(0)] * channels for _ in range(steps)]
    with localcontext(DIGITS):
        for d in range(channels):
            for n in range(len(case.rates)):
                rate = min(Decimal(float(rates[d, n])).exp(), Decimal(clip))
                factors: dict[int, Decimal] = {}
                h = Decimal(0)
                for t in range(steps):
                    k = dt[t][d]
                    factor = factors.setdefault(k, (-k * s_dt * rate).exp())
                    step = (1 - factor) / rate if hold else k * s_dt
                    h = factor * h + step * (b[t][n] * s_b) * (x[t][d] * s_x)
                    rows[t][d] += c[t][n] * s_c * h
            for t in range(steps):
                rows[t][d] += Decimal(case.gain if gain else 0) * x[t][d] * s_x
                rows[t][d] = rows[t][d] / s_y + tensors[4].zero_point
    return rows
