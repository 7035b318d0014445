"""Which mutants there are of a text, what they are called, and which are drawn."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from ares.emit import runtime_files
from ares.mutator.c_operators import c_mutants
from ares.mutator.mutant import drawn, matching
from ares.mutator.python_operators import is_code, python_mutants, same_bytecode
from tests.checkout import ROOT

C = b"""#include "x.h"
#define LEAST(a, b) \\
    ((a) < (b) ? (a) : (b))
static int32_t sum(const int8_t *x, int32_t count, int32_t step)
{
    int32_t total = 0;
    for (int32_t i = 0; i < count; ++i) {
        total += x[i * step];
    }
    return (int32_t)total >> 1;
}
"""
# Operator -> a line as it is written by it, of all those above.
WRITTEN = {
    "relation": "for (int32_t i = 0; i <= count; ++i) {",
    "arithmetic": "total += x[i + step];",
    "constant": "return (int32_t)total >> 2;",
    "assignment": "total -= x[i * step];",
    "statement": ";",
    "loop": "for (int32_t i = 0; 0; ++i) {",
    "bound": "for (int32_t i = 0; i < (count) - 1; ++i) {",
    "variable": "total += x[total * step];",
    "cast": "return (int16_t)total >> 1;",
    "shift": "return (int32_t)total << 1;",
    "result": "return 0;",
    "sign": "return -((int32_t)total >> 1);",
    "choice": "(((b)))",
    "update": "for (int32_t i = 0; i < count; --i) {",
    "operand": "total += x[i];",
}

PYTHON = b'''"""What it is: 1 + 1."""
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from x import Y


def least(values: list[int], most: int = 3) -> int:
    """The least: 0."""
    if not values or most < 0:
        raise ValueError(f"{len(values) + 1} values, expected {most - 1}")
    return min(
        value + 1
        for value in values
        if value >= 2
    )
'''


@pytest.mark.parametrize("operator", WRITTEN)
def test_c_is_written_otherwise(operator: str) -> None:
    lines = [m.shown()[1] for m in c_mutants("x.c", C) if m.place.operator == operator]
    assert WRITTEN[operator] in lines


def test_other_bytes_stay() -> None:
    for mutant in c_mutants("x.c", C):
        place, text = mutant.place, mutant.mutated
        assert text[: place.start] == C[: place.start]
        assert text[place.start + len(place.written) :] == C[place.end :]
        assert text.count(b"\n") == C.count(b"\n")


def test_names_are_of_the_function_alone() -> None:
    """A mutant keeps its name when another function changes, and loses it when its own does."""
    before = {mutant.name for mutant in c_mutants("x.c", C)}
    beside = C.replace(b"(a) < (b)", b"(a) <= (b)")
    own = C.replace(b"total = 0", b"total = 1")
    names = {name for name in before if ":sum:" in name}
    assert names
    assert names <= {mutant.name for mutant in c_mutants("x.c", beside)}
    assert not names & {mutant.name for mutant in c_mutants("x.c", own)}


def test_every_function_of_the_runtime_has_mutants() -> None:
    """What the parser does not understand would be left out without a word."""
    missing = []
    for file, text in runtime_files().items():
        if not (file.startswith("runtime/src/") and file.endswith(".c")):
            continue
        functions = {mutant.place.function for mutant in c_mutants(file, text)}
        defined = re.findall(rb"^(?:\w+ )+\*?(ares_\w+)\([^;]*?\)\n\{\n(.*?)^\}", text, re.M | re.S)
        for name, body in defined:
            if body.count(b";") > 2 and name.decode() not in functions:
                missing.append(f"{file}: {name.decode()}")
    assert not missing


def test_python_that_no_code_reads_is_left_alone() -> None:
    mutants = python_mutants("x.py", PYTHON)
    lines = Counter(mutant.line for mutant in mutants)
    assert set(lines) == {8, 10, 11, 12, 13, 15}  # the default, the condition, raise, min, + and >=
    for mutant in mutants:
        assert is_code(mutant.mutated)
        assert mutant.mutated.count(b"\n") == PYTHON.count(b"\n")
    assert lines[11] == 1, "of an error only whether it is raised"


def test_the_same_bytecode() -> None:
    assert same_bytecode(b"x: int = 1 + 1\n", b"x: str = (2)\n") is False  # annotations are kept
    assert same_bytecode(b"def f():\n    return 1 + 1\n", b"def f():\n\n    return (2)\n")
    assert not same_bytecode(b"def f():\n    return 1\n", b"def f():\n    return True\n")


def test_a_sample_is_of_every_file_and_by_the_seed_alone() -> None:
    files = {f"{name}.c": C.replace(b"sum", name.encode()) for name in ("a", "b", "c", "d")}
    mutants = [mutant for file, text in files.items() for mutant in c_mutants(file, text)]
    once = drawn(mutants, 20, 7, lambda _: 1.0)
    assert len(once) == 20
    assert {mutant.file for mutant in once} == set(files)
    again = drawn(list(reversed(mutants)), 20, 7, lambda _: 1.0)
    assert {mutant.name for mutant in again} == {mutant.name for mutant in once}
    other = drawn(mutants, 20, 8, lambda _: 1.0)
    assert {mutant.name for mutant in other} != {mutant.name for mutant in once}
    fewer = drawn(mutants, 40, 7, lambda file: 0.25 if file == "a.c" else 1.0)
    count = Counter(mutant.file for mutant in fewer)
    assert count["a.c"] < count["b.c"]
    assert len(drawn(mutants, 10**6, 1, lambda _: 1.0)) == len(mutants)


def test_files_by_pattern() -> None:
    files = ["runtime/src/add.c", "runtime/inc/add.h", "runtime/src/mul.c"]
    assert matching(files, ["*/add.*"]) == files[:2]
    assert matching(files, ["src/mul"]) == files[2:]
    assert matching(files, []) == files


def test_names_of_real_mutants_are_their_own() -> None:
    file = "ares/numerics/rounding.py"
    mutants = python_mutants(file, (ROOT / file).read_bytes())
    names = [mutant.name for mutant in mutants]
    assert len(set(names)) == len(names) > 20
    assert all(re.fullmatch(r"[\w./:-]+", name) for name in names)
