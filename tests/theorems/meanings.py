"""What LLVM's intrinsics mean, those of instruction sets too: as the processors' manuals describe the instructions.

A meaning is a function of the machine, the result's type, the operands and their types. What is not here cannot be run.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tests.theorems.bits import (
    Bits,
    binary,
    choose,
    compare,
    extract,
    join,
    limit,
    saturate,
    shift,
    term,
    tidy,
    widen,
)

if TYPE_CHECKING:
    from tests.theorems.ir_reader import Type
    from tests.theorems.machine import Machine

Meaning = Callable[["Machine", "Type", list[Any], list["Type"]], Any]
_TABLE: list[tuple[re.Pattern[str], Meaning]] = []


class NoMeaning(Exception):
    """An intrinsic that stands in no table here."""


def meaning(name: str) -> Meaning:
    """What a function without a body does."""
    for pattern, found in _TABLE:
        if pattern.fullmatch(name.removeprefix("@llvm.")):
            return found
    raise NoMeaning(name)


def _means(pattern: str) -> Callable[[Meaning], Meaning]:
    def add(function: Meaning) -> Meaning:
        _TABLE.append((re.compile(pattern), function))
        return function

    return add


def _lanes(type_: Type, function: Callable[..., Bits], *operands: Any) -> Any:
    if type_.kind == "vector":
        return [function(*lanes) for lanes in zip(*operands, strict=True)]
    return function(*operands)


def _bits(type_: Type) -> int:
    return type_.of.width if type_.of is not None else type_.width


# Of every processor.


@_means(r"lifetime\..*|assume|dbg\..*|experimental\.noalias.*|prefetch.*")
def _nothing(machine: Machine, type_: Type, operands: list[Any], types: list[Type]) -> None:
    return None


def _limits(pattern: str, predicate: str) -> None:
    @_means(pattern)
    def _limit(machine: Machine, type_: Type, operands: list[Any], types: list[Type]) -> Any:
        width = _bits(type_)
        return _lanes(type_, lambda a, b: limit(predicate, width, a, b), *operands)


for _kind, _predicate in (("smin", "slt"), ("smax", "sgt"), ("umin", "ult"), ("umax", "ugt")):
    _limits(rf"{_kind}\..*|aarch64\.neon\.{_kind}\..*", _predicate)
_limits(r"arm\.neon\.vmaxs\..*", "sgt")
_limits(r"arm\.neon\.vmins\..*", "slt")
_limits(r"arm\.neon\.vmaxu\..*", "ugt")
_limits(r"arm\.neon\.vminu\..*", "ult")


@_means(r"memset\..*")
def _memset(machine: Machine, type_: Type, operands: list[Any], types: list[Type]) -> None:
    place, byte, count = operands[:3]
    content = machine.objects[place.object]
    content[place.offset : place.offset + count] = [byte] * count


@_means(r"memcpy\..*|memmove\..*")
def _memcpy(machine: Machine, type_: Type, operands: list[Any], types: list[Type]) -> None:
    to, start, count = operands[:3]
    copied = machine.objects[start.object][start.offset : start.offset + count]
    if len(copied) != count or to.offset + count > len(machine.objects[to.object]):
        raise NoMeaning(f"a copy of {count} bytes outside of an object")
    machine.objects[to.object][to.offset : to.offset + count] = copied


def _masked(machine: Machine, place: Any, k: int, size: int) -> Any:
    return type(place)(place.object, place.offset + k * size)


@_means(r"masked\.load\..*")
def _masked_load(machine: Machine, type_: Type, operands: list[Any], types: list[Type]) -> Any:
    place, _, mask, rest = operands
    assert type_.of is not None
    size = machine.size(type_.of)
    return [
        machine.load(_masked(machine, place, k, size), type_.of) if machine.decide(bit) else rest[k]
        for k, bit in enumerate(mask)
    ]


@_means(r"masked\.store\..*")
def _masked_store(machine: Machine, type_: Type, operands: list[Any], types: list[Type]) -> None:
    values, place, _, mask = operands
    of = types[0].of
    assert of is not None
    for k, bit in enumerate(mask):
        if machine.decide(bit):
            machine.store(_masked(machine, place, k, machine.size(of)), values[k], of)


@_means(r"abs\..*")
def _abs(machine: Machine, type_: Type, operands: list[Any], types: list[Type]) -> Any:
    width = _bits(type_)

    def one(a: Bits) -> Bits:
        minus = binary("sub", width, 0, a, machine.products)
        return choose(compare("slt", width, a, 0), minus, a, width)

    return _lanes(type_, one, operands[0])


def _funnels(pattern: str, *, is_left: bool) -> None:
    """Two numbers side by side, shifted modulo their width; of the left shift the upper one is the result."""

    @_means(pattern)
    def _funnel(machine: Machine, type_: Type, operands: list[Any], types: list[Type]) -> Any:
        width = _bits(type_)

        def one(high: Bits, low: Bits, by: Bits) -> Bits:
            both = join([low, high], width)
            amount = widen(
                binary("and", width, by, width - 1, machine.products),
                width,
                2 * width,
                is_signed=False,
            )
            moved = shift("shl" if is_left else "lshr", 2 * width, both, amount)
            return extract(moved, width if is_left else 0, width)

        return _lanes(type_, one, *operands)


_funnels(r"fshl\..*", is_left=True)
_funnels(r"fshr\..*", is_left=False)


# x86: shifts by lanes, where what is too far leaves nothing, or signs; packing in parts of 128 bits; blends.


def _x86_shift(pattern: str, opcode: str) -> None:
    @_means(pattern)
    def _shift(machine: Machine, type_: Type, operands: list[Any], types: list[Type]) -> Any:
        width = _bits(type_)

        def one(value: Bits, by: Bits) -> Bits:
            far = compare("uge", width, by, width)
            near = shift(opcode, width, value, choose(far, 0, by, width))
            beyond = shift("ashr", width, value, width - 1) if opcode == "ashr" else 0
            return choose(far, beyond, near, width)

        return _lanes(type_, one, *operands[:2])


_x86_shift(r"x86\.avx(2|512)\.psllv\..*", "shl")
_x86_shift(r"x86\.avx(2|512)\.psrlv\..*", "lshr")
_x86_shift(r"x86\.avx(2|512)\.psrav\..*", "ashr")


def _x86_pack(pattern: str, width: int, *, is_signed: bool) -> None:
    @_means(pattern)
    def _pack(machine: Machine, type_: Type, operands: list[Any], types: list[Type]) -> Any:
        part = 128 // width
        found = []
        for start in range(0, len(operands[0]), part):
            for lanes in operands:
                found += [
                    saturate(lane, width, width // 2, is_signed=is_signed)
                    for lane in lanes[start : start + part]
                ]
        return found


_x86_pack(r"x86\.(sse2|avx2|avx512)\.packssdw.*", 32, is_signed=True)
_x86_pack(r"x86\.(sse2|avx2|avx512)\.packsswb.*", 16, is_signed=True)
_x86_pack(r"x86\.(sse2|avx2|avx512)\.packuswb.*", 16, is_signed=False)
_x86_pack(r"x86\.(sse41|avx2|avx512)\.packusdw.*", 32, is_signed=False)


@_means(r"x86\.sse41\.pblendvb|x86\.avx2\.pblendvb")
def _blend_bytes(machine: Machine, type_: Type, operands: list[Any], types: list[Type]) -> Any:
    return _lanes(type_, lambda a, b, m: choose(extract(m, 7, 1), b, a, 8), *operands)


@_means(r"x86\.avx\.blendv\.ps\.256|x86\.sse41\.blendvps")
def _blend_floats(machine: Machine, type_: Type, operands: list[Any], types: list[Type]) -> Any:
    return _lanes(type_, lambda a, b, m: choose(extract(m, 31, 1), b, a, 32), *operands)


# Arm.


@_means(r"aarch64\.neon\.smull\.v2i64|arm\.neon\.vmulls\.v2i64")
def _long_product(machine: Machine, type_: Type, operands: list[Any], types: list[Type]) -> Any:
    def one(a: Bits, b: Bits) -> Bits:
        wide = [widen(factor, 32, 64, is_signed=True) for factor in (a, b)]
        return binary("mul", 64, wide[0], wide[1], machine.products)

    return _lanes(type_, one, *operands)


def _arm_shift(pattern: str, opcode: str, *, saturates: bool = False) -> None:
    """To the left by the lowest byte, a signed number; to the right where it is negative."""

    @_means(pattern)
    def _shift(machine: Machine, type_: Type, operands: list[Any], types: list[Type]) -> Any:
        width = _bits(type_)
        return _lanes(type_, lambda a, b: _by_signed(opcode, width, a, b, saturates), *operands)


def _by_signed(opcode: str, width: int, value: Bits, by: Bits, saturates: bool) -> Bits:
    amount = widen(extract(by, 0, 8), 8, width, is_signed=True)
    minus = tidy(-term(amount, width))
    left = _shift_up(width, value, amount, saturates)
    far = compare("uge", width, minus, width)
    down = shift(opcode, width, value, choose(far, 0, minus, width))
    beyond = shift("ashr", width, value, width - 1) if opcode == "ashr" else 0
    right = choose(far, beyond, down, width)
    return choose(compare("slt", width, amount, 0), right, left, width)


def _shift_up(width: int, value: Bits, amount: Bits, saturates: bool) -> Bits:
    far = compare("uge", width, amount, width)
    near = choose(far, 0, amount, width)
    shifted = choose(far, 0, shift("shl", width, value, near), width)
    if not saturates:
        return shifted
    back = shift("ashr", width, shifted, near)
    fits = compare("eq", width, back, value)
    fits = choose(far, compare("eq", width, value, 0), fits, 1)
    least = 1 << (width - 1)
    last = choose(compare("slt", width, value, 0), least, least - 1, width)
    return choose(fits, shifted, last, width)


_arm_shift(r"aarch64\.neon\.ushl\..*|arm\.neon\.vshiftu\..*", "lshr")
_arm_shift(r"aarch64\.neon\.sshl\..*|arm\.neon\.vshifts\..*", "ashr")
_arm_shift(r"aarch64\.neon\.sqshl\..*|arm\.neon\.vqshifts\..*", "ashr", saturates=True)


def _narrowing(pattern: str, *, to_signed: bool) -> None:
    @_means(pattern)
    def _narrow(machine: Machine, type_: Type, operands: list[Any], types: list[Type]) -> Any:
        before = _bits(types[0])
        return [saturate(lane, before, _bits(type_), is_signed=to_signed) for lane in operands[0]]


_narrowing(r"aarch64\.neon\.sqxtn\..*|arm\.neon\.vqmovns\..*", to_signed=True)
_narrowing(r"aarch64\.neon\.sqxtun\..*|arm\.neon\.vqmovnsu\..*", to_signed=False)


# WebAssembly.


def _wasm_narrowing(pattern: str, width: int, *, is_signed: bool) -> None:
    @_means(pattern)
    def _narrow(machine: Machine, type_: Type, operands: list[Any], types: list[Type]) -> Any:
        both = [*operands[0], *operands[1]]
        return [saturate(lane, width, width // 2, is_signed=is_signed) for lane in both]


_wasm_narrowing(r"wasm\.narrow\.signed\.v8i16\.v4i32", 32, is_signed=True)
_wasm_narrowing(r"wasm\.narrow\.signed\.v16i8\.v8i16", 16, is_signed=True)
_wasm_narrowing(r"wasm\.narrow\.unsigned\.v8i16\.v4i32", 32, is_signed=False)
_wasm_narrowing(r"wasm\.narrow\.unsigned\.v16i8\.v8i16", 16, is_signed=False)


@_means(r"wasm\.shuffle")
def _wasm_shuffle(machine: Machine, type_: Type, operands: list[Any], types: list[Type]) -> Any:
    """Bytes of two vectors by sixteen numbers, of which those of the second begin at 16."""
    both = [*operands[0], *operands[1]]
    return [both[number] for number in operands[2:]]


@_means(r"wasm\.bitselect\..*")
def _wasm_bitselect(machine: Machine, type_: Type, operands: list[Any], types: list[Type]) -> Any:
    """Bits of the first where the third has ones, else of the second."""
    width = _bits(type_)

    def one(a: Bits, b: Bits, mask: Bits) -> Bits:
        differing = binary("xor", width, a, b, machine.products)
        taken = binary("and", width, differing, mask, machine.products)
        return binary("xor", width, b, taken, machine.products)

    return _lanes(type_, one, *operands)
