"""The instructions of LLVM's language, one reader for each kind."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tests.theorems.ir_reader import (
    ATTRIBUTES,
    FLAGS,
    PTR,
    VOID,
    Instruction,
    Reader,
    Type,
    UnknownText,
    integer,
)

_CASTS = frozenset(("zext", "sext", "trunc", "bitcast", "ptrtoint", "inttoptr", "freeze"))
_BINARY = frozenset(
    ("add", "sub", "mul", "and", "or", "xor", "shl", "lshr", "ashr", "udiv", "sdiv", "urem", "srem")
)


def instruction(line: str, structs: Mapping[str, Type]) -> Instruction:
    """Read a line of a block. Raises UnknownText."""
    reader = Reader(re.split(r", !\w|, !tbaa", line)[0], structs)
    result = ""
    if len(reader.words) > 1 and reader.words[1] == "=":
        result = reader.next()
        reader.next()
    reader.skip_attributes()
    opcode = reader.next()
    reader.skip_attributes()
    read = _READERS.get(opcode)
    if read is None:
        if opcode in _BINARY:
            read = _read_binary
        elif opcode in _CASTS:
            read = _read_cast
        else:
            raise UnknownText(f"{opcode}: {line.strip()}")
    return read(reader, result, opcode)


def _read_binary(reader: Reader, result: str, opcode: str) -> Instruction:
    first = reader.operand()
    reader.expect(",")
    return Instruction(result, opcode, first.type, (first, reader.value(first.type)))


def _read_cast(reader: Reader, result: str, opcode: str) -> Instruction:
    first = reader.operand()
    to = reader.type() if reader.accept("to") else first.type
    return Instruction(result, opcode, to, (first,))


def _read_compare(reader: Reader, result: str, opcode: str) -> Instruction:
    reader.skip_attributes()
    predicate = reader.next()
    first = reader.operand()
    reader.expect(",")
    second = reader.value(first.type)
    many = first.type.kind == "vector"
    type_ = Type("vector", count=first.type.count, of=integer(1)) if many else integer(1)
    return Instruction(result, opcode, type_, (first, second), (predicate,))


def _read_list(reader: Reader, result: str, opcode: str) -> Instruction:
    """Operands with their types, commas between: select, shufflevector, insertelement, extractelement."""
    operands = [reader.operand()]
    while reader.accept(","):
        operands.append(reader.operand())
    type_ = operands[1 if opcode == "select" else 0].type
    if opcode == "shufflevector":
        type_ = Type("vector", count=operands[2].type.count, of=type_.of)
    elif opcode == "extractelement":
        assert type_.of is not None
        type_ = type_.of
    return Instruction(result, opcode, type_, tuple(operands))


def _read_address(reader: Reader, result: str, opcode: str) -> Instruction:
    of = reader.type()
    operands = []
    while reader.accept(","):
        operands.append(reader.operand())
    return Instruction(result, opcode, PTR, tuple(operands), (of,))


def _read_load(reader: Reader, result: str, opcode: str) -> Instruction:
    type_ = reader.type()
    reader.expect(",")
    return Instruction(result, opcode, type_, (reader.operand(),))


def _read_store(reader: Reader, result: str, opcode: str) -> Instruction:
    value = reader.operand()
    reader.expect(",")
    return Instruction(result, opcode, VOID, (value, reader.operand()))


def _read_phi(reader: Reader, result: str, opcode: str) -> Instruction:
    type_ = reader.type()
    operands, labels = [], []
    while reader.accept("["):
        operands.append(reader.value(type_))
        reader.expect(",")
        labels.append(reader.next()[1:])
        reader.expect("]")
        reader.accept(",")
    return Instruction(result, opcode, type_, tuple(operands), tuple(labels))


def _read_branch(reader: Reader, result: str, opcode: str) -> Instruction:
    if reader.accept("label"):
        return Instruction(result, opcode, VOID, (), (reader.next()[1:],))
    condition = reader.operand()
    labels = []
    while reader.accept(","):
        reader.expect("label")
        labels.append(reader.next()[1:])
    return Instruction(result, opcode, VOID, (condition,), tuple(labels))


def _read_switch(reader: Reader, result: str, opcode: str) -> Instruction:
    value = reader.operand()
    reader.expect(",")
    reader.expect("label")
    words: list[Any] = [reader.next()[1:]]
    reader.expect("[")
    while not reader.accept("]"):
        case = reader.operand()
        reader.expect(",")
        reader.expect("label")
        words.append((case.value, reader.next()[1:]))
    return Instruction(result, opcode, VOID, (value,), tuple(words))


def _read_return(reader: Reader, result: str, opcode: str) -> Instruction:
    if reader.accept("void"):
        return Instruction(result, opcode, VOID, ())
    value = reader.operand()
    return Instruction(result, opcode, value.type, (value,))


def _read_call(reader: Reader, result: str, opcode: str) -> Instruction:
    while reader.peek() in ATTRIBUTES or reader.peek() == "call" or reader.peek() in FLAGS:
        if reader.next() in ("range", "dereferenceable", "captures") and reader.peek() == "(":
            reader.skip_brackets()
    type_ = reader.type()
    callee = reader.next()
    if callee == "asm":
        return Instruction(result, opcode, type_, (), ("asm",))
    reader.expect("(")
    operands = []
    while not reader.accept(")"):
        operands.append(reader.operand())
        reader.accept(",")
    return Instruction(result, opcode, type_, tuple(operands), (callee,))


def _read_alloca(reader: Reader, result: str, opcode: str) -> Instruction:
    return Instruction(result, opcode, PTR, (), (reader.type(),))


def _read_extract(reader: Reader, result: str, opcode: str) -> Instruction:
    value = reader.operand()
    reader.expect(",")
    place = int(reader.next())
    return Instruction(result, opcode, value.type.parts[place], (value,), (place,))


def _read_unreachable(reader: Reader, result: str, opcode: str) -> Instruction:
    return Instruction(result, opcode, VOID, ())


_READERS = {
    "icmp": _read_compare,
    "select": _read_list,
    "shufflevector": _read_list,
    "insertelement": _read_list,
    "extractelement": _read_list,
    "getelementptr": _read_address,
    "load": _read_load,
    "store": _read_store,
    "phi": _read_phi,
    "br": _read_branch,
    "switch": _read_switch,
    "ret": _read_return,
    "call": _read_call,
    "alloca": _read_alloca,
    "extractvalue": _read_extract,
    "unreachable": _read_unreachable,
}
