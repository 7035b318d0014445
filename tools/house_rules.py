"""House rules that no off-the-shelf linter knows: `python tools/house_rules.py [ROOT]`.

Prints `path:line: rule: text` for every breach and exits 1; prints nothing and exits 0 when there is
none. Rules and what they look at:

- tolerance: integers are compared for equality, so `allclose` and its kin appear in the torch witness only.
- dataclass: a record handed between stages is frozen.
- float: floating point appears only in kernels that the float clause of docs/numerics.md names.
- print: only the command line talks to the user; everything else returns values or raises.
- python: a Python that we start gets -P or -I, or a file in its folder, anybody's, would stand in for a module.
- process: processes are started in one place, which ends them, and worker processes in another.
- size: no file of the package has more than 400 lines, no function more than 60.
- todo: an open end belongs in an issue.

Python is read as syntax where that matters (dataclass, print, python, process, size), C with comments and strings
blanked.
"""

import ast
import os
import re
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple, TypeGuard

FOLDERS = ("ares", "docs", "examples", "runtime", "tests", "tools", "vectors")
SUFFIXES = (
    ".py",
    ".pyi",
    ".c",
    ".h",
    ".j2",
    ".jinja",
    ".md",
    ".toml",
    ".ini",
    ".mk",
    ".cmake",
    ".txt",
)

# This file and its test have to spell the words that they forbid.
EXEMPT = ("tools/house_rules.py", "tests/test_house_rules.py")

TOLERANCE_ALLOWED = {
    "ares/witness*": "the torch witness compares reals with codes, within a declared eps",
    "*.md": "prose",
}

FLOAT_ALLOWED = {
    "runtime/*/quantize_f32.[ch]": "quantises a float input (clause N6)",
    "runtime/*/conv_fp32.[ch]": "logits in binary32, OP_CONV_FP32 (clause N9)",
    "runtime/*/conv_transpose_fp32.[ch]": "results in binary32, OP_CONV_TRANSPOSE_FP32 (clause N9)",
    "runtime/*/upsample_bilinear_fp32.[ch]": "results in binary32, OP_UPSAMPLE_BILINEAR_FP32 (clause N9)",
    "runtime/*/average_fp32.[ch]": "averages in binary32, OP_AVGPOOL_FP32 (clause N9)",
    "runtime/*/linear_fp32.[ch]": "logits in binary32, OP_LINEAR_FP32 (clause N9)",
    "runtime/*/real_output.h": "what they make of an accumulator (clause N9)",
    "runtime/*/micro_floats*.[ch]": "loops of the clauses above, many elements at once",
    "runtime/*/float_probe.[ch]": "the start-up probe of the compiler's float arithmetic",
}

PRINT_ALLOWED = {
    "ares/cli/*": "the command line",
}

# In the package.
LONGEST_FILE, LONGEST_FUNCTION = 400, 60

# Tests start what they like: in folders of their own.
STARTING_CHECKED = ("ares/*", "examples/*", "tools/*")
PROCESS_ALLOWED = {
    "ares/toolchain/process.py": "children, ended with their children",
    "ares/pipeline/workers.py": "the workers of a run",
    "ares/toolchain/forks.py": "children that begin with what was imported once",
    "tools/check_certificate.py": "the probe, without ARES",
}
_STARTS = {
    "subprocess": None,
    "multiprocessing": None,
    "pty": None,
    "os": re.compile(r"system|popen|fork\w*|posix_spawnp?|exec[lv]\w*|spawn\w+"),
    "concurrent.futures": re.compile("ProcessPoolExecutor"),
}

_TOLERANCE = re.compile(r"allclose|isclose|\bapprox\b|\batol\b|\brtol\b")
_FLOAT = re.compile(r"\b(?:float|double)\b")
_TODO = re.compile(r"\b(?:TODO|FIXME|XXX)\b")
_C_COMMENT_OR_STRING = re.compile(
    r"""/\*.*?\*/ | //[^\n]* | "(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*'""", re.DOTALL | re.VERBOSE
)


class Breach(NamedTuple):
    """One broken rule, at a path relative to the checked root and a line counted from 1."""

    path: str
    line: int
    rule: str
    text: str


def breaches(root: Path) -> Iterator[Breach]:
    """Yield every breach below `root`, in the order of paths."""
    for file in _files(root):
        path = file.relative_to(root).as_posix()
        if path in EXEMPT:
            continue
        source = file.read_text(encoding="utf-8")
        lines = source.splitlines()
        found = set(_numbered("todo", _TODO, lines))
        if not _allowed(path, TOLERANCE_ALLOWED):
            found.update(_numbered("tolerance", _TOLERANCE, lines))
        if path.endswith(".py"):
            found.update(_python_breaches(path, source))
        if fnmatch(path, "runtime/*.[ch]") and not _allowed(path, FLOAT_ALLOWED):
            found.update(_numbered("float", _FLOAT, _c_code(source).splitlines()))
        for line, rule in sorted(found):
            yield Breach(path, line, rule, lines[line - 1].strip())


def main(arguments: list[str]) -> int:
    """Check the tree given as the only argument, or the one that this file lies in."""
    if arguments in (["-h"], ["--help"]):
        print(__doc__)
        return 0
    if len(arguments) > 1 or (arguments and not Path(arguments[0]).is_dir()):
        print("usage: house_rules.py [ROOT]", file=sys.stderr)
        return 2
    root = Path(arguments[0]) if arguments else Path(__file__).resolve().parent.parent
    found = list(breaches(root))
    for breach in found:
        print(f"{breach.path}:{breach.line}: {breach.rule}: {breach.text}")
    return 1 if found else 0


def _files(root: Path) -> Iterator[Path]:
    names = [path for path in root.iterdir() if path.is_file()]
    for folder in FOLDERS:
        for parent, folders, files in os.walk(root / folder):
            folders[:] = [name for name in folders if not name.startswith((".", "__pycache__"))]
            names.extend(Path(parent, name) for name in files)
    return iter(sorted(path for path in names if path.suffix in SUFFIXES))


def _allowed(path: str, table: dict[str, str]) -> bool:
    return any(fnmatch(path, pattern) for pattern in table)


def _numbered(rule: str, pattern: re.Pattern[str], lines: list[str]) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(lines, 1):
        if pattern.search(line):
            yield number, rule


def _python_breaches(path: str, source: str) -> Iterator[tuple[int, str]]:
    tree = ast.parse(source, path)
    in_package = path.startswith("ares/")
    if in_package and source.count("\n") > LONGEST_FILE:
        yield LONGEST_FILE + 1, "size"
    for node in ast.walk(tree):
        if in_package and _is_long(node):
            yield node.lineno, "size"
        if isinstance(node, ast.ClassDef):
            for decorator in node.decorator_list:
                if _is_dataclass(decorator) and not _is_frozen(decorator):
                    yield decorator.lineno, "dataclass"
        elif (
            in_package
            and isinstance(node, ast.Call)
            and _last_name(node.func) == "print"
            and not _allowed(path, PRINT_ALLOWED)
        ):
            yield node.lineno, "print"
        elif _allowed(path, dict.fromkeys(STARTING_CHECKED, "")):
            if _is_unsafe_python(node):
                yield node.lineno, "python"
            if _starts_process(node) and not _allowed(path, PROCESS_ALLOWED):
                yield node.lineno, "process"


def _is_long(node: ast.AST) -> TypeGuard[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (
        isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or node.lineno) - node.lineno >= LONGEST_FUNCTION
    )


def _is_unsafe_python(node: ast.AST) -> bool:
    """Words of a command, or a text, in which this very Python is called without a safe path."""
    if isinstance(node, ast.List | ast.Tuple):
        words = node.elts
        options = [*words[1:], None][: len(words)]
        return any(
            _is_this_python(word)
            and not (isinstance(option, ast.Constant) and option.value in ("-P", "-I"))
            for word, option in zip(words, options, strict=True)
        )
    return isinstance(node, ast.FormattedValue) and _is_this_python(node.value)


def _is_this_python(node: ast.expr) -> bool:
    return isinstance(node, ast.Attribute) and ast.unparse(node) == "sys.executable"


def _starts_process(node: ast.AST) -> bool:
    """An import, or the use of an attribute of `os`."""
    if isinstance(node, ast.Import):
        named = [(alias.name, "") for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        named = [(node.module or "", alias.name) for alias in node.names]
    elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        named = [(node.value.id, node.attr)] if node.value.id == "os" else []
    else:
        return False
    return any(_is_start(module, name) for module, name in named)


def _is_start(module: str, name: str) -> bool:
    package = module if module in _STARTS else module.partition(".")[0]
    if package not in _STARTS:
        return False
    pattern = _STARTS[package]
    return pattern is None or bool(pattern.fullmatch(name))


def _is_dataclass(decorator: ast.expr) -> bool:
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    return _last_name(called) == "dataclass"


def _is_frozen(decorator: ast.expr) -> bool:
    return isinstance(decorator, ast.Call) and any(
        keyword.arg == "frozen"
        and isinstance(keyword.value, ast.Constant)
        and keyword.value.value is True
        for keyword in decorator.keywords
    )


def _last_name(node: ast.expr) -> str | None:
    if isinstance(node, ast.Name):
        return node.id
    return node.attr if isinstance(node, ast.Attribute) else None


def _c_code(source: str) -> str:
    """Return the code of a C file, line for line: comments and strings blanked."""
    return _C_COMMENT_OR_STRING.sub(_only_newlines, source)


def _only_newlines(match: re.Match[str]) -> str:
    return " " + "\n" * match.group().count("\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
