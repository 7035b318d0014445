"""Where C can be written otherwise: places of a file on its syntax tree, macros that hold code included.

tree-sitter reads C as it stands, before the preprocessor. What a macro stands for is read as the body of a function;
macros before a function's type (attributes) are blanked. No byte moves by it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from ares.mutator.c_writing import writings
from ares.mutator.mutant import Mutant as _Mutant
from ares.mutator.mutant import Place, named

# A word of capitals before a type, at the beginning of a line.
_ATTRIBUTE = re.compile(rb"^(?:static )?([A-Z][A-Z0-9_]{2,})(?= +[a-z_]\w* )", re.MULTILINE)
_HEAD, _TAIL = b"void f(void){", b";}"
# What is no code, or of which nothing can be changed alone.
_LEFT_ALONE = frozenset(
    (
        *("ERROR", "comment", "string_literal", "preproc_include", "attribute_specifier"),
        *("preproc_if_condition", "gnu_asm_expression", "type_descriptor", "offsetof_expression"),
        *("sizeof_expression", "static_assert_declaration", "preproc_call"),
    )
)
_CONDITIONAL = frozenset(("preproc_if", "preproc_elif", "preproc_ifdef"))

Node = Any
"""A node of tree-sitter, which is optional and read only here."""


@dataclass(frozen=True, slots=True)
class _Scope:
    """A function: its text, its variables by name with their types, and the fields that it reads of each value."""

    name: str
    text: bytearray = field(default_factory=bytearray)
    variables: dict[str, str] = field(default_factory=dict)
    fields: dict[str, list[str]] = field(default_factory=dict)


def c_mutants(file: str, text: bytes) -> list[_Mutant]:
    """Every mutant of a C file, in the order of its text."""
    scopes: dict[str, _Scope] = {}
    places = sorted(_places(text, scopes), key=lambda place: (place.start, place.end))
    return list(named("c", file, text, places, lambda function: bytes(scopes[function].text)))


def function_texts(text: bytes) -> dict[str, bytes]:
    """The functions and macros of a file, by name."""
    blanked = _ATTRIBUTE.sub(lambda found: b" " * len(found[0]), text)
    found: dict[str, bytes] = {}
    for node, name, _, _ in _functions(_parser().parse(blanked).root_node, blanked):
        found[name] = found.get(name, b"") + bytes(node.text)
    return found


def _places(text: bytes, scopes: dict[str, _Scope]) -> Iterator[Place]:
    blanked = _ATTRIBUTE.sub(lambda found: b" " * len(found[0]), text)
    root = _parser().parse(blanked).root_node
    for node, name, base, last in _functions(root, blanked):
        scope = scopes.setdefault(name, _Scope(name))
        scope.text.extend(node.text)
        _collect(node, scope)
        for found in _walk(node):
            for operator, start, end, written in writings(found, scope.variables, scope.fields):
                if end + base <= last:  # of a macro what is not put behind it here
                    yield Place(operator, name, start + base, end + base, written)


def _functions(root: Node, text: bytes) -> Iterator[tuple[Node, str, int, int]]:
    """Functions, enumerations, and bodies of macros: the node, a name, what its bytes begin behind, their end."""
    pending = [root]
    while pending:
        node = pending.pop()
        if node.type == "function_definition":
            yield node, _name(node), 0, node.end_byte
        elif node.type in ("preproc_function_def", "preproc_def"):
            yield from _macro(node, text)
        elif node.type == "enum_specifier":
            yield node, "enum", 0, node.end_byte
        elif node.type == "declaration" and node.parent is root:
            yield node, "data", 0, node.end_byte
        else:
            pending += reversed(node.named_children)


def _macro(node: Node, text: bytes) -> Iterator[tuple[Node, str, int, int]]:
    value = node.child_by_field_name("value")
    name = node.child_by_field_name("name").text.decode()
    if value is None or re.fullmatch(rb"[\w\s]*", value.text):
        return  # a name for a name, or nothing
    body = text[value.start_byte : value.end_byte].replace(b"\\\n", b" \n")
    found = _parser().parse(_HEAD + body + _TAIL).root_node.named_children[0]
    yield found, name, value.start_byte - len(_HEAD), value.end_byte


def _name(node: Node) -> str:
    while node is not None and node.type != "identifier":
        node = node.child_by_field_name("declarator")
    return node.text.decode() if node is not None else "unnamed"


def _walk(node: Node) -> Iterator[Node]:
    """The nodes that an operator may look at."""
    for child in node.children:
        if child.type in _LEFT_ALONE or child.is_missing:
            continue
        parent = child.parent
        if parent.type in _CONDITIONAL and parent.child_by_field_name("condition") == child:
            continue
        yield child
        yield from _walk(child)


def _collect(node: Node, scope: _Scope) -> None:
    """The variables of a function, and the fields that are read of the same value."""
    for found in _walk(node):
        if found.type in ("declaration", "parameter_declaration"):
            kind = found.child_by_field_name("type")
            for declarator in found.children_by_field_name("declarator"):
                name, stars = _declared(declarator)
                if kind is not None and name:
                    scope.variables.setdefault(name, kind.text.decode() + stars)
        elif found.type == "field_expression":
            value = found.child_by_field_name("argument").text.decode()
            read = scope.fields.setdefault(value, [])
            name = found.child_by_field_name("field").text.decode()
            if name not in read:
                read.append(name)


def _declared(node: Node) -> tuple[str, str]:
    """Name of a declarator, and a star for each pointer and array around it."""
    stars = ""
    while node is not None and node.type != "identifier":
        if node.type in ("pointer_declarator", "array_declarator"):
            stars += "*"
        node = node.child_by_field_name("declarator")
    return (node.text.decode() if node is not None else ""), stars


@lru_cache
def _parser() -> Any:
    import tree_sitter
    import tree_sitter_c

    return tree_sitter.Parser(tree_sitter.Language(tree_sitter_c.language()))
