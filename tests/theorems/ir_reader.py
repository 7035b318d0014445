"""LLVM's intermediate language as clang prints it: types, constants and operands, read word by word.

What theorems are about is what the compiler has read, so that nothing is written down a second time by hand. Only what
occurs there is understood; anything else raises `UnknownText`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


class UnknownText(Exception):
    """Something that this reader does not know; the message quotes it."""


@dataclass(frozen=True, slots=True)
class Type:
    """kind: int, ptr, vector, array, struct, void or other (floats, labels).

    `width`: bits of an int; `count` elements of the type `of`; `parts` of a struct.
    """

    kind: str
    width: int = 0
    count: int = 0
    of: Type | None = None
    parts: tuple[Type, ...] = ()


VOID, PTR = Type("void"), Type("ptr")


def integer(width: int) -> Type:
    """The type of that many bits."""
    return Type("int", width)


@dataclass(frozen=True, slots=True)
class Operand:
    """kind: local, global, int, vector (value: tuple of operands), zero, undef or null, or `offset` (global, bytes)."""

    type: Type
    kind: str
    value: Any = None


@dataclass(frozen=True, slots=True)
class Instruction:
    """`words` are what the instruction has besides operands: predicate, callee, labels, indices, type of a cast."""

    result: str
    opcode: str
    type: Type
    operands: tuple[Operand, ...]
    words: tuple[Any, ...] = ()


_TOKEN = re.compile(
    r'c"(?:[^"])*"|[%@]"[^"]*"|[%@][-\w.$]+|#\d+|![\w.]*|"[^"]*"|\.\.\.|-?[\w.$]+|[^\s]'
)
FLAGS = frozenset(
    (
        "nuw",
        "nsw",
        "exact",
        "inbounds",
        "disjoint",
        "nneg",
        "samesign",
        "tail",
        "musttail",
        "notail",
        "fast",
        "volatile",
        "inrange",
        "nusw",
    )
)
ATTRIBUTES = frozenset(
    (
        "noundef",
        "nonnull",
        "nocapture",
        "readonly",
        "writeonly",
        "signext",
        "zeroext",
        "noalias",
        "returned",
        "immarg",
        "readnone",
        "dso_local",
        "internal",
        "local_unnamed_addr",
        "unnamed_addr",
        "fastcc",
        "hidden",
        "private",
        "constant",
        "global",
        "nofree",
        "writable",
        "dead_on_unwind",
        "dead_on_return",
        "arm_aapcs_vfpcc",
        "arm_aapcscc",
        "range",
        "dereferenceable",
        "captures",
        "inreg",
    )
)


class Reader:
    """The words of one line, read from left to right."""

    def __init__(self, line: str, structs: Mapping[str, Type]) -> None:
        self.line = line
        self.words = list(_TOKEN.findall(line))
        self.at = 0
        self.structs = structs

    def peek(self) -> str:
        return self.words[self.at] if self.at < len(self.words) else ""

    def next(self) -> str:
        word = self.peek()
        self.at += 1
        return word

    def expect(self, word: str) -> None:
        if self.next() != word:
            raise UnknownText(f"expected {word!r}: {self.line.strip()}")

    def accept(self, word: str) -> bool:
        found = self.peek() == word
        self.at += found
        return found

    def skip_attributes(self) -> None:
        while self.peek() in FLAGS or self.peek() in ATTRIBUTES or self.peek() in ("align", "!"):
            word = self.next()
            if word == "align" and self.peek().isdigit():
                self.next()
            if self.peek() == "(":
                self.skip_brackets()

    def skip_brackets(self) -> None:
        depth = 0
        while True:
            word = self.next()
            depth += (word == "(") - (word == ")")
            if depth == 0:
                return

    def type(self) -> Type:
        word = self.next()
        if re.fullmatch(r"i\d+", word):
            return integer(int(word[1:]))
        if word == "ptr":
            return PTR
        if word == "void":
            return VOID
        if word in ("<", "["):
            return self._several(word)
        if word == "{":
            return self._struct()
        if word in self.structs:
            return self.structs[word]
        if word in ("float", "double", "half", "label", "metadata", "token", "opaque"):
            return Type("other", {"float": 32, "double": 64, "half": 16}.get(word, 0))
        raise UnknownText(f"type {word!r}: {self.line.strip()}")

    def _several(self, opening: str) -> Type:
        if opening == "<" and self.accept("{"):
            made = self._struct()
            self.expect(">")
            return made
        scalable = self.accept("vscale")
        if scalable:
            self.expect("x")
        count = int(self.next())
        self.expect("x")
        of = self.type()
        self.expect(">" if opening == "<" else "]")
        if scalable:
            count *= VSCALE
        return Type("vector" if opening == "<" else "array", count=count, of=of)

    def _struct(self) -> Type:
        parts = []
        while not self.accept("}"):
            parts.append(self.type())
            self.accept(",")
        return Type("struct", parts=tuple(parts))

    def value(self, type_: Type) -> Operand:
        word = self.next()
        if word.startswith("%"):
            return Operand(type_, "local", word)
        if word.startswith("@"):
            return Operand(type_, "global", word)
        if word in ("true", "false"):
            return Operand(type_, "int", int(word == "true"))
        if word in ("undef", "poison"):
            return Operand(type_, "undef")
        if word in ("zeroinitializer", "null", "none"):
            return Operand(type_, "zero")
        if re.fullmatch(r"-?\d+", word):
            return Operand(type_, "int", int(word))
        if word == "splat":
            self.expect("(")
            one = self.operand()
            self.expect(")")
            return Operand(type_, "vector", (one,) * type_.count)
        if word in ("<", "[", "{"):
            return self._elements(type_, {"<": ">", "[": "]", "{": "}"}[word])
        if word.startswith('c"'):
            return Operand(type_, "vector", tuple(_bytes(word[2:-1])))
        if word == "getelementptr":
            return self._constant_offset(type_)
        if word == "inttoptr":
            self.skip_brackets()
            return Operand(type_, "undef")  # what no path uses
        raise UnknownText(f"value {word!r}: {self.line.strip()}")

    def _elements(self, type_: Type, closing: str) -> Operand:
        found = []
        while not self.accept(closing):
            found.append(self.operand())
            self.accept(",")
        return Operand(type_, "vector", tuple(found))

    def _constant_offset(self, type_: Type) -> Operand:
        """A place in a global: clang counts it in bytes."""
        self.skip_attributes()
        self.expect("(")
        of = self.type()
        self.expect(",")
        base = self.operand()
        self.expect(",")
        index = self.operand()
        self.expect(")")
        if of != integer(8) or base.kind != "global":
            raise UnknownText(self.line.strip())
        return Operand(type_, "offset", (base.value, index.value))

    def operand(self) -> Operand:
        type_ = self.type()
        self.skip_attributes()
        return self.value(type_)


VSCALE = 2
"""Of RISC-V's vectors: registers of 128 bits."""


def _bytes(text: str) -> list[Operand]:
    codes = re.findall(r"\\[0-9A-Fa-f]{2}|.", text)
    numbers = [int(code[1:], 16) if len(code) == 3 else ord(code) for code in codes]
    return [Operand(integer(8), "int", number) for number in numbers]
