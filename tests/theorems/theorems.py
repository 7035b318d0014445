"""The theorems: what is claimed of which function, and how it is proved.

Free in all of them: every accumulator, multiplier and offset whose total, acc * multiplier + offset, is in the range
that numerics.h asks for. The product is no formula but a free number (bits.py), and so the total is one too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import z3

from tests.theorems import statements
from tests.theorems.asking import Answer, Outcome, holds
from tests.theorems.bits import term
from tests.theorems.compiling import NO_ARITHMETIC_SHIFT, SHARED, SHARED_PORTABLE, Build
from tests.theorems.ir_text import Module
from tests.theorems.kernels import (
    KERNELS,
    LARGEST_SHIFT,
    Channels,
    Kernel,
    kernel_plans,
    prove_kernel,
)
from tests.theorems.machine import Machine
from tests.theorems.ways import ways

SECONDS = 300.0
"""Of processor time that a single question may take."""


@dataclass(frozen=True, slots=True)
class Theorem:
    """`says`: the claim; `free`: for which values; `prove` asks, of the sources or of altered ones."""

    name: str
    says: str
    free: str
    build: Build | None
    prove: Callable[[Build | None, float], Outcome]


def _kernel_theorem(name: str, kernel: Kernel) -> Theorem:
    def prove(build: Build | None, seconds: float) -> Outcome:
        asked = 0
        for shifts, lanes in kernel_plans(kernel):
            found = prove_kernel(kernel, build or kernel.build, shifts, lanes, seconds)
            asked += found.questions
            if found.verdict != "proved":
                return Outcome(found.verdict, asked, found.numbers)
        return Outcome("proved", asked)

    of_shifts = "free in every lane" if kernel.free_shifts else "every one, beside each kind"
    return Theorem(
        f"requantize[{name}]",
        f"{kernel.function} stores the byte of N3 and N4",
        f"total, limits; shifts 1..61 {of_shifts}, of an even and an odd lane; of all lanes a set of shifts",
        kernel.build,
        prove,
    )


# The shared functions.


def _answered(answers: Sequence[Answer], numbers: Callable[[Any], Mapping[str, Any]]) -> Outcome:
    for number, answer in enumerate(answers, 1):
        if answer.verdict != "proved":
            found = numbers(answer.model) if answer.model is not None else {}
            return Outcome(answer.verdict, number, found)
    return Outcome("proved", len(answers))


def _values(**variables: Any) -> Callable[[Any], Mapping[str, Any]]:
    def numbers(model: Any) -> Mapping[str, Any]:
        return {
            name: int(model.eval(value, model_completion=True).as_signed_long())
            for name, value in variables.items()
        }

    return numbers


def _round_shift(build: Build | None, seconds: float) -> Outcome:
    value, bits = z3.BitVec("value", 64), z3.BitVec("bits", 32)
    limit = z3.BitVecVal(2**62, 64)
    assumed = [value < limit, value > -limit, bits >= 1, bits <= 62]
    right = statements.half_even(value, z3.SignExt(32, bits))
    module = (build or SHARED).module()
    answers = [
        holds([*assumed, *way.path], term(way.result, 64) == right, seconds)
        for way in ways(module, lambda machine: machine.call("@subject_round_shift", [value, bits]))
    ]
    return _answered(answers, _values(value=value, bits=bits))


def _rescale(build: Build | None, seconds: float) -> Outcome:
    module = (build or SHARED).module()
    asked = 0
    for shift in range(1, LARGEST_SHIFT + 1):
        channels = Channels.free([shift])
        found = _rescale_by(module, channels, shift, seconds)
        asked += found.questions
        if found.verdict != "proved":
            return Outcome(found.verdict, asked, found.numbers)
    return Outcome("proved", asked)


def _rescale_by(module: Module, channels: Channels, shift: int, seconds: float) -> Outcome:
    limits = (channels.lo, channels.hi)
    right = statements.code(channels.total[0], z3.BitVecVal(shift, 64), *limits)

    def run(machine: Machine) -> Any:
        machine.assumed = channels.assumed
        return machine.call("@subject_rescale", [channels.rescale(machine), channels.acc[0]])

    answers = [
        holds(
            [*way.path, *channels.assumed],
            term(way.result, 32) == z3.Extract(31, 0, right),
            seconds,
        )
        for way in ways(module, run)
    ]
    return _answered(answers, channels.numbers)


def _finisher(build: Build | None, seconds: float) -> Outcome:
    """Lifts as kernels take them: none, or what brings the shift to 32, where all from codes is less than 2^48."""
    answers: list[Answer] = []
    module = (build or SHARED).module()
    from_codes, offset = z3.BitVec("from_codes", 64), z3.BitVec("offset", 64)
    lo, hi = z3.BitVec("lo", 32), z3.BitVec("hi", 32)
    for shift in range(1, LARGEST_SHIFT + 1):
        lift = max(32 - shift, 0)
        small = z3.BitVecVal(2**48, 64)
        assumed = [statements.code_limits(lo, hi), statements.in_contract(from_codes + offset)]
        if lift:
            assumed += [from_codes < small, from_codes > -small]

        def run(machine: Machine, shift: int = shift, lift: int = lift) -> Any:
            arrays = [
                machine.words([1], 32),
                machine.words([offset], 64),
                machine.words([shift], 8),
            ]
            record = machine.words([*arrays, 0], 0)
            rest = machine.words([0, 0, 0, lo, hi, 0], 32)
            machine.objects[record.object] += machine.objects[rest.object]
            out = machine.words([0], 8)
            made = machine.call("@subject_finisher", [record, from_codes, lift, out])
            return made, machine.objects[out.object][0]

        right = statements.code(from_codes + offset, z3.BitVecVal(shift, 64), lo, hi)
        for way in ways(module, run):
            made, byte = way.result
            is_made = term(made, 32) != 0
            claim = z3.Implies(is_made, term(byte, 8) == z3.Extract(7, 0, right))
            answers.append(holds([*assumed, *way.path], claim, seconds))
            if answers[-1].verdict != "proved":
                break
    return _answered(answers, _values(from_codes=from_codes, offset=offset, lo=lo, hi=hi))


def _multiply_halves(build: Build | None, seconds: float) -> Outcome:
    """The whole product is the sum of four of halves, each free."""
    value, factor = z3.BitVec("value", 64), z3.BitVec("factor", 64)
    limit = z3.BitVecVal(2**62, 64)
    answers = []
    for way in ways(
        (build or SHARED_PORTABLE).module(),
        lambda machine: (machine.call("@subject_multiply_q62", [value, factor]), machine.products),
    ):
        result, products = way.result
        halves = [
            [z3.simplify(z3.Extract(high, high - 31, one)) for high in (63, 31)]
            for one in (value, factor)
        ]
        parts = {
            (i, j): z3.ZeroExt(64, products.of(halves[0][i], halves[1][j], signed=False))
            for i in (0, 1)
            for j in (0, 1)
        }
        whole = (parts[0, 0] << 64) + ((parts[0, 1] + parts[1, 0]) << 32) + parts[1, 1]
        # Of halves: a high half of at most 2^30 bounds its products.
        high = z3.BitVecVal(2**62, 128)
        bounds = [
            z3.ULE(parts[0, 0], z3.BitVecVal(2**60, 128)),
            z3.ULE(parts[0, 1], high),
            z3.ULE(parts[1, 0], high),
        ]
        right = z3.LShR(whole + z3.BitVecVal(2**61, 128), z3.BitVecVal(62, 128))
        assumed = [z3.ULE(value, limit), z3.ULE(factor, limit), *way.path, *products.facts, *bounds]
        answers.append(holds(assumed, z3.ZeroExt(64, term(result, 64)) == right, seconds))
    return _answered(answers, _values(value=value, factor=factor))


def _wide_round(build: Build | None, seconds: float) -> Outcome:
    value, size, addend = (
        z3.BitVec("value", 64),
        z3.BitVec("multiplier", 31),
        z3.BitVec("addend", 32),
    )
    limit = z3.BitVecVal(2**61, 64)
    module = (build or SHARED).module()
    multiplier = z3.simplify(z3.ZeroExt(1, size))
    answers: list[Answer] = []
    for shift in range(33, 85):

        def run(machine: Machine, shift: int = shift) -> Any:
            arguments = [value, multiplier, shift, addend]
            return machine.call("@subject_wide_round", arguments), machine.products

        for way in ways(module, run):
            result, products = way.result
            low = products.of(z3.simplify(z3.Extract(31, 0, value)), multiplier, signed=False)
            high = products.of(z3.simplify(z3.Extract(63, 32, value)), multiplier, signed=True)
            # value = high * 2^32 + low: at most 2^29 times less than 2^31.
            bounds = [
                high <= z3.BitVecVal(2**60, 64),
                high >= -z3.BitVecVal(2**60, 64),
                z3.ULT(low, z3.BitVecVal(2**63, 64)),
            ]
            whole = (z3.SignExt(64, high) << 32) + z3.ZeroExt(64, low)
            whole += z3.SignExt(96, addend) << shift
            right = statements.half_even(whole, z3.BitVecVal(shift, 128))
            assumed = [
                value <= limit,
                value >= -limit,
                addend <= 255,
                addend >= -255,
                *way.path,
                *bounds,
            ]
            answers.append(holds(assumed, z3.SignExt(64, term(result, 64)) == right, seconds))
        if answers[-1].verdict != "proved":
            break
    return _answered(answers, _values(value=value, multiplier=size, addend=addend))


def _monotone(build: Build | None, seconds: float) -> Outcome:
    """Of the clause: a larger total has no smaller code. A product with a fixed multiplier rises or falls of itself."""
    first, second = z3.BitVec("first", 64), z3.BitVec("second", 64)
    lo, hi = z3.BitVec("lo", 32), z3.BitVec("hi", 32)
    totals = [statements.in_contract(first), statements.in_contract(second), first <= second]
    answers: list[Answer] = []
    for number in range(1, LARGEST_SHIFT + 1):
        shift = z3.BitVecVal(number, 64)
        codes = [statements.code(total, shift, lo, hi) for total in (first, second)]
        assumed = [*totals, statements.code_limits(lo, hi)]
        answers.append(holds(assumed, codes[0] <= codes[1], seconds))
    return _answered(answers, _values(first=first, second=second, lo=lo, hi=hi))


def _planned_error(build: Build | None, seconds: float) -> Outcome:
    """N3's bound, of real numbers, linear in them once two products have names.

    off = |acc| * 2^-s is twice what the rounding of M costs; worth = |acc * ratio| = off * (ratio * 2^s) is at most
    256 + |bias + z| within one code of the range. s is the largest shift: it is 61; or 2^(s+1) would bring M to 2^31,
    ratio * 2^(s+1) >= 2^31 - 1/2, which times off/2 is the second case; or it would bring the total to 2^62, bound *
    (ratio * 2^(s+1) + 1/2) + addend * 2^(s+1) + 1/2 >= 2^62, which times off, with |acc|, bound < 2^31, is the third.
    """
    off, worth, addend = z3.Reals("off worth addend")
    half, most = z3.RealVal(1) / 2, z3.RealVal(2**31 - 1)
    largest = z3.Or(
        off <= most / 2**61,
        worth >= off * (z3.RealVal(2**31) - half) / 2,
        most * (2 * worth + off * half) + 2 * addend * most + off * half >= off * 2**62,
    )
    assumed = [off >= 0, worth >= 0, addend >= 0, worth <= 256 + addend, largest]
    solver = z3.Solver()
    solver.set("timeout", int(1000 * seconds))
    solver.add(*assumed, off / 2 > (256 + 2 * addend) / (z3.RealVal(2**31) - 2))
    found = solver.check()
    if found == z3.unsat:
        return Outcome("proved", 1)
    if found == z3.unknown:
        return Outcome("timeout", 1)
    model = solver.model()
    numbers = {one.decl().name(): str(model.eval(one)) for one in (off, worth, addend)}
    return Outcome("refuted", 1, numbers)


THEOREMS: Sequence[Theorem] = (
    Theorem(
        "N1",
        "ares_round_shift rounds to nearest, a tie to even",
        "|value| < 2^62, shifts 1..62",
        SHARED,
        _round_shift,
    ),
    Theorem(
        "N1[no arithmetic shift]",
        "the same where a compiler's >> of a negative number is not arithmetic",
        "|value| < 2^62, shifts 1..62",
        NO_ARITHMETIC_SHIFT,
        lambda build, seconds: _round_shift(build or NO_ARITHMETIC_SHIFT, seconds),
    ),
    Theorem(
        "N3",
        "ares_rescale_apply is the code of N3 and N4",
        "total, shift 1..61, limits",
        SHARED,
        _rescale,
    ),
    Theorem(
        "N3[bound]",
        "before its rounding a value is off by at most (256 + 2 |bias + z|) / (2^31 - 2) + 2^-(s+1) codes",
        "real ratio, bias, accumulator and bound of accumulators; s the largest that the limits allow",
        None,
        _planned_error,
    ),
    Theorem(
        "N3[monotone]",
        "a larger total has no smaller code",
        "totals, shift, limits",
        None,
        _monotone,
    ),
    *(_kernel_theorem(name, kernel) for name, kernel in KERNELS.items()),
    Theorem(
        "finisher",
        "ares_finish is the byte of N3 and N4 wherever ares_finisher_of takes the constants",
        "total, limits; every shift 1..61 with its lift",
        SHARED,
        _finisher,
    ),
    Theorem(
        "multiply_q62[halves]",
        "ares_multiply_q62 by halves is value * factor / 2^62 to nearest, a tie upwards",
        "value and factor up to 2^62",
        SHARED_PORTABLE,
        _multiply_halves,
    ),
    Theorem(
        "wide_round",
        "ares_wide_round is the whole product over 2^shift plus the addend, rounded once",
        "|value| <= 2^61, multiplier < 2^31, |addend| <= 255; every shift 33..84",
        SHARED,
        _wide_round,
    ),
)
