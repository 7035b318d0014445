"""The operators of C: what a node of the syntax tree may be written as instead."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

Node = Any
Writing = tuple[str, int, int, bytes]
"""Operator, first byte, byte behind the last, what is written there."""

_ARITHMETIC = {"+": "-", "-": "+", "*": "+", "/": "*", "%": "*"}
_BITS = {"&": "|", "|": "&", "^": "&"}
_SHIFTS = {"<<": ">>", ">>": "<<"}
_RELATIONS = {
    "<": ("<=", ">="),
    "<=": ("<", ">"),
    ">": (">=", "<="),
    ">=": (">", "<"),
    "==": ("!=",),
    "!=": ("==",),
}
_LOGIC = {"&&": "||", "||": "&&"}
_TYPES = {
    "int8_t": ("uint8_t",),
    "uint8_t": ("int8_t",),
    "int16_t": ("uint16_t", "int8_t"),
    "uint16_t": ("int16_t",),
    "int32_t": ("int16_t", "uint32_t"),
    "uint32_t": ("int32_t", "uint16_t"),
    "int64_t": ("int32_t",),
    "uint64_t": ("int64_t", "uint32_t"),
    "ptrdiff_t": ("int16_t",),
    "size_t": ("uint16_t",),
    "int": ("int16_t",),
}
_NUMBER = re.compile(r"(0[xX][0-9a-fA-F]+|[0-9]+)([uUlL]*)")
_WRAPPED = re.compile(r"U?INT(?:8|16|32|64)_C")


def writings(
    node: Node, variables: Mapping[str, str], fields: Mapping[str, list[str]]
) -> Iterator[Writing]:
    """What a node may be written as. `variables` of its function have types, `fields` are read of the same value."""
    match node.type:
        case "binary_expression":
            yield from _binary(node)
        case "assignment_expression":
            yield from _assignment(node)
        case "number_literal":
            yield from _number(node)
        case "unary_expression":
            yield "sign", node.start_byte, node.child_by_field_name("argument").start_byte, b""
        case "update_expression":
            yield from _update(node)
        case "expression_statement":
            yield "statement", node.start_byte, node.end_byte, b";"
        case "if_statement":
            yield from _condition(node)
        case "for_statement" | "while_statement":
            yield from _loop(node)
        case "conditional_expression":
            yield from _choice(node)
        case "cast_expression":
            yield from _cast(node)
        case "return_statement":
            yield from _return(node)
        case "break_statement":
            yield "jump", node.start_byte, node.end_byte, b"continue;"
        case "continue_statement":
            yield "jump", node.start_byte, node.end_byte, b"break;"
        case "subscript_expression":
            yield from _exchanged(node.child_by_field_name("index"), variables)
        case "argument_list":
            yield from _arguments(node, variables)
        case "field_expression":
            yield from _field(node, fields)
        case "compound_statement" if node.parent.type == "function_definition":
            yield from _early(node)
        case "init_declarator":
            yield from _initial(node)


def _text(node: Node) -> str:
    found: str = node.text.decode()
    return found


def _binary(node: Node) -> Iterator[Writing]:
    token = node.child_by_field_name("operator")
    word = _text(token)
    start, end = token.start_byte, token.end_byte
    left, right = (node.child_by_field_name(side) for side in ("left", "right"))
    if word in _ARITHMETIC:
        yield "arithmetic", start, end, _ARITHMETIC[word].encode()
        yield "operand", node.start_byte, right.start_byte, b""
        yield "operand", left.end_byte, node.end_byte, b""
    elif word in _BITS:
        yield "bits", start, end, _BITS[word].encode()
    elif word in _SHIFTS:
        yield "shift", start, end, _SHIFTS[word].encode()
        yield "operand", left.end_byte, node.end_byte, b""
    elif word in _LOGIC:
        yield "logic", start, end, _LOGIC[word].encode()
        yield "operand", node.start_byte, right.start_byte, b""
        yield "operand", left.end_byte, node.end_byte, b""
    for other in _RELATIONS.get(word, ()):
        yield "relation", start, end, other.encode()


def _assignment(node: Node) -> Iterator[Writing]:
    token = node.child_by_field_name("operator")
    word = _text(token)
    if word != "=":
        other = {**_ARITHMETIC, **_BITS, **_SHIFTS}[word[:-1]] + "="
        yield "assignment", token.start_byte, token.end_byte, other.encode()
        yield "assignment", token.start_byte, token.end_byte, b"="


def _number(node: Node) -> Iterator[Writing]:
    found = _NUMBER.fullmatch(_text(node))
    parent = node.parent
    if found is None:
        return
    value, suffix = int(found[1], 0 if found[1][:2].lower() == "0x" else 10), found[2]
    wanted = [value + 1, value - 1, 0]
    if parent.type == "array_declarator":
        wanted = [value - 1]  # more room than is needed is no fault
    call = parent.parent if parent.type == "argument_list" else None
    wrapped = call is not None and _WRAPPED.fullmatch(_text(call.children[0]))
    for number in dict.fromkeys(wanted):
        if number == value or (number < 0 and wrapped):
            continue
        digits = hex(number) if found[1][:2].lower() == "0x" else str(number)
        written = f"{digits}{suffix}" if number >= 0 else f"({digits})"
        yield "constant", node.start_byte, node.end_byte, written.encode()


def _update(node: Node) -> Iterator[Writing]:
    token = node.child_by_field_name("operator")
    other = b"--" if _text(token) == "++" else b"++"
    yield "update", token.start_byte, token.end_byte, other


def _condition(node: Node) -> Iterator[Writing]:
    condition = node.child_by_field_name("condition")
    for word in (b"(1)", b"(0)"):
        yield "condition", condition.start_byte, condition.end_byte, word
    alternative = node.child_by_field_name("alternative")
    if alternative is not None:
        yield "statement", alternative.start_byte, alternative.end_byte, b""


def _loop(node: Node) -> Iterator[Writing]:
    condition = node.child_by_field_name("condition")
    if condition is None:
        return
    if condition.type == "parenthesized_expression":
        condition = condition.named_children[0]
    yield "loop", condition.start_byte, condition.end_byte, b"0"
    if condition.type == "binary_expression":
        bound = condition.child_by_field_name("right")
        if bound.type != "number_literal":
            text = bound.text
            for more in (b" + 1", b" - 1"):
                yield "bound", bound.start_byte, bound.end_byte, b"(" + text + b")" + more
    initial = node.child_by_field_name("initializer")
    if initial is not None and initial.type == "declaration":
        for declarator in initial.children_by_field_name("declarator"):
            value = declarator.child_by_field_name("value")
            if value is not None and value.type != "number_literal":
                written = b"(" + value.text + b") + 1"
                yield "bound", value.start_byte, value.end_byte, written


def _choice(node: Node) -> Iterator[Writing]:
    yes, no = node.child_by_field_name("consequence"), node.child_by_field_name("alternative")
    if yes is None or no is None:
        return
    yield "choice", node.start_byte, node.end_byte, b"(" + yes.text + b")"
    yield "choice", node.start_byte, node.end_byte, b"(" + no.text + b")"


def _cast(node: Node) -> Iterator[Writing]:
    kind = node.child_by_field_name("type")
    value = node.child_by_field_name("value")
    if _text(kind) == "void":
        return
    for other in _TYPES.get(_text(kind), ()):
        yield "cast", kind.start_byte, kind.end_byte, other.encode()
    if _text(kind) in _TYPES:
        yield "cast", node.start_byte, value.start_byte, b""


def _return(node: Node) -> Iterator[Writing]:
    values = node.named_children
    if len(values) != 1 or _text(values[0]) in ("0", "NULL"):
        return
    value = values[0]
    yield "result", value.start_byte, value.end_byte, b"0"
    if value.type not in ("number_literal", "string_literal"):
        yield "sign", value.start_byte, value.end_byte, b"-(" + value.text + b")"


def _exchanged(index: Node, variables: Mapping[str, str]) -> Iterator[Writing]:
    """Another variable of the same type, declared before, for each that stands in an index."""
    pending = [index]
    while pending:
        node = pending.pop()
        if node.type == "identifier":
            other = _other(_text(node), variables)
            if other:
                yield "variable", node.start_byte, node.end_byte, other.encode()
        elif node.type in ("binary_expression", "parenthesized_expression", "cast_expression"):
            pending += node.named_children


def _other(name: str, variables: Mapping[str, str]) -> str:
    kind = variables.get(name)
    same = [each for each, its in variables.items() if its == kind and kind is not None]
    if len(same) < 2:
        return ""
    place = same.index(name)
    return same[place - 1] if place else same[1]


def _arguments(node: Node, variables: Mapping[str, str]) -> Iterator[Writing]:
    """Neighbours of the same type change places."""
    given = [child for child in node.named_children if child.type != "comment"]
    for first, second in pairwise(given):
        kinds = [variables.get(_text(each), each.type) for each in (first, second)]
        simple = all(
            each.type in ("identifier", "number_literal", "field_expression")
            for each in (first, second)
        )
        if simple and kinds[0] == kinds[1] and first.text != second.text:
            between = node.text[
                first.end_byte - node.start_byte : second.start_byte - node.start_byte
            ]
            written = second.text + between + first.text
            yield "order", first.start_byte, second.end_byte, written


def _field(node: Node, fields: Mapping[str, list[str]]) -> Iterator[Writing]:
    """Another field that the function reads of the same value."""
    name = node.child_by_field_name("field")
    read = fields.get(_text(node.child_by_field_name("argument")), [])
    if len(read) > 1 and _text(name) in read:
        other = read[read.index(_text(name)) - 1]
        yield "field", name.start_byte, name.end_byte, other.encode()


def _early(body: Node) -> Iterator[Writing]:
    """A void function ends before one of its loops or conditions."""
    kind = body.parent.child_by_field_name("type")
    declarator = body.parent.child_by_field_name("declarator")
    if _text(kind) != "void" or declarator.type == "pointer_declarator":
        return
    for node in body.named_children[1:]:
        if node.type in ("for_statement", "if_statement", "expression_statement"):
            yield "early", node.start_byte, node.start_byte, b"return; "


def _initial(node: Node) -> Iterator[Writing]:
    """A number that a variable begins with, when it is read from elsewhere, is zero."""
    value = node.child_by_field_name("value")
    declarator = node.child_by_field_name("declarator")
    kind = node.parent.child_by_field_name("type")
    if value is None or kind is None or declarator.type != "identifier":
        return
    if _text(kind) in _TYPES and value.type != "number_literal":
        yield "initial", value.start_byte, value.end_byte, b"0"
