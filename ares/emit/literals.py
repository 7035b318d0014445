"""C literals and declarations for constants, exact on every target.

int8 arrays become string literals, which compilers read some ten times faster than lists of numbers; wider
integers are decimal and floats hexadecimal, so byte order and rounding cannot matter.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ares.ops import Struct

BYTES_PER_LINE = 32
NUMBERS_PER_LINE = 12
SHARED_BYTES = 512
_C_TYPES = {
    "int8": "int8_t",
    "uint8": "uint8_t",
    "uint16": "uint16_t",
    "uint32": "uint32_t",
    "uint64": "uint64_t",
    "int16": "int16_t",
    "int32": "int32_t",
    "int64": "int64_t",
    "float32": "float",
}


@dataclass(frozen=True, slots=True)
class ConstArray:
    """A C array: `declaration` for the header, `lines` of its initialiser for the source."""

    declaration: str
    lines: tuple[str, ...]
    is_string: bool


def scalar(value: Any) -> str:
    """A C literal for an int, bool or np.float32."""
    if isinstance(value, np.float32):
        return float32(value)
    if isinstance(value, (bool, int, np.integer)):
        return integer(int(value))
    raise TypeError(f"no C literal for {type(value).__name__}")


def integer(value: int) -> str:
    """Decimal; INT32_MIN is an expression, as its digits alone do not fit int32."""
    if value == -(2**31):
        return "(-2147483647 - 1)"
    return str(value)


def float32(value: np.float32) -> str:
    """Hexadecimal: exactly the binary32 value, whatever the compiler's decimal conversion does."""
    if not np.isfinite(value):
        raise ValueError(f"{value} is not a finite constant")
    return f"{float(value).hex()}f"


def c_string(text: str) -> str:
    """A quoted C string; anything but plain ASCII letters, digits and ._-:@#+/() becomes an octal escape."""
    return (
        '"'
        + "".join(c if re.match(r"[\w.:@#+/() -]", c, re.A) else _octal_text(c) for c in text)
        + '"'
    )


def comment(text: str) -> str:
    """`text` inside a comment of C, make, CMake or HTML: on one line, and unable to end it."""
    return re.sub(r"[^\w.:@#+()/ ,=\[\]-]", "?", text, flags=re.A)


def _octal_text(character: str) -> str:
    return "".join(_OCTAL[byte] for byte in character.encode())


_OCTAL = tuple(f"\\{byte:03o}" for byte in range(256))


def const_array(name: str, array: npt.NDArray[Any]) -> ConstArray:
    """Declaration and initialiser of a constant array."""
    if array.dtype == np.int8:
        # One byte more for the NUL that a string literal ends with.
        return ConstArray(
            f"const char {name}[{array.size + 1}]", tuple(_string_lines(array.tobytes())), True
        )
    c_type = _C_TYPES[array.dtype.name]
    return ConstArray(f"const {c_type} {name}[{array.size}]", tuple(_number_lines(array)), False)


def array_reference(name: str, array: npt.NDArray[Any]) -> str:
    """The expression by which a struct points at the array (NULL when it is empty)."""
    if array.size == 0:
        return "NULL"
    return f"(const int8_t *){name}" if array.dtype == np.int8 else name


def _string_lines(data: bytes) -> Iterator[str]:
    for start in range(0, len(data), BYTES_PER_LINE):
        chunk = data[start : start + BYTES_PER_LINE]
        yield f'"{"".join(map(_OCTAL.__getitem__, chunk))}"'


def _number_lines(array: npt.NDArray[Any]) -> Iterator[str]:
    flat = np.ascontiguousarray(array).reshape(-1)
    if array.dtype == np.float32:
        literals = [float32(value) for value in flat]
    elif array.dtype in (np.int64, np.uint64):
        macro = "INT64_C" if array.dtype == np.int64 else "UINT64_C"
        literals = [f"{macro}({int(value)})" for value in flat]
    elif array.dtype == np.uint32:
        literals = [f"{int(value)}u" for value in flat]
    else:
        literals = [integer(int(value)) for value in flat]
    for start in range(0, len(literals), NUMBERS_PER_LINE):
        yield ", ".join(literals[start : start + NUMBERS_PER_LINE]) + ","


class ConstArrays:
    """The constant arrays of a network by name, in order; large ones with the same content are kept once.

    Every name starts with the network's: one firmware may hold several. Names that differ only in what C has no
    characters for are told apart.
    """

    def __init__(self, network: str) -> None:
        self._network = network
        self.arrays: dict[str, npt.NDArray[Any]] = {}
        self._names: dict[tuple[str, bytes], str] = {}
        self._claimed = {f"{network}_{own}" for own in ("network", "run", "run_observed")}

    def claim(self, wanted: str) -> str:
        """`wanted`, or that with underscores behind it where it is taken: a name of the network's C file."""
        while wanted in self._claimed:
            wanted += "_"
        self._claimed.add(wanted)
        return wanted

    def add(self, name: str, array: npt.NDArray[Any]) -> str:
        """Keep an array that is not empty; the name under which it stands."""
        kept = np.ascontiguousarray(array)
        name = f"{self._network}_{name}"
        if kept.nbytes < SHARED_BYTES:
            name = self.claim(name)
        else:
            # Rotary tables, for example, are the same in every layer.
            content = kept.dtype.name, kept.tobytes()
            if content in self._names:
                return self._names[content]
            name = self._names[content] = self.claim(name)
        self.arrays[name] = kept
        return name


@dataclass(frozen=True, slots=True)
class Initialiser:
    """A C initialiser as lines, and the static objects that must be defined before it."""

    lines: tuple[str, ...]
    before: tuple[str, ...]


def struct_initialiser(
    struct: Struct, name: str, constants: ConstArrays, indent: str = "    "
) -> Initialiser:
    """`.field = value,` lines of a Struct called `name`; its arrays are added to `constants`.

    A nested tuple of Structs becomes a static array that is defined before the struct, NULL when it is empty.
    """
    lines: list[str] = []
    before: list[str] = []
    for field, value in struct.fields:
        inner = f"{name}_{field}"
        if isinstance(value, Struct):
            nested = struct_initialiser(value, inner, constants, indent + "    ")
            before += nested.before
            lines += [f"{indent}.{field} = {{", *nested.lines, f"{indent}}},"]
        elif isinstance(value, np.ndarray):
            shared = constants.add(inner, value) if value.size else ""
            lines.append(f"{indent}.{field} = {array_reference(shared, value)},")
        elif isinstance(value, tuple) and not value:
            lines.append(f"{indent}.{field} = NULL,")
        elif isinstance(value, tuple):
            inner = constants.claim(inner)
            before += _array_of_structs(value, inner, constants)
            lines.append(f"{indent}.{field} = {inner},")
        else:
            lines.append(f"{indent}.{field} = {scalar(value)},")
    return Initialiser(tuple(lines), tuple(before))


def _array_of_structs(structs: tuple[Struct, ...], name: str, constants: ConstArrays) -> list[str]:
    before: list[str] = []
    body: list[str] = []
    for index, item in enumerate(structs):
        nested = struct_initialiser(item, f"{name}_{index}", constants, "        ")
        before += nested.before
        body += ["    {", *nested.lines, "    },"]
    return [*before, f"static const {structs[0].type} {name}[{len(structs)}] = {{", *body, "};"]
