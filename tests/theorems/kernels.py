"""Requantisation by micro-kernels (N3, N4): what is free in a call, and that the bytes are the clause's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import z3

from tests.theorems import statements
from tests.theorems.asking import Outcome, holds
from tests.theorems.bits import term
from tests.theorems.compiling import (
    NEON_32,
    NEON_64,
    PORTABLE,
    WASM,
    X86_AVX2,
    X86_AVX512,
    X86_SSE41,
    Build,
)
from tests.theorems.machine import Machine
from tests.theorems.ways import ways

LARGEST_SHIFT = 61


@dataclass(frozen=True, slots=True)
class Kernel:
    """A micro-kernel's requantisation: its function, the lanes of a vector, and whether its shifts may stay free.

    Where they may not (SSE4.1 and wasm multiply by powers of two; branches make it hard), they are taken one after the
    other.
    """

    build: Build
    function: str
    lanes: int
    free_shifts: bool = True


KERNELS = {
    "portable": Kernel(PORTABLE, "ares_requantize_portable", 1, free_shifts=False),
    "sse4.1": Kernel(X86_SSE41, "requantize_sse41", 4, free_shifts=False),
    "avx2": Kernel(X86_AVX2, "requantize_avx2", 8),
    "avx512": Kernel(X86_AVX512, "requantize_avx512", 16),
    "neon-64": Kernel(NEON_64, "ares_requantize_neon", 4),
    "neon-32": Kernel(NEON_32, "ares_requantize_neon", 4),
    "wasm": Kernel(WASM, "ares_requantize_wasm", 4, free_shifts=False),
}


# N3 and N4 by micro-kernels.


@dataclass(frozen=True, slots=True)
class Channels:
    """What is free in a call of a requantisation."""

    acc: list[Any]
    multiplier: list[Any]
    total: list[Any]
    shift: list[Any]
    lo: Any
    hi: Any

    @classmethod
    def free(cls, shifts: Sequence[int | None]) -> Channels:
        """As many as there are shifts, None for one that is free."""
        names = range(len(shifts))
        return cls(
            [z3.BitVec(f"acc{n}", 32) for n in names],
            [z3.BitVec(f"multiplier{n}", 32) for n in names],
            [z3.BitVec(f"total{n}", 64) for n in names],
            [
                z3.BitVec(f"shift{n}", 8) if shift is None else shift
                for n, shift in enumerate(shifts)
            ],
            z3.BitVec("lo", 32),
            z3.BitVec("hi", 32),
        )

    @property
    def assumed(self) -> list[Any]:
        ranges = [
            z3.And(z3.UGE(shift, 1), z3.ULE(shift, LARGEST_SHIFT))
            for shift in self.shift
            if not isinstance(shift, int)
        ]
        totals = [statements.in_contract(total) for total in self.total]
        return [statements.code_limits(self.lo, self.hi), *ranges, *totals]

    def rescale(self, machine: Machine) -> Any:
        """The record of numerics.h in memory: offsets are what the totals have beside the products."""
        products = [
            machine.products.of(acc, multiplier, signed=True)
            for acc, multiplier in zip(self.acc, self.multiplier, strict=True)
        ]
        offsets = [total - product for total, product in zip(self.total, products, strict=True)]
        arrays = [
            machine.words(self.multiplier, 32),
            machine.words(offsets, 64),
            machine.words(self.shift, 8),
            0,
        ]
        record = machine.words(arrays, 0)
        rest = machine.words([1, 0, 0, self.lo, self.hi, 0], 32)
        machine.objects[record.object] += machine.objects[rest.object]
        return record

    def numbers(self, model: Any) -> Mapping[str, Any]:
        """A counterexample in the words of C: offsets that make the totals."""

        def number(value: Any, width: int) -> int:
            found = model.eval(term(value, width), model_completion=True)
            return int(found.as_signed_long())

        acc = [number(one, 32) for one in self.acc]
        multiplier = [number(one, 32) for one in self.multiplier]
        totals = [number(one, 64) for one in self.total]
        rows = zip(totals, acc, multiplier, strict=True)
        return {
            "acc": acc,
            "multiplier": multiplier,
            "offset": [(total - a * m + 2**63) % 2**64 - 2**63 for total, a, m in rows],
            "shift": [one if isinstance(one, int) else number(one, 8) for one in self.shift],
            "lo": number(self.lo, 32),
            "hi": number(self.hi, 32),
        }


def prove_kernel(
    kernel: Kernel, build: Build, shifts: Sequence[int | None], lanes: Sequence[int], seconds: float
) -> Outcome:
    """That the bytes of these lanes are the codes of N3 and N4."""
    channels = Channels.free(shifts)

    def run(machine: Machine) -> Any:
        machine.assumed = channels.assumed
        out = machine.words([0] * kernel.lanes, 8)
        acc = machine.words(channels.acc, 32)
        width = kernel.lanes
        machine.call(
            f"@{kernel.function}", [channels.rescale(machine), 0, acc, 1, width, out, width]
        )
        return machine.objects[out.object]

    asked = 0
    for way in ways(build.module(), run):
        for lane in lanes:
            shift = z3.ZeroExt(56, term(channels.shift[lane], 8))
            right = statements.code(channels.total[lane], shift, channels.lo, channels.hi)
            claim = term(way.result[lane], 8) == z3.Extract(7, 0, right)
            answer = holds([*way.path, *channels.assumed], claim, seconds)
            asked += 1
            if answer.verdict != "proved":
                numbers = channels.numbers(answer.model) if answer.model is not None else {}
                return Outcome(answer.verdict, asked, numbers)
    return Outcome("proved", asked)


def kernel_plans(kernel: Kernel) -> list[tuple[list[int | None], list[int]]]:
    """Shifts of the lanes, and the lanes to ask of.

    An even and an odd lane with shifts that are free, or all in turn; every lane with one shift of its own.
    """
    width = kernel.lanes
    mixed: list[int | None] = [1 + (19 * n + 4) % LARGEST_SHIFT for n in range(width)]
    every = (mixed, list(range(width)))
    pair = list(range(min(width, 2)))
    if kernel.free_shifts:
        return [([None] * width, pair), every]
    if width == 1:
        return [([shift], [0]) for shift in range(1, LARGEST_SHIFT + 1)]
    # Both neighbours: a shift of the same kind, and one of the other.
    plans: list[tuple[list[int | None], list[int]]] = [every]
    for shift in range(1, LARGEST_SHIFT + 1):
        for other in (16, 48):
            plans.append(([shift, other, shift, other][:width], [0]))
            plans.append(([other, shift, other, shift][:width], [1]))
    return plans
