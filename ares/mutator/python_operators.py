"""Where Python can be written otherwise: places of a file on its syntax tree.

Only the changed node is written anew, and lines keep their numbers. Left alone is what no code reads: annotations,
docstrings, texts of messages, decorators, and what only a type checker sees.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from types import CodeType
from typing import Any

from ares.mutator.mutant import Mutant, Place, named
from ares.mutator.python_writing import expressions, statements

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def python_mutants(file: str, text: bytes) -> list[Mutant]:
    """Every mutant of a Python file, in the order of its text; whether it can be compiled is not asked yet."""
    tree = ast.parse(text)
    source = _Source(text)
    alone = [node for node in tree.body if not isinstance(node, _FUNCTIONS)]
    spans = [source.span(node) for node in alone]
    extents = {"module": b"\n".join(text[start:end] for start, end in spans)}
    places = sorted(_places(tree, source, extents), key=lambda place: (place.start, place.end))
    return list(named("python", file, text, places, lambda function: extents[function]))


def is_code(text: bytes) -> bool:
    """Whether Python reads it."""
    try:
        compile(text, "mutant", "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        return False
    return True


def same_bytecode(before: bytes, after: bytes) -> bool:
    """Whether two texts mean the same to Python, but for the places of what stands in them."""
    return _bytecode(before) == _bytecode(after)


def _bytecode(text: bytes) -> object:
    return _facts(compile(text, "module", "exec", dont_inherit=True))


def _facts(code: object) -> object:
    """A code object by what it does; constants by their type as well, for 1 == True == 1.0."""
    if not isinstance(code, CodeType):
        return type(code).__name__, repr(code)
    names = ("co_code", "co_names", "co_varnames", "co_freevars", "co_cellvars", "co_flags")
    facts = [getattr(code, name) for name in names]
    counts = (code.co_argcount, code.co_kwonlyargcount, code.co_posonlyargcount)
    constants = tuple(_facts(constant) for constant in code.co_consts)
    return (*facts, counts, code.co_exceptiontable, constants)


class _Source:
    """Offsets in bytes of what `ast` names by line and column."""

    def __init__(self, text: bytes) -> None:
        self.text = text
        self._starts = [0]
        for line in text.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))

    def span(self, node: ast.AST) -> tuple[int, int]:
        """First byte, and the one behind the last."""
        place: Any = node  # of code all have one; `ast.AST` says so of none
        first = self._starts[place.lineno - 1] + place.col_offset
        last = self._starts[place.end_lineno - 1] + place.end_col_offset
        return int(first), int(last)

    def written(self, node: ast.AST, text: str) -> bytes:
        """A text in place of a node, with as many lines."""
        start, end = self.span(node)
        lines = self.text.count(b"\n", start, end)
        if not lines:
            return text.encode()
        if isinstance(node, ast.stmt):
            return text.encode() + b"\n" * lines
        return f"({text}".encode() + b"\n" * lines + b")"


def _places(tree: ast.Module, source: _Source, extents: dict[str, bytes]) -> Iterator[Place]:
    def visit(node: ast.AST, function: str) -> Iterator[Place]:
        for child in _children(node):
            name = function
            if isinstance(child, _FUNCTIONS):
                name = child.name if function == "module" else f"{function}.{child.name}"
                start, end = source.span(child)
                extents[name] = extents.get(name, b"") + source.text[start:end]
            if isinstance(child, ast.If) and _is_for_types(child):
                continue
            made = statements(child) if isinstance(child, ast.stmt) else expressions(child)
            for operator, old, text in made:
                start, end = source.span(old)
                yield Place(operator, name, start, end, source.written(old, text))
            yield from visit(child, name)

    yield from visit(tree, "module")


def _children(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes below that are code."""
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "type_params", "ctx"):
            continue
        if isinstance(node, ast.Raise):
            continue  # the class and the text of an error; whether it is raised is a statement's
        if isinstance(node, ast.JoinedStr):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not _is_text(child):
                yield child


def _is_for_types(node: ast.If) -> bool:
    return isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _is_text(node: ast.AST) -> bool:
    """A docstring, or another text that stands alone."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return True
    return isinstance(node, (ast.Import, ast.ImportFrom, ast.Assert))
