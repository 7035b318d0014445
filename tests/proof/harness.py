"""The C program that Eva runs: one kernel at one geometry, everything else any value of its range.

The geometry is that of a stored unit case (`golden/ops_*`): the planner says what the kernel is called with, how
long each array is and how much scratch there is. The harness keeps the numbers that say where things lie, and gives
everything that `kernels.toml` has a range for any value of it. All buffers are as long as they have to be, outputs
and scratch are uninitialised, and at the end all of the output has to be written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ares.emit.literals import scalar
from ares.ir import DType
from ares.ops import KernelCall, Struct
from ares.plan import PlannedTensor

_TYPES = {
    "int8": "int8_t",
    "uint8": "uint8_t",
    "int16": "int16_t",
    "uint16": "uint16_t",
    "int32": "int32_t",
    "uint32": "uint32_t",
    "int64": "int64_t",
    "uint64": "uint64_t",
    "float32": "float",
}
_ELEMENTS = {DType.S8: "int8", DType.U8: "uint8", DType.S16: "int16", DType.S32: "int32"}
_TERM = re.compile(r"\s*([+-]?)\s*(?:2\^(\d+)|(\d+))")
PLANNED = "planned"
WHOLE = {f"int{n}": (-(2 ** (n - 1)), 2 ** (n - 1) - 1) for n in (8, 16, 32, 64)} | {
    f"uint{n}": (0, 2**n - 1) for n in (8, 16, 32, 64)
}


@dataclass(frozen=True, slots=True)
class Range:
    """Values from lo to hi; `first`: the only value of element 0, where it is another. Floats: lo and hi are texts."""

    lo: int | float
    hi: int | float
    first: int | None = None


def bound(text: str | int) -> int:
    """An integer written as `-2^31 + 1`."""
    if isinstance(text, int):
        return text
    total, end = 0, 0
    for found in _TERM.finditer(text):
        if found.start() != end:
            break
        sign, power, number = found.groups()
        if end and not sign:
            break
        total += (-1 if sign == "-" else 1) * (1 << int(power) if power else int(number))
        end = found.end()
    if not text or text[end:].strip():
        raise ValueError(f"{text!r} is no bound, expected something like -2^31 + 1")
    return total


@dataclass(frozen=True, slots=True)
class Freedom:
    """What is free: ranges of arrays and scalars by the name of their field, or by its whole path."""

    ranges: Mapping[str, Any]

    def of_array(self, path: str, kind: str) -> Range | str:
        """The range of an array's elements, or PLANNED."""
        found = self._found(path)
        if found is None:
            raise ValueError(
                f"kernels.toml gives no range for {path}; {PLANNED!r} keeps the case's"
            )
        return PLANNED if found == PLANNED else _range(found, kind)

    def _found(self, path: str) -> Any:
        name = re.sub(r"\[\d+\]", "", path)
        return self.ranges.get(name, self.ranges.get(name.rpartition(".")[2]))


def _range(found: Any, kind: str) -> Range:
    if found == "any":
        return Range(-np.inf, np.inf) if kind == "float32" else Range(*WHOLE[kind])
    if isinstance(found, dict):
        return Range(bound(found["lo"]), bound(found["hi"]), bound(found["first"]))
    lo, hi = found
    if kind == "float32":
        return Range(float.fromhex(lo), float.fromhex(hi))
    return Range(bound(lo), bound(hi))


@dataclass(frozen=True, slots=True)
class Harness:
    """Writes the program of one call."""

    freedom: Freedom
    lines: list[str] = field(default_factory=list)

    def write(
        self, call: KernelCall, inputs: list[PlannedTensor], outputs: list[PlannedTensor]
    ) -> str:
        """The whole of it."""
        parameters = "\n".join(self._struct(call.params, "params", "        "))
        for kind, tensors in (("input", inputs), ("output", outputs)):
            for number, tensor in enumerate(tensors):
                self._tensor(f"{kind}{number}", tensor, is_free=kind == "input")
        self.lines.append(f"{call.params.type} params = {{\n{parameters}\n    }};")
        self.lines.extend(self._free_scalars(call.params, "params"))
        if call.scratch:
            # Of words, so that it is aligned.
            self.lines.append(f"uint8_t scratch[{call.scratch}];")
        names = {
            kind: ", ".join(f"{kind}{n}" for n in range(len(tensors)))
            for kind, tensors in (("input", inputs), ("output", outputs))
        }
        self.lines.extend(
            [
                f"const void *const inputs[{len(inputs)}] = {{{names['input']}}};",
                f"void *const outputs[{len(outputs)}] = {{{names['output']}}};",
                f"const ares_status status = {call.function}(&params, inputs, outputs, "
                f"{'scratch' if call.scratch else 'NULL'});",
                "if (status != ARES_OK) {",
                "    return 1;",
                "}",
            ]
        )
        self.lines.extend(
            [
                f"/*@ assert \\initialized(&output{n}[0 .. {tensor.elements - 1}]); */"
                for n, tensor in enumerate(outputs)
            ]
        )
        self.lines.append("return 0;")
        body = "\n".join(f"    {line}" for line in self.lines)
        return (
            f'#include "runtime/inc/{call.header}"\n#include "__fc_builtin.h"\n\n'
            f"int main(void)\n{{\n{body}\n}}\n"
        )

    def _tensor(self, name: str, tensor: PlannedTensor, *, is_free: bool) -> None:
        kind = "float32" if tensor.dtype is DType.F32 else _ELEMENTS[tensor.dtype]
        self.lines.append(f"{_TYPES[kind]} {name}[{tensor.elements}];")
        if is_free:
            found = self.freedom.ranges.get(name, "any")
            self._fill(name, tensor.elements, kind, _range(found, kind))

    def _fill(self, name: str, count: int, kind: str, values: Range) -> None:
        if (values.lo, values.hi) in (WHOLE.get(kind), (-np.inf, np.inf)):
            self.lines.append(f"Frama_C_make_unknown((char *){name}, sizeof {name});")
        else:
            self.lines.extend(
                [
                    f"/*@ loop unroll {count}; */",
                    f"for (int32_t i = 0; i < {count}; ++i) {{",
                    f"    {name}[i] = {_any(kind, values)};",
                    "}",
                ]
            )
        if values.first is not None:
            self.lines.append(f"{name}[0] = {values.first}u;")

    def _array(self, path: str, array: np.ndarray[Any, Any]) -> str:
        """Declare an array; the name by which the struct has it."""
        if array.size == 0:
            return "NULL"
        name, kind = _identifier(path), array.dtype.name
        values = self.freedom.of_array(path.partition(".")[2], kind)
        if isinstance(values, str):
            numbers = ", ".join(_literal(value) for value in array.reshape(-1))
            self.lines.append(f"const {_TYPES[kind]} {name}[{array.size}] = {{{numbers}}};")
        else:
            self.lines.append(f"{_TYPES[kind]} {name}[{array.size}];")
            self._fill(name, array.size, kind, values)
        return name

    def _struct(self, struct: Struct, path: str, indent: str) -> Iterator[str]:
        """The lines of an initialiser; what it points at is declared."""
        for name, value in struct.fields:
            inner = f"{path}.{name}"
            if isinstance(value, Struct):
                yield f"{indent}.{name} = {{"
                yield from self._struct(value, inner, indent + "    ")
                yield f"{indent}}},"
            elif isinstance(value, tuple):
                yield f"{indent}.{name} = {self._structs(value, inner)},"
            elif isinstance(value, np.ndarray):
                yield f"{indent}.{name} = {self._array(inner, value)},"
            else:
                yield f"{indent}.{name} = {scalar(value)},"

    def _structs(self, structs: tuple[Struct, ...], path: str) -> str:
        if not structs:
            return "NULL"
        items = []
        for number, struct in enumerate(structs):
            lines = "\n".join(self._struct(struct, f"{path}[{number}]", "            "))
            items.append(f"        {{\n{lines}\n        }},")
        name = _identifier(path)
        body = "\n".join(items)
        self.lines.append(f"{structs[0].type} {name}[{len(structs)}] = {{\n{body}\n    }};")
        return name

    def _free_scalars(self, struct: Struct, path: str) -> Iterator[str]:
        for name, value in struct.fields:
            inner = f"{path}.{name}"
            if isinstance(value, Struct):
                yield from self._free_scalars(value, inner)
            elif not isinstance(value, (tuple, np.ndarray)):
                found = self.freedom.ranges.get(inner.partition(".")[2], PLANNED)
                if found != PLANNED:
                    kind = "float32" if isinstance(value, np.float32) else "int32"
                    yield f"{inner} = {_any(kind, _range(found, kind))};"


def _literal(value: Any) -> str:
    if isinstance(value, (np.int64, np.uint64)):
        suffix = "INT64_C" if isinstance(value, np.int64) else "UINT64_C"
        return f"{suffix}({int(value)})"
    return scalar(value if isinstance(value, np.float32) else int(value))


def _any(kind: str, values: Range) -> str:
    if kind == "float32":
        return f"Frama_C_float_interval({float(values.lo).hex()}f, {float(values.hi).hex()}f)"
    lo, hi = int(values.lo), int(values.hi)
    if hi > WHOLE["int64"][1]:
        return f"({_TYPES[kind]})Frama_C_unsigned_long_long_interval({lo}ull, {hi}ull)"
    least = f"({lo + 1}ll - 1)" if lo == WHOLE["int64"][0] else f"{lo}ll"
    return f"({_TYPES[kind]})Frama_C_long_long_interval({least}, {hi}ll)"


def _identifier(path: str) -> str:
    return re.sub(r"\W+", "_", path.partition(".")[2]).strip("_")
