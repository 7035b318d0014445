"""Runs a function of LLVM's language on bits of which some are free, in every way that it can go.

Control that depends on known bits is followed; where it depends on free ones, both ways are, one after the other, each
from the beginning. Memory is objects of bytes; where a pointer leads has to be known.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import z3

from tests.theorems.bits import (
    Bits,
    Products,
    binary,
    choose,
    compare,
    condition,
    extract,
    join,
    known,
    widen,
)
from tests.theorems.ir_reader import Instruction, Operand, Type
from tests.theorems.ir_text import Function, Module
from tests.theorems.meanings import meaning

MOST_STEPS = 200_000


class CannotRun(Exception):
    """Something that this machine does not do; the message names it."""


@dataclass(frozen=True, slots=True)
class Pointer:
    """A place in an object, in bytes."""

    object: int
    offset: int


@dataclass(frozen=True, slots=True)
class _Piece:
    """Byte k of a pointer in memory."""

    pointer: Pointer
    k: int


class Machine:
    """One way through: `decisions` are taken at the first conditions that are free, true at the others.

    `taken` is what was decided, `path` what has to hold for it. `assumed`: what its user knows of the free bits.
    """

    def __init__(
        self, module: Module, decisions: tuple[bool, ...] = (), products: Products | None = None
    ) -> None:
        self.module = module
        self.decisions = decisions
        self.products = Products() if products is None else products
        self.objects: list[list[Any]] = []
        self.taken: list[bool] = []
        self.path: list[z3.BoolRef] = []
        self.assumed: list[z3.BoolRef] = []
        self.steps = 0
        self.globals: dict[str, Pointer] = {}

    # Memory.

    def new(self, content: Sequence[Any]) -> Pointer:
        """An object with these bytes."""
        self.objects.append(list(content))
        return Pointer(len(self.objects) - 1, 0)

    def words(self, values: Sequence[Any], width: int) -> Pointer:
        """An object of numbers of that width (of bits), or of pointers (width 0)."""
        content: list[Any] = []
        for value in values:
            content += self._bytes_of(value, width)
        return self.new(content)

    def _bytes_of(self, value: Any, width: int) -> list[Any]:
        if isinstance(value, Pointer):
            return [_Piece(value, k) for k in range(self.module.pointer_bytes)]
        return [
            extract(value, 8 * k, 8) for k in range((width or 8 * self.module.pointer_bytes) // 8)
        ]

    def size(self, type_: Type) -> int:
        """Bytes of a type in memory; those of structs are laid out as C does."""
        if type_.kind == "ptr":
            return self.module.pointer_bytes
        if type_.kind in ("int", "other"):
            return (type_.width + 7) // 8
        if type_.kind == "struct":
            end = 0
            for part in type_.parts:
                end = -(-end // self._align(part)) * self._align(part) + self.size(part)
            return -(-end // self._align(type_)) * self._align(type_)
        assert type_.of is not None
        if type_.kind == "vector" and type_.of.width == 1:
            return (type_.count + 7) // 8
        return type_.count * self.size(type_.of)

    def _align(self, type_: Type) -> int:
        if type_.kind == "struct":
            return max(map(self._align, type_.parts))
        return self._align(type_.of) if type_.of is not None else self.size(type_)

    def load(self, at: Any, type_: Type) -> Any:
        """What lies there; bytes that nobody wrote are free."""
        place = self._place(at, self.size(type_))
        content = self.objects[place.object][place.offset : place.offset + self.size(type_)]
        if type_.kind == "ptr":
            if isinstance(content[0], _Piece):
                return content[0].pointer
            if all(byte == 0 for byte in content if known(byte)):
                return 0
            raise CannotRun("a pointer that is none")
        return self._from_bytes(content, type_)

    def _from_bytes(self, content: list[Any], type_: Type) -> Any:
        if type_.kind == "int":
            return extract(join(content, 8), 0, type_.width)
        if type_.kind in ("vector", "array") and type_.of is not None:
            if type_.of.width == 1:
                bits = join(content, 8)
                return [extract(bits, k, 1) for k in range(type_.count)]
            size = self.size(type_.of)
            return [
                self._from_bytes(content[k * size : (k + 1) * size], type_.of)
                for k in range(type_.count)
            ]
        raise CannotRun(f"load of {type_}")

    def store(self, at: Any, value: Any, type_: Type) -> None:
        """Write a value."""
        place = self._place(at, self.size(type_))
        content = self._to_bytes(value, type_)
        self.objects[place.object][place.offset : place.offset + len(content)] = content

    def _to_bytes(self, value: Any, type_: Type) -> list[Any]:
        if type_.kind == "ptr":
            return self._bytes_of(value, 0)
        if type_.kind in ("vector", "array") and type_.of is not None:
            if type_.of.width == 1:
                return self._bytes_of(join(list(value), 1), 8 * self.size(type_))
            return [byte for one in value for byte in self._to_bytes(one, type_.of)]
        return self._bytes_of(
            widen(value, type_.width, 8 * self.size(type_), is_signed=False), 8 * self.size(type_)
        )

    def _place(self, at: Any, size: int) -> Pointer:
        if not isinstance(at, Pointer):
            raise CannotRun("access through a pointer that is not known")
        if not 0 <= at.offset <= len(self.objects[at.object]) - size:
            raise CannotRun(f"access of {size} bytes outside of an object")
        return at

    # Control.

    def decide(self, bit: Bits) -> bool:
        """A condition, known or decided."""
        if known(bit):
            return bool(bit)
        number = len(self.taken)
        way = self.decisions[number] if number < len(self.decisions) else True
        self.taken.append(way)
        self.path.append(condition(bit) if way else z3.Not(condition(bit)))
        return way

    def call(self, name: str, arguments: Sequence[Any]) -> Any:
        """Run a function of the module to its return; its value."""
        function = self.module.functions.get(name)
        if function is None:
            raise CannotRun(f"{name} has no body here")
        values: dict[str, Any] = {
            parameter: argument
            for (parameter, _), argument in zip(function.parameters, arguments, strict=True)
        }
        return self._walk(function, values)

    def _walk(self, function: Function, values: dict[str, Any]) -> Any:
        label, before = next(iter(function.blocks)), "entry"
        while True:
            block = function.blocks[label]
            phis = [one for one in block if one.opcode == "phi"]
            made = {one.result: self._incoming(function, one, before, values) for one in phis}
            values.update(made)
            for one in block[len(phis) :]:
                self.steps += 1
                if self.steps > MOST_STEPS:
                    raise CannotRun(f"{function.name} does not end")
                if one.opcode == "ret":
                    return self.value(one.operands[0], values) if one.operands else None
                if one.opcode in ("br", "switch"):
                    before, label = label, self._next(one, values)
                    break
                result = self._step(one, values)
                if one.result:
                    values[one.result] = result
            else:
                raise CannotRun(f"{function.name}: a block without an end")

    def _incoming(
        self, function: Function, one: Instruction, before: str, values: dict[str, Any]
    ) -> Any:
        # clang numbers the first block, and prints no label for it
        first = next(iter(function.blocks))
        for operand, label in zip(one.operands, one.words, strict=True):
            if label == before or (before == first and label not in function.blocks):
                return self.value(operand, values)
        raise CannotRun(f"{one.result} has no value from {before}")

    def _next(self, one: Instruction, values: dict[str, Any]) -> str:
        if one.opcode == "br" and not one.operands:
            return str(one.words[0])
        if one.opcode == "br":
            return str(one.words[0 if self.decide(self.value(one.operands[0], values)) else 1])
        value = self.value(one.operands[0], values)
        width = one.operands[0].type.width
        for case, label in one.words[1:]:
            if self.decide(compare("eq", width, value, case % (1 << width))):
                return str(label)
        return str(one.words[0])

    # Values.

    def value(self, operand: Operand, values: dict[str, Any]) -> Any:
        """What an operand stands for."""
        type_ = operand.type
        if operand.kind == "local":
            return values[operand.value]
        if operand.kind == "int":
            return operand.value % (1 << type_.width)
        if operand.kind == "vector":
            return [self.value(one, values) for one in operand.value]
        if operand.kind == "global":
            return self._global(operand.value)
        if operand.kind == "offset":
            place = self._global(operand.value[0])
            return Pointer(place.object, place.offset + operand.value[1])
        return self._filled(type_, zero=operand.kind == "zero")

    def _filled(self, type_: Type, *, zero: bool) -> Any:
        if type_.kind in ("vector", "array") and type_.of is not None:
            return [self._filled(type_.of, zero=zero) for _ in range(type_.count)]
        if type_.kind == "struct":
            return [self._filled(part, zero=zero) for part in type_.parts]
        if zero or type_.kind == "ptr":
            return 0
        return z3.FreshConst(z3.BitVecSort(type_.width), "undefined")

    def _global(self, name: str) -> Pointer:
        if name not in self.globals:
            content = self.module.globals.get(name)
            if content is None:
                raise CannotRun(f"{name} is not known")
            self.globals[name] = self.new(self._to_bytes(self.value(content, {}), content.type))
        return self.globals[name]

    def _step(self, one: Instruction, values: dict[str, Any]) -> Any:
        operands = [self.value(operand, values) for operand in one.operands]
        types = [operand.type for operand in one.operands]
        if one.opcode == "load":
            return self.load(operands[0], one.type)
        if one.opcode == "store":
            self.store(operands[1], operands[0], types[0])
            return None
        if one.opcode == "getelementptr":
            return self._address(one.words[0], operands, types)
        if one.opcode == "alloca":
            size = self.size(one.words[0])
            return self.new([z3.FreshConst(z3.BitVecSort(8), "unwritten") for _ in range(size)])
        if one.opcode == "call":
            return self._called(one, operands, types)
        return self._computed(one, operands, types)

    def _called(self, one: Instruction, operands: list[Any], types: list[Type]) -> Any:
        name = str(one.words[0])
        if name in self.module.functions:
            return self.call(name, operands)
        return meaning(name)(self, one.type, operands, types)

    def _address(self, of: Type, operands: list[Any], types: list[Type]) -> Any:
        base = operands[0]
        offset = 0
        inner: Type | None = of
        for k, (index, type_) in enumerate(zip(operands[1:], types[1:], strict=True)):
            if not known(index):
                raise CannotRun("an address that depends on what is free")
            signed_index = index - (1 << type_.width) if index >> (type_.width - 1) else index
            if k == 0:
                offset += signed_index * self.size(of)
            elif inner is not None and inner.kind == "struct":
                before = Type("struct", parts=inner.parts[: signed_index + 1])
                offset += self.size(before) - self.size(inner.parts[signed_index])
                inner = inner.parts[signed_index]
            elif inner is not None:
                inner = inner.of
                assert inner is not None
                offset += signed_index * self.size(inner)
        if not isinstance(base, Pointer):
            return base  # of nothing; nobody may use it
        return Pointer(base.object, base.offset + offset)

    def _computed(self, one: Instruction, operands: list[Any], types: list[Type]) -> Any:
        opcode, first = one.opcode, types[0]
        if opcode == "freeze":
            return operands[0]
        if opcode in ("zext", "sext", "trunc"):
            return _each(
                one.type,
                lambda a: widen(a, _width(first), _width(one.type), is_signed=opcode == "sext"),
                operands[:1],
            )
        if opcode == "icmp":
            if first.kind == "ptr":
                return int((operands[0] == operands[1]) == (one.words[0] == "eq"))
            return _each(
                one.type, lambda a, b: compare(one.words[0], _width(first), a, b), operands
            )
        if opcode == "select":
            return self._selected(one, operands, types)
        if opcode == "bitcast":
            return recast(operands[0], first, one.type)
        if opcode == "shufflevector":
            both = [*operands[0], *operands[1]]
            return [both[place] if known(place) else 0 for place in operands[2]]
        if opcode == "insertelement":
            return [operands[1] if k == operands[2] else lane for k, lane in enumerate(operands[0])]
        if opcode == "extractelement":
            return operands[0][operands[1]]
        if opcode == "extractvalue":
            return operands[0][one.words[0]]
        if opcode in ("ptrtoint", "inttoptr"):
            return operands[0]
        return _each(
            one.type, lambda a, b: binary(opcode, _width(one.type), a, b, self.products), operands
        )

    def _selected(self, one: Instruction, operands: list[Any], types: list[Type]) -> Any:
        bit, yes, no = operands
        if types[0].kind == "vector":
            return [choose(b, y, n, _width(one.type)) for b, y, n in zip(bit, yes, no, strict=True)]
        if one.type.kind in ("ptr", "struct"):
            return yes if self.decide(bit) else no
        return _each(one.type, lambda y, n: choose(bit, y, n, _width(one.type)), [yes, no])


def _width(type_: Type) -> int:
    return type_.of.width if type_.of is not None else type_.width


def _each(type_: Type, function: Callable[..., Bits], operands: Sequence[Any]) -> Any:
    if type_.kind == "vector":
        return [function(*lanes) for lanes in zip(*operands, strict=True)]
    return function(*operands)


def recast(value: Any, before: Type, after: Type) -> Any:
    """The same bits as another type, on a processor that puts the lowest byte first."""
    if before.kind == "ptr" or before == after:
        return value
    bits = join(list(value), _width(before)) if before.kind == "vector" else value
    if after.kind == "vector":
        return [extract(bits, k * _width(after), _width(after)) for k in range(after.count)]
    return bits
