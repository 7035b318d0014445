"""A module of LLVM's language: its functions that have a body, and its constant data."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.theorems.ir_instructions import instruction
from tests.theorems.ir_reader import Instruction, Operand, Reader, Type, UnknownText


@dataclass(frozen=True, slots=True)
class Function:
    """Parameters by name with their types, and blocks by label in order; the first is where it begins."""

    name: str
    parameters: list[tuple[str, Type]]
    blocks: dict[str, list[Instruction]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Module:
    """`globals`: constant data, as type and operand."""

    functions: Mapping[str, Function]
    globals: Mapping[str, Operand]
    pointer_bytes: int


def read_module(text: str) -> Module:
    """All functions that have a body, and constant data."""
    lines = text.splitlines()
    structs: dict[str, Type] = {}
    for line in lines:
        named = re.match(r"(%[\w.]+) = type (.*)", line)
        if named and named[2] != "opaque":
            structs[named[1]] = Reader(named[2], structs).type()
    functions: dict[str, Function] = {}
    constants: dict[str, Operand] = {}
    body: Function | None = None
    label = ""
    for number, line in enumerate(lines):
        if line.startswith("define "):
            body = _head(line, structs)
            label = "entry"
            functions[body.name] = body
        elif line == "}":
            body = None
        elif body is not None:
            opened = re.match(r'([-\w.$]+|"[^"]*"):', line)
            if opened:
                label = opened[1]
            elif line.strip() and not line.lstrip().startswith(
                (";", "#dbg", "]", "i32 ", "i64 ", "i8 ")
            ):
                whole = _switch(lines, number) if line.lstrip().startswith("switch") else line
                body.blocks.setdefault(label, []).append(instruction(whole, structs))
        elif line.startswith("@"):
            _global(line, structs, constants)
    layout = re.search(r'target datalayout = "([^"]*)"', text)
    narrow = layout is not None and "p:32:32" in layout[1]
    return Module(functions, constants, 4 if narrow else 8)


def _switch(lines: list[str], number: int) -> str:
    end = next(k for k in range(number, len(lines)) if "]" in lines[k])
    return " ".join(lines[number : end + 1])


def _global(line: str, structs: Mapping[str, Type], constants: dict[str, Operand]) -> None:
    reader = Reader(line.partition(" = ")[2], structs)
    reader.skip_attributes()
    try:
        constants[line.partition(" = ")[0]] = reader.operand()
    except UnknownText:
        return  # pointers to functions and the like: whoever uses it finds it missing


def _head(line: str, structs: Mapping[str, Type]) -> Function:
    found = re.match(r"define .*?@([\w.$]+)\((.*)", line)
    assert found is not None
    name = found[1]
    reader = Reader(found[2], structs)
    parameters: list[tuple[str, Type]] = []
    while not reader.accept(")"):
        type_ = reader.type()
        reader.skip_attributes()
        parameters.append((reader.next(), type_))
        reader.accept(",")
    return Function(f"@{name}", parameters)
