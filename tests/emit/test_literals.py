"""C literals stand for exactly the values they were made of, on any compiler."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from ares.emit.literals import (
    SHARED_BYTES,
    ConstArrays,
    array_reference,
    c_string,
    const_array,
    float32,
    integer,
    scalar,
    struct_initialiser,
)
from ares.ir.names import identifier
from ares.ops import Struct
from tests.toolchain.tiny_network import any_target

FLOATS = np.array(
    [
        *(0.0, -0.0, 1.0, -1.0, 0.1, 1 / 3, 16777216.0, -16777215.0),
        *(1e-45, -1e-45, 1.1754942e-38, 1.1754944e-38, 3.4028235e38, -3.4028235e38),
    ],
    np.float32,
)


def _spread(count: int) -> np.ndarray:
    """Finite binary32 numbers of every magnitude."""
    bits = np.random.Generator(np.random.Philox(20)).integers(0, 2**32, count, np.uint32)
    values = bits.view(np.float32)
    return values[np.isfinite(values)]


def test_floats_are_exact_to_the_bit() -> None:
    values = np.concatenate([FLOATS, _spread(5000)])
    exponents = set(np.frexp(values)[1])
    assert {-148, 128} <= exponents
    assert len(exponents) > 250
    for value in values:
        text = float32(value)
        assert re.fullmatch(r"-?0x[01]\.[0-9a-f]{13}p[+-]\d+f|-?0x0\.0p\+0f", text)
        assert np.float32(float.fromhex(text.removesuffix("f"))).tobytes() == value.tobytes()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_floats_that_are_no_numbers(value: float) -> None:
    with pytest.raises(ValueError, match="is not a finite constant"):
        float32(np.float32(value))


def test_the_smallest_int32_is_no_overflowing_literal() -> None:
    """`-2147483648` is the negation of a number that does not fit `int`."""
    assert integer(-(2**31)) == "(-2147483647 - 1)"
    assert [integer(value) for value in (-(2**31) + 1, -1, 0, 2**31 - 1)] == [
        "-2147483647",
        "-1",
        "0",
        "2147483647",
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "1"),
        (False, "0"),
        (np.int8(-128), "-128"),
        (np.float32(0.5), "0x1.0000000000000p-1f"),
    ],
)
def test_scalars(value: object, text: str) -> None:
    assert scalar(value) == text


@pytest.mark.parametrize("value", [0.5, np.float64(0.5), "1", None])
def test_scalars_without_a_literal(value: object) -> None:
    with pytest.raises(TypeError, match="no C literal for"):
        scalar(value)


@pytest.mark.parametrize(
    "text", ["conv1", "a.b#1", 'a"b', "a\\b", "a\nb", "??=", "%s%n", "x\x001", "größe", "層", "*/"]
)
def test_strings_survive(text: str) -> None:
    quoted = c_string(text)
    assert re.fullmatch(r'"([\w.:@#+/() -]|\\[0-7]{3})*"', quoted, re.ASCII)
    # Three octal digits mean the same byte in C and in Python.
    assert ast.literal_eval(f"b{quoted}") == text.encode()


def test_an_octal_escape_takes_no_digit_after_it() -> None:
    assert c_string("\n1") == '"\\0121"'


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("layer.0.conv", "layer_0_conv"),
        ("1x1", "n_1x1"),
        ("_a", "n__a"),
        ("a#1", "a_1"),
        ("é", "n__"),
    ],
)
def test_identifiers(text: str, name: str) -> None:
    assert identifier(text) == name


def test_empty_arrays_are_null() -> None:
    empty = np.zeros(0, np.int32)
    assert array_reference("a", empty) == "NULL"
    constants = ConstArrays("net")
    found = struct_initialiser(Struct("s", (("table", empty), ("n", 0))), "layer", constants)
    assert found.lines == ("    .table = NULL,", "    .n = 0,")
    assert not constants.arrays


def test_names_that_are_one_in_c_are_told_apart() -> None:
    """Layers `a.b` and `a_b`, or a field `b_c` of `a` and `c` of `a_b`: each has its own numbers."""
    constants = ConstArrays("net")
    small, other = (np.array([n], np.int16) for n in (1, 2))
    large = np.zeros(400, np.int16)
    names = [constants.add("a_b", array) for array in (small, other, large, large + 1, large)]
    assert names[4] == names[2], "large ones with the same content are kept once"
    assert len(set(names)) == 4
    assert [constants.arrays[name][0] for name in names] == [1, 2, 0, 1, 0]
    assert constants.add("run", small) != "net_run", "that is the function's name"
    array = Struct("outer", (("b", (Struct("inner", (("n", 1),)),)),))
    found = [struct_initialiser(array, "x", constants) for _ in range(2)]
    assert found[0].lines != found[1].lines
    assert found[0].before != found[1].before


def test_nested_structs_and_arrays_of_structs() -> None:
    inner = Struct("inner", (("table", np.array([1, 2], np.uint8)), ("n", 2)))
    outer = Struct("outer", (("one", inner), ("many", (inner, inner)), ("scale", np.float32(2))))
    constants = ConstArrays("net")
    found = struct_initialiser(outer, "layer", constants)
    assert list(constants.arrays) == [
        *("net_layer_one_table", "net_layer_many_0_table", "net_layer_many_1_table")
    ]
    assert found.before[0] == "static const inner layer_many[2] = {"
    assert found.before[-1] == "};"
    assert found.lines[:3] == (
        "    .one = {",
        "        .table = net_layer_one_table,",
        "        .n = 2,",
    )
    assert found.lines[-2:] == ("    .many = layer_many,", "    .scale = 0x1.0000000000000p+1f,")


def test_a_compiler_reads_what_was_meant(tmp_path: Path) -> None:
    """All element types with their extremes, and every byte, through the compiler's own eyes."""
    arrays = {
        "s8": np.arange(256, dtype=np.uint8).view(np.int8),
        "u8": np.array([0, 255, 128], np.uint8),
        "s16": np.array([-32768, 32767, 0], np.int16),
        "s32": np.array([-(2**31), 2**31 - 1, 0], np.int32),
        "s64": np.array([-(2**62), 2**62, -1], np.int64),
        "f32": np.concatenate([FLOATS, _spread(300)]),
    }
    lines = ["#include <stddef.h>", "#include <stdint.h>", "#include <string.h>"]
    checks = []
    for name, array in arrays.items():
        constant = const_array(name, array)
        opening, closing = ("", "") if constant.is_string else ("{", "}")
        lines += [f"static {constant.declaration} = {opening}", *constant.lines, f"{closing};"]
        width = array.dtype.itemsize
        bits = array.view(f"u{width}").reshape(-1)
        words = ", ".join(f"UINT64_C({int(word)})" for word in bits)
        lines.append(f"static const uint64_t {name}_bits[] = {{{words}}};")
        checks.append(f"    for (size_t i = 0; i < {array.size}; ++i) {{")
        checks.append(f"        uint{8 * width}_t bits;")
        checks.append(f"        memcpy(&bits, (const char *){name} + i * {width}, {width});")
        checks.append(f"        if (bits != {name}_bits[i]) return {len(checks)};")
        checks.append("    }")
    text = 'ares: "?\\ é'
    checks.append(f'    return strcmp({c_string(text)}, "{_escaped(text)}") ? 99 : 0;')
    source = "\n".join([*lines, "int main(void)", "{", *checks, "}", ""])
    (tmp_path / "literals.c").write_text(source, encoding="utf-8")
    command = [*any_target().compiler, "-std=c11", "-Wall", "-Wextra", "-Werror"]
    command += ["-Wno-overlength-strings", "literals.c", "-o", "literals"]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=300)
    assert subprocess.run([str(tmp_path / "literals")], check=False, timeout=60).returncode == 0


def _escaped(text: str) -> str:
    """Another way to write the same bytes: split after each, so that no digit joins an escape."""
    return '""'.join(f"\\x{byte:02x}" for byte in text.encode())


def test_large_arrays_with_the_same_content_stand_once() -> None:
    table = np.arange(SHARED_BYTES // 4, dtype=np.int32)
    constants = ConstArrays("net")
    assert constants.add("first", table) == "net_first"
    assert constants.add("second", table.copy()) == "net_first"
    assert constants.add("other type", table.view(np.uint32)) == "net_other type"
    assert constants.add("other value", table + 1) == "net_other value"
    assert constants.add("small", table[:4]) == "net_small"
    assert constants.add("small again", table[:4]) == "net_small again"
    assert list(constants.arrays) == [
        *("net_first", "net_other type", "net_other value", "net_small", "net_small again")
    ]
