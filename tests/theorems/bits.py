"""Arithmetic on bits that are known (a Python int) or free (a z3 expression): LLVM's operations, each of a width.

Products of two numbers that were widened from 32 bits are not computed: they become a free number in the range of such
a product, the same one for the same factors. What is proven then holds for every value that the product could have, so
that no theorem has to multiply.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import z3

Bits = Any
"""An int in [0, 2^width), or a z3 bit-vector of that width."""


class Products:
    """The free numbers that stand for products, and what is known of each."""

    def __init__(self) -> None:
        self._made: dict[tuple[bool, int, int], z3.BitVecRef] = {}
        self._kept: list[Any] = []
        self.facts: list[z3.BoolRef] = []

    def of(self, first: z3.BitVecRef, second: z3.BitVecRef, *, signed: bool) -> z3.BitVecRef:
        """The 64-bit product of two factors of 32 bits."""
        low, high = sorted((first.get_id(), second.get_id()))
        key = (signed, low, high)
        if key not in self._made:
            self._kept += [first, second]  # or z3 gives their numbers to others
            product = z3.BitVec(f"product{len(self._made)}", 64)
            self._made[key] = product
            self.facts.append(_product_range(product, signed=signed))
        return self._made[key]


def _product_range(product: z3.BitVecRef, *, signed: bool) -> z3.BoolRef:
    if signed:
        most = z3.BitVecVal(2**62, 64)
        return z3.And(product <= most, product >= -most + z3.BitVecVal(2**31, 64))
    return z3.ULE(product, z3.BitVecVal((2**32 - 1) ** 2, 64))


def known(value: Bits) -> bool:
    """Whether it is a number."""
    return isinstance(value, int)


def term(value: Bits, width: int) -> z3.BitVecRef:
    """As an expression."""
    return z3.BitVecVal(value, width) if isinstance(value, int) else value


def tidy(value: Any) -> Bits:
    """Simplified; a number where that is what is left."""
    value = z3.simplify(value)
    return value.as_long() if z3.is_bv_value(value) else value


def signed(value: int, width: int) -> int:
    """A known value as a signed number."""
    return value - (1 << width) if value >> (width - 1) else value


def truth(condition: Any) -> Bits:
    """A z3 condition, or a Python one, as one bit."""
    if isinstance(condition, bool):
        return int(condition)
    return tidy(z3.If(condition, z3.BitVecVal(1, 1), z3.BitVecVal(0, 1)))


def condition(bit: Bits) -> z3.BoolRef:
    """One bit as a condition."""
    return z3.BoolVal(bool(bit)) if known(bit) else bit == z3.BitVecVal(1, 1)


def choose(bit: Bits, yes: Bits, no: Bits, width: int) -> Bits:
    """yes where the bit is set."""
    if known(bit):
        return yes if bit else no
    if known(yes) and known(no) and yes == no:
        return yes
    return tidy(z3.If(condition(bit), term(yes, width), term(no, width)))


def extract(value: Bits, first: int, width: int) -> Bits:
    """`width` bits from bit `first` on."""
    if known(value):
        return value >> first & ((1 << width) - 1)
    return tidy(z3.Extract(first + width - 1, first, value))


def join(parts: list[Bits], width: int) -> Bits:
    """Parts of a width, the lowest first, as one."""
    if all(known(part) for part in parts):
        return sum(part << (width * k) for k, part in enumerate(parts))
    if len(parts) == 1:
        return parts[0]
    return tidy(z3.Concat(*(term(part, width) for part in reversed(parts))))


def widen(value: Bits, width: int, to: int, *, is_signed: bool) -> Bits:
    """Sign or zero extension, or truncation."""
    if to <= width:
        return extract(value, 0, to)
    if known(value):
        return signed(value, width) % (1 << to) if is_signed else value
    extend = z3.SignExt if is_signed else z3.ZeroExt
    return tidy(extend(to - width, value))


def shift(opcode: str, width: int, value: Bits, by: Bits) -> Bits:
    """shl, lshr, ashr by less than the width."""
    if known(by) and not known(value):
        if by == 0:
            return value
        if by >= width:  # poison in LLVM: anything
            return z3.FreshConst(z3.BitVecSort(width), "poison")
        if opcode == "shl":
            return tidy(z3.Concat(z3.Extract(width - 1 - by, 0, value), z3.BitVecVal(0, by)))
        extend = z3.SignExt if opcode == "ashr" else z3.ZeroExt
        return tidy(extend(by, z3.Extract(width - 1, by, value)))
    if known(by) and known(value):
        if opcode == "shl":
            return (value << by) % (1 << width)
        return (signed(value, width) if opcode == "ashr" else value) >> by & ((1 << width) - 1)
    a, b = term(value, width), term(by, width)
    return tidy({"shl": a << b, "lshr": z3.LShR(a, b), "ashr": a >> b}[opcode])


_SIMPLE: dict[str, Callable[[Any, Any], Any]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "and": lambda a, b: a & b,
    "or": lambda a, b: a | b,
    "xor": lambda a, b: a ^ b,
}


def binary(opcode: str, width: int, a: Bits, b: Bits, products: Products) -> Bits:
    """A binary operation, wrapping."""
    if opcode in ("shl", "lshr", "ashr"):
        return shift(opcode, width, a, b)
    if opcode == "mul":
        return multiply(width, a, b, products)
    if opcode not in _SIMPLE:
        if not (known(a) and known(b)):
            raise NotImplementedError(f"{opcode} of what is free")
        return _divide(opcode, width, a, b)
    if known(a) and known(b):
        return int(_SIMPLE[opcode](a, b)) % (1 << width)
    return tidy(_SIMPLE[opcode](term(a, width), term(b, width)))


def _divide(opcode: str, width: int, a: int, b: int) -> int:
    if opcode == "udiv":
        return a // b
    if opcode == "urem":
        return a % b
    x, y = signed(a, width), signed(b, width)
    quotient = abs(x) // abs(y) * (1 if (x < 0) == (y < 0) else -1)
    return (quotient if opcode == "sdiv" else x - quotient * y) % (1 << width)


def multiply(width: int, a: Bits, b: Bits, products: Products) -> Bits:
    """A product: of what is known, of a power of two, of halves (a free number), or by z3."""
    if known(a) and known(b):
        return a * b % (1 << width)
    if known(a) or known(b):
        number, other = (a, b) if known(a) else (b, a)
        if number & (number - 1) == 0:
            return shift("shl", width, other, number.bit_length() - 1) if number else 0
        return tidy(other * z3.BitVecVal(number, width))
    for one, other in ((a, b), (b, a)):
        zeros = _low_zeros(one)
        if zeros:
            rest = multiply(width, shift("lshr", width, one, zeros), other, products)
            return shift("shl", width, rest, zeros)
    if width == 64:
        for is_signed in (True, False):
            halves = [_half(value, is_signed=is_signed) for value in (a, b)]
            if None not in halves:
                return products.of(halves[0], halves[1], signed=is_signed)
    return tidy(a * b)


def _low_zeros(value: z3.BitVecRef) -> int:
    """How many of the lowest bits are known to be zero: compilers move a shift from a product to a factor."""
    count = 0
    while count < value.size() - 1 and _is_zero(extract(value, count, 1)):
        count += 1
    return count


def _is_zero(bit: Bits) -> bool:
    return known(bit) and bit == 0


def _half(value: z3.BitVecRef, *, is_signed: bool) -> z3.BitVecRef | None:
    """The 32 bits that a number of 64 was widened from; None where it was not."""
    low = z3.simplify(z3.Extract(31, 0, value))
    extended = z3.SignExt(32, low) if is_signed else z3.ZeroExt(32, low)
    return low if z3.is_true(z3.simplify(extended == value)) else None


_KNOWN: dict[str, Callable[[int, int], bool]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
}
_FREE: dict[str, Callable[[Any, Any], Any]] = {
    **_KNOWN,
    **{f"s{kind}": _KNOWN[kind] for kind in ("lt", "le", "gt", "ge")},
    "ult": z3.ULT,
    "ule": z3.ULE,
    "ugt": z3.UGT,
    "uge": z3.UGE,
}


def compare(predicate: str, width: int, a: Bits, b: Bits) -> Bits:
    """One bit."""
    if not (known(a) and known(b)):
        return truth(_FREE[predicate](term(a, width), term(b, width)))
    if predicate[0] == "s":
        a, b = signed(a, width), signed(b, width)
    return int(_KNOWN[predicate if predicate in _KNOWN else predicate[1:]](a, b))


def limit(predicate: str, width: int, a: Bits, b: Bits) -> Bits:
    """a where the predicate holds of (a, b), else b: minima and maxima."""
    return choose(compare(predicate, width, a, b), a, b, width)


def saturate(value: Bits, width: int, to: int, *, is_signed: bool) -> Bits:
    """A signed number limited to what `to` bits hold, signed or not."""
    low = -(1 << (to - 1)) if is_signed else 0
    high = (1 << (to - 1)) - 1 if is_signed else (1 << to) - 1
    limited = limit("sgt", width, value, low % (1 << width))
    return extract(limit("slt", width, limited, high), 0, to)
