"""The operators of Python: what a node of the syntax tree may be written as instead."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from typing import Any, TypeVar

Writing = tuple[str, ast.AST, str]
"""Operator, the node that is replaced, what is written there."""
_Node = TypeVar("_Node", bound=ast.AST)

_BINARY: dict[type[ast.operator], tuple[type[ast.operator], ...]] = {
    ast.Add: (ast.Sub,),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Add,),
    ast.Div: (ast.Mult,),
    ast.FloorDiv: (ast.Mult,),
    ast.Mod: (ast.FloorDiv,),
    ast.Pow: (ast.Mult,),
    ast.LShift: (ast.RShift,),
    ast.RShift: (ast.LShift,),
    ast.BitAnd: (ast.BitOr,),
    ast.BitOr: (ast.BitAnd,),
    ast.BitXor: (ast.BitAnd,),
}
_COMPARED: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_NAMES = {
    "min": "max",
    "max": "min",
    "any": "all",
    "all": "any",
    "minimum": "maximum",
    "maximum": "minimum",
    "floor": "ceil",
    "ceil": "floor",
    "int64": "int32",
    "uint64": "uint32",
    "float64": "float32",
    "uint8": "int8",
    "int8": "uint8",
    "issubset": "issuperset",
    "startswith": "endswith",
}


def expressions(node: ast.AST) -> Iterator[Writing]:
    """What an expression may be written as."""
    match node:
        case ast.BinOp():
            yield from _binary(node)
        case ast.Compare():
            yield from _compared(node)
        case ast.BoolOp():
            yield from _logic(node)
        case ast.UnaryOp(op=ast.Not() | ast.USub() | ast.Invert()):
            yield "sign", node, f"({ast.unparse(node.operand)})"
        case ast.Constant():
            yield from _constant(node)
        case ast.IfExp():
            yield "choice", node, f"({ast.unparse(node.body)})"
            yield "choice", node, f"({ast.unparse(node.orelse)})"
        case ast.Call():
            yield from _call(node)
        case ast.Attribute() if node.attr in _NAMES:
            yield "name", node, f"{ast.unparse(node.value)}.{_NAMES[node.attr]}"
        case ast.Name() if node.id in _NAMES and isinstance(node.ctx, ast.Load):
            yield "name", node, _NAMES[node.id]
        case ast.comprehension() if node.ifs:
            for condition in node.ifs:
                yield "condition", condition, "True"
        case ast.Slice():
            for bound in (node.lower, node.upper):
                if bound is not None and not isinstance(bound, ast.Constant):
                    yield "bound", bound, f"({ast.unparse(bound)}) + 1"


def statements(node: ast.stmt) -> Iterator[Writing]:
    """What a statement, or a part of one, may be written as."""
    match node:
        case ast.If():
            yield "condition", node.test, "True"
            yield "condition", node.test, "False"
        case ast.While():
            yield "condition", node.test, "False"
        case ast.AugAssign():
            yield "statement", node, "pass"
            for other in _BINARY.get(type(node.op), ()):
                yield "assignment", node, ast.unparse(_changed(node, op=other()))
        case ast.Expr(value=ast.Call() | ast.YieldFrom() | ast.Yield()):
            yield "statement", node, "pass"
        case ast.Raise():
            yield "statement", node, "pass"
        case ast.Return() if node.value is not None and not _is_none(node.value):
            yield "result", node.value, "None"
        case ast.Break():
            yield "jump", node, "continue"
        case ast.Continue():
            yield "jump", node, "break"
        case ast.Assign(targets=[ast.Subscript()]):
            yield "statement", node, "pass"


def _changed(node: _Node, **fields: Any) -> _Node:
    """A node with some fields replaced."""
    found = copy.copy(node)
    for name, value in fields.items():
        setattr(found, name, value)
    return found


def _binary(node: ast.BinOp) -> Iterator[Writing]:
    if isinstance(node.left, ast.JoinedStr | ast.Constant) and _is_word(node.left):
        return  # a text
    for other in _BINARY.get(type(node.op), ()):
        yield "arithmetic", node, f"({ast.unparse(_changed(node, op=other()))})"
    yield "operand", node, f"({ast.unparse(node.left)})"
    yield "operand", node, f"({ast.unparse(node.right)})"


def _compared(node: ast.Compare) -> Iterator[Writing]:
    for place, op in enumerate(node.ops):
        for other in _COMPARED[type(op)]:
            ops = [*node.ops[:place], other(), *node.ops[place + 1 :]]
            yield "relation", node, f"({ast.unparse(_changed(node, ops=ops))})"


def _logic(node: ast.BoolOp) -> Iterator[Writing]:
    other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
    yield "logic", node, f"({ast.unparse(_changed(node, op=other))})"
    for place in range(len(node.values)):
        rest = [*node.values[:place], *node.values[place + 1 :]]
        shown = _changed(node, values=rest) if len(rest) > 1 else rest[0]
        yield "operand", node, f"({ast.unparse(shown)})"


def _constant(node: ast.Constant) -> Iterator[Writing]:
    value = node.value
    if isinstance(value, bool):
        yield "constant", node, str(not value)
    elif isinstance(value, int):
        for other in dict.fromkeys((value + 1, value - 1, 0)):
            if other != value:
                yield "constant", node, f"({other})" if other < 0 else str(other)
    elif isinstance(value, float):
        yield "constant", node, repr(2 * value if value else 1.0)


def _call(node: ast.Call) -> Iterator[Writing]:
    for first in range(len(node.args) - 1):
        pair = node.args[first : first + 2]
        if all(isinstance(each, ast.Name | ast.Attribute | ast.Constant) for each in pair):
            args = [*node.args[:first], pair[1], pair[0], *node.args[first + 2 :]]
            yield "order", node, ast.unparse(_changed(node, args=args))
    for place, keyword in enumerate(node.keywords):
        if keyword.arg is not None:
            rest = [*node.keywords[:place], *node.keywords[place + 1 :]]
            yield "keyword", node, ast.unparse(_changed(node, keywords=rest))


def _is_none(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _is_word(node: ast.AST) -> bool:
    return isinstance(node, ast.JoinedStr) or isinstance(getattr(node, "value", None), str)
